"""Any published table is compared: whatever its schema, its name and its key."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadgen.record.verify import Finding
from loadgen.source.postgres import connect
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.source_tables import published_tables
from loadgen.verify import buckets
from loadgen.verify.reconcile import VerifyOptions
from loadgen.verify.second_look import Progress
from tests.any_tables import (
    SAMPLES,
    AnyCopy,
    duckdb_copy,
    make_source,
    postgres_copy,
    snowflake_copy,
)
from tests.conftest import Cluster, Fakesnow

BY_NAME = {sample.name: sample for sample in SAMPLES}
KINDS: dict[str, Callable[[tuple[str, str, str, str]], str]] = {
    "postgres": lambda column: column[1],
    "duckdb": lambda column: column[2],
    "snowflake": lambda column: column[3],
}


@pytest.fixture(scope="module")
def source(cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of the source."""
    with cluster.database("template1") as dsn:
        make_source(dsn)
        yield dsn


@pytest.fixture(scope="module", params=["postgres", "duckdb", "snowflake"])
def copy(
    request: pytest.FixtureRequest, source: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AnyCopy]:
    """Yield a true copy in each kind of destination."""
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("cluster")
        with postgres_copy(cluster, source) as made:
            yield made
    elif request.param == "duckdb":
        with duckdb_copy(tmp_path_factory.mktemp("duckdb"), source) as made:
            yield made
    else:
        fakesnow: Fakesnow = request.getfixturevalue("fakesnow")
        with snowflake_copy(fakesnow, source) as made:
            yield made


def places(findings: list[Finding]) -> list[tuple[str, str, str | None, str]]:
    """Return the places and kinds of findings."""
    return [(one.table, one.key, one.column, one.kind) for one in findings]


@pytest.fixture(params=[0, 2])
def digits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Have one bucket, and many."""
    monkeypatch.setattr(buckets, "digits_for", lambda _: request.param)
    return int(request.param)


def test_the_catalogue_tells_keys_and_what_is_not_published(each_cluster: Cluster) -> None:
    """On Postgres 15 and 18."""
    with each_cluster.database("template1") as dsn:
        make_source(dsn)
        with connect(dsn) as conn:
            conn.execute("CREATE TABLE twin (a int NOT NULL, b text)")
            conn.execute("CREATE UNIQUE INDEX twin_a ON twin (a) INCLUDE (b)")
            conn.execute("ALTER TABLE twin REPLICA IDENTITY USING INDEX twin_a")
            conn.execute("ALTER PUBLICATION loadgen ADD TABLE twin")
        reader = PostgresReader(dsn, is_source=True)
        tables = published_tables(reader)
        reader.close()
    assert {name: table.key for name, table in tables.items()} == {
        "accounts": ("account_no",), "countries": ("code",), "sales.order": ("placed", "Line No"),
        "log": (), "sales.Readings": ("id", "day"), "CamelCase": ("rowId",), "twin": ("a",),
    }  # fmt: skip
    assert tables["CamelCase"].unpublished == {"doubled"}
    assert not tables["log"].unpublished


@pytest.mark.usefixtures("digits")
def test_a_true_copy_of_any_table_is_right(copy: AnyCopy) -> None:
    """Each table is compared, and all of its rows."""
    outcome = copy.verified()
    assert not outcome.problems
    assert not outcome.findings
    assert outcome.verdict == "right"
    assert {name: table.rows for name, table in outcome.tables.items()} == dict.fromkeys(
        ("accounts", "countries", "sales.order", "log", "sales.Readings", "CamelCase"), 40
    )


UUID = "c4ca4238-a0b9-2382-0dcc-509a6f75849b"  # md5 of 1
FAULTS: dict[str, tuple[str, str, list[tuple[str, str, str | None, str]]]] = {
    "a uuid's value": (
        "accounts", "UPDATE {t} SET balance = 7 WHERE account_no = '{u}'",
        [("accounts", UUID, "balance", "differs")],
    ),
    "a uuid's row": (
        "accounts", "DELETE FROM {t} WHERE account_no = '{u}'",
        [("accounts", UUID, None, "missing")],
    ),
    "a uuid twice": (
        "accounts", "INSERT INTO {t} SELECT * FROM {t} WHERE account_no = '{u}'",
        [("accounts", UUID, None, "duplicate")],
    ),
    "a text's value": (
        "countries", "UPDATE {t} SET people = 0 WHERE code = 'ä, b'",
        [("countries", "ä, b", "people", "differs")],
    ),
    "a text's row": (
        "countries", "DELETE FROM {t} WHERE code = ''", [("countries", "", None, "missing")],
    ),
    "a text too many": (
        "countries", "INSERT INTO {t} VALUES ('c', 1)", [("countries", "c", None, "extra")],
    ),
    "a value of a composite key": (
        "order", """UPDATE {t} SET "select" = 'x' WHERE placed = '2026-01-06'""",
        [("sales.order", "2026-01-06, 1", "select", "differs")],
    ),
    "a composite key": (
        "order", "UPDATE {t} SET placed = '2027-01-06' WHERE placed = '2026-01-06'",
        [("sales.order", "2026-01-06, 1", None, "missing"),
         ("sales.order", "2027-01-06, 1", None, "extra")],
    ),
    "a row in a partition": (
        "Readings", "UPDATE {t} SET n = -1 WHERE id = 40",
        [("sales.Readings", "40, 2026-02-10", "n", "differs")],
    ),
    "a row of a mixed-case table": (
        "CamelCase", "UPDATE {t} SET n = -1 WHERE n = 40", [("CamelCase", "40", "n", "differs")],
    ),
}  # fmt: skip


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_in_any_table_is_found(copy: AnyCopy, name: str) -> None:
    """With its table, key and column, and nothing else."""
    table, statement, expected = FAULTS[name]
    statement = statement.replace("{t}", copy.name(BY_NAME[table])).replace("{u}", UUID)
    if copy.tool.destination == "snowflake":
        statement = statement.replace('"select"', '"SELECT"')
    try:
        copy.execute(statement)
        outcome = copy.verified()
    finally:
        copy.restore(KINDS[copy.tool.destination])
    assert not outcome.problems
    assert sorted(places(list(outcome.findings))) == sorted(expected)


@pytest.mark.usefixtures("digits")
def test_rows_without_a_key_are_counted(copy: AnyCopy) -> None:
    """By the hash of all columns: one too few, one that the source lacks, one more of many."""
    name = copy.name(BY_NAME["log"])
    try:
        copy.execute(f"UPDATE {name} SET level = 'new' WHERE level = 'l1' AND size = 4")
        outcome = copy.verified()
    finally:
        copy.restore(KINDS[copy.tool.destination])
    assert not outcome.problems
    assert {(one.kind, one.source, one.destination) for one in outcome.findings} == {
        ("missing", "2 rows", None), ("extra", None, "2 rows"),
    }  # fmt: skip
    assert {len(one.key) for one in outcome.findings} == {32}
    try:
        copy.execute(f"INSERT INTO {name} SELECT * FROM {name} WHERE level = 'l1' AND size = 4")
        outcome = copy.verified()
    finally:
        copy.restore(KINDS[copy.tool.destination])
    ((finding),) = outcome.findings
    assert (finding.kind, finding.source, finding.destination) == ("duplicate", "2 rows", "4 rows")


@pytest.fixture
def mirrored(cluster: Cluster) -> Iterator[AnyCopy]:
    """Yield a copy in Postgres of a separate source."""
    with cluster.database("template1") as dsn:
        make_source(dsn)
        with postgres_copy(cluster, dsn) as made:
            yield made


def once(action: Callable[[], object], of: str = "log") -> Callable[[str, Progress], None]:
    """Return a callback that acts as soon as a key of a table waits for its second look."""
    done: list[str] = []

    def act(table: str, progress: Progress) -> None:
        if table == of and progress.suspects and not done:
            done.append(table)
            action()

    return act


NEW = "VALUES ('new', 1, '{}', 1), ('new', 1, '{}', 1)"


def at(dsn: str, statement: str) -> None:
    """Run a statement at the source."""
    with connect(dsn) as conn:
        conn.execute(statement.encode())


def test_young_rows_of_a_table_without_a_key_are_in_flight(mirrored: AnyCopy) -> None:
    """If they arrive before the second look; those that do not are missing, or late."""
    at(mirrored.source, f"INSERT INTO log {NEW}")
    deliver = once(lambda: mirrored.execute(f"INSERT INTO log {NEW}"))
    outcome = mirrored.verified(VerifyOptions(lag=0.2, settled=False, on_progress=deliver))
    assert (outcome.verdict, outcome.tables["log"].in_flight) == ("right", 1)
    with connect(mirrored.source) as conn:
        row = conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
    assert row is not None
    at(mirrored.source, f"INSERT INTO log {NEW}")
    outcome = mirrored.verified(VerifyOptions(horizon=int(row[0]), settled=False))
    assert (outcome.verdict, outcome.late.totals) == ("late", {"missing": 1})
    outcome = mirrored.verified(VerifyOptions(lag=0.2, settled=False))
    ((finding),) = outcome.findings
    assert (finding.kind, finding.source, finding.destination) == ("missing", "4 rows", "2 rows")


@pytest.mark.parametrize(
    "change", ["UPDATE log SET level = 'x' WHERE size = 1", "DELETE FROM log WHERE size = 1"]
)
def test_a_table_without_a_key_that_is_updated_meanwhile_is_not_compared(
    mirrored: AnyCopy, change: str
) -> None:
    """The others are; after a drain it is compared, too."""
    at(mirrored.source, "ALTER TABLE log REPLICA IDENTITY FULL")  # otherwise it takes inserts only
    mirrored.execute(f"INSERT INTO log {NEW}")
    at_source = once(lambda: at(mirrored.source, change))
    outcome = mirrored.verified(VerifyOptions(lag=0.2, settled=False, on_progress=at_source))
    assert outcome.verdict == "not checked"
    (problem,) = outcome.problems
    assert problem.startswith("log: not compared: it has no key, and rows were updated or deleted")
    assert "log" not in outcome.tables
    assert "accounts" in outcome.tables
    outcome = mirrored.verified(VerifyOptions(lag=0.2))
    assert not outcome.problems
    assert outcome.totals["extra"] >= 1


def test_changes_under_any_key_are_in_flight_until_they_arrive(mirrored: AnyCopy) -> None:
    """A row that the source changes between the looks is not judged."""
    mirrored.execute("UPDATE countries SET people = -1 WHERE code IN ('c9', 'c10', 'c11')")

    def change() -> None:
        at(mirrored.source, "UPDATE countries SET people = 0 WHERE code = 'c9'")
        mirrored.execute("UPDATE countries SET people = 10 WHERE code = 'c10'")

    act = once(change, "countries")
    outcome = mirrored.verified(VerifyOptions(lag=0.2, settled=False, on_progress=act))
    assert places(list(outcome.findings)) == [("countries", "c11", "people", "differs")]
    assert outcome.tables["countries"].in_flight == 2


def test_a_key_that_does_not_look_up_a_row_is_named(mirrored: AnyCopy) -> None:
    """A table that can't be compared is a problem, never right."""
    at(mirrored.source, "CREATE TABLE odd (id float8 PRIMARY KEY)")
    at(mirrored.source, "ALTER PUBLICATION loadgen ADD TABLE odd")
    at(mirrored.source, "INSERT INTO odd VALUES (1)")
    mirrored.execute("CREATE TABLE odd (id numeric)")
    outcome = mirrored.verified()
    assert outcome.verdict == "not checked"
    assert outcome.problems == ["odd: not compared: equal values of its key id have several texts"]


def test_a_type_without_a_common_text_is_not_compared(cluster: Cluster, tmp_path: Path) -> None:
    """The other columns are, arrays and enums among them; a finding counts for more."""
    with cluster.database("template1") as dsn:
        make_source(dsn)
        for statement in (
            "CREATE TYPE mood AS ENUM ('sad', 'ok')",
            "CREATE TABLE types (id int PRIMARY KEY, span int4range, tags text[], feeling mood)",
            "INSERT INTO types VALUES (1, '[1,5)', '{NULL,\"NULL\"}', 'ok'), (2, NULL, '{}', NULL)",
            "ALTER PUBLICATION loadgen ADD TABLE types",
        ):
            at(dsn, statement)
        with duckdb_copy(tmp_path, dsn) as copy:
            table = copy.tool.place_of("types")
            copy.execute(
                f"CREATE TABLE {table} (id INTEGER, span JSON, tags VARCHAR[], feeling ENUM('ok'))"
            )
            copy.execute(
                f"INSERT INTO {table} VALUES (1, '{{}}', [NULL, 'NULL'], 'ok'), (2, NULL, [], NULL)"
            )
            outcome = copy.verified()
            assert not outcome.findings
            assert outcome.verdict == "not checked"
            assert outcome.problems == [
                "types: column span is not compared: no common text is known of range and JSON"
            ]
            copy.execute(f"UPDATE {table} SET tags = ['NULL', NULL] WHERE id = 1")
            outcome = copy.verified()
            assert places(list(outcome.findings)) == [("types", "1", "tags", "differs")]
            assert outcome.verdict == "wrong"
            assert len(outcome.problems) == 1
