"""`loadgen seed`: schema and baseline, with progress; the same command again goes on or is done."""

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
from loadgen.terminal import own_words

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
        "The same command again completes what was interrupted, or finds all done.",
        epilog=_EXAMPLE,
    )
    for table in TABLES:
        parser.add_argument(
            f"--{table}", metavar="N", help=f"how many {table} (INITIAL_{table.upper()})"
        )
    parser.add_argument("--seed", metavar="S", help="other seed, other rows (SEED)")
    parser.add_argument(
        "--end", metavar="INSTANT", help="when the history ends, ISO 8601 (the start of today, UTC)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Seed the source and say what it holds."""
    overrides = {f"initial_{table}": getattr(args, table) for table in TABLES}
    settings = load_settings(overrides | {"seed": args.seed})
    request = seed_request(settings, _instant(args.end))
    if settings.database_url is None:
        server.start(Path.cwd(), pg_bin=settings.pg_bin)
    with connect(source_dsn(settings)) as conn, _progress(_console()) as report:
        result = seed(conn, request, report)
    if args.json:
        noted = asdict(result.parameters) | {"end": result.parameters.end.isoformat()}
        print(json.dumps(noted | _done(result), indent=2))
    else:
        print(_text(result, settings))
    return 0


def _console() -> Console:
    return Console(file=own_words(sys.stderr))


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(
            f"--end is {text!r}: must be an instant like 2026-11-23 or 2026-11-23T12:00:00+00:00"
        ) from exc
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _done(result: SeedResult) -> dict[str, object]:
    seconds = {phase: round(value, 3) for phase, value in result.seconds.items()}
    return {
        "found_rows": result.found_rows,
        "copied_rows": result.copied_rows,
        "seconds": seconds,
    }


def _text(result: SeedResult, settings: Settings) -> str:
    parameters = result.parameters
    counts = ", ".join(f"{parameters.rows(table):,} {table}" for table in TABLES)
    what = f"{counts} up to {parameters.end:%Y-%m-%d %H:%M %Z}, seed {parameters.seed}"
    seconds = sum(result.seconds.values())
    if not result.seconds:
        text = f"already seeded, nothing to do: {what}"
    elif result.found_rows:
        text = (
            f"completed: {what}; {result.found_rows:,} rows were there, {result.copied_rows:,} "
            f"added in {seconds:.1f} s"
        )
    else:
        rate = result.copied_rows / seconds
        text = f"seeded: {what}; in {seconds:.1f} s ({rate:,.0f} rows/s, indexes included)"
    if settings.event_bytes != parameters.event_bytes:
        text += (
            f"\nits events were made {parameters.event_bytes} bytes wide; EVENT_BYTES "
            f"{settings.event_bytes} holds for the load only"
        )
    return text


@contextmanager
def _progress(console: Console) -> Iterator[_Report]:
    """Yield what shows steps on `console`: a bar in a terminal, now and then a line elsewhere."""
    try:
        if console.is_terminal:
            with _bar(console) as bar:
                yield _on_bar(bar)
        else:
            yield _as_lines()
    except KeyboardInterrupt:
        print("the rows copied so far stay: the same command goes on from there", file=sys.stderr)
        raise


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<33}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
        transient=True,
    )


def _on_bar(bar: Progress) -> _Report:
    task = bar.add_task("connecting", total=None, pace="")
    pace = Pace()

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
    pace = Pace()
    due = monotonic()
    last: Phase | None = None

    def report(step: SeedProgress) -> None:
        nonlocal due, last
        now = monotonic()
        # Copying says where it is now and then; what comes after it is said when it begins.
        if now < due and (step.phase in TABLES or step.phase == last):
            pace.text(step)
            return
        due, last = now + _LINE_SECONDS, step.phase
        print(f"{_DOING[step.phase]}: {pace.text(step)}", file=sys.stderr, flush=True)

    return report


class Pace:
    """Rows, rate and time left, as text; counts from the first step it is shown."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def text(self, step: SeedProgress) -> str:
        """Return how far `step` is, how fast, and how long it will take still."""
        now = self._clock()
        if self._first is None:
            self._first = now, step.rows
        began, rows = self._first
        text = f"{step.rows:,} of {step.total:,} rows"
        if step.rows in (rows, step.total):
            return text
        rate = (step.rows - rows) / max(now - began, 0.001)
        return f"{text}, {rate:,.0f}/s, {_duration((step.total - step.rows) / rate)} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
