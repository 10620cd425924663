r"""COPY fields of values: binary ones with their length, and escaped texts.

A field is made for many rows at once, in pieces that follow each other: matrices of bytes, a row
each, and lists. Binary fields save the server from parsing timestamps, uuids and numbers, which is
a third of its time for a row.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import chain
from typing import Final
from uuid import UUID

import numpy as np

from loadgen.workload.history import EPOCH, micros
from loadgen.workload.streams import Int64Array
from loadgen.workload.typed import (
    DAY_US,
    Blobs,
    Documents,
    Instants,
    Matrix,
    NotNull,
    Nullable,
    Picks,
    Pool,
    Scaled,
    Texts,
    Truth,
    Typed,
    Uuids,
    Whole,
    Words,
    filled,
    joined,
    merged,
    rows_of,
)

Pieces = Sequence[Texts]

_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct(">i").pack
_TEXT_TYPES: Final = frozenset({"text", "character varying", "character", "json"})
_WHOLE_TYPES: Final = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8"}
_TIME_TYPES: Final = frozenset({"timestamp with time zone", "timestamp without time zone"})
_JSONB: Final = b"\x01"  # the version of its format
_NEGATIVE: Final = 0x4000  # the sign of a numeric
_GROUP: Final = 4  # decimal digits in one of a numeric
_EXACT: Final = 2**53  # whole numbers up to here are floats
_MOST_NUMERIC: Final = 10**18
_ESCAPES: Final = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\t", b"\\t"))
_TRUTHS: Final = {b"t": b"\1", b"true": b"\1", b"f": b"\0", b"false": b"\0"}


def plain_type(type_: str) -> str:
    """Return a type's name as format_type() writes it, without length, precision or scale."""
    return re.sub(r"\([\d,]+\)", "", type_)


def has_binary_format(type_: str) -> bool:
    """Return whether values of a type can be binary."""
    return plain_type(type_) in _FROM_TEXT


def rows_from(pieces: Pieces) -> bytes:
    """Return the rows that the pieces of all their fields make, one after the other."""
    rows = zip(*map(rows_of, merged(pieces)), strict=True)
    return b"".join(chain.from_iterable(rows))


def text_field(typed: Typed) -> Pieces:
    r"""Return the field of a COPY in text format, \N for NULL."""
    if isinstance(typed, Nullable):
        return [_with_nulls(text_field(typed.values), typed, b"\\N")]
    if isinstance(typed, Picks):
        return [_escaped_pool(typed.pool).texts(typed.picks)]
    if isinstance(typed, Documents):
        return [_escaped(piece) for piece in typed.pieces]
    if isinstance(typed, Words | Blobs):
        return [_escaped(typed.texts())]
    return [typed.texts()]


def binary_field(typed: Typed, type_: str) -> Pieces:
    """Return the field of a binary COPY: its length and the value in the format of `type_`.

    Raises ValueError if a value has no such format.
    """
    if isinstance(typed, Nullable):
        return [_with_nulls(binary_field(typed.values, type_), typed, _NULL)]
    if isinstance(typed, Picks):
        return [_binary_pool(typed.pool, type_).texts(typed.picks)]
    value = _value(typed, plain_type(type_))
    return [_lengths(value), *value]


def _value(typed: NotNull, type_: str) -> Pieces:
    """Return values in the binary format of a type without its modifier."""
    value = _numbers(typed, type_) if isinstance(typed, Whole | Scaled) else _others(typed, type_)
    if value is not None:
        return value
    if type_ in _TEXT_TYPES:
        return [typed.texts()]
    from_text = _FROM_TEXT[type_]
    return [[from_text(text) for text in rows_of(typed.texts())]]


def _numbers(typed: Whole | Scaled, type_: str) -> Pieces | None:
    scale = typed.scale if isinstance(typed, Scaled) else 0
    numbers = typed.numbers
    if type_ in _WHOLE_TYPES and not scale:
        encoded = numbers.astype(_WHOLE_TYPES[type_])
        if (encoded != numbers).any():
            raise ValueError(f"{numbers.max()} is too large for {type_}")
        return [_bytes_of(encoded)]
    if type_ == "numeric":
        zeros = typed.zeros if isinstance(typed, Scaled) else 0
        return [_numeric(numbers, typed.digits, scale, scale + zeros)]
    if type_ == "double precision" and (np.abs(numbers) < _EXACT).all():
        return [_bytes_of((numbers / 10**scale).astype(">f8"))]
    return None


def _others(typed: NotNull, type_: str) -> Pieces | None:  # noqa: PLR0911 - a case for each kind
    if isinstance(typed, Instants) and type_ in _TIME_TYPES:
        return [_bytes_of(typed.micros.astype(">i8"))]
    if isinstance(typed, Instants) and type_ == "date":
        return [_bytes_of((typed.micros // DAY_US).astype(">i4"))]
    if isinstance(typed, Uuids) and type_ == "uuid":
        return [_bytes_of(typed.words.astype(">u8"))]
    if isinstance(typed, Truth) and type_ == "boolean":
        return [_bytes_of(typed.flags)]
    if isinstance(typed, Blobs) and type_ == "bytea":
        return [typed.rows]
    if isinstance(typed, Documents) and type_ in _TEXT_TYPES:
        return typed.pieces
    if isinstance(typed, Documents) and type_ == "jsonb":
        return [filled(len(typed.pieces[0]), _JSONB), *typed.pieces]
    return None


def _numeric(numbers: Int64Array, whole_digits: int, scale: int, shown_scale: int) -> Matrix:
    """Return numerics: groups of four decimal digits, as many for each number."""
    groups: list[Int64Array] = []
    rest = np.abs(numbers)
    if part := scale % _GROUP:
        rest, low = np.divmod(rest, 10**part)
        groups.append(low * 10 ** (_GROUP - part))
    before = -(-whole_digits // _GROUP)
    for _ in range(scale // _GROUP + before):
        rest, low = np.divmod(rest, 10**_GROUP)
        groups.append(low)
    fields = np.empty((len(numbers), 4 + len(groups)), ">i2")
    fields[:, 0], fields[:, 1], fields[:, 3] = len(groups), before - 1, shown_scale
    fields[:, 2] = np.where(numbers < 0, _NEGATIVE, 0)
    for i, group in enumerate(reversed(groups)):
        fields[:, 4 + i] = group
    return _bytes_of(fields)


def _bytes_of(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Matrix:
    """Return the bytes of an array, a row each."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _lengths(value: Pieces) -> Matrix:
    """Return how long each row of `value` is, in four bytes."""
    fixed = sum(piece.shape[1] for piece in value if not isinstance(piece, list))
    lists = [piece for piece in value if isinstance(piece, list)]
    if not lists:
        return filled(len(value[0]), _LENGTH(fixed))
    sizes = np.full(len(lists[0]), fixed)
    for rows in lists:
        sizes += np.fromiter(map(len, rows), np.int64, len(rows))
    return _bytes_of(sizes.astype(">i4"))


def _with_nulls(pieces: Pieces, typed: Nullable, null: bytes) -> list[bytes]:
    rows = [*rows_of(joined(pieces))]
    for i in np.flatnonzero(typed.nulls).tolist():
        rows[i] = null
    return rows


@lru_cache(maxsize=256)
def _escaped_pool(pool: Pool) -> Pool:
    return Pool(_escaped_text(text) for text in pool.entries)


@lru_cache(maxsize=256)
def _binary_pool(pool: Pool, type_: str) -> Pool:
    from_text = _FROM_TEXT[plain_type(type_)]
    values = [from_text(text) for text in pool.entries]
    return Pool(_LENGTH(len(value)) + value for value in values)


def _escaped(texts: Texts) -> Texts:
    every = b"".join(texts) if isinstance(texts, list) else texts.tobytes()
    if not any(character in every for character, _ in _ESCAPES):
        return texts
    return [_escaped_text(text) for text in rows_of(texts)]


def _escaped_text(text: bytes) -> bytes:
    for character, escape in _ESCAPES:
        text = text.replace(character, escape)
    return text


# --- Binary values of single texts: of choices and constants ------------------------------------


def _whole(form: str) -> Callable[[bytes], bytes]:
    def encode(text: bytes) -> bytes:
        try:
            return struct.pack(form, int(text))
        except struct.error as exc:
            raise ValueError(f"{text.decode()} is out of range") from exc

    return encode


def _numeric_text(text: bytes) -> bytes:
    try:
        number = Decimal(text.decode())
    except InvalidOperation as exc:
        raise ValueError(f"{text.decode()} is no number") from exc
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{text.decode()} has no digits")  # noqa: TRY004 - a value, not a type
    scale = max(0, -exponent)
    scaled = int(number.scaleb(scale))
    if abs(scaled) >= _MOST_NUMERIC or scale >= len(str(_MOST_NUMERIC)):
        raise ValueError(f"{text.decode()} has too many digits")
    digits = max(1, len(str(abs(scaled))) - scale)
    return _numeric(np.array([scaled]), digits, scale, scale).tobytes()


def _bytea(text: bytes) -> bytes:
    if text.startswith(b"\\x"):
        return bytes.fromhex(text[2:].decode())
    if b"\\" in text:
        raise ValueError(f"{text.decode()} has escapes")
    return text


def _truth(text: bytes) -> bytes:
    if text.lower() not in _TRUTHS:
        raise ValueError(f"{text.decode()} is neither true nor false")
    return _TRUTHS[text.lower()]


def _instant(text: bytes, *, zone: bool) -> bytes:
    instant = datetime.fromisoformat(text.decode())
    if instant.tzinfo is None or not zone:  # a timestamp without a time zone ignores one
        instant = instant.replace(tzinfo=UTC)
    return struct.pack(">q", micros(instant))


_FROM_TEXT: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    **dict.fromkeys(_TEXT_TYPES, lambda text: text),
    "smallint": _whole(">h"),
    "integer": _whole(">i"),
    "bigint": _whole(">q"),
    "double precision": lambda text: struct.pack(">d", float(text)),
    "numeric": _numeric_text,
    "boolean": _truth,
    "uuid": lambda text: UUID(text.decode()).bytes,
    "timestamp with time zone": lambda text: _instant(text, zone=True),
    "timestamp without time zone": lambda text: _instant(text, zone=False),
    "date": lambda text: struct.pack(">i", (date.fromisoformat(text.decode()) - EPOCH.date()).days),
    "jsonb": lambda text: _JSONB + text,
    "bytea": _bytea,
}
