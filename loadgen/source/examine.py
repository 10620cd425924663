"""What decides whether tools can replicate from a source for days: read once, judged elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import psycopg
from psycopg.rows import class_row, dict_row, scalar_row

from loadgen.errors import SourceError
from loadgen.record.verify import ClockOffset
from loadgen.source.environment import clock_offset
from loadgen.source.grant import Grant, grants
from loadgen.source.limits import ConnectionLimit, connection_limits
from loadgen.source.postgres import plain_errors
from loadgen.source.schema import TABLES
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "examine.sql")


@dataclass(frozen=True, slots=True)
class Server:
    """Limits of the server; None where this version has no such setting."""

    most_slots: int
    most_senders: int
    senders: int  # in use
    keep_megabytes: int  # max_slot_wal_keep_size; -1 is no limit
    plugins: str | None  # output_plugin_libraries
    encoding: str
    database: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A lasting replication slot; a physical one has no plugin and no database."""

    name: str
    plugin: str | None
    database: str | None
    active: bool
    wal_status: str
    retained_bytes: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication: the tables of public in it, and those of them that it carries by halves."""

    name: str
    every_change: bool
    tables: list[str]
    partial: list[str]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """All that is read of a source."""

    server: Server
    slots: tuple[Slot, ...]
    publications: tuple[Publication, ...]
    unidentified: tuple[str, ...]  # tables without a usable replica identity
    grants: tuple[Grant, ...]
    clock: ClockOffset  # of the source's
    limits: tuple[ConnectionLimit, ...]


@dataclass(frozen=True, slots=True)
class Door:
    """A line of pg_hba.conf for TCP."""

    line: int
    type: str
    method: str


def examine(conn: psycopg.Connection[Any], clock: Callable[[], datetime]) -> SourceFacts:
    """Return the facts; `clock` is this machine's. Raises SourceError where Postgres refuses."""
    with plain_errors("examining the source"):
        offset = clock_offset(lambda: _time(conn), clock)
        with conn.cursor(row_factory=class_row(Server)) as cursor:
            (server,) = cursor.execute(_SQL["server"]).fetchall()
        with conn.cursor(row_factory=class_row(Slot)) as cursor:
            slots = tuple(cursor.execute(_SQL["slots"]).fetchall())
        with conn.cursor(row_factory=class_row(Publication)) as cursor:
            publications = tuple(cursor.execute(_SQL["publications"]).fetchall())
        with conn.cursor(row_factory=scalar_row) as cursor:
            unidentified = tuple(cursor.execute(_SQL["unidentified"], {"tables": list(TABLES)}))
        return SourceFacts(
            server=server,
            slots=slots,
            publications=publications,
            unidentified=unidentified,
            grants=grants(conn),
            clock=offset,
            limits=connection_limits(conn),
        )


def speaks_tls(conn: psycopg.Connection[Any]) -> bool:
    """Return whether the server takes TLS connections."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(_SQL["tls"]).fetchone())


def doors(conn: psycopg.Connection[Any]) -> tuple[Door, ...]:
    """Return how TCP connections are let in. Raises SourceError where we may not read that."""
    try:
        with conn.cursor(row_factory=dict_row) as cursor:
            return tuple(Door(**row) for row in cursor.execute(_SQL["doors"]).fetchall())
    except psycopg.errors.InsufficientPrivilege as exc:
        raise SourceError(
            "pg_hba.conf can't be read by this user, so nobody knows who is let in: use a superuser"
        ) from exc


def _time(conn: psycopg.Connection[Any]) -> datetime:
    """Return what the server's clock says."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        (there,) = cursor.execute(_SQL["clock"]).fetchall()
    return cast("datetime", there)
