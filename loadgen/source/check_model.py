"""Checks a model with the Postgres that will hold it; nothing of it stays there.

In one transaction, which is rolled back, the model's tables are made and published, ten rows of
each are copied in, each statement is prepared and run once, each check is counted, and conserved
sums are compared before and after each operation. What workload.toml says is checked before, by
`read_model`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
from psycopg import sql

from loadgen.errors import SettingsError, SourceError, one_line, suggest
from loadgen.source.bulk_indexes import BulkObject, drop_objects, present_objects
from loadgen.source.model_schema import (
    OWN_TABLES,
    TableFacts,
    checked_columns,
    create_tables,
    existing_tables,
    identifier,
    identifiers,
    name_of,
    type_names,
    type_of,
)
from loadgen.source.postgres import Connection, plain_errors, server_message
from loadgen.source.seed import copy_rows, copy_statement
from loadgen.source.table_faults import table_faults
from loadgen.source.validate import count_rows
from loadgen.text import quantity
from loadgen.workload.baseline import BaselineTable
from loadgen.workload.conserved import Sums, moved_apart, sums_of
from loadgen.workload.model import (
    Conserved,
    KeyParameter,
    Operation,
    Statement,
    Value,
    WorkloadModel,
    generator_settings,
)
from loadgen.workload.section import Section, header_of
from loadgen.workload.values import ValueMakers

SAMPLE_ROWS: Final = 10  # of each table
_SEED: Final = 1
# Data of a wrong type or form, wrong names, NULL instead of a required value: these fail always.
# Other errors may be what a workload has: a check or a unique key that refuses some writes.
_ALWAYS_WRONG: Final = re.compile(r"22...|42...|23502|55000|0A...")
_COMMON_TYPES: Final = (
    "text", "varchar", "integer", "bigint", "smallint", "numeric", "real", "double precision",
    "boolean", "uuid", "date", "timestamp", "timestamptz", "time", "interval", "json", "jsonb",
    "bytea", "inet", "bit", "money", "xml",
)  # fmt: skip
_WHOLE: Final = ("int2", "int4", "int8")
_EXACT: Final = ("int8", "numeric")  # types of sums
_SYNTAX: Final = "42601"
# An operator or function of other types, a value of another type: Postgres hints at casts.
_TYPES_DIFFER: Final = ("42883", "42804", "42725")
_UNKNOWN_TABLE: Final = "42P01"
_NOT_DEFAULT: Final = "428C9"  # a value for an identity or a generated column
_BROKEN_REFERENCE: Final = "23503"
_NEAR: Final = 40  # characters shown on each side of a mistake in SQL, at most
# Keys that no row of the ten has.
_KEYS: Final = {"smallint": "32000", "integer": "2000000", "bigint": "2000000", "uuid": "f" * 32}


def check_model(conn: Connection, model: WorkloadModel) -> list[str]:
    """Return the model's faults, a line each; `conn` (autocommit) stays as it was.

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
        self._summed: tuple[Conserved, ...] = ()  # conserved sums that can be compared

    def problems(self) -> Iterator[str]:
        """Yield the faults; one that others would only follow from ends the check."""
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
            yield self._of_schema(str(exc))
            return
        made = existing_tables(self._conn, ours=())
        self._facts = {name: facts for name, facts in made.items() if name not in others}
        wrong = [*self._names()] or [*self._tables(), *self._publication()]
        yield from wrong
        if not wrong:
            yield from self._rows()
            unsummed = list(self._conserved())
            self._summed = () if unsummed else self._model.conserved
            yield from unsummed
        yield from self._operations(run=not wrong)
        yield from self._checks()

    def _types(self) -> Iterator[str]:
        """Yield types that do not exist; without schema.sql a column names its type."""
        for table in self._model.tables.values():
            for column in table.types:
                make = sql.SQL("CREATE TEMP TABLE loadgen_type ({} {}) ON COMMIT DROP").format(
                    sql.Identifier(column), sql.SQL(type_of(table, column))
                )
                for refusal in self._attempt(make, undo=True):
                    message = self._message(refusal)
                    if unknown := re.search(r'type "([^"]+)" does not exist', message):
                        message += f": {self._nearest_type(unknown[1])}"
                    yield self._in_table(table.name, f"columns.{column}.type", message)

    def _nearest_type(self, name: str) -> str:
        """Return a hint at the type that is meant; Postgres has hundreds of its own use."""
        for known in (_COMMON_TYPES, type_names(self._conn)):
            if near := get_close_matches(name, known, n=1):
                return f"did you mean {near[0]}?"
        return "give a type of Postgres, such as text, bigint or timestamptz"

    # Places in the files, as the reader names them.

    def _in_file(self, name: str, message: str) -> str:
        return f"{Path(self._model.source) / name}{message}"

    def _of_schema(self, message: str) -> str:
        """Return the message about schema.sql, or about a table without it, with its place."""
        if re.match(r'.*role "[^"]*" does not exist', message):
            message += ": use pg_dump --no-owner --no-privileges"
        table = re.match(r"tables\.(.*?): ", message)
        if table and table[1] in self._model.tables:
            return self._in_table(table[1], "", message[table.end() :])
        return self._in_file(message, "")

    def _at(self, kind: str, name: str, key: str, message: str) -> str:
        file = str(Path(self._model.source) / "workload.toml")
        return str(Section(file, header_of(kind, name), "", {}).error(key, message))

    def _in_table(self, table: str, key: str, message: str) -> str:
        return self._at("tables", table, key, message)

    def _in_statement(
        self, operation: Operation, number: int, message: str, position: int = -1, key: str = ""
    ) -> str:
        """Return the message at the key whose SQL has `position`, or that sets column `key`."""
        places = operation.places or (("", 0),)
        reached = [place for place, start in places if start <= position] or [places[0][0]]
        is_known = key in dict(places) or key.startswith("params.")
        key = key if is_known else reached[-1]
        if len(operation.statements) > 1:
            key = ", ".join(filter(None, (key, f"statement {number}")))
        return self._at("operations", operation.name, key, message)

    def _names(self) -> Iterator[str]:
        for name, facts in self._facts.items():
            if name in OWN_TABLES:
                fault = f"table {name} has a name of the playground's own"
                yield self._of_schema(f"schema.sql: {fault}: rename it")
            elif "." in facts.relation:
                yield self._of_schema(
                    f"schema.sql: table {name!r} has a dot in its name: rename it"
                )

    def _tables(self) -> Iterator[str]:
        for name, table in self._model.tables.items():
            if name not in self._facts:
                hint = suggest(name, self._facts)
                yield self._in_table(name, "", f"schema.sql makes no such table: {hint}")
            else:
                for key, message in table_faults(table, self._facts[name]):
                    yield self._in_table(name, key, message)

    def _publication(self) -> Iterator[str]:
        make = sql.SQL("CREATE PUBLICATION loadgen_check FOR TABLE {}")
        if self._facts:
            for refusal in self._attempt(make.format(identifiers(list(self._facts)))):
                fault = f"its tables can't be published to tools: {self._message(refusal)}"
                yield self._of_schema(f"schema.sql: {fault}")
        for operation in self._model.operations.values():
            for number, statement in enumerate(operation.statements, 1):
                facts = self._facts.get(statement.table)
                if facts and statement.change in ("update", "delete") and not facts.identified:
                    yield self._in_statement(
                        operation,
                        number,
                        f"{statement.change}s of {statement.table} are refused, since it is "
                        "published and has no replica identity: give it a primary key, or add "
                        f"ALTER TABLE {statement.table} REPLICA IDENTITY FULL to schema.sql",
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
                for refusal in self._attempt(copy):
                    copied = False
                    column = self._refused_column(refusal)
                    key = f"columns.{column}" if column else ""
                    yield self._in_table(name, key, self._message(refusal))
        if copied:
            for item in objects:
                for refusal in self._attempt(sql.SQL(item.definition)):
                    yield self._refused_object(item, refusal)

    def _refused_column(self, refusal: Exception) -> str:
        """Return the column that Postgres names, or the only one of the check that it names."""
        # The check of a domain has no table; its column is in the context.
        if isinstance(refusal, psycopg.errors.CheckViolation) and refusal.diag.table_name:
            columns = checked_columns(self._conn, refusal)
            return columns[0] if len(columns) == 1 else ""
        return _column_of(refusal)

    def _refused_object(self, item: BulkObject, refusal: Exception) -> str:
        """Return why the rows refuse an index or key, at the column of a foreign key."""
        name = name_of(item.schema, item.relation)
        message = f"{item.kind} {item.name}: {self._message(refusal)}"
        if getattr(refusal, "sqlstate", "") == _BROKEN_REFERENCE and name in self._facts:
            for foreign in self._facts[name].foreign_keys:
                if foreign.name == item.name:
                    other = self._model.tables.get(foreign.table)
                    rows = "" if other and other.rows else f"give {foreign.table} `rows`, and "
                    message = (
                        message.removesuffix(".") + f': {rows}use {{ row = "{foreign.table}" }}'
                    )
                    return self._in_table(name, f"columns.{foreign.columns[0]}", message)
        return self._in_table(name, "", message)

    def _operations(self, *, run: bool) -> Iterator[str]:
        for operation in self._model.operations.values():
            wrong = False
            for number, statement in enumerate(operation.statements, 1):
                name = sql.Identifier(f"loadgen_check_{operation.name}_{number}")
                prefix = sql.SQL("PREPARE {} AS ").format(name)
                for refusal in self._attempt(prefix + sql.SQL(statement.sql)):
                    wrong = True
                    start = prefix.as_string(self._conn)
                    position = _position(refusal, start)
                    message = self._message(refusal, statement.sql, position)
                    key = f"set.{_column_of(refusal)}"
                    yield self._in_statement(operation, number, message, position, key)
            if operation.recent:
                for message in self._count(operation.recent):
                    yield self._at("operations", operation.name, "recent", message)
            if run and not wrong:
                yield from self._run(operation)

    def _run(self, operation: Operation) -> Iterator[str]:
        """Run an operation's transaction once."""
        values = {name: self._text(operation, name) for name in operation.parameters}
        before, fewest = self._sums(), 1
        for number, statement in enumerate(operation.statements, 1):
            name = sql.Identifier(f"loadgen_check_{operation.name}_{number}")
            texts = [sql.Literal(values[p]) for p in statement.parameters]
            arguments = sql.SQL(", ").join(texts)
            execute = sql.SQL("EXECUTE {}").format(name)
            if statement.parameters:
                execute += sql.SQL(" ({})").format(arguments)
            changes = _Changes(self._conn, self._model, statement)
            for refusal in self._attempt(partial(changes.execute, execute), only=_ALWAYS_WRONG):
                key, end = f"set.{_column_of(refusal)}", len(name.as_string(self._conn))
                position = _position(refusal, "EXECUTE  (")
                table = "params" if operation.places == (("sql", 0),) else "set"
                for parameter, text in zip(statement.parameters, texts, strict=True):
                    if end <= position:
                        key = f"{table}.{parameter}"
                    end += len(text.as_string(self._conn)) + 2
                yield self._in_statement(operation, number, self._message(refusal), key=key)
                return
            fewest = min(fewest, changes.rows)
            if changes.rows != changes.raised_by and changes.version:
                version = f"{statement.table}.{changes.version}"
                yield self._in_statement(
                    operation,
                    number,
                    f"it changes {changes.rows} rows and raises {version} by {changes.raised_by}: "
                    "let it, or a trigger, raise the version of each row by 1",
                )
        if fewest:  # of ten rows, a statement may find none
            yield from self._moved_apart(operation, before)

    def _moved_apart(self, operation: Operation, before: Sums) -> Iterator[str]:
        """Yield the conserved sums that an operation has moved apart."""
        now = self._sums()
        for conserved in self._summed:
            if apart := moved_apart(conserved, before, now):
                change = "changes it" if len(conserved.columns) == 1 else "moves them apart"
                change += f" by {quantity(float(apart))}"
                remedy = "correct its statements, or the sums"
                message = f"operation {operation.name} {change}: {remedy}"
                yield self._at("conserved", conserved.name, "sums", message)

    def _sums(self) -> Sums:
        return sums_of(count_rows(self._conn, self._model)) if self._summed else {}

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
                yield self._at("checks", check.name, "violations", message)

    def _conserved(self) -> Iterator[str]:
        for conserved in self._model.conserved:
            for table, column in conserved.columns:
                for message in self._sum_faults(table, column):
                    yield self._at("conserved", conserved.name, "sums", message)

    def _sum_faults(self, table: str, column: str) -> Iterator[str]:
        """Yield why a column has no exact sum."""
        names = sql.Identifier(column), identifier(table)
        query = sql.SQL("SELECT sum({}) FROM {}").format(*names)
        type_ = ""

        def add_up() -> None:
            nonlocal type_
            columns = self._conn.execute(query).description or []
            type_ = self._type_name(columns[0].type_code)

        for refusal in self._attempt(add_up):
            yield self._message(refusal)
        if type_ and type_ not in _EXACT:
            yield f"the sum of {table}.{column} is {type_}: give columns of integers or decimals"

    def _count(self, query: str) -> Iterator[str]:
        """Yield why a query does not count something."""
        shape = ""

        def count() -> None:
            nonlocal shape
            with self._conn.cursor() as cursor:
                cursor.execute(query.encode())
                columns = cursor.description or []
                types = [self._type_name(column.type_code) for column in columns]
                if len(types) != 1:
                    shape = f"{len(types)} columns"
                elif types[0] not in _WHOLE:
                    shape = types[0]
                elif len(cursor.fetchmany(2)) > 1:
                    shape = "more than one row"

        for refusal in self._attempt(count):
            yield self._message(refusal, query, _position(refusal, ""))
        if shape:
            yield f"it gives {shape}: it must give one whole number"

    def _type_name(self, oid: int) -> str:
        known = self._conn.adapters.types.get(oid)
        return known.name if known else "another type"

    def _attempt(
        self,
        action: sql.SQL | sql.Composed | Callable[[], object],
        *,
        undo: bool = False,
        only: re.Pattern[str] = re.compile(""),
    ) -> Iterator[psycopg.Error | SettingsError]:
        """Run a statement or function; yield the error if Postgres refuses, and undo it then."""
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
                yield exc
        except SettingsError as exc:  # of a generator
            yield exc

    def _message(self, exc: Exception, statement: str = "", at: int = -1) -> str:
        """Return Postgres' message with its remedy, and the SQL near place `at` of `statement`."""
        if not isinstance(exc, psycopg.Error):
            return str(exc)
        text, state = server_message(exc), exc.sqlstate
        if at >= 0 and state in (_SYNTAX, *_TYPES_DIFFER):
            text += f", near {_near(statement, at)!r}"
        if state == _NOT_DEFAULT:
            remedy = "leave it out"
            if "cannot insert" in text and "identity" in text:
                remedy = "write { default = true }, or OVERRIDING SYSTEM VALUE in the sql"
            return f"{text.removesuffix('.')}: {remedy}"
        if state == _UNKNOWN_TABLE and (relation := re.search(r'relation "([^"]+)"', text)):
            return f"{text}: {suggest(relation[1], self._facts)}"
        hint = exc.diag.message_hint
        return f"{text.removesuffix('.')}: {hint}" if hint and state not in _TYPES_DIFFER else text


class _Changes:
    """The rows that a statement changes, and by how much it raises the sum of their versions."""

    def __init__(self, conn: Connection, model: WorkloadModel, statement: Statement) -> None:
        self._conn = conn
        table = model.tables.get(statement.table)
        self.version = table.version_column if table and statement.change == "update" else ""
        self._table = statement.table
        self.rows = self.raised_by = 0

    def execute(self, execute: sql.Composed) -> None:
        """Execute it. Raises psycopg.Error."""
        before = self._sum()
        self.rows = self._conn.execute(execute).rowcount
        self.raised_by = self._sum() - before

    def _sum(self) -> int:
        if not self.version:
            return 0
        query = sql.SQL("SELECT coalesce(sum({}), 0)::bigint FROM {}")
        names = sql.Identifier(self.version), identifier(self._table)
        row = self._conn.execute(query.format(*names)).fetchone()
        return int(row[0]) if row else 0


def _near(statement: str, at: int) -> str:
    """Return the two words before a place in SQL and the two at it."""
    before = re.search(r"(\S+\s+){0,2}\S*$", statement[max(0, at - _NEAR) : at])
    after = re.match(r"\S*\s*\S*", statement[at : at + _NEAR])
    return one_line((before[0] if before else "") + (after[0] if after else "")).strip()


def _column_of(exc: Exception) -> str:
    """Return the column that Postgres' error names, or that a COPY stopped at; "" if none."""
    if not isinstance(exc, psycopg.Error):
        return ""
    column = re.search(r"^COPY .*, line \d+, column ([^:\n]+)", exc.diag.context or "")
    if exc.sqlstate == _NOT_DEFAULT:
        column = re.search(r'column "(.*?)"', exc.diag.message_primary or "")
    return exc.diag.column_name or (column[1] if column else "")


def _position(exc: Exception, prefix: str) -> int:
    """Return the place of an error in the statement after `prefix`, from 0; below 0 if unknown."""
    position = exc.diag.statement_position if isinstance(exc, psycopg.Error) else None
    return int(position or 0) - 1 - len(prefix)


def _with_rows(model: WorkloadModel, rows: Mapping[str, int]) -> WorkloadModel:
    return replace(
        model, tables={name: replace(t, rows=rows[name]) for name, t in model.tables.items()}
    )
