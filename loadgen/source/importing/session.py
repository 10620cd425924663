"""A session that is safe on a production server: read-only, and with limits on all that it does.

Nothing locks more than ACCESS SHARE. A killed import leaves a statement that its own timeout ends.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg import IsolationLevel, errors

from loadgen.errors import SourceError
from loadgen.source.postgres import Connection, connect, ended_after, place, plain_errors
from loadgen.source.schema import SUPPORTED_VERSIONS
from loadgen.sql import statements

ADDRESS: Final = "the URL"  # what messages about the address call it
APPLICATION: Final = "loadgen workload import"
_STATEMENT_SECONDS: Final = 10
_LOCK_SECONDS: Final = 2
_IDLE_SECONDS: Final = 60
SESSION_SECONDS: Final = 120  # of a whole session, also if the server does not answer at all

_LIMITS: Final = {
    "lock_timeout": f"{_LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
    "default_transaction_read_only": "on",
    # A catalogue query takes milliseconds; it needs neither workers nor a compiler.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_SQL: Final = statements("loadgen.source.importing", "session.sql")


@contextmanager
def snapshot(url: str, seconds: float = SESSION_SECONDS) -> Iterator[Connection]:
    """Yield a connection in one read-only transaction that sees one state of the database.

    Raises SourceError if the server is a replica, or a limit ends the session.
    """
    where = f"reading {place(url, ADDRESS)}"
    with connect(
        url,
        application_name=APPLICATION,
        statement_timeout=f"{_STATEMENT_SECONDS}s",
        setting=ADDRESS,
    ) as conn:
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        with _within_limits(conn, where, seconds):
            conn.execute(_SQL["limits"], [list(_LIMITS), list(_LIMITS.values())])
            _require_supported(conn, where)
            _require_primary(conn, where)
            with conn.transaction():
                yield conn


def current_role(conn: Connection) -> str:
    """Return the session's role as SQL writes it."""
    row = conn.execute(_SQL["role"]).fetchone()
    return str(row[0]) if row else ""


def quoted(conn: Connection, *names: str) -> str:
    """Return a name with its schema as SQL writes it."""
    row = conn.execute(_SQL["quoted"], [list(names)]).fetchone()
    return str(row[0]) if row else ""


def _require_supported(conn: Connection, where: str) -> None:
    version = conn.info.server_version // 10000
    if version not in SUPPORTED_VERSIONS:
        raise SourceError(
            f"{where}: the server is Postgres {version}; the import reads Postgres "
            f"{SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}"
        )


def _require_primary(conn: Connection, where: str) -> None:
    row = conn.execute(_SQL["is_replica"]).fetchone()
    if row and row[0]:
        raise SourceError(
            f"{where}: this is a replica, and only the primary counts the rows that are written: "
            f"set {ADDRESS} to the primary's address (the import reads statistics only)"
        )


def _locked(conn: Connection) -> str:
    """Return which tables or catalogues others lock against reading."""
    row = None
    with suppress(psycopg.Error):  # a locked catalogue may hide its own name
        row = conn.execute(_SQL["locked"]).fetchone()
    return str(row[0]) if row and row[0] else "a table or the catalogue"


@contextmanager
def _within_limits(conn: Connection, where: str, seconds: float) -> Iterator[None]:
    """End the session after `seconds`, and explain in one line which limit ended it."""
    started = time.monotonic()
    again = "run the same command again later; nothing was changed"
    with plain_errors(where), ended_after(conn, seconds):
        try:
            yield
        except errors.LockNotAvailable as exc:
            raise SourceError(
                f"{where}: another session locks {_locked(conn)} for more than "
                f"{_LOCK_SECONDS} s (a migration or VACUUM FULL?): {again}"
            ) from exc
        except errors.QueryCanceled as exc:
            raise SourceError(
                f"{where}: a query of the catalogue took more than {_STATEMENT_SECONDS} s: "
                f"{again}, when the server is less busy"
            ) from exc
        except psycopg.OperationalError as exc:
            if time.monotonic() - started < seconds:
                raise
            raise SourceError(
                f"{where}: the server did not answer within {seconds:g} s: {again}"
            ) from exc
