"""Looking up writes whose COMMIT answer was lost, and reading what the load must know beforehand.

A lost write is looked up only once the backend that was sent it has left: until then it may still
commit. Inserts are found by their client-made key, updates by key and version.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString, NamedTuple

import psycopg

from loadgen.errors import SourceError
from loadgen.load.driver.writes import Write
from loadgen.sql import statements
from loadgen.workload.data.orders import OPEN_ORDERS_LIMIT, OPEN_STATUSES, Order
from loadgen.workload.data.users import lowest_deleted_rank
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.plan import run_id_of_token
from loadgen.workload.schedule.shards import Shard

_SQL = statements("loadgen.load", "targets.sql")
IS_OF_RUN = _SQL["is_of_run"]  # a row where it is; $1 is the plan's claim


class Lost(NamedTuple):
    """A write without an answer, the backend that it was sent to, and why there is none.

    `sqlstate` is the server's last word, or 08006 (connection failure) where it said nothing.
    """

    write: Write
    backend_pid: int
    sqlstate: str


def is_of_run(connection: psycopg.Connection, claim: str) -> bool:
    """Tell whether this is the database that the run began on, and no other load has begun."""
    try:
        return psycopg.RawCursor(connection).execute(IS_OF_RUN, (claim,)).rowcount == 1
    except psycopg.errors.UndefinedTable:
        return False


def another_database(claim: str) -> SourceError:
    """Return the error of one for which `is_of_run` does not hold."""
    return SourceError(
        f"the database that answers is not the one that run {run_id_of_token(claim)} began on, or "
        "another load has begun there: give the run's own its address back"
    )


def claimed_by(connection: psycopg.Connection) -> str | None:
    """Return whose processes may write, a plan's claim; None before the first run."""
    found = _value(connection, _SQL["claimed_by"])
    return None if found is None else str(found)


def claim(connection: psycopg.Connection, claim: str) -> None:
    """Let the processes of one plan write, and nobody who connects for another from now on."""
    connection.execute(_SQL["claim"], (claim,))


def server_time(connection: psycopg.Connection) -> datetime:
    """Return the time by the server's clock."""
    at = _value(connection, _SQL["server_time"])
    assert isinstance(at, datetime)  # noqa: S101 - clock_timestamp() is one
    return at


def backend_alive(connection: psycopg.Connection, pid: int) -> bool:
    """Tell whether a backend of that process id still runs."""
    return bool(_value(connection, _SQL["backend_alive"], (pid,)))


def is_committed(connection: psycopg.Connection, write: Write) -> bool:
    """Tell whether `write` is in the database; ask only once its backend has left."""
    operation = OPERATIONS[write.operation]
    key = int(write.key) if operation.key_type == "bigint" else write.key.decode()
    return bool(_value(connection, operation.lookup, {"key": key, "version": write.version}))


def count_committed(connection: psycopg.Connection, operation: str, keys: Sequence[str]) -> int:
    """Return how many of an operation's writes with these keys are in the database.

    Not for operations that are proved by version: their keys alone tell nothing.
    """
    return int(str(_value(connection, OPERATIONS[operation].count_committed, (list(keys),))))


def users_and_lowest_deleted(connection: psycopg.Connection) -> tuple[int, int]:
    """Return how many users there are, and from which rank on they are soft deleted."""
    users = int(str(_value(connection, _SQL["user_count"])))
    deleted = [row[0] for row in connection.execute(_SQL["deleted_users"])]
    return users, lowest_deleted_rank(users, deleted)


def open_orders(connection: psycopg.Connection, shard: Shard) -> list[Order]:
    """Return this share of the recent orders that may still change."""
    parameters = {
        "open": list(OPEN_STATUSES),
        "of": shard.of,
        "index": shard.part,
        "limit": OPEN_ORDERS_LIMIT,
    }
    found = connection.execute(_SQL["open_orders"], parameters)
    return [Order(number.encode(), status, version) for number, status, version in found]


def _value(
    connection: psycopg.Connection,
    sql: LiteralString,
    parameters: Sequence[object] | Mapping[str, object] | None = None,
) -> object:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None  # noqa: S101 - EXISTS and aggregates always have one row
    return row[0]
