"""The time that a run pays for: its window, clock hours and days in UTC."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from loadgen.record.rows import Sample
from loadgen.record.run import Run

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """The time from `start` until before `end`, both in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> Decimal:
        """The exact length in seconds; 0 if it ends before it begins."""
        microseconds = (self.end - self.start) // _MICROSECOND
        return max(Decimal(microseconds) / 1_000_000, Decimal(0))

    @property
    def hours(self) -> Decimal:
        """The length in hours."""
        return self.length / 3600

    def within(self, other: "Window") -> "Window":
        """Return the overlap of both, of length 0 if there is none."""
        return Window(max(self.start, other.start), min(self.end, other.end))

    def share_of(self, other: "Window") -> Decimal:
        """Return the share of `other` that lies in this window, 0 to 1."""
        return self.within(other).length / other.length

    def clock_hours(self) -> "Window":
        """Return the window widened to whole clock hours."""
        start, end = hour_of(self.start), hour_of(self.end)
        return Window(start, end if end == self.end else end + HOUR)

    def days(self) -> Iterator[tuple[date, "Window"]]:
        """Yield each UTC day that it touches, with the window of that whole day."""
        day = self.start.date()
        while (midnight := datetime.combine(day, time(), UTC)) < self.end:
            yield day, Window(midnight, midnight + DAY)
            day += DAY


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the clock hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def clock_hour(start: datetime) -> Window:
    """Return the hour that begins at `start`."""
    return Window(start, start + HOUR)


def merged(windows: Iterable[Window]) -> list[Window]:
    """Return the windows in order, with those that touch merged into one."""
    merged_windows: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start):
        last = merged_windows[-1] if merged_windows else None
        if last and window.start <= last.end:
            merged_windows[-1] = Window(last.start, max(last.end, window.end))
        else:
            merged_windows.append(window)
    return merged_windows


def run_window(run: Run, now: datetime) -> Window | None:
    """Return the time to price, from a run's start to its end; None if it has no length.

    A run that has not ended, or was killed, counts until its last sample.
    """
    end = run.ended_at
    if end is None:
        end = max((sample.time for sample in Sample.read(run.path)), default=now)
    return None if run.started_at is None or run.started_at >= end else Window(run.started_at, end)
