"""Ranges of keys: how a table is split into them, and which differ. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ROWS = 1000  # about as many in a range; a range that differs costs as many digests
_SEGMENT_RANGES = 100, 250  # ranges in a statement; DuckDB's memory limit allows two statements
_SEGMENTS = 10  # of a table if possible, so that both sides finish at about the same time
_FETCHED_ROWS = 20_000  # digests in memory at once, about
_SPREAD = 10  # keys a row; below that no range can have many more rows than others
_PIECES = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and highest key of a side (None if it is empty), and its approximate rows."""

    low: int | None
    high: int | None
    rows: int
    without_key: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """The keys from `low` to `high` inclusive; `rows` is the larger side's number, if known."""

    low: int
    high: int
    rows: int = 0

    @property
    def keys(self) -> int:
        """The number of possible keys."""
        return self.high - self.low + 1

    def split(self, width: int) -> Iterator["Range"]:
        """Yield parts of `width` keys."""
        for low in range(self.low, self.high + 1, width):
            yield Range(low, min(low + width - 1, self.high))


@dataclass(frozen=True, slots=True)
class Checksum:
    """One side's row count and digest of a range."""

    rows: int
    digest: str


def whole(source: Bounds, copy: Bounds) -> Range | None:
    """Return the range of all keys of both sides; None if both are empty."""
    lows = [side.low for side in (source, copy) if side.low is not None]
    highs = [side.high for side in (source, copy) if side.high is not None]
    if not lows:
        return None
    return Range(min(lows), max(highs), max(source.rows, copy.rows))


def width_for(part: Range) -> int:
    """Return the number of keys of a range with about a thousand rows."""
    return max(1, part.keys * _ROWS // max(part.rows, 1))


def may_be_uneven(part: Range) -> bool:
    """Return whether one range of a large part could have most of its rows."""
    return part.rows > _ROWS * _SEGMENT_RANGES[1] and part.keys > part.rows * _SPREAD


def piece_width(part: Range) -> int:
    """Return the number of keys of the pieces whose rows are counted."""
    return -(-part.keys // _PIECES)


def pieces(part: Range, counts: Mapping[int, int]) -> list[Range]:
    """Return the pieces of a part with uneven keys, from the number of rows by piece.

    Small neighbours are joined. A part whose rows are spread evenly enough is returned whole.
    """
    if max(counts.values(), default=0) <= part.rows * _SPREAD // _PIECES:
        return [part]
    width = piece_width(part)
    joined: list[Range] = []
    for number in sorted(counts):
        low, rows = part.low + number * width, counts[number]
        if joined and joined[-1].rows + rows <= _ROWS * _SEGMENT_RANGES[1]:
            before = joined.pop()
            low, rows = before.low, before.rows + rows
        high = min(part.low + (number + 1) * width - 1, part.high)
        joined.append(Range(low, high, rows))
    return joined


def segments(part: Range, width: int) -> Iterator[Range]:
    """Yield the ranges that one statement covers."""
    fewest, most = _SEGMENT_RANGES
    ranges = part.keys // width // _SEGMENTS
    return part.split(width * min(max(ranges, fewest), most))


def differing(
    segment: Range, width: int, source: Mapping[int, Checksum], copy: Mapping[int, Checksum]
) -> list[Range]:
    """Return the ranges of a segment whose checksums, by number of the range, differ."""
    unequal = []
    for number in sorted(source.keys() | copy.keys()):
        ours, theirs = source.get(number), copy.get(number)
        if ours != theirs:
            low = segment.low + number * width
            rows = max(side.rows for side in (ours, theirs) if side)
            unequal.append(Range(low, min(low + width - 1, segment.high), rows))
    return unequal


def must_split(part: Range) -> bool:
    """Return whether a range that differs has too many rows to fetch their digests at once."""
    return part.rows > _FETCHED_ROWS and part.keys > 1


def join_neighbours(parts: list[Range]) -> Iterator[Range]:
    """Yield neighbours as one range, as long as their digests fit into memory."""
    current: Range | None = None
    for part in parts:
        if current is not None and current.high + 1 == part.low:
            together = current.rows + part.rows
            if together <= _FETCHED_ROWS:
                current = Range(current.low, part.high, together)
                continue
        if current is not None:
            yield current
        current = part
    if current is not None:
        yield current
