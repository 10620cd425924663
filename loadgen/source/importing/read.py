"""Reads what an import has to know of a database, in read-only sessions that take seconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from loadgen.errors import SourceError
from loadgen.source.imported import database_digests
from loadgen.source.importing.catalogue import read_tables
from loadgen.source.importing.counters import (
    Counters,
    add_up,
    measure,
    measured_writes,
    read_counters,
    window_since_reset,
)
from loadgen.source.importing.schema_text import read_schema
from loadgen.source.importing.selection import Selection, select_tables
from loadgen.source.importing.session import ADDRESS, snapshot
from loadgen.source.importing.statement_texts import read_statements
from loadgen.source.importing.statistics import Size, add_shapes, read_sizes
from loadgen.source.postgres import Connection, place
from loadgen.text import plural
from loadgen.workload.importing.facts import (
    DatabaseFacts,
    TableFacts,
)
from loadgen.workload.model import MOST_LEVELS

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The scope: some tables or schemas, over which window, and whether with values of rows."""

    schemas: tuple[str, ...] = ()  # all but system ones if there are neither schemas nor tables
    tables: tuple[str, ...] = ()  # by their names in a model
    interval: float | None = None  # seconds in which writes are measured
    every: float | None = None  # seconds of each part of the interval
    with_values: bool = False
    pg_bin: Path | None = None  # a folder with pg_dump


def read_database(url: str, options: ReadOptions, report: Report) -> DatabaseFacts:
    """Return the readable parts of the database at `url`, and the missing ones.

    `report` gets a line for each step. Raises SourceError in one line if the server is a replica,
    locked or too slow, or a selected table does not exist.
    """
    if options.every:
        _require_parts(options.interval, options.every)
    looks: tuple[Counters, ...] = ()
    if options.interval:
        with snapshot(url) as conn:  # a wrong name is refused before hours are measured
            select_tables(conn, options.schemas, options.tables)
        looks = measure(url, options.interval, options.every, report)
    with snapshot(url) as conn:
        selection = select_tables(conn, options.schemas, options.tables)
        report(f"reading {plural(len(selection.tables), 'table')} of {place(url, ADDRESS)}")
        facts = _facts(conn, selection, options, looks)
        schema_sql, left_out = read_schema(conn, url, selection, options.pg_bin, report)
        return replace(facts, schema_sql=schema_sql, left_out=left_out)


def _require_parts(interval: float | None, every: float) -> None:
    """Refuse parts of a window that make no profile. Raises SourceError."""
    if interval is None:
        raise SourceError("--every divides a measured window: give --interval too")
    parts = round(interval / every)
    if parts < 2:
        raise SourceError("--every is no part of --interval: give a shorter one, or none")
    if interval < parts:
        raise SourceError("--every is shorter than a second: give a longer one")
    if parts > MOST_LEVELS:
        raise SourceError(
            f"--every divides --interval into {parts:,} parts, but a profile has at most "
            f"{MOST_LEVELS:,} levels: give a longer one"
        )


def _facts(
    conn: Connection,
    selection: Selection,
    options: ReadOptions,
    looks: Sequence[Counters],
) -> DatabaseFacts:
    counters, missing = read_counters(conn)
    read_at = counters.at if counters else datetime.now(UTC)
    writes = counters.writes if counters else None
    if looks and options.interval:
        window, writes = measured_writes(looks, frozenset(selection.oids), options.interval)
    else:
        window, uncertain = window_since_reset(conn, read_at)
        missing += uncertain if counters else ()
    sizes, locked = read_sizes(conn, selection, counters)
    tables = read_tables(conn, selection)
    columns, unshaped = add_shapes(
        conn,
        selection,
        {oid: table.columns for oid, table in tables.items()},
        {oid: size.rows for oid, size in sizes.items()},
        with_values=options.with_values,
    )
    statements, has_statements, without = read_statements(conn)
    return DatabaseFacts(
        digests=database_digests(conn),
        server_version=conn.info.server_version,
        read_at=read_at,
        window=window,
        tables=tuple(
            replace(
                _with_sums(table, [sizes[oid] for oid in selection.leaves[oid]]),
                columns=columns[oid],
                writes=None
                if writes is None
                else add_up(writes[leaf] for leaf in selection.leaves[oid] if leaf in writes),
            )
            for oid, table in tables.items()
        ),
        statements=statements,
        has_statements=has_statements,
        missing=(*missing, *locked, *unshaped, *without),
        with_values=options.with_values,
    )


def _with_sums(table: TableFacts, sizes: Sequence[Size]) -> TableFacts:
    """Return the table with the sums of its partitions."""
    return replace(
        table,
        rows=sum(size.rows for size in sizes),
        heap_bytes=sum(size.heap for size in sizes),
        toast_bytes=sum(size.toast for size in sizes),
        index_bytes=sum(size.indexes for size in sizes),
    )
