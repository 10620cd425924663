"""`loadgen tools`: lists the tools under test, runs the local ones, and helps to set up others."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from loadgen.commands.numbers import number, whole
from loadgen.config.settings import Settings, load_settings
from loadgen.control import ControlError, LoadControl
from loadgen.errors import DestinationError, PlaygroundError, SettingsError
from loadgen.record.resyncs import BEGAN, ENDED
from loadgen.source.embedded.server import source_dsn
from loadgen.terminal import print_table
from loadgen.text import NOTHING, Column, Table, count
from loadgen.tools.probe import recognise_landing, toml_entry
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.resync import copy_again
from loadgen.tools.runners import own_venv
from loadgen.tools.runners.lifecycle import remove_tool, start_tool, status_of, stop_tool
from loadgen.tools.runners.runners import runner_of
from loadgen.tools.runners.syncs import ToolStatus
from loadgen.tools.snowflake_setup import set_up, tear_down
from loadgen.tools.source_tables import SourceTable, identity_problem, published_tables
from loadgen.tools.tools_file import Tool, load_tools, select_tools

_EXAMPLE: Final = "example: loadgen tools start --wait 60 && loadgen tools status"
_BY: Final = "loadgen tools"
_POLL_SECONDS: Final = 0.2


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its own subcommands to the parser."""
    parser = subparsers.add_parser(
        "tools",
        help="list the tools under test, set them up, run the local ones",
        description="The tools of TOOLS_FILE. Those with a runner run on this machine: Postgres' "
        "logical replication into a second embedded server, dlt into DuckDB, or the reference pipe "
        "simplyload into DuckDB or Snowflake.",
        epilog=_EXAMPLE,
    )
    subcommands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (action, text) in _ACTIONS.items():
        subparser = subcommands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: loadgen tools {name}{' replication' if action is _resync else ''}",
        )
        if action is _resync:  # never all by mistake: it removes copies
            subparser.add_argument("names", nargs="+", metavar="NAME", help="names of tools")
        elif action is not _list:
            subparser.add_argument(
                "names", nargs="*", metavar="NAME", help="names of tools (default: all)"
            )
        if action in (_list, _status):
            subparser.add_argument("--json", action="store_true", help="print JSON, not a table")
        if action is _start:
            subparser.add_argument(
                "--wait",
                type=number("seconds", 86_400, or_zero=True),
                metavar="S",
                help="wait up to this long for the first copies to complete",
            )
        if action is _resync:
            subparser.add_argument(
                "--wait",
                type=number("seconds", 86_400),
                default=3600.0,
                metavar="S",
                help="wait up to this long for each copy to complete (default: 3600)",
            )
        if action is _snowflake_sql:
            _add_snowflake_options(subparser)


def _add_snowflake_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teardown", action="store_true", help="print the SQL that removes it all")
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
        help="generation of all warehouses; the second costs more an hour (default: 1)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the action of `args`."""
    settings = load_settings()
    tools = load_tools(settings)
    if not tools:
        raise SettingsError(
            f"there is no tool in {settings.tools_file}: copy tools.example.toml to it and "
            "uncomment the tools that run on this machine"
        )
    action, _ = _ACTIONS[args.action]
    names: list[str] = getattr(args, "names", [])
    selected = tuple(tool for name in names for tool in select_tools(tools, name))
    return action(args, settings, selected or tools)


def _list(args: argparse.Namespace, _: Settings, tools: tuple[Tool, ...]) -> int:
    if args.json:
        keys = ("name", "kind", "destination", "runner", "slot", "interval_seconds")
        entries = [
            {"schema": tool.schema_name} | {key: getattr(tool, key) for key in keys}
            for tool in tools
        ]
        print(json.dumps(entries, indent=2))
        return 0
    rows = tuple(
        (
            tool.name,
            tool.kind,
            tool.destination,
            f"here ({tool.runner})" if tool.runner else "elsewhere",
        )
        for tool in tools
    )
    columns = tuple(map(Column, ("tool", "kind", "destination", "runs")))
    print_table(Table(columns, rows))
    return 0


def _install(args: argparse.Namespace, _: Settings, tools: tuple[Tool, ...]) -> int:
    code = 0
    for tool in _local_tools(args, tools):
        try:
            needs = runner_of(tool).install(tool)
        except PlaygroundError as exc:
            code = _print_error(exc)
        else:
            print(f"{tool.name}: needs {needs}", flush=True)
    return code


def _start(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Start the tools; an error of one does not keep the others from starting."""
    started = []
    code = 0
    local = _local_tools(args, tools)
    if problem := identity_problem(_published(settings)):
        print(problem, flush=True)
    for tool in local:
        try:
            is_new = start_tool(tool, settings)
        except PlaygroundError as exc:
            code = _print_error(exc)
        else:
            started.append(tool)
            print(f"{tool.name} runs", flush=True)
            if is_new:
                _journal(settings, "tool_started", tool)
    if args.wait is not None:
        code = _wait_for_first_copies(started, args.wait) or code
    return code


def _published(settings: Settings) -> list[SourceTable]:
    source = PostgresReader(source_dsn(settings), is_source=True)
    try:
        return list(published_tables(source).values())
    finally:
        source.close()


def _wait_for_first_copies(tools: list[Tool], seconds: float) -> int:
    """Wait for the first copies; return 1 if one is not complete in time."""
    deadline = time.monotonic() + seconds
    for tool in tools:
        while not (status := status_of(tool)).copied:
            if time.monotonic() > deadline:
                problem = f": {status.problem}" if status.problem else ""
                print(f"{tool.name}: its first copy is not complete after {seconds:g} s{problem}")
                return 1
            time.sleep(_POLL_SECONDS)
        if status.initial is not None:
            copied_in = (status.initial.caught_up_at - status.initial.began_at).total_seconds()
            print(
                f"{tool.name}: first copy of {status.initial.rows:,} rows in {copied_in:.1f} s "
                f"({status.initial.rows_per_second:,.0f} rows/s)"
            )
    return 0


def _stop(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    code = 0
    for tool in _local_tools(args, tools):
        try:
            was_running = stop_tool(tool)
        except PlaygroundError as exc:
            code = _print_error(exc)
            continue
        if was_running:
            slot = ", its slot keeps the source's WAL" if tool.slot_read else ""
            print(f"{tool.name}: stopped; the copy stays{slot}")
            _journal(settings, "tool_stopped", tool)
        else:
            print(f"{tool.name}: did not run")
    return code


def _resync(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Let the tools copy everything again, one after the other, and record that in the run."""
    code = 0
    for tool in _local_tools(args, tools):
        began = time.monotonic()
        try:
            rows = copy_again(tool, settings, args.wait, partial(_journal, settings, BEGAN, tool))
        except PlaygroundError as exc:
            code = _print_error(exc)
            continue
        seconds = time.monotonic() - began
        recorded = _journal(settings, ENDED, tool, rows=rows)
        note = "" if recorded else "; no load runs now, so no run has it"
        print(f"{tool.name}: {rows:,} rows copied again in {seconds:.1f} s{note}", flush=True)
    return code


def _journal(settings: Settings, kind: str, tool: Tool, **details: object) -> bool:
    """Add what happened to a tool to the journal of a running load; return whether there is one."""
    entry = {"kind": kind, "tool": tool.name, "by": _BY, **details}
    try:
        LoadControl.of(settings).ask("journal", entry)
    except ControlError:
        return False
    return True


def _status(args: argparse.Namespace, _: Settings, tools: tuple[Tool, ...]) -> int:
    """Print the state of the local tools; return 1 if one does not run or has a problem."""
    statuses: dict[str, ToolStatus] = {}
    local = _local_tools(args, tools)
    for tool in local:
        try:
            statuses[tool.name] = status_of(tool)
        except PlaygroundError as exc:
            statuses[tool.name] = ToolStatus(running=False, problem=str(exc))
    if args.json:
        pids = {tool.name: list(runner_of(tool).processes(tool)) for tool in local}
        plain = {name: _status_json(s) | {"pids": pids[name]} for name, s in statuses.items()}
        print(json.dumps(plain, indent=2))
    else:
        _print_statuses(statuses)
    return int(any(not status.running or status.problem for status in statuses.values()))


def _status_json(status: ToolStatus) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(status), default=datetime.isoformat))
    if status.initial is not None:
        plain["initial"]["rows_per_second"] = round(status.initial.rows_per_second, 1)
    return plain


def _print_statuses(statuses: dict[str, ToolStatus]) -> None:
    rows = []
    for name, status in statuses.items():
        received = "-"
        if status.last_received is not None:
            seconds = (datetime.now(UTC) - status.last_received).total_seconds()
            received = f"{max(seconds, 0):.0f} s ago"
        state = "running" if status.running else "not running"
        first_copy = "done" if status.copied else "not done"
        copied_rows = count(sum(status.rows.values()))
        position = status.position or NOTHING
        rows.append((name, state, first_copy, copied_rows, received, position))
    columns = (
        *map(Column, ("tool", "state", "first copy")),
        Column("rows", number=True),
        Column("last received", number=True),
        Column("position"),
    )
    print_table(Table(columns, tuple(rows)))
    for name, status in statuses.items():
        if status.problem:
            print(f"{name}: {status.problem}")


def _remove(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    code = 0
    for tool in _local_tools(args, tools):
        try:
            remove_tool(tool, settings)
        except PlaygroundError as exc:
            code = _print_error(exc)
        else:
            venv = tool.folder / own_venv.FOLDER
            programs = f"; its programs stay in {venv}" if venv.exists() else ""
            print(f"{tool.name}: removed, with its copy{programs}")
    return code


def _local_tools(args: argparse.Namespace, tools: tuple[Tool, ...]) -> list[Tool]:
    """Return the tools with a runner. Raises SettingsError for a named tool without one."""
    if args.names:
        for tool in tools:
            runner_of(tool)
    local = [tool for tool in tools if tool.runner is not None]
    if not local:
        runner_of(tools[0])
    return local


def _print_error(exc: PlaygroundError) -> int:
    print(f"loadgen: error: {exc}", file=sys.stderr)
    return exc.exit_code


def _probe(_: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Print the entry of tools.toml that each tool's copy suggests."""
    with ExitStack() as stack:
        source = PostgresReader(source_dsn(settings), is_source=True)
        stack.callback(source.close)
        tables = published_tables(source)
        for position, tool in enumerate(tools):
            reader = open_copy(tool, settings)
            stack.callback(reader.close)
            try:
                with reader.reading():
                    copies = {schema: reader.tables(schema) for schema in reader.schemas()}
            except DestinationError as exc:
                raise DestinationError(f"tool {tool.name}: {exc}") from exc
            landing = recognise_landing(tool, tables, copies)
            if landing is None:
                raise DestinationError(
                    f"tool {tool.name}: no schema of {reader.where} has a table like "
                    f"{', '.join(tables)} (schemas: {', '.join(copies) or 'none'}): let the tool "
                    "sync first, and let our user see its tables"
                )
            print(("\n" if position else "") + toml_entry(tool, landing, reader.where), end="")
    return 0


def _snowflake_sql(args: argparse.Namespace, settings: Settings, tools: tuple[Tool, ...]) -> int:
    """Print the SQL that an administrator runs before a study, or after it."""
    if args.teardown:
        print(tear_down(tools, settings, shared_too=not args.names), end="")
    else:
        print(set_up(tools, settings, quota=args.credits, generation=args.generation), end="")
    return 0


_ACTIONS: Final[
    dict[str, tuple[Callable[[argparse.Namespace, Settings, tuple[Tool, ...]], int], str]]
] = {
    "list": (_list, "list the tools, and which of them run here"),
    "install": (_install, "install what the local tools need, each in its own folder"),
    "start": (_start, "start the local tools, all or those named"),
    "stop": (_stop, "stop them; copies stay, and slots, which keep the source's WAL"),
    "resync": (_resync, "remove copies, and have the tools named copy everything again, timed"),
    "status": (_status, "show their state and position; exit code 1 if one does not run"),
    "remove": (_remove, "stop them, and remove their copies, servers and slots"),
    "probe": (_probe, "inspect the copies and propose their entries of tools.toml"),
    "snowflake-sql": (_snowflake_sql, "print the SQL that sets tools up in Snowflake"),
}
