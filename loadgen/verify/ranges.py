"""Ranges of keys: how a table is cut, which differ, and how those are cut again. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ROWS = 1000  # about as many in a range: one that differs costs as many digests
_SEGMENT_RANGES = 100, 250  # in one statement; what DuckDB may hold is enough for two of them
_SEGMENTS = 10  # aimed at: what is asked at once ends at about the same time
_FETCHED_ROWS = 20_000  # digests held at once, about
_SPREAD = 10  # keys a row: below that no range can have many more rows than others
_PIECES = 1000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and highest key of a side (None where it has no rows), and its rows, about."""

    low: int | None
    high: int | None
    rows: int
    without_key: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """The keys from `low` to `high`, both within; `rows` of the side that has more, where known."""

    low: int
    high: int
    rows: int = 0

    @property
    def keys(self) -> int:
        """How many keys there could be."""
        return self.high - self.low + 1

    def cut(self, width: int) -> Iterator["Range"]:
        """Yield its parts of `width` keys."""
        for low in range(self.low, self.high + 1, width):
            yield Range(low, min(low + width - 1, self.high))


@dataclass(frozen=True, slots=True)
class Checksum:
    """What one side says of a range."""

    rows: int
    digest: str


def whole(source: Bounds, copy: Bounds) -> Range | None:
    """Return the range that holds every key of both sides; None where there is no key at all."""
    lows = [side.low for side in (source, copy) if side.low is not None]
    highs = [side.high for side in (source, copy) if side.high is not None]
    if not lows:
        return None
    return Range(min(lows), max(highs), max(source.rows, copy.rows))


def width_for(part: Range) -> int:
    """Return how many keys a range takes so that it has about a thousand rows."""
    return max(1, part.keys * _ROWS // max(part.rows, 1))


def may_be_uneven(part: Range) -> bool:
    """Return whether one range of a large part may have most of its rows, for all that is known."""
    return part.rows > _ROWS * _SEGMENT_RANGES[1] and part.keys > part.rows * _SPREAD


def piece_width(part: Range) -> int:
    """Return how many keys a piece takes whose rows are counted."""
    return -(-part.keys // _PIECES)


def pieces(part: Range, counts: Mapping[int, int]) -> list[Range]:
    """Return what to look at where keys lie unevenly: `counts` are rows by number of the piece.

    Small neighbours are one. The part itself is returned where its rows lie evenly enough.
    """
    if max(counts.values(), default=0) <= part.rows * _SPREAD // _PIECES:
        return [part]
    width = piece_width(part)
    found: list[Range] = []
    for number in sorted(counts):
        low, rows = part.low + number * width, counts[number]
        if found and found[-1].rows + rows <= _ROWS * _SEGMENT_RANGES[1]:
            before = found.pop()
            low, rows = before.low, before.rows + rows
        high = min(part.low + (number + 1) * width - 1, part.high)
        found.append(Range(low, high, rows))
    return found


def segments(part: Range, width: int) -> Iterator[Range]:
    """Yield what one statement looks at."""
    fewest, most = _SEGMENT_RANGES
    ranges = part.keys // width // _SEGMENTS
    return part.cut(width * min(max(ranges, fewest), most))


def differing(
    segment: Range, width: int, source: Mapping[int, Checksum], copy: Mapping[int, Checksum]
) -> list[Range]:
    """Return the ranges of a segment whose checksums, by number of the range, are not the same."""
    found = []
    for number in sorted(source.keys() | copy.keys()):
        ours, theirs = source.get(number), copy.get(number)
        if ours != theirs:
            low = segment.low + number * width
            rows = max(side.rows for side in (ours, theirs) if side)
            found.append(Range(low, min(low + width - 1, segment.high), rows))
    return found


def to_split(part: Range) -> bool:
    """Return whether a range that differs has so many rows that it is cut again first."""
    return part.rows > _FETCHED_ROWS and part.keys > 1


def joined(parts: list[Range]) -> Iterator[Range]:
    """Yield neighbours as one, as long as their rows may be held at once."""
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
