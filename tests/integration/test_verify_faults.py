"""Planted faults: a true copy is spoilt in one place, and that place is found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from loadgen.record.verify import Finding
from loadgen.tools.conventions import Flag
from loadgen.verify import ranges
from loadgen.verify.scan import SqlSide
from tests.conftest import Cluster, Fakesnow
from tests.copies import (
    COLUMNS,
    ROWS,
    Copy,
    duckdb_copy,
    make_source,
    postgres_copy,
    snowflake_copy,
)

NAMES = ", ".join(name for name in COLUMNS if name != "id")


@dataclass(frozen=True)
class Fault:
    """A change of the copy ({t}: its table, {tz}: its times' type), and the finding it causes."""

    statement: str
    key: int
    kind: str
    columns: tuple[str, ...] = ()
    source: str = ""  # done there first, and undone by `undo`
    undo: str = ""


def changed(column: str, value: str, key: int) -> Fault:
    """Return a fault of one value."""
    return Fault(f"UPDATE {{t}} SET {column} = {value} WHERE id = {key}", key, "differs", (column,))


FAULTS = {
    "a row twice": Fault(
        f"INSERT INTO {{t}} (id, {NAMES}) SELECT id, {NAMES} FROM {{t}} WHERE id = 5",
        5,
        "duplicate",
    ),
    "the first key is missing": Fault("DELETE FROM {t} WHERE id = 1", 1, "missing"),
    "the last key is missing": Fault(f"DELETE FROM {{t}} WHERE id = {ROWS}", ROWS, "missing"),
    "a key between is missing": Fault("DELETE FROM {t} WHERE id = 30", 30, "missing"),
    "a key beyond what was given out": Fault(
        f"INSERT INTO {{t}} (id, {NAMES}) SELECT 1000, {NAMES} FROM {{t}} WHERE id = 2",
        1000,
        "extra",
    ),
    "a key below all": Fault(
        f"INSERT INTO {{t}} (id, {NAMES}) SELECT -7, {NAMES} FROM {{t}} WHERE id = 2", -7, "extra"
    ),
    "a delete that did not arrive": Fault(
        f"INSERT INTO {{t}} (id, {NAMES}) SELECT 400, {NAMES} FROM {{t}} WHERE id = 2",
        400,
        "not_deleted",
    ),
    "an update that did not arrive": Fault(
        "UPDATE {t} SET version = 0, word = 'before',"
        " updated_at = CAST('2026-01-31 00:00:00+00' AS {tz}) WHERE id = 9",
        9,
        "stale",
        ("version",),
    ),
    "a lower version of the same time": changed("version", "0", 10),
    "a higher version": changed("version", "99", 10),
    "a loss that was declared": Fault(
        "UPDATE {t} SET id = id WHERE id = 11",
        11,
        "lossy",
        ("loose",),
        "UPDATE samples SET loose = 5.5000000000000000001 WHERE id = 11",
        "UPDATE samples SET loose = 5.5 WHERE id = 11",
    ),
    "more than the declared loss": changed("loose", "5.500000001", 11),
    "a letter": changed("word", "'it''s word 12'", 12),
    "a space at the end": changed("word", "'it''s wörd 12 '", 12),
    "NULL for an empty text": changed("word", "NULL", 15),
    "an empty text for NULL": changed("word", "''", 14),
    "the word null for NULL": changed("word", "'<null>'", 14),
    "NULL for the word null": changed("other", "NULL", 22),
    "a text that went over into the next": Fault(
        "UPDATE {t} SET word = 'it''s wörd 13,o', other = ',13:' WHERE id = 13",
        13,
        "differs",
        ("word", "other"),
    ),
    "a number that went over into the next": Fault(
        "UPDATE {t} SET exact = NULL, loose = 5.5 WHERE id = 27",
        27,
        "differs",
        ("exact", "loose"),
        "UPDATE samples SET exact = 5.5, loose = NULL WHERE id = 27",
        "UPDATE samples SET exact = 27 * 100000.000000000001, loose = 13.5 WHERE id = 27",
    ),
    "a uuid": changed("code", "'00000000-0000-0000-0000-000000000001'", 16),
    "an integer": changed("small", "0", 17),
    "an integer that is gone": changed("small", "NULL", 17),
    "a cent": changed("amount", "24.67", 18),
    "the last digit of a decimal": changed("exact", "1900000.000000000018", 19),
    "the last bit of a float": changed("ratio", "2.5000000000000004", 20),
    "the last bit of a narrow float": changed("narrow", "2.5000002", 20),
    "NaN for a number": changed("ratio", "CAST('NaN' AS DOUBLE PRECISION)", 20),
    "a number for NaN": changed("ratio", "0", 51),
    "infinity for NaN": changed("narrow", "CAST('Infinity' AS DOUBLE PRECISION)", 51),
    "the other infinity": changed("ratio", "CAST('-Infinity' AS DOUBLE PRECISION)", 52),
    "a large number for infinity": changed("ratio", "1.7e308", 52),
    "a zero that is gone": changed("ratio", "NULL", 54),
    "a narrow zero that is gone": changed("narrow", "NULL", 54),
    "infinity for a decimal's NaN": changed("loose", "CAST('Infinity' AS DOUBLE PRECISION)", 55),
    "NaN that is gone": changed("loose", "NULL", 55),
    "infinity of a decimal that is gone": changed("loose", "NULL", 56),
    "a boolean": changed("flag", "FALSE", 24),
    "a boolean that is gone": changed("flag", "NULL", 24),
    "a day": changed("day", "CAST('2026-01-24' AS DATE)", 24),
    "a microsecond": changed("happened", "CAST('2026-01-01 10:00:36.000001+00' AS {tz})", 24),
    "a time zone": changed("happened", "CAST('2026-01-01 11:00:36+00' AS {tz})", 24),
    "a time that is gone": changed("happened", "NULL", 24),
    "a local time's microsecond": changed(
        "wall", "CAST('2026-01-01 10:00:24.000025' AS {ntz})", 24
    ),
    "a value in JSON": changed(
        "doc", '{json}"kéy": 26, "a": "x, \\"25", "list": [1, true, null]{end}', 25
    ),
    "a text for a number in JSON": changed(
        "doc", '{json}"kéy": "25", "a": "x, \\"25", "list": [1, true, null]{end}', 25
    ),
    "one for true in JSON": changed(
        "doc", '{json}"kéy": 25, "a": "x, \\"25", "list": [1, 1, null]{end}', 25
    ),
    "a key that JSON lacks": changed("doc", '{json}"kéy": 25, "list": [1, true, null]{end}', 25),
    "a space within JSON's text": changed(
        "doc", '{json}"kéy": 25, "a": "x,\\"25", "list": [1, true, null]{end}', 25
    ),
    "JSON that is gone": changed("doc", "NULL", 25),
    "bytes that are gone": changed("raw", "NULL", 26),
    "a uuid that is gone": changed("code", "NULL", 16),
    "a byte": changed("raw", "{nul}", 26),
    "one value of the first row": changed("small", "7", 1),
    "one value of the last row": changed("small", "7", ROWS),
}


@pytest.fixture(scope="module")
def source(cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of the source."""
    with cluster.database("migrated_template") as dsn:
        make_source(dsn)
        yield dsn


@pytest.fixture(scope="module", params=["replica", "postgres", "duckdb", "snowflake"])
def copy(
    request: pytest.FixtureRequest, source: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Copy]:
    """Yield a true copy in each kind of destination."""
    with _copy(request, source, tmp_path_factory) as found:
        yield found


@contextmanager
def _copy(
    request: pytest.FixtureRequest, source: str, folders: pytest.TempPathFactory
) -> Iterator[Copy]:
    if request.param in {"replica", "postgres"}:
        cluster: Cluster = request.getfixturevalue("cluster")
        with postgres_copy(cluster, source, alike=request.param == "replica") as copy:
            yield copy
    elif request.param == "duckdb":
        with duckdb_copy(folders.mktemp("duckdb"), source) as copy:
            yield copy
    else:
        fakesnow: Fakesnow = request.getfixturevalue("fakesnow")
        with snowflake_copy(fakesnow, source) as copy:
            yield copy


def spoilt(copy: Copy, fault: Fault) -> str:
    """Return a fault's statement in the words of the copy's engine."""
    engine = copy.tool.destination
    start, end = {
        "postgres": ("CAST('{", "}' AS jsonb)"),
        "duckdb": ("CAST('{", "}' AS JSON)"),
        "snowflake": ("PARSE_JSON('{", "}')"),
    }[engine]
    statement = fault.statement
    if engine == "snowflake":
        statement = statement.replace('\\"', '\\\\"')
    for name, word in {
        "t": copy.tool.place_of("samples"),
        "tz": copy.times,
        "ntz": "TIMESTAMP_NTZ" if engine == "snowflake" else "TIMESTAMP",
        "json": start,
        "end": end,
        "nul": {
            "postgres": "decode('00', 'hex')",
            "duckdb": "unhex('00')",
            "snowflake": "TO_BINARY('00', 'HEX')",
        }[engine],
    }.items():
        statement = statement.replace(f"{{{name}}}", word)
    return statement


def places(findings: list[Finding]) -> list[tuple[str, str, str | None, str]]:
    """Return the places and kinds of findings."""
    return [(one.table, one.key, one.column, one.kind) for one in findings]


def test_a_true_copy_has_no_findings(copy: Copy) -> None:
    """Each row of each type is compared, and equal."""
    found = copy.verified()
    assert not found.problems
    assert not found.findings
    assert found.verdict == "right"
    assert found.tables["samples"].rows == found.tables["samples"].destination_rows == ROWS


def test_clocks_of_both_ends_are_told(copy: Copy) -> None:
    """All run on this machine, so they are its own; a file has none."""
    clocks = copy.verified().clocks
    file = copy.tool.destination == "duckdb"
    assert set(clocks) == ({"source"} if file else {"source", "destination"})
    for clock in clocks.values():
        assert 0 < clock.within_seconds < 5
        assert abs(clock.ahead_seconds) <= clock.within_seconds + 0.01  # Snowflake has milliseconds


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(copy: Copy, name: str) -> None:
    """With its kind, key and column, and nothing else."""
    fault = FAULTS[name]
    if fault.source:
        copy.at_source(fault.source)
    try:
        copy.execute(spoilt(copy, fault))
        found = copy.verified()
    finally:
        copy.restore()
        if fault.undo:
            copy.at_source(fault.undo)
    assert not found.problems
    columns: tuple[str | None, ...] = fault.columns or (None,)
    kind = "differs" if copy.alike and fault.kind == "lossy" else fault.kind
    expected = [("samples", str(fault.key), column, kind) for column in columns]
    assert places(list(found.findings)) == expected


def test_rows_are_counted_first_where_keys_lie_far_apart(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the limits of a small table each engine counts, and no key is lost."""
    monkeypatch.setattr(ranges, "_ROWS", 1)
    monkeypatch.setattr(ranges, "_SEGMENT_RANGES", (30, 30))
    counted: list[dict[int, int]] = []

    def counts(side: SqlSide, part: ranges.Range, width: int) -> dict[int, int]:
        counted.append(asked(side, part, width))
        return counted[-1]

    asked = SqlSide.counts
    monkeypatch.setattr(SqlSide, "counts", counts)
    try:
        copy.execute(
            f"INSERT INTO {copy.tool.place_of('samples')} (id, {NAMES}) "
            f"SELECT 1000000, {NAMES} FROM {copy.tool.place_of('samples')} WHERE id = 2"
        )
        found = copy.verified()
    finally:
        copy.restore()
    assert not found.problems
    assert places(list(found.findings)) == [("samples", "1000000", None, "extra")]
    assert found.tables["samples"].destination_rows == ROWS + 1
    assert {sum(one.values()) for one in counted[:2]} == {ROWS, ROWS + 1}


def with_rules(copy: Copy, **rules: object) -> Copy:
    """Return the copy as a tool with another convention would have it."""
    convention = copy.tool.convention.model_copy(update=rules)
    return replace(copy, tool=copy.tool.model_copy(update={"convention": convention}))


def test_a_value_in_a_column_counts_as_a_delete(copy: Copy) -> None:
    """As Estuary marks it; a row with another value, or with none, is there."""
    marked = with_rules(
        copy, deletes="soft", delete_marker=Flag(column="_Meta/op", equals="d"), lossy=()
    )
    table = copy.tool.place_of("samples")
    copy.execute(f'ALTER TABLE {table} ADD COLUMN "_meta/op" VARCHAR')
    try:
        copy.execute(
            f'INSERT INTO {table} (id, {NAMES}, "_meta/op") '
            f"SELECT 400, {NAMES}, 'd' FROM {table} WHERE id = 2"
        )
        copy.execute(f"UPDATE {table} SET \"_meta/op\" = 'u' WHERE id = 4")
        assert marked.verified().verdict == "right"
        copy.execute(f"UPDATE {table} SET \"_meta/op\" = 'd' WHERE id = 3")
        assert places(list(marked.verified().findings)) == [("samples", "3", None, "missing")]
        assert places(list(copy.verified().findings)) == [("samples", "400", None, "not_deleted")]
    finally:
        copy.execute(f'ALTER TABLE {table} DROP COLUMN "_meta/op"')
        copy.restore()


def test_names_in_another_case_are_found(copy: Copy) -> None:
    """Airbyte's are upper case at Snowflake, and as the engine writes them elsewhere."""
    upper = with_rules(copy, case="upper")
    tool = upper.tool
    names = {"named_schema": tool.schema_name.swapcase(), "database": tool.database}
    if tool.database:  # an exact match would come first
        names = {"named_schema": tool.schema_name.lower(), "database": tool.database.lower()}
    found = replace(upper, tool=tool.model_copy(update=names)).verified()
    assert not found.problems
    assert found.verdict == "right"


@pytest.mark.parametrize("copy", ["snowflake"], indirect=True)
def test_a_mark_of_deletion_counts_as_a_delete(copy: Copy) -> None:
    """A row that is deleted at the source may be marked; a row that exists may not."""
    table = copy.tool.place_of("samples")
    inserted = f"INSERT INTO {table} (id, {NAMES}, _FIVETRAN_DELETED)"
    try:
        copy.execute(f"{inserted} SELECT 400, {NAMES}, TRUE FROM {table} WHERE id = 2")
        assert copy.verified().verdict == "right"
        copy.execute(f"UPDATE {table} SET _FIVETRAN_DELETED = TRUE WHERE id = 3")
        assert places(list(copy.verified().findings)) == [("samples", "3", None, "missing")]
    finally:
        copy.restore()
