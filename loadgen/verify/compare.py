"""One table: checksums by range on both sides, ranges that differ cut again, rows, findings.

Nothing is held that grows with the table: a few segments' checksums, some thousand digests, and the
keys that are looked at a second time. While a load writes, a difference counts only where it
outlives a second look, `lag` seconds later, with the source's row unchanged in between: what was
touched meanwhile, or has arrived, is in flight. Where markers tell what the copy must hold (its
horizon), a difference that outlives the look but is not proven to be due is late.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from loadgen.record.verify import Finding
from loadgen.verify.canonical import same
from loadgen.verify.findings import Known, judged
from loadgen.verify.mapping import TablePair
from loadgen.verify.ranges import (
    Bounds,
    Checksum,
    Range,
    differing,
    joined,
    may_be_uneven,
    piece_width,
    pieces,
    segments,
    to_split,
    whole,
    width_for,
)
from loadgen.verify.scan import Row

_T = TypeVar("_T")
_Checksums = Mapping[int, Checksum]  # of a segment's ranges, by number
_AHEAD: Final = 2  # segments
_LOOKED_AT: Final = 1000  # keys whose rows are held at once
_SUSPECTS: Final = 100_000  # keys of a table that wait for their second look


class TableSide(Protocol):
    """What is asked of one side of a table; `scan.Side` does."""

    def bounds(self) -> Bounds:
        """Return the lowest and highest key, and about how many rows there are."""

    def checksums(self, segment: Range, width: int) -> Mapping[int, Checksum]:
        """Return the checksum of each range of `width` keys, by its number."""

    def counts(self, part: Range, width: int) -> Mapping[int, int]:
        """Return how many rows each piece of `width` keys has, by its number."""

    def digests(self, part: Range) -> Mapping[int, Sequence[str]]:
        """Return the md5s of the rows of a range by key."""

    def rows(self, keys: Sequence[int]) -> Mapping[int, Sequence[Row]]:
        """Return the rows of some keys."""

    def rows_without_key(self) -> Sequence[Row]:
        """Return some of the rows that have no key."""


@dataclass(slots=True)
class Progress:
    """How far a table is; `tell` is called now and then."""

    tell: Callable[["Progress"], None] = lambda _: None
    rows: int = 0  # of the source, so far
    copy_rows: int = 0
    share: float = 0.0  # of the range of keys that has been looked at
    fetched: int = 0  # rows whose values were compared
    suspects: int = 0  # of them, those that wait for their second look
    in_flight: int = 0


@dataclass(slots=True)
class _Suspects:
    """Keys that differed at the first look, with the marks that the source's rows had."""

    marks: dict[int, tuple[str | None, ...]] = field(default_factory=dict)
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a table whose checksums both sides were asked for."""

    table: str
    segment: Range
    width: int  # keys in a range
    source: Future[_Checksums]
    copy: Future[_Checksums]

    def differing(self) -> list[Range]:
        """Return the ranges that differ, once both have answered. Raises DestinationError."""
        return differing(self.segment, self.width, self.source.result(), self.copy.result())

    def drop(self) -> None:
        """Do not ask any more, where that has not begun."""
        self.source.cancel()
        self.copy.cancel()


class Comparison:
    """One table of one tool, its sides asked by the threads of `pool`.

    The second look comes `lag` seconds after the first; there is none if that is 0 and no horizon
    is known.
    """

    def __init__(
        self,
        pair: TablePair,
        sides: tuple[TableSide, TableSide],
        known: Known,
        pool: Executor,
        lag: float = 0.0,
    ) -> None:
        self._pair = pair
        self._source, self._copy = sides
        self._known = known
        self._pool = pool
        self._lag = lag
        self._suspects = _Suspects()
        self._everything: Range | None = None
        self.progress = Progress()

    def begin(self) -> Iterator[Finding]:
        """Ask which keys there are; yield the rows that have none. Raises DestinationError."""
        source, copy = self._source.bounds(), self._copy.bounds()
        self._everything = whole(source, copy)
        self.progress.copy_rows = copy.without_key
        rows = self._copy.rows_without_key() if copy.without_key else ()
        for number in range(copy.without_key):
            row = rows[number] if number < len(rows) else Row(None, None, ())
            yield from judged(self._pair, None, (), (row,), self._known)

    def parts(self) -> Iterator[Part]:
        """Yield the table's segments; as one is taken, both sides are asked for its checksums.

        Raises DestinationError.
        """
        if self._everything is not None:
            for piece in self._even(self._everything):
                yield from self._asked(piece)

    def first_look(self, part: Part) -> Iterator[Finding]:
        """Yield what is wrong in a part for sure. Raises DestinationError."""
        unequal = part.differing()
        self.progress.rows += sum(found.rows for found in part.source.result().values())
        self.progress.copy_rows += sum(found.rows for found in part.copy.result().values())
        for piece in joined(list(self._cut(unequal))):
            yield from self._rows_of(piece)
            self._looked_at(piece.high)
        self._looked_at(part.segment.high)
        self.progress.tell(self.progress)

    def _looked_at(self, key: int) -> None:
        if self._everything is not None:
            self.progress.share = (key - self._everything.low + 1) / self._everything.keys

    def _asked(self, part: Range) -> Iterator[Part]:
        width = width_for(part)
        for segment in segments(part, width):
            both = self._submitted(partial(_checksums, segment, width))
            yield Part(self._pair.table, segment, width, *both)

    def _even(self, part: Range) -> Iterator[Range]:
        """Yield pieces of which no range has most rows: else a key far off would make it so."""
        if not may_be_uneven(part):
            yield part
            return
        width = piece_width(part)
        source, copy = self._both(lambda side: side.counts(part, width))
        numbers = source.keys() | copy.keys()
        found = pieces(part, {one: max(source.get(one, 0), copy.get(one, 0)) for one in numbers})
        if found == [part]:
            yield part
            return
        for piece in found:
            yield from self._even(piece)

    def _both(self, ask: Callable[[TableSide], _T]) -> tuple[_T, _T]:
        """Ask both sides at once."""
        source, copy = self._submitted(ask)
        return source.result(), copy.result()

    def _submitted(self, ask: Callable[[TableSide], _T]) -> tuple[Future[_T], Future[_T]]:
        return self._pool.submit(ask, self._source), self._pool.submit(ask, self._copy)

    def _cut(self, ranges: Iterable[Range]) -> Iterator[Range]:
        """Yield ranges that differ; of those with too many rows the pieces that do."""
        for unequal in ranges:
            if not to_split(unequal):
                yield unequal
                continue
            for part in ahead(self._asked(unequal)):
                yield from self._cut(part.differing())

    def _rows_of(self, part: Range) -> Iterator[Finding]:
        """Yield what is wrong in a range: only rows whose digests differ are fetched."""
        source, copy = self._both(lambda side: side.digests(part))
        keys = sorted(source.keys() | copy.keys())
        unequal = [key for key in keys if source.get(key) != copy.get(key)]
        del source, copy
        for start in range(0, len(unequal), _LOOKED_AT):
            yield from self._first_look(unequal[start : start + _LOOKED_AT])

    def _first_look(self, keys: Sequence[int]) -> Iterator[Finding]:
        source, copy = self._both(lambda side: side.rows(keys))
        self.progress.fetched += len(keys)
        for key in keys:
            ours, theirs = source.get(key, ()), copy.get(key, ())
            if self._lag == 0 and self._known.horizon is None:
                yield from judged(self._pair, key, ours, theirs, self._known)
            elif not _agree(self._pair, ours, theirs):
                self._suspects.marks[key] = _marks(ours)
                self._suspects.since = time.monotonic()
        self.progress.suspects = len(self._suspects.marks)
        self.progress.tell(self.progress)
        if len(self._suspects.marks) >= _SUSPECTS:
            yield from self.second_look()

    def second_look(self) -> Iterator[Finding]:
        """Wait until the last suspect has had its time; yield what is wrong with them.

        To be called when all tables had their first look, so that they wait together. Raises
        DestinationError.
        """
        suspects, self._suspects = self._suspects, _Suspects()
        if not suspects.marks:
            return
        self.progress.tell(self.progress)
        time.sleep(max(0.0, suspects.since + self._lag - time.monotonic()))
        keys = sorted(suspects.marks)
        self.progress.suspects = 0
        for start in range(0, len(keys), _LOOKED_AT):
            some = keys[start : start + _LOOKED_AT]
            # The copy first: what the source has changed by then shows in its mark.
            copy = self._copy.rows(some)
            source = self._source.rows(some)
            for key in some:
                ours, theirs = source.get(key, ()), copy.get(key, ())
                if _marks(ours) != suspects.marks[key] or _agree(self._pair, ours, theirs):
                    self.progress.in_flight += 1
                    continue
                differences = judged(self._pair, key, ours, theirs, self._known)
                if self._is_due(ours):
                    yield from differences
                else:
                    yield from (replace(difference, late=True) for difference in differences)

    def _is_due(self, source: Sequence[Row]) -> bool:
        """Return whether the copy must hold these rows by now; of no row nothing tells."""
        horizon = self._known.horizon
        if horizon is None:
            return True
        return bool(source) and all(int(row.mark or 0) < horizon for row in source)


def ahead(parts: Iterable[_T]) -> Iterator[_T]:
    """Yield parts, each when some more were taken, and so asked for.

    So the side that is through first does not wait for the other, nor a table for the one before.
    """
    taken: deque[_T] = deque()
    for part in parts:
        taken.append(part)
        if len(taken) > _AHEAD:
            yield taken.popleft()
    yield from taken


def _checksums(segment: Range, width: int, side: TableSide) -> _Checksums:
    return side.checksums(segment, width)


def _marks(rows: Sequence[Row]) -> tuple[str | None, ...]:
    return tuple(row.mark for row in rows)


def _agree(pair: TablePair, source: Sequence[Row], copy: Sequence[Row]) -> bool:
    """Return whether both sides have the one same row, or none."""
    if len(source) != len(copy) or len(source) > 1:
        return False
    return all(
        same(both.form, ours, theirs)
        for one, other in zip(source, copy, strict=True)
        for both, ours, theirs in zip(pair.columns, one.texts, other.texts, strict=True)
    )
