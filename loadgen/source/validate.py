"""The state of the source: its row counts, recent activity and invariants, all from one snapshot.

Copies are compared by `verify`. The figures of the last run come from the caller.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, LiteralString

from psycopg import sql
from psycopg.rows import scalar_row

from loadgen.errors import SettingsError, one_line
from loadgen.record.run import TableRows
from loadgen.source.bulk_indexes import BulkObject, damaged_objects, recorded_objects
from loadgen.source.model_schema import TableFacts, cascade_targets, identifier, table_facts
from loadgen.source.postgres import Connection, plain_errors
from loadgen.source.schema import SeedState, require_ownership, require_playground, seed_state
from loadgen.sql import statements
from loadgen.text import quantity
from loadgen.untrusted import short
from loadgen.workload.conserved import columns_of, moved_apart, sums_of
from loadgen.workload.model import WorkloadModel
from loadgen.workload.row_growth import row_growth, undecided_tables

_RUN_CHECK: Final = "counters of the last run = rows"
_ROWS: Final = sql.SQL("SELECT count(*), coalesce(sum({}::bigint), 0)::bigint{} FROM {}")
_SUM: Final = sql.SQL(", coalesce(sum({}), 0)::numeric")
_SOFT_DELETED: Final = sql.SQL("SELECT count(*) FROM {} WHERE {} IS NOT NULL")


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run's record: the table counts before it, and the rows that it touched since.

    `statement_rows` are those of committed transactions, by operation and statement; `unknown` are
    the operations with writes that may be committed too.
    """

    run_id: str
    ended: bool
    statement_rows: Mapping[str, Sequence[int]]
    rows_before: Mapping[str, TableRows]
    unknown: Collection[str] = ()


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
    soft_deleted: Mapping[str, int]  # by table, of those whose rows are soft deleted
    last_hour: Mapping[str, int]  # by operation
    checks: tuple[Invariant, ...]

    @property
    def ok(self) -> bool:
        """Whether every checked invariant holds."""
        return all(check.ok is not False for check in self.checks)


def validate(conn: Connection, model: WorkloadModel, last_run: LastRun | None = None) -> Validation:
    """Return the state of the source; the counters of `last_run` are compared with its rows.

    Raises SourceError if the database has no playground, or that of another workload.
    """
    with plain_errors("validating the source"), conn.transaction():
        conn.execute(_sql("snapshot"))
        require_playground(conn)
        require_ownership(conn, model)
        facts = table_facts(conn, model)
        rows = count_rows(conn, model)
        checks = [
            _counted(check.title, _count(conn, check.violations.encode()), check.noun)
            for check in model.checks
        ]
        checks += _check_keys(conn, model, facts)
        state = seed_state(conn)
        if state:
            checks.append(_check_baseline(model, state, rows))
        if last_run:
            checks += _check_conserved(conn, model, last_run, rows)
            checks.append(_check_run(conn, model, facts, last_run, rows))
        return Validation(
            tables={name: table.rows for name, table in rows.items()},
            soft_deleted={
                name: _count(
                    conn, _SOFT_DELETED.format(identifier(name), sql.Identifier(table.gone.column))
                )
                for name, table in model.tables.items()
                if table.gone
            },
            last_hour={
                name: _count(conn, operation.recent.encode())
                for name, operation in model.operations.items()
                if operation.recent
            },
            checks=tuple(checks),
        )


def _counted(name: str, violations: int, noun: str) -> Invariant:
    return Invariant(name, violations == 0, f"{violations:,} {noun}")


def _check_keys(
    conn: Connection, model: WorkloadModel, facts: Mapping[str, TableFacts]
) -> Iterator[Invariant]:
    """Check in the catalogues that no foreign key or unique key is missing or not valid."""
    objects, damaged = recorded_objects(conn), set(damaged_objects(conn))
    lost = {
        f"the key of {name} is missing"
        for name, table in model.tables.items()
        if table.key and frozenset(table.key) not in {frozenset(key) for key in facts[name].keys}
    }
    kinds = (
        ("every foreign key is valid", "foreign keys", _is_foreign_key, set[str]()),
        ("every unique key is valid", "unique keys", _is_unique, lost),
    )
    for name, noun, belongs, others in kinds:
        of_kind = [bulk_object for bulk_object in objects if belongs(bulk_object)]
        faults = [
            f"{bulk_object.name} of {bulk_object.relation} is missing or not valid"
            for bulk_object in of_kind
            if bulk_object in damaged
        ]
        faults += sorted(others)
        keys = sum(bool(table.primary_key) for table in facts.values()) if others is lost else 0
        detail = "; ".join(faults) or f"{len(of_kind) + keys:,} {noun}"
        yield Invariant(name, not faults, detail)


def _is_foreign_key(bulk_object: BulkObject) -> bool:
    return bulk_object.kind == "foreign key"


def _is_unique(bulk_object: BulkObject) -> bool:
    return bulk_object.kind == "unique" or bulk_object.definition.startswith("CREATE UNIQUE")


def _check_baseline(
    model: WorkloadModel, state: SeedState, rows: Mapping[str, TableRows]
) -> Invariant:
    """Check that the baseline was completed and that no table lost rows that no operation takes."""
    name = "the baseline is complete"
    if not state.complete:
        return Invariant(name, ok=False, detail="complete it with `loadgen seed`")
    seeded = state.parameters.rows
    shrinking = {
        statement.table
        for operation in model.operations.values()
        for statement in operation.statements
        if statement.change in ("delete", "other")
    }
    gone = [
        f"{seeded[table] - rows[table].rows:,} rows of {table} are gone"
        for table in seeded
        if table not in shrinking and "" not in shrinking and rows[table].rows < seeded[table]
    ]
    return Invariant(name, not gone, "; ".join(gone) or f"{sum(seeded.values()):,} rows")


def _check_run(
    conn: Connection,
    model: WorkloadModel,
    facts: Mapping[str, TableFacts],
    run: LastRun,
    rows: Mapping[str, TableRows],
) -> Invariant:
    """Compare the rows that a run touched with the growth of the tables since before it."""
    if not _is_of_run(conn, run):
        return Invariant(_RUN_CHECK, ok=None, detail=f"run {run.run_id} was not in this database")
    if not run.ended:
        return Invariant(
            _RUN_CHECK, ok=None, detail=f"run {run.run_id} has not ended: not compared"
        )
    if not any(map(sum, run.statement_rows.values())) and rows == run.rows_before:
        return Invariant(_RUN_CHECK, ok=None, detail=f"run {run.run_id} committed nothing")
    skipped = cascade_targets(facts) | undecided_tables(model, run.unknown)
    differences, compared, total = [], 0, 0
    for name, growth in row_growth(model, run.statement_rows).items():
        if name in skipped or name not in run.rows_before:
            continue
        before, after = run.rows_before[name], rows[name]
        for noun, expected, gained in (
            ("rows", growth.rows, after.rows - before.rows),
            ("updates", growth.version_sum, (after.version_sum or 0) - (before.version_sum or 0)),
        ):
            if expected is None:
                continue
            compared, total = compared + 1, total + abs(expected)
            if gained != expected:
                differences.append(f"{name}: {expected:,} {noun} counted, {gained:,} in the table")
    if not compared:
        return Invariant(_RUN_CHECK, ok=None, detail="no table of this workload can be compared")
    detail = "; ".join(differences) or f"all {total:,} counted changes are there"
    return Invariant(_RUN_CHECK, not differences, f"run {run.run_id}: {detail}")


def _check_conserved(
    conn: Connection, model: WorkloadModel, run: LastRun, rows: Mapping[str, TableRows]
) -> Iterator[Invariant]:
    """Compare the conserved sums with those before the run, which may still be under way."""
    before, now = sums_of(run.rows_before), sums_of(rows)
    for conserved in model.conserved:
        if not _is_of_run(conn, run) or not before.keys() >= set(conserved.columns):
            detail = f"run {run.run_id} has no sums of this database: not compared"
            yield Invariant(conserved.title, ok=None, detail=detail)
            continue
        apart = moved_apart(conserved, before, now)
        detail = f"{quantity(float(apart))} apart since before run {run.run_id}"
        yield Invariant(conserved.title, not apart, detail)


def _is_of_run(conn: Connection, run: LastRun) -> bool:
    """Return whether the run was the last to write to this database."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_sql("run_id")).fetchone() == run.run_id


def count_rows(conn: Connection, model: WorkloadModel) -> dict[str, TableRows]:
    """Return each table's rows, and the sums of its versions and of its conserved columns."""
    counts = {}
    for name, table in model.tables.items():
        version = table.version_column
        column = sql.Identifier(version) if version else sql.NULL
        summed = [column for of, column in columns_of(model.conserved) if of == name]
        sums = sql.Composed([_SUM.format(sql.Identifier(column)) for column in summed])
        row = conn.execute(_ROWS.format(column, sums, identifier(name))).fetchone() or (0, None)
        rows, version_sum, *totals = row
        by_column = {"sums": dict(zip(summed, totals, strict=True))} if summed else {}
        if odd := [total for total in totals if not total.is_finite()]:
            raise SettingsError(
                f"a conserved sum of {name} ({', '.join(summed)}) is {odd[0]}: correct its rows or "
                "[conserved] in its workload.toml"
            )
        version_sum = version_sum if version else None
        counts[name] = TableRows(rows=rows, version_sum=version_sum, **by_column)
    return counts


def _count(conn: Connection, query: bytes | sql.Composed) -> int:
    """Return the one whole number that a query gives; NULL is 0. Raises SettingsError."""
    rows = conn.execute(query).fetchall()
    match rows:
        case [(int() | None as number,)]:
            return number or 0
        case [(Decimal() as number,)] if number == int(number):
            return int(number)
    shown = query.decode() if isinstance(query, bytes) else query.as_string(conn)
    raise SettingsError(
        f"a query of the workload gives {short(rows[:1])}, not one whole number: correct "
        f"{one_line(shown, 80)!r} in its workload.toml"
    )


def _sql(statement: str) -> LiteralString:
    return statements("loadgen.source", "validate.sql")[statement]
