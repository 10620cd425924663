"""`loadgen verify`: reconciles each tool's copy with the source, row by row, column by column."""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from loadgen.commands.numbers import number
from loadgen.destination.copies import MarkerProbe, open_copy
from loadgen.destination.door import Door
from loadgen.destination.postgres_door import PostgresDoor
from loadgen.destination.tools_file import Tool, chosen, load_tools
from loadgen.door_client import door_url
from loadgen.errors import PlaygroundError, RecordError, SettingsError
from loadgen.record import RunRecord
from loadgen.record_reader import Run, find_run, load_run, read_deletes, read_verify
from loadgen.settings import Settings, load_settings
from loadgen.source.locate import source_dsn
from loadgen.source.observe import current_run
from loadgen.source.postgres import connect
from loadgen.tools.syncs import initial_sync_of
from loadgen.verify.compare import Progress
from loadgen.verify.deletes import Deletes, deletes_of
from loadgen.verify.drain import Load, rested, wait_for_sentinel, write_sentinel
from loadgen.verify.outcome import ToolOutcome, document, exit_code
from loadgen.verify.reconcile import Asked, load_runs, published, reconcile

_EXAMPLE: Final = "example: loadgen verify --drain --tool fivetran"
_LAG: Final = 30.0  # seconds, where nothing tells how long a tool takes
_DRAIN: Final = 300.0
_TOLD_EVERY: Final = 2.0  # seconds between two words of progress


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "verify",
        help="reconciles each tool's copy with the source, row by row and column by column",
        description="Compares every row and column of the tools in TOOLS_FILE with the source and "
        "names what is wrong by kind, key and column; verify.json in the run's folder. While a "
        "load writes, and --lag seconds after, what was touched last is in flight, not wrong. Exit "
        "code 1 if something is wrong, 2 if a copy could not be checked.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--tool", metavar="NAME", help="only this one (default: all)")
    parser.add_argument(
        "--drain",
        action="store_true",
        help="pause the load, wait until a sentinel row is at every destination, then compare",
    )
    parser.add_argument(
        "--drain-seconds",
        type=number("seconds", 86_400, or_zero=True),
        default=_DRAIN,
        metavar="S",
        help=f"how long the sentinel is waited for (default: {_DRAIN:g})",
    )
    parser.add_argument(
        "--lag",
        type=number("seconds", 86_400, or_zero=True),
        metavar="S",
        help="seconds that a delivery may take (default: two intervals of a local tool and 5 s, "
        f"else {_LAG:g})",
    )
    parser.add_argument("--mask", action="store_true", help="hide texts and JSON in findings")
    parser.add_argument("--url", metavar="U", help="the load's address, for --drain")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Verify and show; 1 if something is wrong, 2 if a copy could not be checked, else 0."""
    settings = load_settings()
    tools = chosen(load_tools(settings), args.tool)
    if not tools:
        raise SettingsError(
            "there is no tool to verify: copy tools.example.toml to "
            f"{settings.tools_file} and name yours there"
        )
    dsn = source_dsn(settings, start=False)
    record = _record(settings, dsn)
    outcomes = _outcomes(args, settings, tools, dsn, record)
    found = document(outcomes, read_verify(record.path) if record else None)
    if record is not None:
        RunRecord.open(record.path).write_verify(found)
    if args.json:
        print(json.dumps(document(outcomes), indent=2, ensure_ascii=False))
    else:
        from loadgen.commands.verify_shown import show  # noqa: PLC0415 - tables are slow to import

        show(outcomes)
        if record is not None:
            print(f"kept in {record.path / 'verify.json'}")
    return exit_code(outcomes)


def _record(settings: Settings, dsn: str) -> Run | None:
    """Return the last run if it is this database's; None where there is none."""
    with connect(dsn) as conn:
        run_id = current_run(conn)
    try:
        return load_run(find_run(settings.reports_dir, run_id)) if run_id else None
    except RecordError:
        return None


@dataclass(slots=True)
class _Copies:
    """The doors to the copies, and what was wrong with those that are none."""

    doors: dict[str, Door] = field(default_factory=dict)
    refused: dict[str, ToolOutcome] = field(default_factory=dict)


def _outcomes(
    args: argparse.Namespace,
    settings: Settings,
    tools: tuple[Tool, ...],
    dsn: str,
    record: Run | None,
) -> dict[str, ToolOutcome]:
    """Return what was found of each tool, in the order of the file."""
    url = args.url or door_url(settings)
    with ExitStack() as held:
        source = PostgresDoor(dsn, is_source=True)
        held.callback(source.close)
        tables = published(source)
        runs = load_runs(source)
        copies = _copies(tools, settings, held)
        late: list[str] = []
        if args.drain:
            held.enter_context(rested(Load(url, runs), _say))
            there = [tool for tool in tools if tool.name in copies.doors]
            late = _drained(args, settings, there, dsn)
        outcomes: dict[str, ToolOutcome] = {}
        for tool in tools:
            if tool.name in copies.refused:
                outcomes[tool.name] = copies.refused[tool.name]
                continue
            lag = _lag(args, tool)
            if not (runs or args.drain):
                lag = max(0.0, lag - _rested_seconds(record))
            tell = _Tell(tool.name, time.monotonic(), shown=not args.json)
            asked = Asked(lag, args.mask, _deletes(record, tool), tell)
            found = reconcile(tool, source, tables, copies.doors[tool.name], asked)
            waited = args.drain_seconds if tool.name in late else None
            outcomes[tool.name] = replace(
                found, unconverged_seconds=waited, initial_sync=initial_sync_of(tool.folder)
            )
        return outcomes


def _deletes(record: Run | None, tool: Tool) -> Deletes:
    """Return the hard deletes of the run, and what was seen of them at the tool before."""
    if record is None:
        return Deletes()
    before = read_verify(record.path).get("tools", {}).get(tool.name, {})
    return deletes_of(read_deletes(record.path), before)


def _copies(tools: tuple[Tool, ...], settings: Settings, held: ExitStack) -> _Copies:
    copies = _Copies()
    for tool in tools:
        try:
            door = open_copy(tool, settings)
        except PlaygroundError as exc:
            copies.refused[tool.name] = ToolOutcome(problems=[str(exc)])
        else:
            held.callback(door.close)
            copies.doors[tool.name] = door
    return copies


def _drained(
    args: argparse.Namespace, settings: Settings, tools: Iterable[Tool], dsn: str
) -> list[str]:
    """Return the tools that did not deliver the sentinel in time."""
    with connect(dsn, application_name="loadgen verify") as conn:
        run_id, sequence = write_sentinel(conn)
    _say(f"sentinel {sequence} is written: waiting up to {args.drain_seconds:g} s for it")
    with ExitStack() as held:
        probes = [held.enter_context(closing(MarkerProbe(tool, settings))) for tool in tools]
        return wait_for_sentinel(probes, run_id, sequence, args.drain_seconds)


def _lag(args: argparse.Namespace, tool: Tool) -> float:
    if args.lag is not None:
        return float(args.lag)
    return 2 * tool.interval_seconds + 5 if tool.interval_seconds else _LAG


def _rested_seconds(record: Run | None) -> float:
    """Return how long ago the run's last write was, as its record has it."""
    if record is None or record.ended_at is None:
        return math.inf
    # The record's times go on through steps of the machine's clock; now it shows all of them.
    steps = [e.details["seconds"] for e in record.journal if e.kind == "clock_stepped"]
    stepped = sum(float(step) for step in steps if isinstance(step, int | float))
    return max(0.0, (datetime.now(UTC) - record.ended_at).total_seconds() - stepped)


def _say(text: str) -> None:
    print(f"verify: {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class _Tell:
    """Says how far a table is, where that takes long."""

    tool: str
    last: float
    shown: bool

    def __call__(self, table: str, progress: Progress) -> None:
        now = time.monotonic()
        if self.shown and now - self.last >= _TOLD_EVERY:
            self.last = now
            said = f"{self.tool}: {table} {progress.share:.0%}, {progress.rows:,} rows"
            if progress.fetched:
                said += f", {progress.fetched:,} looked at one by one"
            if progress.suspects:
                said += f", {progress.suspects:,} of them to be looked at again"
            _say(said)
