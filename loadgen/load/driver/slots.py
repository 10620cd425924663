"""The slots of the compiled loop on Python's side: filled, counted and used again, compiled too.

Numba's cache does not notice changes of the constants that come from another file: `ONE_ROW_EACH`
and `SKIPPED` stay what they are.
"""

from collections.abc import Iterator
from math import log2
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadgen.load.driver.compiled_loop import ONE_ROW_EACH, SKIPPED, Floats, Ints, Ints32
from loadgen.load.driver.system_calls import compiled
from loadgen.workload.histogram import BUCKETS, PER_DOUBLING, SMALLEST, Histogram

NO_BATCH: Final = -1  # of a slot that is not in use
_ROOM, _EMPTIED, _OTHERS, _SKIPPED = range(4)
_SERVICE, _INTENDED = range(2)


class Stock(NamedTuple):
    """The slots that are not in use, and the batches whose slots are.

    `numbers` has how many there are in `unused`, `emptied` and `others`, and how many arrivals the
    loop has skipped since the start.
    """

    numbers: Ints
    unused: Ints  # slots, the last first
    left: Ints  # by batch: its slots in use
    emptied: Ints  # batches that have none left
    others: Ints  # slots that Python has to account for one by one

    @classmethod
    def of(cls, slots: int) -> "Stock":
        """Return a stock of so many slots, and of as many batches."""
        zeros = (np.zeros(slots, np.int64) for _ in range(3))
        return cls(np.array([slots, 0, 0, 0]), np.arange(slots)[::-1].copy(), *zeros)


class Tally(NamedTuple):
    """What became of the usual writes, by operation, since it was taken: counts and latencies.

    `singly` says of which operations Python has to see each committed write, or each skipped one
    too. Latencies are service and intended ones, in seconds.
    """

    singly: Ints
    committed: Ints
    skipped: Ints
    buckets: Ints  # operations x 2 x BUCKETS, as of `Histogram`
    totals: Floats  # operations x 2
    longest: Floats  # operations x 2

    @classmethod
    def of(cls, operations: int) -> "Tally":
        """Return an empty tally."""
        singly, committed, skipped = (np.zeros(operations, np.int64) for _ in range(3))
        buckets = np.zeros((operations, 2, BUCKETS), np.int64)
        totals, longest = (np.zeros((operations, 2)) for _ in range(2))
        return cls(singly, committed, skipped, buckets, totals, longest)

    def take(self) -> Iterator[tuple[int, int, Histogram, Histogram]]:
        """Yield (operation, skipped, service, intended), then begin to count from 0 again."""
        for number in np.flatnonzero(self.committed + self.skipped).tolist():
            service, intended = (
                Histogram.of(
                    self.buckets[number, kind],
                    float(self.totals[number, kind]),
                    float(self.longest[number, kind]),
                )
                for kind in (_SERVICE, _INTENDED)
            )
            yield number, int(self.skipped[number]), service, intended
        for part in self[1:]:
            part.fill(0)


# `Tally.singly`
COMMITTED_ONES, ALL_ONES = 1, 2


@compiled
def fill(
    slots: NDArray[np.void],
    stock: Stock,
    dues: Floats,
    addresses: Ints,
    sizes: Ints,
    operation: int,
    batch: int,
) -> None:
    """Take slots for the arrivals of a batch that have something to send, or nothing (size 0)."""
    room = stock.numbers[_ROOM]
    for i in range(len(dues)):
        room -= 1
        slot = stock.unused[room]
        slots[slot]["due"], slots[slot]["began"] = dues[i], -np.inf
        slots[slot]["address"], slots[slot]["size"] = addresses[i], sizes[i]
        slots[slot]["operation"] = operation
        slots[slot]["batch"], slots[slot]["place"] = batch, i
    stock.numbers[_ROOM] = room
    stock.left[batch] = len(dues)


@compiled
def release(slots: NDArray[np.void], stock: Stock, slot: int) -> None:
    """Let a slot be used again."""
    batch = slots[slot]["batch"]
    slots[slot]["batch"] = NO_BATCH
    stock.unused[stock.numbers[_ROOM]] = slot
    stock.numbers[_ROOM] += 1
    stock.left[batch] -= 1
    if stock.left[batch] == 0:
        stock.emptied[stock.numbers[_EMPTIED]] = batch
        stock.numbers[_EMPTIED] += 1


@compiled
def release_all(slots: NDArray[np.void], stock: Stock, used: Ints) -> None:
    """Let slots be used again."""
    for slot in used:
        release(slots, stock, slot)


@compiled
def collect(
    slots: NDArray[np.void], finished: Ints32, stock: Stock, tally: Tally, begin: int, end: int
) -> None:
    """Count what the loop has finished, from `begin` to `end` in its ring, and free the slots.

    It leaves all but the usual ones to Python, in `stock.others`.
    """
    others = 0
    for i in range(begin, end):
        slot = finished[i & (len(finished) - 1)]
        done = slots[slot]
        number, outcome = done["operation"], done["outcome"]
        singly = tally.singly[number]
        if outcome == ONE_ROW_EACH:
            tally.committed[number] += 1
            add_latency(tally, number, _SERVICE, done["ended"] - done["began"])
            add_latency(tally, number, _INTENDED, done["ended_at"] - done["due"])
            kept = singly >= COMMITTED_ONES
        elif outcome == SKIPPED:
            tally.skipped[number] += 1
            stock.numbers[_SKIPPED] += 1
            kept = singly == ALL_ONES
        else:
            kept = True
        if kept:
            stock.others[others] = slot
            others += 1
        else:
            release(slots, stock, slot)
    stock.numbers[_OTHERS] = others


@compiled
def add_latency(tally: Tally, number: int, kind: int, seconds: float) -> None:
    """Count a latency as `Histogram.add` does."""
    bucket = int(log2(max(seconds, SMALLEST) / SMALLEST) * PER_DOUBLING)
    tally.buckets[number, kind, min(bucket, BUCKETS - 1)] += 1
    tally.totals[number, kind] += seconds
    tally.longest[number, kind] = max(tally.longest[number, kind], seconds)


def room(stock: Stock) -> int:
    """Return how many slots are not in use."""
    return int(stock.numbers[_ROOM])


def skipped(stock: Stock) -> int:
    """Return how many arrivals the loop has skipped since the start."""
    return int(stock.numbers[_SKIPPED])


def others(stock: Stock) -> Ints:
    """Return the slots that the last `collect` kept."""
    return stock.others[: stock.numbers[_OTHERS]].copy()


def take_emptied(stock: Stock) -> list[int]:
    """Return the batches that have become empty since the last call."""
    emptied: list[int] = stock.emptied[: stock.numbers[_EMPTIED]].tolist()
    stock.numbers[_EMPTIED] = 0
    return emptied
