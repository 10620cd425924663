"""Values by their index: random access, uniqueness, weights, references, life cycles, documents."""

import json
import math
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.errors import SettingsError
from loadgen.workload.baseline import BaselineTable
from loadgen.workload.history import EPOCH, History
from loadgen.workload.makers import ValueMaker, instants_of
from loadgen.workload.model import (
    Array,
    Boolean,
    Bytes,
    Choice,
    Constant,
    Decimal,
    Email,
    Generator,
    Json,
    NextState,
    Number,
    OnceParameter,
    Operation,
    PersonName,
    Proof,
    Row,
    Sequence,
    SqlDefault,
    Statement,
    States,
    Table,
    Text,
    Time,
    TimeAfter,
    Uuid,
    Value,
    WorkloadModel,
)
from loadgen.workload.read_model import built_in_models, read_model
from loadgen.workload.streams import Int64Array, Shuffle, Stream
from loadgen.workload.typed import Nullable, rows_of
from loadgen.workload.values import ValueMakers
from tests.shop_model import END, ROWS, SETTINGS, SHOP, TYPES

N = 500
EVERY: dict[str, Generator] = {
    "constant": Constant("c"),
    "sequence": Sequence(5),
    "pattern": Sequence(5, "ACC-{:06}"),
    "hexadecimal": Sequence(5, "{:x}"),
    "uuid": Uuid(),
    "choice": Choice(("a", "bc"), (1, 2)),
    "number": Number(-20, 500, 1.5),
    "decimal": Decimal(-1, 900, 4),
    "boolean": Boolean(),
    "text": Text(0, 20),
    "text_alike": Text(9, 9),
    "bytes": Bytes(1, 30),
    "country": Choice(("DE", "XX"), (1, 1)),
    "name": PersonName("country"),
    "email": Email("name"),
    "other_email": Email(),
    "growth": Time(90, "growth"),
    "even": Time(form="timestamp"),
    "day": Time(form="date"),
    "after": TimeAfter("growth", 0.5),
    "json": Json({"a": {"id": Uuid(), "n": Number(1, 9)}, "": {"id": Uuid()}}, "choice", 200),
    "array": Array(Number(1, 9), 0, 3),
    "parent": Row("every", "uuid", 2),
}
ONE_TABLE = WorkloadModel(
    "every",
    "every generator",
    {
        "every": Table(
            "every",
            columns={
                **{name: Value(generator) for name, generator in EVERY.items()},
                **{f"{name}_or_null": Value(g, 0.3) for name, g in EVERY.items()},
            },
        )
    },
    {},
)
MAKERS, AGAIN, OTHER = (
    ValueMakers(ONE_TABLE, seed, {"every": N}, END, {}) for seed in (42, 42, 43)
)
COLUMNS = MAKERS.filled_columns("every")


def texts(maker: ValueMaker, indexes: Int64Array) -> list[bytes | None]:
    """Return texts as a list, whatever their form; a width holds for each."""
    made = maker.texts(indexes)
    assert isinstance(made, list) == (maker.width is None)
    rows: list[bytes | None] = [*made] if isinstance(made, list) else [*rows_of(made)]
    if maker.width is not None:
        assert {len(row or b"") for row in rows} <= {maker.width}
    return rows


def column(makers: ValueMakers, table: str, name: str) -> list[bytes | None]:
    """Return all texts of a column."""
    return texts(makers.column(table, name), np.arange(makers.rows(table)))


def numbers(makers: ValueMakers, table: str, name: str) -> Int64Array:
    """Return a column of whole numbers."""
    return np.array([int(text or b"") for text in column(makers, table, name)])


def micros(makers: ValueMakers, table: str, name: str) -> Int64Array:
    """Return a column of times, in microseconds."""
    return instants_of(makers.column(table, name).typed(np.arange(makers.rows(table)))).micros


@pytest.mark.parametrize("name", COLUMNS)
@given(indexes=st.lists(st.integers(0, N - 1), min_size=1, max_size=30))
@settings(max_examples=10)
def test_a_value_depends_on_its_index_alone(name: str, indexes: list[int]) -> None:
    """Whatever is made with it, before it, or by other makers of the same seed."""
    every = texts(MAKERS.column("every", name), np.arange(N))
    assert texts(MAKERS.column("every", name), np.array(indexes)) == [every[i] for i in indexes]
    assert texts(AGAIN.column("every", name), np.array(indexes[:1])) == [every[indexes[0]]]


@pytest.mark.parametrize("name", [n for n in COLUMNS if not n.startswith(("constant", "seq"))])
def test_a_seed_changes_the_values(name: str) -> None:
    """All but those that are counted up."""
    same = column(MAKERS, "every", name) == column(OTHER, "every", name)
    assert same == (name in ("pattern", "hexadecimal"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_shares(share: float) -> None:
    """NULLs and true use separate random bits, so the other values stay the same."""
    n = 20_000
    plain = {"v": Value(Number(0, 10**6)), "flag": Value(Boolean(share))}
    model = WorkloadModel("s", "s", {"t": Table("t", columns=plain)}, {})
    with_nulls = {"v": Value(Number(0, 10**6), share)}
    other = WorkloadModel("s", "s", {"t": Table("t", columns=with_nulls)}, {})
    makers, nulled = (ValueMakers(m, 1, {"t": n}, END, {}) for m in (model, other))
    values = column(nulled, "t", "v")
    allowed = 5 * math.sqrt(n * share * (1 - share))
    assert abs(values.count(None) - n * share) <= allowed
    assert abs(column(makers, "t", "flag").count(b"t") - n * share) <= allowed
    pairs = zip(values, column(makers, "t", "v"), strict=True)
    assert all(null is None or null == value for null, value in pairs)


def test_keys_are_unique() -> None:
    """Sequences, patterns, uuids, addresses; no arrival has one of the baseline or another run."""
    n = 30_000
    names = ("sequence", "pattern", "hexadecimal", "uuid", "email", "other_email")
    makers = ValueMakers(ONE_TABLE, 42, {"every": n}, END, {})
    for name in names:
        assert len(set(column(makers, "every", name))) == n, name
    operation = replace(
        SHOP.operations["create_order"],
        parameters={"email": Value(Email()), "uuid": Value(Uuid()), "n": Value(Sequence())},
    )
    model = replace(ONE_TABLE, operations={"sign_up": operation})
    runs = [ValueMakers(model, 42, {"every": n}, END, {}, run_id=run) for run in ("a", "b")]
    addresses = [
        text for run in runs for text in texts(run.parameter("sign_up", "email"), np.arange(n))
    ]
    makers = runs[0]
    assert len({*addresses, *column(makers, "every", "other_email")}) == 3 * n
    assert texts(makers.parameter("sign_up", "n"), np.array([0, 99])) == [
        b"0000000000001",
        b"0000000000100",
    ]


def test_numbers_lie_in_their_range() -> None:
    """Both bounds occur; skew favours low ones; the width is that of the longest."""
    values: dict[str, Generator] = {
        "n": Number(-3, 12),
        "low": Number(0, 999, 3),
        "big": Number(-(2**63), 2**63 - 1),
        "big_low": Number(-(2**63), 2**63 - 1, 0.5),
        "d": Decimal(-1.5, 1.5, 1),
        "whole": Decimal(2, 3, 0),
        "fine": Decimal(0, 12, 18),
    }
    table = Table("t", columns={name: Value(generator) for name, generator in values.items()})
    makers = ValueMakers(WorkloadModel("n", "n", {"t": table}, {}), 1, {"t": 20_000}, END, {})
    assert set(numbers(makers, "t", "n").tolist()) == set(range(-3, 13))
    low = numbers(makers, "t", "low")
    assert (low.min(), low.max()) == (0, 999)
    assert abs(np.mean(low < 125) - 0.5) < 0.03
    for name in ("big", "big_low"):
        assert np.abs(numbers(makers, "t", name).astype(float)).max() > 2**62
    decimals = {float(text or b"") for text in column(makers, "t", "d")}
    assert decimals == {i / 10 for i in range(-15, 16)}
    assert {float(text or b"") for text in column(makers, "t", "whole")} == {2, 3}
    assert {len(text or b"") for text in column(makers, "t", "fine")} == {21}


def test_texts_are_words_of_their_width() -> None:
    """No text begins or ends with a space."""
    table = Table("t", columns={"t": Value(Text(1, 40)), "long": Value(Text(50_000, 50_000))})
    makers = ValueMakers(WorkloadModel("t", "t", {"t": table}, {}), 1, {"t": 3000}, END, {})
    words = column(makers, "t", "t")
    assert {len(word or b"") for word in words} == set(range(1, 41))
    assert all(word == (word or b"").strip() for word in words)
    assert len(texts(makers.column("t", "long"), np.arange(2))[0] or b"") == 50_000


def test_texts_of_times() -> None:
    """As Postgres writes them, in the days before the end."""
    for name, form in (("growth", "%Y-%m-%d %H:%M:%S.%f+00"), ("even", "%Y-%m-%d %H:%M:%S.%f")):
        at = micros(MAKERS, "every", name).tolist()
        for text, us in zip(column(MAKERS, "every", name), at, strict=True):
            instant = datetime.strptime((text or b"").decode(), form).replace(tzinfo=UTC)
            assert instant == EPOCH + timedelta(microseconds=us)
            assert END - timedelta(days=182) <= instant < END
    for text in column(MAKERS, "every", "day"):
        assert datetime.strptime((text or b"").decode(), "%Y-%m-%d").replace(tzinfo=UTC) < END
    growth, after = micros(MAKERS, "every", "growth"), micros(MAKERS, "every", "after")
    assert 0.4 < (after > growth).mean() < 0.6
    assert (after >= growth).all()
    assert (after <= (END - EPOCH) // timedelta(microseconds=1)).all()


@given(users=st.integers(1, 400), orders=st.integers(1, 400), seed=st.integers(0, 9))
@settings(max_examples=40)
def test_references_exist_and_are_never_quiet(users: int, orders: int, seed: int) -> None:
    """A row refers to one that was there before it, and to none that an operation may remove."""
    rows = {"users": users, "orders": orders, "events": 1}
    makers = ValueMakers(SHOP, seed, rows, END, SETTINGS)
    referred = numbers(makers, "orders", "user_id") - 1
    assert ((referred >= 0) & (referred < users)).all()
    created = micros(makers, "users", "created_at")
    assert (created[referred] <= micros(makers, "orders", "created_at")).all()
    once = makers.once_rows("users", 0.2)(np.arange(users))
    limit = makers.once_limit("users", 0.2)
    assert limit == min(users - 1, users // 5)
    assert len(set(once[:limit].tolist())) == limit
    assert (once[limit:] == -1).all()
    assert not set(referred.tolist()) & set(once[:limit].tolist())
    assert makers.once_indexes("users", once[:limit]).tolist() == list(range(limit))
    arrivals = texts(makers.parameter("create_order", "user"), np.arange(300))
    assert not {int(text or b"") - 1 for text in arrivals} & set(once[:limit].tolist())


def test_busy_rows_are_referred_to_more_often() -> None:
    """u**3: a fifth of the active users has 58% of the orders; `hot_users` limits arrivals."""
    makers = ValueMakers(SHOP, 1, ROWS, END, SETTINGS)
    arrivals = texts(makers.parameter("create_order", "user"), np.arange(20_000))
    counts = sorted(Counter(arrivals).values(), reverse=True)
    assert 0.55 < sum(counts[: 1600 // 5]) / 20_000 < 0.62
    hot = ValueMakers(SHOP, 1, ROWS, END, {**SETTINGS, "hot_users": 7})
    assert len(set(texts(hot.parameter("create_order", "user"), np.arange(20_000)))) == 7


@given(users=st.integers(2, 3000), seed=st.integers(0, 9))
@settings(max_examples=15)
def test_gone_rows_are_the_quietest(users: int, seed: int) -> None:
    """They go in the last quarter, after they were made, and that is their last change."""
    makers = ValueMakers(SHOP, seed, {**ROWS, "users": users}, END, SETTINGS)
    gone = makers.gone_rows("users")
    assert gone == users // 50
    times = makers.column("users", "deleted_at").typed(np.arange(users))
    assert isinstance(times, Nullable)
    quietest = makers.once_rows("users", 0.2)(np.arange(gone))
    assert set(np.flatnonzero(~times.nulls).tolist()) == set(quietest.tolist())
    history = History(END, 182)
    deleted = instants_of(times).micros[quietest]
    assert (deleted > micros(makers, "users", "created_at")[quietest]).all()
    assert (deleted >= history.time(history.total // 4 * 3)).all()
    assert (deleted <= history.end_us).all()
    assert (micros(makers, "users", "updated_at")[quietest] == deleted).all()


def test_composite_references_are_of_one_row() -> None:
    """References to several columns of a table are of the same row; a second one is of another."""
    lines = Table("lines", columns={"region": Value(Number(1, 99)), "no": Value(Sequence())})
    notes = Table(
        "notes",
        columns={
            "region": Value(Row("lines", "region", 2)),
            "no": Value(Row("lines", "no", 2)),
            "other_no": Value(Row("lines", "no", 2)),
        },
    )
    model = WorkloadModel("c", "c", {"lines": lines, "notes": notes}, {})
    makers = ValueMakers(model, 1, {"lines": 500, "notes": 2000}, END, {})
    regions = numbers(makers, "lines", "region")
    no = numbers(makers, "notes", "no")
    assert (regions[no - 1] == numbers(makers, "notes", "region")).all()
    assert (no != numbers(makers, "notes", "other_no")).mean() > 0.9


@given(users=st.integers(1, 30), groups=st.integers(1, 30))
@settings(max_examples=40)
def test_rows_in_turn_make_keys_that_do_not_repeat(users: int, groups: int) -> None:
    """Each row has one profile, and a table between two others has each pair once."""
    members = {
        "user": Value(Row("users", "id", each=True)),
        "region": Value(Row("groups", "region", each=True)),
        "group": Value(Row("groups", "id", each=True)),
    }
    tables = {
        "users": Table("users", columns={"id": Value(Sequence())}),
        "groups": Table("groups", columns={"region": Value(Number(1, 9)), "id": Value(Sequence())}),
        "profiles": Table("profiles", columns={"user": Value(Row("users", "id", each=True))}),
        "members": Table("members", columns=members),
    }
    model = WorkloadModel("c", "c", tables, {})
    rows = {"users": users, "groups": groups, "profiles": users, "members": users * groups}
    makers = ValueMakers(model, 1, rows, END, {})
    assert len(set(numbers(makers, "profiles", "user").tolist())) == users
    ids = numbers(makers, "members", "group")
    pairs = zip(numbers(makers, "members", "user").tolist(), ids.tolist(), strict=True)
    assert len(set(pairs)) == users * groups
    assert (
        numbers(makers, "groups", "region")[ids - 1] == numbers(makers, "members", "region")
    ).all()


def members_model(*, pair: bool) -> WorkloadModel:
    """Return a model of a table between two others, or that extends one, and its insert."""
    columns = {"user": Value(Row("users", "id", each=True))}
    if pair:
        columns |= {
            "region": Value(Row("groups", "region", each=True)),
            "group": Value(Row("groups", "id", each=True)),
        }
    tables = {
        "users": Table("users", columns={"id": Value(Sequence())}),
        "groups": Table("groups", columns={"region": Value(Number(1, 9)), "id": Value(Sequence())}),
        "members": Table("members", columns=columns),
    }
    statement = Statement("INSERT", tuple(columns), "insert", "members")
    join = Operation("join", "Join", "join_per_hour", 1, (statement,), columns, Proof("unproved"))
    again = replace(join, name="again", option="again_per_hour")
    return WorkloadModel("c", "c", tables, {"join": join, "again": again})


def drawn(makers: ValueMakers, columns: Iterable[str], arrivals: int) -> list[tuple[str, ...]]:
    """Return the values of columns in the first inserts of a run, of two operations in turn."""
    indexes = np.arange(arrivals)
    rows = []
    for i, operation in enumerate(("join", "again")):
        own = indexes[: (arrivals + 1 - i) // 2]
        made = (texts(makers.parameter(operation, name), own) for name in columns)
        rows += [tuple((text or b"").decode() for text in row) for row in zip(*made, strict=True)]
    return rows


@given(
    users=st.integers(1, 30),
    groups=st.integers(1, 30),
    share=st.floats(0, 1),
    pair=st.booleans(),
    run=st.sampled_from(("", "run-1", "run-2")),
)
@settings(max_examples=60)
def test_inserts_take_each_free_pair_once(
    users: int, groups: int, share: float, pair: bool, run: str
) -> None:
    """Those of the baseline and those of the load are all there are; then they come again."""
    model = members_model(pair=pair)
    most = users * groups if pair else users
    taken = int(most * share)
    rows = {"users": users, "groups": groups, "members": taken}
    makers = ValueMakers(model, 1, rows, END, {}, 7, run)
    key = ["user", "group"] if pair else ["user"]
    there = set(zip(*(numbers(makers, "members", name).tolist() for name in key), strict=True))
    free = [tuple(map(int, row)) for row in drawn(makers, key, most - taken)]
    assert len(there) == taken
    assert len({*there, *free}) == most
    regions = numbers(makers, "groups", "region")
    if pair:
        for group, region in drawn(makers, ("group", "region"), most - taken):
            assert regions[int(group) - 1] == int(region)
    assert len(drawn(makers, key, most + 1)) == most + 1


def test_another_run_takes_free_pairs_in_another_order() -> None:
    """So it meets few of those that earlier runs took; the same run makes the same ones."""
    model, rows = members_model(pair=True), {"users": 3000, "groups": 2000, "members": 100_000}
    runs = [
        set(drawn(ValueMakers(model, 1, rows, END, {}, 7, run), ("user", "group"), 5000))
        for run in ("run-1", "run-2", "run-1")
    ]
    assert len(runs[0]) == 5000
    assert runs[0] == runs[2]
    assert len(runs[0] & runs[1]) < 50


@pytest.mark.parametrize("n", [1, 2, 2**31, 3_000_000_000**2])
def test_a_shuffle_does_not_repeat(n: int) -> None:
    """This holds even if products of indexes reach 64 bits."""
    indexes = np.array([0, 1, 2, 10**6, 2**32 - 2, 2**32 - 1])
    indexes = indexes[indexes < n]
    order = Shuffle(Stream("s"), n)
    step, start = order._step, order._start
    assert order.of(indexes).tolist() == [(start + i * step) % n for i in indexes.tolist()]
    assert math.gcd(step, n) == 1


def test_self_references_and_circles() -> None:
    """A row refers to an earlier one of its table; a circle of tables begins somewhere."""
    at = Value(Time(100, "growth"))
    tree = {"id": Value(Sequence()), "parent": Value(Row("a", "id")), "at": at}
    a = Table("a", columns={**tree, "b": Value(Row("b", "id"))})
    b = Table("b", columns={"id": Value(Sequence()), "a": Value(Row("a", "id")), "at": at})
    makers = ValueMakers(
        WorkloadModel("t", "t", {"a": a, "b": b}, {}), 1, {"a": 900, "b": 300}, END, {}
    )
    parents = numbers(makers, "a", "parent") - 1
    assert (parents[1:] < np.arange(1, 900)).all()
    for table, other, refer in (("a", "b", "b"), ("b", "a", "a")):
        referred = numbers(makers, table, refer) - 1
        early = micros(makers, other, "at")[referred] > micros(makers, table, "at")
        assert (referred[early] == 0).all()


def test_tables_with_histories_of_other_lengths() -> None:
    """A row that is older than any row of the table it refers to: its table begins later."""
    short = Table("short", columns={"id": Value(Sequence()), "at": Value(Time(30, "growth"))})
    long = Table(
        "long", columns={"short": Value(Row("short", "id")), "at": Value(Time(365, "growth"))}
    )
    model = WorkloadModel("t", "t", {"long": long, "short": short}, {})
    makers = ValueMakers(model, 1, {"short": 100, "long": 5000}, END, {})
    referred = numbers(makers, "long", "short") - 1
    created = micros(makers, "short", "at")[referred]
    assert (created <= micros(makers, "long", "at")).all()
    assert len(set(referred.tolist())) > 90


def test_life_cycles() -> None:
    """State, version and time of the last change are those of one life cycle at the end."""
    makers = ValueMakers(SHOP, 1, {**ROWS, "orders": 40_000}, END, SETTINGS)
    states = column(makers, "orders", "status")
    versions = numbers(makers, "orders", "version")
    moves = {b"pending": {0}, b"paid": {1}, b"cancelled": {1}, b"shipped": {2}, b"delivered": {3}}
    moves[b"refunded"] = {2, 4}
    assert all(v in moves[s or b""] for s, v in zip(states, versions.tolist(), strict=True))
    created = micros(makers, "orders", "created_at")
    changed = micros(makers, "orders", "updated_at")
    end_us = (END - EPOCH) // timedelta(microseconds=1)
    assert ((changed > created) == (versions > 0)).all()
    assert (changed <= end_us).all()
    counts = Counter(states)
    assert counts.keys() == moves.keys()
    ended = counts[b"delivered"] + counts[b"refunded"] + counts[b"cancelled"]
    assert 0.06 < counts[b"cancelled"] / ended < 0.1
    # Open orders are young ones.
    open_ = np.array([state in (b"pending", b"paid", b"shipped") for state in states])
    assert created[open_].mean() > created[~open_].mean()


def test_life_cycles_without_times_or_end() -> None:
    """A state machine may continue for ever, and its table needs no time columns."""
    turns = {
        "on": (NextState("off", 1, (60, 120)),),
        "off": (NextState("on", 1, (60, 120)),),
    }
    table = Table(
        "t", columns={"id": Value(Sequence())}, states=States("s", "v", "id", "on", turns)
    )
    makers = ValueMakers(WorkloadModel("t", "t", {"t": table}, {}), 1, {"t": 2000}, END, {})
    assert makers.filled_columns("t") == ("id", "s", "v")
    states, versions = column(makers, "t", "s"), numbers(makers, "t", "v").tolist()
    assert all((s == b"off") == v % 2 for s, v in zip(states, versions, strict=True))
    assert max(versions) == 64


def test_documents() -> None:
    """Valid JSON of the size set, after the template of the row's type, each with a uuid."""
    makers = ValueMakers(SHOP, 1, ROWS, END, SETTINGS)
    types = column(makers, "events", "event_type")
    rows = column(makers, "events", "properties")
    documents = [json.loads(row or b"") for row in rows]
    assert {len(row or b"") for row in rows} == {300}
    assert len({document["session"] for document in documents}) == len(rows)
    keys = {
        b"page_view": ["session", "path", "load_ms", "padding"],
        b"search": ["session", "page", "filters", "padding"],
    }
    assert all([*d] == keys[t or b""] for t, d in zip(types, documents, strict=True))
    paths = Counter(d["path"] for d in documents if "path" in d)
    assert set(paths) == {"/", "/pricing", "/cart", "/café", '/"quoted"'}
    assert paths["/"] > paths["/cart"]
    assert len({document["padding"] for document in documents}) > 1000
    filters = [d["filters"] for d in documents if "filters" in d]
    assert all(f["paid"] is None and 1 <= f["price"] <= 9 and len(f["tags"]) == 1 for f in filters)
    small = ValueMakers(SHOP, 1, ROWS, END, {"event_bytes": 10})
    first = json.loads(column(small, "events", "properties")[0] or b"")
    assert first["padding"] == ""


def test_names_are_of_the_row_s_country() -> None:
    """Names vary, addresses are those of the name and can't receive mail."""
    makers = ValueMakers(SHOP, 1, ROWS, END, SETTINGS)
    countries, names = column(makers, "users", "country"), column(makers, "users", "name")
    for country, name in zip(countries, names, strict=True):
        hebrew = any("\u0590" <= letter <= "\u05ff" for letter in (name or b"").decode())
        assert hebrew == (country == b"IL")
    emails = column(makers, "users", "email")
    assert all((email or b"").endswith(b".example") for email in emails)
    pairs = [
        (name.decode().lower(), email.decode())
        for name, email in zip(names, emails, strict=True)
        if name and email and re.fullmatch(rb"[A-Za-z]+ [A-Za-z]+", name)
    ]
    assert len(pairs) > 1000
    assert all(email.startswith(name.replace(" ", ".")) for name, email in pairs)


def test_memory_does_not_grow_with_the_table() -> None:
    """The last rows of a hundred million take no more than those of ten thousand."""
    peaks = []
    for rows in (10_000, 100_000_000):
        makers = ValueMakers(SHOP, 1, dict.fromkeys(ROWS, rows), END, SETTINGS)
        tables = [BaselineTable(makers, table, TYPES[name]) for name, table in SHOP.tables.items()]
        for table in tables:
            table.rows(0, 1000)
        tracemalloc.start()
        for table in tables:
            table.rows(rows - 1000, 1000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


ON_NOTHING: tuple[tuple[Value, str], ...] = (
    (Value(Row("t", "v")), "v depends on itself"),
    (Value(Row("t", "default")), "column default has no generator"),
    (Value(Row("t", "lacking")), "column lacking has no generator"),
    (Value(Row("empty", "v")), "refers to empty, which has no rows"),
    (Value(TimeAfter("n")), "n has to be a time"),
    (Value(Json({"": {}}, "n")), "n has to be a choice"),
)


@pytest.mark.parametrize(("value", "problem"), ON_NOTHING)
def test_what_can_not_be_made_is_named(value: Value, problem: str) -> None:
    """The table, the column and why."""
    tables = {
        "t": Table(
            "t",
            columns={"v": value, "default": Value(SqlDefault()), "n": Value(Number(1, 2))},
        ),
        "empty": Table("empty", columns={"v": Value(Sequence())}),
    }
    makers = ValueMakers(WorkloadModel("t", "t", tables, {}), 1, {"t": 5, "empty": 0}, END, {})
    with pytest.raises(SettingsError, match=rf"tables\.t: .*{problem}"):
        makers.column("t", "v")
    with pytest.raises(SettingsError, match=r"tables\.t: 4,000,000,000 rows; at most"):
        ValueMakers(WorkloadModel("t", "t", tables, {}), 1, {"t": 4 * 10**9}, END, {})


def test_a_once_sequence_may_take_a_whole_table() -> None:
    """Unless something refers to it: then its busiest row stays."""
    operation = replace(
        SHOP.operations["remove_user"], parameters={"id": OnceParameter("t", "v", 1.0)}
    )
    tables = {"t": Table("t", columns={"v": Value(Sequence())})}
    model = WorkloadModel("t", "t", tables, {"remove": operation})
    makers = ValueMakers(model, 1, {"t": 10}, END, {})
    assert sorted(makers.once_rows("t", 1.0)(np.arange(11)).tolist()) == [-1, *range(10)]
    tables["u"] = Table("u", columns={"t": Value(Row("t", "v"))})
    makers = ValueMakers(model, 1, {"t": 10, "u": 10}, END, {})
    assert makers.once_limit("t", 1.0) == 9
    assert set(numbers(makers, "u", "t").tolist()) == {1}


@pytest.mark.parametrize("name", built_in_models())
def test_built_in_models(name: str) -> None:
    """Each of their columns and parameters has values."""
    model = read_model(name)
    makers = ValueMakers(
        model, 1, {table.name: table.rows for table in model.tables.values()}, END, SETTINGS
    )
    for table in model.tables.values():
        for column_name in makers.filled_columns(table.name):
            assert len(texts(makers.column(table.name, column_name), np.arange(9))) == 9
    for operation in model.operations.values():
        for parameter, value in operation.parameters.items():
            if isinstance(value, Value):
                assert len(texts(makers.parameter(operation.name, parameter), np.arange(9))) == 9


def test_blocks_are_rows_in_a_row() -> None:
    """However a table is divided, its bytes are the same."""
    makers = ValueMakers(SHOP, 1, ROWS, END, SETTINGS)
    for name, table in SHOP.tables.items():
        rows = BaselineTable(makers, table, TYPES[name])
        cuts = [0, 1, 7, 700, 1000]
        parts = [rows.rows(first, last - first) for first, last in pairwise(cuts)]
        assert b"".join(parts) == rows.rows(0, 1000)
