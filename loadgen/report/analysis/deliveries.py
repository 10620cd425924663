"""What each tool delivered, and what not: markers by tool, and what came in one look. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from math import ceil
from typing import Final

from loadgen import text as words
from loadgen.record.rows import MarkerSample

FEWEST_FOR_P95: Final = 20  # deliveries; of fewer a high quantile is one row's luck
FEWEST_FOR_P99: Final = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """Markers that were first seen in one look; seconds.

    The newest `took` so long, the oldest had `waited`, `ours` of it maybe between two looks.
    """

    seen: datetime
    written: datetime  # the newest of them
    took: float
    waited: float
    ours: float


@dataclass(frozen=True)
class Deliveries:
    """One tool's markers; `until` is the last moment at which the watch is known to have looked."""

    rows: Sequence[MarkerSample]
    until: datetime | None = None

    @cached_property
    def seconds(self) -> Sequence[float]:
        """How long the deliveries took, ascending."""
        return sorted(row.delivery_seconds for row in self.rows if row.delivery_seconds is not None)

    @property
    def not_seen(self) -> int:
        """How many never came."""
        return len(self.rows) - len(self.seconds)

    @property
    def oldest_unseen(self) -> float | None:
        """How many seconds the oldest marker had waited that never came; None if all came."""
        written = [row.written_at for row in self.rows if row.seen_at is None]
        until = self.until or _until(self.rows)
        return (until - min(written)).total_seconds() if written and until else None

    def quantile(self, share: float, fewest: int = 1) -> float | None:
        """Return the time within which that share was delivered; None of too few."""
        if len(self.seconds) < max(1, fewest):
            return None
        return nearest(self.seconds, share)

    @property
    def p95(self) -> float | None:
        """The p95, where there are enough deliveries for one."""
        return self.quantile(0.95, FEWEST_FOR_P95)

    def __str__(self) -> str:
        seen = seen_words(len(self.seconds), len(self.rows), self.oldest_unseen)
        if not self.seconds:
            return seen
        times = f"deliveries p50 {words.latency(self.quantile(0.5))}"
        if self.p95 is None:
            times += f", longest {words.latency(self.seconds[-1])}"
        else:
            times += f", p95 {words.latency(self.p95)}"
        if self.not_seen:
            return f"{times}; {seen}"
        return f"{times}, of {words.plural(len(self.seconds), 'marker')}"

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what each look has found that was newer than all before."""
        newest: datetime | None = None
        seen = sorted(
            ((row.seen_at, row) for row in self.rows if row.seen_at is not None),
            key=lambda one: one[0],
        )
        for at, together in groupby(seen, key=lambda one: one[0]):
            found = [row for _, row in together]
            times = sorted(row.written_at for row in found)
            if newest is None or times[-1] > newest:
                newest = times[-1]
                took, waited = ((at - one).total_seconds() for one in (newest, times[0]))
                ours = max(row.poll_seconds or 0.0 for row in found)
                yield Arrival(at, newest, took, waited, min(waited, ours))


def by_tool(rows: Iterable[MarkerSample]) -> Mapping[str, Deliveries]:
    """Return each tool's deliveries, tools in the order in which they come."""
    found: dict[str, list[MarkerSample]] = {}
    for row in rows:
        found.setdefault(row.tool, []).append(row)
    until = _until([row for markers in found.values() for row in markers])
    return {name: Deliveries(markers, until) for name, markers in found.items()}


def seen_words(seen: int, written: int, oldest_unseen: float | None) -> str:
    """Return how many markers were seen, and how long the oldest of the others has waited."""
    text = f"{words.count(seen)} of {words.plural(written, 'marker')} seen"
    if oldest_unseen is None:
        return text
    return f"{text}, the oldest unseen has waited {words.duration(oldest_unseen)}"


def _until(rows: Iterable[MarkerSample]) -> datetime | None:
    """Return the last moment that the rows know: a marker was written, or seen."""
    return max((row.seen_at or row.written_at for row in rows), default=None)


def nearest(ordered: Sequence[float], share: float) -> float:
    """Return the least of ascending values that so large a share does not exceed."""
    return ordered[ceil(share * len(ordered)) - 1]
