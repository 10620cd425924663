"""The runners of local tools, by the name that tools.toml gives them.

A runner is a module of this package, or an entry point of another package in the group
`loadgen.runners`: a module or an object with the functions of `Runner`.
"""

from importlib.metadata import EntryPoint
from typing import Final, Protocol, cast

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError, one_line, suggest
from loadgen.text import listed
from loadgen.tools.runners import dlt_runner, replication, rivet
from loadgen.tools.runners.simplyload import runner as simplyload
from loadgen.tools.runners.syncs import ToolStatus
from loadgen.tools.tools_file import Tool, installed_runners, runner_names

_ELSEWHERE: Final = (
    "tool {name} has no runner here: set it up and start it with {kind}, and give it the source's "
    "address from `loadgen db dsn` or DATABASE_URL"
)


class Runner(Protocol):
    """What runs a tool on this machine; each function raises PlaygroundError.

    The tool copies the source's publication, and keeps its state in `tool.folder`. If it reads a
    slot, that is `tool.runner_slot`.
    """

    def install(self, tool: Tool) -> str:
        """Install what the tool needs, unless it is installed; return what it needs, in a line."""

    def start(self, tool: Tool, settings: Settings) -> None:
        """Start the tool, unless it runs; it continues where it stopped."""

    def stop(self, tool: Tool) -> bool:
        """Stop the tool, and keep its copy; return whether it ran."""

    def status(self, tool: Tool) -> ToolStatus:
        """Return the tool's state, among it whether the first copy is done, and its position."""

    def processes(self, tool: Tool) -> tuple[int, ...]:
        """Return the processes that the tool's others descend from; none if it does not run."""

    def remove(self, tool: Tool, settings: Settings) -> None:
        """Remove the tool's copy and state, at the source too; what was installed may stay."""


RUNNERS: Final[dict[str, Runner]] = {
    "replication": replication,
    "dlt": dlt_runner,
    "rivet": rivet,
    "simplyload": simplyload,
}
_FUNCTIONS: Final = [name for name in vars(Runner) if not name.startswith("_")]


def runner_of(tool: Tool) -> Runner:
    """Return the runner of a tool. Raises SettingsError if it has none, or it can't be used."""
    if tool.runner is None:
        raise SettingsError(_ELSEWHERE.format(name=tool.name, kind=tool.kind))
    if tool.runner in RUNNERS:
        return RUNNERS[tool.runner]
    offered = [entry for entry in installed_runners() if entry.name == tool.runner]
    if len(offered) != 1:
        packages = ", ".join(map(_package, offered))
        problem = f"is of several packages, {packages}: uninstall all but one"
        if not offered:
            problem = f"is not installed: {suggest(tool.runner, runner_names())}"
        raise SettingsError(f"tool {tool.name}: runner {tool.runner} {problem}")
    return _loaded(offered[0], tool)


def _loaded(entry: EntryPoint, tool: Tool) -> Runner:
    whose = f"tool {tool.name}: runner {entry.name} of package {_package(entry)}"
    try:
        runner = entry.load()
    except Exception as exc:  # a package of others may fail in any way
        raise SettingsError(
            f"{whose} can't be imported from {entry.value} ({type(exc).__name__}: "
            f"{one_line(exc)}): repair or uninstall the package"
        ) from exc
    lacking = [name for name in _FUNCTIONS if not callable(getattr(runner, name, None))]
    if lacking:
        raise SettingsError(
            f"{whose} lacks {listed(lacking)}: it has to have the functions of Runner in "
            "loadgen/tools/runners/runners.py"
        )
    return cast("Runner", runner)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "(unknown)"
