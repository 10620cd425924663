"""The state of a source at one moment: its slots, WAL, sessions and table sizes."""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg.rows import class_row, scalar_row

from loadgen.source.postgres import Connection
from loadgen.sql import statements

_CHECKPOINTER_SINCE: Final = 170_000  # the first version with pg_stat_checkpointer
_SQL: Final = statements("loadgen.source", "observe.sql")
_LOCK_SECONDS: Final = 2.0
_LOCK_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot; None if Postgres has no value (yet, or in this version)."""

    slot: str
    active: bool
    wal_status: str  # reserved, extended, unreserved, lost
    retained_bytes: int | None  # WAL that the server keeps for it
    confirmed_lag_bytes: int | None  # WAL that its reader has not confirmed
    safe_wal_bytes: int | None  # WAL until it may be lost; None without max_slot_wal_keep_size
    inactive_seconds: float | None  # from version 17 on
    invalidation_reason: str | None  # from version 17 on


@dataclass(frozen=True, slots=True)
class SourceState:
    """The server and the database as a whole."""

    wal_bytes: int  # from the server's first byte
    walsenders: int
    connections: int  # to this database
    oldest_transaction_seconds: float
    xmin_age: int  # transactions that vacuum has to keep rows for
    database_bytes: int


@dataclass(frozen=True, slots=True)
class TableSize:
    """One of the workload's tables; rows are the server's estimates."""

    name: str
    rows: int
    dead_rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Observation:
    """The source at one moment."""

    at: datetime
    slots: tuple[Slot, ...]
    source: SourceState
    checkpoints: int
    tables: tuple[TableSize, ...]


def observe(conn: Connection) -> Observation:
    """Return the state of the source now. Raises psycopg.Error if it does not answer."""
    with conn.cursor(row_factory=class_row(Slot)) as cursor:
        slots = tuple(cursor.execute(_SQL["slots"]).fetchall())
    with conn.cursor(row_factory=class_row(SourceState)) as cursor:
        (source,) = cursor.execute(_SQL["source"]).fetchall()
    newer = conn.info.server_version >= _CHECKPOINTER_SINCE
    with conn.cursor(row_factory=scalar_row) as cursor:
        (checkpoints,) = cursor.execute(_SQL["checkpoints_17" if newer else "checkpoints"])
    return Observation(datetime.now(UTC), slots, source, checkpoints, _tables(conn))


def _tables(conn: Connection) -> tuple[TableSize, ...]:
    """Return the sizes of the workload's tables; nothing if there is no playground of ours."""
    not_ours = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
    with suppress(*not_ours), conn.cursor(row_factory=class_row(TableSize)) as cursor:
        return tuple(cursor.execute(_SQL["tables"]).fetchall())
    return ()


def current_run(conn: Connection) -> str | None:
    """Return the id of the run that writes to this database, or of the last one; None if none."""
    try:
        with conn.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(_SQL["run"]).fetchone()
    except psycopg.errors.UndefinedTable:  # not a playground
        return None


def take_lock(conn: Connection, seconds: float = _LOCK_SECONDS) -> bool:
    """Take the watch's lock for as long as the connection lives; False if another watch has it.

    A connection that has just been closed keeps its lock until its backend has ended. So this tries
    for so many seconds.
    """
    deadline = time.monotonic() + seconds
    with conn.cursor(row_factory=scalar_row) as cursor:
        while not cursor.execute(_SQL["lock"]).fetchone():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOCK_PAUSE_SECONDS)
    return True
