"""The endless arrivals of an operation in unit-rate time: a pure function of (seed, operation, k).

Nothing here knows a rate, a clock or a process. Draws and points are made for a block of arrivals
at once, which costs a fraction of what one after the other would.
"""

from collections.abc import Callable, Sequence
from hashlib import shake_128
from itertools import accumulate
from math import floor, log1p
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.targets import Step

ArrivalKind = Literal["jitter", "poisson", "even"]

BLOCK: Final = 256  # arrivals that are made together
_HASHED: Final = 64  # and of them those whose draws come from one hash: part of what a seed names
_DRAWS: Final = 4
_HASH_BYTES: Final = 8 * _DRAWS * _HASHED
# Poisson gaps are whole multiples of 2**-32, so that sums are exact and an ulp of difference
# between two machines' log() is rounded away.
_TICKS: Final = 2.0**32

# A place in a stream: k and, for Poisson, the sum of the gaps before it (2**-32 units).
Checkpoint = tuple[int, int]
Draws = tuple[int, ...]
# Draws of several arrivals: rows of 64-bit integers, a column an arrival; or one of the four rows.
Drawn = NDArray[np.uint64]
# What was made of an arrival's draws ahead: a request; a step, whose order is chosen when it is
# due; None where there is nothing to write, or nobody makes anything of them.
Made = bytes | Step | None
Make = Callable[[Sequence[int], Drawn], Sequence[Made]]
# One write that falls due: in schedule seconds, its operation, k, and what was made of its draws. A
# plain tuple, since a named one costs three times as much, and there is one for each write.
Arrival = tuple[float, str, int, Made]


class Points(NamedTuple):
    """Where arrivals lie that follow on each other, and the ticks before and after each."""

    points: list[float]
    before: list[int]
    after: list[int]


def units(draws: Drawn) -> NDArray[np.float64]:
    """Return a uniform float in [0, 1) of each draw: what its upper 53 bits say."""
    return (draws >> 11).astype(np.float64) * 2.0**-53


class ArrivalProcess:
    """The endless arrivals of one operation for one seed, in unit-rate time.

    An arrival's draws are four uniform 64-bit integers: the first places it in time, the second
    picks its target, the rest are for its values.
    """

    __slots__ = ("_drawn", "_name", "_number", "kind", "operation")

    _drawn: Drawn

    def __init__(self, seed: int, operation: str, kind: ArrivalKind) -> None:
        self.operation = operation
        self.kind = kind
        self._name = f"{seed}:{operation}"
        self._number = -1  # of the block that was drawn last

    def draws(self, k: int) -> Draws:
        """Return the four draws of arrival `k`."""
        return tuple(self.drawn_from(k)[:, 0].tolist())

    def drawn_from(self, k: int) -> Drawn:
        """Return the draws of arrival `k` and of those after it, to the end of its block."""
        number, i = divmod(k, BLOCK)
        if number != self._number:
            self._drawn, self._number = self._hashed(number), number
        return self._drawn[:, i:]

    def points(self, place: Checkpoint) -> Points:
        """Return the points of the arrival at `place` and of those after it, to its block's end."""
        k, ticks = place
        end = (k // BLOCK + 1) * BLOCK
        if self.kind == "poisson":
            gaps = (round(-log1p(-u) * _TICKS) for u in units(self.drawn_from(k)[0]).tolist())
            before, *after = accumulate(gaps, initial=ticks)
            return Points([t / _TICKS for t in after], [before, *after[:-1]], after)
        nothing = [0] * (end - k)
        within = 0.5 if self.kind == "even" else units(self.drawn_from(k)[0])
        return Points((np.arange(k, end) + within).tolist(), nothing, nothing)

    def first_from(self, place: Checkpoint, point: float) -> Checkpoint:
        """Return the first place at or after `place` whose arrival is at `point` or later."""
        if self.kind != "poisson":
            place = (max(place[0], floor(point) - 1), 0)
        while True:
            points, before, after = self.points(place)
            if points[-1] >= point:
                i = next(i for i, at in enumerate(points) if at >= point)
                return (place[0] + i, before[i])
            place = (place[0] + len(points), after[-1])

    def _hashed(self, number: int) -> Drawn:
        """Return the draws of a block. Of each hash all first ones come first, then all second."""
        first = number * (BLOCK // _HASHED)
        names = (f"{self._name}:{n}" for n in range(first, first + BLOCK // _HASHED))
        digests = b"".join(shake_128(name.encode()).digest(_HASH_BYTES) for name in names)
        drawn = np.frombuffer(digests, "<u8").astype(np.uint64, copy=False)
        return drawn.reshape(-1, _DRAWS, _HASHED).swapaxes(0, 1).reshape(_DRAWS, BLOCK)
