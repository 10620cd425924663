"""Markers seen by each tool and their times, from any order of writing and looking."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.record.rows import MarkerSample
from loadgen.source.markers import Marker
from loadgen.watch.marker_reader import BUCKETS, DeliveryHistogram, MarkerPoll, MarkerReader

ZERO = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a moment of the test's time."""
    return ZERO + timedelta(seconds=seconds)


def three() -> MarkerReader:
    """Return a reader of tools a and b, with markers written at 10, 20 and 30 s."""
    reader = MarkerReader(["a", "b"])
    for sequence in (1, 2, 3):
        reader.add_marker(Marker(sequence, at(10 * sequence)))
    return reader


def test_a_look_settles_all_markers_up_to_the_newest() -> None:
    """Each marker is a row with its delivery; later ones stay unseen; other tools do not change."""
    reader = three()
    rows = reader.record_poll("a", MarkerPoll(2, at(18), at(25)))
    assert [(row.sequence, row.delivery_seconds) for row in rows] == [(1, 15.0), (2, 5.0)]
    assert [row.sequence for row in reader.unseen("a")] == [3]
    assert [row.sequence for row in reader.unseen("b")] == [1, 2, 3]
    assert reader.record_poll("a", MarkerPoll(2, at(25), at(26))) == []


def test_poll_seconds_are_our_own_share_of_a_delivery() -> None:
    """They run from the poll before, or from the commit if that was later or there was no poll."""
    rows = three().record_poll("a", MarkerPoll(2, at(18), at(25)))
    assert [row.poll_seconds for row in rows] == [7.0, 5.0]
    (first, *_) = three().record_poll("a", MarkerPoll(3, None, at(40)))
    assert first.poll_seconds == first.delivery_seconds == 30.0


def test_a_marker_seen_before_its_commit_was_heard_of_is_settled_later() -> None:
    """A destination may be quicker than the commit's answer."""
    reader = MarkerReader(["a"])
    assert reader.record_poll("a", MarkerPoll(1, None, at(9))) == []
    reader.add_marker(Marker(1, at(10)))
    (row,) = reader.record_poll("a", MarkerPoll(1, at(9), at(11)))
    assert row.delivery_seconds == 1.0


def test_a_copy_that_goes_back_is_told_once_and_so_is_its_return() -> None:
    """A copy is as old as the marker it shows now; markers shown before are not delivered again."""
    reader = three()
    looks = [MarkerPoll(shown, None, at(50)) for shown in (2, None, None, 1, 2, 3)]
    told = []
    for poll in looks:
        rewind = reader.check_rewind("a", poll)
        told.append(rewind and (rewind.newest, rewind.shows, rewind.went_back))
        reader.record_poll("a", poll)
    assert told == [None, (2, 0, True), None, None, (2, 2, False), None]
    reader.check_rewind("a", MarkerPoll(1, None, at(50)))
    assert reader.freshness("a", at(50)) == 40.0
    reader.check_rewind("a", MarkerPoll(None, None, at(50)))
    assert reader.freshness("a", at(60)) == 50.0  # of the oldest that should be there
    assert reader.record_poll("a", MarkerPoll(3, None, at(51))) == []


def test_freshness_is_the_age_of_the_newest_marker_seen() -> None:
    """Before the first it is the age of the oldest one that should be there."""
    reader = three()
    assert MarkerReader(["a"]).freshness("a", at(50)) is None
    assert reader.freshness("a", at(50)) == 40.0
    reader.record_poll("a", MarkerPoll(2, None, at(25)))
    assert reader.freshness("a", at(50)) == 30.0
    assert reader.freshness("b", at(50)) == 40.0


def test_a_watch_that_begins_anew_goes_on_where_the_record_is() -> None:
    """Markers recorded as seen stay seen, with their time; reading starts at the first gap."""
    known = [MarkerSample("a", n, at(n), at(n + 1), 1.0, 1.0) for n in (1, 2)]
    reader = MarkerReader(["a", "b"], [*known, MarkerSample("gone", 4, at(4), at(5), 1.0, 1.0)])
    assert reader.last_sequence() == 2
    for sequence in (1, 2, 3):
        reader.add_marker(Marker(sequence, at(100 + sequence)))
    assert reader.last_sequence() == 4
    assert [row.sequence for row in reader.unseen("a")] == [3, 4]
    assert reader.unseen("b")[0].written_at == at(1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "look"]), st.integers(0, 12), st.floats(0.001, 60)),
        max_size=40,
    )
)
def test_each_marker_is_a_row_once(steps: list[tuple[str, int, float]]) -> None:
    """Seen or unseen, none twice and none left out; its share of waiting is within its delivery."""
    reader, rows, clock, previous = MarkerReader(["a"]), [], 0.0, None
    for what, newest, seconds in steps:
        clock += seconds
        if what == "write":
            reader.add_marker(Marker(reader.last_sequence() + 1, at(clock)))
        else:
            rows += reader.record_poll("a", MarkerPoll(newest or None, previous, at(clock)))
            previous = at(clock)
    assert [row.sequence for row in rows + reader.unseen("a")] == list(
        range(1, reader.last_sequence() + 1)
    )
    for row in rows:
        assert 0 <= (row.poll_seconds or 0.0) <= (row.delivery_seconds or 0.0)


@given(st.lists(st.floats(0, 1e6)))
def test_deliveries_are_cumulative(seconds: list[float]) -> None:
    """Each bucket counts the values up to its edge; the last counts all."""
    deliveries = DeliveryHistogram()
    for one in seconds:
        deliveries.add(one)
    found = deliveries.buckets()
    assert [edge for edge, _ in found] == [*map(str, BUCKETS), "+Inf"]
    assert [n for _, n in found[:-1]] == [sum(s <= edge for s in seconds) for edge in BUCKETS]
    assert found[-1][1] == len(seconds)
    assert all(one <= other for (_, one), (_, other) in pairwise(found))
    assert deliveries.total == pytest.approx(sum(seconds))
