"""Marker rows: each is written once, into its run's own database, and found by key."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from loadgen.source.markers import find_markers, write_marker
from loadgen.source.postgres import connect

AT = datetime(2026, 11, 23, 7, 0, 0, 250_000, tzinfo=UTC)
ROWS = "SELECT run_id, sequence, sent_at FROM loadgen_markers ORDER BY id"


@pytest.fixture
def source(each_database: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to a source that run-1 writes to."""
    with connect(each_database) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = 'run-1'")
        yield connection


def test_a_marker_is_a_row_of_its_own_table(source: psycopg.Connection) -> None:
    """The workload's tables get none."""
    assert write_marker(source, "run-1", 7, AT)
    assert source.execute(ROWS).fetchall() == [("run-1", 7, AT)]
    assert source.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_its_horizon_is_the_oldest_open_transaction(
    each_database: str, source: psycopg.Connection
) -> None:
    """While it is open, no marker proves its writes."""
    with connect(each_database, autocommit=False) as other:
        (open_id,) = other.execute("SELECT pg_current_xact_id()::text::bigint").fetchone() or (0,)
        source.execute("UPDATE loadgen_playground SET progress = '{}'")  # a newer one, ended
        assert write_marker(source, "run-1", 1, AT)
        other.commit()
    assert write_marker(source, "run-1", 2, AT)
    before, after = find_markers(source, "run-1", 0)
    assert before.horizon == open_id
    assert (after.horizon or 0) > open_id


def test_none_is_written_twice(source: psycopg.Connection) -> None:
    """A marker whose answer was lost is there; the same one again changes nothing."""
    assert write_marker(source, "run-1", 1, AT)
    assert not write_marker(source, "run-1", 1, datetime.now(UTC))
    (marker,) = find_markers(source, "run-1", 0)
    assert (marker.sequence, marker.written_at) == (1, AT)


def test_another_run_s_database_is_not_written_to(source: psycopg.Connection) -> None:
    """The source says whose run it is."""
    assert not write_marker(source, "run-2", 1, AT)
    assert source.execute(ROWS).fetchall() == []


@pytest.mark.parametrize("last", [1, 999, 1000, 1001])
def test_all_are_found_up_to_the_first_gap(source: psycopg.Connection, last: int) -> None:
    """However many there are, from wherever the record ends."""
    with source.pipeline():
        for sequence in [*range(1, last + 1), last + 2]:
            write_marker(source, "run-1", sequence, AT)
    assert [marker.sequence for marker in find_markers(source, "run-1", 0)] == list(
        range(1, last + 1)
    )
    assert [marker.sequence for marker in find_markers(source, "run-1", last - 1)] == [last]
    assert list(find_markers(source, "run-1", last)) == []
    assert list(find_markers(source, "run-2", 0)) == []
