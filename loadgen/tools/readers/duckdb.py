"""Reads a copy in a DuckDB file, which is opened for a few queries at a time.

DuckDB admits one writer or many readers. Our runner locks `<file>.lock` while it writes; this
reader locks it shared for as long as the file is open. It waits a limited time for that lock, and
for writers that do not use it.
"""

import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadgen.errors import DestinationError, install_hint, one_line
from loadgen.record.files import lock_within
from loadgen.sql import statements
from loadgen.tools.columns import Engine, literal
from loadgen.tools.readers.reader import BusyError, ResultRow, Tables, tables_of
from loadgen.tools.readers.shared_connection import SharedConnection

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SQL: Final = statements("loadgen.tools", "duckdb.sql")
_BLOCK: Final = 5000  # rows taken at once
_MEMORY: Final = "256MB"  # DuckDB's limit: enough for two segments of verification at once
_RETRY: Final = 0.05  # seconds between two attempts to open the file
# DuckDB's message about another process that has the file open.
_HOLDER: Final = re.compile(r"held in (.+?) \(PID (\d+)\)")
_LONGEST_HOLD: Final = 3.0  # seconds for which successive queries keep a writer out


class DuckdbReader:
    """One DuckDB file; it waits up to `patience` seconds for a writer."""

    engine: Engine = "duckdb"
    database: None = None

    def __init__(self, file: Path, patience: float = 60.0) -> None:
        self._file = file
        self._patience = patience
        self.where = str(file)
        self._connection = SharedConnection(self._opened, _LONGEST_HOLD)

    @property
    def clock(self) -> None:
        """None: a file has no clock."""

    def reading(self) -> AbstractContextManager[None]:
        """Keep the file open between queries; every few seconds a writer gets a chance."""
        return self._connection.keep_open()

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""
        return [str(row[0]) for row in self.query(_SQL["schemas"])]

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""
        return tables_of(self.query(_SQL["tables"].format(schema=literal(schema))))

    def query(self, statement: str) -> Iterator[ResultRow]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""
        duckdb = library()
        with self._connection.borrow() as connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
                while block := cursor.fetchmany(_BLOCK):
                    yield from block
            except duckdb.Error as exc:
                raise DestinationError(f"DuckDB refuses: {one_line(exc)}") from exc

    def close(self) -> None:
        """Do nothing: the file is closed after each use."""

    @contextmanager
    def _lock(self, deadline: float) -> Iterator[None]:
        """Hold the tool's lock file shared. Raises BusyError if it is not free in time."""
        lock = self._file.with_name(f"{self._file.name}.lock")
        try:
            file = lock.open("rb" if lock.exists() else "ab")
        except OSError as exc:
            raise DestinationError(f"{lock} can't be opened: {exc.strerror}") from exc
        with file:
            if not lock_within(file.fileno(), deadline - time.monotonic(), shared=True):
                raise BusyError(self._busy("its tool"))
            yield

    @contextmanager
    def _opened(self) -> Iterator["DuckDBPyConnection"]:
        if not self._file.is_file():
            raise DestinationError(
                f"{self._file} is not there: start the tool, or correct its file"
            )
        deadline = time.monotonic() + self._patience
        while True:
            # Released between two attempts: the writer may need it to finish.
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
        duckdb = library()
        connection: DuckDBPyConnection
        try:
            connection = duckdb.connect(str(self._file), read_only=True)
            limited(connection)
        except duckdb.Error as exc:
            if "Could not set lock" in str(exc):
                holder = _HOLDER.search(str(exc))
                name = f"process {holder[2]} ({holder[1]})" if holder else "another process"
                raise BusyError(self._busy(name)) from exc
            raise DestinationError(f"{self._file} can't be opened: {one_line(exc)}") from exc
        return connection

    def _busy(self, holder: str) -> str:
        return (
            f"{self._file} is busy: {holder} writes to it, and did not finish within "
            f"{self._patience:g} s; try again, or stop the tool"
        )


def limited(connection: "DuckDBPyConnection") -> None:
    """Set what every connection needs: the time zone, and a limit on memory."""
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute(f"SET memory_limit = '{_MEMORY}'")


def library() -> Any:
    """Import DuckDB. Raises DestinationError."""
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise DestinationError(
            f"DuckDB's package is not installed: {install_hint('duckdb', 'duckdb')}"
        ) from exc
    return duckdb
