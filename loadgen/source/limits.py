"""Limits that would stop a load: connections that run out, commits that wait for a standby."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.rows import dict_row

from loadgen.errors import SourceError
from loadgen.source.postgres import Connection, ended_after
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "limits.sql")
_NO_LIMIT: Final = -1
FIRST_WRITE_SECONDS: Final = 30.0
_CANCEL_SECONDS: Final = 5.0
# FIRST 2 (a, b), ANY 2 (a, b), 2 (a, b); a bare list of names is FIRST 1.
_HOW_MANY: Final = re.compile(r"\s*(?:FIRST\s+|ANY\s+)?(\d+)\s*\(", re.IGNORECASE)
_LOCAL: Final = frozenset({"off", "local"})  # of synchronous_commit: waits for no standby
_STANDBY_REMEDY: Final = (
    "bring the standby back, or clear synchronous_standby_names (ALTER SYSTEM RESET "
    "synchronous_standby_names, then SELECT pg_reload_conf())"
)


@dataclass(frozen=True, slots=True)
class ConnectionLimit:
    """A limit on connections, and how many of them other sessions use."""

    name: str
    most: int
    used: int


def connection_limits(conn: Connection) -> tuple[ConnectionLimit, ...]:
    """Return the limits that bind this session's role; its own connection is not counted."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["connections"]).fetchone() or {}
    limits = (
        (f"CONNECTION LIMIT of role {row['role']}", row["of_role"], row["role_used"]),
        (f"CONNECTION LIMIT of database {row['database']}", row["of_db"], row["db_used"]),
        ("max_connections, less the reserved ones,", row["of_server"], row["server_used"]),
    )
    return tuple(ConnectionLimit(*limit) for limit in limits if limit[1] != _NO_LIMIT)


def too_many_users(limits: Sequence[ConnectionLimit], users: int, beside: int) -> str | None:
    """Return the problem in one line if that many users do not fit, else None.

    `beside` is the number of further connections that the load needs.
    """
    if not limits:
        return None
    narrowest = min(limits, key=lambda limit: limit.most - limit.used)
    room = narrowest.most - narrowest.used - beside
    if users <= room:
        return None
    taken = f", of which {narrowest.used} are taken" if narrowest.used else ""
    remedy = f"use -u {room} at most, or raise the limit" if room > 0 else "raise the limit"
    return (
        f"-u {users} needs {users + beside} connections, and {narrowest.name} is "
        f"{narrowest.most}{taken}: {remedy}"
    )


def missing_standby(conn: Connection) -> str | None:
    """Return the problem in one line if commits would wait for ever; None if not, or unknown."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["standby"]).fetchone() or {}
    names = row["names"].strip()
    if not names or row["commits"] in _LOCAL or row["hidden"]:
        return None
    match = _HOW_MANY.match(names)
    needed = int(match[1]) if match else 1
    if row["counting"] >= needed:
        return None
    return (
        f"every commit would wait for ever: synchronous_standby_names is {names!r}, and "
        f"{row['counting']} of {needed} such standbys are connected: {_STANDBY_REMEDY}"
    )


@contextmanager
def first_write(
    conn: Connection, doing: str, seconds: float = FIRST_WRITE_SECONDS
) -> Iterator[None]:
    """Cancel the block's statement after `seconds`; the block then raises SourceError.

    No timeout of Postgres ends a commit's wait for its standby, only a cancel request does; the
    commit then stands, on the primary alone. A server that does not react loses the connection.
    """
    done, cancelled = threading.Event(), threading.Event()

    def cancel() -> None:
        cancelled.set()
        with ended_after(conn, _CANCEL_SECONDS):
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=_CANCEL_SECONDS)
            done.wait(2 * _CANCEL_SECONDS)

    timer = threading.Timer(seconds, cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (psycopg.Error, SourceError) as exc:
        if cancelled.is_set():
            raise SourceError(
                f"{doing}: not done after {seconds:g} s, so it was cancelled: see in "
                "pg_stat_activity what blocks it (a lock?), and run the same command again"
            ) from exc
        raise
    finally:
        timer.cancel()
        done.set()
    if cancelled.is_set():
        (names,) = conn.execute("SHOW synchronous_standby_names").fetchone() or ("",)
        raise SourceError(
            f"{doing}: its commit waited {seconds:g} s for a standby (synchronous_standby_names is "
            f"{names!r}): {_STANDBY_REMEDY}"
        )
