"""`loadgen verify`: compares each tool's copy with the source, row by row and column by column."""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from loadgen.commands import selection
from loadgen.commands.numbers import number
from loadgen.config.settings import Settings, load_settings
from loadgen.control import LoadControl
from loadgen.errors import PlaygroundError, RecordError, SettingsError, printable
from loadgen.record.folder import find_run
from loadgen.record.rows import DeletedRow
from loadgen.record.run import Run
from loadgen.record.verify import KINDS, Finding, Kind, Verification
from loadgen.source.embedded.server import source_dsn
from loadgen.source.observe import current_run
from loadgen.source.postgres import connect
from loadgen.source.schema import require_version
from loadgen.terminal import print_table, print_wrapped, unguarded
from loadgen.text import Column, Table, count, kinds, plural
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.marker_probe import MarkerProbe
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.runners.syncs import initial_sync, read_syncs
from loadgen.tools.source_tables import published_tables
from loadgen.tools.tools_file import Tool, load_tools, select_tools
from loadgen.verify.cases import case_example, case_text
from loadgen.verify.deletes import Deletes, deletes_of
from loadgen.verify.drain import paused_load, wait_for_sentinels, write_sentinel
from loadgen.verify.findings import few_of_each_sort
from loadgen.verify.horizon import DRAIN_SECONDS, LAG_SECONDS, MovingSource, Pace, pace_of
from loadgen.verify.outcome import ToolOutcome, exit_code, verification
from loadgen.verify.reconcile import VerifyOptions, is_load_running, reconcile
from loadgen.verify.second_look import Progress

_EXAMPLE: Final = "example: loadgen verify --drain --tool fivetran"
_PROGRESS_SECONDS: Final = 2.0  # between two lines of progress
_SHOWN_FINDINGS: Final = 30  # of a tool
_SHOWN_OF_A_SORT: Final = 3  # of a table, kind and column
_COLOURS: Final = {"right": "green", "late": "yellow", "lossy": "yellow"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "verify",
        help="compare each tool's copy with the source, row by row and column by column",
        description="Compares every row and column of the tools in TOOLS_FILE with the source, and "
        "names each difference by kind, key and column, also in verify.json in the run's folder. "
        "While a load writes, changes that the tool still has time to deliver count as late or in "
        "flight, not as wrong. Exit code 1 if a copy is wrong or did not converge, 2 if one could "
        "not be checked, 0 if all are right or only late.",
        epilog=_EXAMPLE,
    )
    selection.add_run(parser)
    selection.add_tool(parser, "only this tool")
    parser.add_argument(
        "--drain",
        action="store_true",
        help="pause the load and wait until two sentinel rows have reached every destination in "
        "turn, then compare",
    )
    parser.add_argument(
        "--drain-seconds",
        type=number("seconds", 86_400, or_zero=True),
        metavar="S",
        help=f"time limit for the sentinels (default: {DRAIN_SECONDS:g}, or three intervals of the "
        "tool if that is longer)",
    )
    parser.add_argument(
        "--lag",
        type=number("seconds", 86_400, or_zero=True),
        metavar="S",
        help="seconds that a delivery may take (default: one and a half intervals of the tool if "
        f"there are markers, else two and 5 s; {LAG_SECONDS:g} for a tool without an interval)",
    )
    parser.add_argument("--mask", action="store_true", help="hide texts and JSON in findings")
    parser.add_argument("--url", metavar="U", help="the load's address, for --drain")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Verify and print; return 1 if a copy is wrong, 2 if one could not be checked, else 0."""
    settings = load_settings()
    tools = select_tools(load_tools(settings), args.tool)
    if not tools:
        raise SettingsError(
            "there is no tool to verify: copy tools.example.toml to "
            f"{settings.tools_file} and name yours there"
        )
    dsn = source_dsn(settings)
    record = _last_run(settings, dsn, selection.run_name(args))
    outcomes = _outcomes(args, settings, tools, dsn, record)
    if record is not None:
        verification(outcomes, Verification.of(record.path)).write(record.path)
    if args.json:
        print(json.dumps({"tools": verification(outcomes).plain()["tools"]}, indent=2))
    else:
        print_outcomes(outcomes)
        if record is not None:
            print_wrapped(f"written to {record.path / Verification.FILE}")
    return exit_code(outcomes)


def _last_run(settings: Settings, dsn: str, name: str | None) -> Run | None:
    """Return the record of the database's last run; None if there is none.

    Raises PlaygroundError if another run is named: the source holds the rows of its last one.
    """
    with connect(dsn) as conn:
        require_version(conn)
        run_id = current_run(conn)
    if name is not None:
        run = Run.of(find_run(settings.reports_dir, name))
        if run.run_id != run_id:
            raise PlaygroundError(
                f"run {run.run_id} is not the last one on this database, which is "
                f"{run_id or 'without a run'}: copies can be compared only with the source's "
                "present rows"
            )
        return run
    try:
        return Run.of(find_run(settings.reports_dir, run_id)) if run_id else None
    except RecordError:
        return None


def _outcomes(
    args: argparse.Namespace,
    settings: Settings,
    tools: tuple[Tool, ...],
    dsn: str,
    record: Run | None,
) -> dict[str, ToolOutcome]:
    """Return each tool's outcome, in the order of the file."""
    outcomes: dict[str, ToolOutcome] = {}
    with ExitStack() as stack:
        source = PostgresReader(dsn, is_source=True)
        stack.callback(source.close)
        tables = published_tables(source)
        is_running = is_load_running(source)
        copies: dict[str, TableReader] = {}
        for tool in tools:
            try:
                copies[tool.name] = open_copy(tool, settings)
            except PlaygroundError as exc:
                outcomes[tool.name] = ToolOutcome(problems=[str(exc)])
            else:
                stack.callback(copies[tool.name].close)
        opened = [tool for tool in tools if tool.name in copies]
        intervals = _intervals(settings, opened)
        paces = {
            tool.name: pace_of(tool, intervals.get(tool.name), args.lag, args.drain_seconds)
            for tool in opened
        }
        unconverged: Mapping[str, float] = {}
        if args.drain:
            if is_running:
                stack.enter_context(paused_load(LoadControl.of(settings, args.url), _report))
            unconverged = _drain(settings, opened, dsn, paces)
        moving = MovingSource(dsn, settings, None if is_running else _rested_seconds(record))
        for tool in opened:
            pace = paces[tool.name]
            is_settled = args.drain and tool.name not in unconverged
            options = _options(args, record, tool, pace, moving, is_settled=is_settled)
            outcome = reconcile(tool, source, tables, copies[tool.name], options)
            if outcome.late.totals:
                outcome = moving.check_overdue(outcome, tool, pace)
            outcomes[tool.name] = replace(
                outcome,
                unconverged_seconds=unconverged.get(tool.name),
                initial_sync=initial_sync(read_syncs(tool.folder)),
            )
    return {tool.name: outcomes[tool.name] for tool in tools}


def _options(
    args: argparse.Namespace,
    record: Run | None,
    tool: Tool,
    pace: Pace,
    moving: MovingSource,
    *,
    is_settled: bool,
) -> VerifyOptions:
    """Return how a tool's copy is compared, after a drain or beside the load."""
    options = VerifyOptions(
        masked=args.mask,
        deletes=_deletes(record, tool),
        since=record.source_time if record else None,
        on_progress=_ProgressPrinter(tool.name, time.monotonic(), enabled=not args.json),
    )
    if args.drain:
        lag = min(pace.lag_seconds, LAG_SECONDS)
        options = replace(options, lag=lag, settled=is_settled)
    else:
        options = moving.adapt(options, tool, pace)
    if options.lag > LAG_SECONDS:
        _report(
            f"{tool.name}: without markers, differences are checked again after "
            f"{options.lag:g} s; --lag sets another time"
        )
    return options


def _intervals(settings: Settings, tools: Sequence[Tool]) -> Mapping[str, float]:
    if not any(tool.price for tool in tools):
        return {tool.name: tool.interval_seconds for tool in tools if tool.interval_seconds}
    from loadgen.costs.cards import load_cards  # noqa: PLC0415 - pydantic's models are slow to import
    from loadgen.costs.vendors import sync_intervals  # noqa: PLC0415 - as above

    return sync_intervals(tools, load_cards(settings.rate_cards_dir), datetime.now(UTC).date())


def _deletes(record: Run | None, tool: Tool) -> Deletes:
    """Return the run's hard deletes, with the results of the tool's earlier verifications."""
    if record is None:
        return Deletes()
    before = Verification.of(record.path).tools.get(tool.name)
    return deletes_of(DeletedRow.read(record.path), before.deletes if before else None)


def _drain(
    settings: Settings, tools: Sequence[Tool], dsn: str, paces: Mapping[str, Pace]
) -> dict[str, float]:
    """Wait for the sentinels; return the time limits of the tools that missed theirs."""

    def write() -> tuple[str, int]:
        with connect(dsn, application_name="loadgen verify") as conn:
            run_id, sequence = write_sentinel(conn)
        _report(f"sentinel {sequence} is written")
        return run_id, sequence

    limits = {tool.name: paces[tool.name].drain_seconds for tool in tools}
    waits = ", ".join(f"{seconds:g} s for {name}" for name, seconds in limits.items())
    _report(f"waiting up to {waits}" if waits else "there is no copy to wait for")
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(MarkerProbe(tool, settings))) for tool in tools]
        copies = [(probe, limits[probe.name]) for probe in probes]
        return {name: limits[name] for name in wait_for_sentinels(copies, write)}


def _rested_seconds(record: Run | None) -> float:
    """Return the time since the end of the run, by its record."""
    if record is None or record.ended_at is None:
        return math.inf
    # The record's clock ignores steps of the machine's clock; the present time includes them.
    steps = [e.details.get("seconds") for e in record.journal if e.kind == "clock_stepped"]
    stepped = sum(float(step) for step in steps if isinstance(step, int | float))
    return max(0.0, (datetime.now(UTC) - record.ended_at).total_seconds() - stepped)


def _report(message: str) -> None:
    print_wrapped(f"verify: {message}", sys.stderr)


@dataclass(slots=True)
class _ProgressPrinter:
    """Prints the progress of a table, if it takes long."""

    tool: str
    last_printed: float
    enabled: bool

    def __call__(self, table: str, progress: Progress) -> None:
        now = time.monotonic()
        if not self.enabled or now - self.last_printed < _PROGRESS_SECONDS:
            return
        self.last_printed = now
        line = f"{self.tool}: {table} {progress.share:.0%}, {count(progress.rows)} rows"
        if progress.fetched:
            line += f", {count(progress.fetched)} compared by value"
        if progress.suspects:
            line += f", {count(progress.suspects)} to be checked again"
        _report(line)


def print_outcomes(outcomes: Mapping[str, ToolOutcome]) -> None:
    """Print each tool's verdict, findings and hard cases."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.markup import escape  # noqa: PLC0415 - as above

    stdout = unguarded(sys.stdout)
    console = Console(file=stdout, highlight=False, soft_wrap=not stdout.isatty())
    for name, outcome in outcomes.items():
        colour = _COLOURS.get(outcome.verdict, "red")
        tool = escape(printable(name))
        console.print(f"[bold]{tool}[/]: [{colour}]{outcome.verdict}[/]: {_summary(outcome)}")
        for problem in outcome.problems:
            console.print(f"  {escape(printable(f'tool {name}: {problem}'))}")
        shown = list(islice(few_of_each_sort(outcome.findings, _SHOWN_OF_A_SORT), _SHOWN_FINDINGS))
        if shown:
            print_table(_findings_table(shown))
        hidden = sum(outcome.totals.values()) - len(shown)
        if hidden > 0:
            console.print(f"  and {hidden:,} more")
        if outcome.verdict == "late":
            console.print("  late: verify again after the next sync, or with --drain")
        if any(case.verdict != "not tried" for case in outcome.cases.values()):
            _print_cases(outcome)


def _summary(outcome: ToolOutcome) -> str:
    """Return what follows the verdict, for example "all 27,849 rows of 4 tables match (2.1 s)"."""
    rows = f"{outcome.rows:,} rows of {plural(len(outcome.tables), 'table')}"
    in_flight = f"{outcome.in_flight:,} in flight" if outcome.in_flight else ""
    if outcome.verdict == "right":
        summary = f"{rows} match, except {in_flight}" if in_flight else f"all {rows} match"
    else:
        parts = []
        if outcome.unconverged_seconds is not None:
            parts.append(f"the sentinels did not arrive in {outcome.unconverged_seconds:g} s")
        if outcome.overdue_seconds is not None:
            parts.append(f"a marker has not arrived in {outcome.overdue_seconds:.0f} s")
        if any(outcome.totals.values()):
            parts.append(_kinds(outcome.totals))
        if outcome.late.totals:
            parts.append(f"not due yet: {_kinds(outcome.late.totals)}")
        compared = f"{rows} compared" if outcome.tables else "no table was compared"
        parts.append(f"{compared}, {in_flight}" if in_flight else compared)
        summary = "; ".join(parts)
    return f"{summary} ({outcome.seconds:.1f} s)"


def _kinds(totals: Mapping[Kind, int]) -> str:
    return kinds({kind: totals[kind] for kind in KINDS if totals.get(kind)})


def _findings_table(findings: Sequence[Finding]) -> Table:
    columns = ("kind", "table", "key", "column", "source", "destination")
    rows = tuple(
        (
            finding.kind,
            finding.table,
            finding.key,
            finding.column or "",
            "NULL" if finding.source is None else finding.source,
            "NULL" if finding.destination is None else finding.destination,
        )
        for finding in findings
    )
    return Table(tuple(map(Column, columns)), rows)


def _print_cases(outcome: ToolOutcome) -> None:
    rows = tuple(
        (name, case_text(case), case_example(case))
        for name, case in outcome.cases.items()
        if case.verdict != "not tried"
    )
    columns = tuple(map(Column, ("hard case", "verdict (rows)", "first example")))
    not_tried = [name for name, case in outcome.cases.items() if case.verdict == "not tried"]
    caption = f"not tried: {', '.join(not_tried)}" if not_tried else ""
    print_table(Table(columns, rows), caption=caption)
