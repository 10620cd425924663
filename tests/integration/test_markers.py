"""Marker rows: each is written once, into its run's own database, and found by key."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from loadgen.source.markers import find_markers, write_marker
from loadgen.source.postgres import connect

AT = datetime(2026, 11, 23, 7, 0, 0, 250_000, tzinfo=UTC)
ROWS = "SELECT event_type, user_id, properties FROM events ORDER BY id"


@pytest.fixture
def source(each_database: str) -> Iterator[psycopg.Connection]:
    """Yield a connection to a source that run-1 writes to."""
    with connect(each_database) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = 'run-1'")
        yield connection


def test_a_marker_is_an_event_of_its_own_type(source: psycopg.Connection) -> None:
    """It has run and sequence, and no user."""
    assert write_marker(source, "run-1", 7, AT)
    ((kind, user, properties),) = source.execute(ROWS).fetchall()
    assert (kind, user) == ("loadgen_marker", None)
    assert (properties["run_id"], properties["sequence"]) == ("run-1", 7)


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
