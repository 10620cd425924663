"""The baseline's rows, decoded from binary COPY: consistent with each other and with time."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import unpack_from
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.source.baseline_rows import BLOCK_ROWS, BaselineParameters, BaselineRows, Table
from loadgen.workload.data.events import EVENT_TYPES
from loadgen.workload.data.history import DAYS, EPOCH, History
from loadgen.workload.data.orders import STATUSES, lifecycles
from loadgen.workload.data.pools import UserPools, user_pools
from loadgen.workload.data.users import user_rank

END = datetime(2026, 11, 23, tzinfo=UTC)
FINAL_AFTER = timedelta(days=20)
_USER_POOLS: dict[int, UserPools] = {}


class User(NamedTuple):
    """A decoded row of users."""

    id: int
    email: str
    name: str
    plan: str
    country: str
    created: datetime
    updated: datetime
    deleted: datetime | None
    version: int


class Order(NamedTuple):
    """A decoded row of orders."""

    id: int
    number: bytes
    user: int
    status: str
    quantity: int
    cents: int
    currency: str
    created: datetime
    updated: datetime
    version: int


class Event(NamedTuple):
    """A decoded row of events."""

    id: int
    key: bytes
    user: int
    kind: str
    properties: bytes
    created: datetime
    updated: datetime


@pytest.fixture(autouse=True)
def fast_user_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the names of a seed once: Faker takes half a second."""

    def remembered(seed: int) -> UserPools:
        if seed not in _USER_POOLS:
            _USER_POOLS[seed] = user_pools(seed)
        return _USER_POOLS[seed]

    monkeypatch.setattr("loadgen.source.baseline_rows.user_pools", remembered)


def parameters(
    users: int, orders: int, events: int, seed: int = 1, end: datetime = END
) -> BaselineParameters:
    """Return parameters with events of 200 bytes."""
    return BaselineParameters(users, orders, events, seed, end, 200)


def fields(data: bytes) -> Iterator[list[bytes | None]]:
    """Yield the fields of each row of binary COPY data without header and trailer."""
    at = 0
    while at < len(data):
        (n,) = unpack_from(">h", data, at)
        at += 2
        row: list[bytes | None] = []
        for _ in range(n):
            (length,) = unpack_from(">i", data, at)
            at += 4
            row.append(None if length == -1 else data[at : at + length])
            at += max(length, 0)
        yield row


def number(value: bytes | None) -> int:
    """Decode a bigint or integer."""
    assert value is not None
    return int.from_bytes(value, "big", signed=True)


def instant(value: bytes | None) -> datetime:
    """Decode a timestamp."""
    return EPOCH + timedelta(microseconds=number(value))


def text(value: bytes | None) -> str:
    """Decode a text."""
    assert value is not None
    return value.decode()


def blocks(rows: BaselineRows, table: Table, count: int) -> bytes:
    """Return all blocks of a table, one after the other."""
    return b"".join(rows.block(table, b) for b in range(-(-count // BLOCK_ROWS)))


def users_of(p: BaselineParameters) -> list[User]:
    """Return the decoded users."""
    return [
        User(
            number(r[0]), text(r[1]), text(r[2]), text(r[3]), text(r[4]), instant(r[5]),
            instant(r[6]), instant(r[7]) if r[7] is not None else None, number(r[8]),
        )
        for r in fields(blocks(BaselineRows(p), "users", p.users))
    ]  # fmt: skip


def cents(value: bytes | None) -> int:
    """Decode a numeric of two digits to the base of 10,000."""
    assert value is not None
    count, weight, sign, scale, whole, part = unpack_from(">6h", value)
    assert (count, weight, sign, scale, len(value)) == (2, 0, 0, 2, 12)
    return int(whole * 100 + part // 100)


def orders_of(p: BaselineParameters) -> list[Order]:
    """Return the decoded orders."""
    return [
        Order(
            number(r[0]), r[1] or b"", number(r[2]), text(r[3]), number(r[4]), cents(r[5]),
            text(r[6]), instant(r[7]), instant(r[8]), number(r[9]),
        )
        for r in fields(blocks(BaselineRows(p), "orders", p.orders))
    ]  # fmt: skip


def events_of(p: BaselineParameters) -> list[Event]:
    """Return the decoded events."""
    return [
        Event(
            number(r[0]), r[1] or b"", number(r[2]), text(r[3]), r[4] or b"", instant(r[5]),
            instant(r[6]),
        )
        for r in fields(blocks(BaselineRows(p), "events", p.events))
    ]  # fmt: skip


@given(
    users=st.integers(1, 1500),
    orders=st.integers(1, 1500),
    events=st.integers(1, 1500),
    seed=st.integers(-3, 3),
    end=st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
@settings(max_examples=15, deadline=None)
def test_rows_are_consistent_whatever_is_asked_for(
    users: int, orders: int, events: int, seed: int, end: datetime
) -> None:
    """Ids in order of time, owners that exist and are not deleted yet, changes after creation."""
    asked = parameters(users, orders, events, seed, end)
    people_there = users_of(asked)
    begin = end - timedelta(days=DAYS)
    for rows in (people_there, orders_of(asked), events_of(asked)):
        assert [row.id for row in rows] == list(range(1, len(rows) + 1))
        times = [row.created for row in rows]
        assert times == sorted(times)
        assert begin <= times[0] <= times[-1] < end
        assert all(row.created <= row.updated <= end for row in rows)
    assert len(people_there) == users
    owned: list[Order | Event] = [*orders_of(asked), *events_of(asked)]
    for row in owned:
        owner = people_there[row.user - 1]
        assert owner.created <= row.created
        assert owner.deleted is None or row.created < owner.deleted


@given(users=st.integers(1, 2500), seed=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_the_highest_ranks_are_soft_deleted(users: int, seed: int) -> None:
    """2% of users are deleted: after their creation, as their last change."""
    rows = users_of(parameters(users, 0, 0, seed))
    deleted = [row for row in rows if row.deleted is not None]
    ranks = sorted(user_rank(row.id, users) for row in deleted)
    assert ranks == list(range(users - users // 50, users))
    for row in deleted:
        assert row.deleted is not None
        assert row.created < row.deleted == row.updated <= END
        assert row.version >= 1


def test_users_are_people_with_addresses_of_their_own() -> None:
    """No address twice, none that could be somebody's; names of many countries, in UTF-8."""
    rows = users_of(parameters(3000, 0, 0))
    assert len({row.email for row in rows}) == 3000
    assert all(row.email.isascii() and row.email.endswith(".example") for row in rows)
    assert any(not row.name.isascii() for row in rows)
    assert len({row.country for row in rows}) == 15
    assert {row.plan for row in rows} == {"free", "starter", "team", "enterprise"}
    unchanged = [row for row in rows if row.version == 0]
    assert 0.7 < len(unchanged) / len(rows) < 0.95
    assert all(row.updated == row.created for row in unchanged)


def test_an_order_s_status_fits_its_age() -> None:
    """Old orders are settled, new ones are mostly open; the version counts the changes."""
    rows = orders_of(parameters(500, 20_000, 0))
    versions = {"pending": {0}, "paid": {1}, "shipped": {2}, "delivered": {3}, "cancelled": {1}}
    versions["refunded"] = {2, 4}
    for row in rows:
        assert row.version in versions[row.status]
        assert (row.updated == row.created) == (row.version == 0)
    old = Counter(row.status for row in rows if row.created < END - FINAL_AFTER)
    new = Counter(row.status for row in rows if row.created > END - timedelta(hours=12))
    assert set(old) == {"delivered", "cancelled", "refunded"}
    assert old["delivered"] > 0.8 * old.total()
    assert new["pending"] + new["paid"] > 0.8 * new.total()
    assert set(Counter(row.status for row in rows)) == set(STATUSES)


def test_a_few_users_do_much_and_late_rows_belong_to_lasting_ones() -> None:
    """Activity is skewed, and in the history's last part nobody appears that may be deleted."""
    rows = events_of(parameters(1000, 0, 20_000))
    busiest = Counter(row.user for row in rows).most_common(200)
    assert sum(n for _, n in busiest) > 0.45 * len(rows)
    late = [row for row in rows if row.created > END - timedelta(days=21)]
    assert max(user_rank(row.user, 1000) for row in late) < 800


def test_events_are_json_with_keys_of_their_own() -> None:
    """Properties begin with jsonb's version and are valid; uuids are of version 4, none twice."""
    rows = events_of(parameters(100, 0, 3000))
    assert {row.kind for row in rows} == set(EVENT_TYPES)
    assert all(row.properties[0] == 1 and len(row.properties) == 201 for row in rows)
    assert all(isinstance(json.loads(row.properties[1:]), dict) for row in rows)
    assert len({row.key for row in rows}) == 3000
    assert all(row.key[6] >> 4 == 4 and row.key[8] >> 6 == 2 for row in rows)


def test_a_block_depends_on_seed_table_and_number_only() -> None:
    """A block made alone, in another process's stead, is the block made in passing."""
    asked = parameters(2000, 2000, 2000)
    rows = BaselineRows(asked)
    for table in ("users", "orders", "events"):
        passing = [rows.block(table, number) for number in range(4)]
        assert [
            BaselineRows(asked).block(table, number) for number in reversed(range(4))
        ] == passing[::-1]
        assert len(set(passing)) == 4
        assert BaselineRows(parameters(2000, 2000, 2000, seed=2)).block(table, 1) != passing[1]


def test_blocks_are_the_same_everywhere() -> None:
    """Orders and events have the bytes they had when this was written (names are Faker's)."""
    rows = BaselineRows(parameters(1000, 5000, 20_000, seed=42))
    digest = hashlib.sha256(rows.block("orders", 3) + rows.block("events", 17))
    assert digest.hexdigest()[:16] == "236ac54ef4db8700"


def test_volume_grows_and_follows_the_week_and_the_day() -> None:
    """The last month has far more rows than the first; nights and Sundays have few."""
    rows = events_of(parameters(100, 0, 20_000))
    begin = END - timedelta(days=DAYS)
    first = sum(timedelta(30) < row.created - begin < timedelta(60) for row in rows)
    last = sum(END - row.created < timedelta(30) for row in rows)
    assert last > 1.7 * first
    days = Counter(row.created.weekday() for row in rows)
    hours = Counter(row.created.hour for row in rows)
    assert days[6] < 0.7 * days[1]
    assert hours[3] < 0.3 * hours[14]


@given(end=st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(deadline=None, max_examples=8)
def test_the_history_reaches_from_its_begin_to_its_end(end: datetime) -> None:
    """The first place is the first instant, the last place the last microseconds before the end."""
    history = History(end)
    assert EPOCH + timedelta(microseconds=history.end_us) == end
    assert history.time(0) == history.start_us
    assert history.end_us - 1000 < history.time(history.total - 1) < history.end_us


def test_lives_end_and_go_on_in_order() -> None:
    """Every order's life ends in a final status, through one change after the other."""
    for life in lifecycles():
        assert life[0].status in {b"delivered", b"cancelled", b"refunded"}
        assert timedelta(microseconds=life[0].after_us) < FINAL_AFTER
        assert [change.version for change in life] == list(range(len(life), 0, -1))
        ages = [change.after_us for change in life]
        assert ages == sorted(ages, reverse=True)
        assert min(ages) > 0
