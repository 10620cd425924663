"""How far another machine's clock is from this one's, told from a few questions. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from loadgen.record.verify import ClockOffset

_QUESTIONS: Final = 3


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
    return ClockOffset(round(ahead, 6), round(within, 6))
