"""Requests made column by column: each has the values of its arrival, whatever their kinds."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.load.columns import value_makers
from loadgen.load.compile import CompiledOperation, compile_operations
from loadgen.load.driver.wire import parsed_executions, transaction
from loadgen.load.writes import writes_of
from loadgen.workload.keys import key_maker
from loadgen.workload.model import WorkloadModel
from loadgen.workload.plain_model import dump_model, load_model
from loadgen.workload.read_model import built_in_models, read_model
from loadgen.workload.schedule.arrival_process import BLOCK, ArrivalKind, Move
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.schedule.plan import Mix, Plan, packed_bits
from loadgen.workload.schedule.shards import WHOLE, Shard
from loadgen.workload.streams import Int64Array
from tests.ledger_model import BANK, KEY_TYPES
from tests.plans import SHOP, plan_for, plan_of

LATENESS = 1.0  # of the plans


def due_counts(_: str, times: Sequence[float]) -> Int64Array:
    """Count inserts that are due once a second."""
    return np.array([max(0, int(s)) for s in times], np.int64)


def compiled(model: WorkloadModel = BANK, **parts: object) -> dict[str, CompiledOperation]:
    """Return a model's operations against a baseline of its rows."""
    plan = made_for(model, **parts)
    return compile_operations(model, plan, value_makers(model, plan), due_counts)


def made_for(model: WorkloadModel, **parts: object) -> Plan:
    """Return a plan that knows the bank's keys."""
    return plan_for(
        model,
        **{
            "key_types": KEY_TYPES,
            "first_keys": {"entries.entry_id": 1001, "receipts.id": 7},
            "once_used": {"Bank.Accounts": ""},
            **parts,
        },
    )


def values(operation: CompiledOperation, ks: Sequence[int]) -> list[dict[str, bytes | None]]:
    """Return the values of some arrivals' requests, after a check of the requests' bytes."""
    rows = []
    for request in operation.make(ks, [float(k) for k in ks]):
        assert isinstance(request, bytes)
        executions = parsed_executions(request)
        assert request == transaction(executions)
        assert [name.decode() for name, _ in executions] == [*operation.statements]
        row: dict[str, bytes | None] = {}
        for statement, (_, texts) in zip(operation.operation.statements, executions, strict=True):
            for name, text in zip(statement.parameters, texts, strict=True):
                assert row.setdefault(name, text) == text
        rows.append(row)
    return rows


def test_a_transaction_has_the_values_of_its_arrival() -> None:
    """Several statements, numbers with a sign, NULL and texts of all sizes, in one request."""
    rows = values(compiled()["book"], range(200))
    assert all(row["amount"] is not None and -500 <= int(row["amount"]) <= 500 for row in rows)
    assert {row["account"] for row in rows} == {b"ACC-000001", b"ACC-000002"}
    notes = [row["note"] for row in rows]
    assert 40 < notes.count(None) < 120
    assert {len(note) for note in notes if note is not None} >= {0, 5, 12}


def test_keys_of_one_column_never_meet() -> None:
    """Two operations insert into `entries`: they take every second number from its maximum on."""
    made = compiled()
    book, correct = (values(made[name], range(50)) for name in ("book", "correct"))
    assert [int(row["entry_id"] or b"") for row in book] == [1001 + 2 * k for k in range(50)]
    assert [int(row["entry_id"] or b"") for row in correct] == [1002 + 2 * k for k in range(50)]
    assert [int(row["receipt"] or b"") for row in book] == [7 + k for k in range(50)]


def test_a_key_in_a_text_column_is_a_uuids_text() -> None:
    """It has hyphens, as everywhere; in a uuid column the same key has none."""
    (ticket,) = values(compiled()["open_ticket"], [3])
    key = UUID(key_maker("run", "open_ticket")(3).decode())
    assert ticket["code"] == str(key).encode()
    (order,) = values(compiled_shop()["insert_order"], [3])
    assert order["order_number"] == key_maker("run", "insert_order")(3)


def test_keys_differ_by_run_operation_and_k() -> None:
    """They are uuids of version 8, whose values the application makes."""
    keys = {
        key_maker(run, operation)(k)
        for run in ("run", "other")
        for operation in ("insert_order", "insert_event")
        for k in (0, 1, 7, 10**9, 10**12)
    }
    assert len(keys) == 20
    uuids = [UUID(key.decode()) for key in keys]
    assert {(key.version, key.variant) for key in uuids} == {(8, "specified in RFC 4122")}


def test_the_oldest_inserted_row_is_that_of_the_same_number() -> None:
    """Arrival k aims at insert k, whose key every process can compute."""
    made = compiled()
    keys = [row["entry_id"] for row in values(made["book"], range(300))]
    assert [row["entry"] for row in values(made["erase"], range(300))] == keys


def test_the_newest_inserted_rows_were_due_twice_the_lateness_limit_before() -> None:
    """New ones more often; an arrival before the first of them has no row."""
    made = compiled()
    assert [*made["annotate"].make(range(3), [0.0, 1.0, 2.9])] == [None] * 3
    keys = [row["entry_id"] for row in values(made["book"], range(1000))]
    dues = [900.0] * 400
    requests = made["annotate"].make(range(400), dues)
    targets = [parsed_executions(request)[0][1][0] for request in requests]  # type: ignore[arg-type] # all have one
    ages = [int(900 - 2 * LATENESS) - 1 - keys.index(target) for target in targets]
    assert min(ages) >= 0
    assert max(ages) < 898
    assert 0.4 < sum(age < 898 / 8 for age in ages) / len(ages) < 0.6


@given(
    kind=st.sampled_from(("jitter", "even", "poisson")),
    of=st.integers(1, 4),
    rate=st.floats(600, 30_000),
)
@settings(max_examples=30)
def test_every_process_aims_at_the_same_new_row(kind: ArrivalKind, of: int, rate: float) -> None:
    """Whatever the number of processes, also after a change of the rates."""

    def targets(shard: Shard) -> dict[int, bytes | None]:
        plan = replace(made_for(BANK), arrivals=kind, duration=20.0)
        schedule = schedule_of(plan, shard)
        schedule.change_rates(6.0, Mix({**plan.mix.rates_per_hour, "book": rate}))
        writes_of(BANK, plan, value_makers(BANK, plan), schedule, {})
        return {
            k: parsed_executions(request)[0][1][0] if isinstance(request, bytes) else None
            for _, operation, k, request in schedule.pop_due(20.0)
            if operation == "annotate"
        }

    whole = targets(WHOLE)
    parts = [targets(Shard(part, of)) for part in range(of)]
    assert sum(map(len, parts)) == len(whole)
    assert {k: key for part in parts for k, key in part.items()} == whole
    assert sum(key is not None for key in whole.values()) > 10


def test_each_row_is_taken_once() -> None:
    """Two operations share the free rows of the quiet fifth; after that there is no row."""
    used = np.isin(np.arange(20), (0, 3, 4, 19))
    made = compiled(once_used={"Bank.Accounts": packed_bits(used)})
    taken = []
    for name in ("close", "drop_account"):
        requests = made[name].make(range(30), [0.0] * 30)
        assert [*map(bool, requests)] == [True] * 8 + [False] * 22
        taken += [parsed_executions(r)[0][1][0] for r in requests if isinstance(r, bytes)]
    assert len(set(taken)) == 16
    assert made["close"].columns["account"].keys(range(30)) == [
        key.decode() for key in taken[:8] if key
    ]


def test_of_no_arrivals_there_are_no_keys() -> None:
    """As of a lost process that had begun all that was due."""
    for name in ("book", "open_ticket", "close", "erase"):
        for column in compiled()[name].columns.values():
            assert column.keys([]) == []
    assert compiled()["close"].columns["account"].keys([10**6]) == []


def test_a_moves_other_values_are_made_ahead() -> None:
    """Its row is chosen when it is sent."""
    moves = compiled()["move_ticket"].make(range(100), [0.0] * 100)
    assert all(isinstance(move, Move) for move in moves)
    assert {move.values for move in moves if isinstance(move, Move)} == {(b"Kim",), (None,)}


def compiled_shop(users: int = 1000, event_bytes: int = 300) -> dict[str, CompiledOperation]:
    """Return the shop's operations."""
    plan = plan_of(users)
    settings = {"event_bytes": event_bytes, "hot_users": None}
    plan = plan_for(
        SHOP,
        settings=settings,
        key_types=plan.key_types,
        once_used=plan.once_used,
        baseline_rows=plan.baseline_rows,
    )
    return compile_operations(SHOP, plan, value_makers(SHOP, plan), due_counts)


@pytest.mark.parametrize("event_bytes", [40, 300, 20_000])
@pytest.mark.parametrize("users", [7, 9_999, 10_000, 2_000_000])
def test_the_shops_requests_are_whole(event_bytes: int, users: int) -> None:
    """However wide their numbers and documents are; few large ones are made ahead."""
    made = compiled_shop(users, event_bytes)
    for name in ("insert_order", "insert_event"):
        for row in values(made[name], range(200)):
            assert 1 <= int(row["user_id"] or b"") <= users
            if name == "insert_event":
                assert len(row["properties"] or b"") >= event_bytes
    assert made["insert_order"].batch_size(BLOCK) == BLOCK
    assert (made["insert_event"].batch_size(BLOCK) < 60) == (event_bytes == 20_000)


@given(first=st.integers(0, 10**9), n=st.integers(1, 40), step=st.integers(1, 7))
@settings(max_examples=50)
def test_made_together_or_one_by_one_a_request_is_the_same(first: int, n: int, step: int) -> None:
    """A request depends on its own number and due time alone."""
    ks = range(first, first + n * step, step)
    for operation in MADE.values():
        dues = [float(k) for k in ks]
        together = operation.make(ks, dues)
        assert [*together] == [
            operation.make([k], [due])[0] for k, due in zip(ks, dues, strict=True)
        ]


MADE = compiled()


@pytest.mark.parametrize("name", built_in_models())
def test_a_model_survives_the_way_to_a_worker(name: str) -> None:
    """It arrives unchanged; anything else is refused."""
    model = read_model(name)
    assert load_model(dump_model(model)) == model
    assert load_model(dump_model(BANK)) == BANK
    for plain in ({}, {"$type": "Table", "name": "x"}, {"$type": "Nothing"}, [1], None):
        with pytest.raises(ValueError, match="no workload model"):
            load_model(plain)
