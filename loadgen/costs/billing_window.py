"""The time that is paid for: a run's window, its clock hours and its days in UTC."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from loadgen.record.reader import read_samples
from loadgen.record.run import Run

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)


def seconds(span: timedelta) -> Decimal:
    """Return a length in seconds, exactly."""
    return Decimal(span // _MICROSECOND) / 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until `end`, the latter not in it; both in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> Decimal:
        """How long it is, in seconds; nothing where it ends before it begins."""
        return max(seconds(self.end - self.start), Decimal(0))

    @property
    def hours(self) -> Decimal:
        """How long it is, in hours."""
        return self.length / 3600

    def within(self, other: "Window") -> "Window":
        """Return what is in both; of no length where nothing is."""
        return Window(max(self.start, other.start), min(self.end, other.end))

    def share_of(self, other: "Window") -> Decimal:
        """Return which part of `other` is in this one, 0 to 1."""
        return self.within(other).length / other.length

    def clock_hours(self) -> "Window":
        """Return the window widened to whole clock hours."""
        start, end = hour_of(self.start), hour_of(self.end)
        return Window(start, end if end == self.end else end + HOUR)

    def days(self) -> Iterator[tuple[date, "Window"]]:
        """Yield each day in UTC that it touches, with that whole day."""
        day = self.start.date()
        while (begun := datetime.combine(day, time(), UTC)) < self.end:
            yield day, Window(begun, begun + DAY)
            day += DAY


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of the clock hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def clock_hour(start: datetime) -> Window:
    """Return the hour that begins at `start`."""
    return Window(start, start + HOUR)


def merged(windows: Iterable[Window]) -> list[Window]:
    """Return windows in their order, those that touch made one."""
    found: list[Window] = []
    for one in sorted(windows, key=lambda window: window.start):
        if found and one.start <= found[-1].end:
            found[-1] = Window(found[-1].start, max(found[-1].end, one.end))
        else:
            found.append(one)
    return found


def run_window(run: Run, now: datetime) -> Window | None:
    """Return the time that is priced: from a run's start to its end.

    Of a run that goes on, or was killed, it ends at the last sample. None where that is no time.
    """
    end = run.ended_at
    if end is None:
        end = max((sample.time for sample in read_samples(run.path)), default=now)
    return None if run.started_at is None or run.started_at >= end else Window(run.started_at, end)
