"""The arrival schedule: which write is due when, as pure arithmetic.

The k-th arrival of an operation is a function of (seed, operation, k): its point in unit-rate time
and its draws. Its due time is where the integral of the operation's rate reaches that point. Times
here are schedule seconds: 0 at the start, standing still during a pause. Nothing here reads a
clock, draws a random number or opens a connection.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import floor, inf, log1p
from typing import Literal, NamedTuple

from loadgen.workload.mix import OPERATIONS, Mix
from loadgen.workload.profiles import Profile, ProfileName, profile

ArrivalKind = Literal["jitter", "poisson", "even"]

_UNPACK = struct.Struct("<8Q").unpack
# Poisson gaps are whole multiples of 2**-32, so that sums are exact and an ulp of difference
# between two machines' log() is rounded away.
_TICKS = 2.0**32


class Arrival(NamedTuple):
    """One write that falls due: `point` in unit-rate time, `due` in schedule seconds.

    `draws` are eight uniform 64-bit integers: the first places the arrival in time, the second
    picks its target, the rest are for its values.
    """

    operation: str
    k: int
    point: float
    due: float
    draws: tuple[int, ...]


class Share(NamedTuple):
    """The part of a schedule that one process takes: every k with k % of == part."""

    part: int
    of: int


WHOLE = Share(0, 1)


class Checkpoint(NamedTuple):
    """A place in a stream: `k` and, for Poisson, the sum of the gaps before it (2**-32 units)."""

    k: int
    ticks: int


def unit(draw: int) -> float:
    """Return a uniform float in [0, 1) from a 64-bit draw."""
    return (draw >> 11) * 2.0**-53


class Stream:
    """The endless arrivals of one operation for one seed, in unit-rate time."""

    __slots__ = ("_hash", "kind", "operation")

    def __init__(self, seed: int, operation: str, kind: ArrivalKind) -> None:
        self.operation = operation
        self.kind = kind
        self._hash = blake2b(key=f"{seed}:{operation}".encode(), digest_size=64)

    def draws(self, k: int) -> tuple[int, ...]:
        """Return the eight 64-bit draws of arrival `k`."""
        h = self._hash.copy()
        h.update(b"%d" % k)
        return _UNPACK(h.digest())

    def point(self, place: Checkpoint, draws: tuple[int, ...]) -> tuple[float, int]:
        """Return the point of arrival `place.k`, and the ticks to hand on to the next."""
        if self.kind == "jitter":
            return place.k + unit(draws[0]), 0
        if self.kind == "even":
            return place.k + 0.5, 0
        ticks = place.ticks + round(-log1p(-unit(draws[0])) * _TICKS)
        return ticks / _TICKS, ticks

    def first_from(self, place: Checkpoint, point: float) -> Checkpoint:
        """Return the first place at or after `place` whose arrival is at `point` or later."""
        if self.kind != "poisson":
            place = Checkpoint(max(place.k, floor(point) - 1), 0)
        while True:
            at, ticks = self.point(place, self.draws(place.k))
            if at >= point:
                return place
            place = Checkpoint(place.k + 1, ticks)


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float  # schedule seconds
    units: float  # unit-rate time at start
    area: float  # the profile's integral at start
    rate: float  # per second, before the profile


class Timeline:
    """One operation's rate over schedule time, its integral, and the integral's inverse."""

    __slots__ = ("_profile", "_segments")

    def __init__(self, rate: float, shape: Profile) -> None:
        self._profile = shape
        self._segments = [_Segment(0.0, 0.0, 0.0, rate)]

    def change(self, at: float, rate: float) -> None:
        """From `at` on the rate is `rate`; changes must come in order of time."""
        segments = self._segments
        if at < segments[-1].start:
            raise ValueError(f"a change at {at} s lies before the one at {segments[-1].start} s")
        units, area = self.units(at), self._profile.integral(at)
        if segments[-1].start == at:
            segments.pop()
        segments.append(_Segment(at, units, area, rate))

    def units(self, s: float) -> float:
        """Return the unit-rate time at schedule time `s`: how many arrivals are asked by then."""
        segment = self._at(s)
        return segment.units + segment.rate * (self._profile.integral(s) - segment.area)

    def rate(self, s: float) -> float:
        """Return the target rate at schedule time `s`, per second."""
        return self._at(s).rate * self._profile.level(s)

    def when(self, point: float) -> float:
        """Return the schedule time at which `point` is reached; infinite if it never is."""
        segments = self._segments
        i = len(segments) - 1
        while i and segments[i].units > point:
            i -= 1
        # A point equal to a segment's start is reached when the segment before it ends, unless
        # that one stood still; both are the same instant or the earlier one.
        segment = segments[i]
        if segment.rate <= 0.0:
            return inf
        return self._profile.inverse(segment.area + (point - segment.units) / segment.rate)

    def _at(self, s: float) -> _Segment:
        for segment in reversed(self._segments):
            if segment.start <= s:
                return segment
        return self._segments[0]


class Walk:
    """The arrivals of one operation that fall to one process, one after the other."""

    __slots__ = ("_last", "_place", "share", "stream", "timeline", "upcoming")

    upcoming: Arrival

    def __init__(self, stream: Stream, timeline: Timeline, share: Share) -> None:
        self.stream = stream
        self.timeline = timeline
        self.share = share
        self._last = self._place = Checkpoint(0, 0)
        self._seek()

    def step(self) -> Arrival:
        """Return the upcoming arrival and go on to the next one."""
        arrival = self.upcoming
        self._last = self._place
        self._seek()
        return arrival

    def retime(self) -> None:
        """Compute the upcoming arrival's due time again after the timeline has changed."""
        self.upcoming = self.upcoming._replace(due=self.timeline.when(self.upcoming.point))

    def resplit(self, at: float, share: Share) -> None:
        """Take `share` of the arrivals due from `at` on; those before stay with the old share.

        Call it when every arrival due before `at` has been taken.
        """
        self.share = share
        self._place = self.stream.first_from(self._last, self.timeline.units(at))
        self._seek()

    def _seek(self) -> None:
        """Make `upcoming` the first arrival of this share at or after the present place."""
        place, stream, (part, of) = self._place, self.stream, self.share
        if stream.kind != "poisson":
            place = Checkpoint(place.k + (part - place.k) % of, 0)
        while True:
            draws = stream.draws(place.k)
            point, ticks = stream.point(place, draws)
            if place.k % of == part:
                break
            place = Checkpoint(place.k + 1, ticks)
        due = self.timeline.when(point)
        self.upcoming = Arrival(stream.operation, place.k, point, due, draws)
        self._place = Checkpoint(place.k + 1, ticks)


class Schedule:
    """All operations' walks of one process, merged in order of due time."""

    __slots__ = ("_share_from", "end", "mix", "walks")

    def __init__(  # noqa: PLR0913 - a schedule is these six facts
        self,
        seed: int,
        kind: ArrivalKind,
        mix: Mix,
        profile_name: ProfileName = "steady",
        *,
        share: Share = WHOLE,
        end: float = inf,
    ) -> None:
        shape = profile(profile_name)
        self.mix = mix
        self.end = end
        self._share_from: tuple[float, Share] | None = None
        self.walks = [
            Walk(Stream(seed, name, kind), Timeline(mix.rate(name), shape), share)
            for name in OPERATIONS
        ]

    def next_due(self) -> float:
        """Return the due time of the next arrival; infinite where none is to come."""
        due = min(walk.upcoming.due for walk in self.walks)
        return due if due < self.end else inf

    def pop_due(self, s: float) -> Iterator[Arrival]:
        """Yield, in order, every arrival that is due at schedule time `s` or before it."""
        walks = self.walks
        while True:
            if self._share_from is not None and self.next_due() >= self._share_from[0]:
                self._resplit(*self._share_from)
            first = walks[0]
            for walk in walks:
                if walk.upcoming.due < first.upcoming.due:
                    first = walk
            if first.upcoming.due > s or first.upcoming.due >= self.end:
                return
            yield first.step()

    def change_rates(self, at: float, mix: Mix) -> None:
        """From schedule time `at` on the rates are those of `mix`."""
        self.mix = mix
        for walk in self.walks:
            walk.timeline.change(at, mix.rate(walk.stream.operation))
            walk.retime()

    def change_share(self, at: float, share: Share) -> None:
        """From schedule time `at` on this process takes `share` of the arrivals."""
        if self._share_from is not None:
            raise ValueError("a change of share is still waiting for its instant")
        self._share_from = (at, share)

    def target_rates(self, s: float) -> Mapping[str, float]:
        """Return the whole swarm's target rate per operation at `s`, per second; 0 past the end."""
        if s >= self.end:
            return dict.fromkeys(OPERATIONS, 0.0)
        return {walk.stream.operation: walk.timeline.rate(s) for walk in self.walks}

    def asked(self, s: float) -> Mapping[str, float]:
        """Return how many arrivals the rates ask for from the start up to `s`, per operation."""
        s = min(s, self.end)
        return {walk.stream.operation: walk.timeline.units(s) for walk in self.walks}

    def _resplit(self, at: float, share: Share) -> None:
        for walk in self.walks:
            walk.resplit(at, share)
        self._share_from = None
