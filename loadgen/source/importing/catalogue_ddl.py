"""DDL of tables from the catalogues, for those that pg_dump may not read."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg.rows import dict_row, scalar_row

from loadgen.source.importing.dependencies import (
    PG_CLASS,
    PG_CONSTRAINT,
    PG_EXTENSION,
    PG_NAMESPACE,
    PG_PROC,
    PG_TYPE,
    Object,
    oids_of,
)
from loadgen.source.importing.selection import Selection
from loadgen.source.postgres import Connection
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source.importing", "schema.sql")
_Rows = Callable[[str, Sequence[int]], list[dict[str, Any]]]


def catalogue_ddl(conn: Connection, selection: Selection, needed: frozenset[Object]) -> list[str]:
    """Return the statements that make the selected tables and all that these need, in order.

    Partitions and heirs are made as tables and then attached, so that the order of their columns
    stays.
    """
    with conn.transaction(force_rollback=True):
        conn.execute(_SQL["qualify_names"])

        def rows(statement: str, oids: Sequence[int]) -> list[dict[str, Any]]:
            with conn.cursor(row_factory=dict_row) as cursor:
                parameters = {"oids": oids, "tables": selection.oids}
                return cursor.execute(_SQL[statement], parameters).fetchall()

        def ddl(statement: str, oids: Sequence[int]) -> list[str]:
            with conn.cursor(row_factory=scalar_row) as cursor:
                return cursor.execute(_SQL[statement], {"oids": oids}).fetchall()

        # A type may need a function and a function a type: whichever is older comes first.
        types_and_functions = [
            *rows("types", oids_of(needed, PG_TYPE)),
            *rows("functions", oids_of(needed, PG_PROC)),
        ]
        relations = oids_of(needed, PG_CLASS)
        sequences = rows("sequences", relations)
        tables = rows("tables", selection.oids)
        constraints = rows("constraints", oids_of(needed, PG_CONSTRAINT))
        made, stored = _created(tables, rows, selection)
        return [
            *ddl("schemas", oids_of(needed, PG_NAMESPACE)),
            *ddl("extensions", oids_of(needed, PG_EXTENSION)),
            *(row["ddl"] for row in sorted(types_and_functions, key=lambda row: row["oid"])),
            *(row["ddl"] for row in sequences),
            *made,
            *(row["attachment"] for row in tables if row["attachment"]),
            *(row["owned"] for row in sequences if row["owned"]),
            *stored,
            *(row["ddl"] for row in constraints if not row["is_foreign"]),
            *ddl("indexes", relations),
            *ddl("index_attachments", relations),
            *(row["ddl"] for row in constraints if row["is_foreign"]),
            *(row["identity"] for row in tables if row["identity"]),
        ]


def _created(
    tables: Sequence[dict[str, Any]], rows: _Rows, selection: Selection
) -> tuple[list[str], list[str]]:
    """Return the statements that make the tables, and those that set how columns are stored."""
    columns = rows("table_columns", selection.oids)
    lines: dict[int, list[str]] = defaultdict(list)
    for row in (*columns, *rows("table_checks", selection.oids)):
        lines[row["oid"]].append(f"    {row['ddl']}")
    made = []
    for table in tables:
        body = ",\n".join(lines[table["oid"]])
        start = f"CREATE TABLE {table['name']} (\n{body}\n)"
        made.append(start + table["options"])
    return made, [row["storage"] for row in columns if row["storage"]]
