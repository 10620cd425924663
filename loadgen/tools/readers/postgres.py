"""Reads a Postgres database: the source, or a copy."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from queue import Empty, LifoQueue
from threading import Lock
from typing import Final, cast

import psycopg

from loadgen.errors import DestinationError, SourceError
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.tools.columns import Engine, literal
from loadgen.tools.readers.reader import ResultRow, Tables, tables_of

_SQL: Final = statements("loadgen.tools", "postgres.sql")
_CLOCK: Final = statements("loadgen.source", "examine.sql")["clock"]
_BLOCK: Final = 5000  # rows a round trip
_Connection = psycopg.Connection[ResultRow]


class PostgresReader:
    """One Postgres database; each thread that queries it gets a connection.

    Errors are DestinationErrors, and SourceErrors for the source. `setting` names where
    the address comes from.
    """

    engine: Engine = "postgres"
    database: None = None

    def __init__(self, dsn: str, *, is_source: bool = False, setting: str = "DATABASE_URL") -> None:
        self._dsn = dsn
        self._setting = setting
        self._error = SourceError if is_source else DestinationError
        self.where = postgres.mask(dsn)
        self._idle: LifoQueue[_Connection] = LifoQueue()
        self._has_any = False  # whether there is a connection, idle or in use
        self._connecting = Lock()

    def reading(self) -> AbstractContextManager[None]:
        """Do nothing: connections stay open, and readers do not block writers."""
        return nullcontext()

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""
        return [str(row[0]) for row in self.query(_SQL["schemas"])]

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""
        return tables_of(self.query(_SQL["tables"].format(schema=literal(schema))))

    def clock(self) -> datetime:
        """Return the server's time. Raises DestinationError."""
        ((now,),) = self.query(_CLOCK)
        return cast("datetime", now)

    def query(self, statement: str) -> Iterator[ResultRow]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""
        try:
            with (
                self._borrow() as connection,
                connection.transaction(),
                connection.cursor("loadgen_verify") as cursor,
            ):
                cursor.itersize = _BLOCK
                cursor.execute(statement.encode())
                yield from cursor
        except psycopg.errors.InsufficientPrivilege as exc:
            refusal = exc.diag.message_primary
            raise self._error(f"{refusal}: GRANT SELECT on it to our user") from exc
        except psycopg.Error as exc:
            message = postgres.server_message(exc)
            raise self._error(f"Postgres refuses: {message} (SQLSTATE {exc.sqlstate})") from exc

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    @contextmanager
    def _borrow(self) -> Iterator[_Connection]:
        """Yield an idle connection, and put it back afterwards."""
        connection = self._take()
        try:
            if connection.closed:
                connection = self._connect()
            yield connection
        finally:
            self._idle.put(connection)

    def _take(self) -> _Connection:
        """Return an idle connection, else a new one; if the server refuses, the next idle one."""
        with suppress(Empty):
            return self._idle.get_nowait()
        with self._connecting:
            with suppress(Empty):
                return self._idle.get_nowait()
            try:
                connection = self._connect()
            except self._error:
                if not self._has_any:
                    raise
            else:
                self._has_any = True
                return connection
        return self._idle.get()

    def _connect(self) -> _Connection:
        try:
            connection = postgres.connect(
                self._dsn, application_name="loadgen verify", setting=self._setting
            )
            with postgres.plain_errors("readying the session"):
                connection.execute(_SQL["session"])
        except SourceError as exc:
            raise self._error(str(exc)) from exc
        return connection
