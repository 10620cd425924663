"""Schedule time: seconds since the start of the schedule, standing still during a pause."""

from collections.abc import Callable
from math import inf


class ScheduleClock:
    """Turns a monotonic clock into schedule seconds; negative before the start."""

    __slots__ = ("_monotonic", "_paused_at", "_zero")

    def __init__(self, monotonic: Callable[[], float], zero: float = inf) -> None:
        self._monotonic = monotonic
        self._zero = zero
        self._paused_at: float | None = None

    def now(self) -> float:
        """Return the schedule time of this moment."""
        if self._paused_at is not None:
            return self._paused_at
        return self._monotonic() - self._zero

    @property
    def paused(self) -> bool:
        """Whether the clock stands still."""
        return self._paused_at is not None

    def start(self, zero: float) -> None:
        """Let `zero` on the monotonic clock be schedule time 0."""
        self._zero = zero

    def pause(self) -> None:
        """Stand still from now on; nothing where it already does."""
        if self._paused_at is None:
            self._paused_at = self.now()

    def resume(self) -> None:
        """Go on from where the clock was paused."""
        if self._paused_at is not None:
            self._zero = self._monotonic() - self._paused_at
            self._paused_at = None
