"""Which table and column of a copy belongs to which of the source's: catalogues and a convention.

Pure: catalogues come in, what can be compared comes out, and a line on each thing that can't.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadgen.destination.columns import Column, Engine, listed, quoted
from loadgen.destination.conventions import SOURCE_SCHEMA, Convention, Flag
from loadgen.destination.door import Tables
from loadgen.destination.tools_file import Tool
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
        name = tool.convention.table_name(table, folds_to=tool.folds_to)
        found = copy.get(name)
        if found is None:
            problems.append(_missing_table(tool, table, name, copy))
            continue
        both = _pairs(tool, columns, found)
        missing = [one.name for one in columns if all(one is not p.source for p in both)]
        if KEY in missing or not both:
            problems.append(f"{table}: the copy has no column {KEY}, which rows are told apart by")
            continue
        if missing:
            what = f"column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            problems.append(f"{table}: the copy has no {what}: the tool left it out")
        pairs.append(_table_pair(tool, table, both, found))
    return Mapped(tuple(pairs), tuple(problems))


def missing_schema(tool: Tool, schemas: list[str]) -> str:
    """Return what to say of a schema that is not there."""
    return (
        f"there is no schema {tool.schema_name}: correct schema in [tools.{tool.name}]"
        f"{_there_are(schemas)}"
    )


def _missing_table(tool: Tool, table: str, name: str, copy: Tables) -> str:
    return (
        f"{table}: there is no table {tool.schema_name}.{name}: let the tool sync it, or give our "
        f"user the right to see it{_there_are(list(copy))}"
    )


def _there_are(names: list[str]) -> str:
    return f" (there are {listed(names)})" if names else " (there are none)"


def _pairs(tool: Tool, source: tuple[Column, ...], copy: tuple[Column, ...]) -> list[Pair]:
    """Return the pairs in the source's order, the key first."""
    by_name = {tool.convention.folded(one.name, folds_to=tool.folds_to): one for one in source}
    found = {
        by_name[one.name].name: pair(by_name[one.name], one, tool.destination)
        for one in copy
        if one.name in by_name and not tool.convention.ignores(one.name)
    }
    ordered = sorted(source, key=lambda column: column.name != KEY)
    return [found[column.name] for column in ordered if column.name in found]


def _table_pair(tool: Tool, table: str, both: list[Pair], copy: tuple[Column, ...]) -> TablePair:
    return TablePair(
        table,
        tool.destination,
        quoted(SOURCE_SCHEMA, table),
        tool.place_of(table),
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
    if flag.when == "not_null":
        return f"({name} IS NOT NULL)"
    if column.family == "boolean":
        return f"coalesce({name}, FALSE)"
    return f"(lower(coalesce(CAST({name} AS VARCHAR), '')) IN ('true', 't', '1'))"


def _named(columns: tuple[Column, ...], name: str) -> Column | None:
    return next((one for one in columns if one.name.lower() == name.lower()), None)
