"""The destination Snowflake: files reach staging tables by COPY, then MERGE in one transaction.

Files come from the external stage that `stage` names over the bucket, or are uploaded by PUT.
Login, warehouse and query tag are the tool's, so that what it uses is billed to it. Each batch
wakes the warehouse: an interval shorter than its AUTO_SUSPEND keeps it awake.

Run against an emulator only, never on a Snowflake account.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError, one_line
from loadgen.sql import statements
from loadgen.tools.columns import literal, quoted
from loadgen.tools.readers.snowflake_connection import connect, login
from loadgen.tools.runners.simplyload.bucket import Bucket
from loadgen.tools.runners.simplyload.destination import Position, Session, StagedFile
from loadgen.tools.runners.simplyload.landing import WarehouseEngine
from loadgen.tools.runners.simplyload.merge import STATE_SCHEMA, staged_columns
from loadgen.tools.tools_file import Tool, word_characters

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_SQL: Final = statements("loadgen.tools", "simplyload_copy.sql")


class SnowflakeDestination:
    """The Snowflake database of a tool; the settings fill in the keys that the tool leaves out."""

    engine: WarehouseEngine = "snowflake"

    def __init__(self, tool: Tool, settings: Settings, bucket: Bucket) -> None:
        self._tool = tool
        self._bucket = bucket
        self._where = f"snowflake://{tool.account or settings.snowflake_account}/{tool.database}"
        self._login = {
            "account": tool.account,
            "user": tool.user,
            "private_key_file": tool.private_key_path,
            "role": tool.role,
            "warehouse": tool.warehouse,
            "database": tool.database,
        }
        self._settings = settings
        self._tag = f"tool={word_characters(tool.name).lower()}"

    @contextmanager
    def opened(self) -> Iterator[Session]:
        """Log in for the block. Raises DestinationError."""
        connection = connect(login(self._settings, self._login), self._where, self._tag)
        from snowflake.connector import errors  # noqa: PLC0415 - an extra, installed if connected

        try:
            session = _SnowflakeSession(connection, self._tool, self._bucket)
            yield session
            session.drop_staging()
        except errors.Error as exc:
            raise DestinationError(f"Snowflake refuses: {one_line(exc.msg or exc)}") from exc
        finally:
            connection.close()

    def remove(self) -> None:
        """Drop the tables of the copy, and the position."""
        with self.opened() as session:
            position = session.position()
            for table in () if position is None else position.tables:
                session.execute(_SQL["drop_table"].format(table=table))
            schema = quoted(self._tool.database or "", STATE_SCHEMA)
            session.execute(_SQL["drop_state_schema"].format(schema=schema))


class _SnowflakeSession:
    """One login."""

    engine: WarehouseEngine = "snowflake"

    def __init__(self, connection: "SnowflakeConnection", tool: Tool, bucket: Bucket) -> None:
        self._connection = connection
        self._bucket = bucket
        self._schema = quoted(tool.database or "", STATE_SCHEMA)
        self._external = tool.stage
        self._staged = 0
        for statement in ("make_state_schema", "make_state"):
            self.execute(_SQL[statement].format(schema=self._schema))
        if self._external is None:
            self.execute(_SQL["make_stage"].format(schema=self._schema))

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            return [tuple(row) for row in cursor.execute(statement) or ()]

    def position(self) -> Position | None:
        rows = self.execute(_SQL["position"].format(schema=self._schema))
        return Position.load(rows[0][0]) if rows else None

    def store(self, position: Position) -> None:
        self.execute(_SQL["forget_position"].format(schema=self._schema))
        statement = _SQL["store_position"].format(schema=self._schema, content="%s")
        with self._connection.cursor() as cursor:
            cursor.execute(statement, (position.dump(),))

    def drop_staging(self) -> None:
        for number in range(1, self._staged + 1):
            self.execute(_SQL["drop_table"].format(table=f"{self._schema}.STAGED_{number}"))

    def stage(self, file: StagedFile) -> str:
        path = file.path
        if path is None:
            return ""
        folder = path.parent.name
        if self._external is not None and self._bucket.s3 is not None:
            stage = f"@{self._external}/{self._bucket.s3.prefix}/{folder}"
        else:
            stage = f"@{self._schema}.FILES/{folder}"
            self.execute(_SQL["put"].format(file=literal(f"file://{path}"), stage=stage))
        self._staged += 1
        table = f"{self._schema}.STAGED_{self._staged}"
        columns = staged_columns(file.target, file.content, file.filled)
        definitions = ", ".join(f"{quoted(column)} VARCHAR" for column in columns)
        self.execute(_SQL["make_staging"].format(table=table, columns=definitions))
        names = {"table": table, "location": f"{stage}/{path.name}"}
        # Files of the bucket are deleted with their batch, those of our own stage here.
        purge = "FALSE" if self._external else "TRUE"
        self.execute(_SQL["copy_into"].format(**names, purge=purge))
        return table
