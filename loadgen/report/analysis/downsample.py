"""Intervals thinned to what a chart can show: means that are exact, and the worst moments kept.

The mean rate of any span is a difference of two counters, however many intervals lie between; the
extremes are those of its parts. Latencies are the typical and the worst interval's. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from loadgen.report.analysis.intervals import Interval

MOST_SPANS = 160  # a chart is some 300 points wide
FEW_ARRIVALS = 60  # of fewer, a rate would show chance: they are shown one by one
_TELLING_ARRIVALS = 8  # the extremes are taken over parts in which at least so many are due


@dataclass(frozen=True, slots=True)
class Span:
    """What one operation did from `begin` to `end`, in seconds since the schedule's start.

    Rates are per second; `least` and `most` are the extremes of the committed rate within the
    span. Latencies are the p95 of samples, the typical one and the worst. Counts are the span's.
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
class Step:
    """Counts from the start of the run up to a moment (seconds since the start)."""

    at: float
    asked: float
    offered: int
    committed: int


def spans(parts: Sequence[Interval], most: int = MOST_SPANS, *, telling: bool = True) -> list[Span]:
    """Return one operation's run in at most `most` spans; what follows its last act is left out.

    If `telling`, intervals are joined until enough was due in them for a rate to mean something.
    """
    lived = _without_quiet_end(parts)
    if not lived:
        return []
    seconds, asked = lived[-1].end - lived[0].begin, sum(p.target * p.seconds for p in lived)
    least = _TELLING_ARRIVALS * seconds / asked if asked and telling else 0.0
    fine = _grouped(lived, min(least, seconds / _TELLING_ARRIVALS))
    return [_span(group) for group in _fewer(fine, seconds, most)]


def steps(parts: Sequence[Interval]) -> list[Step]:
    """Return the counts whenever one changed; for operations of few arrivals."""
    lived = [part for part in parts if part.target or _happened(part)]
    asked, offered, committed = 0.0, 0, 0
    found = [Step(0.0, 0.0, 0, 0)]
    for part in lived:
        asked += part.target * part.seconds
        offered, committed = offered + part.offered, committed + part.committed
        if part.offered or part.committed or part is lived[-1]:
            found.append(Step(part.end, asked, offered, committed))
    return found


def _without_quiet_end(parts: Sequence[Interval]) -> Sequence[Interval]:
    """Leave out the drain's intervals in which nothing was due and nothing happened any more."""
    last = len(parts)
    while last and not _alive(parts[last - 1]):
        last -= 1
    return parts[:last]


def _alive(part: Interval) -> bool:
    return _happened(part) or part.sample.target_rate > 0


def _happened(part: Interval) -> bool:
    return bool(part.offered or part.committed or part.failed or part.skipped)


def _grouped(parts: Iterable[Interval], least: float) -> list[list[Interval]]:
    """Join neighbours until each group is at least so many seconds long; the last may be short."""
    groups: list[list[Interval]] = []
    length = inf
    for part in parts:
        if length >= least:
            groups.append([])
            length = 0.0
        groups[-1].append(part)
        length += part.seconds
    if len(groups) > 1 and length < least / 2:
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _fewer(fine: Sequence[list[Interval]], seconds: float, most: int) -> list[list[list[Interval]]]:
    """Join neighbouring groups until at most `most` are left, of about one length."""
    if len(fine) <= most:
        return [[group] for group in fine]
    begin, found = fine[0][0].begin, dict[int, list[list[Interval]]]()
    for group in fine:
        middle = (group[0].begin + group[-1].end) / 2 - begin
        found.setdefault(min(most - 1, int(most * middle / seconds)), []).append(group)
    return list(found.values())


def _span(groups: Sequence[Sequence[Interval]]) -> Span:
    parts = [part for group in groups for part in group]
    seconds = parts[-1].end - parts[0].begin
    rates = [sum(p.committed for p in g) / (g[-1].end - g[0].begin) for g in groups]
    service = [p.sample.service_p95 for p in parts if p.sample.service_p95 is not None]
    intended = [p.sample.intended_p95 for p in parts if p.sample.intended_p95 is not None]
    return Span(
        begin=parts[0].begin,
        end=parts[-1].end,
        target=sum(p.target * p.seconds for p in parts) / seconds,
        offered=sum(p.offered for p in parts) / seconds,
        committed=sum(p.committed for p in parts) / seconds,
        least=min(rates),
        most=max(rates),
        service=median(service) if service else None,
        intended=median(intended) if intended else None,
        worst_service=max(service, default=None),
        worst_intended=max(intended, default=None),
        failed=sum(p.failed for p in parts),
        skipped=sum(p.skipped for p in parts),
    )
