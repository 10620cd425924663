"""The baseline: fills an empty playground by COPY, or completes a copy that was interrupted.

Each transaction copies some ten thousand rows and updates the progress in the playground's table,
so an interruption loses only the transaction under way. Indexes and foreign keys are dropped before
the copy and built after it; then the baseline is complete.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any, Final, Literal, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, scalar_row
from psycopg.types.json import Jsonb

from loadgen.errors import SettingsError, SourceError
from loadgen.source import schema
from loadgen.source.bulk_indexes import build_indexes, drop_bulk_indexes
from loadgen.source.imported import require_other_database
from loadgen.source.limits import first_write
from loadgen.source.model_schema import (
    OWN_TABLES,
    identifier,
    identifiers,
    table_facts,
)
from loadgen.source.postgres import Connection, plain_errors
from loadgen.source.schema import BaselineParameters
from loadgen.sql import statements
from loadgen.workload.baseline import COPY_HEADER, COPY_TRAILER, BaselineTable
from loadgen.workload.model import Table, WorkloadModel
from loadgen.workload.seed_request import SeedRequest
from loadgen.workload.values import ValueMakers

# Rows of one transaction; an interruption loses at most so many.
COPY_ROWS: Final = 65_536
_CHUNK_ROWS: Final = 4_096  # rows that are made at once

Phase = Literal["rows", "indexes", "statistics"]


@dataclass(frozen=True, slots=True)
class SeedProgress:
    """`rows` of `total` are copied, and `phase` is under way: of `table`, if rows are copied."""

    phase: Phase
    table: str
    rows: int
    total: int


@dataclass(frozen=True, slots=True)
class SeedResult:
    """The baseline in the database, and what this call did for it."""

    parameters: BaselineParameters
    found_rows: int  # copied by earlier calls
    copied_rows: int
    seconds: Mapping[str, float]  # by table, indexes and statistics; empty if nothing was to do


def seed(
    conn: Connection,
    model: WorkloadModel,
    request: SeedRequest,
    report: Callable[[SeedProgress], None] = lambda _: None,
) -> SeedResult:
    """Make the database of `conn` (autocommit) hold the model's baseline, whatever its state.

    Raises SourceError if it can't or must not be filled; rows copied so far stay.
    """
    require_other_database(conn, model)
    schema.check_source(conn)
    schema.require_ownership(conn, model)
    with _seeding_lock(conn):
        state = schema.seed_state(conn)
        parameters = _parameters(conn, request, state)
        if state is not None and state.complete:
            return SeedResult(parameters, sum(parameters.rows.values()), 0, {})
        return _Seeding(conn, model, parameters, report).run()


class _Seeding:
    """The work on a baseline that is not complete."""

    def __init__(
        self,
        conn: Connection,
        model: WorkloadModel,
        parameters: BaselineParameters,
        report: Callable[[SeedProgress], None],
    ) -> None:
        self._conn = conn
        self._model = model
        self._parameters = parameters
        self._total = sum(parameters.rows.values())
        self._report = report
        self._rows_copied = dict.fromkeys(parameters.rows, 0)
        self._seconds: dict[str, float] = {}

    def run(self) -> SeedResult:
        """Copy the missing rows, then build indexes and statistics."""
        with first_write(self._conn, "making the schema"):
            schema.migrate(self._conn, self._model, indexes=False)
        self._begin()
        earlier = self._copied()
        if earlier < self._total:
            drop_bulk_indexes(self._conn)
        self._fill()
        with self._phase("indexes"):
            build_indexes(self._conn)
        with self._phase("statistics"), plain_errors("collecting statistics"):
            self._finish()
        return SeedResult(self._parameters, earlier, self._total - earlier, self._seconds)

    def _begin(self) -> None:
        """Store the parameters, or read the progress of an earlier call."""
        state = schema.seed_state(self._conn)
        if state is not None:
            self._rows_copied |= state.copied
            return
        for table in self._parameters.rows:
            filled = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(identifier(table))
            if self._conn.execute(filled).fetchone() == (True,):
                raise SourceError(
                    f"table {table} has rows that are not from a baseline; nothing was written: "
                    "use an empty database"
                )
        with plain_errors("beginning the baseline"):
            self._conn.execute(_sql("begin"), {"parameters": Jsonb(self._parameters.dump())})

    def _fill(self) -> None:
        """Copy the missing rows of all tables."""
        parameters, model = self._parameters, self._model
        makers = ValueMakers(
            model, parameters.seed, parameters.rows, parameters.end, parameters.settings
        )
        facts = table_facts(self._conn, model)
        for name, rows in parameters.rows.items():
            if self._rows_copied[name] < rows:
                table = model.tables[name]
                with self._phase("rows", name):
                    self._fill_table(table, BaselineTable(makers, table, facts[name].columns))

    def _fill_table(self, table: Table, baseline: BaselineTable) -> None:
        name, rows = table.name, self._parameters.rows[table.name]
        copy = copy_statement(table, baseline)
        while self._rows_copied[name] < rows:
            upto = min(self._rows_copied[name] + COPY_ROWS, rows)
            doing = (
                f"seeding stopped at {self._copied():,} of {self._total:,} rows; "
                "the same command continues there"
            )
            with plain_errors(doing), self._conn.transaction():
                copy_rows(self._conn, copy, baseline, self._rows_copied[name], upto)
                self._conn.execute(_sql("advance"), {"table": name, "rows": upto})
            self._rows_copied[name] = upto
            self._report(SeedProgress("rows", name, self._copied(), self._total))

    def _finish(self) -> None:
        set_sequences(self._conn)
        stored = schema.require_playground(self._conn)
        self._conn.execute(sql.SQL("ANALYZE {}").format(identifiers(stored.tables)))
        self._conn.execute(_sql("settle"))
        with first_write(self._conn, "completing the baseline"):  # the first synchronous commit
            self._conn.execute(_sql("complete"))

    def _copied(self) -> int:
        return sum(self._rows_copied.values())

    @contextmanager
    def _phase(self, phase: Phase, table: str = "") -> Iterator[None]:
        self._report(SeedProgress(phase, table, self._copied(), self._total))
        began = monotonic()
        yield
        self._seconds[table or phase] = monotonic() - began


def copy_statement(table: Table, baseline: BaselineTable) -> sql.Composed:
    """Return the statement that takes a table's baseline rows."""
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, baseline.columns)),
        sql.Identifier(baseline.format),
    )


def copy_rows(
    conn: Connection, copy: sql.Composed, baseline: BaselineTable, first: int, upto: int
) -> None:
    """Copy rows `first` to `upto` - 1 of a table. Raises psycopg.Error."""
    with conn.cursor() as cursor, cursor.copy(copy) as stream:
        if baseline.format == "binary":
            stream.write(COPY_HEADER)
        for at in range(first, upto, _CHUNK_ROWS):
            stream.write(baseline.rows(at, min(_CHUNK_ROWS, upto - at)))
        if baseline.format == "binary":
            stream.write(COPY_TRAILER)


def set_sequences(conn: Connection) -> None:
    """Let each sequence continue after the largest value of the columns that it fills."""
    with conn.cursor(row_factory=dict_row) as cursor:
        columns = cursor.execute(_sql("sequences"), {"ours": list(OWN_TABLES)}).fetchall()
    for column in columns:
        table = sql.Identifier(column["schema"], column["relation"])
        largest = sql.SQL("SELECT max({}) FROM {}").format(sql.Identifier(column["column"]), table)
        with conn.cursor(row_factory=scalar_row) as cursor:
            value = cursor.execute(largest).fetchone()
        if value is not None:
            parameters = {"sequence": column["sequence"], "largest": value}
            conn.execute(_sql("set_sequence"), parameters)


def _parameters(
    conn: Connection, request: SeedRequest, state: schema.SeedState | None
) -> BaselineParameters:
    """Return the parameters of the baseline, which must equal the stored ones."""
    if state is None:
        clock = _row(conn, "clock")
        if request.end is not None and request.end > clock["now"]:
            raise SettingsError(
                f"--end is {request.end.isoformat()}, which is in the future (the server has "
                f"{clock['now'].isoformat(timespec='seconds')}): the load's rows must come after it"
            )
        end = request.end or clock["today"]
        return BaselineParameters(request.seed, end, request.rows, request.settings)
    stored = state.parameters
    # Settings such as the width of events are the load's too, and may be varied over one baseline.
    differences = [
        f"{stored.rows.get(name, 0)} rows of {name} instead of {rows}"
        for name, rows in request.rows.items()
        if stored.rows.get(name, 0) != rows
    ]
    if stored.seed != request.seed:
        differences.append(f"seed {stored.seed} instead of {request.seed}")
    if request.end not in (None, stored.end):
        differences.append(f"end {stored.end} instead of {request.end}")
    if differences:
        raise SourceError(
            f"the database has another baseline, {', '.join(differences)}; nothing was changed: "
            "seed the same one, or remove it with `loadgen db reset` (with DATABASE_URL: use an "
            "empty database)"
        )
    # In the model's order: jsonb has its own.
    return replace(stored, rows={name: stored.rows[name] for name in request.rows})


@contextmanager
def _seeding_lock(conn: Connection) -> Iterator[None]:
    """Hold the lock of seeding, with session settings that make the copy fast."""
    try:
        conn.execute(_sql("wait_briefly"))
        conn.execute(_sql("lock"))
    except psycopg.errors.LockNotAvailable as exc:
        raise SourceError(
            f"another `loadgen seed` is filling database {conn.info.dbname!r}: let it end first"
        ) from exc
    try:
        with suppress(psycopg.Error):
            conn.execute(_sql("notice_death"))
        conn.execute(_sql("hurry"))
        yield
    finally:
        with suppress(psycopg.Error):
            conn.execute(_sql("unlock"))
            conn.execute(_sql("calm"))


def _row(conn: Connection, statement: str) -> Mapping[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql(statement)).fetchone() or {}


def _sql(name: str) -> LiteralString:
    return statements("loadgen.source", "baseline.sql")[name]
