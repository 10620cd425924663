"""A DuckDB file as verification reads it: opened for a few questions at a time.

DuckDB lets in one writer or many readers. A tool of ours that writes holds `<file>.lock` (flock)
while it does; we take it shared for as long as the file is open. Both that lock and a writer that
knows nothing of it are waited for a bounded time.
"""

import fcntl
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadgen.errors import DestinationError, install_hint, one_line
from loadgen.sql import statements
from loadgen.tools.columns import Engine, literal
from loadgen.tools.readers.reader import BusyError, Tables, tables_of
from loadgen.tools.readers.shared import SharedConnection

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SQL: Final = statements("loadgen.tools", "duckdb.sql")
_BLOCK: Final = 5000  # rows taken at once
_MEMORY: Final = "256MB"  # what DuckDB may hold: enough for two segments of verification at once
_RETRY: Final = 0.05  # seconds between two tries to get in
# How DuckDB names another process that has the file open.
_HOLDER: Final = re.compile(r"held in (.+?) \(PID (\d+)\)")
_TURN: Final = 3.0  # seconds for which questions after one another keep a writer out


class DuckdbReader:
    """One DuckDB file; `patience` is how many seconds a writer is waited for."""

    engine: Engine = "duckdb"
    database: None = None

    def __init__(self, file: Path, patience: float = 60.0) -> None:
        self._file = file
        self._patience = patience
        self.where = str(file)
        self._connection = SharedConnection(self._opened, _TURN)

    @property
    def clock(self) -> None:
        """None: a file has none."""

    def reading(self) -> AbstractContextManager[None]:
        """Keep the file open between the questions within; every few seconds a writer gets in."""
        return self._connection.kept()

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""
        return [str(row[0]) for row in self.ask(_SQL["schemas"])]

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""
        return tables_of(self.ask(_SQL["tables"].format(schema=literal(schema))))

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""
        duckdb = _library()
        with self._connection.lent() as connection, connection.cursor() as cursor:
            try:
                found = cursor.execute(statement)
                while block := found.fetchmany(_BLOCK):
                    yield from block
            except duckdb.Error as exc:
                raise DestinationError(f"DuckDB refuses: {one_line(exc)}") from exc

    def close(self) -> None:
        """Do nothing: the file is closed when nobody asks or keeps it."""

    @contextmanager
    def _lock(self, deadline: float) -> Iterator[None]:
        """Hold the tool's lock file shared. Raises BusyError where it is not free in time."""
        lock = self._file.with_name(f"{self._file.name}.lock")
        try:
            file = lock.open("rb" if lock.exists() else "ab")
        except OSError as exc:
            raise DestinationError(f"{lock} can't be opened: {exc.strerror}") from exc
        with file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    break
                except BlockingIOError as exc:
                    if time.monotonic() > deadline:
                        raise BusyError(self._busy("its tool")) from exc
                    time.sleep(_RETRY)
            yield

    @contextmanager
    def _opened(self) -> Iterator["DuckDBPyConnection"]:
        if not self._file.is_file():
            raise DestinationError(
                f"{self._file} is not there: start the tool, or correct its file"
            )
        deadline = time.monotonic() + self._patience
        while True:
            # Let go of between two tries: the writer may need it to end.
            with self._lock(deadline):
                try:
                    connection = self._connected()
                except BusyError:
                    if time.monotonic() > deadline:
                        raise
                else:
                    with connection:
                        yield connection
                    return
            time.sleep(_RETRY)

    def _connected(self) -> "DuckDBPyConnection":
        duckdb = _library()
        connection: DuckDBPyConnection
        try:
            connection = duckdb.connect(str(self._file), read_only=True)
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{_MEMORY}'")
        except duckdb.Error as exc:
            if "Could not set lock" in str(exc):
                holder = _HOLDER.search(str(exc))
                name = f"process {holder[2]} ({holder[1]})" if holder else "another process"
                raise BusyError(self._busy(name)) from exc
            raise DestinationError(f"{self._file} can't be opened: {one_line(exc)}") from exc
        return connection

    def _busy(self, holder: str) -> str:
        return (
            f"{self._file} is busy: {holder} writes to it, and did not end within "
            f"{self._patience:g} s; try again, or stop the tool"
        )


def _library() -> Any:
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise DestinationError(
            f"DuckDB's package is not installed: {install_hint('duckdb', 'duckdb')}"
        ) from exc
    return duckdb
