"""How many rows each table gains by the statements of committed transactions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from loadgen.workload.model import WorkloadModel


@dataclass(frozen=True, slots=True)
class RowGrowth:
    """What a table gains: rows, and the sum of its versions; None if the model can't tell."""

    rows: int | None
    version_sum: int | None


def row_growth(
    model: WorkloadModel, statement_rows: Mapping[str, Sequence[int]]
) -> dict[str, RowGrowth]:
    """Return the gain of each table that the operations write to.

    `statement_rows` has the rows that each statement of an operation touched in committed
    transactions. Nothing is known of a table that a statement of another kind (MERGE, a
    function) may have written to, nor of the versions of a table from which rows are deleted.
    """
    rows: dict[str, int | None] = {}
    versions: dict[str, int | None] = {}
    everywhere = False  # a statement of unknown tables touched rows
    for name, operation in model.operations.items():
        touched = statement_rows.get(name, ())
        for statement, n in zip(operation.statements, touched, strict=False):
            table = statement.table
            rows.setdefault(table, 0)
            versions.setdefault(table, 0)
            everywhere = everywhere or bool(n and statement.change == "other" and not table)
            if statement.change == "other" and n:
                rows[table] = versions[table] = None
            elif statement.change == "update":
                versions[table] = _plus(versions[table], n)
            elif statement.change == "insert":
                rows[table] = _plus(rows[table], n)
            elif statement.change == "delete" and n:
                rows[table], versions[table] = _plus(rows[table], -n), None
    return {
        name: RowGrowth(
            None if everywhere else rows[name],
            versions[name] if model.tables[name].version_column and not everywhere else None,
        )
        for name in model.tables
        if name in rows
    }


def rows_written(
    model: WorkloadModel, statement_rows: Mapping[str, Sequence[int]]
) -> dict[str, int]:
    """Return how many rows the operations inserted, updated and deleted, by table."""
    rows: dict[str, int] = dict.fromkeys(model.tables, 0)
    for name, operation in model.operations.items():
        for statement, n in zip(operation.statements, statement_rows.get(name, ()), strict=False):
            rows[statement.table] = rows.get(statement.table, 0) + n
    return rows


def undecided_tables(model: WorkloadModel, unknown: Collection[str]) -> set[str]:
    """Return the tables that the operations with unknown writes may have changed beside."""
    tables = {
        statement.table for name in unknown for statement in model.operations[name].statements
    }
    return set(model.tables) if "" in tables else tables


def _plus(total: int | None, n: int) -> int | None:
    return None if total is None else total + n
