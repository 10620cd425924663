"""The target, offered and committed rate of a run over time, for the chart of the Load tab."""

from bisect import bisect_right
from typing import Final, NamedTuple

_WINDOW_SECONDS: Final = 5.0  # over which a rate is averaged
_MOST_POINTS: Final = 400  # then every second one is dropped, and new ones are as far apart


class Rates(NamedTuple):
    """Rates per second, averaged over the seconds before `seconds`."""

    seconds: float  # since the start, pauses included
    target: float
    offered: float
    committed: float


class RateHistory:
    """The running totals of a run at its samples; their differences are the rates."""

    def __init__(self) -> None:
        self._totals: list[tuple[float, float, int, int]] = []
        self._spacing = 0.0  # the least seconds between two points, except before the last one

    def add(self, seconds: float, planned: float, offered: int, committed: int) -> None:
        """Add the totals of one sample, taken `seconds` after the start."""
        points = self._totals
        if points and seconds <= points[-1][0]:
            return
        if len(points) > 1 and points[-1][0] - points[-2][0] < self._spacing:
            points.pop()
        points.append((seconds, planned, offered, committed))
        if len(points) > _MOST_POINTS:
            points[:-1] = points[:-1:2]
            self._spacing = max(2 * self._spacing, 2 * seconds / _MOST_POINTS)

    def rates(self) -> list[Rates]:
        """Return the rates at each point after the first."""
        return [self._rates_at(end, _WINDOW_SECONDS) for end in range(1, len(self._totals))]

    def newest(self, window: float = _WINDOW_SECONDS) -> Rates | None:
        """Return the rates of the last `window` seconds; None before the second sample."""
        return self._rates_at(len(self._totals) - 1, window) if len(self._totals) > 1 else None

    def _rates_at(self, end: int, window: float) -> Rates:
        seconds, *totals = self._totals[end]
        begin = bisect_right(self._totals, (seconds - window,), 0, end)
        # The last sample before the window, so that a window between two samples is not empty.
        began, *before = self._totals[max(0, begin - 1)]
        passed = seconds - began
        target, offered, committed = (
            (now - then) / passed for now, then in zip(totals, before, strict=True)
        )
        return Rates(seconds, target, offered, committed)
