"""The SQL condition for a copy's rows that count: current, and not deleted softly. Pure."""

from collections.abc import Iterator

from loadgen.tools.columns import CatalogColumn, literal, quoted
from loadgen.tools.conventions import Convention, Flag


def live_condition(convention: Convention, columns: tuple[CatalogColumn, ...]) -> str:
    """Return the condition for a row of a table with these columns; TRUE if every row counts."""
    return " AND ".join(_conditions(convention, columns)) or "TRUE"


def _conditions(convention: Convention, columns: tuple[CatalogColumn, ...]) -> Iterator[str]:
    by_name = {column.name.lower(): column for column in reversed(columns)}
    current, deleted = convention.current_row, convention.delete_marker
    if current and (column := by_name.get(current.column.lower())):
        yield _condition(current, column)
    if convention.deletes == "soft" and deleted and (column := by_name.get(deleted.column.lower())):
        yield f"NOT {_condition(deleted, column)}"


def _condition(flag: Flag, column: CatalogColumn) -> str:
    """Return SQL for whether a column fulfils a flag; never NULL."""
    name = quoted(column.name)
    if isinstance(flag.equals, int) and column.family in {"integer", "numeric", "float"}:
        return f"coalesce({name} = {flag.equals}, FALSE)"
    if flag.equals is not None:
        return f"coalesce(CAST({name} AS VARCHAR) = {literal(str(flag.equals))}, FALSE)"
    if flag.when == "not_null":
        return f"({name} IS NOT NULL)"
    if column.family == "boolean":
        return f"coalesce({name}, FALSE)"
    return f"(lower(coalesce(CAST({name} AS VARCHAR), '')) IN ('true', 't', '1'))"
