"""How a load process did in each second, and whether it was the bottleneck itself.

`LoopMonitor` measures a process. docs/method.md gives the rule and the reasons for it. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

BUSY_LIMIT: Final = 0.95  # a process that rests for less than a twentieth of the time
_LATE_SECONDS: Final = 0.1
_REMEMBERED_SECONDS: Final = 600  # health of one second arrives within seconds of each other


class GeneratorHealth(NamedTuple):
    """One process from one whole second (since the epoch) to a later one, mostly the next.

    Lags (seconds) are how late a short timer fired. cpu_ratio is the process's CPU time per second;
    busy_ratio adds the time in which it could have run but had no processor.
    """

    begin: int
    end: int
    lag_p99: float
    lag_max: float
    cpu_ratio: float
    busy_ratio: float
    late_wakes: int  # arrivals that reached a connection late though it was idle when they fell due
    overdue: bool  # an arrival had waited too long for a connection

    def bottleneck(self) -> bool:
        """Tell whether arrivals were late because of this process and not of the source."""
        return self.late_wakes > 0 or (self.overdue and self.busy_ratio >= BUSY_LIMIT)


def late_after(lateness_limit: float) -> float:
    """Return how many seconds after its due time an arrival may start without being late."""
    return min(_LATE_SECONDS, lateness_limit / 2)


def p99(lags: list[float]) -> float:
    """Return the lag that one in a hundred exceeds."""
    return sorted(lags)[int(0.99 * (len(lags) - 1))] if lags else 0.0


def worst_figures(health: Sequence[GeneratorHealth]) -> Mapping[str, float]:
    """Return the worst of each figure over all processes, by the record's column names."""
    return {
        "loop_lag_p99": max(h.lag_p99 for h in health),
        "loop_lag_max": max(h.lag_max for h in health),
        "cpu_ratio": max(h.cpu_ratio for h in health),
        "busy_ratio": max(h.busy_ratio for h in health),
    }


class BottleneckSeconds:
    """Counts the seconds in which any process was the bottleneck, each once."""

    def __init__(self) -> None:
        self._seconds: set[int] = set()

    def add(self, health: Iterable[GeneratorHealth]) -> int:
        """Return how many seconds these add to the ones counted before."""
        new = {s for h in health if h.bottleneck() for s in range(h.begin, h.end)} - self._seconds
        self._seconds |= new
        newest = max(self._seconds, default=0)
        self._seconds = {s for s in self._seconds if s > newest - _REMEMBERED_SECONDS}
        return len(new)
