"""Starts, stops and removes a local tool by its runner."""

from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.source.embedded.server import source_dsn
from loadgen.tools.runners import dlt_runner, replication
from loadgen.tools.runners.syncs import ToolStatus
from loadgen.tools.tools_file import Tool

_ELSEWHERE: Final = (
    "tool {name} has no runner here: set it up and start it with {kind}, and give it the source's "
    "address from `loadgen db dsn` or DATABASE_URL"
)


def start(tool: Tool, settings: Settings) -> None:
    """Start the tool. Raises PlaygroundError."""
    source = source_dsn(settings)
    if require_runner(tool) == "replication":
        replication.start(tool, source, settings.pg_bin)
    else:
        dlt_runner.start(tool)


def stop(tool: Tool) -> bool:
    """Stop the tool, and keep its copy; return whether it ran."""
    if require_runner(tool) == "replication":
        return replication.stop(tool)
    return dlt_runner.stop(tool)


def status(tool: Tool) -> ToolStatus:
    """Return the tool's state. Raises PlaygroundError."""
    if require_runner(tool) == "replication":
        return replication.status(tool)
    return dlt_runner.status(tool)


def remove(tool: Tool, settings: Settings) -> None:
    """Remove the tool's copy and state, at the source too. Raises PlaygroundError."""
    if require_runner(tool) == "replication":
        replication.remove(tool, source_dsn(settings))
    else:
        dlt_runner.remove(tool)


def require_runner(tool: Tool) -> str:
    """Return the runner of a tool. Raises SettingsError if it has none."""
    if tool.runner is None:
        raise SettingsError(_ELSEWHERE.format(name=tool.name, kind=tool.kind))
    return tool.runner
