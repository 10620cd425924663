"""The arrivals of one operation that fall to one process, in order of k.

Pure arithmetic on an `ArrivalProcess` and a `RateCurve`; `Schedule` merges the cursors of all
operations.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import NamedTuple

from loadgen.workload.schedule.arrival_process import (
    BLOCK,
    Arrival,
    ArrivalProcess,
    Batch,
    Checkpoint,
    Prepared,
    RequestMaker,
    UnitTimes,
)
from loadgen.workload.schedule.rate_curve import RateCurve


class Shard(NamedTuple):
    """The part of a schedule that one process takes: every k with k % of == part."""

    part: int
    of: int


WHOLE = Shard(0, 1)


@dataclass(slots=True)
class _Block:
    """A shard's arrivals in one block of the process; `end` is the checkpoint after the block.

    `prepared` are the requests of some, from the index `prepared_from` on.
    """

    ks: range
    unit_times: UnitTimes
    dues: list[float]
    end: Checkpoint
    prepared: Sequence[Prepared] = ()
    prepared_from: int = 0


class ShardCursor:
    """A position in the arrivals of one operation that fall to one process.

    It holds the arrivals of one block. Later ones are counted by arithmetic (Poisson: block by
    block), so arrivals that no connection could take in time cost next to nothing.
    """

    __slots__ = (
        "_batch_size",
        "_block",
        "_first_k",
        "_handed_out",
        "_i",
        "_maker",
        "_offered_before",
        "_rewind_point",
        "process",
        "rate_curve",
        "shard",
    )

    _block: _Block
    _i: int  # of the upcoming arrival in the block
    _rewind_point: tuple[_Block, int, Checkpoint]

    def __init__(self, process: ArrivalProcess, rate_curve: RateCurve, shard: Shard) -> None:
        """Begin at the first arrival."""
        self.process = process
        self.rate_curve = rate_curve
        self.shard = shard
        self._maker: RequestMaker | None = None
        self._batch_size = BLOCK
        self._offered_before = 0  # under earlier shards
        self._handed_out: Checkpoint = (0, 0)  # after the last arrival that was handed out
        self._go_to(self._handed_out)
        self._first_k = self.k

    @property
    def k(self) -> int:
        """The number of the upcoming arrival."""
        return self._block.ks[self._i]

    @property
    def due(self) -> float:
        """The due time of the upcoming arrival; infinite if the rate stays 0."""
        return self._block.dues[self._i]

    @property
    def horizon(self) -> float:
        """The schedule time up to which one batch reaches; infinite if the rate stays 0."""
        block, dues = self._block, self._block.dues
        end = block.prepared_from + len(block.prepared)
        if not block.prepared_from <= self._i < end:
            end = self._i + self._batch_size
        return dues[min(end, len(dues) - 1)]

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint after the last arrival that was handed out.

        Arrivals of other shards may lie between it and the upcoming one. They fall to this process
        if its shard changes before they are due.
        """
        return self._handed_out

    def prepare_by(self, maker: RequestMaker, batch_size: int) -> None:
        """Prepare `batch_size` arrivals at once, at most a block."""
        self._maker, self._batch_size = maker, batch_size

    def pop(self) -> Arrival:
        """Return the upcoming arrival and move to the next one."""
        (arrival,) = self.take_next().arrivals()
        return arrival

    def take_next(self, *, exact: bool = False) -> Batch:
        """Return the upcoming arrival alone and move to the next one."""
        return self._take_up_to(self._i + 1, exact=exact)

    def dues_before(self, before: float, most: int) -> list[float]:
        """Return the due times in this block before `before`, at most the first `most`."""
        i = self._i
        return self._block.dues[i : min(i + most, bisect_left(self._block.dues, before, i))]

    def pop_unprepared(self) -> Arrival:
        """Return the upcoming arrival with nothing prepared for it, and move to the next one."""
        arrival = self.due, self.process.operation, self.k, None
        self._move_to(self._i + 1)
        return arrival

    def prepare(self, k: int, due: float) -> Prepared:
        """Prepare arrival `k`, which is due at schedule time `due`, alone."""
        if self._maker is None:
            return None
        return self._maker([k], [due])[0]

    def pop_before(self, before: float) -> list[Arrival]:
        """Return the arrivals of this block that are due before `before`, and move past them."""
        self._rewind_point = self._block, self._i, self._handed_out
        return self.take_before(before).arrivals()

    def take_before(self, before: float, *, exact: bool = False) -> Batch:
        """Return the arrivals of this block that are due before `before`, and move past them.

        `exact` prepares no others: in an overload most of those will be skipped.
        """
        return self._take_up_to(bisect_left(self._block.dues, before, self._i), exact=exact)

    def rewind(self, k: int) -> None:
        """Undo the last `pop_before` from arrival `k` on."""
        self._block, self._i, self._handed_out = self._rewind_point
        i = self._block.ks.index(k)
        if i > self._i:
            self._move_to(i)

    def _take_up_to(self, end: int, *, exact: bool) -> Batch:
        """Return the block's arrivals from the upcoming one to before index `end`."""
        block, i, operation = self._block, self._i, self.process.operation
        if i == end:
            return Batch(operation, [], (), ())
        prepared = self._prepare_up_to(end, exact=exact)
        self._move_to(end)
        return Batch(operation, block.dues[i:end], block.ks[i:end], prepared)

    def _prepare_up_to(self, end: int, *, exact: bool) -> Sequence[Prepared]:
        """Return the prepared requests from the upcoming arrival to before index `end`.

        If some are missing, these are prepared, and unless `exact` a whole batch.
        """
        block, i = self._block, self._i
        if not block.prepared_from <= i <= end <= block.prepared_from + len(block.prepared):
            batch = slice(i, end if exact else max(i + self._batch_size, end))
            ks = block.ks[batch]
            block.prepared_from = i
            block.prepared = self._maker(ks, block.dues[batch]) if self._maker else [None] * len(ks)
        begin = i - block.prepared_from
        return block.prepared[begin : begin + end - i]

    def skip(self, before: float) -> int:
        """Move past the arrivals due before `before`; return how many there were."""
        k = self.k
        i = bisect_left(self._block.dues, before, self._i)
        if self._i < i < len(self._block.ks):
            self._move_to(i)
        elif i > self._i:
            self._handed_out = self._find(before, closed=False)
            self._go_to(self._handed_out)
        return self._count(k, self.k)

    def offered(self, s: float, *, closed: bool = True) -> int:
        """Return how many of this process's arrivals were due by `s`; `closed` includes `s`."""
        return self._offered_before + self._count(self._first_k, self._find(s, closed=closed)[0])

    def waiting(self, s: float, *, closed: bool = True) -> int:
        """Return how many are due by `s` and not handed out yet."""
        return self._count(self.k, self._find(s, closed=closed)[0])

    def retime(self) -> None:
        """Compute due times again after a rate curve has changed; requests may depend on them."""
        self._block.dues = self.rate_curve.due_times(self._block.unit_times.times)
        self._block.prepared = ()

    def change_shard(self, at: float, shard: Shard, passed: Checkpoint | None = None) -> None:
        """Take `shard` of the arrivals due from `at` on; call it once all before are taken.

        `passed` is a known checkpoint before `at`, which shortens the search.
        """
        self._offered_before += self._count(self._first_k, self.k)
        self.shard = shard
        self._handed_out = self.process.seek(
            passed or self._handed_out, self.rate_curve.unit_time(at)
        )
        self._go_to(self._handed_out)
        self._first_k = self.k

    def _count(self, first: int, end: int) -> int:
        """Return how many of this shard's arrivals are in range(first, end); `first` is one."""
        return max(0, (end - first + self.shard.of - 1) // self.shard.of)

    def _find(self, s: float, *, closed: bool) -> Checkpoint:
        """Return the first checkpoint, from the upcoming arrival on, that is due after `s`.

        With `closed` false it may be due at `s`. It may belong to another shard.
        """
        bisect = bisect_right if closed else bisect_left
        block = self._block
        i = bisect(block.dues, s, self._i)
        if i < len(block.ks):
            return block.ks[i], block.unit_times.before[i]
        checkpoint, process, rate_curve = block.end, self.process, self.rate_curve
        if process.kind != "poisson":
            checkpoint = (max(checkpoint[0], floor(rate_curve.unit_time(s)) - 1), 0)
        while True:
            times, before, after = process.unit_times(checkpoint)
            i = bisect(rate_curve.due_times(times), s)
            if i < len(times):
                return checkpoint[0] + i, before[i]
            checkpoint = (checkpoint[0] + len(times), after[-1])

    def _move_to(self, i: int) -> None:
        """Make the arrival at index `i` the upcoming one; those before it are handed out."""
        block = self._block
        self._handed_out = (block.ks[i - 1] + 1, block.unit_times.after[i - 1])
        if i < len(block.ks):
            self._i = i
        else:
            self._go_to(block.end)

    def _go_to(self, checkpoint: Checkpoint) -> None:
        """Make the first arrival of this shard at or after `checkpoint` the upcoming one."""
        process, (part, of) = self.process, self.shard
        while True:
            k, _ = checkpoint
            times, before, after = process.unit_times(checkpoint)
            checkpoint = (k + len(times), after[-1])
            first = (part - k) % of
            if first < len(times):
                break
        own = slice(first, None, of)
        unit_times = UnitTimes(times[own], before[own], after[own])
        ks = range(k, k + len(times))[own]
        dues = self.rate_curve.due_times(unit_times.times)
        self._block, self._i = _Block(ks, unit_times, dues, checkpoint), 0
