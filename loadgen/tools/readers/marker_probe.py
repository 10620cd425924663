"""Asks a tool's copy for the newest marker of a run, by which freshness is measured."""

from collections.abc import Mapping
from typing import Final, Protocol

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError, PlaygroundError
from loadgen.source.model_schema import HARD_CASES, MARKERS
from loadgen.sql import statements
from loadgen.tools.columns import literal, quoted
from loadgen.tools.readers.factory import missing_table_problem, open_copy, resolve_schema
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.tools_file import Tool
from loadgen.workload.read_model import read_model

# Each query wakes a warehouse, and so costs at least a minute of credits.
_POLL_SECONDS: Final = {"postgres": 0.5, "duckdb": 1.0, "parquet": 1.0, "snowflake": 60.0}

_COLUMNS: Final = ("run_id", "sequence")


class MarkerDestination(Protocol):
    """One tool's destination, used by one thread at a time."""

    @property
    def name(self) -> str:
        """The tool's name: a label of metrics and a column of the record."""

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two queries, longer if a query costs money."""

    def newest_marker(self, run_id: str) -> int | None:
        """Return the highest sequence of the run's markers; None if there is none.

        It connects if necessary, with a limited wait. Raises DestinationError.
        """

    def close(self) -> None:
        """Disconnect; a later query connects again."""


class MarkerProbe:
    """The `MarkerDestination` of a tool of tools.toml.

    After an error the next query opens the copy again: an embedded server may have started, or
    changed its port.
    """

    def __init__(self, tool: Tool, settings: Settings) -> None:
        self.name = tool.name
        self.poll_seconds = _POLL_SECONDS[tool.destination]
        self._tool = tool
        self._settings = settings
        self._reader: TableReader | None = None
        self._names: Mapping[str, str] = {}  # the copy's names of the table and its columns

    def newest_marker(self, run_id: str) -> int | None:
        """Return the highest sequence of the run's markers; None if there is none.

        Raises DestinationError.
        """
        engine = self._tool.engine
        statement = statements("loadgen.tools", f"{engine}.sql")["newest_marker"]
        try:
            if self._reader is None:
                self._reader = open_copy(self._tool, self._settings)
                self._names = {}
            with self._reader.reading():
                self._names = self._names or self._marker_names(self._reader)
                if not self._names:
                    return None
                query = statement.format(**self._names, run=literal(run_id))
                (sequence,) = next(self._reader.query(query))
        except PlaygroundError as exc:
            self.close()
            raise DestinationError(str(exc)) from exc
        return None if sequence is None else int(sequence)

    def close(self) -> None:
        """Disconnect from the copy."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _marker_names(self, reader: TableReader) -> dict[str, str]:
        """Return the quoted names of the markers' table and columns; none if it is not there yet.

        Some tools create a table only with its first row. Raises DestinationError if the copy has
        none of the published tables.
        """
        tool = resolve_schema(self._tool, reader)
        tables = reader.tables(tool.schema_name)
        table = tool.find_table(MARKERS, tables)
        if table is None:
            published = (*read_model(self._settings.workload).tables, HARD_CASES)
            if any(tool.find_table(name, tables) for name in published):
                return {}
            raise DestinationError(missing_table_problem(tool, MARKERS, tables))
        columns = [column.name for column in tables[table]]
        names = {"table": tool.quoted_name(table)}
        for column in _COLUMNS:
            name = tool.find_column(column, columns)
            if name is None:
                raise DestinationError(f"{table} has no column {column}, which markers need")
            names[column] = quoted(name)
        return names
