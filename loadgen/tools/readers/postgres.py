"""A Postgres as verification reads it: the source, or a copy."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any, Final, cast

import psycopg

from loadgen.errors import DestinationError, SourceError
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.tools.columns import Engine, literal
from loadgen.tools.readers.reader import Tables, tables_of

_SQL: Final = statements("loadgen.tools", "postgres.sql")
_CLOCK: Final = statements("loadgen.source", "examine.sql")["clock"]
_BLOCK: Final = 5000  # rows a round trip
_Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresReader:
    """One Postgres database, reached through the one door to Postgres.

    What goes wrong is a DestinationError; at the source, which all tools share, a SourceError.
    `called` is the setting that the address comes from.
    """

    engine: Engine = "postgres"
    database: None = None

    def __init__(self, dsn: str, *, is_source: bool = False, called: str = "DATABASE_URL") -> None:
        self._dsn = dsn
        self._called = called
        self._error = SourceError if is_source else DestinationError
        self.where = postgres.mask(dsn)
        self._idle: LifoQueue[_Connection] = LifoQueue()  # as many as were needed at once
        self._has_any = False  # whether one was made, be it idle or lent
        self._connecting = Lock()

    def reading(self) -> AbstractContextManager[None]:
        """Do nothing: connections are kept, and reading shuts nobody out."""
        return nullcontext()

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""
        return [str(row[0]) for row in self.ask(_SQL["schemas"])]

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""
        return tables_of(self.ask(_SQL["tables"].format(schema=literal(schema))))

    def clock(self) -> datetime:
        """Return the server's time. Raises DestinationError."""
        ((found,),) = self.ask(_CLOCK)
        return cast("datetime", found)

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""
        try:
            with (
                self._lent() as connection,
                connection.transaction(),
                connection.cursor("loadgen_verify") as cursor,
            ):
                cursor.itersize = _BLOCK
                cursor.execute(statement.encode())
                yield from cursor
        except psycopg.errors.InsufficientPrivilege as exc:
            said = exc.diag.message_primary
            raise self._error(f"{said}: GRANT SELECT on it to our user") from exc
        except psycopg.Error as exc:
            message = postgres.server_message(exc)
            raise self._error(f"Postgres refuses: {message} (SQLSTATE {exc.sqlstate})") from exc

    def close(self) -> None:
        """Hang up."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    @contextmanager
    def _lent(self) -> Iterator[_Connection]:
        """Lend a connection that nobody uses."""
        connection = self._taken()
        try:
            if connection.closed:
                connection = self._connected()
            yield connection
        finally:
            self._idle.put(connection)

    def _taken(self) -> _Connection:
        """Return an idle connection, else a new one; where none is to be had, the next idle one."""
        with suppress(Empty):
            return self._idle.get_nowait()
        with self._connecting:
            with suppress(Empty):
                return self._idle.get_nowait()
            try:
                connection = self._connected()
            except self._error:
                if not self._has_any:
                    raise
            else:
                self._has_any = True
                return connection
        return self._idle.get()

    def _connected(self) -> _Connection:
        try:
            connection = postgres.connect(
                self._dsn, application_name="loadgen verify", called=self._called
            )
            with postgres.plain_errors("readying the session"):
                connection.execute(_SQL["session"])
        except SourceError as exc:
            raise self._error(str(exc)) from exc
        return connection
