"""Maps the source's tables and columns to those of a copy, by the tool's landing convention.

Pure: it takes catalogues, and returns the pairs to compare and a line on each that is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadgen.tools.columns import CatalogColumn, Engine, first_few, literal, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA, Convention, Flag
from loadgen.tools.readers.factory import missing_table_problem
from loadgen.tools.readers.reader import Tables
from loadgen.tools.tools_file import Tool
from loadgen.verify.canonical import ColumnPair, column_pair

KEY: Final = "id"


@dataclass(frozen=True, slots=True)
class TablePair:
    """A table of the source and its copy, column by column; the first pair is the key's."""

    table: str
    engine: Engine  # of the copy
    source_name: str  # quoted, with its schema
    copy_name: str
    columns: tuple[ColumnPair, ...]
    live: str = "TRUE"  # SQL condition for the copy's rows that count

    @property
    def same_types(self) -> bool:
        """Whether both sides are Postgres, with columns of the same types."""
        return self.engine == "postgres" and all(
            column.source.type == column.copy.type for column in self.columns
        )

    def position(self, column: str) -> int | None:
        """Return the index of a source column among the compared ones; None if it is not there."""
        names = [pair.source.name for pair in self.columns]
        return names.index(column) if column in names else None


@dataclass(frozen=True, slots=True)
class TableMapping:
    """The tables that can be compared, and a line on each that can't."""

    pairs: tuple[TablePair, ...] = ()
    problems: tuple[str, ...] = ()


def map_tables(tool: Tool, source: Tables, copy: Tables) -> TableMapping:
    """Return the pairs of a tool's tables, and a problem for each missing table or column."""
    pairs: list[TablePair] = []
    problems: list[str] = []
    for table, columns in source.items():
        name = tool.find_table(table, copy)
        if name is None:
            problems.append(f"{table}: {missing_table_problem(tool, table, copy)}")
            continue
        column_pairs = _column_pairs(tool, columns, copy[name])
        paired = {pair.source.name for pair in column_pairs}
        missing = [column.name for column in columns if column.name not in paired]
        if missing:
            problems.append(f"{table}: {_missing_columns_problem(tool, missing, copy[name])}")
        if column_pairs and KEY not in missing:
            pairs.append(
                TablePair(
                    table,
                    tool.destination,
                    quoted(SOURCE_SCHEMA, table),
                    tool.quoted_name(name),
                    tuple(column_pairs),
                    " AND ".join(_live_conditions(tool.convention, copy[name])) or "TRUE",
                )
            )
    return TableMapping(tuple(pairs), tuple(problems))


def _missing_columns_problem(
    tool: Tool, missing: list[str], copy: tuple[CatalogColumn, ...]
) -> str:
    """Return a line on columns that the copy lacks, or has in another case."""
    landed = {column.name.lower(): column.name for column in copy}
    other_case = [landed[name.lower()] for name in missing if name.lower() in landed]
    wanted = [tool.convention.folded(name, folds_to=tool.folds_to) for name in missing]
    text = f"the copy has no column{'s' if len(missing) > 1 else ''} {', '.join(wanted)}"
    if KEY in missing:
        text += ", the key of its rows"
    if other_case:
        return (
            f"{text}; there is {first_few(other_case)}: set convention.case in [tools.{tool.name}]"
        )
    return f"{text}: the tool left it out"


def _column_pairs(
    tool: Tool, source: tuple[CatalogColumn, ...], copy: tuple[CatalogColumn, ...]
) -> list[ColumnPair]:
    """Return the pairs in the source's order, the key first."""
    landed = {column.name: column for column in copy if not tool.convention.ignores(column.name)}
    ordered = sorted(source, key=lambda column: column.name != KEY)
    names = [(column, tool.find_column(column.name, landed)) for column in ordered]
    return [column_pair(column, landed[name], tool.destination) for column, name in names if name]


def _live_conditions(convention: Convention, copy: tuple[CatalogColumn, ...]) -> Iterator[str]:
    """Yield the conditions for a row of the copy to be current and not deleted."""
    by_name = {column.name.lower(): column for column in reversed(copy)}
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
