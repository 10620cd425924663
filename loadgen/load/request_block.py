"""Requests joined in one piece of memory, in machine code, for the compiled loop.

Column by column, as `compile` makes them: their parts are copied to where they belong, and no
request becomes an object of Python's.
"""

from collections.abc import Sequence
from typing import overload

import numpy as np

from loadgen.load.compile import LaidOut
from loadgen.load.driver.system_calls import compiled, memcpy
from loadgen.workload.streams import Int64Array
from loadgen.workload.typed import Cut, Matrix, rows_of


class RequestBlock(Sequence[bytes | None]):
    """Requests of several arrivals, one behind the other; None for one that has nothing to send."""

    __slots__ = ("_begins", "_memory", "sizes")

    def __init__(self, memory: Matrix, begins: Int64Array, sizes: Int64Array) -> None:
        self._memory, self._begins, self.sizes = memory, begins, sizes

    @classmethod
    def of(cls, requests: Sequence[bytes]) -> "RequestBlock":
        """Return a block of requests."""
        sizes = np.fromiter(map(len, requests), np.int64, len(requests))
        memory = np.frombuffer(b"".join(requests) or b" ", np.uint8)
        return cls(memory, np.cumsum(sizes) - sizes, sizes)

    @property
    def addresses(self) -> Int64Array:
        """Where each begins. A block, and any part of it, keeps the requests in memory."""
        return self._begins + _address(self._memory)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.sizes)

    @overload
    def __getitem__(self, i: int) -> bytes | None: ...

    @overload
    def __getitem__(self, i: slice) -> "RequestBlock": ...

    def __getitem__(self, i: int | slice) -> "bytes | RequestBlock | None":
        """Return a request, or some of them."""
        if isinstance(i, slice):
            return RequestBlock(self._memory, self._begins[i], self.sizes[i])
        begin, size = int(self._begins[i]), int(self.sizes[i])
        return self._memory[begin : begin + size].tobytes() if size else None

    def parts(self, which: Sequence[int], place: slice) -> list[bytes]:
        """Return the bytes at a place in some of the requests."""
        begins = self._begins[which] + place.start
        return rows_of(self._memory[begins[:, np.newaxis] + np.arange(place.stop - place.start)])


def joined(parts: LaidOut) -> RequestBlock:
    """Return the requests that consist of such parts."""
    n, width = parts.batch.shape
    sizes = np.full(n, width)
    for _, cut in parts.cuts:
        sizes += cut.sizes
    begins = np.cumsum(sizes) - sizes
    memory = parts.batch.ravel()
    if parts.cuts:
        memory = np.empty(int(sizes.sum()), np.uint8)
        at, place = begins.copy(), 0
        to, rows = _address(memory), _address(parts.batch)
        for end, cut in parts.cuts:
            copy_rows(to, at, rows, place, end, width)
            begins_there, lengths = map(np.ascontiguousarray, (cut.begins, cut.sizes))
            copy_texts(to, at, _address(cut.letters), begins_there, lengths)
            place = end
        copy_rows(to, at, rows, place, width, width)
    if parts.absent is not None:
        sizes[parts.absent] = 0
    return RequestBlock(memory, begins, sizes)


def compile_all() -> None:
    """Call the functions of this file once, so that Numba compiles them now."""
    nothing = Cut(np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64))
    joined(LaidOut(np.zeros((1, 1), np.uint8), [(1, nothing)], None))


def _address(memory: Matrix) -> int:
    address: int = memory.__array_interface__["data"][0]
    return address


@compiled
def copy_rows(memory: int, at: Int64Array, rows: int, begin: int, end: int, width: int) -> None:
    """Copy a part of each row to its place, and move the place on.

    The memory and the rows, which have `width` bytes each, are at these addresses.
    """
    for i in range(len(at)):
        memcpy(memory + at[i], rows + i * width + begin, end - begin)
        at[i] += end - begin


@compiled
def copy_texts(
    memory: int, at: Int64Array, letters: int, begins: Int64Array, sizes: Int64Array
) -> None:
    """Copy each text to its place, and move the place on; memory and letters are at addresses."""
    for i in range(len(at)):
        memcpy(memory + at[i], letters + begins[i], sizes[i])
        at[i] += sizes[i]
