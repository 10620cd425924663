"""The runner "simplyload": starts and stops the process, and removes all that it made."""

from importlib.util import find_spec
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError, SourceError, install_hint
from loadgen.source.embedded.server import source_dsn
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners import background, sync_process
from loadgen.tools.runners.simplyload.slot import FIRST_COPY, POSITION, Source
from loadgen.tools.runners.syncs import FILE, ToolStatus
from loadgen.tools.source_tables import name_conflicts, published_tables
from loadgen.tools.tools_file import Tool

MODULE: Final = "loadgen.tools.runners.simplyload"


def install(tool: Tool) -> str:
    """Check that the packages are there: extras of this project. Raises DestinationError."""
    needed = {"duckdb": True, "boto3": tool.bucket, "snowflake": tool.destination == "snowflake"}
    extras = {"duckdb": "duckdb", "boto3": "aws", "snowflake": "snowflake"}
    for package in (name for name, is_needed in needed.items() if is_needed):
        if not find_spec(package):
            hint = install_hint(extras[package], package)
            raise DestinationError(f"tool {tool.name}: {package} is not installed: {hint}")
    return "duckdb, which is installed with loadgen's extra `duckdb`"


def start(tool: Tool, settings: Settings) -> None:
    """Start the tool's process, unless it runs. Raises PlaygroundError."""
    install(tool)
    reader = PostgresReader(source_dsn(settings), is_source=True)
    try:
        tables = published_tables(reader).values()
    finally:
        reader.close()
    if conflicts := name_conflicts(tool, tables):
        raise SourceError(f"tool {tool.name}: {next(iter(conflicts.values()))}")
    tool.folder.mkdir(parents=True, exist_ok=True)
    background.launch(tool.folder, MODULE, tool.name)


def stop(tool: Tool) -> bool:
    """End the tool's process after its current sync; copy and slot stay."""
    return background.stop(tool.folder)


def status(tool: Tool) -> ToolStatus:
    """Return the tool's state from its files, without opening the copy."""
    return sync_process.status_of(tool, _position(tool))


def processes(tool: Tool) -> tuple[int, ...]:
    """Return the tool's process; none if it does not run."""
    return sync_process.processes_of(tool)


def remove(tool: Tool, settings: Settings) -> None:
    """Stop the tool, and remove slot, staged files, copy and state. Raises PlaygroundError."""
    stop(tool)
    with Source.connected(source_dsn(settings), tool.runner_slot) as source:
        source.drop_slot()
    if tool.folder.exists():
        from loadgen.tools.runners.simplyload.pipe import open_pipe  # noqa: PLC0415 - needs duckdb

        pipe = open_pipe(tool, settings)
        pipe.bucket.clear()
        pipe.destination.remove()
    for name in (FIRST_COPY, POSITION, FILE, background.PID_FILE, background.LOG):
        (tool.folder / name).unlink(missing_ok=True)
    for file in tool.folder.glob(".*.tmp"):  # of a killed process
        file.unlink(missing_ok=True)


def _position(tool: Tool) -> str | None:
    file = tool.folder / POSITION
    return file.read_text(encoding="utf-8") if file.exists() else None
