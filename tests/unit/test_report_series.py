"""Samples become intervals and intervals become few spans, without losing important values."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.record.rows import Sample
from loadgen.report.analysis.intervals import (
    MOST_SPANS,
    Gap,
    Interval,
    Standstill,
    downsample,
    intervals_between,
    running_totals,
    skipped_in_gaps,
    standstill_in,
)
from tests.records import START


def sample(second: float, target: float = 10.0, *, done: int = 0, due: int | None = None) -> Sample:
    """Return one operation's sample; unless `due` says so, all that was due is done."""
    offered = done if due is None else due
    at = START + timedelta(seconds=second)
    return Sample(at, "insert_order", target, offered, done, 0, offered - done, 0, 0)


def intervals(counts: list[int], every: float = 1.0, target: float = 10.0) -> list[Interval]:
    """Return intervals in which so many arrivals were due and done."""
    rows, total = [], 0
    for i, count in enumerate(counts, 1):
        total += count
        rows.append(sample(i * every, target, done=total))
    return list(intervals_between(rows, START))


def test_the_first_interval_begins_at_the_start() -> None:
    """The writes in the first sample were done since the schedule began."""
    (first, second) = intervals_between([sample(1, done=10), sample(2, done=25)], START)
    assert (first.begin, first.end, first.committed) == (0.0, 1.0, 10)
    assert (second.begin, second.end, second.committed) == (1.0, 2.0, 15)
    assert second.seconds == 1.0


def test_a_sample_at_the_start_is_where_counting_begins() -> None:
    """A first sample without any time before it makes no rate."""
    (only,) = intervals_between([sample(0, done=100), sample(1, done=110)], START)
    assert (only.begin, only.end, only.committed) == (0.0, 1.0, 10)


def test_samples_before_the_start_hold_nothing() -> None:
    """The run samples while its connections open; the schedule has not begun then."""
    (only,) = intervals_between([sample(-2), sample(-1), sample(1, done=10)], START)
    assert (only.begin, only.end, only.committed) == (0.0, 1.0, 10)


@pytest.mark.parametrize(
    ("before", "after", "target"),
    [(10.0, 20.0, 15.0), (10.0, 0.0, 10.0), (0.0, 10.0, 10.0), (0.0, 0.0, 0.0)],
)
def test_the_target_between_two_samples(before: float, after: float, target: float) -> None:
    """A ramp counts with its mean; at an end or a pause the target is not halved."""
    found = list(intervals_between([sample(1, before), sample(2, after)], START))
    assert found[1].target == target


@given(
    counts=st.lists(st.integers(0, 50), min_size=1, max_size=700),
    every=st.sampled_from([1.0, 10.0]),
)
def test_spans_are_few_and_keep_all_counts(counts: list[int], every: float) -> None:
    """A run of any length has at most MOST_SPANS spans, without gaps, that add up to its total."""
    found = downsample(intervals(counts, every))
    assert 1 <= len(found) <= MOST_SPANS
    assert sum((s.end - s.begin) * s.committed for s in found) == pytest.approx(sum(counts))
    assert all(a.end == b.begin for a, b in pairwise(found))
    assert all(s.least <= s.committed + 1e-9 and s.committed <= s.most + 1e-9 for s in found)


def test_a_stall_of_one_sample_shows_after_two_days() -> None:
    """Thinning keeps the worst moment: ten seconds of nothing among 17,280 samples."""
    counts = [100] * 17_280
    counts[9_000] = 0
    found = downsample(intervals(counts, 10.0))
    assert min(span.least for span in found) == 0.0
    assert max(span.most for span in found) == pytest.approx(10.0)


def test_a_slow_sample_shows_after_two_days() -> None:
    """The worst latency survives thinning, and the typical one does not change."""
    rows = [
        Sample(
            START + timedelta(seconds=10 * i), "insert_order", 10.0, i, i, 0, 0, 0, 0,
            0.001, 0.5 if i == 9_000 else 0.002, 0.003, 0.001, 2.5 if i == 9_000 else 0.004, 0.005,
        )
        for i in range(1, 17_281)
    ]  # fmt: skip
    found = downsample(list(intervals_between(rows, START)), smooth=False)
    assert max(span.worst_service or 0 for span in found) == 0.5
    assert max(span.worst_intended or 0 for span in found) == 2.5
    assert {span.service for span in found} == {0.002}
    assert {span.intended for span in found} == {0.004}


def test_few_arrivals_are_joined_before_a_rate_is_made_of_them() -> None:
    """One arrival each ten seconds is a steady rate, not a row of spikes; unless asked for."""
    counts = [1 if i % 10 == 5 else 0 for i in range(600)]
    steady = downsample(intervals(counts, target=0.1))
    assert max(span.most for span in steady) <= 2 * min(span.least for span in steady)
    assert max(span.most for span in downsample(intervals(counts, target=0.1), smooth=False)) == 1.0


def test_a_short_rest_joins_its_neighbour() -> None:
    """A last stretch too short to tell a rate does not stand alone."""
    found = downsample(intervals([1] * 81, target=1.0))
    assert found[-1].end - found[-1].begin > 8


def test_the_drain_is_left_out_once_nothing_happens() -> None:
    """After the schedule's end a chart does not fall to zero as if the load had failed."""
    rows = [sample(i, done=10 * i) for i in range(1, 6)]
    quiet = [sample(i, 0.0, done=50) for i in (6, 7)]
    assert downsample(list(intervals_between([*rows, *quiet], START)))[-1].end == 5.0
    late = [sample(6, 0.0, done=50, due=55), sample(7, 0.0, done=55)]
    assert downsample(list(intervals_between([*rows, *late], START)))[-1].end == 7.0


def test_nothing_at_all_makes_no_spans() -> None:
    """A run of zero rates has nothing to draw."""
    assert downsample([]) == []
    assert downsample(intervals([0, 0], target=0.0)) == []


def test_steps_are_where_counts_change() -> None:
    """Few arrivals are drawn one by one, at the sample that saw them."""
    found = running_totals(intervals([0, 1, 0, 0, 2, 0], target=0.5))
    assert [(s.at, s.committed) for s in found] == [(0, 0), (2, 1), (5, 3), (6, 3)]
    assert found[-1].planned == pytest.approx(3.0)
    assert running_totals([])[-1].committed == 0


def test_steps_reach_to_the_end_of_the_schedule() -> None:
    """The planned total rises to the end, even if nothing more falls due, and no further."""
    rows = [sample(1, 0.5), sample(2, 0.5, done=1), sample(3, 0.0, done=1), sample(4, 0.0, done=1)]
    assert [(s.at, s.planned) for s in running_totals(list(intervals_between(rows, START)))] == [
        (0, 0.0),
        (2, 1.0),
        (3, 1.5),
    ]


def test_a_standstill_is_a_stretch_without_a_commit() -> None:
    """It counts its seconds, and the arrivals skipped in it or in the intervals next to it."""
    rows = [sample(1, done=10), sample(2, done=12, due=20), sample(3, done=12, due=30)]
    rows += [sample(4, done=12, due=40), sample(5, done=20, due=50), sample(6, done=30, due=60)]
    found = standstill_in(intervals_between(rows, START))
    assert found == Standstill(seconds=2.0, skipped=8 + 20 + 2)


def test_quiet_moments_are_no_standstill() -> None:
    """At a few arrivals an hour most samples hold no commit, and nothing is wrong."""
    assert standstill_in(intervals([0, 1, 0, 0, 2, 0], target=0.5)) == Standstill(0.0, 0)
    assert standstill_in([]) == Standstill(0.0, 0)


def test_a_gap_is_an_interval_in_which_nothing_was_asked() -> None:
    """A load killed after 2 s resumes at 101 s and settles 3 s: nothing is due from 2 to 98 s."""
    gap = Gap(START + timedelta(seconds=101), settled=3.0)
    rows = [sample(1, done=10), sample(2, done=20), sample(102, done=30, due=60)]
    found = list(intervals_between(rows, START, [gap]))
    assert [(part.begin, part.end, part.target) for part in found] == [
        (0.0, 1.0, 10.0),
        (1.0, 2.0, 10.0),
        (2.0, 98.0, 0.0),
        (98.0, 102.0, 10.0),
    ]
    assert [part.offered for part in found] == [10, 10, 0, 40]
    assert sum(part.target * part.seconds for part in found) == 60
    assert standstill_in(found) == Standstill(0.0, 0)


def test_a_gap_shorter_than_what_was_settled_adds_no_time() -> None:
    """The load was back before the time that it had to settle was over."""
    gap = Gap(START + timedelta(seconds=3), settled=3.5)
    found = list(intervals_between([sample(2, done=20), sample(4, done=30, due=70)], START, [gap]))
    assert [(part.begin, part.end) for part in found] == [(0.0, 2.0), (2.0, 4.0)]


def test_what_was_skipped_as_the_load_was_killed_is_told_apart() -> None:
    """Arrivals settled at the gap, at once or at the end, count; other skipped arrivals do not."""
    gaps = [Gap(START + timedelta(seconds=3), 1.0)]
    rows = [
        Sample(START + timedelta(seconds=second), "update_order_status", 10.0, *counts)
        for second, counts in (
            (1, (10, 8, 0, 2, 0, 0)),
            (4, (50, 18, 0, 22, 10, 0)),
            (5, (60, 27, 0, 23, 10, 0)),
            (6, (60, 34, 0, 26, 0, 0)),
        )
    ]
    assert skipped_in_gaps(gaps, rows) == 24
    assert skipped_in_gaps([], rows) == 0
    assert skipped_in_gaps(gaps, rows[:1]) == 0
