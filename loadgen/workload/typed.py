"""Values of a column or parameter, many at once and by their type, and their text.

A text is in Postgres' input syntax. Numbers, times and uuids have texts of one width, which are the
rows of a matrix of bytes; to fill a request or a COPY with these is one assignment for all rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.streams import Bits, Int64Array

Matrix = NDArray[np.uint8]
Texts = Matrix | list[bytes]
TimeForm = Literal["timestamptz", "timestamp", "date"]

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
_MINUTE_US: Final = 60 * SECOND_US
_POSTGRES_EPOCH: Final = np.datetime64("2000-01-01", "D")  # times are microseconds since
_GROUP: Final = 4  # decimal digits for one look-up
_GROUPS: Final = np.frombuffer(b"".join(b"%04d" % n for n in range(10**_GROUP)), np.uint8)
_DIGITS: Final = _GROUPS.reshape(-1, _GROUP)
_MINUTES: Final = np.frombuffer(
    b"".join(b" %02d:%02d:" % divmod(n, 60) for n in range(1440)), np.uint8
).reshape(-1, 7)


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole numbers; the texts have `digits` digits, after a sign if numbers may be negative."""

    numbers: Int64Array
    digits: int
    signed: bool = False

    def texts(self) -> Matrix:
        """Return the numbers with leading zeros."""
        numbers = _magnitudes(self.numbers) if self.signed else self.numbers
        return _signed(digits(numbers, self.digits), self.numbers, signed=self.signed)


@dataclass(frozen=True, slots=True)
class Scaled:
    """Decimal numbers, times 10**scale; `zeros` more digits after the point are 0."""

    numbers: Int64Array
    scale: int
    digits: int
    zeros: int = 0
    signed: bool = False

    def texts(self) -> Matrix:
        """Return the numbers with leading zeros."""
        every = digits(np.abs(self.numbers), self.digits + self.scale)
        n = len(every)
        fraction = [filled(n, b"."), every[:, self.digits :], filled(n, b"0" * self.zeros)]
        whole = _signed(every[:, : self.digits], self.numbers, signed=self.signed)
        return np.concatenate([whole, *fraction], axis=1) if self.scale else whole


@dataclass(frozen=True, slots=True)
class Truth:
    """Booleans."""

    flags: NDArray[np.bool_]

    def texts(self) -> Matrix:
        """Return t or f."""
        return np.where(self.flags, np.uint8(ord("t")), np.uint8(ord("f"))).reshape(-1, 1)


@dataclass(frozen=True, slots=True)
class Uuids:
    """Uuids, each as two 64-bit words."""

    words: Bits

    def texts(self) -> Matrix:
        """Return 32 hex digits in five groups."""
        hexes = hex_digits(self.words)
        texts = np.full((len(hexes), 36), ord("-"), np.uint8)
        for start, end, at in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
            texts[:, at : at + end - start] = hexes[:, start:end]
        return texts


@dataclass(frozen=True, slots=True)
class Instants:
    """Times in microseconds since 2000-01-01 UTC, those of a date at midnight.

    They lie in the `days` from day `first_day` since then on.
    """

    micros: Int64Array
    form: TimeForm
    first_day: int
    days: int

    def texts(self) -> Matrix:
        """Return them in ISO format with microseconds, those with a time zone in UTC."""
        day, micros = np.divmod(self.micros, DAY_US)
        dates: Matrix = _calendar(self.first_day, self.days)[day - self.first_day]
        if self.form == "date":
            return dates
        minute, micros = np.divmod(micros, _MINUTE_US)
        second, micros = np.divmod(micros, SECOND_US)
        n = len(minute)
        time = [dates, _MINUTES[minute], digits(second, 2), filled(n, b"."), digits(micros, 6)]
        zone = [filled(n, b"+00")] if self.form == "timestamptz" else []
        return np.concatenate([*time, *zone], axis=1)


@dataclass(frozen=True, slots=True)
class Cut:
    """Texts that are cut from `letters`: where each begins, and its size."""

    letters: Matrix  # in one row
    begins: Int64Array
    sizes: Int64Array

    def rows(self) -> list[bytes]:
        """Return the texts."""
        text, ends = self.letters.tobytes(), self.begins + self.sizes
        return [text[a:b] for a, b in zip(self.begins.tolist(), ends.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class CutFromPool(Cut):
    """Texts of a pool, which has them all as objects."""

    pool: "Pool"
    picks: Int64Array

    def rows(self) -> list[bytes]:
        """Return the texts."""
        return self.pool.rows(self.picks)


def as_texts(part: Texts | Cut) -> Texts:
    """Return texts, those of a cut as a list."""
    return part.rows() if isinstance(part, Cut) else part


class Pool:
    """Texts to pick from by index."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        self.entries = tuple(texts)
        widths = {len(text) for text in self.entries}
        self.width = (widths.pop() or None) if len(widths) == 1 else None

    @cached_property
    def _matrix(self) -> Matrix:
        return self._letters.reshape(len(self.entries), -1)

    @cached_property
    def sizes(self) -> Int64Array:
        """Bytes of each text."""
        return np.array([len(text) for text in self.entries], np.int64)

    @cached_property
    def _array(self) -> NDArray[np.object_]:
        array = np.empty(len(self.entries), object)
        array[:] = self.entries
        return array

    @cached_property
    def _letters(self) -> Matrix:
        return np.frombuffer(b"".join(self.entries), np.uint8)

    @cached_property
    def _begins(self) -> Int64Array:
        return np.cumsum(self.sizes) - self.sizes

    def part(self, picks: Int64Array) -> Matrix | Cut:
        """Return the entries that `picks` pick: as a cut of all of them if they have no width."""
        if self.width:
            return self._matrix[picks]
        return CutFromPool(self._letters, self._begins[picks], self.sizes[picks], self, picks)

    def texts(self, picks: Int64Array) -> Texts:
        """Return the entries that `picks` pick."""
        return as_texts(self.part(picks))

    def rows(self, picks: Int64Array) -> list[bytes]:
        """Return the entries that `picks` pick, as a list."""
        return cast("list[bytes]", self._array[picks].tolist())


@dataclass(frozen=True, slots=True)
class Picks:
    """Entries of a pool."""

    picks: Int64Array
    pool: Pool

    def texts(self) -> Texts:
        """Return the entries."""
        return self.pool.texts(self.picks)


@dataclass(frozen=True, slots=True)
class Words:
    """Any texts."""

    rows: Texts | Cut

    def texts(self) -> Texts:
        """Return the texts."""
        return as_texts(self.rows)


@dataclass(frozen=True, slots=True)
class Blobs:
    """Bytes, for bytea."""

    rows: Texts

    def texts(self) -> Texts:
        r"""Return \x and two hex digits for each byte."""
        if isinstance(self.rows, list):
            return [b"\\x" + row.hex().encode() for row in self.rows]
        n, width = self.rows.shape
        hexes = np.frombuffer(self.rows.tobytes().hex().encode(), np.uint8).reshape(n, width * 2)
        return np.concatenate([filled(n, b"\\x"), hexes], axis=1)


@dataclass(frozen=True, slots=True)
class Documents:
    """Texts in parts, one after the other: JSON documents."""

    parts: Sequence[Texts | Cut]

    @property
    def pieces(self) -> list[Texts]:
        """The parts, cuts as lists."""
        return [as_texts(part) for part in self.parts]

    def texts(self) -> Texts:
        """Return the documents."""
        return joined(self.pieces)


NotNull = Whole | Scaled | Truth | Uuids | Instants | Picks | Words | Blobs | Documents


@dataclass(frozen=True, slots=True)
class Nullable:
    """Values of which some are NULL."""

    values: NotNull
    nulls: NDArray[np.bool_]

    def texts(self) -> list[bytes | None]:
        """Return the texts, None for NULL."""
        texts: list[bytes | None] = [*rows_of(self.values.texts())]
        for i in np.flatnonzero(self.nulls).tolist():
            texts[i] = None
        return texts


Typed = NotNull | Nullable


def nullable(typed: Typed, nulls: NDArray[np.bool_]) -> Nullable:
    """Return `typed` with more NULLs."""
    if isinstance(typed, Nullable):
        return Nullable(typed.values, typed.nulls | nulls)
    return Nullable(typed, nulls)


def not_null(typed: Typed) -> NotNull:
    """Return the values, and any in the place of NULL."""
    return typed.values if isinstance(typed, Nullable) else typed


def rows_of(texts: Texts) -> list[bytes]:
    """Return texts as a list."""
    if isinstance(texts, list):
        return texts
    n, width = texts.shape
    if not width:
        return [b""] * n
    # As one item of a void type a row becomes bytes in a quarter of the time of a slice.
    rows: Any = np.ascontiguousarray(texts).view(f"V{width}").ravel().tolist()
    return cast("list[bytes]", rows)


def merged(pieces: Iterable[Texts]) -> list[Texts]:
    """Return pieces of rows with matrices that are next to each other as one."""
    result: list[Texts] = []
    for is_list, group in groupby(pieces, lambda piece: isinstance(piece, list)):
        neighbours = list(group)
        if not is_list:
            neighbours = [np.concatenate(cast("list[Matrix]", neighbours), axis=1)]
        result += neighbours
    return result


def joined(pieces: Iterable[Texts]) -> Texts:
    """Return the rows that pieces of them make."""
    parts = merged(pieces)
    if len(parts) == 1:
        return parts[0]
    return list(map(b"".join, zip(*map(rows_of, parts), strict=True)))


def digits(numbers: Int64Array | Bits, width: int) -> Matrix:
    """Return numbers from 0 to 10**width - 1 as digits with leading zeros."""
    groups = []
    for _ in range(0, width - _GROUP, _GROUP):
        numbers, low = np.divmod(numbers, 10**_GROUP)
        groups.append(_DIGITS[low])
    groups.append(_DIGITS[numbers])
    every = groups[0] if len(groups) == 1 else np.concatenate(groups[::-1], axis=1)
    return every[:, every.shape[1] - width :]


def hex_digits(words: Bits) -> Matrix:
    """Return 64-bit words as hex digits, 16 for each word of a row."""
    hexes = words.astype(">u8").tobytes().hex().encode()
    return np.frombuffer(hexes, np.uint8).reshape(len(words), -1)


def _magnitudes(numbers: Int64Array) -> Bits:
    return np.abs(numbers).view(np.uint64)  # also of the lowest integer, which has no opposite


def _signed(texts: Matrix, numbers: Int64Array, *, signed: bool) -> Matrix:
    if not signed:
        return texts
    sign = np.where(numbers < 0, np.uint8(ord("-")), np.uint8(ord("0")))
    return np.concatenate([sign.reshape(-1, 1), texts], axis=1)


def filled(n: int, text: bytes) -> Matrix:
    """Return `n` rows that are all `text`."""
    return np.broadcast_to(np.frombuffer(text, np.uint8), (n, len(text)))


@lru_cache(maxsize=16)
def _calendar(first_day: int, days: int) -> Matrix:
    """Return the dates of `days` days, a row each."""
    dates = np.arange(first_day, first_day + days) + _POSTGRES_EPOCH
    return np.frombuffer("".join(dates.astype(str)).encode(), np.uint8).reshape(days, 10)
