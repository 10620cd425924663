"""Opens a tool's copy by its entry in tools.toml, for verification and for freshness."""

from typing import Final

from loadgen.destination.columns import literal, quoted
from loadgen.destination.door import Door
from loadgen.destination.duckdb_door import DuckdbDoor
from loadgen.destination.postgres_door import PostgresDoor
from loadgen.destination.snowflake_door import SnowflakeDoor
from loadgen.destination.tools_file import Tool
from loadgen.errors import DestinationError, PlaygroundError
from loadgen.settings import Settings
from loadgen.source import server
from loadgen.sql import statements

# A question to a warehouse costs at least a minute of it.
_POLL_SECONDS: Final = {"postgres": 0.5, "duckdb": 1.0, "snowflake": 60.0}


def open_copy(tool: Tool, settings: Settings) -> Door:
    """Return the door to a tool's copy, not opened yet. Raises PlaygroundError."""
    if tool.destination == "snowflake":
        return SnowflakeDoor(tool, settings)
    if tool.destination == "duckdb":
        return DuckdbDoor(tool.duckdb_file)
    address = tool.address()
    if address is None:
        running = server.status(tool.folder)
        if running is None:
            raise DestinationError(
                f"no Postgres runs in {tool.folder}: start it with `loadgen tools start "
                f"{tool.name}`"
            )
        address = running.dsn
    return PostgresDoor(address, called=tool.address_setting)


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
        self._door: Door | None = None

    def newest_marker(self, run_id: str) -> int | None:
        """Return the highest sequence of the run's markers; None where there is none.

        Raises DestinationError.
        """
        tool = self._tool
        named = {
            name: quoted(tool.convention.folded(name, folds_to=tool.folds_to))
            for name in ("properties", "event_type")
        }
        statement = statements("loadgen.destination", f"{tool.destination}.sql")["newest_marker"]
        question = statement.format(**named, table=tool.place_of("events"), run_id=literal(run_id))
        try:
            if self._door is None:
                self._door = open_copy(tool, self._settings)
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
