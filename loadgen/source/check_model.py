"""Checks a model with the Postgres that will hold it; nothing of it stays there.

In one transaction, which is rolled back, the model's tables are made and published, ten rows of
each are copied in, each statement is prepared and run once, and each check is counted. What
workload.toml says is checked before, by `read_model`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import numpy as np
import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from loadgen.errors import SettingsError, SourceError, suggest
from loadgen.source.bulk_indexes import drop_objects, present_objects
from loadgen.source.model_schema import (
    OWN_TABLES,
    TableFacts,
    create_tables,
    existing_tables,
    identifiers,
    type_names,
    type_of,
)
from loadgen.source.postgres import Connection, plain_errors, server_message
from loadgen.source.seed import copy_rows, copy_statement
from loadgen.workload.baseline import BaselineTable
from loadgen.workload.model import (
    KeyParameter,
    Operation,
    SqlDefault,
    Table,
    Value,
    WorkloadModel,
    generator_settings,
)
from loadgen.workload.values import ValueMakers

SAMPLE_ROWS: Final = 10  # of each table
_SEED: Final = 1
# What generates a value of a type, as workload.toml has it; other types take { value = "…" }.
_GENERATORS: Final = (
    (r"uuid", '{ generate = "uuid" }'),
    (r"(small|big)?int(eger)?", "{ number = [1, 1000] }"),
    (r"numeric|decimal|real|double", "{ decimal = [1, 1000] }"),
    (r"text|character", "{ text = [5, 20] }"),
    (r"timestamp|date", '{ time = "even" }'),
    (r"bool", '{ generate = "boolean" }'),
    (r"json", "{ json = {} }"),
    (r"bytea", "{ bytes = [5, 20] }"),
)
# Data of a wrong type or form, wrong names, NULL where there must be a value: these fail always.
# Other errors may be what a workload has: a check or a unique key that refuses some writes.
_ALWAYS_WRONG: Final = re.compile(r"22...|42...|23502|55000|0A...")
# Keys that no row of the ten has.
_KEYS: Final = {"smallint": "32000", "integer": "2000000", "bigint": "2000000", "uuid": "f" * 32}


def check_model(conn: Connection, model: WorkloadModel) -> list[str]:
    """Return what is wrong with the model, a line each; `conn` (autocommit) stays as it was.

    The database must have none of the model's tables. Raises SourceError if Postgres refuses
    a transaction altogether.
    """
    problems: list[str] = []
    threshold, conn.prepare_threshold = conn.prepare_threshold, None  # a rollback drops psycopg's
    with plain_errors("checking the workload"):
        try:
            with conn.transaction():
                problems += _Check(conn, model).problems()
                raise psycopg.Rollback
        finally:
            conn.prepare_threshold = threshold
            with suppress(psycopg.OperationalError):  # the connection may be lost
                conn.execute("DEALLOCATE ALL")
    return problems


class _Check:
    """The work inside the transaction."""

    def __init__(self, conn: Connection, model: WorkloadModel) -> None:
        self._conn = conn
        self._model = model
        self._facts: Mapping[str, TableFacts] = {}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong; a fault that others would only follow from ends the check."""
        others = existing_tables(self._conn, ours=())
        if taken := sorted(others.keys() & self._model.tables.keys()):
            raise SourceError(
                f"database {self._conn.info.dbname!r} has {', '.join(taken)} already: check the "
                "workload in an empty database"
            )
        try:
            if not self._model.schema_sql:
                wrong = list(self._types())
                if wrong:
                    yield from wrong
                    return
            create_tables(self._conn, self._model)
        except SourceError as exc:
            yield str(exc)
            return
        made = existing_tables(self._conn, ours=())
        self._facts = {name: facts for name, facts in made.items() if name not in others}
        wrong = [*self._names()] or [*self._tables(), *self._publication()]
        yield from wrong
        if not wrong:
            yield from self._rows()
        yield from self._operations(run=not wrong)
        yield from self._checks()

    def _types(self) -> Iterator[str]:
        """Yield types that do not exist; without schema.sql a column names its type."""
        for table in self._model.tables.values():
            for column in table.types:
                make = sql.SQL("CREATE TEMP TABLE loadgen_type ({} {}) ON COMMIT DROP").format(
                    sql.Identifier(column), sql.SQL(type_of(table, column))
                )
                for message in self._attempt(make, undo=True):
                    unknown = re.search(r'type "([^"]+)" does not exist', message)
                    hint = f": {suggest(unknown[1], type_names(self._conn))}" if unknown else ""
                    yield f"tables.{table.name}, columns.{column}: {message}{hint}"

    def _names(self) -> Iterator[str]:
        for name, facts in self._facts.items():
            if name in OWN_TABLES:
                yield f"schema.sql: table {name} has a name of the playground's own: rename it"
            elif "." in facts.relation:
                yield f"schema.sql: table {name!r} has a dot in its name: rename it"

    def _tables(self) -> Iterator[str]:
        for name, table in self._model.tables.items():
            if name not in self._facts:
                yield f"tables.{name}: schema.sql makes no such table: {suggest(name, self._facts)}"
            else:
                yield from self._table(table, self._facts[name])

    def _table(self, table: Table, facts: TableFacts) -> Iterator[str]:
        where = f"tables.{table.name}"
        for column, value in table.columns.items():
            if column not in facts.columns:
                yield f"{where}, columns.{column}: no such column: {suggest(column, facts.columns)}"
            elif column in facts.generated and not isinstance(value.generator, SqlDefault):
                yield f"{where}, columns.{column}: Postgres generates this column: remove the key"
        for key, column in _named_columns(table):
            if column not in facts.columns:
                yield f"{where}, {key}: no column {column!r}: {suggest(column, facts.columns)}"
        if table.key and set(table.key) <= facts.columns.keys():
            keys = {frozenset(key) for key in facts.keys}
            if frozenset(table.key) not in keys:
                yield (
                    f"{where}, key: ({', '.join(table.key)}) has no primary key or unique index in "
                    "schema.sql: add one"
                )
        if table.rows:
            yield from _unfilled(table, facts)

    def _publication(self) -> Iterator[str]:
        make = sql.SQL("CREATE PUBLICATION loadgen_check FOR TABLE {}")
        if self._facts:
            for message in self._attempt(make.format(identifiers(list(self._facts)))):
                yield f"schema.sql: its tables can't be published to tools: {message}"
        for operation in self._model.operations.values():
            for number, statement in enumerate(operation.statements, 1):
                facts = self._facts.get(statement.table)
                if facts and statement.change in ("update", "delete") and not facts.identified:
                    where = _of_statement(operation, number)
                    yield (
                        f"{where}: {statement.change}s of {statement.table} are refused, since it "
                        "is published and has no replica identity: give it a primary key, or add "
                        f"ALTER TABLE {statement.table} REPLICA IDENTITY FULL to schema.sql"
                    )

    def _rows(self) -> Iterator[str]:
        """Copy some rows of each table as a baseline does: without indexes and foreign keys."""
        model = self._model
        rows = {name: min(table.rows, SAMPLE_ROWS) for name, table in model.tables.items()}
        self._makers = ValueMakers(
            _with_rows(model, rows),
            _SEED,
            rows,
            datetime.now(UTC),
            dict.fromkeys(generator_settings(model)),
        )
        objects = present_objects(self._conn)
        drop_objects(self._conn, objects)
        copied = True
        for name, n in rows.items():
            if n:
                table, columns = model.tables[name], self._facts[name].columns
                baseline = BaselineTable(self._makers, table, columns)
                copy = partial(
                    copy_rows, self._conn, copy_statement(table, baseline), baseline, 0, n
                )
                for message in self._attempt(copy):
                    copied = False
                    yield f"tables.{name}: {message}"
        if copied:
            for item in objects:
                for message in self._attempt(sql.SQL(item.definition)):
                    yield f"tables.{item.relation}, {item.kind} {item.name}: {message}"

    def _operations(self, *, run: bool) -> Iterator[str]:
        for operation in self._model.operations.values():
            wrong = False
            for number, statement in enumerate(operation.statements, 1):
                name = sql.Identifier(f"loadgen_check_{operation.name}_{number}")
                prepare = sql.SQL("PREPARE {} AS ").format(name) + sql.SQL(statement.sql)
                messages = list(self._attempt(prepare))
                wrong = wrong or bool(messages)
                yield from (f"{_of_statement(operation, number)}: {m}" for m in messages)
            if operation.recent:
                for message in self._count(operation.recent):
                    yield f"operations.{operation.name}, recent: {message}"
            if run and not wrong:
                yield from self._run(operation)

    def _run(self, operation: Operation) -> Iterator[str]:
        """Run an operation's transaction once."""
        values = {name: self._text(operation, name) for name in operation.parameters}
        for number, statement in enumerate(operation.statements, 1):
            name = sql.Identifier(f"loadgen_check_{operation.name}_{number}")
            arguments = sql.SQL(", ").join(sql.Literal(values[p]) for p in statement.parameters)
            execute = sql.SQL("EXECUTE {}").format(name)
            if statement.parameters:
                execute += sql.SQL(" ({})").format(arguments)
            for message in self._attempt(execute, only=_ALWAYS_WRONG):
                yield f"{_of_statement(operation, number)}: {message}"
                return

    def _text(self, operation: Operation, name: str) -> str | None:
        """Return the text of a parameter's first value; None if it depends on a run."""
        parameter = operation.parameters[name]
        if isinstance(parameter, Value):
            texts = self._makers.parameter(operation.name, name).texts(np.array([0]))
            text = bytes(texts[0]) if isinstance(texts, np.ndarray) else texts[0]
            return None if text is None else text.decode()
        if isinstance(parameter, KeyParameter) and parameter.table in self._facts:
            type_ = self._facts[parameter.table].columns.get(parameter.column, "")
            return _KEYS.get(type_, "check")
        return None

    def _checks(self) -> Iterator[str]:
        for check in self._model.checks:
            for message in self._count(check.violations):
                yield f"checks.{check.name}: {message}"

    def _count(self, query: str) -> Iterator[str]:
        """Yield why a query does not count something."""
        counted: list[object] = []

        def count() -> None:
            with self._conn.cursor(row_factory=scalar_row) as cursor:
                counted.extend(cursor.execute(query.encode()).fetchmany(2))

        yield from self._attempt(count)
        if counted and (len(counted) > 1 or not isinstance(counted[0], int | None)):
            yield f"it gives {counted[0]!r}: it must give one whole number"

    def _attempt(
        self,
        action: sql.SQL | sql.Composed | Callable[[], object],
        *,
        undo: bool = False,
        only: re.Pattern[str] = re.compile(""),
    ) -> Iterator[str]:
        """Run a statement or function; yield Postgres' message if it refuses, and undo it then."""
        try:
            with self._conn.transaction():
                if isinstance(action, sql.SQL | sql.Composed):
                    self._conn.execute(action)
                else:
                    action()
                if undo:
                    raise psycopg.Rollback
        except psycopg.Error as exc:
            if only.match(exc.sqlstate or ""):
                yield _message(exc)
        except SettingsError as exc:  # of a generator
            yield str(exc)


def _message(exc: psycopg.Error) -> str:
    """Return Postgres' message, the column that a COPY stopped at, and its hint."""
    column = re.search(r"^COPY .*, line \d+, column ([^:\n]+)", exc.diag.context or "")
    name = exc.diag.column_name or (column[1] if column else "")
    text = server_message(exc)
    if name and f'"{name}"' not in text:
        text = f"column {name}: {text}"
    return f"{text}: {exc.diag.message_hint}" if exc.diag.message_hint else text


def _named_columns(table: Table) -> Iterator[tuple[str, str]]:
    """Yield the columns that keys of the table's own name, with the key."""
    yield from (("key", column) for column in table.key)
    if table.version:
        yield "version", table.version
    if table.gone:
        yield "gone", table.gone.column
    if table.states:
        states = table.states
        for key in ("column", "version", "key", "created_at", "changed_at"):
            if column := getattr(states, key):
                yield f"states.{key}", column


def _unfilled(table: Table, facts: TableFacts) -> Iterator[str]:
    """Yield NOT NULL columns that nothing fills."""
    filled = {name for name, v in table.columns.items() if not isinstance(v.generator, SqlDefault)}
    if states := table.states:
        filled |= {states.column, states.version, states.created_at, states.changed_at}
    for column in facts.columns:
        if column in facts.required and column not in filled:
            type_ = facts.columns[column]
            example = next((toml for kind, toml in _GENERATORS if re.match(kind, type_)), None)
            yield (
                f"tables.{table.name}: column {column} ({type_}) is NOT NULL and has no default: "
                + (
                    f"give it a generator, such as columns.{column} = {example}"
                    if example and not type_.endswith("[]")
                    else f"no generator makes {type_}: give it a DEFAULT in schema.sql, or "
                    f'columns.{column} = {{ value = "…" }}'
                )
            )


def _with_rows(model: WorkloadModel, rows: Mapping[str, int]) -> WorkloadModel:
    return replace(
        model, tables={name: replace(t, rows=rows[name]) for name, t in model.tables.items()}
    )


def _of_statement(operation: Operation, number: int) -> str:
    place = f", statement {number}" if len(operation.statements) > 1 else ""
    return f"operations.{operation.name}{place}"
