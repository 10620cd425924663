"""The one door to Snowflake: a key pair, never a password; one connection, our own query tag."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadgen.destination.columns import Engine, literal, quoted
from loadgen.destination.door import Tables, tables_of
from loadgen.destination.tools_file import Tool
from loadgen.errors import DestinationError
from loadgen.settings import Settings
from loadgen.sql import statements

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_SQL: Final = statements("loadgen.destination", "snowflake.sql")
_BLOCK: Final = 5000
_SESSION: Final = {"QUERY_TAG": "loadgen verify", "TIMEZONE": "UTC"}
_LOGIN_SECONDS: Final = 20
# What Snowflake says of a key that is expired, unknown or another user's.
_OF_A_KEY: Final = ("JWT", "Incorrect username", "390144", "394300")
# An emulator checks nothing, but the connector wants something to send.
_EMULATED: Final = {"user": "emulator", "account": "emulator", "password": "emulator"}


class SnowflakeDoor:
    """One Snowflake database of a tool's; what the tool does not name comes from the settings."""

    engine: Engine = "snowflake"

    def __init__(self, tool: Tool, settings: Settings) -> None:
        self._tool = tool
        self._settings = settings
        self.database = tool.database or settings.snowflake_database or ""
        place = tool.account or settings.snowflake_account or settings.snowflake_host
        self.where = f"snowflake://{place}/{self.database}"
        self._connection: SnowflakeConnection | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the connection; reading shuts nobody out."""
        self._connected()
        yield

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""
        statement = _SQL["schemas"].format(database=quoted(self.database))
        return [str(row[0]) for row in self.ask(statement)]

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""
        names = {"database": quoted(self.database), "schema": literal(schema)}
        return tables_of(self.ask(_SQL["tables"].format(**names)))

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""
        from snowflake.connector import errors  # noqa: PLC0415 - an extra, there once connected

        connection = self._connected()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                while block := cursor.fetchmany(_BLOCK):
                    yield from block
        except errors.Error as exc:
            said = str(exc.msg or exc).partition("\n")[0]
            raise DestinationError(f"Snowflake refuses: {said}") from exc

    def named(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows of a short answer by their columns' names. Raises DestinationError."""
        from snowflake.connector import DictCursor, errors  # noqa: PLC0415 - as above

        connection = self._connected()
        try:
            with connection.cursor(DictCursor) as cursor:
                return [dict(row) for row in cursor.execute(statement) or ()]
        except errors.Error as exc:
            said = str(exc.msg or exc).partition("\n")[0]
            raise DestinationError(f"Snowflake refuses: {said}") from exc

    def close(self) -> None:
        """Log out."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> "SnowflakeConnection":
        if self._connection is None:
            self._connection = self._logged_in()
        return self._connection

    def _logged_in(self) -> "SnowflakeConnection":
        try:
            from snowflake.connector import connect, errors  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise DestinationError(
                "Snowflake's package is not installed: pip install "
                "'simplyload-playground[snowflake]'"
            ) from exc
        try:
            return connect(**self.login(), session_parameters=_SESSION)
        except errors.Error as exc:
            raise DestinationError(refusal(self.where, str(exc.msg or exc))) from exc
        except (OSError, ValueError, TypeError) as exc:  # the key's file
            raise DestinationError(f"the private key can't be read: {exc}") from exc

    def login(self) -> dict[str, Any]:
        """Return what the connector is told. Raises DestinationError where something is missing."""
        tool, settings = self._tool, self._settings
        told: dict[str, Any] = {
            "account": tool.account or settings.snowflake_account,
            "user": tool.user or settings.snowflake_user,
            "private_key_file": _text(tool.private_key_path or settings.snowflake_private_key_path),
            "role": tool.role or settings.snowflake_role,
            "warehouse": tool.warehouse or settings.snowflake_warehouse,
            "database": self.database,
            "host": settings.snowflake_host,
            "port": settings.snowflake_port,
            "protocol": settings.snowflake_protocol,
            "login_timeout": _LOGIN_SECONDS,
        }
        given = {name: value for name, value in told.items() if value}
        if settings.snowflake_host and "private_key_file" not in given:
            return {**_EMULATED, **given}
        for name in ("account", "user", "private_key_file"):
            if name not in given:
                setting = "PRIVATE_KEY_PATH" if name == "private_key_file" else name.upper()
                raise DestinationError(f"SNOWFLAKE_{setting} is not set: Snowflake needs it")
        return given


def refusal(where: str, text: str) -> str:
    """Return why a login failed, and what to do, from the connector's words."""
    said = text.strip().partition("\n")[0]
    if any(word in text for word in _OF_A_KEY):
        return (
            f"{where} refuses the key: {said}; let the user's RSA_PUBLIC_KEY be that of the "
            "private key (ALTER USER … SET RSA_PUBLIC_KEY), and check SNOWFLAKE_USER"
        )
    return (
        f"can't reach {where}: {said}; check SNOWFLAKE_ACCOUNT, the network policy and the network"
    )


def _text(path: Path | None) -> str | None:
    return str(path.expanduser()) if path else None
