"""How the load rises and falls: a multiplier of the asked rates over the schedule's own time.

A profile is piecewise linear, so that its integral and the integral's inverse are exact
arithmetic (plus, minus, times, divide, square root) and equal on every machine. The long-run mean
of `steady`, `diurnal` and `burst` is 1: an hour asked for is an hour delivered. `ramp` rises from
nothing to 1 in ten minutes and stays.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, sqrt
from typing import Literal

ProfileName = Literal["steady", "diurnal", "burst", "ramp"]

_HOUR = 3600.0
_DAY = 24 * _HOUR

# Share of an average hour in each hour of a working day, from midnight: a shop's trade rises
# through the morning, dips at supper and ends late. Week-end days run at 60% of it.
_WORKING_DAY = (
    *(0.35, 0.25, 0.2, 0.2, 0.25, 0.4, 0.6, 0.9, 1.2, 1.5, 1.65, 1.6),
    *(1.5, 1.5, 1.55, 1.55, 1.5, 1.45, 1.35, 1.4, 1.45, 1.3, 0.95, 0.6),
)
_WEEK_END = 0.6


@dataclass(frozen=True, slots=True)
class Profile:
    """Multiplier of the rate at schedule time s; see `profile` for the four there are.

    `times` (seconds, from 0) and `levels` are the corners of the line; `sums` is the integral up
    to each corner. After the last corner a periodic profile starts again, others hold.
    """

    times: tuple[float, ...]
    levels: tuple[float, ...]
    sums: tuple[float, ...]
    periodic: bool

    def level(self, s: float) -> float:
        """Return the multiplier at schedule time `s` (seconds); before the start, that of 0."""
        s = max(s, 0.0)
        if self.periodic:
            s -= floor(s / self.times[-1]) * self.times[-1]
        i = bisect_right(self.times, s) - 1
        if i >= len(self.times) - 1:
            return self.levels[-1]
        return self.levels[i] + self._slope(i) * (s - self.times[i])

    def integral(self, s: float) -> float:
        """Return the integral of the multiplier from 0 to `s`, in seconds at level 1."""
        s = max(s, 0.0)
        whole = 0.0
        if self.periodic:
            turns = floor(s / self.times[-1])
            whole, s = turns * self.sums[-1], s - turns * self.times[-1]
        i = bisect_right(self.times, s) - 1
        past = s - self.times[i]
        if i >= len(self.times) - 1:
            return whole + self.sums[i] + past * self.levels[i]
        return whole + self.sums[i] + past * (self.levels[i] + self._slope(i) * past / 2)

    def inverse(self, area: float) -> float:
        """Return the schedule time at which the integral reaches `area`."""
        whole = 0.0
        if self.periodic:
            turns = floor(area / self.sums[-1])
            whole, area = turns * self.times[-1], area - turns * self.sums[-1]
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


def _week() -> list[tuple[float, float]]:
    """Return a week that begins on a Monday midnight: five working days, two slower ones."""
    return [
        (day * _DAY + hour * _HOUR, level * (_WEEK_END if day >= 5 else 1.0))
        for day in range(7)
        for hour, level in enumerate(_WORKING_DAY)
    ] + [(7 * _DAY, _WORKING_DAY[0])]


# Ten minutes: nine quiet ones, then one at several times the rate, with 5-second flanks.
_BURST = [(0.0, 0.5), (270.0, 0.5), (275.0, 5.0), (325.0, 5.0), (330.0, 0.5), (600.0, 0.5)]

_PROFILES: dict[ProfileName, Profile] = {
    "steady": _from_corners([(0.0, 1.0)], periodic=False),
    "diurnal": _from_corners(_week(), periodic=True),
    "burst": _from_corners(_BURST, periodic=True),
    "ramp": _from_corners([(0.0, 0.0), (600.0, 1.0)], periodic=False),
}


def profile(name: ProfileName) -> Profile:
    """Return the profile called `name`."""
    return _PROFILES[name]
