"""The endless arrivals of one operation as if its rate were one a unit of time.

Each is a pure function of (seed, operation, k). `RateCurve` turns this unit-rate time into due
times. This module knows no rates, clocks or processes. Times are computed for a block of arrivals
at once, which costs a fraction of computing them one by one.
"""

from collections.abc import Callable, Sequence
from hashlib import shake_128
from itertools import accumulate, repeat
from math import floor, log1p
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

ArrivalKind = Literal["jitter", "poisson", "even"]

BLOCK: Final = 2048  # arrivals whose times are computed together
_HASHED: Final = 64  # arrivals whose draws come from one hash; another number changes every seed
_HASH_BYTES: Final = 8 * _HASHED
# Poisson gaps are whole multiples of 2**-32, so that sums are exact and an ulp of difference
# between the log() of two machines is rounded away.
TICKS: Final = 2.0**32

# A position among the arrivals: k and, for Poisson, the sum of the gaps before it (2**-32 units).
Checkpoint = tuple[int, int]
DrawArray = NDArray[np.uint64]  # one 64-bit draw for each of several arrivals


class Move(NamedTuple):
    """A row's move to its next state; the row is chosen when the move is sent."""

    age: float  # picks the row: 0 is the newest, 1 the oldest
    turn: float  # picks the next state
    values: tuple[bytes | None, ...] = ()  # of the other parameters


# An arrival is prepared before it falls due: as a request, or as a move. None if there is no row
# that it could change, or no RequestMaker.
Prepared = bytes | Move | None
# Prepares several arrivals of one operation, from their k and their due times.
RequestMaker = Callable[[Sequence[int], Sequence[float]], Sequence[Prepared]]
# One scheduled write: due time in schedule seconds, operation, k, and its prepared request. A plain
# tuple, since a named one costs three times as much and every write has one.
Arrival = tuple[float, str, int, Prepared]


class Batch(NamedTuple):
    """Consecutive arrivals of one operation that fall to one process: due times, k, requests."""

    operation: str
    dues: list[float]
    ks: Sequence[int]
    prepared: Sequence[Prepared]

    def arrivals(self) -> list[Arrival]:
        """Return them one by one."""
        return [*zip(self.dues, repeat(self.operation), self.ks, self.prepared, strict=False)]


class UnitTimes(NamedTuple):
    """Consecutive arrivals in unit-rate time, with the ticks before and after each one."""

    times: list[float]
    before: list[int]
    after: list[int]


def uniform(draws: DrawArray) -> NDArray[np.float64]:
    """Return a uniform float in [0, 1) for each draw, from its upper 53 bits."""
    return (draws >> 11).astype(np.float64) * 2.0**-53


class ArrivalProcess:
    """The endless arrivals of one operation for one seed, in unit-rate time.

    A uniform 64-bit draw places each arrival in time.
    """

    __slots__ = ("_block", "_block_number", "_name", "kind", "operation")

    _block: DrawArray

    def __init__(self, seed: int, operation: str, kind: ArrivalKind) -> None:
        self.operation = operation
        self.kind = kind
        self._name = f"{seed}:{operation}"
        self._block_number = -1  # of the block that was computed last

    def draws_from(self, k: int) -> DrawArray:
        """Return the draws of arrival `k` and of those after it, to the end of its block."""
        number, i = divmod(k, BLOCK)
        if number != self._block_number:
            self._block, self._block_number = self._hashed(number), number
        return self._block[i:]

    def unit_times(self, checkpoint: Checkpoint) -> UnitTimes:
        """Return the times of the arrivals from `checkpoint` on, to the end of its block."""
        k, ticks = checkpoint
        end = (k // BLOCK + 1) * BLOCK
        if self.kind == "poisson":
            gaps = (round(-log1p(-u) * TICKS) for u in uniform(self.draws_from(k)).tolist())
            before, *after = accumulate(gaps, initial=ticks)
            return UnitTimes([t / TICKS for t in after], [before, *after[:-1]], after)
        no_ticks = [0] * (end - k)
        offset = 0.5 if self.kind == "even" else uniform(self.draws_from(k))
        return UnitTimes((np.arange(k, end) + offset).tolist(), no_ticks, no_ticks)

    def seek(self, checkpoint: Checkpoint, unit_time: float) -> Checkpoint:
        """Return the first checkpoint from `checkpoint` on that is not before `unit_time`."""
        if self.kind != "poisson":
            checkpoint = (max(checkpoint[0], floor(unit_time) - 1), 0)
        while True:
            times, before, after = self.unit_times(checkpoint)
            if times[-1] >= unit_time:
                i = next(i for i, time in enumerate(times) if time >= unit_time)
                return (checkpoint[0] + i, before[i])
            checkpoint = (checkpoint[0] + len(times), after[-1])

    def _hashed(self, number: int) -> DrawArray:
        """Return the draws of a block."""
        first = number * (BLOCK // _HASHED)
        names = (f"{self._name}:{n}" for n in range(first, first + BLOCK // _HASHED))
        digests = b"".join(shake_128(name.encode()).digest(_HASH_BYTES) for name in names)
        return np.frombuffer(digests, "<u8").astype(np.uint64, copy=False)
