"""The state of the source: how much there is, what happened lately, whether its invariants hold.

Reads only, from one snapshot. It knows nothing of destinations (that is verify's), and is handed
the figures of the last run rather than reading a run record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import dict_row, scalar_row

from loadgen.source.postgres import plain_errors
from loadgen.source.schema import TABLES, SeedState, require_playground, seed_state
from loadgen.sql import statements
from loadgen.workload.operations import OPERATIONS, gained

TableCounts = Mapping[str, Mapping[str, int]]  # by table: rows, version_sum

# Statement (it counts offending rows), the invariant's name, what an offending row is called.
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
    """What the newest run's record says: its commits by operation, and its count of the tables."""

    run_id: str
    ended: bool
    committed: Mapping[str, int]
    rows_before: TableCounts


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant, whether it holds (None: not checked), and what was counted."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Validation:
    """The state of the source at one moment."""

    tables: Mapping[str, int]
    soft_deleted: int
    last_hour: Mapping[str, int]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every invariant that was checked holds."""
        return all(check.ok is not False for check in self.checks)


def validate(conn: psycopg.Connection[Any], last_run: LastRun | None = None) -> Validation:
    """Return the state of the source as of one snapshot; `last_run` is held against its rows.

    Raises SourceError where the database holds no playground.
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
            checks.append(_check_run(conn, last_run))
        return Validation(
            tables={table: counts[table] for table in TABLES},
            soft_deleted=counts["soft_deleted"],
            last_hour={
                name: _count(conn, operation.last_hour) for name, operation in OPERATIONS.items()
            },
            checks=tuple(checks),
        )


def _check(conn: psycopg.Connection[Any], statement: str, name: str, offenders: str) -> Check:
    number = _count(conn, _sql(statement))
    return Check(name, number == 0, f"{number:,} {offenders}")


def _check_baseline(conn: psycopg.Connection[Any], state: SeedState) -> Check:
    """Tell a baseline that was cut off, or lost rows since, from one that is all there."""
    name = "the baseline is complete"
    if state.progress.get("complete") is not True:
        return Check(name, ok=False, detail="complete it with `loadgen seed`")
    asked = {table: int(state.parameters[table]) for table in TABLES}
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_sql("baseline_rows"), asked).fetchone() or {}
    gone = [f"{asked[t] - found[t]:,} of its {t} are gone" for t in TABLES if found[t] < asked[t]]
    return Check(name, not gone, "; ".join(gone) or f"all {sum(asked.values()):,} rows")


def _check_run(conn: psycopg.Connection[Any], run: LastRun) -> Check:
    """Compare the commits of a run with the growth of the tables since before it."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        run_id = cursor.execute(_sql("run_id")).fetchone()
    if run_id != run.run_id:
        return Check(_RUN_CHECK, ok=None, detail=f"run {run.run_id} was not in this database")
    if not run.ended:
        return Check(_RUN_CHECK, ok=None, detail=f"run {run.run_id} has not ended: not compared")
    growth = gained(run.rows_before, count_rows(conn))
    wrong = [name for name in OPERATIONS if growth[name] != run.committed.get(name, 0)]
    differences = [
        f"{name} {run.committed.get(name, 0):,} but {growth[name]:,} in the rows" for name in wrong
    ]
    total = sum(run.committed.get(name, 0) for name in OPERATIONS)
    if not (total or wrong):
        return Check(_RUN_CHECK, ok=None, detail=f"run {run.run_id} committed nothing")
    detail = f"run {run.run_id}: " + (
        "; ".join(differences) or f"all {total:,} committed are there"
    )
    return Check(_RUN_CHECK, not wrong, detail)


def count_rows(conn: psycopg.Connection[Any]) -> dict[str, dict[str, int]]:
    """Return the rows of each table, markers left out, and the sum of versions if it has them."""
    counts = _row(conn, "rows")
    return {
        "users": {"rows": counts["users"], "version_sum": counts["user_versions"]},
        "orders": {"rows": counts["orders"], "version_sum": counts["order_versions"]},
        "events": {"rows": counts["events"]},
    }


def _count(conn: psycopg.Connection[Any], sql: LiteralString) -> int:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(sql).fetchone() or 0


def _row(conn: psycopg.Connection[Any], statement: str) -> dict[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql(statement)).fetchone() or {}


def _sql(statement: str) -> LiteralString:
    return statements("loadgen.source", "validate.sql")[statement]
