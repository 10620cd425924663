"""Makers of values: each turns indexes into values, as a pure function of a stream and an index."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

import numpy as np

from loadgen.workload.history import History
from loadgen.workload.model import Choice, Decimal, Number, Text, Time
from loadgen.workload.streams import Bits, Int64Array, Stream, Weights, scaled
from loadgen.workload.typed import (
    DAY_US,
    Blobs,
    Cut,
    Instants,
    Matrix,
    NotNull,
    Nullable,
    Picks,
    Pool,
    Scaled,
    Texts,
    TimeForm,
    Truth,
    Typed,
    Uuids,
    Whole,
    Words,
    not_null,
    nullable,
    rows_of,
)

# Padding and texts are cut from these words; each has two letters or more.
_WORDS: Final = (
    "the order was packed this morning and leaves tonight please ring twice at the side door since "
    "our bell is broken we compared three offers before choosing this one and would gladly buy "
    "again delivery took longer than promised but support answered within minutes the second box "
    "arrived open although nothing was missing could you send the invoice to accounting as well "
    "search shows better results when the exact name of the product is typed page loaded slowly on "
    "the train yet the cart kept everything my colleague recommended the larger size for our team "
    "settings were changed after the update so notifications stopped until we enabled them again"
)
_PROSE_WORDS: Final = 4096
_BLOCK_BYTES: Final = 1 << 16  # of random bytes made at once
_MOST_DIGITS: Final = 18  # of a decimal number drawn as an integer of 64 bits
_MOST_ARRIVALS: Final = 10**12  # of an operation


class ValueMaker(Protocol):
    """Makes the values of a column or a parameter."""

    @property
    def width(self) -> int | None:
        """Bytes of every text, if all have as many and none is NULL."""

    def texts(self, indexes: Int64Array) -> Matrix | list[bytes | None]:
        """Return the texts: a row each if there is a width, else a list."""

    def typed(self, indexes: Int64Array) -> Typed:
        """Return the values."""


class Maker:
    """A maker by a function from indexes to values."""

    __slots__ = ("typed", "width")

    def __init__(self, typed: Callable[[Int64Array], Typed]) -> None:
        self.typed = typed
        # All texts of a kind of value have one width or none.
        sample = typed(np.zeros(1, np.int64))
        rows = sample.texts()
        if isinstance(sample, Picks):
            self.width = sample.pool.width
        else:
            self.width = None if isinstance(rows, list) else rows.shape[1]

    def texts(self, indexes: Int64Array) -> Matrix | list[bytes | None]:
        """Return the texts: a row each if there is a width, else a list."""
        texts = self.typed(indexes).texts()
        return [*texts] if isinstance(texts, list) else texts


@dataclass(frozen=True, slots=True)
class Prose:
    """English words to cut texts from: all ASCII, none needs an escape in JSON or COPY."""

    letters: Matrix  # in one row
    starts: Int64Array  # where words begin

    def cut(self, bits: Bits, lengths: Int64Array) -> Cut:
        """Return texts of `lengths` characters, which begin and end with a letter."""
        return Cut(self.letters, self._first(bits, lengths), lengths)

    def cut_alike(self, bits: Bits, length: int) -> Matrix:
        """Return texts of one length, a row each."""
        first = self._first(bits, np.full(len(bits), length))
        letters: Matrix = self.letters[first[:, np.newaxis] + np.arange(length)]
        return letters

    def _first(self, bits: Bits, lengths: Int64Array) -> Int64Array:
        first = self.starts[scaled(bits, len(self.starts)).view(np.int64)]
        # A text that would end with a space begins with the second letter of its first word.
        spaces = self.letters[first + np.maximum(lengths, 1) - 1] == ord(" ")
        starts: Int64Array = first + (spaces & (lengths > 0))
        return starts


def prose(longest: int) -> Prose:
    """Return words to cut texts of up to `longest` characters from."""
    words = _WORDS.split()
    indexes = np.arange(_PROSE_WORDS)
    text = " ".join(words[i] for i in Stream("prose").below(indexes, len(words)).tolist()).encode()
    starts = np.flatnonzero(np.frombuffer(b" " + text[:-1], np.uint8) == ord(" "))
    repeated = (text + b" ") * (1 + -(-(longest + 1) // (len(text) + 1)))
    return Prose(np.frombuffer(repeated, np.uint8), starts.astype(np.int64))


def constant(text: str) -> Maker:
    """Return the maker of one text."""
    pool = Pool([text.encode()])
    return Maker(lambda indexes: Picks(np.zeros(len(indexes), np.int64), pool))


def whole(numbers: Callable[[Int64Array], Int64Array], low: int, high: int) -> Maker:
    """Return the maker of whole numbers that lie between `low` and `high`."""
    width = len(str(max(abs(low), abs(high))))
    return Maker(lambda indexes: Whole(numbers(indexes), width, signed=low < 0))


def sequence(start: int, pattern: str, rows: int | None) -> Maker:
    """Return the maker of a sequence; `rows` is how many there are, None if of arrivals."""
    last = start + (_MOST_ARRIVALS if rows is None else max(rows, 1)) - 1
    if not pattern:
        return whole(lambda indexes: indexes + start, start, last)
    plain = re.fullmatch(r"([^{}]*)\{(?::0(\d+)d?)?\}([^{}]*)", pattern)
    if plain and start >= 0 and plain[2] and len(str(last)) <= int(plain[2]):
        digits = int(plain[2])
        before, after = (np.frombuffer(plain[i].encode(), np.uint8) for i in (1, 3))

        def alike(indexes: Int64Array) -> Words:
            numbers = Whole(indexes + start, digits).texts()
            sides = [np.broadcast_to(side, (len(indexes), len(side))) for side in (before, after)]
            return Words(np.concatenate([sides[0], numbers, sides[1]], axis=1))

        return Maker(alike)
    return Maker(
        lambda indexes: Words([pattern.format(i).encode() for i in (indexes + start).tolist()])
    )


def uuid(stream: Stream) -> Maker:
    """Return the maker of uuids of version 4, variant 1."""

    def typed(indexes: Int64Array) -> Uuids:
        words = stream.words(indexes, 2)
        words[:, 0] &= np.uint64(0xFFFFFFFF_FFFF0FFF)
        words[:, 0] |= np.uint64(4 << 12)
        words[:, 1] &= np.uint64(0x3FFFFFFF_FFFFFFFF)
        words[:, 1] |= np.uint64(2 << 62)
        return Uuids(words)

    return Maker(typed)


def choice(generator: Choice, stream: Stream) -> Maker:
    """Return the maker of texts by weight."""
    pool = Pool(text.encode() for text in generator.texts)
    weights = Weights(generator.weights)
    # Documents are made by the choice of another column, from the same indexes.
    last: tuple[Int64Array, Picks] | None = None

    def typed(indexes: Int64Array) -> Picks:
        nonlocal last
        if last is None or last[0] is not indexes:
            last = indexes, Picks(weights.picks(stream.bits(indexes)), pool)
        return last[1]

    return Maker(typed)


def number(generator: Number, stream: Stream) -> Maker:
    """Return the maker of whole numbers in a range."""
    low, high, skew = generator.low, generator.high, generator.skew
    span = min(high - low + 1, 2**64 - 1)
    return whole(lambda indexes: stream.skewed(indexes, span, skew) + low, low, high)


def decimal(generator: Decimal, stream: Stream) -> Maker:
    """Return the maker of decimal numbers in a range."""
    skew = generator.skew
    digits = len(str(int(max(abs(generator.low), abs(generator.high)))))
    scale = max(0, min(generator.scale, _MOST_DIGITS - digits))
    zeros = generator.scale - scale if scale else 0
    low, high = (
        round(Fraction(str(bound)) * 10**scale) for bound in (generator.low, generator.high)
    )
    digits = max(1, len(str(max(abs(low), abs(high)))) - scale)

    def typed(indexes: Int64Array) -> Scaled:
        numbers = stream.skewed(indexes, high - low + 1, skew) + low
        return Scaled(numbers, scale, digits, zeros, signed=low < 0)

    return Maker(typed)


def boolean(share: float, stream: Stream) -> Maker:
    """Return the maker of booleans."""
    return Maker(lambda indexes: Truth(stream.share(indexes, share)))


def text(generator: Text, stream: Stream) -> Maker:
    """Return the maker of words of some width."""
    pool, lengths = prose(generator.longest), stream.part("length")
    shortest, span = generator.shortest, generator.longest - generator.shortest + 1
    if span == 1 and shortest:
        return Maker(lambda indexes: Words(pool.cut_alike(stream.bits(indexes), shortest)))
    return Maker(
        lambda indexes: Words(
            pool.cut(stream.bits(indexes), lengths.below(indexes, span) + shortest)
        )
    )


def random_bytes(shortest: int, longest: int, stream: Stream) -> Maker:
    """Return the maker of random bytes."""
    lengths, span, words = stream.part("length"), longest - shortest + 1, max(1, -(-longest // 8))

    def blobs(indexes: Int64Array) -> Matrix:
        return stream.words(indexes, words).view(np.uint8)[:, :longest]

    def typed(indexes: Int64Array) -> Blobs:
        if span == 1 and longest:
            return Blobs(blobs(indexes))
        sizes = lengths.below(indexes, span) + shortest
        step = max(1, _BLOCK_BYTES // max(longest, 1))
        blocks = (indexes[i : i + step] for i in range(0, len(indexes), step))
        rows = (row for block in blocks for row in rows_of(blobs(block)))
        return Blobs([row[:size] for row, size in zip(rows, sizes.tolist(), strict=True)])

    return Maker(typed)


def instants(
    micros: Callable[[Int64Array], Int64Array], form: TimeForm, start_us: int, end_us: int
) -> Maker:
    """Return the maker of times, which lie between `start_us` and `end_us`."""
    first_day = start_us // DAY_US
    days = end_us // DAY_US - first_day + 1

    def typed(indexes: Int64Array) -> Instants:
        times = micros(indexes)
        if form == "date":
            times -= times % DAY_US
        return Instants(times, form, first_day, days)

    return Maker(typed)


def even_time(generator: Time, history: History, stream: Stream) -> Maker:
    """Return the maker of times at random."""
    start, end = history.start_us, history.end_us
    return instants(
        lambda indexes: stream.below(indexes, end - start) + start, generator.form, start, end
    )


def time_after(base: ValueMaker, share: float, end_us: int, stream: Stream) -> Maker:
    """Return the maker of times between those of `base` and the end, in a share of the rows."""
    part = stream.part("share")

    def typed(indexes: Int64Array) -> Typed:
        before = base.typed(indexes)
        values = instants_of(before)
        micros = values.micros
        later = stream.below(indexes, np.maximum(end_us - micros, 0) + 1)
        later[~part.share(indexes, share)] = 0
        micros = micros + later
        if values.form == "date":
            micros -= micros % DAY_US
        times = Instants(micros, values.form, values.first_day, values.days)
        return Nullable(times, before.nulls) if isinstance(before, Nullable) else times

    return Maker(typed)


def instants_of(typed: Typed) -> Instants:
    """Return the times of a column that has times."""
    values = not_null(typed)
    if not isinstance(values, Instants):
        raise TypeError(f"{type(values).__name__} are no times")
    return values


def with_nulls(maker: ValueMaker, share: float, stream: Stream) -> Maker:
    """Return a maker whose values are NULL in a share of the indexes."""
    return Maker(lambda indexes: nullable(maker.typed(indexes), stream.share(indexes, share)))


def by_rows(maker: ValueMaker, rows: Callable[[Int64Array], Int64Array]) -> Maker:
    """Return a maker of what `maker` makes for other rows."""
    return Maker(lambda indexes: maker.typed(rows(indexes)))


def array(
    elements: ValueMaker, sizes: tuple[int, int], stream: Stream, *, nested: bool = False
) -> Maker:
    """Return the maker of array literals of `sizes[0]` to `sizes[1]` elements."""
    fewest, most = sizes

    def typed(indexes: Int64Array) -> Words:
        counts = stream.below(indexes, most - fewest + 1) + fewest
        every = (indexes[:, np.newaxis] * most + np.arange(most)).ravel()
        values = elements.typed(every)
        texts = _elements(values, plain=nested)
        starts = range(0, len(texts), most) if most else [0] * len(indexes)
        rows = zip(starts, counts.tolist(), strict=True)
        return Words([b"{" + b",".join(texts[at : at + n]) + b"}" for at, n in rows])

    return Maker(typed)


def _elements(typed: Typed, *, plain: bool) -> Sequence[bytes]:
    if isinstance(typed, Nullable):
        texts = _elements(typed.values, plain=plain)
        nulls = typed.nulls.tolist()
        return [b"NULL" if null else t for t, null in zip(texts, nulls, strict=True)]
    return _quoted(typed, plain=plain)


def _quoted(values: NotNull, *, plain: bool) -> Sequence[bytes]:
    texts: Texts = values.texts()
    if plain or isinstance(values, Whole | Scaled | Truth | Uuids):
        return rows_of(texts)
    rows = rows_of(texts)
    return [b'"%b"' % row.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for row in rows]
