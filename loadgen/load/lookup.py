"""What the load asks the source about runs and their sessions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

import psycopg

from loadgen.errors import SourceError
from loadgen.load.writes import Write
from loadgen.sql import statements
from loadgen.workload.schedule.plan import run_id_of_token

_SQL = statements("loadgen.load", "targets.sql")
IS_OF_RUN = _SQL["is_of_run"]  # returns a row if it is; $1 is the run token


class Lost(NamedTuple):
    """A write without an answer, its backend, and the SQLSTATE of the loss.

    The SQLSTATE is of the server's last message, or 08006 (connection failure) without one.
    """

    write: Write
    backend_pid: int
    sqlstate: str


def is_of_run(connection: psycopg.Connection, run_token: str) -> bool:
    """Tell whether this is the database that the run began on, and no other load has begun."""
    try:
        return psycopg.RawCursor(connection).execute(IS_OF_RUN, (run_token,)).rowcount == 1
    except psycopg.errors.UndefinedTable:
        return False


def another_database(run_token: str) -> SourceError:
    """Return the error of a database for which `is_of_run` does not hold."""
    return SourceError(
        "the database that answers is not the one that run "
        f"{run_id_of_token(run_token)} began on, or another load has begun there: give the run's "
        "database its address back"
    )


def current_run_token(connection: psycopg.Connection) -> str | None:
    """Return the token of the run whose processes may write; None before the first run."""
    run_token = _scalar(connection, _SQL["current_run_token"])
    return None if run_token is None else str(run_token)


def set_run_token(connection: psycopg.Connection, run_token: str) -> None:
    """Let the processes of one plan write; a process that connects for another may not."""
    connection.execute(_SQL["set_run_token"], (run_token,))


def server_time(connection: psycopg.Connection) -> datetime:
    """Return the time by the server's clock."""
    at = _scalar(connection, _SQL["server_time"])
    assert isinstance(at, datetime)  # noqa: S101 - clock_timestamp() is one
    return at


def backend_alive(connection: psycopg.Connection, pid: int) -> bool:
    """Tell whether a backend of that process id still runs."""
    return bool(_scalar(connection, _SQL["backend_alive"], (pid,)))


def _scalar(
    connection: psycopg.Connection,
    sql: LiteralString,
    parameters: Sequence[object] | Mapping[str, object] | None = None,
) -> object:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None  # noqa: S101 - EXISTS and aggregates always have one row
    return row[0]
