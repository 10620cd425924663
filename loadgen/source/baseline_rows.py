"""The baseline's rows: blocks of a table as binary COPY data.

A block is a pure function of (seed, table, block number), so a baseline is the same whichever
blocks are copied together, and after any interruption. No row depends on another one, see
`UserAssignment`.

The format is binary, since the server then parses no timestamp, uuid or number and spends a third
less time on a row (2 million events of 256 bytes: 6.7 s instead of 10.4 s).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import shake_128
from struct import Struct, unpack
from typing import Final, Literal

from loadgen.workload.data.events import CLOSING, EVENT_TYPES, event_maker
from loadgen.workload.data.history import History
from loadgen.workload.data.orders import LIFECYCLES, STATUSES, lifecycles, order_values, state_at
from loadgen.workload.data.pools import CURRENCIES, UserPools, small_pools, user_pools
from loadgen.workload.data.users import UserAssignment

Table = Literal["users", "orders", "events"]
TABLES: Final[tuple[Table, ...]] = ("users", "orders", "events")
BLOCK_ROWS: Final = 512
# The beginning and the end of a binary COPY.
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"

# A row is the number of its fields, then each field as its length in bytes and its value.
_ROW_START: Final = Struct(">hiq").pack  # number of fields, id
_OWNED_ROW_START: Final = Struct(">hiqiQQiq").pack  # number of fields, id, uuid, user
_LENGTH: Final = Struct(">i").pack
_QUANTITY_AND_AMOUNT: Final = Struct(">iiihhhhhh").pack
_BIGINT: Final = Struct(">iq").pack  # and timestamps
_TIMES: Final = Struct(">iqiq").pack
_TIMES_AND_VERSION: Final = Struct(">iqiqiq").pack
_JSONB_START: Final = Struct(">iB").pack  # length, version of the format
_NULL: Final = _LENGTH(-1)

_DRAWS: Final = 6
# A draw of 128 bits becomes a uuid of version 4, variant 1.
_UUID_HIGH: Final = 0xFFFFFFFF_FFFF0FFF
_UUID_LOW: Final = 0x3FFFFFFF_FFFFFFFF
_VERSION_4: Final = 4 << 12
_VARIANT_1: Final = 2 << 62


def _text(text: bytes) -> bytes:
    return _LENGTH(len(text)) + text


_TEXTS: Final = {
    text.encode(): _text(text.encode())
    for text in (*STATUSES, *EVENT_TYPES, *(name for name, _ in CURRENCIES))
}


@dataclass(frozen=True, slots=True)
class BaselineParameters:
    """The parameters that determine every byte of a baseline."""

    users: int
    orders: int
    events: int
    seed: int
    end: datetime
    event_bytes: int

    def rows(self, table: Table) -> int:
        """Return how many rows `table` gets."""
        return {"users": self.users, "orders": self.orders, "events": self.events}[table]

    def total(self) -> int:
        """Return how many rows there are in all tables."""
        return self.users + self.orders + self.events


@dataclass(frozen=True, slots=True)
class _RowBlock:
    """The ids of a block's rows, their positions in the history, and draws for their values."""

    ids: range
    positions: list[int]
    draws: tuple[Sequence[int], ...]


class BaselineRows:
    """Makes the blocks of one baseline."""

    def __init__(self, parameters: BaselineParameters) -> None:
        self._parameters = parameters
        self._history = History(parameters.end)
        self._owners = UserAssignment(parameters.users, self._history)
        self._pools = small_pools()
        self._tables = {"users": self._users, "orders": self._orders, "events": self._events}

    @cached_property
    def _user_pools(self) -> UserPools:
        return user_pools(self._parameters.seed)

    def block(self, table: Table, number: int) -> bytes:
        """Return block `number` of `table`: BLOCK_ROWS rows, fewer in the last block."""
        return self._tables[table](self._block(table, number))

    def _block(self, table: Table, number: int) -> _RowBlock:
        rows = self._parameters.rows(table)
        first = number * BLOCK_ROWS
        n = min(BLOCK_ROWS, rows - first)
        key = f"{self._parameters.seed}:{table}:{number}".encode()
        flat = unpack(f"<{n * _DRAWS}Q", shake_128(key).digest(n * _DRAWS * 8))
        jitter, *draws = (flat[i : i + n] for i in range(0, n * _DRAWS, n))
        begin, step = self._owners.span(table, rows)
        start = begin + first * step
        positions = [start + i * step + (draw * step >> 64) for i, draw in enumerate(jitter)]
        if table == "users" and first == 0:
            # The first user is older than every row, so that each row has an owner.
            positions[0] = 0
        return _RowBlock(range(first + 1, first + n + 1), positions, tuple(draws))

    def _users(self, block: _RowBlock) -> bytes:
        owners = self._owners
        times = self._history.times(block.positions)
        parts: list[bytes] = []
        for id_, at, a, b, c in zip(block.ids, times, *block.draws[:3], strict=True):
            # Some users have changed their plan, once or twice.
            version = ((a >> 42 & 127) < 16) + ((a >> 42 & 127) < 4)
            updated = at + ((owners.end_us - at) * b >> 64) if version else at
            deleted = owners.deleted_at(id_, at, c)
            if deleted is not None:
                updated, version = deleted, version + 1
            parts += (
                _ROW_START(9, 8, id_),
                *self._identity(id_, a),
                _BIGINT(8, at),
                _BIGINT(8, updated),
                _NULL if deleted is None else _BIGINT(8, deleted),
                _BIGINT(8, version),
            )
        return b"".join(parts)

    def _identity(self, id_: int, a: int) -> tuple[bytes, ...]:
        """Return email, name, plan and country."""
        country = self._user_pools.countries[a & 255]
        first, last = country.first[a >> 8 & 255], country.last[a >> 16 & 255]
        domain = self._user_pools.domains[a >> 24 & 1023]
        return (
            _text(b"%b.%b%d@%b" % (first.mail, last.mail, id_, domain)),
            _text(b"%b %b" % (first.text, last.text)),
            _text(self._pools.plans[a >> 34 & 255]),
            _text(country.code),
        )

    def _orders(self, block: _RowBlock) -> bytes:
        owner, pools, end_us = self._owners.owner, self._pools, self._owners.end_us
        cycles, times = lifecycles(), self._history.times(block.positions)
        parts: list[bytes] = []
        rows = zip(block.ids, block.positions, times, *block.draws, strict=True)
        for id_, position, at, a, b, c, high, low in rows:
            quantity, cents, currency = order_values(b, pools)
            shift = c >> 40  # up to 17 s, so that orders of one life cycle do not move in step
            change = state_at(cycles[c % LIFECYCLES], end_us - at - shift)
            updated = at + change.after_us + shift if change.version else at
            key = high & _UUID_HIGH | _VERSION_4, low & _UUID_LOW | _VARIANT_1
            parts += (
                _OWNED_ROW_START(10, 8, id_, 16, *key, 8, owner(a, position)),
                _TEXTS[change.status],
                # An integer; a numeric of two digits to the base of 10,000, one before the point.
                _QUANTITY_AND_AMOUNT(4, quantity, 12, 2, 0, 0, 2, cents // 100, cents % 100 * 100),
                _TEXTS[currency],
                _TIMES_AND_VERSION(8, at, 8, updated, 8, change.version),
            )
        return b"".join(parts)

    def _events(self, block: _RowBlock) -> bytes:
        owner, event = self._owners.owner, event_maker(self._parameters.event_bytes)
        times = self._history.times(block.positions)
        parts: list[bytes] = []
        rows = zip(block.ids, block.positions, times, *block.draws, strict=True)
        for id_, position, at, a, b, c, high, low in rows:
            kind, size, *properties = event(b, c)
            key = high & _UUID_HIGH | _VERSION_4, low & _UUID_LOW | _VARIANT_1
            parts += (
                _OWNED_ROW_START(7, 8, id_, 16, *key, 8, owner(a, position)),
                _TEXTS[kind],
                _JSONB_START(size + 1, 1),
                *properties,
                CLOSING,
                _TIMES(8, at, 8, at),
            )
        return b"".join(parts)
