"""Compares one table: checksums of ranges on both sides, digests of ranges that differ, then rows.

Memory does not grow with the table: it holds the checksums of a few segments, some thousand digests
and the keys of the second look.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from loadgen.record.verify import Finding
from loadgen.verify.findings import TableContext, row_findings
from loadgen.verify.mapping import TablePair
from loadgen.verify.ranges import (
    Bounds,
    Checksum,
    Range,
    differing,
    join_neighbours,
    may_be_uneven,
    must_split,
    piece_width,
    pieces,
    segments,
    whole,
    width_for,
)
from loadgen.verify.scan import Key, Row
from loadgen.verify.second_look import KeyRows, Progress, SecondLook

_T = TypeVar("_T")
_Checksums = Mapping[int, Checksum]  # of a segment's ranges, by number
_PREFETCHED: Final = 2  # segments
_ROWS_AT_ONCE: Final = 1000


class TableSide(Protocol):
    """One side of a table, the source's or the copy's; `scan.SqlSide` implements it."""

    def bounds(self) -> Bounds:
        """Return the lowest and highest key, and the approximate number of rows."""

    def checksums(self, segment: Range, width: int) -> Mapping[int, Checksum]:
        """Return the checksum of each range of `width` keys, by its number."""

    def counts(self, part: Range, width: int) -> Mapping[int, int]:
        """Return the number of rows of each piece of `width` keys, by its number."""

    def digests(self, part: Range) -> Mapping[int, Sequence[str]]:
        """Return the md5s of the rows of a range by key."""

    def rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Row]]:
        """Return the rows of these keys."""

    def rows_without_key(self) -> Sequence[Row]:
        """Return some of the rows without a key."""


@dataclass(frozen=True, slots=True)
class TableSegment:
    """A segment of a table, with the pending checksums of both sides."""

    table: str
    keys: Range
    width: int  # keys in a range
    source: Future[_Checksums]
    copy: Future[_Checksums]

    def differing(self) -> list[Range]:
        """Wait for both sides, and return the ranges that differ. Raises DestinationError."""
        return differing(self.keys, self.width, self.source.result(), self.copy.result())

    def cancel(self) -> None:
        """Cancel the queries that have not started."""
        self.source.cancel()
        self.copy.cancel()


class Comparison:
    """The comparison of one table of one tool, with queries in the threads of `pool`.

    The second look follows the first after `lag` seconds; without lag and horizon there is none.
    """

    def __init__(
        self,
        pair: TablePair,
        sides: tuple[TableSide, TableSide],
        context: TableContext,
        pool: Executor,
        lag: float = 0.0,
    ) -> None:
        self._pair = pair
        self._source, self._copy = sides
        self._context = context
        self._pool = pool
        self._everything: Range | None = None
        self.progress = Progress()
        self._suspects = SecondLook(pair, context, lag, self.progress, self._refetch)

    def begin(self) -> Iterator[Finding]:
        """Query the bounds of both sides; yield findings for rows without a key.

        Raises DestinationError.
        """
        source, copy = self._source.bounds(), self._copy.bounds()
        self._everything = whole(source, copy)
        self.progress.copy_rows = copy.without_key
        rows = self._copy.rows_without_key() if copy.without_key else ()
        for number in range(copy.without_key):
            row = rows[number] if number < len(rows) else Row(None, None, ())
            yield from row_findings(self._pair, None, (), (row,), self._context)

    def segments(self) -> Iterator[TableSegment]:
        """Yield the table's segments; taking one starts the queries of its checksums.

        Raises DestinationError.
        """
        if self._everything is not None:
            for piece in self._even_pieces(self._everything):
                yield from self._submit_segments(piece)

    def first_look(self, segment: TableSegment) -> Iterator[Finding]:
        """Yield the findings of a segment that need no second look. Raises DestinationError."""
        unequal = segment.differing()
        self.progress.rows += sum(checksum.rows for checksum in segment.source.result().values())
        self.progress.copy_rows += sum(checksum.rows for checksum in segment.copy.result().values())
        for part in join_neighbours(list(self._split(unequal))):
            yield from self._compare_digests(part)
            self._set_share(part.high)
        self._set_share(segment.keys.high)
        self.progress.on_change(self.progress)

    def _set_share(self, key: int) -> None:
        """Note that the keys up to this one have been compared."""
        if self._everything is not None:
            self.progress.share = (key - self._everything.low + 1) / self._everything.keys

    def _submit_segments(self, part: Range) -> Iterator[TableSegment]:
        width = width_for(part)
        for keys in segments(part, width):
            checksums = self._submit(partial(_checksums, keys, width))
            yield TableSegment(self._pair.table, keys, width, *checksums)

    def _even_pieces(self, part: Range) -> Iterator[Range]:
        """Yield pieces with evenly spread keys.

        Otherwise a single outlying key could stretch the ranges until one has most of the rows.
        """
        if not may_be_uneven(part):
            yield part
            return
        width = piece_width(part)
        source, copy = self._query_both(lambda side: side.counts(part, width))
        numbers = source.keys() | copy.keys()
        split = pieces(part, {n: max(source.get(n, 0), copy.get(n, 0)) for n in numbers})
        if split == [part]:
            yield part
            return
        for piece in split:
            yield from self._even_pieces(piece)

    def _query_both(self, query: Callable[[TableSide], _T]) -> tuple[_T, _T]:
        """Query both sides at the same time."""
        source, copy = self._submit(query)
        return source.result(), copy.result()

    def _submit(self, query: Callable[[TableSide], _T]) -> tuple[Future[_T], Future[_T]]:
        return self._pool.submit(query, self._source), self._pool.submit(query, self._copy)

    def _split(self, ranges: Iterable[Range]) -> Iterator[Range]:
        """Yield ranges that differ, those with too many rows split into smaller ones."""
        for unequal in ranges:
            if not must_split(unequal):
                yield unequal
                continue
            for segment in prefetched(self._submit_segments(unequal)):
                yield from self._split(segment.differing())

    def _compare_digests(self, part: Range) -> Iterator[Finding]:
        """Yield the findings of a range; only rows whose digests differ are fetched."""
        source, copy = self._query_both(lambda side: side.digests(part))
        keys = sorted(source.keys() | copy.keys())
        unequal = [key for key in keys if source.get(key) != copy.get(key)]
        del source, copy
        for start in range(0, len(unequal), _ROWS_AT_ONCE):
            yield from self._compare_rows(unequal[start : start + _ROWS_AT_ONCE])

    def _compare_rows(self, keys: Sequence[int]) -> Iterator[Finding]:
        """Yield the findings of these keys, or note them for the second look."""
        source, copy = self._query_both(lambda side: side.rows(keys))
        self.progress.fetched += len(keys)
        for key in keys:
            yield from self._suspects.judge(key, source.get(key, ()), copy.get(key, ()))
        self._suspects.show_progress()
        if self._suspects.is_full:
            yield from self.second_look()

    def second_look(self) -> Iterator[Finding]:
        """Wait until all suspects have had their lag; yield those that still differ.

        Call it after the first look at all tables, so that they wait together. Raises
        DestinationError.
        """
        yield from self._suspects.look()

    def _refetch(self, keys: Sequence[Key]) -> Iterator[KeyRows]:
        ordered = sorted(key for key in keys if isinstance(key, int))
        for start in range(0, len(ordered), _ROWS_AT_ONCE):
            batch = ordered[start : start + _ROWS_AT_ONCE]
            copy = self._copy.rows(batch)
            source = self._source.rows(batch)
            for key in batch:
                yield key, source.get(key, ()), copy.get(key, ())


def prefetched(segments: Iterable[_T]) -> Iterator[_T]:
    """Yield segments a few places late, so that their queries run ahead.

    So the faster side does not wait for the slower one, nor a table for the one before it.
    """
    waiting: deque[_T] = deque()
    for segment in segments:
        waiting.append(segment)
        if len(waiting) > _PREFETCHED:
            yield waiting.popleft()
    yield from waiting


def _checksums(keys: Range, width: int, side: TableSide) -> _Checksums:
    return side.checksums(keys, width)
