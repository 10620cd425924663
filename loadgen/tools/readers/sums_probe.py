"""Asks a copy, or the source, for sums of columns: all of them in one statement.

One statement sees one state of the database, whatever is written meanwhile. Rows that the tool
marks as deleted, or as no longer current, are left out.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from pydantic import SecretStr

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError, PlaygroundError
from loadgen.source.model_schema import qualified
from loadgen.sql import statements
from loadgen.tools.columns import CatalogColumn, quoted
from loadgen.tools.conventions import known_conventions
from loadgen.tools.live_rows import live_condition
from loadgen.tools.readers.factory import open_copy, resolve_schema
from loadgen.tools.readers.reader import ResultRow, TableReader
from loadgen.tools.tools_file import Tool
from loadgen.workload.conserved import Sums

Columns = Sequence[tuple[str, str]]  # of the source: table and column

_SQL: Final = statements("loadgen.tools", "sums.sql")
# Seconds between two reads at least: a warehouse bills a minute for each time that it wakes.
_PAUSES: Final = {"postgres": 0.5, "duckdb": 1.0, "snowflake": 60.0}
_EXACT: Final = ("integer", "numeric")


class SumsProbe:
    """Reads sums of a tool's copy, for one thread at a time.

    After an error the next read opens the copy again.
    """

    def __init__(self, tool: Tool, settings: Settings, columns: Columns) -> None:
        self.name = tool.name
        self.least_pause = _PAUSES[tool.engine]
        self._tool = tool
        self._settings = settings
        self._columns: dict[str, list[str]] = {}  # by table
        for table, column in columns:
            self._columns.setdefault(table, []).append(column)
        self._reader: TableReader | None = None
        self._statement = ""

    def read(self) -> Sums | None:
        """Return the sum of each column; None if the copy lacks a table. Raises PlaygroundError."""
        try:
            if self._reader is None:
                self._reader, self._statement = open_copy(self._tool, self._settings), ""
            with self._reader.reading():
                self._statement = self._statement or self._build(self._reader)
                if not self._statement:
                    return None
                (totals,) = self._reader.query(self._statement)
            return self._sums(totals)
        except PlaygroundError:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect from the copy."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _sums(self, totals: ResultRow) -> Sums:
        places = [(table, column) for table, columns in self._columns.items() for column in columns]
        sums = {place: Decimal(total or 0) for place, total in zip(places, totals, strict=True)}
        if odd := [place for place, total in sums.items() if not total.is_finite()]:
            raise DestinationError(f"the sum of {'.'.join(odd[0])} is {sums[odd[0]]}, no number")
        return sums

    def _build(self, reader: TableReader) -> str:
        """Return the statement by the copy's catalogue; "" if the copy lacks a table."""
        parts = []
        for number, (name, columns) in enumerate(self._columns.items()):
            schema, relation = qualified(name)
            tool = resolve_schema(self._tool.for_schema(schema), reader)
            tables = reader.tables(tool.schema_name)
            table = tool.find_table(relation, tables)
            if table is None:
                return ""
            sums = ", ".join(
                f"{_sum(tool, table, tables[table], column)} AS s{place}"
                for place, column in enumerate(columns)
            )
            query = _SQL["table_sums"].format(
                sums=sums,
                table=tool.quoted_name(table),
                live=live_condition(tool.convention, tables[table]),
            )
            parts.append(f"({query}) t{number}")
        return _SQL["sums"].format(tables=", ".join(parts))


def source_as_tool(dsn: str) -> Tool:
    """Return the source as a copy of itself, without a name, to be read like the copies."""
    return Tool(
        name="", kind="postgres", destination="postgres", url=SecretStr(dsn),
        convention=known_conventions()["postgres"],
    )  # fmt: skip


def _sum(tool: Tool, table: str, columns: tuple[CatalogColumn, ...], column: str) -> str:
    """Return SQL for the text of a column's exact sum; of floats and texts to nine decimals."""
    by_name = {column.name: column for column in columns}
    name = tool.find_column(column, by_name)
    if name is None:
        raise DestinationError(f"{table} has no column {column}, which a conserved sum needs")
    number = quoted(name)
    if by_name[name].family not in _EXACT:
        number = f"CAST({number} AS DECIMAL(38, 9))"
    return f"CAST(sum({number}) AS VARCHAR)"
