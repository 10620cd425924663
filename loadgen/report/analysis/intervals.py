"""Samples as intervals, when nothing was committed, and intervals thinned to what a chart can show.

A sample holds counters since the start of the run, an interval what one operation did between two
samples, and a span the sum of neighbouring intervals. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from math import inf
from statistics import median

from loadgen.record.rows import Sample

MOST_SPANS = 160  # a chart is some 300 points wide
FEW_ARRIVALS = 60  # a rate of fewer shows chance, so charts show them one by one
_ARRIVALS_PER_RATE = 8  # the least and the greatest rate are taken over as many arrivals or more
_ARRIVALS_OF_STANDSTILL = 5  # if one or two are due and none is committed, that is chance


@dataclass(frozen=True, slots=True)
class Interval:
    """What one operation did from one sample to the next.

    begin and end are seconds since the schedule's start, target is per second, the rest are counts.
    `sample` is the one that ended the interval; its latencies are the interval's.
    """

    begin: float
    end: float
    target: float
    offered: int
    committed: int
    failed: int
    skipped: int
    sample: Sample

    @property
    def seconds(self) -> float:
        """How long the interval was."""
        return self.end - self.begin

    @property
    def is_active(self) -> bool:
        """Whether any counter changed."""
        return bool(self.offered or self.committed or self.failed or self.skipped)


@dataclass(frozen=True, slots=True)
class Standstill:
    """How long no operation committed anything though arrivals were due.

    `skipped` counts the arrivals skipped during it or in the interval before or after.
    """

    seconds: float
    skipped: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing was offered because the load had been killed.

    The load resumed at `to`, and looked up the arrivals due in the `settled` seconds before.
    """

    to: datetime
    settled: float


@dataclass(frozen=True, slots=True)
class Span:
    """What one operation did from `begin` to `end`, in seconds since the schedule's start.

    Rates are per second and exact means; `least` and `most` are the extremes of the committed rate.
    Latencies are the p95 of the typical and of the worst sample.
    """

    begin: float
    end: float
    target: float
    offered: float
    committed: float
    least: float
    most: float
    service: float | None
    intended: float | None
    worst_service: float | None
    worst_intended: float | None
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class RunningTotal:
    """Counts from the start of the run up to a moment (seconds since the start)."""

    at: float
    planned: float
    offered: int
    committed: int


def intervals_between(
    samples: Sequence[Sample], start: datetime, gaps: Sequence[Gap] = ()
) -> Iterator[Interval]:
    """Yield the intervals between one operation's samples, beginning at the start.

    If the first sample is the start itself, the first interval begins with its counters. A gap is
    an interval with a target of 0.
    """
    before: Sample | None = None
    for sample in samples:
        end = (sample.time - start).total_seconds()
        begin = max(0.0, (before.time - start).total_seconds()) if before else 0.0
        for gap in gaps:
            gap_end = (gap.to - start).total_seconds() - gap.settled
            if before and before.time < gap.to < sample.time and gap_end > begin:
                yield Interval(begin, gap_end, 0.0, 0, 0, 0, 0, _zero(before))
                begin = gap_end
        if end > begin:
            counted = before or _zero(sample)
            yield Interval(
                begin,
                end,
                _mean_target(before, sample),
                sample.offered - counted.offered,
                sample.committed - counted.committed,
                sample.failed - counted.failed,
                sample.skipped - counted.skipped,
                sample,
            )
        before = sample


def skipped_in_gaps(gaps: Sequence[Gap], samples: Sequence[Sample]) -> int:
    """Return how many of one operation's arrivals were skipped because the load was not running.

    Some are still unknown when the load resumes; of these only the ones that end as skipped count.
    """
    skipped = 0
    for before, after in pairwise(samples):
        if any(before.time < gap.to < after.time for gap in gaps):
            undone = after.skipped + after.unknown - before.skipped - before.unknown
            skipped += min(undone, samples[-1].skipped - before.skipped)
    return skipped


def standstill_in(intervals: Iterable[Interval]) -> Standstill:
    """Return how long the whole run stood still, from the intervals of all its operations."""
    moments = [
        _Moment.of(list(group)) for _, group in groupby(sorted(intervals, key=_end), key=_end)
    ]
    seconds, near = 0.0, set[int]()
    for idle, group in groupby(range(len(moments)), key=lambda i: not moments[i].committed):
        stretch = list(group)
        due = sum(moments[i].offered for i in stretch)
        if idle and (due >= _ARRIVALS_OF_STANDSTILL or any(moments[i].skipped for i in stretch)):
            seconds += sum(moments[i].seconds for i in stretch)
            near |= set(range(max(0, stretch[0] - 1), min(len(moments), stretch[-1] + 2)))
    return Standstill(seconds, sum(moments[i].skipped for i in near))


@dataclass(frozen=True, slots=True)
class _Moment:
    """What all operations did together in the intervals that ended at one time."""

    seconds: float
    offered: int
    committed: int
    skipped: int

    @classmethod
    def of(cls, intervals: Sequence[Interval]) -> "_Moment":
        return cls(
            max(interval.seconds for interval in intervals),
            sum(interval.offered for interval in intervals),
            sum(interval.committed for interval in intervals),
            sum(interval.skipped for interval in intervals),
        )


def _end(interval: Interval) -> float:
    return interval.end


def _zero(sample: Sample) -> Sample:
    return Sample(sample.time, sample.operation, 0.0, 0, 0, 0, 0, 0, 0)


def _mean_target(before: Sample | None, after: Sample) -> float:
    """Return an interval's mean target, per second.

    A sample has the target at its time. If it is 0 at one end, the other end's counts for the whole
    interval, since a schedule starts, stops and pauses at once.
    """
    if before is None or not before.target_rate:
        return after.target_rate
    if not after.target_rate:
        return before.target_rate
    return (before.target_rate + after.target_rate) / 2


def downsample(
    intervals: Sequence[Interval], most_spans: int = MOST_SPANS, *, smooth: bool = True
) -> list[Span]:
    """Return one operation's run in at most so many spans, without the drain's idle end.

    If `smooth`, intervals are joined until enough arrivals were due for a rate to mean something.
    """
    length = max(
        (n for n, i in enumerate(intervals, 1) if i.is_active or i.sample.target_rate > 0),
        default=0,
    )
    shown = intervals[:length]
    if not shown:
        return []
    seconds = shown[-1].end - shown[0].begin
    planned = sum(interval.target * interval.seconds for interval in shown)
    shortest = _ARRIVALS_PER_RATE * seconds / planned if planned and smooth else 0.0
    groups = _joined(shown, min(shortest, seconds / _ARRIVALS_PER_RATE))
    if len(groups) <= most_spans:
        return [_span([group]) for group in groups]
    by_span: dict[int, list[list[Interval]]] = {}
    for group in groups:
        middle = (group[0].begin + group[-1].end) / 2 - shown[0].begin
        by_span.setdefault(min(most_spans - 1, int(most_spans * middle / seconds)), []).append(
            group
        )
    return [_span(neighbours) for neighbours in by_span.values()]


def running_totals(intervals: Sequence[Interval]) -> list[RunningTotal]:
    """Return the counts each time they change; for operations of few arrivals."""
    shown = [interval for interval in intervals if interval.target or interval.is_active]
    planned, offered, committed = 0.0, 0, 0
    totals = [RunningTotal(0.0, 0.0, 0, 0)]
    for interval in shown:
        planned += interval.target * interval.seconds
        offered, committed = offered + interval.offered, committed + interval.committed
        if interval.offered or interval.committed or interval is shown[-1]:
            totals.append(RunningTotal(interval.end, planned, offered, committed))
    return totals


def _joined(intervals: Iterable[Interval], shortest: float) -> list[list[Interval]]:
    """Join neighbours until each group is at least so many seconds long; the last may be short."""
    groups: list[list[Interval]] = []
    length = inf
    for interval in intervals:
        if length >= shortest:
            groups.append([])
            length = 0.0
        groups[-1].append(interval)
        length += interval.seconds
    if len(groups) > 1 and length < shortest / 2:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _span(groups: Sequence[Sequence[Interval]]) -> Span:
    intervals = [interval for group in groups for interval in group]
    seconds = intervals[-1].end - intervals[0].begin
    rates = [sum(i.committed for i in group) / (group[-1].end - group[0].begin) for group in groups]
    samples = [interval.sample for interval in intervals]
    service = [s.service_p95 for s in samples if s.service_p95 is not None]
    intended = [s.intended_p95 for s in samples if s.intended_p95 is not None]
    return Span(
        begin=intervals[0].begin,
        end=intervals[-1].end,
        target=sum(i.target * i.seconds for i in intervals) / seconds,
        offered=sum(i.offered for i in intervals) / seconds,
        committed=sum(i.committed for i in intervals) / seconds,
        least=min(rates),
        most=max(rates),
        service=median(service) if service else None,
        intended=median(intended) if intended else None,
        worst_service=max(service, default=None),
        worst_intended=max(intended, default=None),
        failed=sum(i.failed for i in intervals),
        skipped=sum(i.skipped for i in intervals),
    )
