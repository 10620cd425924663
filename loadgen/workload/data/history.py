"""When the baseline's rows were created: in the half year before an end instant.

Time is divided into hours, each with a weight: a trend that trebles, busier weekdays and daytimes.
A position in the history is an integer below `total`, the sum of the weights, so that rows at equal
steps of position are as frequent as the weights say. All arithmetic is in integers, and positions
become the same microseconds on every machine. No clock is read: the end instant is an argument.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

DAYS: Final = 182
# Instants are microseconds from here, as in Postgres's binary timestamps.
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)

_HOURS: Final = DAYS * 24
_HOUR_US: Final = 3_600_000_000
# Monday first; hours in UTC.
_WEEK: Final = (10, 11, 11, 11, 10, 6, 5)
_DAY: Final = (3, 2, 2, 2, 2, 3, 5, 8, 12, 15, 17, 18, 17, 17, 18, 18, 17, 15, 13, 12, 11, 9, 7, 5)
# Makes positions finer than microseconds even in the busiest hour.
_FINE: Final = 1 << 22


class History:
    """The half year before `end`; its instants are microseconds since EPOCH."""

    __slots__ = ("_ends", "_weights", "end_us", "start_us", "total")

    def __init__(self, end: datetime) -> None:
        start = end.astimezone(UTC) - timedelta(days=DAYS)
        self.start_us = (start - EPOCH) // timedelta(microseconds=1)
        self.end_us = self.start_us + _HOURS * _HOUR_US
        hours = (start + timedelta(hours=i) for i in range(_HOURS))
        self._weights = [
            (_HOURS + 2 * i) * _WEEK[hour.weekday()] * _DAY[hour.hour] * _FINE
            for i, hour in enumerate(hours)
        ]
        self._ends = list(accumulate(self._weights))
        self.total = self._ends[-1]

    def times(self, positions: Sequence[int]) -> Iterator[int]:
        """Yield the instant of each of `positions`, which ascend and lie in [0, total)."""
        ends, weights = self._ends, self._weights
        hour = bisect_right(ends, positions[0]) - 1
        end = begin = begin_us = weight = 0
        for position in positions:
            while position >= end:
                hour += 1
                end, weight = ends[hour], weights[hour]
                begin, begin_us = end - weight, self.start_us + hour * _HOUR_US
            yield begin_us + (position - begin) * _HOUR_US // weight

    def time(self, position: int) -> int:
        """Return the instant of one position in [0, total)."""
        return next(self.times((position,)))
