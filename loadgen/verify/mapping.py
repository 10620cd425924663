"""Maps the source's tables and columns to those of a copy, by the tool's landing convention.

Pure: it takes catalogues, and returns the pairs to compare and a line on each that is missing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from loadgen.text import first_few
from loadgen.tools.columns import CatalogColumn, Engine
from loadgen.tools.live_rows import live_condition
from loadgen.tools.readers.factory import missing_table_problem
from loadgen.tools.readers.reader import Tables
from loadgen.tools.source_tables import SourceTable
from loadgen.tools.tools_file import Tool
from loadgen.verify.canonical import ColumnPair, column_pair

_INTEGERS: Final = {"smallint", "integer", "bigint"}


@dataclass(frozen=True, slots=True)
class TablePair:
    """A table of the source and its copy, column by column, those of the key first."""

    table: str
    engine: Engine  # of the copy
    source_name: str  # quoted, with its schema
    copy_name: str
    columns: tuple[ColumnPair, ...]
    live: str = "TRUE"  # SQL condition for the copy's rows that count
    key_size: int = 1  # columns of the key; 0 without one

    @property
    def same_types(self) -> bool:
        """Whether both sides are Postgres, with columns of the same types."""
        return self.engine == "postgres" and all(
            column.source.type == column.copy.type for column in self.columns
        )

    @property
    def key(self) -> tuple[ColumnPair, ...]:
        """The columns of the key."""
        return self.columns[: self.key_size]

    @property
    def has_integer_key(self) -> bool:
        """Whether the key is one integer, so that its rows can be split into ranges."""
        return self.key_size == 1 and self.columns[0].source.type in _INTEGERS

    def position(self, column: str) -> int | None:
        """Return the index of a source column among the compared ones; None if it is not there."""
        names = [pair.source.name for pair in self.columns]
        return names.index(column) if column in names else None


@dataclass(frozen=True, slots=True)
class TableMapping:
    """The tables that can be compared, and a line on each that can't."""

    pairs: tuple[TablePair, ...] = ()
    problems: tuple[str, ...] = ()


def map_tables(tool: Tool, source: Iterable[SourceTable], copy: Tables) -> TableMapping:
    """Return the pairs of a tool's tables in one schema, and a problem for each that is missing."""
    pairs: list[TablePair] = []
    problems: list[str] = []
    for table in source:
        name = tool.find_table(table.name, copy)
        if name is None:
            problems.append(f"{table.label}: {missing_table_problem(tool, table.name, copy)}")
            continue
        column_pairs, uncompared = _column_pairs(tool, table, copy[name])
        problems += [f"{table.label}: {line}" for line in uncompared.values()]
        paired = {pair.source.name for pair in column_pairs}
        expected = [column.name for column in table.columns if column.name not in table.unpublished]
        missing = [name for name in expected if name not in paired and name not in uncompared]
        if missing:
            problem = _missing_columns_problem(tool, table.key, missing, copy[name])
            problems.append(f"{table.label}: {problem}")
        if not column_pairs or not paired.issuperset(table.key):
            continue
        pair = TablePair(
            table.label,
            tool.engine,
            table.quoted,
            tool.quoted_name(name),
            tuple(column_pairs),
            live_condition(tool.convention, copy[name]),
            len(table.key),
        )
        inexact = _inexact_problem(pair)
        if inexact:
            problems.append(f"{table.label}: {inexact}")
        else:
            pairs.append(pair)
    return TableMapping(tuple(pairs), tuple(problems))


def _inexact_problem(pair: TablePair) -> str | None:
    """Return why the rows of both sides can't be found by their texts; None if they can."""
    inexact = [column.source.name for column in pair.key if not column.is_exact]
    if inexact:
        return f"not compared: equal values of its key {inexact[0]} have several texts"
    if not pair.key_size and not any(column.is_exact for column in pair.columns):
        return "not compared: it has no key, and equal values of its columns have several texts"
    return None


def _missing_columns_problem(
    tool: Tool, key: tuple[str, ...], missing: list[str], copy: tuple[CatalogColumn, ...]
) -> str:
    """Return a line on columns that the copy lacks, or has in another case."""
    landed = {column.name.lower(): column.name for column in copy}
    other_case = [landed[name.lower()] for name in missing if name.lower() in landed]
    wanted = [tool.convention.folded(name, folds_to=tool.folds_to) for name in missing]
    text = f"the copy has no column{'s' if len(missing) > 1 else ''} {', '.join(wanted)}"
    if not set(key).isdisjoint(missing):
        text += ", the key of its rows"
    if other_case:
        return (
            f"{text}; there is {first_few(other_case)}: set convention.case in [tools.{tool.name}]"
        )
    return f"{text}: the tool left it out"


def _column_pairs(
    tool: Tool, table: SourceTable, copy: tuple[CatalogColumn, ...]
) -> tuple[list[ColumnPair], dict[str, str]]:
    """Return the pairs in the source's order, those of the key first, and why others are none."""
    landed = {column.name: column for column in copy if not tool.convention.ignores(column.name)}
    place = {name: place for place, name in enumerate(table.key)}
    ordered = sorted(table.columns, key=lambda column: place.get(column.name, len(place)))
    pairs: list[ColumnPair] = []
    uncompared: dict[str, str] = {}
    for column in ordered:
        name = tool.find_column(column.name, landed)
        if name is None:
            continue
        pair = column_pair(column, landed[name], tool.engine, tool.convention.arrays)
        if pair is None:
            uncompared[column.name] = (
                f"column {column.name} is not compared: no common text is known of {column.type} "
                f"and {landed[name].type}"
            )
        else:
            pairs.append(pair)
    return pairs, uncompared
