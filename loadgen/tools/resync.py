"""Makes a local tool copy everything again, and waits until its copy is complete."""

import time
from collections.abc import Callable
from typing import Final

from loadgen.config.settings import Settings
from loadgen.errors import DestinationError
from loadgen.tools.runners.lifecycle import remove_tool, start_tool, status_of
from loadgen.tools.tools_file import Tool

_POLL_SECONDS: Final = 0.2


def copy_again(tool: Tool, settings: Settings, seconds: float, began: Callable[[], object]) -> int:
    """Remove the tool's copy, start it again, and return the rows of its new first copy.

    `began` is called before the copy is removed. Raises PlaygroundError if the tool has no complete
    copy, or not again after so many seconds; it then continues to copy.
    """
    if not status_of(tool).copied:
        raise DestinationError(
            f"tool {tool.name} has no complete copy yet: `loadgen tools start --wait S "
            f"{tool.name}` makes one"
        )
    began()
    remove_tool(tool, settings)
    start_tool(tool, settings)
    deadline = time.monotonic() + seconds
    while not (status := status_of(tool)).copied:
        if time.monotonic() > deadline:
            problem = f": {status.problem}" if status.problem else ""
            raise DestinationError(
                f"tool {tool.name}: its copy is not complete after {seconds:g} s{problem}"
            )
        time.sleep(_POLL_SECONDS)
    return status.initial.rows if status.initial else sum(status.rows.values())
