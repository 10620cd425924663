"""One table: checksums by range on both sides, ranges that differ cut again, rows, findings.

Nothing is held that grows with the table: a segment's checksums, some thousand digests, and the
keys that are looked at a second time. While a load writes, a difference counts only where it
outlives a second look, `lag` seconds later, with the source's row unchanged in between: what was
touched meanwhile, or has arrived, is in flight.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from loadgen.verify.canonical import same
from loadgen.verify.findings import Finding, Known, judged
from loadgen.verify.mapping import TablePair
from loadgen.verify.ranges import (
    Bounds,
    Checksum,
    Range,
    differing,
    joined,
    segments,
    to_split,
    whole,
    width_for,
)
from loadgen.verify.scan import Row

_T = TypeVar("_T")
_LOOKED_AT: Final = 1000  # keys whose rows are held at once
_SUSPECTS: Final = 100_000  # keys of a table that wait for their second look


class TableSide(Protocol):
    """What is asked of one side of a table; `scan.Side` does."""

    def bounds(self) -> Bounds:
        """Return the lowest and highest key, and about how many rows there are."""

    def checksums(self, segment: Range, width: int) -> Mapping[int, Checksum]:
        """Return the checksum of each range of `width` keys, by its number."""

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


class Comparison:
    """One table of one tool; a delivery may take `lag` seconds, 0 where the source rests."""

    def __init__(
        self, pair: TablePair, source: TableSide, copy: TableSide, known: Known, lag: float = 0.0
    ) -> None:
        self._pair = pair
        self._source = source
        self._copy = copy
        self._known = known
        self._lag = lag
        self._suspects = _Suspects()
        self.progress = Progress()

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the table for sure. Raises DestinationError."""
        with ThreadPoolExecutor(2) as self._pool:
            source, copy = self._both(lambda side: side.bounds())
            self.progress.copy_rows = copy.without_key
            if copy.without_key:
                yield from self._without_key(copy.without_key)
            everything = whole(source, copy)
            if everything is not None:
                yield from self._ranges(everything)
        self.progress.share = 1.0

    def _both(self, ask: Callable[[TableSide], _T]) -> tuple[_T, _T]:
        """Ask both sides at once."""
        ours = self._pool.submit(ask, self._source)
        theirs = self._pool.submit(ask, self._copy)
        return ours.result(), theirs.result()

    def _ranges(self, everything: Range) -> Iterator[Finding]:
        width = width_for(everything)
        for segment in segments(everything, width):
            source, copy = self._both(partial(_checksums, segment, width))
            self.progress.rows += sum(found.rows for found in source.values())
            self.progress.copy_rows += sum(found.rows for found in copy.values())
            unequal = differing(segment, width, source, copy)
            for part in joined(list(self._cut(unequal))):
                yield from self._rows_of(part)
                self.progress.share = (part.high - everything.low + 1) / everything.keys
            self.progress.share = (segment.high - everything.low + 1) / everything.keys
            self.progress.tell(self.progress)

    def _cut(self, parts: Iterable[Range]) -> Iterator[Range]:
        """Yield ranges that differ; of those with too many rows the pieces that do."""
        for part in parts:
            if not to_split(part):
                yield part
                continue
            width = width_for(part)
            for segment in segments(part, width):
                source, copy = self._both(partial(_checksums, segment, width))
                yield from self._cut(differing(segment, width, source, copy))

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
            if self._lag == 0:
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

        To be called after `findings`, of each table when all are through: so they wait together.
        Raises DestinationError.
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
                else:
                    yield from judged(self._pair, key, ours, theirs, self._known)

    def _without_key(self, count: int) -> Iterator[Finding]:
        rows = self._copy.rows_without_key()
        for number in range(count):
            row = rows[number] if number < len(rows) else Row(None, None, ())
            yield from judged(self._pair, None, (), (row,), self._known)


def _checksums(segment: Range, width: int, side: TableSide) -> Mapping[int, Checksum]:
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
