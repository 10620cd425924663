"""Facts that decide whether tools can replicate from a source for days; `doctor` judges them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

import psycopg
from psycopg.rows import class_row, scalar_row

from loadgen.errors import SourceError
from loadgen.record.verify import ClockOffset
from loadgen.source.environment import clock_offset
from loadgen.source.grant import Grant, list_grants
from loadgen.source.limits import ConnectionLimit, connection_limits
from loadgen.source.model_schema import HARD_CASES, existing_tables
from loadgen.source.postgres import Connection, plain_errors
from loadgen.source.schema import published_tables
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "examine.sql")


@dataclass(frozen=True, slots=True)
class Server:
    """Limits of the server; `plugins` is None if this version has no such setting."""

    most_slots: int
    most_senders: int
    senders: int  # in use
    keep_megabytes: int  # max_slot_wal_keep_size; -1 is no limit
    plugins: str | None  # output_plugin_libraries
    encoding: str
    database: str


@dataclass(frozen=True, slots=True)
class PersistentSlot:
    """A replication slot that is not temporary; a physical one has no plugin and no database."""

    name: str
    plugin: str | None
    database: str | None
    active: bool
    wal_status: str
    retained_bytes: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication: its tables, those with a row filter or column list, and those by partition."""

    name: str
    every_change: bool
    tables: list[str]
    partial: list[str]
    split: list[str]  # published as partitions, each under its own name


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Everything that is read of a source."""

    server: Server
    slots: tuple[PersistentSlot, ...]
    publications: tuple[Publication, ...]
    tables: tuple[str, ...]  # which tools have to copy
    unidentified: tuple[str, ...]  # tables without a usable replica identity
    grants: tuple[Grant, ...]
    clock: ClockOffset  # of the source's clock
    limits: tuple[ConnectionLimit, ...]


@dataclass(frozen=True, slots=True)
class HbaRule:
    """A line of pg_hba.conf for TCP connections."""

    line: int
    type: str
    method: str


def examine(conn: Connection, clock: Callable[[], datetime]) -> SourceFacts:
    """Return the facts; `clock` is this machine's. Raises SourceError if Postgres refuses."""
    with plain_errors("examining the source"):
        offset = clock_offset(lambda: _server_time(conn), clock)
        with conn.cursor(row_factory=class_row(Server)) as cursor:
            (server,) = cursor.execute(_SQL["server"]).fetchall()
        with conn.cursor(row_factory=class_row(PersistentSlot)) as cursor:
            slots = tuple(cursor.execute(_SQL["slots"]).fetchall())
        with conn.cursor(row_factory=class_row(Publication)) as cursor:
            publications = tuple(cursor.execute(_SQL["publications"]).fetchall())
        return SourceFacts(
            server=server,
            slots=slots,
            publications=publications,
            tables=tuple(name for name in published_tables(conn) if name != HARD_CASES),
            unidentified=tuple(
                name for name, facts in existing_tables(conn).items() if not facts.identified
            ),
            grants=list_grants(conn),
            clock=offset,
            limits=connection_limits(conn),
        )


def accepts_tls(conn: Connection) -> bool:
    """Return whether the server accepts TLS connections."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_SQL["tls"]).fetchone())


def hba_rules(conn: Connection) -> tuple[HbaRule, ...]:
    """Return pg_hba.conf's rules for TCP. Raises SourceError if this role may not read them."""
    try:
        with conn.cursor(row_factory=class_row(HbaRule)) as cursor:
            return tuple(cursor.execute(_SQL["hba_rules"]).fetchall())
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SourceError(
            "this user may not read pg_hba.conf, so it is unknown who may connect: use a superuser"
        ) from exc


def _server_time(conn: Connection) -> datetime:
    with conn.cursor(row_factory=scalar_row) as cursor:
        (now,) = cursor.execute(_SQL["clock"]).fetchall()
    return cast("datetime", now)
