"""Runner "replication": Postgres's own logical replication into an embedded server of its own.

Real change data capture: hard deletes and late commits arrive. The slot is made before the
subscription; it keeps the source's WAL while the tool is stopped, until the tool is removed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from loadgen.errors import PlaygroundError, SourceError
from loadgen.source.embedded import server
from loadgen.source.postgres import connect, ended_after, plain_errors, subscription_dsn
from loadgen.source.schema import PUBLICATION
from loadgen.sql import statements
from loadgen.tools.runners.status import Status
from loadgen.tools.runners.syncs import FILE, Sync, append_sync, initial_sync, read_syncs
from loadgen.tools.tools_file import Tool

NAME: Final = "loadgen"  # of the subscription, in the copy's own server

_SQL: Final = statements("loadgen.tools", "replication.sql")
_BEGUN: Final = "begun"  # a file with when the first copy began
_FIRST_ROW: Final = "first_row"  # when one could be read
_DROP_SECONDS: Final = 30.0
_Row = dict[str, Any]


def start(tool: Tool, source: str, pg_bin: Path | None = None) -> None:
    """Start the copy's server and the subscription, both made first where they are not there.

    Raises PlaygroundError.
    """
    tool.folder.mkdir(parents=True, exist_ok=True)
    copy = server.start(tool.folder, pg_bin=pg_bin)
    with connect(copy.dsn) as conn, connect(source) as publisher, _named(tool):
        there = _one(publisher, "slot", slot=tool.runner_slot) is not None
        if _one(conn, "subscription") is None:
            _subscribe(tool, conn, publisher, source, taken=there)
        elif not there:
            raise SourceError(
                f"the source has no slot {tool.runner_slot} any more, so changes are lost: run "
                f"`loadgen tools remove {tool.name}`, then start it anew"
            )
        else:
            # The source may have another address than it had, and tables that are new.
            address = subscription_dsn(source, publisher)
            _run(conn, "ALTER SUBSCRIPTION {} CONNECTION {}", NAME, address)
            _run(conn, "ALTER SUBSCRIPTION {} ENABLE", NAME)
            _make_tables(conn, publisher)
            _run(conn, "ALTER SUBSCRIPTION {} REFRESH PUBLICATION", NAME)


def stop(tool: Tool) -> bool:
    """Switch the subscription off; server, copy and slot stay. Returns whether it was on."""
    copy = server.status(tool.folder)
    if copy is None:
        return False
    with connect(copy.dsn) as conn, _named(tool):
        found = _one(conn, "subscription")
        if found is None or not found["enabled"]:
            return False
        _run(conn, "ALTER SUBSCRIPTION {} DISABLE", NAME)
    return True


def status(tool: Tool) -> Status:
    """Return the tool's state. Raises PlaygroundError where its server can't be asked."""
    copy = server.status(tool.folder)
    if copy is None:
        return Status(running=False)
    with connect(copy.dsn) as conn, _named(tool):
        found = _one(conn, "subscription")
        if found is None:
            return Status(running=False)
        rows = {str(name): int(count) for name, count in conn.execute(_SQL["rows"])}
        _note_first_row(tool, conn, rows)
    if found["copied"]:
        _note_initial(tool, rows)
    problem = None
    if found["enabled"] and not found["connected"]:
        problem = f"not connected to the source: see {copy.log}"
    return Status(
        running=bool(found["enabled"]),
        copied=bool(found["copied"]),
        last_received=found["last_received"],
        rows=rows,
        initial=initial_sync(read_syncs(tool.folder)),
        problem=problem,
    )


def remove(tool: Tool, source: str) -> None:
    """Take away subscription, slot, server and copy: nothing stays at the source.

    Raises PlaygroundError; where the source is away, nothing is taken but the subscription's
    running.
    """
    stop(tool)
    copy = server.status(tool.folder)
    oid = 0
    if copy is not None:
        with connect(copy.dsn) as conn:
            found = _one(conn, "subscription")
            oid = int(found["oid"]) if found else 0
    with connect(source) as publisher, _named(tool):
        _drop_slot(publisher, tool.runner_slot, oid)
    server.reset(tool.folder)
    for name in (FILE, _BEGUN, _FIRST_ROW):
        (tool.folder / name).unlink(missing_ok=True)


def _subscribe(
    tool: Tool,
    conn: psycopg.Connection[Any],
    publisher: psycopg.Connection[Any],
    source: str,
    *,
    taken: bool,
) -> None:
    slot = tool.runner_slot
    if taken:
        raise SourceError(
            f"the source has a slot {slot} already, which another tool may read: name another as "
            f"`slot` in [tools.{tool.name}], or drop it with `loadgen tools remove {tool.name}`"
        )
    _make_tables(conn, publisher)
    (tool.folder / _BEGUN).write_text(datetime.now(UTC).isoformat(), encoding="utf-8")
    publisher.execute(_SQL["create_slot"], {"slot": slot})
    try:
        statement = (
            "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} "
            "WITH (create_slot = false, slot_name = {})"
        )
        query = sql.SQL(statement).format(
            sql.Identifier(NAME),
            sql.Literal(subscription_dsn(source, publisher)),
            sql.Identifier(PUBLICATION),
            sql.Literal(slot),
        )
        conn.execute(query)
    except BaseException:
        _drop_slot(publisher, slot, 0)
        raise


def _make_tables(conn: psycopg.Connection[Any], publisher: psycopg.Connection[Any]) -> None:
    """Make the published tables as the source has them, with primary keys and nothing else."""
    with publisher.cursor(row_factory=dict_row) as cursor:
        columns = cursor.execute(_SQL["columns"]).fetchall()
    if not columns:
        raise SourceError("the source has no publication `loadgen`: run `loadgen seed` first")
    with conn.transaction():
        for table, found in groupby(columns, key=lambda row: row["table_name"]):
            conn.execute(_create_table(table, list(found)))


def _create_table(table: str, columns: list[_Row]) -> sql.Composed:
    parts = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(one["column_name"]),
            sql.SQL(one["type"]),  # as the source's catalogue writes it
            sql.SQL(" NOT NULL" if one["not_null"] else ""),
        )
        for one in columns
    ]
    key = sorted(
        (one for one in columns if one["key_position"] is not None),
        key=lambda one: int(one["key_position"]),
    )
    if key:
        names = sql.SQL(", ").join(sql.Identifier(one["column_name"]) for one in key)
        parts.append(sql.SQL("PRIMARY KEY ({})").format(names))
    create = sql.SQL("CREATE TABLE IF NOT EXISTS public.{} ({})")
    return create.format(sql.Identifier(table), sql.SQL(", ").join(parts))


def _drop_slot(publisher: psycopg.Connection[Any], slot: str, oid: int) -> None:
    """Drop the slot; its reader, if there is one still, is ended first."""
    with ended_after(publisher, _DROP_SECONDS):
        while _one(publisher, "slot", slot=slot) is not None:
            publisher.execute(_SQL["end_reader"], {"slot": slot})
            publisher.execute(_SQL["drop_slots"], {"slot": slot, "oid": str(oid)})


def _note_first_row(tool: Tool, conn: psycopg.Connection[Any], tables: Iterable[str]) -> None:
    """Write down that a row can be read, once, while the first copy is under way."""
    first = tool.folder / _FIRST_ROW
    if first.exists() or not (tool.folder / _BEGUN).exists():
        return
    for table in tables:
        query = sql.SQL("SELECT FROM public.{} LIMIT 1").format(sql.Identifier(table))
        if conn.execute(query).rowcount:
            first.write_text(datetime.now(UTC).isoformat(), encoding="utf-8")
            return


def _note_initial(tool: Tool, rows: dict[str, int]) -> None:
    """Write down that the first copy is through, once; as late as somebody asked."""
    began = tool.folder / _BEGUN
    if began.exists():
        first = tool.folder / _FIRST_ROW
        began_at = datetime.fromisoformat(began.read_text(encoding="utf-8"))
        first_at = datetime.fromisoformat(first.read_text("utf-8")) if first.exists() else None
        # Another process has written down the begin: the clock may have been set since.
        ended_at = max(datetime.now(UTC), first_at or began_at)
        append_sync(tool.folder, Sync(began_at, ended_at, rows, first_row_at=first_at))
        began.unlink()
        first.unlink(missing_ok=True)


def _run(conn: psycopg.Connection[Any], statement: str, name: str, *literals: str) -> None:
    parts = [sql.Identifier(name), *(sql.Literal(one) for one in literals)]
    conn.execute(sql.SQL(statement).format(*parts))


def _one(conn: psycopg.Connection[Any], statement: str, **values: object) -> _Row | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[statement], values).fetchone()


@contextmanager
def _named(tool: Tool) -> Iterator[None]:
    """Say of which tool an error is."""
    try:
        with plain_errors("replication"):
            yield
    except PlaygroundError as exc:
        raise type(exc)(f"tool {tool.name}: {exc}") from exc
