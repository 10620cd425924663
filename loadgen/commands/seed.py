"""`loadgen seed`: makes schema and baseline and shows progress; it can be repeated or continued."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from loadgen.config.settings import Settings, load_settings
from loadgen.errors import SettingsError
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn, workload_database
from loadgen.source.postgres import connect
from loadgen.source.seed import Phase, SeedProgress, SeedResult, seed
from loadgen.terminal import print_wrapped, unguarded
from loadgen.text import duration
from loadgen.workload.model import WorkloadModel
from loadgen.workload.read_model import read_model
from loadgen.workload.seed_request import seed_request

_EXAMPLE: Final = "example: loadgen seed --users 100000 --orders 500000 --events 2000000"
_DOING: Final[dict[Phase, str]] = {
    "rows": "copying {}",
    "indexes": "building indexes and foreign keys",
    "statistics": "collecting statistics",
}
_ROWS_SETTING: Final = "initial_"
_LINE_SECONDS: Final = 3.0  # between two lines of progress without a terminal

_Report = Callable[[SeedProgress], None]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "seed",
        help="make the schema and fill it with the baseline",
        description="Makes the workload's tables and fills them with its baseline. The same "
        "command continues after an interruption, and changes nothing once all is done.",
        epilog=_EXAMPLE,
    )
    for setting in rows_settings():
        table = setting.removeprefix(_ROWS_SETTING)
        parser.add_argument(
            f"--{table.replace('_', '-')}",
            dest=setting,
            metavar="N",
            help=f"number of {table} ({setting.upper()})",
        )
    parser.add_argument("--workload", metavar="W", help="the workload (WORKLOAD)")
    parser.add_argument("--scale", metavar="X", help="multiplies its rows (WORKLOAD_SCALE)")
    parser.add_argument("--seed", metavar="S", help="seed of the rows (SEED)")
    parser.add_argument(
        "--end",
        metavar="INSTANT",
        help="end of the history, ISO 8601 (default: the start of today, UTC)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def rows_settings() -> list[str]:
    """Return the settings of numbers of rows; each is one of a built-in workload's tables."""
    return [name for name in Settings.model_fields if name.startswith(_ROWS_SETTING)]


def run(args: argparse.Namespace) -> int:
    """Seed the source and show its baseline."""
    rows = {name: getattr(args, name) for name in rows_settings()}
    settings = load_settings(
        rows | {"seed": args.seed, "workload": args.workload, "workload_scale": args.scale}
    )
    model = read_model(settings.workload)
    _refuse_unused(model, [name for name, n in rows.items() if n is not None])
    request = seed_request(settings, model, _instant(args.end))
    if settings.database_url is None:
        database = workload_database(settings)
        server.start(Path.cwd(), pg_bin=settings.pg_bin, database=database)
    with (
        connect(source_dsn(settings)) as conn,
        _progress(Console(file=unguarded(sys.stderr))) as report,
    ):
        seeded = seed(conn, model, request, report)
    if args.json:
        counts = {
            "found_rows": seeded.found_rows,
            "copied_rows": seeded.copied_rows,
            "seconds": {phase: round(seconds, 3) for phase, seconds in seeded.seconds.items()},
        }
        baseline = {"workload": model.name} | seeded.parameters.dump() | counts
        print(json.dumps(baseline, indent=2))
    else:
        print_wrapped(_text(seeded, settings))
    return 0


def _refuse_unused(model: WorkloadModel, settings: list[str]) -> None:
    """Raise SettingsError for an argument of a table that the workload does not have."""
    used = {table.rows_setting for table in model.tables.values()}
    for name in settings:
        if name not in used:
            option = name.removeprefix(_ROWS_SETTING).replace("_", "-")
            raise SettingsError(
                f"--{option}: workload {model.name} has no table with that setting: change the "
                "rows in its workload.toml, or all of them with --scale"
            )


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(
            f"--end is {text!r}: it must be an instant like 2026-11-23 or 2026-11-23T12:00:00+00:00"
        ) from exc
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _text(seeded: SeedResult, settings: Settings) -> str:
    parameters = seeded.parameters
    counts = ", ".join(f"{rows:,} {table}" for table, rows in parameters.rows.items())
    baseline = f"{counts} up to {parameters.end:%Y-%m-%d %H:%M %Z}, seed {parameters.seed}"
    seconds = sum(seeded.seconds.values())
    if not seeded.seconds:
        line = f"already seeded, nothing to do: {baseline}"
    elif seeded.found_rows:
        line = (
            f"completed: {baseline}; {seeded.found_rows:,} rows were there, "
            f"{seeded.copied_rows:,} added in {seconds:.1f} s"
        )
    else:
        rate = seeded.copied_rows / seconds
        line = f"seeded: {baseline}; in {seconds:.1f} s ({rate:,.0f} rows/s, indexes included)"
    for name, stored in parameters.settings.items():
        if (setting := getattr(settings, name)) != stored:
            line += (
                f"\nthe baseline was made with {name.upper()} {stored}; {setting} applies to the "
                "load only"
            )
    return line


@contextmanager
def _progress(console: Console) -> Iterator[_Report]:
    """Yield a function that shows progress: a bar in a terminal, elsewhere a line now and then."""
    try:
        if console.is_terminal:
            with Progress(
                TextColumn("{task.description:<33}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[pace]}"),
                console=console,
                transient=True,
            ) as bar:
                yield _on_bar(bar)
        else:
            yield _as_lines()
    except KeyboardInterrupt:
        print("Rows copied so far are kept. Run the same command to continue.", file=sys.stderr)
        raise


def _on_bar(bar: Progress) -> _Report:
    task = bar.add_task("connecting", total=None, pace="")
    pace = SeedPace()

    def report(step: SeedProgress) -> None:
        bar.update(
            task,
            description=_DOING[step.phase].format(step.table),
            completed=step.rows,
            total=step.total,
            pace=pace.text(step),
        )

    return report


def _as_lines() -> _Report:
    pace = SeedPace()
    due = monotonic()
    last: Phase | None = None

    def report(step: SeedProgress) -> None:
        nonlocal due, last
        now = monotonic()
        # The copy gets a line now and then, each later phase one when it begins.
        if now < due and step.phase in ("rows", last):
            pace.text(step)
            return
        due, last = now + _LINE_SECONDS, step.phase
        doing = _DOING[step.phase].format(step.table)
        print(f"{doing}: {pace.text(step)}", file=sys.stderr, flush=True)

    return report


class SeedPace:
    """Rows, rate and time left, as text; the rate counts from the first call."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def text(self, step: SeedProgress) -> str:
        """Return the copied rows, their rate and the time left."""
        now = self._clock()
        if self._first is None:
            self._first = now, step.rows
        began, rows = self._first
        text = f"{step.rows:,} of {step.total:,} rows"
        if step.rows in (rows, step.total):
            return text
        rate = (step.rows - rows) / max(now - began, 0.001)
        return f"{text}, {rate:,.0f}/s, {duration(round((step.total - step.rows) / rate))} left"
