"""The endless arrivals of an operation in unit-rate time: a pure function of (seed, operation, k).

Nothing here knows a rate, a clock or a process.
"""

import struct
from collections.abc import Callable
from hashlib import blake2b
from math import floor, log1p
from typing import Literal, NamedTuple

from loadgen.workload.writes import Write

ArrivalKind = Literal["jitter", "poisson", "even"]

_UNPACK = struct.Struct("<8Q").unpack
# Poisson gaps are whole multiples of 2**-32, so that sums are exact and an ulp of difference
# between two machines' log() is rounded away.
_TICKS = 2.0**32

# A place in a stream: k and, for Poisson, the sum of the gaps before it (2**-32 units). A plain
# tuple, since one is made for every arrival.
Checkpoint = tuple[int, int]
Draws = tuple[int, ...]
# Makes the write of arrival k from its draws; None where there is nothing to write.
Make = Callable[[int, Draws], Write | None]


class Arrival(NamedTuple):
    """One write that falls due: `point` in unit-rate time, `due` in schedule seconds.

    `draws` are eight uniform 64-bit integers: the first places the arrival in time, the second
    picks its target, the rest are for its values. `write` is there where it could be made ahead.
    """

    operation: str
    k: int
    point: float
    due: float
    draws: Draws
    write: Write | None = None


def unit(draw: int) -> float:
    """Return a uniform float in [0, 1) from a 64-bit draw."""
    return (draw >> 11) * 2.0**-53


class Stream:
    """The endless arrivals of one operation for one seed, in unit-rate time."""

    __slots__ = ("_hash", "kind", "operation")

    def __init__(self, seed: int, operation: str, kind: ArrivalKind) -> None:
        self.operation = operation
        self.kind = kind
        name = blake2b(f"{seed}:{operation}".encode(), digest_size=32).digest()
        # Salt and person cost nothing per draw; a key would cost a second round of the hash.
        self._hash = blake2b(digest_size=64, salt=name[:16], person=name[16:])

    def draws(self, k: int) -> Draws:
        """Return the eight 64-bit draws of arrival `k`."""
        h = self._hash.copy()
        h.update(b"%d" % k)
        return _UNPACK(h.digest())

    def point(self, place: Checkpoint, draws: Draws) -> tuple[float, int]:
        """Return the point of the arrival at `place`, and the ticks to hand on to the next."""
        if self.kind == "jitter":
            return place[0] + (draws[0] >> 11) * 2.0**-53, 0
        if self.kind == "even":
            return place[0] + 0.5, 0
        ticks = place[1] + round(-log1p(-unit(draws[0])) * _TICKS)
        return ticks / _TICKS, ticks

    def first_from(self, place: Checkpoint, point: float) -> Checkpoint:
        """Return the first place at or after `place` whose arrival is at `point` or later."""
        if self.kind != "poisson":
            place = (max(place[0], floor(point) - 1), 0)
        while True:
            at, ticks = self.point(place, self.draws(place[0]))
            if at >= point:
                return place
            place = (place[0] + 1, ticks)
