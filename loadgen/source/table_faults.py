"""What differs between a model's table and the same table as schema.sql makes it. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from loadgen.errors import suggest
from loadgen.source.model_schema import TableFacts
from loadgen.workload.model import SqlDefault, Table

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


def table_faults(table: Table, facts: TableFacts) -> Iterator[tuple[str, str]]:
    """Yield each difference between schema.sql and the model: the key, and the fault."""
    for column, value in table.columns.items():
        if column not in facts.columns:
            yield f"columns.{column}", f"no such column: {suggest(column, facts.columns)}"
        elif column in facts.generated and not isinstance(value.generator, SqlDefault):
            yield f"columns.{column}", "Postgres generates this column: remove the key"
    for key, column in _named_columns(table):
        if column not in facts.columns:
            yield key, f"no column {column!r}: {suggest(column, facts.columns)}"
    if table.key and set(table.key) <= facts.columns.keys():
        keys = {frozenset(key) for key in facts.keys}
        if frozenset(table.key) not in keys:
            columns = ", ".join(table.key)
            yield (
                "key",
                f"({columns}) has no primary key or unique index in schema.sql: add one",
            )
    if table.rows:
        yield from _unfilled(table, facts)


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


def _unfilled(table: Table, facts: TableFacts) -> Iterator[tuple[str, str]]:
    """Yield NOT NULL columns that nothing fills."""
    filled = {name for name, v in table.columns.items() if not isinstance(v.generator, SqlDefault)}
    if states := table.states:
        filled |= {states.column, states.version, states.created_at, states.changed_at}
    for column in facts.columns:
        if column in facts.required and column not in filled:
            type_ = facts.columns[column]
            example = next((toml for kind, toml in _GENERATORS if re.match(kind, type_)), None)
            yield (
                f"columns.{column}",
                f"it is missing, and the column ({type_}) is NOT NULL and has no default: "
                + (
                    f"give it a generator, such as columns.{column} = {example}"
                    if example and not type_.endswith("[]")
                    else f"no generator makes {type_}: give it a DEFAULT in schema.sql, or "
                    f'columns.{column} = {{ value = "…" }}'
                ),
            )
