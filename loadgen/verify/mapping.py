"""Which table and column of a copy belongs to which of the source's: catalogues and a convention.

Pure: catalogues come in, what can be compared comes out, and a line on each thing that can't.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadgen.tools.columns import Column, Engine, listed, literal, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA, Convention, Flag
from loadgen.tools.readers.factory import missing_table
from loadgen.tools.readers.reader import Tables
from loadgen.tools.tools_file import Tool
from loadgen.verify.canonical import Pair, pair

KEY: Final = "id"


@dataclass(frozen=True, slots=True)
class TablePair:
    """A table of the source and its copy, column by column; the first pair is the key's."""

    table: str
    engine: Engine  # of the copy
    source_name: str  # quoted, with its schema
    copy_name: str
    columns: tuple[Pair, ...]
    live: str = "TRUE"  # which rows of the copy count, in SQL

    @property
    def alike(self) -> bool:
        """Whether both sides are Postgres, with columns of the same types."""
        types = [both.source.type == both.copy.type for both in self.columns]
        return self.engine == "postgres" and all(types)

    def position(self, column: str) -> int | None:
        """Return where a column of the source is among the compared ones; None where it is not."""
        names = [both.source.name for both in self.columns]
        return names.index(column) if column in names else None


@dataclass(frozen=True, slots=True)
class Mapped:
    """What of a copy can be compared, and what stands in the way of the rest."""

    pairs: tuple[TablePair, ...] = ()
    problems: tuple[str, ...] = ()


def mapped(tool: Tool, source: Tables, copy: Tables) -> Mapped:
    """Return the pairs of a tool's tables, and a problem for each that is not there in full."""
    pairs: list[TablePair] = []
    problems: list[str] = []
    for table, columns in source.items():
        name = tool.find_table(table, copy)
        if name is None:
            problems.append(f"{table}: {missing_table(tool, table, copy)}")
            continue
        both = _pairs(tool, columns, copy[name])
        missing = [one.name for one in columns if all(one is not p.source for p in both)]
        if missing:
            problems.append(f"{table}: {_missing_columns(tool, missing, copy[name])}")
        if both and KEY not in missing:
            pairs.append(_table_pair(tool, table, both, copy[name], name))
    return Mapped(tuple(pairs), tuple(problems))


def _missing_columns(tool: Tool, missing: list[str], copy: tuple[Column, ...]) -> str:
    """Return what to say of columns that the copy lacks, and of those that differ in case."""
    there = {column.name.lower(): column.name for column in copy}
    other_case = [there[name.lower()] for name in missing if name.lower() in there]
    wanted = [tool.convention.folded(name, folds_to=tool.folds_to) for name in missing]
    text = f"the copy has no column{'s' if len(missing) > 1 else ''} {', '.join(wanted)}"
    if KEY in missing:
        text += ", which rows are told apart by"
    if other_case:
        return f"{text}; there is {listed(other_case)}: set convention.case in [tools.{tool.name}]"
    return f"{text}: the tool left it out"


def _pairs(tool: Tool, source: tuple[Column, ...], copy: tuple[Column, ...]) -> list[Pair]:
    """Return the pairs in the source's order, the key first."""
    there = {one.name: one for one in copy if not tool.convention.ignores(one.name)}
    ordered = sorted(source, key=lambda column: column.name != KEY)
    names = [(column, tool.find_column(column.name, there)) for column in ordered]
    return [pair(column, there[name], tool.destination) for column, name in names if name]


def _table_pair(
    tool: Tool, table: str, both: list[Pair], copy: tuple[Column, ...], name: str
) -> TablePair:
    return TablePair(
        table,
        tool.destination,
        quoted(SOURCE_SCHEMA, table),
        tool.quoted_name(name),
        tuple(both),
        " AND ".join(_conditions(tool.convention, copy)) or "TRUE",
    )


def _conditions(convention: Convention, copy: tuple[Column, ...]) -> Iterator[str]:
    """Yield what a row of the copy must fulfil to count as there now."""
    if convention.current_row and (column := _named(copy, convention.current_row.column)):
        yield _holds(convention.current_row, column)
    if convention.deletes == "soft" and convention.delete_marker:
        column = _named(copy, convention.delete_marker.column)
        if column:
            yield f"NOT {_holds(convention.delete_marker, column)}"


def _holds(flag: Flag, column: Column) -> str:
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


def _named(columns: tuple[Column, ...], name: str) -> Column | None:
    return next((one for one in columns if one.name.lower() == name.lower()), None)
