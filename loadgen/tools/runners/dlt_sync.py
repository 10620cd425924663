"""One sync by dlt: rows whose updated_at has advanced since the last one, merged into DuckDB."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
from dlt.sources.sql_database import sql_table
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from loadgen.errors import SourceError
from loadgen.source.postgres import connect
from loadgen.sql import statements
from loadgen.tools.conventions import SOURCE_SCHEMA
from loadgen.tools.tools_file import Tool


def sync(tool: Tool, source: str) -> dict[str, int]:
    """Sync once and return the rows moved, by table. Raises PlaygroundError, or what dlt raises."""
    tables = _tables(source)
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(source, autocommit=False, application_name="loadgen dlt"),
        poolclass=NullPool,
    )
    resources = [
        sql_table(
            engine,
            table,
            SOURCE_SCHEMA,
            incremental=dlt.sources.incremental("updated_at"),
            primary_key="id",
            write_disposition="merge",
            reflection_level="full_with_precision",
        )
        for table in tables
    ]
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
    return {table: counts.get(table, 0) for table in tables}


def _tables(source: str) -> list[str]:
    with connect(source) as conn:
        rows = conn.execute(statements("loadgen.source", "catalogue.sql")["published"]).fetchall()
    tables = [str(name) for (name,) in rows if name is not None]
    if not tables:
        raise SourceError("the source has no publication `loadgen`: run `loadgen seed` first")
    return tables


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Hold the file's lock, so that readers wait until DuckDB has closed it.

    It blocks instead of polling: readers release the lock for a moment only.
    """
    with file.with_name(f"{file.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
