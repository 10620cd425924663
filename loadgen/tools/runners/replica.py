"""The tables of a replica, made from the source's catalogue: what a subscription does not carry.

A table has the published columns, generated ones, and the key by which changed rows are found.
Foreign keys, other indexes, defaults, triggers and constraints of domains are left out: the source
has applied them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from loadgen.errors import SourceError
from loadgen.sql import statements

_SQL: Final = statements("loadgen.tools", "replica.sql")
_Row = Mapping[str, Any]


def make_tables(conn: psycopg.Connection, publisher: psycopg.Connection) -> None:
    """Create the published tables with their schemas and types, unless they exist.

    Raises SourceError if the source publishes none, or the replica can't have one of the types.
    """
    columns = _rows(publisher, "columns")
    if not columns:
        raise SourceError("the source has no publication `loadgen`: run `loadgen seed` first")
    types = _rows(publisher, "types")
    with conn.transaction():
        for schema in sorted({str(row["schema"]) for row in (*columns, *types)}):
            conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        for row in types:
            _make_type(conn, row)
        for table, rows in groupby(columns, key=lambda row: (row["schema"], row["table"])):
            conn.execute(_create_table(sql.Identifier(*table), list(rows)))


def _make_type(conn: psycopg.Connection, row: _Row) -> None:
    """Create a type, or the extension that it is part of, or the labels that an enum lacks."""
    if row["extension"]:
        if not _is_true(conn, "has_extension", extension=row["extension"]):
            raise SourceError(
                f"type {row['type']} is part of the extension {row['extension']}, which the copy's "
                "server does not have: set PG_BIN to a Postgres that has it, or take its tables "
                "out of the publication `loadgen`"
            )
        create = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
        names = (sql.Identifier(row["extension"]), sql.Identifier(row["schema"]))
        conn.execute(create.format(*names))
        return
    if row["ddl"] is None:
        raise SourceError(
            f"type {row['type']} is written in C, so the copy can't have it: take its tables out "
            "of the publication `loadgen`"
        )
    if _is_true(conn, "lacks_type", type=row["type"]):
        conn.execute(row["ddl"].encode())
    for label in row["labels"]:
        add = sql.SQL("ALTER TYPE {} ADD VALUE IF NOT EXISTS {}")
        conn.execute(add.format(sql.SQL(row["type"]), sql.Literal(label)))


def _create_table(name: sql.Identifier, columns: Sequence[_Row]) -> sql.Composed:
    present = [row for row in columns if row["is_published"] or row["expression"]]
    parts = list(map(_column, present))
    key = sorted(
        (row for row in columns if row["key_position"] is not None),
        key=lambda row: int(row["key_position"]),
    )
    if key and all(row in present for row in key):
        names = sql.SQL(", ").join(sql.Identifier(row["column"]) for row in key)
        parts.append(sql.SQL("PRIMARY KEY ({})").format(names))
    create = sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})")
    return create.format(name, sql.SQL(", ").join(parts))


def _column(row: _Row) -> sql.Composed:
    return sql.SQL("").join(_column_parts(row))


def _column_parts(row: _Row) -> Iterator[sql.Composable]:
    # Types and expressions as the source's catalogue writes them.
    yield sql.SQL("{} {}").format(sql.Identifier(row["column"]), sql.SQL(row["type"]))
    if row["expression"]:
        yield sql.SQL(" GENERATED ALWAYS AS ({}) STORED").format(sql.SQL(row["expression"]))
    if row["not_null"]:
        yield sql.SQL(" NOT NULL")


def _rows(conn: psycopg.Connection, statement: str) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[statement]).fetchall()


def _is_true(conn: psycopg.Connection, statement: str, **parameters: str) -> bool:
    row = conn.execute(_SQL[statement], parameters).fetchone()
    return bool(row and row[0])
