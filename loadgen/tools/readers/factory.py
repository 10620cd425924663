"""Opens a tool's copy by its entry in tools.toml, for verification and for freshness."""

from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError, PlaygroundError
from loadgen.source.embedded import server
from loadgen.sql import statements
from loadgen.tools.columns import find_name, literal, quoted, there_is
from loadgen.tools.readers.duckdb import DuckdbReader
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.readers.snowflake import SnowflakeReader
from loadgen.tools.tools_file import Tool

# A question to a warehouse costs at least a minute of it.
_POLL_SECONDS: Final = {"postgres": 0.5, "duckdb": 1.0, "snowflake": 60.0}

_MARKERS: Final = "events"  # the table, and the columns that tell a marker
_MARKER_COLUMNS: Final = ("properties", "event_type")


def open_copy(tool: Tool, settings: Settings) -> TableReader:
    """Return the door to a tool's copy, not opened yet. Raises PlaygroundError."""
    if tool.destination == "snowflake":
        return SnowflakeReader(tool, settings)
    if tool.destination == "duckdb":
        return DuckdbReader(tool.duckdb_file)
    address = tool.address()
    if address is None:
        running = server.status(tool.folder)
        if running is None:
            raise DestinationError(
                f"no Postgres runs in {tool.folder}: start it with `loadgen tools start "
                f"{tool.name}`"
            )
        address = running.dsn
    return PostgresReader(address, called=tool.address_setting)


def located(tool: Tool, door: TableReader) -> Tool:
    """Return the tool with schema and database as they are called at its copy.

    Raises DestinationError if the copy has no such schema.
    """
    schemas = door.schemas()
    schema = find_name(tool.schema_name, schemas, tool.destination)
    if schema is None:
        raise DestinationError(
            f"no schema {tool.schema_name} at {door.where}; "
            f"{there_is(tool.schema_name, schemas)}: correct schema in [tools.{tool.name}]"
        )
    return tool.model_copy(update={"given_schema": schema, "database": door.database})


def missing_table(tool: Tool, table: str, names: Iterable[str]) -> str:
    """Return what to say of a table of the source that the copy does not have, and what to do."""
    wanted, there = tool.convention.table_name(table, folds_to=tool.folds_to), list(names)
    other_case = next((name for name in there if name.lower() == wanted.lower()), None)
    if other_case is None:
        remedy = "let the tool sync it, or give our user the right to see it"
    elif other_case in {wanted.upper(), wanted.lower()}:
        case = "upper" if other_case == wanted.upper() else "lower"
        remedy = f'set convention.case = "{case}" in [tools.{tool.name}]'
    else:
        remedy = "rename it, a convention's names are all upper or all lower"
    return f"no table {wanted} in {tool.schema_name}; {there_is(wanted, there)}: {remedy}"


class MarkerProbe:
    """Asks a tool's copy for the newest marker; a `probe.Destination`.

    The door is opened at the first question, and anew after one that failed: a server of our own
    may have come up, or have changed its port.
    """

    def __init__(self, tool: Tool, settings: Settings) -> None:
        self.name = tool.name
        self.poll_seconds = _POLL_SECONDS[tool.destination]
        self._tool = tool
        self._settings = settings
        self._door: TableReader | None = None
        self._names: Mapping[str, str] = {}  # of the table and its columns, as the copy has them

    def newest_marker(self, run_id: str) -> int | None:
        """Return the highest sequence of the run's markers; None where there is none.

        Raises DestinationError.
        """
        engine = self._tool.destination
        statement = statements("loadgen.tools", f"{engine}.sql")["newest_marker"]
        try:
            if self._door is None:
                self._door = open_copy(self._tool, self._settings)
                self._names = {}
            with self._door.reading():
                self._names = self._names or _marker_names(self._tool, self._door)
                question = statement.format(**self._names, run_id=literal(run_id))
                (sequence,) = next(self._door.ask(question))
        except PlaygroundError as exc:
            self.close()
            raise DestinationError(str(exc)) from exc
        return None if sequence is None else int(sequence)

    def close(self) -> None:
        """Let go of the copy."""
        if self._door is not None:
            self._door.close()
            self._door = None


def _marker_names(tool: Tool, door: TableReader) -> dict[str, str]:
    """Return the quoted names of the markers' table and columns. Raises DestinationError."""
    tool = located(tool, door)
    tables = door.tables(tool.schema_name)
    table = tool.find_table(_MARKERS, tables)
    if table is None:
        raise DestinationError(missing_table(tool, _MARKERS, tables))
    columns = [column.name for column in tables[table]]
    names = {name: tool.find_column(name, columns) for name in _MARKER_COLUMNS}
    lacking = [name for name, found in names.items() if found is None]
    if lacking:
        raise DestinationError(f"{table} has no column {lacking[0]}, in which markers are")
    return {name: quoted(found or name) for name, found in names.items()} | {
        "table": tool.quoted_name(table)
    }
