"""An operation's rate over schedule time, and where its integral reaches a point."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from loadgen.workload.schedule.profiles import Profile, profile

_STEADY = profile("steady")


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float  # schedule seconds
    units: float  # unit-rate time at start
    rate: float  # per second, before the profile
    shape: Profile
    origin: float  # schedule seconds at which the profile began
    area: float  # the profile's integral from there to the start


class RateCurve:
    """One operation's rate over schedule time, its integral, and the integral's inverse."""

    __slots__ = ("_segments",)

    def __init__(self, rate: float, shape: Profile) -> None:
        self._segments = [_Segment(0.0, 0.0, rate, shape, 0.0, 0.0)]

    def change(self, at: float, rate: float, shape: Profile | None = None) -> None:
        """From `at` on the rate is `rate`; changes must come in order of time.

        Another profile, where `shape` is one, begins its own time at `at`.
        """
        segments = self._segments
        last = segments[-1]
        if at < last.start:
            raise ValueError(f"a change at {at} s lies before the one at {last.start} s")
        units = self.units(at)
        if shape is None or shape is last.shape:
            shape, origin = last.shape, last.origin
        else:
            origin = 0.0 if shape is _STEADY else at
        if last.start == at:
            segments.pop()
        segments.append(_Segment(at, units, rate, shape, origin, shape.integral(at - origin)))

    def units(self, s: float) -> float:
        """Return the unit-rate time at schedule time `s`: how many arrivals are asked by then."""
        segment = self._at(s)
        area = segment.shape.integral(s - segment.origin) - segment.area
        return segment.units + segment.rate * area

    def rate(self, s: float) -> float:
        """Return the target rate at schedule time `s`, per second."""
        segment = self._at(s)
        return segment.rate * segment.shape.level(s - segment.origin)

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
        if segment.shape is _STEADY or area == inf:
            return area
        return segment.origin + segment.shape.inverse(area)

    def whens(self, points: Sequence[float]) -> list[float]:
        """Return `when` of each of several points in order."""
        last = self._segments[-1]
        if last.shape is _STEADY and last.rate > 0.0 and last.units <= points[0]:
            # What `when` computes, written out: most points lie here.
            area, units, rate = last.area, last.units, last.rate
            return [area + (point - units) / rate for point in points]
        return [self.when(point) for point in points]

    def _at(self, s: float) -> _Segment:
        for segment in reversed(self._segments):
            if segment.start <= s:
                return segment
        return self._segments[0]
