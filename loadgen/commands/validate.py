"""`loadgen validate`: the state of the source; exit code 1 if one of its invariants is broken."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from loadgen.config.settings import load_settings
from loadgen.errors import RecordError
from loadgen.record.folder import find_run
from loadgen.record.run import Run
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect, mask
from loadgen.source.validate import LastRun, Validation, validate
from loadgen.terminal import print_table
from loadgen.text import Column, Table
from loadgen.workload.model import WorkloadModel
from loadgen.workload.read_model import read_model

_EXAMPLE: Final = "example: loadgen validate --json | jq .checks"
_STATES: Final = {True: "ok", False: "BROKEN", None: "not checked"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "validate",
        help="count the source's rows and check its invariants",
        description="Shows the state of the source; exit code 1 if an invariant is broken.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the state of the source; 0 if all invariants hold, 1 if not."""
    settings = load_settings()
    model = read_model(settings.workload)
    dsn = source_dsn(settings)
    with connect(dsn) as conn:
        validation = validate(conn, model, _last_run(settings.reports_dir, model))
    if args.json:
        print(json.dumps(asdict(validation) | {"ok": validation.ok}, indent=2))
    else:
        print(f"source: {mask(dsn)}", flush=True)
        for table in tables(validation):
            print_table(table)
    return 0 if validation.ok else 1


def _last_run(reports_dir: Path, model: WorkloadModel) -> LastRun | None:
    """Return the newest run's figures; None if there is no run."""
    try:
        newest = find_run(reports_dir)
    except RecordError:
        return None
    return figures(Run.of(newest), model)


def figures(run: Run, model: WorkloadModel) -> LastRun:
    """Return the figures of a run's record that concern the rows of the source.

    A record without the rows of statements is of a version whose statements touched one each.
    """
    return LastRun(
        run_id=run.run_id,
        ended=run.ended_at is not None,
        statement_rows=run.statement_rows
        or {
            name: (totals.committed,) * len(model.operations[name].statements)
            for name, totals in run.totals.items()
            if name in model.operations
        },
        rows_before=run.rows_before,
        unknown=[
            name
            for name, totals in run.totals.items()
            if totals.unknown and name in model.operations
        ],
    )


def tables(validation: Validation) -> tuple[Table, Table, Table]:
    """Return the tables of row counts, recent activity and invariants."""
    deleted = {f"{name}, soft deleted": n for name, n in validation.soft_deleted.items()}
    rows = {**validation.tables, **deleted}
    checks = Table(
        (Column("invariant"), Column("state"), Column("finding")),
        tuple((check.name, _STATES[check.ok], check.detail) for check in validation.checks),
    )
    last_hour = _counts_table("operation", "in the last hour", validation.last_hour)
    activity = (last_hour,) if last_hour.rows else ()  # few models declare it
    return _counts_table("table", "rows", rows), *activity, checks


def _counts_table(noun: str, label: str, counts: Mapping[str, int]) -> Table:
    return Table(
        (Column(noun), Column(label, number=True)),
        tuple((name, f"{number:,}") for name, number in counts.items()),
    )
