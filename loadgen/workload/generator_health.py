"""What a load process tells of itself for each second, and when it was the bottleneck itself. Pure.

A process is measured by `health`; docs/method/accounting.md has the rule and its reasons.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

BUSY_LIMIT: Final = 0.95  # a process that did not rest for more than a twentieth of the time
_LATE_SECONDS: Final = 0.1
_REMEMBERED_SECONDS: Final = 600  # health of one second arrive within seconds of each other


class GeneratorHealth(NamedTuple):
    """One process from one whole second (since the epoch) to a later one, mostly the next.

    Lags (seconds) tell how late a short timer fired. cpu_ratio is the process's CPU time over the
    time passed; busy_ratio adds the time in which it could have run and had no processor.
    """

    begin: int
    end: int
    lag_p99: float
    lag_max: float
    cpu_ratio: float
    busy_ratio: float
    late_wakes: int  # arrivals given late to a connection that was idle when they fell due
    overdue: bool  # an arrival had waited too long for a connection

    def bottleneck(self) -> bool:
        """Tell whether arrivals were late through this process and not through the source."""
        return self.late_wakes > 0 or (self.overdue and self.busy_ratio >= BUSY_LIMIT)


def late_after(lateness_limit: float) -> float:
    """Return by how many seconds an arrival may start after its due time and not be late."""
    return min(_LATE_SECONDS, lateness_limit / 2)


def p99(lags: list[float]) -> float:
    """Return the lag that one in a hundred exceeds."""
    return sorted(lags)[int(0.99 * (len(lags) - 1))] if lags else 0.0


def worst(health: Sequence[GeneratorHealth]) -> Mapping[str, float]:
    """Return the worst of each figure, by the names that the record has for them."""
    return {
        "loop_lag_p99": max(v.lag_p99 for v in health),
        "loop_lag_max": max(v.lag_max for v in health),
        "cpu_ratio": max(v.cpu_ratio for v in health),
        "busy_ratio": max(v.busy_ratio for v in health),
    }


class Marks:
    """Counts the seconds in which any process was the bottleneck, each once."""

    def __init__(self) -> None:
        self._seconds: set[int] = set()

    def add(self, health: Iterable[GeneratorHealth]) -> int:
        """Return how many seconds these mark that were not marked yet."""
        new = {s for v in health if v.bottleneck() for s in range(v.begin, v.end)} - self._seconds
        self._seconds |= new
        newest = max(self._seconds, default=0)
        self._seconds = {s for s in self._seconds if s > newest - _REMEMBERED_SECONDS}
        return len(new)
