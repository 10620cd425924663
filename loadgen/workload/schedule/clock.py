"""Schedule time, which is seconds since the start without pauses, and the times of the samples."""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from math import inf

from loadgen.record.run import SampleCoverage

# One sample per second for ten minutes, then one in ten seconds: enough detail where people look,
# and a small file after 48 hours.
_FINE_SECONDS, _FINE_INTERVAL, _COARSE_INTERVAL = 600.0, 1.0, 10.0


def sampling_interval(elapsed: float) -> float:
    """Return the seconds between samples, `elapsed` seconds (pauses included) into a run."""
    return _FINE_INTERVAL if elapsed < _FINE_SECONDS else _COARSE_INTERVAL


def seconds_to_next(now: float, before: float, interval: float) -> float:
    """Return the seconds until schedule time is the next multiple of `interval`.

    `before` is the schedule time of the last turn. If it has not moved since (a pause), the next
    turn is a whole interval away.
    """
    return interval if now == before else (now // interval + 1) * interval - now


def sample_coverage(times: Iterable[datetime]) -> SampleCoverage:
    """Return the coverage of a record's samples by their times, which may repeat."""
    moments = sorted(set(times))
    without = 0.0
    for before, after in pairwise(moments):
        due = sampling_interval((before - moments[0]).total_seconds())
        passed = (after - before).total_seconds()
        if passed > 2 * due:
            without += passed - due
    return SampleCoverage(samples=len(moments), seconds_without=round(without, 3))


class ScheduleClock:
    """Turns a monotonic clock into schedule seconds; negative before the start.

    `pause_at` is the schedule time of the announced pause, infinite without one. `zero` is when the
    monotonic clock reads schedule time 0, without pauses to come; before `floor` it does not go
    back.
    """

    __slots__ = ("_monotonic", "_started", "floor", "pause_at", "zero")

    def __init__(self, monotonic: Callable[[], float], zero: float = inf) -> None:
        self._monotonic = monotonic
        self.zero = self._started = zero
        self.floor = -inf
        self.pause_at = inf

    def now(self) -> float:
        """Return the schedule time of this moment."""
        return self.at(self._monotonic())

    def at(self, monotonic: float) -> float:
        """Return the schedule time when the monotonic clock reads `monotonic`."""
        s = monotonic - self.zero
        if s > self.pause_at:
            return self.pause_at
        return s if s > self.floor else self.floor  # noqa: FURB136 - max() costs more than all

    def elapsed(self) -> float:
        """Return the seconds since the start, pauses included."""
        return self.moment()[1]

    def moment(self) -> tuple[float, float]:
        """Return `now` and `elapsed` of one moment, however busy the machine is."""
        monotonic = self._monotonic()
        return self.at(monotonic), monotonic - self._started

    @property
    def paused(self) -> bool:
        """Whether the clock stands still."""
        return self.now() >= self.pause_at

    def start(self, zero: float, elapsed: float = 0.0) -> None:
        """Let schedule time 0 be when the monotonic clock reads `zero`.

        `elapsed` are the seconds for which a resumed run was paused earlier.
        """
        self.zero, self._started = zero, zero - elapsed

    def pause(self, at: float) -> None:
        """Stand still from schedule time `at` on, or from an earlier pause already announced."""
        self.pause_at = min(self.pause_at, at)

    def resume(self, at: float) -> None:
        """End the pause when the monotonic clock reads `at`, now or later."""
        self.floor = self.now()
        self.zero = at - self.floor
        self.pause_at = inf
