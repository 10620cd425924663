"""The endless arrivals of an operation in unit-rate time: a pure function of (seed, operation, k).

Nothing here knows a rate, a clock or a process. Draws are made for a block of arrivals at once,
which costs a quarter of what one after the other would.
"""

from collections.abc import Callable, Sequence
from hashlib import shake_128
from itertools import accumulate
from math import floor, log1p
from struct import Struct
from typing import Final, Literal, NamedTuple

from loadgen.workload.writes import Write

ArrivalKind = Literal["jitter", "poisson", "even"]

BLOCK: Final = 64  # arrivals whose draws are made together
_DRAWS: Final = 4
_UNPACK: Final = Struct(f"<{BLOCK * _DRAWS}Q")
# Poisson gaps are whole multiples of 2**-32, so that sums are exact and an ulp of difference
# between two machines' log() is rounded away.
_TICKS: Final = 2.0**32

# A place in a stream: k and, for Poisson, the sum of the gaps before it (2**-32 units). A plain
# tuple, since one is made for every arrival.
Checkpoint = tuple[int, int]
Draws = tuple[int, ...]
# Makes the writes of several arrivals, by k and draws; None where there is nothing to write.
Make = Callable[[Sequence[int], Sequence[Draws]], Sequence[Write | None]]


class Arrival(NamedTuple):
    """One write that falls due: `point` in unit-rate time, `due` in schedule seconds.

    `draws` are four uniform 64-bit integers: the first places the arrival in time, the second
    picks its target, the rest are for its values. `write` is there where it could be made ahead.
    """

    operation: str
    k: int
    point: float
    due: float
    draws: Draws
    write: Write | None = None


class Points(NamedTuple):
    """Where arrivals lie that follow on each other, and the ticks before and after each."""

    points: list[float]
    before: list[int]
    after: list[int]


def unit(draw: int) -> float:
    """Return a uniform float in [0, 1) from a 64-bit draw."""
    return (draw >> 11) * 2.0**-53


class Stream:
    """The endless arrivals of one operation for one seed, in unit-rate time."""

    __slots__ = ("_columns", "_name", "_number", "kind", "operation")

    def __init__(self, seed: int, operation: str, kind: ArrivalKind) -> None:
        self.operation = operation
        self.kind = kind
        self._name = f"{seed}:{operation}"
        self._number = -1  # of the block that was drawn last
        self._columns: list[Draws] = []

    def draws(self, k: int) -> Draws:
        """Return the four 64-bit draws of arrival `k`."""
        number, i = divmod(k, BLOCK)
        return tuple(column[i] for column in self._drawn(number))

    def draws_from(self, k: int) -> list[Draws]:
        """Return the draws of arrival `k` and of those after it, to the end of its block."""
        number, i = divmod(k, BLOCK)
        return [*zip(*self._drawn(number), strict=True)][i:]

    def points(self, place: Checkpoint) -> Points:
        """Return the points of the arrival at `place` and of those after it, to its block's end."""
        k, ticks = place
        number, i = divmod(k, BLOCK)
        end = (number + 1) * BLOCK
        if self.kind == "poisson":
            gaps = (round(-log1p(-unit(draw)) * _TICKS) for draw in self._drawn(number)[0][i:])
            before, *after = accumulate(gaps, initial=ticks)
            return Points([t / _TICKS for t in after], [before, *after[:-1]], after)
        nothing = [0] * (end - k)
        if self.kind == "even":
            return Points([n + 0.5 for n in range(k, end)], nothing, nothing)
        placing = self._drawn(number)[0][i:]
        points = [
            n + (draw >> 11) * 2.0**-53 for n, draw in zip(range(k, end), placing, strict=True)
        ]
        return Points(points, nothing, nothing)

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

    def _drawn(self, number: int) -> list[Draws]:
        """Return the draws of a block of arrivals: all first ones, all second ones, and so on."""
        if number != self._number:
            digest = shake_128(f"{self._name}:{number}".encode()).digest(_UNPACK.size)
            drawn = _UNPACK.unpack(digest)
            self._columns = [drawn[i : i + BLOCK] for i in range(0, len(drawn), BLOCK)]
            self._number = number
        return self._columns
