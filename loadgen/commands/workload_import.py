"""`loadgen workload import`: a model of a live Postgres, from its catalogue and statistics."""

import argparse
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from loadgen.config.settings import load_settings
from loadgen.errors import SettingsError, SourceError
from loadgen.source.postgres import place
from loadgen.terminal import discard_stdout, print_table
from loadgen.text import (
    Column,
    Table,
    big,
    duration,
    gigabytes,
    moment,
    plural,
    quantity,
    seconds_of,
)
from loadgen.workload.importing.facts import DatabaseFacts, TableFacts, Window
from loadgen.workload.read_model import ModelError, built_in_models, read_model

if TYPE_CHECKING:
    from loadgen.workload.importing.write import WrittenModel

_EXAMPLE: Final = (
    "example: loadgen workload import postgresql://reader@db.example.com/shop --out mywork"
)
_WIDTH: Final = 80
_TABLES: Final = 10  # that are shown each by itself
_SHORT_WINDOW: Final = 86_400  # seconds: less than a day has its own hours only
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?) ?%")
_MOST_PERCENT: Final = 10_000.0
# A text or a number; what a sequence's name or a type's size is does not count.
_NAMES: Final = re.compile(r"nextval\('[^']*'::regclass\)|::[\w\s.\"]+(\(\d+(,\d+)?\))?")
_PLACED: Final = re.compile(r"(\[[^]]*\])? ?(.*)", re.DOTALL)  # [operations.pay] row: …
_LITERAL: Final = re.compile(r"'|\b\d")


def add_parser(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the action to those of `loadgen workload`."""
    parser = actions.add_parser(
        "import",
        help="write a model of a live Postgres, from its statistics",
        description="Reads the catalogue and statistics of a Postgres, which may be production, in "
        "a read-only session with limits, and writes a model of its tables and writes. No value of "
        "a row is read unless --with-values is given; the model keeps no address and no password.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "url", metavar="URL", help="of the primary: postgresql://user@host/database"
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="the new workload's folder")
    parser.add_argument(
        "--tables", metavar="A,B", action="append", help="these tables, as orders or sales.orders"
    )
    parser.add_argument("--schema", metavar="S", action="append", help="the tables of this schema")
    parser.add_argument(
        "--min-writes",
        metavar="N",
        type=_number,
        default=1.0,
        help="tables with fewer rows written per hour come last in the file (default: 1)",
    )
    parser.add_argument(
        "--rows",
        metavar="P",
        type=_share,
        default=1.0,
        help="the model's rows, such as 1%% (default: 100%%)",
    )
    parser.add_argument(
        "--rate",
        metavar="P",
        type=_share,
        default=1.0,
        help="the model's rates, such as 10%% (default: 100%%)",
    )
    parser.add_argument(
        "--interval",
        metavar="T",
        type=_seconds,
        help="measure the rates for this long, such as 10m or 24h (default: since the statistics "
        "were reset)",
    )
    parser.add_argument(
        "--every",
        metavar="T",
        type=_seconds,
        help="part of the interval, such as 1h: how the rate varies between the parts becomes the "
        "load's profile",
    )
    parser.add_argument(
        "--with-values",
        action="store_true",
        help="read the most common values of columns too, and write them into the model",
    )
    parser.add_argument(
        "--anonymize", action="store_true", help="replace the names of tables and columns"
    )


def run(args: argparse.Namespace) -> int:
    """Read the database, show the statistics, and write the model; returns 0."""
    out, where = _new_folder(args.out), place(args.url, "the URL")
    # sqlglot and the readers take a while, which other commands of the workload save.
    from loadgen.source.importing.read import ReadOptions, read_database  # noqa: PLC0415
    from loadgen.workload.importing.write import WriteOptions, write_model  # noqa: PLC0415

    read = ReadOptions(
        schemas=tuple(args.schema or ()),
        tables=tuple(name for names in args.tables or () for name in names.split(",") if name),
        interval=args.interval,
        every=args.every,
        with_values=args.with_values,
        pg_bin=load_settings().pg_bin,
    )
    write = WriteOptions(
        rows=args.rows,
        rate=args.rate,
        min_writes=args.min_writes,
        anonymize=args.anonymize,
    )
    facts = read_database(args.url, read, _report)
    try:
        written = write_model(facts, write)
    except ValueError as exc:
        raise SourceError(f"{exc}: name others with --tables or --schema") from exc
    try:
        _show_database(where, facts)
        _show_model(facts, written)
        sys.stdout.flush()
    except BrokenPipeError as exc:
        discard_stdout()
        raise SettingsError(
            "the output was not read to its end, so nothing was written: run it without `head`"
        ) from exc
    with _made_whole(out) as folder:
        (folder / "workload.toml").write_text(written.toml, encoding="utf-8")
        if written.schema_sql:
            (folder / "schema.sql").write_text(written.schema_sql, encoding="utf-8")
        _require_model(folder)
    _show_next(args.out, written)
    return 0


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _new_folder(name: str) -> Path:
    """Return the folder to make. Raises SettingsError if a workload can't be made there."""
    out = Path(name).expanduser()
    if name in built_in_models():
        raise SettingsError(f"--out: {name} is a built-in workload: choose another name")
    if out.is_dir() and any(out.iterdir()):
        raise SettingsError(f"--out: {out} is not empty: name a new folder, or remove it")
    if out.exists() and not out.is_dir():
        raise SettingsError(f"--out: {out} is a file: name a new folder")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise SettingsError(f"--out: no folder can be made in {out.parent}: name another place")
    return out.resolve()


@contextmanager
def _made_whole(out: Path) -> Iterator[Path]:
    """Yield a folder that becomes `out` after the block; nothing stays of one that failed."""
    try:
        with tempfile.TemporaryDirectory(
            prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True
        ) as made:
            folder = Path(made) / out.name
            folder.mkdir()
            yield folder
            folder.rename(out)
    except OSError as exc:
        raise SettingsError(f"--out: {out} can't be written ({exc.strerror})") from exc


def _require_model(folder: Path) -> None:
    """Refuse a model that no command could read; its folder has the name that it will have."""
    try:
        read_model(str(folder))
    except ModelError as exc:
        fault = str(exc).replace(f"{folder.parent}{os.sep}", "")
        raise ModelError(
            f"{fault}. The import made this mistake and wrote nothing: leave that table out with "
            "--tables, and report it"
        ) from exc


# --- The output -----------------------------------------------------------------------------------


def _show_database(where: str, facts: DatabaseFacts) -> None:
    """Print which server was read, over which window, and its busiest tables."""
    major, minor = divmod(facts.server_version, 10_000)
    _print(
        f"Postgres {major}.{minor} at {where}, read {moment(facts.read_at)}: "
        f"{plural(len(facts.tables), 'table')}, {gigabytes(sum(map(_size, facts.tables)))} with "
        "indexes."
    )
    _print(window_text(facts.window))
    print_table(_tables(facts))


def window_text(window: Window) -> str:
    """Return in which time the writes were counted, and what that is worth."""
    seconds = window.seconds
    if seconds is None:
        return (
            "Writes were counted over an unknown time: the rates are guesses. Measure them with "
            "--interval 1h."
        )
    began = f"from {moment(window.began_at)} to {moment(window.ended_at)}"
    if window.is_measured:
        text = f"Writes were measured for {duration(seconds)}, {began}."
    else:
        text = (
            f"Writes were counted for {duration(seconds)} since the statistics were reset, {began}."
        )
    if window.shares:
        low, high = (quantity(bound(window.shares)) for bound in (min, max))
        text += f" The {len(window.shares)} parts had {low} to {high} times the mean rate, which "
        text += "is the model's profile."
    if seconds < _SHORT_WINDOW:
        text += (
            " A month priced from a quiet hour is wrong: --interval 24h --every 1h measures a day."
        )
    return text


def _tables(facts: DatabaseFacts) -> Table:
    """Return sizes and writes per hour of the busiest tables, and of all."""
    columns = (
        Column("table"), Column("rows", number=True), Column("size", number=True),
        Column("inserts/h", number=True), Column("updates/h", number=True),
        Column("deletes/h", number=True),
    )  # fmt: skip
    seconds = facts.window.seconds

    def per_hour(rows: int | None) -> str:
        return quantity(None if rows is None or not seconds else rows / seconds * 3600)

    def row(name: str, tables: list[TableFacts]) -> tuple[str, ...]:
        counted = [table.writes for table in tables if table.writes is not None]
        sums = (
            sum(getattr(writes, change) for writes in counted) if counted else None
            for change in ("inserts", "updates", "deletes")
        )
        rows, size = sum(table.rows for table in tables), sum(map(_size, tables))
        return (name, big(rows), gigabytes(size), *map(per_hour, sums))

    busiest = sorted(
        facts.tables, key=lambda table: (-(table.writes.total if table.writes else 0), -table.bytes)
    )
    shown = busiest if len(busiest) <= _TABLES + 1 else busiest[:_TABLES]
    rows = [row(table.name, [table]) for table in shown]
    rows.append(row("all" if len(shown) == len(busiest) else f"all {len(busiest):,}", busiest))
    return Table(columns, tuple(rows), total=True)


def _size(table: TableFacts) -> int:
    return table.bytes + table.index_bytes


def _show_model(facts: DatabaseFacts, written: "WrittenModel") -> None:
    """Print what the model lacks, and which literals it has."""
    if facts.with_values:
        print()
        _print("The model has values of rows, the most common ones of each column (--with-values).")
    _print_list("Left out:", written.left_out)
    missing = [f"{each.what}: {each.remedy}" for each in facts.missing]
    _print_list("Could not be read; what would help:", missing)
    _print_list("Literals in defaults and checks, which schema.sql has:", literals(facts))


def literals(facts: DatabaseFacts) -> list[str]:
    """Return the defaults and checks that contain a text or a number, with their tables."""
    places: dict[str, list[str]] = {}
    for table in facts.tables:
        expressions = [(f"{table.name}.{c.name}", c.default) for c in table.columns]
        expressions += [(table.name, check) for check in table.checks]
        for name, sql in expressions:
            if _LITERAL.search(_NAMES.sub("", sql)):
                places.setdefault(sql, []).append(name)
    return [
        f"{sql} ({names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''})"
        for sql, names in places.items()
    ]


def _show_next(name: str, written: "WrittenModel") -> None:
    """Print the files' names and sizes, the guesses in them, and the next commands."""
    sizes = [
        f"{file} ({plural(text.count(chr(10)), 'line')})"
        for file, text in (("workload.toml", written.toml), ("schema.sql", written.schema_sql))
        if text
    ]
    print()
    _print(f"Written into {name}: {' and '.join(sizes)}.")
    _print_list(
        "Guesses, marked `guess` in workload.toml; correct them there:", grouped(written.guesses)
    )
    print("\nNext:")
    model = quote(name)
    for command, purpose in (
        (f"export WORKLOAD={model}", ""),
        ("loadgen costs --expected", "a month's price by vendor and table"),
        (f"loadgen workload check {model}", "`loadgen db up` first"),
        ("loadgen seed && locust", "a load like it, on this machine"),
    ):
        print(f"  {command:<40}# {purpose}" if purpose else f"  {command}")


def grouped(guesses: Iterable[str]) -> list[str]:
    """Return the guesses, those of the same words in one line: [operations.a] and 3 more …."""
    places: dict[str, list[str]] = {}
    for guess in guesses:
        place, words = _PLACED.findall(guess)[0]
        places.setdefault(words, []).append(place)
    return [
        f"{names[0]}{f' and {len(names) - 1:,} more' if len(names) > 1 else ''} {words}".strip()
        for words, names in places.items()
    ]


def _print_list(title: str, lines: Iterable[str]) -> None:
    """Print a title and its lines, if there are any."""
    lines = list(lines)
    if lines:
        print(f"\n{title}")
        for line in lines:
            _print(f"- {line}")


def _print(text: str) -> None:
    shown = textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    print(shown, flush=True)  # of a broken pipe rich makes an exit


# --- Arguments ------------------------------------------------------------------------------------


def _share(text: str) -> float:
    """Return a percentage as a factor."""
    percent = _PERCENT.fullmatch(text.strip())
    if not percent or not 0 < float(percent[1]) <= _MOST_PERCENT:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage above 0: write 10%")
    return float(percent[1]) / 100


def _seconds(text: str) -> float:
    """Return a duration in seconds."""
    try:
        seconds = seconds_of(text)
    except ValueError:
        seconds = 0.0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90s, 10m or 24h")
    return seconds


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows per hour: write 10")
    return number
