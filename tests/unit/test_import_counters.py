"""Windows of counters, and the SQL of others without its comments."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from loadgen.errors import SourceError
from loadgen.source.importing.counters import Counters, measured_writes
from loadgen.source.importing.pg_dump import ddl_statements
from loadgen.source.importing.read import ReadOptions, read_database
from loadgen.source.importing.statement_texts import split_script, without_comments
from loadgen.workload.importing.facts import WriteCounts

START = datetime(2026, 11, 29, tzinfo=UTC)


def look(seconds: float, writes: Mapping[int, WriteCounts]) -> Counters:
    """Return a look at counters by table."""
    return Counters(START + timedelta(seconds=seconds), writes, {}, frozenset())


def test_a_window_counts_what_is_written_in_it() -> None:
    """Also to a table that is new, and after a reset; tables of others do not count."""
    looks = (
        look(0, {1: WriteCounts(inserts=1000, updates=50), 9: WriteCounts(inserts=5)}),
        look(10, {1: WriteCounts(inserts=1030, updates=50), 9: WriteCounts(inserts=999)}),
        look(20, {1: WriteCounts(inserts=10), 2: WriteCounts(deletes=20)}),
    )
    window, writes = measured_writes(looks, {1, 2, 3}, 20)
    assert writes == {1: WriteCounts(inserts=40), 2: WriteCounts(deletes=20), 3: WriteCounts()}
    assert window.seconds == 20
    assert (window.shares, window.every) == ((1, 1), 10)


def test_shares_are_rates() -> None:
    """A look that came late makes its part longer, not busier."""
    looks = [look(at, {1: WriteCounts(inserts=rows)}) for at, rows in ((0, 0), (10, 10), (40, 70))]
    assert measured_writes(looks, {1}, 40)[0].shares == pytest.approx((1 / 1.75, 2 / 1.75))


@pytest.mark.parametrize(
    ("interval", "every", "line"),
    [
        (None, 60, "--every divides a measured window: give --interval too"),
        (60, 60, "--every is no part of --interval: give a shorter one, or none"),
        (2, 0.5, "--every is shorter than a second: give a longer one"),
        (
            86_400,
            30,
            (
                "--every divides --interval into 2,880 parts, but a profile has at most 1,440 "
                "levels: give a longer one"
            ),
        ),
    ],
)
def test_parts_that_make_no_profile_are_refused(
    interval: float | None, every: float, line: str
) -> None:
    """At once, and not after a day."""
    options = ReadOptions(interval=interval, every=every)
    with pytest.raises(SourceError) as refused:
        read_database("postgresql://nobody@127.0.0.1:1/nothing", options, print)
    assert str(refused.value) == line


@pytest.mark.parametrize("writes", [{}, {1: WriteCounts(inserts=7)}])
def test_a_quiet_window_has_no_shares(writes: Mapping[int, WriteCounts]) -> None:
    """Nor has one of a single part."""
    assert measured_writes([look(at, writes) for at in (0, 1, 2)], {1}, 2)[0].shares == ()
    assert measured_writes([look(0, {}), look(1, writes)], {1}, 1)[0].shares == ()


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("/* user=7 */ DELETE FROM t -- CANARY\nWHERE b = $2", "DELETE FROM t \nWHERE b = $2"),
        ("DELETE FROM \"a--b\" WHERE c = '/* no comment */'", None),
        (r"INSERT INTO t VALUES (E'it\'s -- one', 'a''--', $$--;$$, $x$ $$ /* ; $x$)", None),
        ("-- nothing else", ""),
    ],
)  # fmt: skip
def test_comments_are_taken_out(statement: str, text: str | None) -> None:
    """Quoted text stays."""
    assert without_comments(statement) == (statement if text is None else text)


def test_a_script_is_split() -> None:
    """Settings and psql's commands go, and bodies of functions stay whole."""
    script = r"""
    --
    -- Name: f; Type: FUNCTION
    --
\restrict abc;def
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA "a;b";
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$SELECT 'x;' || $1; SET y = 1;$_$;
\unrestrict abc
    """
    assert ddl_statements(script) == [
        'CREATE SCHEMA IF NOT EXISTS "a;b"',
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$SELECT 'x;' || $1; SET y = 1;$_$",
    ]
    assert list(split_script("a; b")) == ["a", "b"]
