"""The state of the source: its row counts, recent activity and invariants, all from one snapshot.

Copies are compared by `verify`. The figures of the last run come from the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg.rows import dict_row, scalar_row

from loadgen.record.run import TableRows
from loadgen.source.postgres import Connection, plain_errors
from loadgen.source.schema import TABLES, SeedState, require_playground, seed_state
from loadgen.sql import statements
from loadgen.workload.operations import Operation, gained

# The statement, which counts violations; the invariant; the name of a violation.
_INVARIANTS: Final = (
    ("orders_without_user", "every order has its user", "orders without one"),
    ("events_with_unknown_user", "every event's user exists", "events with an unknown user"),
    ("updated_before_created", "updated_at >= created_at", "rows changed too early"),
    ("unknown_status", "status within the life cycle", "orders with another status"),
    ("too_many_soft_deleted", "at most 20% of users soft deleted", "users too many"),
    ("repeated_order_numbers", "order_number is unique", "repeated"),
    ("repeated_event_ids", "event_id is unique", "repeated"),
)
_RUN_CHECK: Final = "counters of the last run = rows"


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run's record: its commits by operation, and the table counts before it."""

    run_id: str
    ended: bool
    committed: Mapping[str, int]
    rows_before: Mapping[str, TableRows]


@dataclass(frozen=True, slots=True)
class Invariant:
    """An invariant, whether it holds (None: not checked), and the count behind that."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Validation:
    """The state of the source at one moment."""

    tables: Mapping[str, int]
    soft_deleted: int
    last_hour: Mapping[str, int]
    checks: tuple[Invariant, ...]

    @property
    def ok(self) -> bool:
        """Whether every checked invariant holds."""
        return all(check.ok is not False for check in self.checks)


def validate(
    conn: Connection, operations: Mapping[str, Operation], last_run: LastRun | None = None
) -> Validation:
    """Return the state of the source; the counters of `last_run` are compared with its rows.

    Raises SourceError if the database has no playground.
    """
    with plain_errors("validating the source"), conn.transaction():
        conn.execute(_sql("snapshot"))
        require_playground(conn)
        counts = _row(conn, "tables")
        checks = [_check(conn, *invariant) for invariant in _INVARIANTS]
        state = seed_state(conn)
        if state:
            checks.append(_check_baseline(conn, state))
        if last_run:
            checks.append(_check_run(conn, operations, last_run))
        return Validation(
            tables={table: counts[table] for table in TABLES},
            soft_deleted=counts["soft_deleted"],
            last_hour={
                name: _count(conn, operation.last_hour) for name, operation in operations.items()
            },
            checks=tuple(checks),
        )


def _check(conn: Connection, statement: str, name: str, violation: str) -> Invariant:
    violations = _count(conn, _sql(statement))
    return Invariant(name, violations == 0, f"{violations:,} {violation}")


def _check_baseline(conn: Connection, state: SeedState) -> Invariant:
    """Check that the baseline was completed and has lost no rows since."""
    name = "the baseline is complete"
    if state.progress.get("complete") is not True:
        return Invariant(name, ok=False, detail="complete it with `loadgen seed`")
    seeded = {table: int(state.parameters[table]) for table in TABLES}
    with conn.cursor(row_factory=dict_row) as cursor:
        left = cursor.execute(_sql("baseline_rows"), seeded).fetchone() or {}
    gone = [f"{seeded[t] - left[t]:,} of its {t} are gone" for t in TABLES if left[t] < seeded[t]]
    return Invariant(name, not gone, "; ".join(gone) or f"all {sum(seeded.values()):,} rows")


def _check_run(conn: Connection, operations: Mapping[str, Operation], run: LastRun) -> Invariant:
    """Compare the commits of a run with the growth of the tables since before it."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        run_id = cursor.execute(_sql("run_id")).fetchone()
    if run_id != run.run_id:
        return Invariant(_RUN_CHECK, ok=None, detail=f"run {run.run_id} was not in this database")
    if not run.ended:
        return Invariant(
            _RUN_CHECK, ok=None, detail=f"run {run.run_id} has not ended: not compared"
        )
    growth = gained(operations, run.rows_before, count_rows(conn))
    committed = {name: run.committed.get(name, 0) for name in operations}
    differences = [
        f"{name} {committed[name]:,} but {growth[name]:,} in the rows"
        for name in operations
        if growth[name] != committed[name]
    ]
    total = sum(committed.values())
    if not (total or differences):
        return Invariant(_RUN_CHECK, ok=None, detail=f"run {run.run_id} committed nothing")
    detail = "; ".join(differences) or f"all {total:,} committed writes are there"
    return Invariant(_RUN_CHECK, not differences, f"run {run.run_id}: {detail}")


def count_rows(conn: Connection) -> dict[str, TableRows]:
    """Return each table's rows, and the sum of its versions if it has them."""
    counts = _row(conn, "rows")
    return {
        "users": TableRows(rows=counts["users"], version_sum=counts["user_versions"]),
        "orders": TableRows(rows=counts["orders"], version_sum=counts["order_versions"]),
        "events": TableRows(rows=counts["events"]),
    }


def _count(conn: Connection, sql: LiteralString) -> int:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(sql).fetchone() or 0


def _row(conn: Connection, statement: str) -> dict[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql(statement)).fetchone() or {}


def _sql(statement: str) -> LiteralString:
    return statements("loadgen.source", "validate.sql")[statement]
