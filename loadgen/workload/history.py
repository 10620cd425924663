"""When the rows of a growing business were created: in the days before an end instant.

Time is divided into hours, each with a weight: a trend that trebles, busier weekdays and daytimes.
A position in the history is an integer below `total`, the sum of the weights, so that rows at equal
steps of position are as frequent as the weights say. All arithmetic is in integers, and positions
become the same microseconds on every machine. No clock is read: the end instant is an argument.
"""

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final

import numpy as np

from loadgen.workload.streams import Int64Array

# Instants are microseconds from here, as in Postgres's binary timestamps.
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)

_HOUR_US: Final = 3_600_000_000
# Monday first; hours in UTC.
_WEEK: Final = (10, 11, 11, 11, 10, 6, 5)
_DAY: Final = (3, 2, 2, 2, 2, 3, 5, 8, 12, 15, 17, 18, 17, 17, 18, 18, 17, 15, 13, 12, 11, 9, 7, 5)
# An hour of so many positions, times its microseconds, is still an integer of 64 bits.
_BUSIEST_HOUR: Final = 1 << 31


def micros(instant: datetime) -> int:
    """Return microseconds since EPOCH."""
    return (instant - EPOCH) // timedelta(microseconds=1)


class History:
    """The `days` before `end`; its instants are microseconds since EPOCH."""

    def __init__(self, end: datetime, days: int) -> None:
        start = end.astimezone(UTC) - timedelta(days=days)
        self.days = days
        self.start_us, self.end_us = micros(start), micros(end)
        hours = days * 24
        weights = [
            (hours + 2 * i) * _WEEK[hour.weekday()] * _DAY[hour.hour]
            for i, hour in enumerate(start + timedelta(hours=i) for i in range(hours))
        ]
        fine = _BUSIEST_HOUR // max(weights)
        ends = list(accumulate(weight * fine for weight in weights))
        self.total = ends[-1]
        self._ends = np.array(ends)
        self._weights = np.array(weights) * fine
        self._begins = self._ends - self._weights

    def times(self, positions: Int64Array) -> Int64Array:
        """Return the instants of positions in [0, total)."""
        hour = np.searchsorted(self._ends, positions, side="right")
        within = (positions - self._begins[hour]) * _HOUR_US // self._weights[hour]
        instants: Int64Array = self.start_us + hour * _HOUR_US + within
        return instants

    def time(self, position: int) -> int:
        """Return the instant of one position."""
        return int(self.times(np.array([position]))[0])

    def positions(self, instants: Int64Array) -> Int64Array:
        """Return the last position at each instant or before it; 0 and total - 1 at the ends."""
        within = np.clip(instants - self.start_us, 0, self.end_us - self.start_us - 1)
        hour, within = np.divmod(within, _HOUR_US)
        positions: Int64Array = self._begins[hour] + within * self._weights[hour] // _HOUR_US
        return positions
