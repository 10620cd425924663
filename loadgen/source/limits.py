"""What can keep a load from connecting, or its commits from ending: found before it begins."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from loadgen.errors import SourceError
from loadgen.source.postgres import ended_after
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
    """How many connections something allows, and how many others have taken of them."""

    what: str
    most: int
    used: int


def connection_limits(conn: psycopg.Connection[Any]) -> tuple[ConnectionLimit, ...]:
    """Return the limits that bind this session's role; its own connection is not counted."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["connections"]).fetchone() or {}
    found = (
        (f"CONNECTION LIMIT of role {row['role']}", row["of_role"], row["role_used"]),
        (f"CONNECTION LIMIT of database {row['database']}", row["of_db"], row["db_used"]),
        ("max_connections, less what is reserved,", row["of_server"], row["server_used"]),
    )
    return tuple(ConnectionLimit(*limit) for limit in found if limit[1] != _NO_LIMIT)


def too_many_users(limits: Sequence[ConnectionLimit], users: int, beside: int) -> str | None:
    """Return in a line that so many users do not fit; None where they do.

    `beside` is how many connections the load needs besides theirs.
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
        f"-u {users} needs {users + beside} connections, and {narrowest.what} is "
        f"{narrowest.most}{taken}: {remedy}"
    )


def missing_standby(conn: psycopg.Connection[Any]) -> str | None:
    """Return in a line that this session's commits would wait for ever; None if not, or unknown."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL["standby"]).fetchone() or {}
    names = row["names"].strip()
    if not names or row["commits"] in _LOCAL or row["hidden"]:
        return None
    stated = _HOW_MANY.match(names)
    needed = int(stated[1]) if stated else 1
    if row["counting"] >= needed:
        return None
    return (
        f"every commit would wait for ever: synchronous_standby_names is {names!r}, and "
        f"{row['counting']} of {needed} such standbys are connected: {_STANDBY_REMEDY}"
    )


@contextmanager
def first_write(
    conn: psycopg.Connection[Any], doing: str, seconds: float = FIRST_WRITE_SECONDS
) -> Iterator[None]:
    """Call off what is written within where it takes longer; that then raises SourceError.

    No timeout of Postgres's ends the wait of a commit for its standby, only a cancel does: the
    commit then stands, on the primary alone. A server that does not react loses the connection.
    """
    done, called_off = threading.Event(), threading.Event()

    def call_off() -> None:
        called_off.set()
        with ended_after(conn, _CANCEL_SECONDS):
            with suppress(psycopg.Error):
                conn.cancel_safe(timeout=_CANCEL_SECONDS)
            done.wait(2 * _CANCEL_SECONDS)

    timer = threading.Timer(seconds, call_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (psycopg.Error, SourceError) as exc:
        if called_off.is_set():
            raise SourceError(
                f"{doing}: not done after {seconds:g} s, and called off: look in pg_stat_activity "
                "for what it waits for (a lock?), and run the same command again"
            ) from exc
        raise
    finally:
        timer.cancel()
        done.set()
    if called_off.is_set():
        (names,) = conn.execute("SHOW synchronous_standby_names").fetchone() or ("",)
        raise SourceError(
            f"{doing}: its commit waited {seconds:g} s for a standby (synchronous_standby_names is "
            f"{names!r}): {_STANDBY_REMEDY}"
        )
