"""Schedule time: seconds since the start of the schedule, standing still during a pause."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from math import inf

# A sample a second for ten minutes, then one in ten seconds: fine where people look, small in 48 h.
_FINE_SECONDS, _FINE_INTERVAL, _COARSE_INTERVAL = 600.0, 1.0, 10.0


def sampling_interval(elapsed: float) -> float:
    """Return how long the next sample may be away, `elapsed` seconds (pauses too) into a run."""
    return _FINE_INTERVAL if elapsed < _FINE_SECONDS else _COARSE_INTERVAL


def until_next(now: float, before: float, interval: float) -> float:
    """Return the seconds until schedule time is the next whole `interval`.

    `before` is what it was a turn ago: in a pause it stands still, and the next turn is a whole
    interval away.
    """
    return interval if now == before else (now // interval + 1) * interval - now


@dataclass(frozen=True, slots=True)
class Sampled:
    """How many samples a run has, and how long it had none when one was due."""

    samples: int = 0
    seconds_without: float = 0.0

    def plain(self) -> dict[str, float]:
        """Return it as run.json has it."""
        return asdict(self)


def sampled(times: Iterable[datetime]) -> Sampled:
    """Return what the times of a record's samples tell; some may be there more than once."""
    moments = sorted(set(times))
    without = 0.0
    for before, after in pairwise(moments):
        due = sampling_interval((before - moments[0]).total_seconds())
        passed = (after - before).total_seconds()
        if passed > 2 * due:
            without += passed - due
    return Sampled(len(moments), round(without, 3))


class ScheduleClock:
    """Turns a monotonic clock into schedule seconds; negative before the start.

    `limit` is the schedule time at which it stands still, infinite where no pause is announced.
    """

    __slots__ = ("_floor", "_monotonic", "_started", "_zero", "limit")

    def __init__(self, monotonic: Callable[[], float], zero: float = inf) -> None:
        self._monotonic = monotonic
        self._zero = self._started = zero
        self._floor = -inf
        self.limit = inf

    def now(self) -> float:
        """Return the schedule time of this moment."""
        return self.at(self._monotonic())

    def at(self, monotonic: float) -> float:
        """Return the schedule time when the monotonic clock reads `monotonic`."""
        s = monotonic - self._zero
        if s > self.limit:
            return self.limit
        return s if s > self._floor else self._floor  # noqa: FURB136 - max() costs more than all

    def elapsed(self) -> float:
        """Return the seconds since the start, pauses included."""
        return self._monotonic() - self._started

    @property
    def paused(self) -> bool:
        """Whether the clock stands still."""
        return self.now() >= self.limit

    def start(self, zero: float, elapsed: float = 0.0) -> None:
        """Let `zero` on the monotonic clock be schedule time 0.

        A run that is resumed had paused before for `elapsed` seconds.
        """
        self._zero, self._started = zero, zero - elapsed

    def pause(self, at: float) -> None:
        """Stand still once the schedule time is `at`; nothing where a pause is announced."""
        self.limit = min(self.limit, at)

    def resume(self, at: float) -> None:
        """Go on from where it stands when the monotonic clock reads `at`, now or ahead."""
        self._floor = self.now()
        self._zero = at - self._floor
        self.limit = inf
