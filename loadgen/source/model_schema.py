"""A model's tables: makes them from its schema.sql or types, and reads them from the catalogues.

A table has the name that it has in the model: `orders` in schema public, `sales.orders` elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, scalar_row

from loadgen.errors import SourceError
from loadgen.source.postgres import Connection, server_message
from loadgen.sql import statements
from loadgen.workload.model import Table, WorkloadModel

# Tables that this program makes beside those of the model, all in schema public.
PLAYGROUND: Final = "loadgen_playground"
HARD_CASES: Final = "hard_cases"  # filled by a load with --hard-cases alone
MARKERS: Final = "loadgen_markers"  # filled by the watch
OWN_TABLES: Final = (PLAYGROUND, HARD_CASES, MARKERS)

_SQL: Final = statements("loadgen.source", "model.sql")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: its columns, and the table and columns that they refer to.

    It `acts` if a deleted or changed row deletes or changes others.
    """

    name: str
    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]
    acts: bool


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table as Postgres has it; `columns` are types as format_type() writes them."""

    name: str
    relation: str  # its name in its schema
    columns: Mapping[str, str]
    required: frozenset[str]  # NOT NULL, and neither a default nor an identity
    identity: frozenset[str]
    generated: frozenset[str]
    primary_key: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]  # unique ones, with the primary key
    foreign_keys: tuple[ForeignKey, ...]
    identified: bool  # has a replica identity, so that its rows may be updated and deleted
    partitioned: bool


def qualified(table: str) -> tuple[str, str]:
    """Return schema and relation of a table's name."""
    schema, _, relation = table.rpartition(".")
    return schema or "public", relation


def identifier(table: str) -> sql.Identifier:
    """Return a table's name for a statement."""
    return sql.Identifier(*qualified(table))


def identifiers(tables: Iterable[str]) -> sql.Composed:
    """Return names of tables for a statement, with commas between them."""
    return sql.SQL(", ").join(map(identifier, tables))


def create_tables(conn: Connection, model: WorkloadModel) -> None:
    """Make the model's tables in the current transaction.

    Raises SourceError that names the file's line, or the table, with Postgres' message.
    """
    if model.schema_sql:
        _run(conn, model.schema_sql, "schema.sql")
        return
    for schema in dict.fromkeys(table.schema for table in model.tables.values()):
        conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    for table in model.tables.values():
        _run(conn, ddl_of(table).as_string(conn), f"tables.{table.name}")


def ddl_of(table: Table) -> sql.Composed:
    """Return the statement that makes a table from its columns' types."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(type_of(table, name)))
        for name in table.types
    ]
    if table.key:
        key = sql.SQL(", ").join(map(sql.Identifier, table.key))
        columns.append(sql.SQL("PRIMARY KEY ({})").format(key))
    make = sql.SQL("CREATE TABLE {} ({})")
    return make.format(identifier(table.name), sql.SQL(", ").join(columns))


def type_of(table: Table, column: str) -> Any:
    """Return a column's type, with the start of a version, which each update raises."""
    version = table.version or (table.states.version if table.states else "")
    return f"{table.types[column]}{' NOT NULL DEFAULT 0' if column == version else ''}"


def _run(conn: Connection, ddl: str, source: str) -> None:
    path = conn.execute("SHOW search_path").fetchone() or ("public",)
    # As pg_dump's files do: a function may come before the tables that it reads.
    conn.execute("SET LOCAL check_function_bodies = off")
    conn.execute(_SQL["set_ddl"], {"ddl": ddl})
    try:
        conn.execute(_SQL["run_ddl"])
    except psycopg.Error as exc:
        position = exc.diag.internal_position if exc.diag.internal_query == ddl else None
        line = ddl.count("\n", 0, int(position) - 1) + 1 if position else 0
        where = f"{source}, line {line}" if line and source == "schema.sql" else source
        raise SourceError(f"{where}: {server_message(exc)}") from exc
    # pg_dump's files set their own.
    conn.execute("SELECT set_config('search_path', %s, false)", path)


def existing_tables(conn: Connection, ours: Sequence[str] = OWN_TABLES) -> dict[str, TableFacts]:
    """Return every table of the database but `ours`, by its name in a model."""
    with conn.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_SQL["tables"], {"ours": list(ours)}).fetchall()
        return {
            name: _facts(cursor, name, table)
            for table in tables
            for name in (name_of(table["schema"], table["relation"]),)
        }


def table_facts(conn: Connection, model: WorkloadModel) -> dict[str, TableFacts]:
    """Return the model's tables as Postgres has them. Raises SourceError if one is missing."""
    present = existing_tables(conn)
    if missing := model.tables.keys() - present.keys():
        raise SourceError(
            f"database {conn.info.dbname!r} lacks {', '.join(sorted(missing))} of workload "
            f"{model.name}: restore it, or make the workload again in an empty database"
        )
    return {name: present[name] for name in model.tables}


def cascade_targets(facts: Mapping[str, TableFacts]) -> frozenset[str]:
    """Return the tables of which a foreign key may delete or change rows by itself."""
    return frozenset(
        name for name, table in facts.items() if any(k.acts for k in table.foreign_keys)
    )


def name_of(schema: str, relation: str) -> str:
    """Return the name that a table of Postgres has in a model."""
    return relation if schema == "public" else f"{schema}.{relation}"


def _facts(
    cursor: psycopg.Cursor[dict[str, Any]], name: str, table: Mapping[str, Any]
) -> TableFacts:
    place = {"schema": table["schema"], "relation": table["relation"]}
    columns = cursor.execute(_SQL["columns"], place).fetchall()
    keys = cursor.execute(_SQL["keys"], place).fetchall()
    foreign_keys = cursor.execute(_SQL["foreign_keys"], place).fetchall()
    return TableFacts(
        name=name,
        relation=table["relation"],
        columns={column["name"]: column["type"] for column in columns},
        required=frozenset(c["name"] for c in columns if c["required"] and not c["filled"]),
        identity=frozenset(c["name"] for c in columns if c["identity"]),
        generated=frozenset(c["name"] for c in columns if c["generated"]),
        primary_key=next((tuple(key["columns"]) for key in keys if key["is_primary"]), ()),
        keys=tuple(tuple(key["columns"]) for key in keys),
        foreign_keys=tuple(
            ForeignKey(
                key["name"],
                tuple(key["columns"]),
                name_of(key["schema"], key["relation"]),
                tuple(key["referenced"]),
                key["acts"],
            )
            for key in foreign_keys
        ),
        identified=table["identified"],
        partitioned=table["partitioned"],
    )


def type_names(conn: Connection) -> list[str]:
    """Return the names of the types that a column may have."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_SQL["type_names"]).fetchall()


def checked_columns(conn: Connection, violation: psycopg.Error) -> list[str]:
    """Return the columns of the check that refused a row."""
    name = {
        "schema": violation.diag.schema_name,
        "table": violation.diag.table_name,
        "check": violation.diag.constraint_name,
    }
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_SQL["checked_columns"], name).fetchall()
