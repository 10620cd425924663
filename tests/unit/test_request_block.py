"""Requests joined in machine code: byte for byte those that Python joins, whatever the workload."""

import ctypes
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.load.compile import CompiledOperation
from loadgen.load.request_block import RequestBlock, joined
from loadgen.workload.read_model import built_in_models, read_model
from tests.plans import plan_for
from tests.unit.test_compile import compiled, compiled_shop

numbers = st.lists(st.integers(0, 10**9), min_size=1, max_size=60)


def by_both(
    operation: CompiledOperation, ks: Sequence[int]
) -> tuple[RequestBlock, Sequence[object]]:
    """Return the requests of some arrivals as a block, and as Python joins them."""
    assert operation.laid_out is not None
    dues = [float(k % 1000) for k in ks]
    return joined(operation.laid_out(ks, dues)), operation.make(ks, dues)


@given(ks=numbers, step=st.integers(1, 4))
@settings(max_examples=15)
def test_a_block_has_the_bytes_of_pythons_requests(ks: list[int], step: int) -> None:
    """NULL, texts of all sizes and of none, numbers, uuids, documents; None without a row."""
    shop = compiled_shop(event_bytes=ks[0] % 2000)
    for operation in (*compiled().values(), *shop.values()):
        if operation.laid_out is not None:
            for some in (ks, range(ks[0], ks[0] + 90, step)):
                block, requests = by_both(operation, some)
                assert [*block] == [*requests]


@pytest.mark.parametrize("name", sorted(set(built_in_models()) - {"shop"}))
def test_built_in_workloads(name: str) -> None:
    """Their requests are the same too."""
    model = read_model(name)
    keys = {
        f"{table.name}.{column}": "bigint"
        for table in model.tables.values()
        for column in table.key
    }
    plan = plan_for(model, key_types=keys, first_keys=dict.fromkeys(keys, 1))
    for operation in compiled(model, key_types=keys, first_keys=plan.first_keys).values():
        block, requests = by_both(operation, range(200))
        assert [*block] == [*requests]


def test_each_lies_at_its_address() -> None:
    """In a part of a block too; an arrival without a row has nothing there."""
    operation = compiled()["close"]
    block, requests = by_both(operation, range(30))
    assert None in requests
    part = block[3:25]
    sent = [
        ctypes.string_at(address, size) or None
        for address, size in zip(part.addresses.tolist(), part.sizes.tolist(), strict=True)
    ]
    assert sent == [*requests[3:25]] == [*part]


def test_a_parameter_is_found_in_many_requests() -> None:
    """As in each alone."""
    operation = compiled_shop()["insert_order"]
    block, requests = by_both(operation, range(100))
    which = [7, 3, 99]
    keys = block.parts(which, operation.places["order_number"])
    alone = [operation.parameter(r, "order_number") for r in requests if isinstance(r, bytes)]
    assert keys == [alone[i] for i in which]


def test_a_block_of_ready_requests() -> None:
    """Empty ones are None; there may be nothing but these."""
    assert [*RequestBlock.of([b"one", b"", b"three"])] == [b"one", None, b"three"]
    empty = RequestBlock.of([b"", b""])
    assert [*empty] == [None, None]
    assert np.array_equal(empty.sizes, [0, 0])
