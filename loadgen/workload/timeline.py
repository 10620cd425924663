"""An operation's rate over schedule time, and where its integral reaches a point."""

from dataclasses import dataclass
from math import inf

from loadgen.workload.profiles import Profile, profile


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float  # schedule seconds
    units: float  # unit-rate time at start
    area: float  # the profile's integral at start
    rate: float  # per second, before the profile


class Timeline:
    """One operation's rate over schedule time, its integral, and the integral's inverse."""

    __slots__ = ("_profile", "_segments", "_steady")

    def __init__(self, rate: float, shape: Profile) -> None:
        self._profile = shape
        self._steady = shape is profile("steady")
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
        area = segment.area + (point - segment.units) / segment.rate
        # The integral of a steady profile is time itself.
        return area if self._steady or area == inf else self._profile.inverse(area)

    def _at(self, s: float) -> _Segment:
        for segment in reversed(self._segments):
            if segment.start <= s:
                return segment
        return self._segments[0]
