"""How far another machine's clock is from this one's, told from a few questions. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_QUESTIONS: Final = 3


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """By how many seconds a clock is ahead of ours, and to how many that is exact."""

    ahead_seconds: float
    within_seconds: float

    def plain(self) -> dict[str, float]:
        """Return it as JSON has it, to a microsecond."""
        ahead, within = round(self.ahead_seconds, 6), round(self.within_seconds, 6)
        return {"ahead_seconds": ahead, "within_seconds": within}


def clock_offset(
    there: Callable[[], datetime], here: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> ClockOffset:
    """Return how far the clock `there` is from the one `here`; raises what asking raises.

    Of three answers the quickest is taken: the true value lies within half of its way.
    """
    found = []
    for _ in range(_QUESTIONS):
        before = here()
        answer = there()
        half = (here() - before) / 2
        found.append((half.total_seconds(), (answer - before - half).total_seconds()))
    within, ahead = min(found)
    return ClockOffset(ahead, within)
