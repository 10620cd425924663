"""The clock of a run record: the time of day by one reading, plus the seconds passed since then.

The machine's clock may be set during a run. The times of the record stay in order all the same, and
the step is reported.
"""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

_STEP_SECONDS = 0.5  # less than that is drift, or the time between two readings


class SteadyClock:
    """A clock that can't be set, and that never reads a time before `not_before`."""

    def __init__(self, not_before: datetime | None = None) -> None:
        self._zero, began = passed(), datetime.now(UTC)
        self._began = max(began, not_before or began)
        self._offset = (began - self._began).total_seconds()  # of the machine's clock to this one

    def now(self) -> datetime:
        """Return the time of day."""
        return self._began + timedelta(seconds=passed() - self._zero)

    def step(self) -> float:
        """Return by how many seconds the machine's clock was set since the last call; 0 if not."""
        offset = (datetime.now(UTC) - self.now()).total_seconds()
        step, self._offset = offset - self._offset, offset
        return round(step, 3) if abs(step) > _STEP_SECONDS else 0.0


def passed() -> float:
    """Return seconds of a clock that can't be set; it runs while the machine sleeps, if it can."""
    with suppress(AttributeError, OSError):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
