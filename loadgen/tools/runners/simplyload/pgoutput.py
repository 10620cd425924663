"""Decodes the messages of Postgres' output plugin pgoutput, protocol version 1.

Values are the texts that Postgres prints. The format is in its manual, "Logical Replication Message
Formats".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import Final, Literal

from loadgen.errors import SourceError

_LSN: Final = Struct("!Q")
_INT: Final = Struct("!i")
_OID: Final = Struct("!I")
_SHORT: Final = Struct("!h")
_BEGIN: Final = Struct("!QqI")  # commit LSN, time, transaction
_COMMIT: Final = Struct("!bQQq")  # flags, commit LSN, end LSN, time


class Unchanged(Enum):
    """The type of UNCHANGED: a TOAST value that an update left as it was is not sent."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
Row = tuple[str | Unchanged | None, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction's begin; `lsn` is that of its commit."""

    lsn: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction's end; `end_lsn` is the first position after it."""

    lsn: int
    end_lsn: int


@dataclass(frozen=True, slots=True)
class RelationColumn:
    """A column as the relation message describes it."""

    name: str
    type_oid: int
    type_modifier: int
    in_identity: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table: sent before its first change, and again if it has been altered.

    `identity` is its replica identity: the default, nothing, full, or an index.
    """

    oid: int
    schema: str
    name: str
    identity: Literal["d", "n", "f", "i"]
    columns: tuple[RelationColumn, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    relation: int
    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """A changed row.

    `old` is None if no column of the identity changed. With the identity FULL it is the whole old
    row, else the old key with None in all other columns.
    """

    relation: int
    old: Row | None
    row: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """A deleted row: all of it with the identity FULL, else its key."""

    relation: int
    old: Row


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables emptied by one TRUNCATE."""

    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """A message without a change of rows: a type, an origin, or a logical message."""

    kind: str


Message = Begin | Commit | Relation | Insert | Update | Delete | Truncate | Other


def decode(payload: bytes) -> Message:
    """Return one message. Raises SourceError if its kind is unknown."""
    decoder = _DECODERS.get(payload[:1])
    if decoder is None:
        raise SourceError(
            f"pgoutput sent a message of the unknown kind {payload[:1]!r}: its protocol is not "
            "version 1"
        )
    return decoder(payload)


def _begin(payload: bytes) -> Begin:
    return Begin(_BEGIN.unpack_from(payload, 1)[0])


def _commit(payload: bytes) -> Commit:
    _, lsn, end_lsn, _ = _COMMIT.unpack_from(payload, 1)
    return Commit(lsn, end_lsn)


def _insert(payload: bytes) -> Insert:
    return Insert(_OID.unpack_from(payload, 1)[0], _row(payload, 6)[0])


def _delete(payload: bytes) -> Delete:
    return Delete(_OID.unpack_from(payload, 1)[0], _row(payload, 6)[0])


def _truncate(payload: bytes) -> Truncate:
    (count,) = _OID.unpack_from(payload, 1)
    return Truncate(tuple(_OID.unpack_from(payload, 6 + 4 * at)[0] for at in range(count)))


def _other(payload: bytes) -> Other:
    return Other(payload[:1].decode())


def _update(payload: bytes) -> Update:
    (relation,) = _OID.unpack_from(payload, 1)
    old, at = None, 5
    if payload[5:6] in {b"K", b"O"}:
        old, at = _row(payload, 6)
    return Update(relation, old, _row(payload, at + 1)[0])


def _row(payload: bytes, at: int) -> tuple[Row, int]:
    """Return the row that begins at byte `at`, and where it ends."""
    (count,) = _SHORT.unpack_from(payload, at)
    at += 2
    values: list[str | Unchanged | None] = []
    for _ in range(count):
        kind = payload[at]
        at += 1
        if kind == 0x74:  # t: a text follows
            (length,) = _INT.unpack_from(payload, at)
            at += 4
            values.append(payload[at : at + length].decode())
            at += length
        else:  # n: NULL, u: unchanged
            values.append(None if kind == 0x6E else UNCHANGED)
    return tuple(values), at


def _relation(payload: bytes) -> Relation:
    (oid,) = _OID.unpack_from(payload, 1)
    schema, at = _string(payload, 5)
    name, at = _string(payload, at)
    identity = payload[at : at + 1].decode()
    (count,) = _SHORT.unpack_from(payload, at + 1)
    return Relation(oid, schema, name, identity, tuple(_columns(payload, at + 3, count)))  # type: ignore[arg-type]  # by the protocol


def _columns(payload: bytes, at: int, count: int) -> Iterator[RelationColumn]:
    for _ in range(count):
        in_identity = bool(payload[at] & 1)
        name, at = _string(payload, at + 1)
        (type_oid,) = _OID.unpack_from(payload, at)
        (modifier,) = _INT.unpack_from(payload, at + 4)
        at += 8
        yield RelationColumn(name, type_oid, modifier, in_identity)


def _string(payload: bytes, at: int) -> tuple[str, int]:
    end = payload.index(0, at)
    return payload[at:end].decode(), end + 1


_DECODERS: Final[Mapping[bytes, Callable[[bytes], Message]]] = {
    b"B": _begin,
    b"C": _commit,
    b"R": _relation,
    b"I": _insert,
    b"U": _update,
    b"D": _delete,
    b"T": _truncate,
    **dict.fromkeys((b"Y", b"O", b"M"), _other),
}
