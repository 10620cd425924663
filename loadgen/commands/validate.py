"""`loadgen validate`: the state of the source, as a table or as JSON; exit 1 if it is broken."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadgen.config.settings import load_settings
from loadgen.errors import RecordError
from loadgen.record.reader import Run, find_run, load_run
from loadgen.record.run import TableRows
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect, mask
from loadgen.source.validate import LastRun, Validation, validate
from loadgen.terminal import own_words
from loadgen.workload.operations import OPERATIONS

_EXAMPLE = "example: loadgen validate --json | jq .checks"


_PLAIN_MARKS = {True: "ok", False: "BROKEN", None: "not checked"}
_MARKS = {True: "[green]ok[/]", False: "[red bold]broken[/]", None: "[yellow]not checked[/]"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "validate",
        help="counts, soft deletes, last hour's activity and invariants of the source",
        description="Shows the state of the source; exit code 1 if an invariant of it is broken.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the state of the source; 0 if all invariants hold, 1 if not."""
    settings = load_settings()
    dsn = source_dsn(settings)
    with connect(dsn) as conn:
        found = validate(conn, _last_run(settings.reports_dir))
    if args.json:
        print(json.dumps(asdict(found) | {"ok": found.ok}, indent=2))
    else:
        _show(Console(file=own_words(sys.stdout)), mask(dsn), found)
    return 0 if found.ok else 1


def _last_run(reports_dir: Path) -> LastRun | None:
    """Return the newest run's figures; None where there is no run."""
    try:
        newest = find_run(reports_dir)
    except RecordError:
        return None
    return figures(load_run(newest))


def figures(run: Run) -> LastRun:
    """Return what a run's record has to say about the rows of the source."""
    return LastRun(
        run_id=run.run_id,
        ended=run.ended_at is not None,
        committed={name: totals.committed for name, totals in run.totals.items()},
        rows_before={
            operation.table: _counts(run.rows_before.get(operation.table))
            for operation in OPERATIONS.values()
        },
    )


def _counts(table: TableRows | None) -> dict[str, int]:
    return {
        "rows": table.rows if table else 0,
        "version_sum": (table.version_sum or 0) if table else 0,
    }


def _show(console: Console, where: str, found: Validation) -> None:
    rows = {**found.tables, "of users, soft deleted": found.soft_deleted}
    if console.is_terminal:
        console.print(f"Source: {where}", highlight=False)
        console.print(_numbers("rows", rows))
        console.print(_numbers("in the last hour", found.last_hour))
        console.print(_checks(found))
    else:
        _show_plain(where, rows, found)


def _show_plain(where: str, rows: Mapping[str, int], found: Validation) -> None:
    print(f"source: {where}")
    for title, numbers in (("rows", rows), ("in the last hour", found.last_hour)):
        print(f"{title}:")
        for name, number in numbers.items():
            print(f"  {name:<36} {number:>12,}")
    print("invariants:")
    for check in found.checks:
        print(f"  {_PLAIN_MARKS[check.ok]:<11} {check.name:<36} {check.detail}")


def _numbers(title: str, numbers: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, number in numbers.items():
        table.add_row(name, f"{number:,}")
    return table


def _checks(found: Validation) -> Table:
    table = Table("", "invariant", "found", title="invariants", title_justify="left")
    for check in found.checks:
        table.add_row(_MARKS[check.ok], check.name, check.detail)
    return table
