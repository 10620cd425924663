"""Reads a tool's database in Snowflake by one connection."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError, one_line
from loadgen.sql import statements
from loadgen.tools.columns import Engine, available_names, find_name, literal, quoted
from loadgen.tools.readers.reader import ResultRow, Tables, tables_of
from loadgen.tools.readers.snowflake_connection import connect, login
from loadgen.tools.tools_file import Tool

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_SQL: Final = statements("loadgen.tools", "snowflake.sql")
_BLOCK: Final = 5000
_TAG: Final = "loadgen verify"


class SnowflakeReader:
    """One tool's Snowflake database; the settings fill in the keys that the tool leaves out.

    A session runs one query at a time, so threads take turns.
    """

    engine: Engine = "snowflake"

    def __init__(self, tool: Tool, settings: Settings) -> None:
        self._tool = tool
        self._settings = settings
        self._wanted = tool.database or settings.snowflake_database or ""
        self._database: str | None = None
        account = tool.account or settings.snowflake_account or settings.snowflake_host
        self.where = f"snowflake://{account}/{self._wanted}"
        self._connection: SnowflakeConnection | None = None
        self._connecting = Lock()
        self._querying = Lock()

    @property
    def database(self) -> str:
        """The name in Snowflake's catalogue, read without a warehouse. Raises DestinationError."""
        if self._database is None:
            names = [str(row["name"]) for row in self.query_dicts("SHOW DATABASES")]
            self._database = find_name(self._wanted, names, "snowflake")
        if self._database is None:
            raise DestinationError(
                f"no database {self._wanted} at {self.where}; "
                f"{available_names(self._wanted, names)}: correct database in "
                f"[tools.{self._tool.name}] (or SNOWFLAKE_DATABASE), or GRANT USAGE on it to "
                "our role"
            )
        return self._database

    def reading(self) -> AbstractContextManager[None]:
        """Do nothing: the connection stays open, and readers do not block writers."""
        return nullcontext()

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""
        statement = _SQL["schemas"].format(database=quoted(self.database))
        return [str(row[0]) for row in self.query(statement)]

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""
        names = {"database": quoted(self.database), "schema": literal(schema)}
        return tables_of(self.query(_SQL["tables"].format(**names)))

    def clock(self) -> datetime:
        """Return Snowflake's time, read without a warehouse. Raises DestinationError."""
        ((now,),) = self.query(_SQL["clock"])
        return cast("datetime", now).replace(tzinfo=UTC)

    def query(self, statement: str) -> Iterator[ResultRow]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""
        connection = self._connect()
        from snowflake.connector import errors  # noqa: PLC0415 - an extra, installed if connected

        try:
            with self._querying, connection.cursor() as cursor:
                cursor.execute(statement)
                while block := cursor.fetchmany(_BLOCK):
                    yield from block
        except errors.Error as exc:
            raise DestinationError(f"Snowflake refuses: {one_line(exc.msg or exc)}") from exc

    def query_dicts(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows of a statement as dictionaries. Raises DestinationError."""
        connection = self._connect()
        from snowflake.connector import DictCursor, errors  # noqa: PLC0415 - as above

        try:
            with self._querying, connection.cursor(DictCursor) as cursor:
                return [dict(row) for row in cursor.execute(statement) or ()]
        except errors.Error as exc:
            raise DestinationError(f"Snowflake refuses: {one_line(exc.msg or exc)}") from exc

    def close(self) -> None:
        """Log out."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> "SnowflakeConnection":
        with self._connecting:
            if self._connection is None:
                self._connection = connect(self.login(), self.where, _TAG)
            return self._connection

    def login(self) -> dict[str, Any]:
        """Return the connector's parameters. Raises DestinationError if one is missing."""
        tool = self._tool
        overrides = {
            "account": tool.account,
            "user": tool.user,
            "private_key_file": tool.private_key_path,
            "role": tool.role,
            # Our queries are billed to the tool only if we have no warehouse.
            "warehouse": self._settings.snowflake_warehouse or tool.warehouse,
            "database": self._wanted,
        }
        return login(self._settings, overrides)
