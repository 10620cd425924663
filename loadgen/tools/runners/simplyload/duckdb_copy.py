"""The destination DuckDB: one file, held for the length of a batch, with little memory."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from loadgen.errors import DestinationError, one_line
from loadgen.sql import statements
from loadgen.tools.columns import literal, quoted
from loadgen.tools.runners.simplyload.destination import Position, Session, StagedFile
from loadgen.tools.runners.simplyload.landing import WarehouseEngine
from loadgen.tools.runners.simplyload.merge import STATE_SCHEMA
from loadgen.tools.tools_file import Tool

_MEMORY: Final = "64MB"  # DuckDB would take 80% of the machine's
_SQL: Final = statements("loadgen.tools", "simplyload_copy.sql")


class DuckdbDestination:
    """The DuckDB file of a tool."""

    engine: WarehouseEngine = "duckdb"

    def __init__(self, tool: Tool) -> None:
        self._file = tool.duckdb_file.resolve()

    @contextmanager
    def opened(self) -> Iterator[Session]:
        """Open the file for the block; readers wait until it is closed. Raises DestinationError."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name(f"{self._file.name}.lock").open("ab") as lock:
            # It blocks instead of polling: readers release the lock for a moment only.
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                with duckdb.connect(str(self._file), config=_config(self._file)) as connection:
                    yield _DuckdbSession(connection)
            except duckdb.Error as exc:
                raise DestinationError(f"DuckDB: {one_line(exc)}") from exc

    def remove(self) -> None:
        """Delete the file, and what belongs to it."""
        for name in ("", ".wal", ".lock"):
            self._file.with_name(f"{self._file.name}{name}").unlink(missing_ok=True)
        shutil.rmtree(_temporary(self._file), ignore_errors=True)


class _DuckdbSession:
    """One connection to the file."""

    engine: WarehouseEngine = "duckdb"

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        for statement in ("make_state_schema", "make_state"):
            connection.execute(_state(statement))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement).fetchall()

    def position(self) -> Position | None:
        rows = self.execute(_state("position"))
        return Position.load(rows[0][0]) if rows else None

    def store(self, position: Position) -> None:
        self.execute(_state("forget_position"))
        self._connection.execute(_state("store_position", content="?"), [position.dump()])

    def stage(self, file: StagedFile) -> str:
        return f"read_parquet({literal(str(file.path))})"


def _state(statement: str, **names: str) -> str:
    return _SQL[statement].format(schema=quoted(STATE_SCHEMA), **names)


def _config(file: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": 1,
        "memory_limit": _MEMORY,
        "temp_directory": str(_temporary(file)),
        "preserve_insertion_order": False,
    }


def _temporary(file: Path) -> Path:
    return file.with_name(f"{file.name}.tmp")
