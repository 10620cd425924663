"""The runners of local tools, by the name that tools.toml gives them."""

from typing import Final, Protocol

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.tools.runners import dlt_runner, replication
from loadgen.tools.runners.syncs import ToolStatus
from loadgen.tools.tools_file import Tool

_ELSEWHERE: Final = (
    "tool {name} has no runner here: set it up and start it with {kind}, and give it the source's "
    "address from `loadgen db dsn` or DATABASE_URL"
)


class Runner(Protocol):
    """What a module that runs a tool on this machine offers; each function raises PlaygroundError.

    The module's tool copies the source's publication into `tool.folder`.
    """

    def start(self, tool: Tool, settings: Settings) -> None:
        """Start the tool; it continues where it stopped."""

    def stop(self, tool: Tool) -> bool:
        """Stop the tool, and keep its copy; return whether it ran."""

    def status(self, tool: Tool) -> ToolStatus:
        """Return the tool's state."""

    def pids(self, tool: Tool) -> tuple[int, ...]:
        """Return the processes that the tool's others descend from; none if it does not run."""

    def remove(self, tool: Tool, settings: Settings) -> None:
        """Remove the tool's copy and state, at the source too."""


RUNNERS: Final[dict[str, Runner]] = {"replication": replication, "dlt": dlt_runner}


def runner_of(tool: Tool) -> Runner:
    """Return the runner of a tool. Raises SettingsError if it has none."""
    if tool.runner is None:
        raise SettingsError(_ELSEWHERE.format(name=tool.name, kind=tool.kind))
    return RUNNERS[tool.runner]
