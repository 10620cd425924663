"""Runner "replication": Postgres' logical replication into a second embedded server.

This is real change data capture: hard deletes and late commits arrive. The slot is created before
the subscription, and retains the source's WAL while the tool is stopped, until it is removed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from loadgen.config.settings import Settings
from loadgen.errors import PlaygroundError, SourceError
from loadgen.source.embedded import server
from loadgen.source.postgres import connect, ended_after, plain_errors, subscription_dsn
from loadgen.source.schema import PUBLICATION
from loadgen.sql import statements
from loadgen.tools.runners.replica import make_tables
from loadgen.tools.runners.syncs import (
    FILE,
    Sync,
    ToolStatus,
    append_sync,
    initial_sync,
    read_syncs,
)
from loadgen.tools.tools_file import Tool

NAME: Final = "loadgen"  # of the subscription

_SQL: Final = statements("loadgen.tools", "replication.sql")
_BEGUN: Final = "begun"  # file with the start of the first copy
_FIRST_ROW: Final = "first_row"  # file with the time when its first row could be read
_DROP_SECONDS: Final = 30.0
_Row = dict[str, Any]


def install(_tool: Tool) -> str:
    """Install nothing: the copy's server is the one that the source has."""
    return "nothing but Postgres, which is installed"


def start(tool: Tool, settings: Settings) -> None:
    """Start the copy's server and the subscription, and create them if they do not exist.

    Raises PlaygroundError.
    """
    source = server.source_dsn(settings)
    tool.folder.mkdir(parents=True, exist_ok=True)
    copy = server.start(tool.folder, pg_bin=settings.pg_bin)
    with connect(copy.dsn) as conn, connect(source) as publisher, _tool_errors(tool):
        slot = _one_row(publisher, "slot", slot=tool.runner_slot)
        has_slot = slot is not None
        if _one_row(conn, "subscription") is None:
            if has_slot:
                raise SourceError(
                    f"the source has a slot {tool.runner_slot} already, which another tool may "
                    f"read: name another as `slot` in [tools.{tool.name}], or drop it with "
                    f"`loadgen tools remove {tool.name}`"
                )
            _subscribe(tool, conn, publisher, source)
        elif slot is None or slot["wal_status"] == "lost":
            state = "has no slot" if slot is None else "has lost the WAL of slot"
            raise SourceError(
                f"the source {state} {tool.runner_slot}, so changes are lost: run "
                f"`loadgen tools remove {tool.name}`, then start it again"
            )
        else:
            # The source may have another address by now, or new tables.
            address = subscription_dsn(source, publisher)
            _run(conn, "ALTER SUBSCRIPTION {} CONNECTION {}", NAME, address)
            _run(conn, "ALTER SUBSCRIPTION {} ENABLE", NAME)
            make_tables(conn, publisher)
            _run(conn, "ALTER SUBSCRIPTION {} REFRESH PUBLICATION", NAME)


def stop(tool: Tool) -> bool:
    """Disable the subscription, and keep server, copy and slot; return whether it was enabled."""
    copy = server.status(tool.folder)
    if copy is None:
        return False
    with connect(copy.dsn) as conn, _tool_errors(tool):
        subscription = _one_row(conn, "subscription")
        if subscription is None or not subscription["enabled"]:
            return False
        _run(conn, "ALTER SUBSCRIPTION {} DISABLE", NAME)
    return True


def status(tool: Tool) -> ToolStatus:
    """Return the tool's state. Raises PlaygroundError if its server does not answer."""
    copy = server.status(tool.folder)
    if copy is None:
        return ToolStatus(running=False)
    with connect(copy.dsn) as conn, _tool_errors(tool):
        subscription = _one_row(conn, "subscription")
        if subscription is None:
            return ToolStatus(running=False)
        tables = conn.execute(_SQL["rows"]).fetchall()
        rows = {str(label): int(count) for _, _, label, count in tables}
        _note_first_row(tool, conn, [sql.Identifier(schema, name) for schema, name, *_ in tables])
    if subscription["copied"]:
        _note_first_copy(tool, rows)
    problem = None
    if subscription["enabled"] and not subscription["connected"]:
        problem = f"not connected to the source: see {copy.log}"
    return ToolStatus(
        running=bool(subscription["enabled"]),
        copied=bool(subscription["copied"]),
        last_received=subscription["last_received"],
        rows=rows,
        initial=initial_sync(read_syncs(tool.folder)),
        position=subscription["position"],
        problem=problem,
    )


def processes(tool: Tool) -> tuple[int, ...]:
    """Return the process of the copy's server; none if it does not run."""
    running = server.status(tool.folder)
    return () if running is None else (running.pid,)


def remove(tool: Tool, settings: Settings) -> None:
    """Remove subscription, slot, server and copy, so that nothing is left at the source.

    Raises PlaygroundError; if the source is away, the subscription is only disabled.
    """
    source = server.source_dsn(settings)
    stop(tool)
    copy = server.status(tool.folder)
    oid = 0
    if copy is not None:
        with connect(copy.dsn) as conn:
            subscription = _one_row(conn, "subscription")
            oid = int(subscription["oid"]) if subscription else 0
    with connect(source) as publisher, _tool_errors(tool):
        drop_slot(publisher, tool.runner_slot, oid)
    server.reset(tool.folder)
    for name in (FILE, _BEGUN, _FIRST_ROW):
        (tool.folder / name).unlink(missing_ok=True)


def _subscribe(
    tool: Tool,
    conn: psycopg.Connection,
    publisher: psycopg.Connection,
    source: str,
) -> None:
    slot = tool.runner_slot
    make_tables(conn, publisher)
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
        drop_slot(publisher, slot, 0)
        raise


def drop_slot(publisher: psycopg.Connection, slot: str, oid: int) -> None:
    """Drop the slot, after ending a session that still reads it."""
    with ended_after(publisher, _DROP_SECONDS):
        while _one_row(publisher, "slot", slot=slot) is not None:
            publisher.execute(_SQL["end_reader"], {"slot": slot})
            publisher.execute(_SQL["drop_slots"], {"slot": slot, "oid": str(oid)})


def _note_first_row(tool: Tool, conn: psycopg.Connection, tables: Iterable[sql.Identifier]) -> None:
    """Record once, during the first copy, when its first row can be read."""
    first = tool.folder / _FIRST_ROW
    if first.exists() or not (tool.folder / _BEGUN).exists():
        return
    for table in tables:
        if conn.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table)).rowcount:
            first.write_text(datetime.now(UTC).isoformat(), encoding="utf-8")
            return


def _note_first_copy(tool: Tool, rows: dict[str, int]) -> None:
    """Record once that the first copy is complete, at the first `status` that finds it so."""
    began = tool.folder / _BEGUN
    if began.exists():
        first = tool.folder / _FIRST_ROW
        began_at = datetime.fromisoformat(began.read_text(encoding="utf-8"))
        first_at = datetime.fromisoformat(first.read_text("utf-8")) if first.exists() else None
        # Another process recorded the start, and the clock may have been set since.
        ended_at = max(datetime.now(UTC), first_at or began_at)
        append_sync(tool.folder, Sync(began_at, ended_at, rows, first_row_at=first_at))
        began.unlink()
        first.unlink(missing_ok=True)


def _run(conn: psycopg.Connection, statement: str, name: str, *literals: str) -> None:
    parts = [sql.Identifier(name), *map(sql.Literal, literals)]
    conn.execute(sql.SQL(statement).format(*parts))


def _one_row(conn: psycopg.Connection, statement: str, **parameters: object) -> _Row | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[statement], parameters).fetchone()


@contextmanager
def _tool_errors(tool: Tool) -> Iterator[None]:
    """Name the tool in errors, psycopg's among them."""
    try:
        with plain_errors("replication"):
            yield
    except PlaygroundError as exc:
        raise type(exc)(f"tool {tool.name}: {exc}") from exc
