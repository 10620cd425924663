"""Each tool's markers: how long they took, which never arrived, and the tool's outages. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby, pairwise
from math import ceil
from statistics import median
from typing import Final

from loadgen import text
from loadgen.record.rows import MarkerSample

FEWEST_FOR_P95: Final = 20  # deliveries; a high quantile of fewer is one row's luck
FEWEST_FOR_P99: Final = 100
_FEWEST_FOR_OUTAGES: Final = 6  # renewals; of fewer there is no usual wait
_OUTAGE_MEDIANS: Final = 3  # a wait of so many medians is an outage
_OUTAGE_SECONDS: Final = 10.0  # if it is also so much longer than the median


@dataclass(frozen=True, slots=True)
class Renewal:
    """One look at a copy that found newer markers than before; times in seconds.

    The newest took `seconds`, the oldest had waited `oldest_seconds`, of which `poll_seconds` may
    be the watch's time between two looks.
    """

    seen_at: datetime
    written_at: datetime  # the newest marker
    seconds: float
    oldest_seconds: float
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class Outage:
    """The time from a tool's last delivery to its next; None if none came.

    `oldest` is how long a marker waited. `caught_up` is when a marker first arrived as fast as 95%
    of them had before.
    """

    began: datetime
    resumed: datetime | None
    oldest: timedelta
    caught_up: datetime | None


@dataclass(frozen=True)
class Deliveries:
    """One tool's markers; `until` is the last moment at which the watch is known to have looked."""

    markers: Sequence[MarkerSample]
    until: datetime | None = None

    @cached_property
    def seconds(self) -> Sequence[float]:
        """How long the deliveries took, ascending."""
        return sorted(m.delivery_seconds for m in self.markers if m.delivery_seconds is not None)

    @property
    def not_seen(self) -> int:
        """How many never arrived."""
        return len(self.markers) - len(self.seconds)

    @property
    def oldest_unseen(self) -> float | None:
        """How many seconds the oldest marker had waited that never arrived; None if all did."""
        written = [marker.written_at for marker in self.markers if marker.seen_at is None]
        until = self.until or _last_moment(self.markers)
        return (until - min(written)).total_seconds() if written and until else None

    def quantile(self, share: float, fewest: int = 1) -> float | None:
        """Return the time within which that share was delivered; None if there are too few."""
        if len(self.seconds) < max(1, fewest):
            return None
        return nearest(self.seconds, share)

    @property
    def at_most(self) -> str:
        """The prefix of times that may be the watch's own wait between two looks, if they may."""
        waits = [
            min(m.poll_seconds or 0.0, m.delivery_seconds)
            for m in self.markers
            if m.delivery_seconds is not None
        ]
        usual = self.quantile(0.5)
        return "at most " if usual and median(waits) > usual / 2 else ""

    @property
    def p95(self) -> float | None:
        """The p95, if there are enough deliveries for one."""
        return self.quantile(0.95, FEWEST_FOR_P95)

    def __str__(self) -> str:
        count = seen_text(len(self.seconds), len(self.markers), self.oldest_unseen)
        if not self.seconds:
            return count
        times = f"changes arrive in {self.at_most}{text.latency(self.quantile(0.5))} (median)"
        if self.p95 is None:
            times += f", {text.latency(self.seconds[-1])} at most"
        else:
            times += f", {text.latency(self.p95)} (p95)"
        if self.not_seen:
            return f"{times}; {count}"
        return f"{times}, of {text.plural(len(self.seconds), 'marker')}"

    def renewals(self) -> Iterator[Renewal]:
        """Yield each look that found a marker newer than all before."""
        newest: datetime | None = None
        by_time = sorted(
            ((marker.seen_at, marker) for marker in self.markers if marker.seen_at is not None),
            key=lambda pair: pair[0],
        )
        for seen_at, pairs in groupby(by_time, key=lambda pair: pair[0]):
            markers = [marker for _, marker in pairs]
            times = sorted(marker.written_at for marker in markers)
            if newest is None or times[-1] > newest:
                newest = times[-1]
                seconds, oldest = ((seen_at - at).total_seconds() for at in (newest, times[0]))
                poll_seconds = min(oldest, max(marker.poll_seconds or 0.0 for marker in markers))
                yield Renewal(seen_at, newest, seconds, oldest, poll_seconds)

    def outages(self) -> list[Outage] | None:
        """Return the tool's outages, whatever their cause; None if too little arrived to tell.

        The time between two looks of the watch does not count.
        """
        renewals = list(self.renewals())
        if len(renewals) < _FEWEST_FOR_OUTAGES:
            return None
        usual = median(renewal.oldest_seconds for renewal in renewals)
        limit = max(_OUTAGE_MEDIANS * usual, usual + _OUTAGE_SECONDS)
        outages: list[Outage] = []
        for place, (before, now) in enumerate(pairwise(renewals), 1):
            caught_up = outages[-1].caught_up if outages else now.seen_at
            still_behind = caught_up is None or caught_up > now.seen_at
            if now.oldest_seconds - now.poll_seconds > limit and not still_behind:
                fast = nearest(sorted(renewal.seconds for renewal in renewals[:place]), 0.95)
                later = (r.seen_at for r in renewals[place:] if r.seconds - r.poll_seconds <= fast)
                oldest = timedelta(seconds=now.oldest_seconds)
                outages.append(Outage(before.seen_at, now.seen_at, oldest, next(later, None)))
        last = renewals[-1]
        unseen = [m.written_at for m in self.markers if m.written_at > last.written_at]
        if unseen and (max(unseen) - min(unseen)).total_seconds() > limit:
            outages.append(Outage(last.seen_at, None, max(unseen) - min(unseen), None))
        return outages


def by_tool(markers: Iterable[MarkerSample]) -> Mapping[str, Deliveries]:
    """Return each tool's deliveries, tools in the order in which they first appear."""
    tools: dict[str, list[MarkerSample]] = {}
    for marker in markers:
        tools.setdefault(marker.tool, []).append(marker)
    until = _last_moment([marker for several in tools.values() for marker in several])
    return {name: Deliveries(several, until) for name, several in tools.items()}


def seen_text(delivered: int, written: int, oldest_unseen: float | None) -> str:
    """Return how many markers were seen, and how long the oldest of the others has waited."""
    count = f"{text.count(delivered)} of {text.plural(written, 'marker')} seen"
    if oldest_unseen is None:
        return count
    return f"{count}, the oldest unseen has waited {text.duration(oldest_unseen)}"


def _last_moment(markers: Iterable[MarkerSample]) -> datetime | None:
    """Return the last moment at which one of the markers was written or seen."""
    return max((marker.seen_at or marker.written_at for marker in markers), default=None)


def nearest(ordered: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile of ascending numbers."""
    return ordered[ceil(share * len(ordered)) - 1]
