"""Rows, sizes and shapes of columns: what Postgres estimates, and what the files say."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from psycopg import errors
from psycopg.rows import dict_row

from loadgen.source.importing.counters import Counters
from loadgen.source.importing.selection import Relation, Selection
from loadgen.source.importing.session import current_role, quoted
from loadgen.source.postgres import Connection
from loadgen.sql import statements
from loadgen.workload.importing.facts import ColumnFacts, Missing

_SQL: Final = statements("loadgen.source.importing", "statistics.sql")
_MOST_COMMON: Final = 100  # values of a column that are taken
_NAMED_AT_MOST: Final = 5
_GROWTH: Final = 1.25  # more, without new pages, is counted twice; autoanalyze runs at 1.1

_ByColumn = Mapping[tuple[str, str, str], Mapping[str, Any]]  # schema, relation, column


@dataclass(frozen=True, slots=True)
class Size:
    """Rows and bytes of a table or partition."""

    rows: int
    heap: int
    toast: int
    indexes: int


def read_sizes(
    conn: Connection, selection: Selection, counters: Counters | None
) -> tuple[dict[int, Size], tuple[Missing, ...]]:
    """Return the size of every part of the selected tables, by oid.

    Bytes are those of the last VACUUM or ANALYZE, raised to those of the files.
    """
    parameters = {"oids": selection.oids}
    missing: tuple[Missing, ...] = ()
    with conn.cursor(row_factory=dict_row) as cursor:
        estimates = cursor.execute(_SQL["estimates"], parameters).fetchall()
        exact: dict[int, dict[str, Any]] = {}
        try:
            with conn.transaction():
                rows = cursor.execute(_SQL["exact_sizes"], parameters).fetchall()
                exact = {row["oid"]: row for row in rows}
        except (errors.LockNotAvailable, errors.QueryCanceled, errors.InsufficientPrivilege):
            what = "exact sizes, since a table is locked (those of the last ANALYZE are used)"
            missing = (Missing(what, "run the import again later"),)
    none = dict.fromkeys(("main", "heap_and_toast", "toast", "indexes"), 0)
    return {
        row["oid"]: _size(row, exact.get(row["oid"], none), counters) for row in estimates
    }, missing


def _size(
    estimate: Mapping[str, Any], exact: Mapping[str, int | None], counters: Counters | None
) -> Size:
    files = {name: number or 0 for name, number in exact.items()}  # None if dropped meanwhile
    return Size(
        _rows(estimate, files["main"], counters),
        max(estimate["heap"], files["heap_and_toast"] - files["toast"]),
        max(estimate["toast"], files["toast"]),
        max(estimate["indexes"], files["indexes"]),
    )


def _rows(estimate: Mapping[str, Any], heap_bytes: int, counters: Counters | None) -> int:
    """Return the rows that Postgres counted, or its estimate if the count can't be right.

    Rows that one session writes and analyzes are counted twice, as by `pgbench -i`. The estimate
    assumes the density of the last ANALYZE on pages that were added, so updates make it too high.
    """
    oid: int = estimate["oid"]
    pages: int = estimate["heap"]  # in bytes
    estimated: float = estimate["rows"]  # -1 if there was no ANALYZE
    counted = counters.rows.get(oid, 0) if counters else 0
    if estimated < 0 or not pages:
        return max(counted, int(estimated))
    scaled = round(estimated * max(1.0, heap_bytes / pages))
    is_counted = counters and oid in counters.verified and counted <= _GROWTH * scaled
    return counted if is_counted else scaled


def add_shapes(
    conn: Connection,
    selection: Selection,
    columns: Mapping[int, tuple[ColumnFacts, ...]],
    rows: Mapping[int, int],
    *,
    with_values: bool,
) -> tuple[dict[int, tuple[ColumnFacts, ...]], tuple[Missing, ...]]:
    """Return the columns of each table with their shapes; `rows` are those of every part.

    Values of rows are not even selected unless `with_values` asks for them.
    """
    own, whole = _read(conn, "column_statistics", selection.schemas)
    own_values, whole_values = (
        _read(conn, "column_values", selection.schemas) if with_values else ({}, {})
    )
    shaped: dict[int, tuple[ColumnFacts, ...]] = {}
    for table in selection.tables:
        parts = selection.parts[table.oid]
        leaves = [part for part in parts if part.kind == "r"]
        total = sum(rows[part.oid] for part in leaves)
        table_columns = []
        for column in columns[table.oid]:
            key = (table.schema, table.relation, column.name)
            shape = own.get(key) if table.kind == "r" else whole.get(key)
            values = own_values.get(key) if table.kind == "r" else whole_values.get(key)
            if shape is None and table.kind == "p":
                shape = _merged(
                    [
                        (rows[leaf.oid], own[place])
                        for leaf in leaves
                        if (place := (leaf.schema, leaf.relation, column.name)) in own
                    ]
                )
            table_columns.append(_with_shape(column, shape, values, total))
        shaped[table.oid] = tuple(table_columns)
    return shaped, tuple(_missing(conn, selection, shaped, rows))


def _read(conn: Connection, statement: str, schemas: Sequence[str]) -> tuple[_ByColumn, _ByColumn]:
    """Return statistics of tables alone, and those that include partitions and heirs."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SQL[statement], {"schemas": schemas}).fetchall()
    by_kind: dict[bool, dict[tuple[str, str, str], Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        by_kind[row["inherited"]][row["schema"], row["relation"], row["column"]] = row
    return by_kind[False], by_kind[True]


def _with_shape(
    column: ColumnFacts,
    shape: Mapping[str, Any] | None,
    values: Mapping[str, Any] | None,
    rows: int,
) -> ColumnFacts:
    if shape is None:
        return column
    distinct = shape["distinct"]
    column = replace(
        column,
        null_share=shape["null_share"],
        # A negative one is a share of the rows; 0 is unknown.
        distinct=None if not distinct else distinct if distinct > 0 else -distinct * rows,
        width=shape["width"],
        correlation=shape["correlation"],
    )
    if values is None:
        return column
    pairs = zip(values["common"] or (), values["shares"] or (), strict=False)
    return replace(column, common=tuple(pairs)[:_MOST_COMMON], bounds=tuple(values["bounds"] or ()))


def _merged(shapes: Sequence[tuple[int, Mapping[str, Any]]]) -> Mapping[str, Any] | None:
    """Return the shape of a column over partitions, each with its rows.

    Autovacuum analyzes partitions, but not the table that they form. Values that are a share of the
    rows differ from partition to partition; others are taken as the same ones.
    """
    total = sum(rows for rows, _ in shapes)
    if not total:
        return None

    def mean(name: str) -> float | None:
        weighted = [(rows, shape[name]) for rows, shape in shapes if shape[name] is not None]
        weight = sum(rows for rows, _ in weighted)
        return sum(rows * number for rows, number in weighted) / weight if weight else None

    growing = sum(-shape["distinct"] * rows for rows, shape in shapes if shape["distinct"] < 0)
    fixed = max((shape["distinct"] for _, shape in shapes), default=0)
    return {
        "null_share": mean("null_share"),
        "distinct": -growing / total if growing > fixed else fixed,
        "width": mean("width"),
        "correlation": mean("correlation"),
    }


def _missing(
    conn: Connection,
    selection: Selection,
    shaped: Mapping[int, tuple[ColumnFacts, ...]],
    rows: Mapping[int, int],
) -> Iterable[Missing]:
    """Yield why shapes of columns are missing."""

    def leaves(table: Relation) -> list[Relation]:
        return [part for part in selection.parts[table.oid] if part.kind == "r"]

    role = current_role(conn)
    what = "shapes of columns (null share, distinct values, width) of "
    unreadable = [t for t in selection.tables if not all(p.is_readable for p in leaves(t))]
    hidden = [t for t in selection.tables if any(p.hides_rows for p in leaves(t))]
    if unreadable:
        yield Missing(what + _names(unreadable), f"GRANT pg_read_all_data TO {role};")
    if hidden := [table for table in hidden if table not in unreadable]:
        remedy = f"ALTER ROLE {role} BYPASSRLS;"
        yield Missing(f"{what}{_names(hidden)}, since row-level security hides them", remedy)
    never = [
        table
        for table in selection.tables
        if table not in (*unreadable, *hidden)
        and all(column.width is None for column in shaped[table.oid])
        and any(rows[part.oid] for part in leaves(table))
    ]
    if never:
        tables = [quoted(conn, table.schema, table.relation) for table in never[:_NAMED_AT_MOST]]
        remedy = " ".join(f"ANALYZE {table};" for table in tables)
        yield Missing(f"{what}{_names(never)}, which were never analyzed", remedy)


def _names(relations: Sequence[Relation]) -> str:
    more = len(relations) - _NAMED_AT_MOST
    names = ", ".join(relation.name for relation in relations[:_NAMED_AT_MOST])
    return names + (f" and {more} more" if more > 0 else "")
