"""Runner "dlt": new and changed rows by a cursor, merged into DuckDB, every so many seconds.

`python -m loadgen.tools.runners.dlt_runner NAME` is the process that syncs. It misses changes
that a cursor can't see: hard deletes and late commits.
"""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import (
    DestinationError,
    PlaygroundError,
    SourceError,
    install_hint,
)
from loadgen.source.embedded.server import source_dsn
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners import background, sync_process
from loadgen.tools.runners.sync_process import SyncOnce, run_syncs
from loadgen.tools.runners.syncs import FILE, ToolStatus, last_success, read_syncs
from loadgen.tools.source_tables import SourceTable, name_conflicts, published_tables
from loadgen.tools.tools_file import Tool

MODULE: Final = "loadgen.tools.runners.dlt_runner"


def install(tool: Tool) -> str:
    """Check that dlt is there: an extra of this project. Raises DestinationError."""
    if not all(find_spec(package) for package in ("dlt", "duckdb", "sqlalchemy")):
        raise DestinationError(
            f"tool {tool.name}: dlt is not installed: {install_hint('demo', 'dlt and sqlalchemy')}"
        )
    return "dlt, which is installed with loadgen's extra `demo`"


def start(tool: Tool, settings: Settings) -> None:
    """Start the tool's process, unless it runs. Raises PlaygroundError."""
    install(tool)
    synced_tables(tool, source_dsn(settings))
    tool.folder.mkdir(parents=True, exist_ok=True)
    background.launch(tool.folder, MODULE, tool.name)


def stop(tool: Tool) -> bool:
    """End the tool's process, and keep the copy; return whether it ran."""
    return background.stop(tool.folder)


def status(tool: Tool) -> ToolStatus:
    """Return the tool's state from its files, without opening the copy."""
    last = last_success(read_syncs(tool.folder))
    # A sync reads what was committed before it began.
    position = last.began_at.isoformat(timespec="milliseconds") if last else None
    return sync_process.status_of(tool, position)


def processes(tool: Tool) -> tuple[int, ...]:
    """Return the process that syncs; none if it does not run."""
    return sync_process.processes_of(tool)


def remove(tool: Tool, _settings: Settings) -> None:
    """Stop the tool, and remove its copy and state."""
    stop(tool)
    copy = tool.duckdb_file
    for name in (copy.name, f"{copy.name}.wal", f"{copy.name}.lock"):
        copy.with_name(name).unlink(missing_ok=True)
    for name in (FILE, background.PID_FILE, background.LOG):
        (tool.folder / name).unlink(missing_ok=True)
    shutil.rmtree(tool.folder / "dlt", ignore_errors=True)


def synced_tables(tool: Tool, source: str) -> tuple[SourceTable, ...]:
    """Return the published tables. Raises SourceError if two would land under one name."""
    reader = PostgresReader(source, is_source=True)
    try:
        tables = tuple(published_tables(reader).values())
    finally:
        reader.close()
    if conflicts := name_conflicts(tool, tables):
        raise SourceError(f"tool {tool.name}: {next(iter(conflicts.values()))}")
    return tables


def prepare(tool: Tool) -> SyncOnce:
    """Return what syncs the tool once; dlt is imported only here, in its process."""
    configure_dlt(tool.folder)
    from loadgen.tools.runners.dlt_sync import sync  # noqa: PLC0415 - slow to import

    return lambda tool, source: sync(tool, source, synced_tables(tool, source))


def configure_dlt(folder: Path) -> None:
    """Confine dlt to the tool's folder, without telemetry; call it before dlt is imported."""
    os.environ.update(
        DLT_DATA_DIR=str((folder / "dlt").resolve()),
        DLT_PROJECT_DIR=str((folder / "dlt").resolve()),
        RUNTIME__DLTHUB_TELEMETRY="false",
        LOAD__DELETE_COMPLETED_JOBS="true",
    )


if __name__ == "__main__":
    try:
        sys.exit(run_syncs(sys.argv[1], prepare))
    except PlaygroundError as exc:
        print(exc)  # noqa: T201 - to the log
        sys.exit(exc.exit_code)
