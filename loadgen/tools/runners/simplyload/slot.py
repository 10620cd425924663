"""The source: its logical slot, read through SQL, and the tables at an exported snapshot.

psycopg has no START_REPLICATION. A peek returns whole transactions, and leaves the slot where it
is; it decodes the WAL again from the slot's restart_lsn, so a transaction that stays open makes
every peek read all WAL since it began.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from loadgen.errors import SourceError
from loadgen.source.postgres import (
    connect,
    connect_for_replication,
    ended_after,
    plain_errors,
)
from loadgen.source.schema import PUBLICATION
from loadgen.sql import statements
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners.simplyload.changes import Layout
from loadgen.tools.runners.simplyload.pgoutput import (
    Message,
    Relation,
    RelationColumn,
    decode,
)
from loadgen.tools.source_tables import SourceTables, published_tables

# File in the tool's folder, from before the slot is made until the first copy is loaded.
FIRST_COPY: Final = "first_copy"
POSITION: Final = "position"  # file with the LSN up to which the copy has every commit

_SQL: Final = statements("loadgen.tools", "simplyload.sql")
_REPLICATION: Final = statements("loadgen.tools", "replication.sql")
_NAME: Final = "loadgen simplyload"  # of our sessions
_DROP_SECONDS: Final = 30.0
_PEEK: Final = (
    "COPY (SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes({slot}, NULL, {limit},"
    " 'proto_version', '1', 'publication_names', {publication})) TO STDOUT (FORMAT binary)"
)
_LOCK_LIMITS: Final = (
    "SELECT set_config('lock_timeout', '5s', true), "
    "set_config('idle_in_transaction_session_timeout', '5s', true)"
)
_COPY_ROWS: Final = "COPY (SELECT {columns} FROM {table}) TO STDOUT"


@dataclass(frozen=True, slots=True)
class SlotState:
    """A slot: whether it has lost WAL, and the position before which all is confirmed."""

    is_lost: bool
    confirmed: int


class Source:
    """One session at the source, with the slot that it reads."""

    def __init__(self, connection: psycopg.Connection, dsn: str, slot: str) -> None:
        self._connection = connection
        self._dsn = dsn
        self._slot = slot

    @classmethod
    @contextmanager
    def connected(cls, dsn: str, slot: str) -> Iterator["Source"]:
        """Yield a session, which is closed after the block. Raises SourceError."""
        with plain_errors("simplyload"), connect(dsn, application_name=_NAME) as connection:
            yield cls(connection, dsn, slot)

    def tables(self) -> SourceTables:
        """Return the published tables by label. Raises SourceError."""
        reader = PostgresReader(self._dsn, is_source=True)
        try:
            return published_tables(reader)
        finally:
            reader.close()

    def layouts(self, tables: SourceTables) -> dict[str, Layout]:
        """Return the layouts of the published tables by label."""
        layouts = {}
        for row in self._rows("relations", publication=PUBLICATION):
            table = next(
                t for t in tables.values() if (t.schema, t.name) == (row["schema"], row["name"])
            )
            parts = zip(
                row["columns"], row["types"], row["modifiers"], row["in_identity"], strict=True
            )
            columns = tuple(RelationColumn(*p) for p in parts if p[0] not in table.unpublished)
            relation = Relation(row["oid"], table.schema, table.name, row["identity"], columns)
            layouts[table.label] = Layout.of(relation, table.key)
        return layouts

    def slot(self) -> SlotState | None:
        """Return the slot's state; None if there is none."""
        rows = self._rows("slot", slot=self._slot)
        if not rows:
            return None
        return SlotState(rows[0]["wal_status"] == "lost", int(rows[0]["confirmed"] or 0))

    def flushed(self) -> int:
        """Return the end of the WAL on disk, up to which the next peek reads at least."""
        return int(self._rows("flushed")[0]["lsn"])

    def peek(self, limit: int) -> Iterator[Message]:
        """Yield the messages of whole transactions until `limit` is reached.

        The server keeps them in memory up to its work_mem, then in a file.
        """
        query = sql.SQL(_PEEK).format(
            slot=sql.Literal(self._slot),
            limit=sql.Literal(limit),
            publication=sql.Literal(PUBLICATION),
        )
        with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            copy.set_types(["bytea"])
            for (payload,) in copy.rows():
                yield decode(payload)

    def advance(self, lsn: int) -> None:
        """Confirm everything before `lsn`: only what the destination has committed."""
        state = self.slot()
        if state is not None and state.confirmed < lsn:
            self._rows("advance", slot=self._slot, lsn=lsn)

    def drop_slot(self) -> None:
        """Drop the slot if it exists, after ending a session that still reads it."""
        with ended_after(self._connection, _DROP_SECONDS):
            while self.slot() is not None:
                self._connection.execute(_REPLICATION["end_reader"], {"slot": self._slot})
                self._connection.execute(
                    _REPLICATION["drop_slots"], {"slot": self._slot, "oid": "0"}
                )

    @contextmanager
    def snapshot(self) -> Iterator[int]:
        """Create the slot; in the block this session sees the tables as of the yielded position.

        The snapshot lives as long as the connection that exported it is idle, or a session that has
        taken it is in its transaction.
        """
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            with self._unchanged_files(), connect_for_replication(self._dsn, _NAME) as exporter:
                create = sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput EXPORT_SNAPSHOT")
                row = exporter.execute(create.format(sql.Identifier(self._slot))).fetchone()
                if row is None:
                    raise SourceError(f"the source made no slot {self._slot}")
                _, position, snapshot, _ = row
                take = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot))
                self._connection.execute(take)
            yield lsn_number(position)

    @contextmanager
    def _unchanged_files(self) -> Iterator[None]:
        """Keep the published tables from being truncated or rewritten in the block, for seconds.

        Postgres can't decode a slot that was made meanwhile: "could not map filenumber" (seen on
        18). The slot waits for open transactions, and one of them may wait for these locks: so the
        server ends the locks after some seconds, and the slot is made without them.
        """
        tables = [sql.Identifier(t.schema, t.name) for t in self.tables().values()]
        connection = connect(self._dsn, application_name=_NAME, autocommit=False)
        try:
            if tables:
                connection.execute(_LOCK_LIMITS)
                lock = sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE")
                connection.execute(lock.format(sql.SQL(", ").join(tables)))
            yield
        finally:
            connection.close()

    def rows(self, layout: Layout, columns: tuple[str, ...]) -> Iterator[tuple[str | None, ...]]:
        """Yield these columns of a table's rows, as texts."""
        query = sql.SQL(_COPY_ROWS).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            table=sql.Identifier(layout.schema, layout.name),
        )
        with self._connection.cursor() as cursor, cursor.copy(query) as copy:
            yield from copy.rows()

    def has_default(self, layout: Layout, column: str) -> bool:
        """Return whether an added column may have values in older rows."""
        rows = self._rows("has_default", schema=layout.schema, name=layout.name, column=column)
        return any(row["has_default"] for row in rows)

    def _rows(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_SQL[statement], parameters).fetchall()


def lsn_number(text: str) -> int:
    """Return a position such as 16/B374D848 as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_text(lsn: int) -> str:
    """Return a position as Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
