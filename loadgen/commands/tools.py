"""`loadgen tools`: the tools under test; those with a runner are run on this machine."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from loadgen.commands.numbers import number, whole
from loadgen.commands.tools_elsewhere import probe, snowflake_sql
from loadgen.config.settings import Settings, load_settings
from loadgen.control import ControlError, LoadControl
from loadgen.errors import PlaygroundError, SettingsError
from loadgen.tools.runners import runners
from loadgen.tools.runners.status import Status
from loadgen.tools.tools_file import Tool, chosen, load_tools

_EXAMPLE: Final = "example: loadgen tools start --wait 60 && loadgen tools status"
_BY: Final = "loadgen tools"
_POLL_SECONDS: Final = 0.2


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its own subcommands to the parser."""
    parser = subparsers.add_parser(
        "tools",
        help="the tools under test: lists and sets them up, runs the local ones",
        description="The tools of TOOLS_FILE. Those with a runner are run here: Postgres's own "
        "replication into a second embedded server, or dlt into DuckDB.",
        epilog=_EXAMPLE,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (action, text) in _ACTIONS.items():
        one = actions.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: loadgen tools {name}",
        )
        if action is not _list:
            one.add_argument("names", nargs="*", metavar="NAME", help="of tools (default: all)")
        if action in (_list, _status):
            one.add_argument("--json", action="store_true", help="print JSON instead of text")
        if action is _start:
            one.add_argument(
                "--wait",
                type=number("seconds", 86_400, or_zero=True),
                metavar="S",
                help="wait that long until the first copy is through",
            )
        if action is snowflake_sql:
            _add_snowflake_options(one)


def _add_snowflake_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teardown", action="store_true", help="print the reverse")
    parser.add_argument(
        "--credits",
        type=whole,
        default=50,
        metavar="N",
        help="credits at which a resource monitor stops all warehouses (default: 50)",
    )
    parser.add_argument(
        "--generation",
        type=int,
        choices=(1, 2),
        default=1,
        help="of all warehouses; an hour of the second costs more (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Do what `args.action` names."""
    settings = load_settings()
    tools = load_tools(settings)
    if not tools:
        raise SettingsError(
            f"there is no tool in {settings.tools_file}: copy tools.example.toml to it and "
            "uncomment the tools that run on this machine"
        )
    action, _ = _ACTIONS[args.action]
    return action(args, settings, _asked(tools, getattr(args, "names", [])))


def _asked(tools: tuple[Tool, ...], names: list[str]) -> tuple[Tool, ...]:
    """Return the tools named, else all. Raises SettingsError where there is none of a name."""
    return tuple(one for name in names for one in chosen(tools, name)) or tools


def _list(args: argparse.Namespace, _: Settings, tools: tuple[Tool, ...]) -> int:
    if args.json:
        print(json.dumps([_entry(tool) for tool in tools], indent=2))
        return 0
    width = max(len(tool.name) for tool in tools)
    for tool in tools:
        runs = f"runs here ({tool.runner})" if tool.runner else "runs elsewhere"
        print(f"{tool.name:{width}}  {tool.kind} into {tool.destination}, {runs}")
    return 0


def _entry(tool: Tool) -> dict[str, object]:
    kept = ("name", "kind", "destination", "runner", "slot", "interval_seconds")
    return {"schema": tool.schema_name} | {name: getattr(tool, name) for name in kept}


def _start(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Start the tools; one that can't be started keeps no other from it."""
    local = _local(args, tools)
    started = []
    code = 0
    for tool in local:
        try:
            ran = runners.status(tool).running
            runners.start(tool, settings)
        except PlaygroundError as exc:
            code = _fault(exc)
        else:
            started.append(tool)
            print(f"{tool.name} runs", flush=True)
            if not ran:
                _journal(settings, "tool_started", tool)
    if args.wait is not None:
        code = _wait(started, args.wait) or code
    return code


def _wait(tools: list[Tool], seconds: float) -> int:
    """Wait for the first copies; 1 where one is not through in time."""
    deadline = time.monotonic() + seconds
    for tool in tools:
        while not (found := runners.status(tool)).copied:
            if time.monotonic() > deadline:
                said = f": {found.problem}" if found.problem else ""
                print(f"{tool.name}: its first copy is not through in {seconds:g} s{said}")
                return 1
            time.sleep(_POLL_SECONDS)
        if found.initial is not None:
            took = (found.initial.caught_up_at - found.initial.began_at).total_seconds()
            print(
                f"{tool.name}: first copy of {found.initial.rows:,} rows in {took:.1f} s "
                f"({found.initial.rows_per_second:,.0f} rows/s)"
            )
    return 0


def _stop(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    code = 0
    for tool in _local(args, tools):
        try:
            ran = runners.stop(tool)
        except PlaygroundError as exc:
            code = _fault(exc)
        else:
            kept = ", its slot keeps the source's WAL" if tool.runner == "replication" else ""
            print(f"{tool.name}: " + (f"stopped; the copy stays{kept}" if ran else "did not run"))
            if ran:
                _journal(settings, "tool_stopped", tool)
    return code


def _journal(settings: Settings, kind: str, tool: Tool) -> None:
    """Have a load that runs write into its journal what happened to a tool."""
    with suppress(ControlError):  # without a load there is no journal
        LoadControl.of(settings).ask("journal", {"kind": kind, "tool": tool.name, "by": _BY})


def _status(args: argparse.Namespace, _: Settings, tools: tuple[Tool, ...]) -> int:
    """Say how the local tools are; 1 where one does not run, or has a problem."""
    found: dict[str, Status] = {}
    for tool in _local(args, tools):
        try:
            found[tool.name] = runners.status(tool)
        except PlaygroundError as exc:
            found[tool.name] = Status(running=False, problem=str(exc))
    if args.json:
        print(json.dumps({n: _plain(s) for n, s in found.items()}, indent=2))
    else:
        for name, state in found.items():
            print(f"{name}: {_sentence(state)}")
            if state.problem:
                print(f"  {state.problem}")
    return int(any(not one.running or one.problem for one in found.values()))


def _plain(status: Status) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(status), default=datetime.isoformat))
    if status.initial is not None:
        plain["initial"]["rows_per_second"] = round(status.initial.rows_per_second, 1)
    return plain


def _sentence(status: Status) -> str:
    said = ["running" if status.running else "not running"]
    said.append("first copy done" if status.copied else "first copy not done")
    if status.rows:
        said.append(f"{sum(status.rows.values()):,} rows")
    if status.last_received is not None:
        ago = (datetime.now(UTC) - status.last_received).total_seconds()
        said.append(f"last received {max(ago, 0):.0f} s ago")
    return ", ".join(said)


def _remove(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    code = 0
    for tool in _local(args, tools):
        try:
            runners.remove(tool, settings)
        except PlaygroundError as exc:
            code = _fault(exc)
        else:
            print(f"{tool.name}: removed, with its copy")
    return code


def _local(args: argparse.Namespace, tools: tuple[Tool, ...]) -> list[Tool]:
    """Return the tools with a runner; one that was named and has none is refused."""
    if args.names:
        for tool in tools:
            runners.require_runner(tool)
    local = [tool for tool in tools if tool.runner is not None]
    if not local:
        runners.require_runner(tools[0])
    return local


def _fault(exc: PlaygroundError) -> int:
    print(f"loadgen: error: {exc}", file=sys.stderr)
    return exc.exit_code


_ACTIONS: Final[
    dict[str, tuple[Callable[[argparse.Namespace, Settings, tuple[Tool, ...]], int], str]]
] = {
    "list": (_list, "say which tools there are, and which run here"),
    "start": (_start, "start the local tools, all or those named"),
    "stop": (_stop, "stop them; copies stay, and slots, which keep the source's WAL"),
    "status": (_status, "say how they are; exit code 1 if one does not run"),
    "remove": (_remove, "stop them and take away copies, servers and slots"),
    "probe": (probe, "look at the copies and propose their entries of tools.toml"),
    "snowflake-sql": (snowflake_sql, "print the SQL that sets tools up in Snowflake"),
}
