"""`loadgen compare`: runs and their tools side by side, in one table."""

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence

from loadgen.config.settings import load_settings
from loadgen.errors import PlaygroundError
from loadgen.record.reader import CHANGED, find_run
from loadgen.report.analysis.compare import (
    Difference,
    RunSummary,
    differences,
    plain,
    rows,
    subjects,
)
from loadgen.report.analysis.run_summary import study_in
from loadgen.untrusted import reading

_EXAMPLE = "example: loadgen compare 20261123T080000Z-0001 latest   (without tools: the control)"
_NARROWEST = 60
_BETWEEN = "  "


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "compare",
        help="runs and their tools in one table: load, correctness, freshness, cost, source",
        description="Puts runs side by side, a column for each tool. A run without tools is the "
        "control: the others' latency, WAL and processor time at the source are shown against it. "
        "Runs of another workload (seed, profile, rates, widths, baseline, length) are refused, "
        "exit code 2; other circumstances are warned of.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="a run's id or folder, or latest")
    parser.add_argument(
        "--anyway", action="store_true", help="compare also what is not the same workload"
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table; 2 where the runs are not of one workload."""
    settings = load_settings()
    folders = list(dict.fromkeys(find_run(settings.reports_dir, name) for name in args.runs))
    studies = [study_in(folder) for folder in folders]
    with reading(" or ".join(summary.name for summary in studies), CHANGED):
        found = differences(studies)
        refused = [one.text for one in found if one.level == "refused"]
        if refused and not args.anyway:
            lines = "\n".join(refused)
            raise PlaygroundError(
                f"{lines}\nthese runs are no fair comparison; --anyway shows them"
            )
        if args.json:
            print(json.dumps(plain(studies, found), indent=2))
        else:
            _print(studies, found)
    return 0


def _print(studies: Sequence[RunSummary], found: Sequence[Difference]) -> None:
    columns = subjects(studies)
    tools = [column.tool.tool if column.tool else "no tool" for column in columns]
    heads = [("tool", *tools), ("run", *(column.summary.name for column in columns))]
    width = max(_NARROWEST, shutil.get_terminal_size((100, 24)).columns)
    for block in blocks([*heads, *rows(columns)], width):
        print("\n".join(block), end="\n\n")
    if any(column.control for column in columns):
        print("In brackets: the difference to the run without tools.")
    for one in found:
        print(f"{one.level}: {one.text}")


def blocks(table: Sequence[tuple[str, ...]], width: int) -> Iterator[list[str]]:
    """Yield the table's lines, as many columns beside its labels at a time as fit the width."""
    whole = [row for row in table if len(row) > 1]
    widths = [max(map(len, cells)) for cells in zip(*whole, strict=True)]
    begin = 1
    while begin < len(widths):
        end, used = begin + 1, widths[0] + len(_BETWEEN) + widths[begin]
        while end < len(widths) and used + len(_BETWEEN) + widths[end] <= width:
            used += len(_BETWEEN) + widths[end]
            end += 1
        yield [_line(row, widths, begin, end) for row in table]
        begin = end


def _line(row: tuple[str, ...], widths: Sequence[int], begin: int, end: int) -> str:
    if len(row) == 1:
        return f"\n{row[0]}"
    cells = [row[0].ljust(widths[0])]
    cells += [row[number].rjust(widths[number]) for number in range(begin, end)]
    return _BETWEEN.join(cells).rstrip()
