"""One sync by dlt of all published tables into DuckDB: new and changed rows, or whole tables.

A table with a cursor column is read from the highest value seen on, and merged by its key, or
appended if it has none. Any other table is replaced as a whole.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dlt
from dlt.extract import DltResource
from dlt.sources.sql_database import sql_table
from psycopg.types.string import TextLoader
from sqlalchemy import Engine, Table, Text, create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import NullPool
from sqlalchemy.types import ARRAY, TIME

from loadgen.source.postgres import Session, connect
from loadgen.tools.source_tables import SourceTable
from loadgen.tools.tools_file import Tool

CURSOR_COLUMNS: Final = ("updated_at",)  # default of cursor_columns

# dlt can't store the values of these types, or splits them, unless they are texts: their names in
# Postgres, and their classes in SQLAlchemy, which has none for timetz.
_TEXT_TYPES: Final = (
    *("inet", "cidr", "interval", "timetz"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
    *("int4multirange", "int8multirange", "nummultirange"),
    *("datemultirange", "tsmultirange", "tstzmultirange"),
)
_TEXT_CLASSES: Final = (
    *(postgresql.INET, postgresql.CIDR, postgresql.INTERVAL),
    *(postgresql.ranges.AbstractRange, postgresql.ranges.AbstractMultiRange),
)


def sync(tool: Tool, source: str, tables: Sequence[SourceTable]) -> dict[str, int]:
    """Sync once and return the rows moved, by table. Raises PlaygroundError, or what dlt raises."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: _connect(source), poolclass=NullPool
    )
    resources = [_resource(tool, engine, table) for table in tables]
    file = tool.duckdb_file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    pipeline = dlt.pipeline(
        tool.name,
        pipelines_dir=str((tool.folder / "dlt" / "pipelines").resolve()),
        destination=dlt.destinations.duckdb(str(file)),
        dataset_name=tool.schema_name,
    )
    with _writing(file):
        if pipeline.has_pending_data:
            # The files of a killed sync may block all later ones. The copy itself holds the state
            # of the last complete load, from which the next one starts.
            pipeline = pipeline.drop()
        pipeline.run(resources)
    trace = pipeline.last_trace
    counts = trace.last_normalize_info.row_counts if trace and trace.last_normalize_info else {}
    names = {t.label: tool.convention.table_name(t.name, folds_to="lower") for t in tables}
    return {label: counts.get(name, 0) for label, name in names.items()}


def _resource(tool: Tool, engine: Engine, table: SourceTable) -> DltResource:
    """Return how dlt reads and writes a table."""
    how: dict[str, Any] = {"write_disposition": "replace"}
    if table.key:
        how["primary_key"] = table.key
    cursor = _cursor_column(tool, table)
    if cursor is not None:
        how["write_disposition"] = "merge" if table.key else "append"
        how["incremental"] = dlt.sources.incremental(
            cursor if cursor.isidentifier() else f"['{cursor}']",
            on_cursor_value_missing="include",  # such a row may have changed each time
        )
    return sql_table(
        engine,
        table.name,
        table.schema,
        reflection_level="full_with_precision",
        table_adapter_callback=_declare_texts,
        **how,
    )


def _cursor_column(tool: Tool, table: SourceTable) -> str | None:
    """Return the column that tells which rows have changed; None if the table has none.

    Rows without a value look the same in a table without a key.
    """
    columns = {column.name: column for column in table.columns}
    for name in CURSOR_COLUMNS if tool.cursor_columns is None else tool.cursor_columns:
        if name in columns and (table.key or not columns[name].nullable):
            return name
    return None


def _connect(source: str) -> Session:
    """Return a connection whose values of some types are as Postgres prints them."""
    connection = connect(source, autocommit=False, application_name="loadgen dlt")
    for name in _TEXT_TYPES:
        connection.adapters.register_loader(name, TextLoader)
    return connection


def _declare_texts(table: Table) -> None:
    """Declare as text what the connection returns as text."""
    for column in table.columns:
        is_array = isinstance(column.type, ARRAY)
        element = column.type.item_type if isinstance(column.type, ARRAY) else column.type
        element = getattr(element, "data_type", element)  # of a domain
        if isinstance(element, _TEXT_CLASSES) or (isinstance(element, TIME) and element.timezone):
            column.type = ARRAY(Text) if is_array else Text()


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Hold the file's lock, so that readers wait until DuckDB has closed it.

    It blocks instead of polling: readers release the lock for a moment only.
    """
    with file.with_name(f"{file.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
