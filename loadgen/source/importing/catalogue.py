"""Tables, columns, keys and checks from the catalogues."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from psycopg.rows import dict_row

from loadgen.source.importing.selection import Selection
from loadgen.source.postgres import Connection
from loadgen.sql import statements
from loadgen.workload.importing.facts import ColumnFacts, ForeignKeyFacts, TableFacts

_SQL: Final = statements("loadgen.source.importing", "catalogue.sql")
_Rows = dict[int, list[dict[str, Any]]]  # by the table's oid


def read_tables(conn: Connection, selection: Selection) -> dict[int, TableFacts]:
    """Return the selected tables by oid, without statistics.

    Foreign keys that refer to a table that is not selected are left out.
    """
    with conn.cursor(row_factory=dict_row) as cursor:

        def rows(statement: str) -> _Rows:
            parameters = {"oids": selection.roots}
            return _by_table(cursor.execute(_SQL[statement], parameters).fetchall())

        labels = {
            row["type"]: tuple(row["labels"]) for row in cursor.execute(_SQL["labels"]).fetchall()
        }
        columns, keys, foreign_keys, checks = map(
            rows, ("columns", "keys", "foreign_keys", "checks")
        )
    return {
        table.oid: TableFacts(
            name=table.name,
            columns=tuple(_column(row, labels) for row in columns[table.oid]),
            primary_key=next(
                (tuple(key["columns"]) for key in keys[table.oid] if key["is_primary"]), ()
            ),
            unique_keys=tuple(
                tuple(key["columns"]) for key in keys[table.oid] if not key["is_primary"]
            ),
            foreign_keys=tuple(
                ForeignKeyFacts(
                    tuple(key["columns"]),
                    selection.names[key["referenced_oid"]],
                    tuple(key["referenced"]),
                )
                for key in foreign_keys[table.oid]
                if key["referenced_oid"] in selection.names
            ),
            checks=tuple(check["definition"] for check in checks[table.oid]),
            has_replica_identity=all(
                part.has_replica_identity for part in selection.parts[table.oid] if part.kind == "r"
            ),
            is_partitioned=table.kind == "p",
            has_triggers=any(part.has_triggers for part in selection.parts[table.oid]),
            has_exclusion=any(part.has_exclusion for part in selection.parts[table.oid]),
        )
        for table in selection.tables
    }


def _by_table(rows: Iterable[dict[str, Any]]) -> _Rows:
    grouped: _Rows = defaultdict(list)
    for row in rows:
        grouped[row["oid"]].append(row)
    return grouped


def _column(row: dict[str, Any], labels: dict[int, tuple[str, ...]]) -> ColumnFacts:
    return ColumnFacts(
        name=row["name"],
        type=row["type"],
        base_type=row["base_type"],
        is_required=row["is_required"],
        default=row["default"],
        identity=row["identity"],
        is_generated=row["is_generated"],
        labels=labels.get(row["labelled"], ()),
    )
