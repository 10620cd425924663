"""The rate of an operation over schedule time, its integral, and the inverse of the integral.

A rate curve is a stepwise constant rate times a profile, which says how the load rises and falls.
Profiles are piecewise linear, so that integrals and inverses are exact arithmetic (plus, minus,
times, divide, square root) and equal on every machine. The long-run mean of `steady`, `diurnal`,
`burst` and `workload`, the model's own levels, is 1: over time, the rate per hour that was set is
delivered. `ramp` rises from 0 to 1 in ten minutes and stays there.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, inf, sqrt
from typing import Final, Literal

import numpy as np

from loadgen.workload.model import ProfileLevels

ProfileName = Literal["steady", "diurnal", "burst", "ramp", "workload"]

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR

# Share of an average hour in each hour of a working day, from midnight: a shop's trade rises
# through the morning, dips at supper and ends late. Week-end days run at 60%.
_WORKING_DAY: Final = (
    *(0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.6, 0.9, 1.2, 1.5, 1.65, 1.6),
    *(1.5, 1.5, 1.55, 1.55, 1.5, 1.45, 1.35, 1.4, 1.45, 1.3, 0.95, 0.6),
)
_WEEK_END: Final = 0.6
# In place of a level of 0, as a share of the mean: so the integral always ascends, and each instant
# has one inverse. At 1,000 writes a second an hour of it has 0.004 writes.
_LOWEST_LEVEL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Profile:
    """A multiplier of the rate over schedule time.

    `times` (seconds, from 0) and `levels` are the corners of the line; `sums` is the integral up
    to each corner. Two corners at one time are a step. After the last corner a periodic profile
    starts again; others keep their level.
    """

    times: tuple[float, ...]
    levels: tuple[float, ...]
    sums: tuple[float, ...]
    periodic: bool

    def level(self, s: float) -> float:
        """Return the multiplier at schedule time `s` (seconds); before the start, that of 0."""
        s = max(s, 0.0)
        if self.periodic:
            _, s = _turns(s, self.times[-1])
        i = bisect_right(self.times, s) - 1
        if i >= len(self.times) - 1:
            return self.levels[-1]
        level = self.levels[i] + self._slope(i) * (s - self.times[i])
        return level if level > 2 * _LOWEST_LEVEL else 0.0

    def integral(self, s: float) -> float:
        """Return the integral of the multiplier from 0 to `s`, in seconds at level 1."""
        s = max(s, 0.0)
        whole = 0.0
        if self.periodic:
            turns, s = _turns(s, self.times[-1])
            whole = turns * self.sums[-1]
        i = bisect_right(self.times, s) - 1
        past = s - self.times[i]
        if i >= len(self.times) - 1:
            return whole + self.sums[i] + past * self.levels[i]
        return whole + self.sums[i] + past * (self.levels[i] + self._slope(i) * past / 2)

    def inverse(self, area: float) -> float:
        """Return the schedule time at which the integral reaches `area`."""
        whole = 0.0
        if self.periodic:
            turns, area = _turns(area, self.sums[-1])
            whole = turns * self.times[-1]
        i = bisect_right(self.sums, area) - 1
        left = area - self.sums[i]
        level = self.levels[i]
        if not left:
            return whole + self.times[i]
        if i >= len(self.times) - 1:
            return whole + self.times[i] + left / level
        # left = level * past + slope / 2 * past^2, solved for past without cancellation.
        return (
            whole
            + self.times[i]
            + 2 * left / (level + sqrt(max(0.0, level * level + 2 * self._slope(i) * left)))
        )

    def _slope(self, i: int) -> float:
        return (self.levels[i + 1] - self.levels[i]) / (self.times[i + 1] - self.times[i])


def _turns(x: float, period: float) -> tuple[int, float]:
    """Return how many whole periods are in `x`, and the rest, which rounding must not push out."""
    turns = floor(x / period)
    return turns, min(max(x - turns * period, 0.0), period)


def _from_corners(corners: Sequence[tuple[float, float]], *, periodic: bool) -> Profile:
    """Build a profile; a periodic one is scaled so that its mean is 1."""
    times = tuple(time for time, _ in corners)
    levels = tuple(level for _, level in corners)
    if periodic:
        area = sum((b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(corners))
        levels = tuple(level * times[-1] / area for level in levels)
    sums = [0.0]
    for (a, b), (x, y) in zip(pairwise(times), pairwise(levels), strict=True):
        sums.append(sums[-1] + (b - a) * (x + y) / 2)
    return Profile(times, levels, tuple(sums), periodic)


def _stepwise(own: ProfileLevels) -> Profile:
    """Build a model's own profile. Its parts have the shares of the writes that the levels say."""
    lowest = sum(own.levels) / len(own.levels) * _LOWEST_LEVEL
    levels = [max(level, lowest) for level in own.levels]
    corners = [(step * own.every, level) for i, level in enumerate(levels) for step in (i, i + 1)]
    return _from_corners(corners, periodic=True)


# It begins on a Monday at midnight: five working days, then two slower ones.
_WEEK: Final = [
    (day * _DAY + hour * _HOUR, level * (_WEEK_END if day >= 5 else 1.0))
    for day in range(7)
    for hour, level in enumerate(_WORKING_DAY)
] + [(7 * _DAY, _WORKING_DAY[0])]
# Ten minutes: nine quiet ones, then one at several times the rate, with flanks of five seconds.
_BURST: Final = [(0.0, 0.5), (270.0, 0.5), (275.0, 5.0), (325.0, 5.0), (330.0, 0.5), (600.0, 0.5)]

PROFILES: Final[dict[ProfileName, Profile]] = {
    "steady": _from_corners([(0.0, 1.0)], periodic=False),
    "diurnal": _from_corners(_WEEK, periodic=True),
    "burst": _from_corners(_BURST, periodic=True),
    "ramp": _from_corners([(0.0, 0.0), (600.0, 1.0)], periodic=False),
}
_STEADY: Final = PROFILES["steady"]


def profiles_of(own: ProfileLevels | None) -> Mapping[ProfileName, Profile]:
    """Return the profiles of a model: with `workload` if it has its own."""
    return PROFILES if own is None else {**PROFILES, "workload": _stepwise(own)}


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float  # schedule seconds
    unit_time: float  # at the start
    rate: float  # per second, before the profile
    profile: Profile
    origin: float  # schedule seconds at which the profile began
    area: float  # the integral of the profile from there to the start


class RateCurve:
    """The rate of one operation over schedule time, its integral, and the inverse of the integral.

    The integral is unit-rate time: how many arrivals the rates call for up to a schedule time.
    """

    __slots__ = ("_segments",)

    def __init__(self, rate: float, profile: Profile) -> None:
        self._segments = [_Segment(0.0, 0.0, rate, profile, 0.0, 0.0)]

    def change(self, at: float, rate: float, profile: Profile | None = None) -> None:
        """Set the rate from schedule time `at` on; changes must come in order of time.

        If `profile` is another profile than before, its own time begins at `at`.
        """
        segments = self._segments
        last = segments[-1]
        if at < last.start:
            raise ValueError(f"a change at {at} s lies before the one at {last.start} s")
        unit_time = self.unit_time(at)
        if profile is None or profile is last.profile:
            profile, origin = last.profile, last.origin
        else:
            origin = 0.0 if profile is _STEADY else at
        if last.start == at:
            segments.pop()
        area = profile.integral(at - origin)
        segments.append(_Segment(at, unit_time, rate, profile, origin, area))

    def unit_time(self, s: float) -> float:
        """Return how many arrivals the rates call for up to schedule time `s`: the integral."""
        segment = self._at(s)
        area = segment.profile.integral(s - segment.origin) - segment.area
        return segment.unit_time + segment.rate * area

    def rate(self, s: float) -> float:
        """Return the target rate at schedule time `s`, per second."""
        segment = self._at(s)
        return segment.rate * segment.profile.level(s - segment.origin)

    def due_time(self, unit_time: float) -> float:
        """Return the schedule time at which the integral is `unit_time`; infinite if never."""
        segments = self._segments
        i = len(segments) - 1
        while i and segments[i].unit_time > unit_time:
            i -= 1
        # A time equal to a segment's start is reached when the segment before it ends, unless
        # that one stood still; both are the same instant or the earlier one.
        segment = segments[i]
        if segment.rate <= 0.0:
            return inf
        area = segment.area + (unit_time - segment.unit_time) / segment.rate
        # The integral of a steady profile is time itself.
        if segment.profile is _STEADY or area == inf:
            return area
        return segment.origin + segment.profile.inverse(area)

    def due_times(self, unit_times: Sequence[float]) -> list[float]:
        """Return the `due_time` of each of several unit times, which ascend."""
        last = self._segments[-1]
        if last.profile is _STEADY and last.rate > 0.0 and last.unit_time <= unit_times[0]:
            # The formula of `due_time`, written out: most times are in this segment.
            dues: list[float] = (
                last.area + (np.array(unit_times) - last.unit_time) / last.rate
            ).tolist()
            return dues
        return [self.due_time(unit_time) for unit_time in unit_times]

    def _at(self, s: float) -> _Segment:
        for segment in reversed(self._segments):
            if segment.start <= s:
                return segment
        return self._segments[0]
