"""Starts, stops and removes local tools, and tells a crash from a stop.

From its start to its stop a tool's folder has a file with the time of the start. So a tool that has
the file and no process has crashed, or was killed, whatever runs it.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadgen.config.settings import Settings
from loadgen.record.files import replace_file
from loadgen.tools.runners.runners import runner_of
from loadgen.tools.runners.syncs import ToolStatus
from loadgen.tools.tools_file import Tool

_STARTED: Final = "started"


def start_tool(tool: Tool, settings: Settings) -> bool:
    """Start the tool unless it runs; return whether it did not run. Raises PlaygroundError."""
    runner = runner_of(tool)
    was_running = runner.status(tool).running
    runner.start(tool, settings)
    if not was_running or _started(tool) is None:
        replace_file(_file(tool), datetime.now(UTC).isoformat().encode())
    return not was_running


def stop_tool(tool: Tool) -> bool:
    """Stop the tool, and keep its copy; return whether it ran. Raises PlaygroundError."""
    runner = runner_of(tool)
    _file(tool).unlink(missing_ok=True)  # before its processes end
    return runner.stop(tool)


def remove_tool(tool: Tool, settings: Settings) -> None:
    """Stop the tool, and remove its copy and state. Raises PlaygroundError."""
    runner = runner_of(tool)
    _file(tool).unlink(missing_ok=True)
    runner.remove(tool, settings)


def status_of(tool: Tool) -> ToolStatus:
    """Return the tool's state, with a problem if it has crashed. Raises PlaygroundError."""
    status = runner_of(tool).status(tool)
    if status.running or _started(tool) is None:
        return status
    crashed = (
        f"it has crashed or was killed: see the logs in {tool.folder}, then `loadgen tools start "
        f"{tool.name}`"
    )
    return replace(status, problem=crashed)


def living_processes(tool: Tool) -> tuple[tuple[int, ...], bool]:
    """Return the tool's processes, and whether it has crashed. Raises PlaygroundError."""
    before = _started(tool)
    processes = runner_of(tool).processes(tool)
    # The file is read twice: a stop, or a stop and a start, may come in between.
    return processes, not processes and before is not None and before == _started(tool)


def _started(tool: Tool) -> str | None:
    try:
        return _file(tool).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _file(tool: Tool) -> Path:
    return tool.folder / _STARTED
