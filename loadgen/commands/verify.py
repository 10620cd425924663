"""`loadgen verify`: reconciles each tool's copy with the source, row by row, column by column."""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from loadgen.commands.numbers import number
from loadgen.config.settings import Settings, load_settings
from loadgen.control import LoadControl
from loadgen.errors import DestinationError, PlaygroundError, RecordError, SettingsError
from loadgen.record.reader import Run, find_run, load_run, read_deletes
from loadgen.record.verify import Verification
from loadgen.source.locate import source_dsn
from loadgen.source.markers import find_markers
from loadgen.source.observe import current_run
from loadgen.source.postgres import connect, plain_errors
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.marker_probe import MarkerProbe
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.runners.syncs import initial_sync, read_syncs
from loadgen.tools.tools_file import Tool, load_tools, select_tools
from loadgen.verify.compare import Progress
from loadgen.verify.deletes import Deletes, deletes_of
from loadgen.verify.drain import paused_load, wait_for_sentinels, write_sentinel
from loadgen.verify.horizon import Horizon, horizon_of
from loadgen.verify.outcome import ToolOutcome, exit_code, verification
from loadgen.verify.reconcile import VerifyOptions, is_load_running, published_tables, reconcile

_EXAMPLE: Final = "example: loadgen verify --drain --tool fivetran"
_LAG: Final = 30.0  # seconds, where nothing tells how long a tool takes
_AGAIN: Final = 2.0  # seconds in which a tool may finish a table, where markers tell what is due
_DRAIN: Final = 300.0  # seconds, at least
_TOLD_EVERY: Final = 2.0  # seconds between two words of progress


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "verify",
        help="reconciles each tool's copy with the source, row by row and column by column",
        description="Compares every row and column of the tools in TOOLS_FILE with the source and "
        "names what is wrong by kind, key and column; verify.json in the run's folder. While a "
        "load writes, what the tool has still time to deliver is late or in flight, not wrong. "
        "Exit code 1 if something is wrong or did not converge, 2 if a copy could not be checked, "
        "0 if it is right or only late.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--tool", metavar="NAME", help="only this one (default: all)")
    parser.add_argument(
        "--drain",
        action="store_true",
        help="pause the load, wait until two sentinel rows, one after the other, are at every "
        "destination, then compare",
    )
    parser.add_argument(
        "--drain-seconds",
        type=number("seconds", 86_400, or_zero=True),
        metavar="S",
        help=f"how long the sentinels are waited for (default: {_DRAIN:g}, or three intervals of a "
        "tool if that is longer)",
    )
    parser.add_argument(
        "--lag",
        type=number("seconds", 86_400, or_zero=True),
        metavar="S",
        help="seconds that a delivery may take (default: one and a half intervals of the tool if "
        f"markers were written, else two and 5 s; {_LAG:g} for a tool without an interval)",
    )
    parser.add_argument("--mask", action="store_true", help="hide texts and JSON in findings")
    parser.add_argument("--url", metavar="U", help="the load's address, for --drain")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Verify and show; 1 if something is wrong, 2 if a copy could not be checked, else 0."""
    settings = load_settings()
    tools = select_tools(load_tools(settings), args.tool)
    if not tools:
        raise SettingsError(
            "there is no tool to verify: copy tools.example.toml to "
            f"{settings.tools_file} and name yours there"
        )
    dsn = source_dsn(settings, start=False)
    record = _record(settings, dsn)
    outcomes = _outcomes(args, settings, tools, dsn, record)
    if record is not None:
        verification(outcomes, Verification.of(record.path)).write(record.path)
    if args.json:
        print(json.dumps(verification(outcomes).plain(), indent=2))
    else:
        from loadgen.commands.verify_shown import show  # noqa: PLC0415 - tables are slow to import

        show(outcomes)
        if record is not None:
            print(f"kept in {record.path / Verification.FILE}")
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

    readers: dict[str, TableReader] = field(default_factory=dict)
    refused: dict[str, ToolOutcome] = field(default_factory=dict)


def _outcomes(
    args: argparse.Namespace,
    settings: Settings,
    tools: tuple[Tool, ...],
    dsn: str,
    record: Run | None,
) -> dict[str, ToolOutcome]:
    """Return what was found of each tool, in the order of the file."""
    with ExitStack() as held:
        source = PostgresReader(dsn, is_source=True)
        held.callback(source.close)
        tables = published_tables(source)
        runs = is_load_running(source)
        copies = _copies(tools, settings, held)
        there = [tool for tool in tools if tool.name in copies.readers]
        paces = _paces(args, settings, there)
        unconverged: Mapping[str, float] = {}
        if args.drain:
            if runs:
                held.enter_context(paused_load(LoadControl.of(settings, args.url), _say))
            unconverged = _drained(settings, there, dsn, paces)
        rest = None if runs else _rested_seconds(record)
        moving = _Moving(dsn, settings, rest)
        outcomes: dict[str, ToolOutcome] = dict(copies.refused)
        for tool in there:
            pace = paces[tool.name]
            tell = _Tell(tool.name, time.monotonic(), shown=not args.json)
            since = record.source_time if record else None
            deletes = _deletes(record, tool)
            asked = VerifyOptions(masked=args.mask, deletes=deletes, since=since, on_progress=tell)
            if args.drain:
                settled = tool.name not in unconverged
                asked = replace(asked, lag=min(pace.lag_seconds, _LAG), settled=settled)
            else:
                asked = moving.asked(asked, tool, pace)
            if asked.lag > _LAG:
                _say(
                    f"{tool.name}: what differs is looked at again after {asked.lag:g} s, as no "
                    "marker tells what is due; --lag sets another time"
                )
            outcome = reconcile(tool, source, tables, copies.readers[tool.name], asked)
            if outcome.late.totals:
                outcome = moving.in_time(outcome, tool, pace)
            outcomes[tool.name] = replace(
                outcome,
                unconverged_seconds=unconverged.get(tool.name),
                initial_sync=initial_sync(read_syncs(tool.folder)),
            )
        return {tool.name: outcomes[tool.name] for tool in tools}


@dataclass(frozen=True, slots=True)
class _Pace:
    """How a tool delivers, in seconds.

    A round may take `limit_seconds`, then the copy is overdue; if no marker tells, `lag_seconds`
    are waited for. Two sentinels may take `drain_seconds`. Only a tool that carries transactions
    `in_order` has all tables as of one moment.
    """

    limit_seconds: float
    lag_seconds: float
    drain_seconds: float
    in_order: bool


def _paces(args: argparse.Namespace, settings: Settings, tools: Sequence[Tool]) -> dict[str, _Pace]:
    """Return each tool's by its name: by its interval, unless the command line says otherwise."""
    intervals = _intervals(settings, tools)
    paces = {}
    for tool in tools:
        interval = intervals.get(tool.name)
        limit, lag, drain = _LAG, _LAG, _DRAIN
        if interval is not None:  # one until the next sync, half of one to finish it
            limit, lag, drain = 1.5 * interval, 2 * interval + 5, max(_DRAIN, 3 * interval)
        if args.lag is not None:
            limit = lag = float(args.lag)
        if args.drain_seconds is not None:
            drain = float(args.drain_seconds)
        # Postgres's own replication applies one transaction after the other, and has no interval.
        in_order = tool.kind == "postgres" and interval is None
        paces[tool.name] = _Pace(limit, lag, drain, in_order)
    return paces


def _intervals(settings: Settings, tools: Sequence[Tool]) -> Mapping[str, float]:
    if not any(tool.price for tool in tools):
        return {tool.name: tool.interval_seconds for tool in tools if tool.interval_seconds}
    from loadgen.costs.cards import load_cards  # noqa: PLC0415 - pydantic's models take a while
    from loadgen.costs.vendors import sync_intervals  # noqa: PLC0415 - as above

    return sync_intervals(tools, load_cards(settings.rate_cards_dir), datetime.now(UTC).date())


@dataclass(frozen=True, slots=True)
class _Moving:
    """A source that moves, or has rested for `rested_seconds`; None while a load runs."""

    dsn: str
    settings: Settings
    rested_seconds: float | None

    def asked(self, asked: VerifyOptions, tool: Tool, pace: _Pace) -> VerifyOptions:
        """Return how to verify a tool: by markers if they tell what is due, else by its lag."""
        lag = max(0.0, pace.lag_seconds - (self.rested_seconds or 0.0))
        is_at_rest = self.rested_seconds is not None and lag == 0
        horizon = self._horizon(tool, pace)
        if horizon is None or (is_at_rest and horizon.lacking_seconds is None):
            return replace(asked, lag=lag, settled=is_at_rest)
        again = lag if lag <= _LAG else _AGAIN  # what comes meanwhile is in flight, not late
        return replace(asked, lag=again, horizon=horizon.xid, settled=False)

    def in_time(self, outcome: ToolOutcome, tool: Tool, pace: _Pace) -> ToolOutcome:
        """Return the outcome; overdue if the copy still lacks a marker that is too old."""
        horizon = self._horizon(tool, pace)
        lacking = horizon.lacking_seconds if horizon else None
        if lacking is None or lacking <= pace.limit_seconds:
            return outcome
        return outcome.overdue(lacking)

    def _horizon(self, tool: Tool, pace: _Pace) -> Horizon | None:
        """Return what the copy must hold; None if no marker tells, or none was written lately."""
        try:
            with closing(MarkerProbe(tool, self.settings)) as probe, connect(self.dsn) as conn:
                run_id = current_run(conn)
                if run_id is None:
                    return None
                shown = probe.newest_marker(run_id) or 0
                with plain_errors("looking for markers"):
                    markers = list(find_markers(conn, run_id, 0))
        except DestinationError:  # the comparison says why
            return None
        horizon = horizon_of(
            markers, shown, round_seconds=pace.limit_seconds, in_order=pace.in_order
        )
        if horizon is None or self.rested_seconds is not None:
            return horizon
        unwatched = pace.limit_seconds + self.settings.marker_interval_seconds
        is_old = horizon.lacking_seconds is None and horizon.newest_seconds > unwatched
        return None if is_old else horizon


def _deletes(record: Run | None, tool: Tool) -> Deletes:
    """Return the hard deletes of the run, and what was seen of them at the tool before."""
    if record is None:
        return Deletes()
    before = Verification.of(record.path).tools.get(tool.name)
    return deletes_of(read_deletes(record.path), before.deletes if before else None)


def _copies(tools: tuple[Tool, ...], settings: Settings, held: ExitStack) -> _Copies:
    copies = _Copies()
    for tool in tools:
        try:
            reader = open_copy(tool, settings)
        except PlaygroundError as exc:
            copies.refused[tool.name] = ToolOutcome(problems=[str(exc)])
        else:
            held.callback(reader.close)
            copies.readers[tool.name] = reader
    return copies


def _drained(
    settings: Settings, tools: Sequence[Tool], dsn: str, paces: Mapping[str, _Pace]
) -> dict[str, float]:
    """Return how long each tool was waited for that did not deliver the sentinels in time."""

    def write() -> tuple[str, int]:
        with connect(dsn, application_name="loadgen verify") as conn:
            run_id, sequence = write_sentinel(conn)
        _say(f"sentinel {sequence} is written")
        return run_id, sequence

    seconds = {tool.name: paces[tool.name].drain_seconds for tool in tools}
    waits = ", ".join(f"{limit:g} s for {name}" for name, limit in seconds.items())
    _say(f"waiting up to {waits}" if waits else "there is no copy to wait for")
    with ExitStack() as held:
        probes = [held.enter_context(closing(MarkerProbe(tool, settings))) for tool in tools]
        waiting = [(probe, seconds[probe.name]) for probe in probes]
        return {name: seconds[name] for name in wait_for_sentinels(waiting, write)}


def _rested_seconds(record: Run | None) -> float:
    """Return how long ago the run's last write was, as its record has it."""
    if record is None or record.ended_at is None:
        return math.inf
    # The record's times go on through steps of the machine's clock; now it shows all of them.
    steps = [e.details.get("seconds") for e in record.journal if e.kind == "clock_stepped"]
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
