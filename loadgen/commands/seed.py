"""`loadgen seed`: makes schema and baseline and shows progress; it can be repeated or continued."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from loadgen.config.settings import Settings, load_settings
from loadgen.errors import SettingsError
from loadgen.source.baseline_rows import TABLES
from loadgen.source.embedded import server
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect
from loadgen.source.seed import Phase, SeedProgress, SeedResult, seed, seed_request
from loadgen.terminal import unguarded
from loadgen.text import duration

_EXAMPLE: Final = "example: loadgen seed --users 100000 --orders 500000 --events 2000000"
_DOING: Final[dict[Phase, str]] = {
    "users": "copying users",
    "orders": "copying orders",
    "events": "copying events",
    "indexes": "building indexes and foreign keys",
    "statistics": "collecting statistics",
}
_LINE_SECONDS: Final = 3.0  # between two lines of progress where there is no terminal

_Report = Callable[[SeedProgress], None]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "seed",
        help="make the schema and fill it with the baseline",
        description="Makes the schema and fills it with half a year of users, orders and events. "
        "The same command continues after an interruption, and changes nothing once all is done.",
        epilog=_EXAMPLE,
    )
    for table in TABLES:
        parser.add_argument(
            f"--{table}", metavar="N", help=f"number of {table} (INITIAL_{table.upper()})"
        )
    parser.add_argument("--seed", metavar="S", help="seed of the rows (SEED)")
    parser.add_argument(
        "--end",
        metavar="INSTANT",
        help="end of the history, ISO 8601 (default: the start of today, UTC)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Seed the source and show its baseline."""
    overrides = {f"initial_{table}": getattr(args, table) for table in TABLES}
    settings = load_settings(overrides | {"seed": args.seed})
    request = seed_request(settings, _instant(args.end))
    if settings.database_url is None:
        server.start(Path.cwd(), pg_bin=settings.pg_bin)
    with (
        connect(source_dsn(settings)) as conn,
        _progress(Console(file=unguarded(sys.stderr))) as report,
    ):
        seeded = seed(conn, request, report)
    if args.json:
        parameters = asdict(seeded.parameters) | {"end": seeded.parameters.end.isoformat()}
        counts = {
            "found_rows": seeded.found_rows,
            "copied_rows": seeded.copied_rows,
            "seconds": {phase: round(seconds, 3) for phase, seconds in seeded.seconds.items()},
        }
        print(json.dumps(parameters | counts, indent=2))
    else:
        print(_text(seeded, settings))
    return 0


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
    counts = ", ".join(f"{parameters.rows(table):,} {table}" for table in TABLES)
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
    if settings.event_bytes != parameters.event_bytes:
        line += (
            f"\nevents of the baseline have {parameters.event_bytes} bytes; EVENT_BYTES "
            f"{settings.event_bytes} applies to the load only"
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
            description=_DOING[step.phase],
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
        if now < due and (step.phase in TABLES or step.phase == last):
            pace.text(step)
            return
        due, last = now + _LINE_SECONDS, step.phase
        print(f"{_DOING[step.phase]}: {pace.text(step)}", file=sys.stderr, flush=True)

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
