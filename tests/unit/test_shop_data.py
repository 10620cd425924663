"""Made-up values: pure, valid and the same on every machine."""

import hashlib
import json
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.workload.data.events import EVENT_TYPES, event
from loadgen.workload.data.orders import OPEN_STATUSES, STATUSES, next_status, order_values
from loadgen.workload.data.pools import CURRENCIES, small_pools, weighted
from loadgen.workload.data.users import (
    first_deleted_rank,
    lasting_users,
    user_id,
    user_rank,
)

POOLS = small_pools()
DRAW = st.integers(0, 2**64 - 1)
SHARE = st.floats(0, 1, exclude_max=True)
LEGAL: dict[str, set[str | None]] = {
    "pending": {"paid", "cancelled"},
    "paid": {"shipped", "refunded"},
    "shipped": {"delivered"},
    "delivered": {"refunded", None},
    "cancelled": {None},
    "refunded": {None},
}


@given(n=st.integers(1, 10**7), part=SHARE)
def test_ranks_and_ids_are_each_others_inverse(n: int, part: float) -> None:
    """Every rank has its own id in 1..n, and the id leads back to the rank."""
    rank = int(part * n)
    id_ = user_id(rank, n)
    assert 1 <= id_ <= n
    assert user_rank(id_, n) == rank


@pytest.mark.parametrize("n", [1, 2, 3, 10, 97, 1000, 4096])
def test_ids_are_a_permutation_that_begins_with_the_oldest_user(n: int) -> None:
    """All ids occur once; the busiest is user 1."""
    ids = [user_id(rank, n) for rank in range(n)]
    assert sorted(ids) == list(range(1, n + 1))
    assert ids[0] == 1


@given(n=st.integers(1, 10**7))
def test_the_lasting_users_are_apart_from_the_deleted_ones(n: int) -> None:
    """Lasting ranks end before deleted ones begin; there is always somebody lasting."""
    assert 1 <= lasting_users(n) <= first_deleted_rank(n) <= n
    assert n - first_deleted_rank(n) == n * 2 // 100


@given(a=DRAW, b=DRAW, event_bytes=st.integers(0, 2000))
@example(a=2**64 - 1, b=2**64 - 1, event_bytes=100_000)
def test_an_event_is_json_of_the_asked_length(a: int, b: int, event_bytes: int) -> None:
    """Properties are a JSON object in UTF-8, of the length asked for if the facts fit into it."""
    kind, properties = event((a, b), event_bytes)
    assert kind.decode() in EVENT_TYPES
    assert isinstance(json.loads(properties.decode()), dict)
    bare = event((a, b), 0)[1]
    assert len(properties) == max(event_bytes, len(bare))


@given(draws=st.lists(DRAW, min_size=4, max_size=4))
def test_values_come_from_the_last_draws(draws: list[int]) -> None:
    """The draws that place an arrival and its target don't reappear in its values."""
    assert event(draws, 200) == event(draws[-2:], 200)


def test_each_event_type_has_properties_of_its_own() -> None:
    """Every type occurs, always with the same keys, and no two types have the same keys."""
    keys: dict[bytes, set[frozenset[str]]] = {}
    for a in range(128):
        kind, properties = event((a, 0), 300)
        keys.setdefault(kind, set()).add(frozenset(json.loads(properties)))
    assert {kind.decode() for kind in keys} == set(EVENT_TYPES)
    assert all(len(found) == 1 for found in keys.values())
    assert len(set.union(*keys.values())) == len(EVENT_TYPES)


@given(draw=DRAW)
def test_an_order_can_be_paid_for(draw: int) -> None:
    """Quantity 1 to 8, a positive amount with two decimals below 10,000, a known currency."""
    quantity, cents, currency = order_values(draw, POOLS)
    assert 1 <= quantity <= 8
    assert 0 < cents < 1_000_000
    assert currency.decode() in dict(CURRENCIES)


@given(u=SHARE)
def test_statuses_go_on_legally(u: float) -> None:
    """What follows a status is in the life cycle, and only final ones are followed by nothing."""
    for status in STATUSES:
        following = next_status(status, u)
        assert following in LEGAL[status]
        assert (following is None) <= (status not in OPEN_STATUSES)


def test_every_legal_change_happens() -> None:
    """No edge of the life cycle is dead."""
    for status, legal in LEGAL.items():
        assert {next_status(status, i / 100) for i in range(100)} == legal


def test_values_are_the_same_everywhere() -> None:
    """A thousand events and orders have the bytes they had when this was written."""
    generator = random.Random(1)
    digest = hashlib.sha256()
    for _ in range(1000):
        draws = (generator.getrandbits(64), generator.getrandbits(64))
        quantity, cents, currency = order_values(draws[-1], POOLS)
        order = b"%d%d.%02d%b" % (quantity, *divmod(cents, 100), currency)
        digest.update(b"".join((*event(draws, 300), order)))
    assert digest.hexdigest()[:16] == "8f4a2df86d695658"


def test_weights_that_do_not_fit_are_refused() -> None:
    """A pool never silently leaves out an entry."""
    assert weighted((("a", 3), ("b", 1)), 4) == (b"a", b"a", b"a", b"b")
    with pytest.raises(ValueError, match="don't fit"):
        weighted((("a", 1), ("b", 9), ("c", 1)), 2)
