"""What the load reads from the source beforehand, and how it looks up writes without an answer.

A write whose answer was lost is looked up only once its backend has left: until then it may still
be committed. Inserts are found by their client-made key, updates by key and version.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

import psycopg

from loadgen.errors import SourceError
from loadgen.load.operations import Write
from loadgen.sql import statements
from loadgen.workload.data.orders import OPEN_ORDERS_LIMIT, OPEN_STATUSES, Order
from loadgen.workload.data.users import lowest_deleted_rank
from loadgen.workload.operations import Operation
from loadgen.workload.schedule.plan import run_id_of_token
from loadgen.workload.schedule.shards import Shard

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


def is_committed(connection: psycopg.Connection, operation: Operation, write: Write) -> bool:
    """Tell whether `write` is in the database; call it only once its backend has left."""
    key = int(write.key) if operation.key_type == "bigint" else write.key.decode()
    return bool(_scalar(connection, operation.lookup, {"key": key, "version": write.version}))


def count_committed(
    connection: psycopg.Connection, operation: Operation, keys: Sequence[str]
) -> int:
    """Return how many of an operation's writes with these keys are in the database.

    Not for operations that are proved by version: their keys alone prove nothing.
    """
    return int(str(_scalar(connection, operation.count_committed, (list(keys),))))


def users_and_lowest_deleted(connection: psycopg.Connection) -> tuple[int, int]:
    """Return how many users there are, and from which rank on they are soft deleted."""
    users = int(str(_scalar(connection, _SQL["user_count"])))
    deleted = [row[0] for row in connection.execute(_SQL["deleted_users"])]
    return users, lowest_deleted_rank(users, deleted)


def open_orders(connection: psycopg.Connection, shard: Shard) -> list[Order]:
    """Return this shard of the recent orders that may still change."""
    parameters = {
        "open": list(OPEN_STATUSES),
        "of": shard.of,
        "index": shard.part,
        "limit": OPEN_ORDERS_LIMIT,
    }
    rows = connection.execute(_SQL["open_orders"], parameters)
    return [Order(number.encode(), status, version) for number, status, version in rows]


def _scalar(
    connection: psycopg.Connection,
    sql: LiteralString,
    parameters: Sequence[object] | Mapping[str, object] | None = None,
) -> object:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None  # noqa: S101 - EXISTS and aggregates always have one row
    return row[0]
