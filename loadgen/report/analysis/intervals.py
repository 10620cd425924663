"""Samples hold counters since the start; this gives what happened between two of them.

Also tells where the whole run stood still: moments in which arrivals fell due and none of any
operation was committed, as when the source is down. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise

from loadgen.record.rows import Sample

_SEVERAL = 5  # one or two due and none done yet is chance, where little is asked


@dataclass(frozen=True, slots=True)
class Interval:
    """What one operation did from one sample to the next.

    begin and end are seconds since the schedule's start, target is per second, the rest are counts.
    `sample` is the one that ended the interval; its latencies are the interval's own.
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


@dataclass(frozen=True, slots=True)
class Standstill:
    """How long nothing at all was committed though arrivals were due, and what that cost.

    `skipped` counts arrivals skipped during it or in the interval before or after.
    """

    seconds: float
    skipped: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing was offered, since the load had been killed.

    The load went on at `to`; what was due in the `settled` seconds before had been looked up.
    """

    to: datetime
    settled: float


def intervals(
    rows: Sequence[Sample], start: datetime, gaps: Sequence[Gap] = ()
) -> Iterator[Interval]:
    """Yield the intervals between one operation's samples, from the start on.

    Where the first sample is the start itself, its counters are where the first interval begins.
    A gap is an interval of its own, with a target of 0.
    """
    before: Sample | None = None
    for row in rows:
        end = (row.time - start).total_seconds()
        begin = max(0.0, (before.time - start).total_seconds()) if before else 0.0
        for gap in gaps:
            over = (gap.to - start).total_seconds() - gap.settled
            if before and before.time < gap.to < row.time and over > begin:
                yield Interval(begin, over, 0.0, 0, 0, 0, 0, _nothing(before))
                begin = over
        if end > begin:
            yield Interval(
                begin,
                end,
                _target(before, row),
                row.offered - (before.offered if before else 0),
                row.committed - (before.committed if before else 0),
                row.failed - (before.failed if before else 0),
                row.skipped - (before.skipped if before else 0),
                row,
            )
        before = row


def skipped_beside(gaps: Sequence[Gap], rows: Sequence[Sample]) -> int:
    """Return how many of one operation's arrivals were skipped as the load was not there.

    Some are unknown when it goes on, and told at the end only: those that turn out skipped.
    """
    found = 0
    for before, row in pairwise(rows):
        if any(before.time < gap.to < row.time for gap in gaps):
            undone = row.skipped + row.unknown - before.skipped - before.unknown
            found += min(undone, rows[-1].skipped - before.skipped)
    return found


def standstill(parts: Iterable[Interval]) -> Standstill:
    """Return how long the run stood still, from the intervals of all its operations."""
    moments = [
        _Moment.of(list(group)) for _, group in groupby(sorted(parts, key=_end_of), key=_end_of)
    ]
    seconds, near = 0.0, set[int]()
    for idle, group in groupby(range(len(moments)), key=lambda i: not moments[i].committed):
        stretch = list(group)
        if idle and _stands_still([moments[i] for i in stretch]):
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
    def of(cls, group: Sequence[Interval]) -> "_Moment":
        return cls(
            max(part.seconds for part in group),
            sum(part.offered for part in group),
            sum(part.committed for part in group),
            sum(part.skipped for part in group),
        )


def _stands_still(stretch: Sequence[_Moment]) -> bool:
    due = sum(moment.offered for moment in stretch)
    return due >= _SEVERAL or any(moment.skipped for moment in stretch)


def _end_of(part: Interval) -> float:
    return part.end


def _nothing(sample: Sample) -> Sample:
    return Sample(sample.time, sample.operation, 0.0, 0, 0, 0, 0, 0, 0)


def _target(before: Sample | None, row: Sample) -> float:
    """Return the interval's mean target, per second.

    A sample tells the target at its own moment. Between two it is their mean, unless one is 0,
    since a schedule starts, stops and pauses at once.
    """
    if before is None or not before.target_rate:
        return row.target_rate
    if not row.target_rate:
        return before.target_rate
    return (before.target_rate + row.target_rate) / 2
