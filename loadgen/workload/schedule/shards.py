"""One operation's arrivals as one process takes them: every k of its share, one after the other.

Pure arithmetic on a `process` and a `rate_curve`; `arrivals` merges the walks of all operations.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import floor
from typing import NamedTuple

from loadgen.workload.schedule.rates import RateCurve
from loadgen.workload.schedule.streams import (
    BLOCK,
    Arrival,
    ArrivalProcess,
    Checkpoint,
    Drawn,
    Made,
    Make,
    Points,
)


class Shard(NamedTuple):
    """The part of a schedule that one process takes: every k with k % of == part."""

    part: int
    of: int


WHOLE = Shard(0, 1)


@dataclass(slots=True)
class _Block:
    """A share's arrivals in a block of the stream, in order; `end` is the place after the block.

    `made` is what was made of some of them, from the index `made_from` on.
    """

    ks: range
    at: Points
    dues: list[float]
    drawn: Drawn
    end: Checkpoint
    made: list[Made] = field(default_factory=list)
    made_from: int = 0


class ShardCursor:
    """The arrivals of one operation that fall to one process, one after the other.

    It holds those of a block of the stream. What is due is counted by arithmetic (Poisson: by
    walking on), so that arrivals which nobody could take in time cost next to nothing.
    """

    __slots__ = (
        "_before",
        "_block",
        "_first",
        "_i",
        "_last",
        "_make",
        "_seen_from",
        "_together",
        "process",
        "rate_curve",
        "shard",
    )

    _block: _Block
    _i: int  # of the upcoming arrival in it
    _seen_from: tuple[_Block, int, Checkpoint]

    def __init__(
        self,
        process: ArrivalProcess,
        rate_curve: RateCurve,
        shard: Shard,
        make: Make | None = None,
        together: int = BLOCK,
    ) -> None:
        """Begin at the first arrival; `make` is asked for so many at once, at most a block's."""
        self.process = process
        self.rate_curve = rate_curve
        self.shard = shard
        self._make = make
        self._together = together
        self._before = 0  # offered under earlier shares
        self._last: Checkpoint = (0, 0)  # after the last arrival that was handed out
        self._go_to(self._last)
        self._first = self.k

    @property
    def k(self) -> int:
        """Number of the upcoming arrival."""
        return self._block.ks[self._i]

    @property
    def due(self) -> float:
        """When the upcoming arrival is due; infinite where nothing comes."""
        return self._block.dues[self._i]

    @property
    def horizon(self) -> float:
        """The schedule time up to which to look ahead; infinite where nothing comes."""
        dues = self._block.dues
        return dues[min(self._i + self._together, len(dues) - 1)]

    @property
    def place(self) -> Checkpoint:
        """The place after what was handed out; others' may lie between it and the upcoming one.

        They are this process's own where a new share comes in force before they fall due.
        """
        return self._last

    def step(self) -> Arrival:
        """Return the upcoming arrival, and go on to the next one."""
        (arrival,) = self._arrivals(self._i + 1)
        return arrival

    def leave(self) -> Arrival:
        """Go on to the next one; return the one that was upcoming, nothing made of it."""
        arrival = self.due, self.process.operation, self.k, None
        self._pass_to(self._i + 1)
        return arrival

    def made_of(self, k: int) -> Made:
        """Return what is made of arrival `k` alone."""
        if self._make is None:
            return None
        return self._make([k], self.process.drawn_from(k)[:, :1])[0]

    def look_ahead(self, before: float) -> list[Arrival]:
        """Step over what is due before `before`, of the block, and return it."""
        self._seen_from = self._block, self._i, self._last
        return self._arrivals(bisect_left(self._block.dues, before, self._i))

    def look_back(self, k: int) -> None:
        """Undo what the last `look_ahead` stepped over, from arrival `k` on."""
        self._block, self._i, self._last = self._seen_from
        i = self._block.ks.index(k)
        if i > self._i:
            self._pass_to(i)

    def _arrivals(self, end: int) -> list[Arrival]:
        """Step over the block's arrivals from the upcoming one up to before `end`."""
        block, i = self._block, self._i
        if i == end:
            return []
        made = self._made(end)
        self._pass_to(end)
        operation = repeat(self.process.operation)
        return [*zip(block.dues[i:end], operation, block.ks[i:end], made, strict=False)]

    def _made(self, end: int) -> Sequence[Made]:
        """Return what is made of the block's arrivals from the upcoming one up to before `end`.

        What was handed out is forgotten; what follows is made for many at once.
        """
        block, i = self._block, self._i
        made = block.made
        del made[: i - block.made_from]
        block.made_from = i
        known = i + len(made)
        if known < end:
            more = slice(known, i + self._together)
            ks = block.ks[more]
            made += self._make(ks, block.drawn[:, more]) if self._make else [None] * len(ks)
        return made[: end - i]

    def skip(self, before: float) -> int:
        """Pass over what was due before `before`; return how many arrivals that were."""
        k = self.k
        i = bisect_left(self._block.dues, before, self._i)
        if self._i < i < len(self._block.ks):
            self._pass_to(i)
        elif i > self._i:
            self._last = self._find(before, closed=False)
            self._go_to(self._last)
        return self._owned(k, self.k)

    def offered(self, s: float, *, closed: bool = True) -> int:
        """Return how many of this process's arrivals were due by `s`; `closed` includes `s`."""
        return self._before + self._owned(self._first, self._find(s, closed=closed)[0])

    def waiting(self, s: float, *, closed: bool = True) -> int:
        """Return how many are due by `s` and not handed out yet."""
        return self._owned(self.k, self._find(s, closed=closed)[0])

    def retime(self) -> None:
        """Compute due times again after the timeline has changed."""
        self._block.dues = self.rate_curve.whens(self._block.at.points)

    def resplit(self, at: float, shard: Shard, passed: Checkpoint | None = None) -> None:
        """Take `shard` of the arrivals due from `at` on; call it when all before are taken.

        `passed` is a place before `at`, where one is known: the way there need not be walked.
        """
        self._before += self._owned(self._first, self.k)
        self.shard = shard
        self._last = self.process.first_from(passed or self._last, self.rate_curve.units(at))
        self._go_to(self._last)
        self._first = self.k

    def _owned(self, first: int, end: int) -> int:
        """Count this share's arrivals from `first`, which is one of them, up to before `end`."""
        return max(0, (end - first + self.shard.of - 1) // self.shard.of)

    def _find(self, s: float, *, closed: bool) -> Checkpoint:
        """Return the first place from the upcoming arrival on that is due after `s` (or at it).

        Where others' arrivals lie just before it, it may be one of theirs.
        """
        bisect = bisect_right if closed else bisect_left
        block = self._block
        i = bisect(block.dues, s, self._i)
        if i < len(block.ks):
            return block.ks[i], block.at.before[i]
        place, process, rate_curve = block.end, self.process, self.rate_curve
        if process.kind != "poisson":
            place = (max(place[0], floor(rate_curve.units(s)) - 1), 0)
        while True:
            points, before, after = process.points(place)
            i = bisect(rate_curve.whens(points), s)
            if i < len(points):
                return place[0] + i, before[i]
            place = (place[0] + len(points), after[-1])

    def _pass_to(self, i: int) -> None:
        """Let `i` be the upcoming one; what is before it in the block is handed out."""
        block = self._block
        self._last = (block.ks[i - 1] + 1, block.at.after[i - 1])
        if i < len(block.ks):
            self._i = i
        else:
            self._go_to(block.end)

    def _go_to(self, place: Checkpoint) -> None:
        """Make the first arrival of this share at or after `place` the upcoming one."""
        process, (part, of) = self.process, self.shard
        while True:
            k, _ = place
            points, before, after = process.points(place)
            place = (k + len(points), after[-1])
            first = (part - k) % of
            if first < len(points):
                break
        own = slice(first, None, of)
        at = Points(points[own], before[own], after[own])
        ks, drawn = range(k, k + len(points))[own], process.drawn_from(k)[:, own]
        self._block, self._i = _Block(ks, at, self.rate_curve.whens(at.points), drawn, place), 0
