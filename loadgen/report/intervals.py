"""Samples hold counters since the start; this gives what happened between two of them.

Also tells where the whole run stood still: moments in which arrivals fell due and none of any
operation was committed, as when the source is down. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from loadgen.record import Sample

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


def intervals(rows: Sequence[Sample], start: datetime) -> Iterator[Interval]:
    """Yield the intervals between one operation's samples, from the start on.

    Where the first sample is the start itself, its counters are where the first interval begins.
    """
    before: Sample | None = None
    for row in rows:
        end = (row.time - start).total_seconds()
        begin = max(0.0, (before.time - start).total_seconds()) if before else 0.0
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


def standstill(parts: Iterable[Interval]) -> Standstill:
    """Return when the run stood still, from the intervals of all its operations."""
    moments = [
        (end - min(p.begin for p in group), *_sums(group))
        for end, grouped in groupby(sorted(parts, key=lambda p: p.end), key=lambda p: p.end)
        for group in [list(grouped)]
    ]
    still = [i for i, moment in enumerate(moments) if _still(*moment[1:])]
    near = {j for i in still for j in (i - 1, i, i + 1) if 0 <= j < len(moments)}
    return Standstill(sum(moments[i][0] for i in still), sum(moments[j][3] for j in near))


def _still(offered: int, committed: int, skipped: int) -> bool:
    return not committed and (skipped > 0 or offered >= _SEVERAL)


def _sums(group: Sequence[Interval]) -> tuple[int, int, int]:
    offered, committed = sum(p.offered for p in group), sum(p.committed for p in group)
    return offered, committed, sum(p.skipped for p in group)


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
