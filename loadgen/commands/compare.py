"""`loadgen compare`: runs and their tools side by side, in one table."""

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace

from loadgen.commands import selection
from loadgen.config.settings import load_settings
from loadgen.errors import PlaygroundError
from loadgen.record.folder import find_run
from loadgen.report.analysis.compare import (
    Difference,
    RunSummary,
    as_json,
    columns_of,
    differences,
    rows,
    summary_of,
)
from loadgen.terminal import print_table
from loadgen.text import Column, Table

_EXAMPLE = "example: loadgen compare 20261123T080000Z-0001 latest   (without tools: the control)"
_NARROWEST = 60
_BETWEEN = 3  # characters between two columns of a table on the terminal


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "compare",
        help="put runs and their tools into one table: load, correctness, freshness, cost",
        description="Puts runs side by side, a column for each tool. A run without tools is the "
        "control: the others' latency, WAL and processor time at the source are shown against it. "
        "Runs of another workload (seed, profile, rates, widths, baseline, length) are refused, "
        "exit code 2; other differences are warnings.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help="a run's id or folder, or latest (default: the latest run in REPORTS_DIR)",
    )
    parser.add_argument(
        "--run",
        dest="more_runs",
        metavar="RUN",
        action="append",
        default=[],
        help="the same as RUN; may be repeated",
    )
    selection.add_tool(parser, "show this tool only, and runs without tools")
    parser.add_argument(
        "--anyway", action="store_true", help="compare also runs of different workloads"
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table; exit code 2 if the runs are not of one workload."""
    settings = load_settings()
    names = [*args.runs, *args.more_runs] or [None]
    folders = list(dict.fromkeys(find_run(settings.reports_dir, name) for name in names))
    summaries = [_with_tool(summary_of(folder), args.tool) for folder in folders]
    differing = differences(summaries)
    refusals = [difference.text for difference in differing if difference.level == "refused"]
    if refusals and not args.anyway:
        lines = "\n".join(refusals)
        raise PlaygroundError(f"{lines}\nthese runs are no fair comparison; --anyway shows them")
    if args.json:
        print(json.dumps(as_json(summaries, differing), indent=2))
    else:
        _print(summaries, differing)
    return 0


def _with_tool(summary: RunSummary, name: str | None) -> RunSummary:
    """Return a run with that tool only, if one is named; a run without tools stays as it is."""
    if name is None or summary.is_control:
        return summary
    selection.require_tool(name, [tool.name for tool in summary.tools], f"run {summary.name}")
    return replace(summary, tools=tuple(tool for tool in summary.tools if tool.name == name))


def _print(summaries: Sequence[RunSummary], differing: Sequence[Difference]) -> None:
    columns = columns_of(summaries)
    tools = [column.tool.name if column.tool else "no tool" for column in columns]
    heads = [("tool", *tools), ("run", *(column.summary.name for column in columns))]
    width = max(_NARROWEST, shutil.get_terminal_size((100, 24)).columns)
    for table in tables([*heads, *rows(columns)], width):
        print_table(table)
    if any(column.control for column in columns):
        print("In brackets: the difference from the run without tools.")
    for difference in differing:
        print(f"{difference.level}: {difference.text}")


def tables(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[Table]:
    """Yield the rows as tables, each with as many columns beside the labels as fit the width."""
    whole = [row for row in rows if len(row) > 1]
    widths = [max(map(len, cells)) + _BETWEEN for cells in zip(*whole, strict=True)]
    begin = 1
    while begin < len(widths):
        end = begin + 1
        while end < len(widths) and widths[0] + sum(widths[begin : end + 1]) <= width:
            end += 1
        columns = (Column(""), *(Column("", number=True) for _ in range(begin, end)))
        yield Table(columns, tuple(_cells(rows, begin, end)))
        begin = end


def _cells(rows: Sequence[tuple[str, ...]], begin: int, end: int) -> Iterator[tuple[str, ...]]:
    """Yield the label and the cells of some columns of each row; a heading follows an empty row."""
    for row in rows:
        if len(row) == 1:
            yield ()
        yield (row[0], *row[begin:end])
