"""`loadgen costs`: what a run cost, and what a month of it would, from everyone who knows."""

import argparse
import json
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from loadgen import text
from loadgen.config.settings import Settings, load_settings
from loadgen.record.costs import (
    COST_LINES,
    GRADES,
    CostLine,
    Costs,
    Efficiency,
    PricedMonth,
    Projection,
    Total,
    UsageFigures,
)
from loadgen.record.reader import CHANGED, find_run
from loadgen.tools.tools_file import load_tools
from loadgen.untrusted import reading

_EXAMPLE = (
    "example: loadgen costs            (the latest run; or name one: loadgen costs --run RUN)"
)
_WIDTH = 100


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "costs",
        help="prices a run: vendors' list prices, months, first copies; writes costs.json",
        description="Prices what a run wrote with every vendor's rate card, and a month at its "
        "rate, and writes costs.json into the run's folder; `loadgen report` shows it. These are "
        "list estimates, each with its grade and date; what is not known is said as not priced.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "--run",
        dest="run_name",
        metavar="RUN",
        help="a run's id or folder; without it the latest run in REPORTS_DIR",
    )
    parser.add_argument(
        "--expected",
        action="store_true",
        help="before a run: what the tools of TOOLS_FILE would charge for the one that the "
        "settings describe, against BUDGET_USD; writes nothing",
    )
    parser.add_argument(
        "--infra",
        action="store_true",
        help="what a month of infra/ would cost in AWS_REGION, or us-east-1, with its bucket only "
        "and with RDS; prices no run",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Write the costs and print them; 0 whatever they are."""
    settings, now = load_settings(), datetime.now(UTC)
    if args.expected:
        return _expected(args, settings, now)
    if args.infra:
        return _infra(args, settings, now)
    from loadgen.costs.collect import costs_of  # noqa: PLC0415 - pydantic's models take a while

    folder = find_run(settings.reports_dir, args.run_name)
    with reading(folder, CHANGED):
        costs = costs_of(folder, settings, now)
    path = costs.write(folder)
    if args.json:
        print(json.dumps(costs.document(), indent=2))
    else:
        _show(folder, costs)
        print(f"costs: {path}")
    return 0


def _expected(args: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from loadgen.costs import collect  # noqa: PLC0415 - as above
    from loadgen.costs import text as words  # noqa: PLC0415 - as above

    lines = collect.expected(settings, load_tools(settings), now)
    warning = collect.over_budget(lines, Decimal(str(settings.budget_usd)))
    if args.json:
        print(json.dumps({"lines": _plain(lines), "warning": warning}))
        return 0
    if not lines:
        print(f"{settings.tools_file} has no tool with a price: the run itself costs nothing.")
        return 0
    print(f"Expected of {settings.test_duration_hours:g} h at the rates that are set, list prices:")
    _lines(lines)
    print(f"  together: {words.total(Total.of(lines))}")
    if warning:
        print(f"warning: {warning}")
    return 0


def _infra(args: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from loadgen.costs import cards  # noqa: PLC0415 - as above
    from loadgen.costs import text as words  # noqa: PLC0415 - as above
    from loadgen.costs.aws import infra, prices  # noqa: PLC0415 - as above

    region = settings.aws_region or "us-east-1"
    card = cards.load_card("aws", settings.rate_cards_dir)
    options = infra.options(prices.AwsPrices(card, region), now.date())
    if args.json:
        found = {name: _plain(lines) for name, lines in options.items()}
        print(json.dumps({"region": region, "hours": int(infra.HOURS), "options": found}))
        return 0
    print(f"A month of infra/ in {region}, {infra.HOURS} hours, by list prices.")
    _wrapped(f"Assumed: {infra.ASSUMED}.")
    _lines(options["the bucket, and RDS"])
    for name, lines in options.items():
        print(f"  {name}: {words.total(Total.of(lines))}")
    for warning in card.warnings(now.date()):
        _wrapped(f"warning: {warning}")
    return 0


def _show(folder: Path, costs: Costs) -> None:
    from loadgen.costs import text as words  # noqa: PLC0415 - as above

    print(f"run {folder.name}")
    _wrapped(words.settled(costs))
    projection = costs.projection
    if projection.usage:
        _usage(projection.usage.run, "it wrote")
    print("\nThe run, as if a month held nothing else:")
    _lines(costs.lines)
    _efficiency(projection.snowflake)
    if projection.usage:
        print()
        _usage(projection.usage.month, "a month at its rate is")
        _months(projection.months)
        _once(projection)
        _cheapest(projection)
    print()
    grades = ", ".join(f"{grade} {meaning}" for grade, meaning in GRADES.items())
    _wrapped(f"Grades: {grades}. List estimates, no quotes; docs/costs.md has the method.")
    for warning in costs.warnings:
        _wrapped(f"warning: {warning}")


def _plain(lines: Sequence[CostLine]) -> list[object]:
    plain: list[object] = COST_LINES.dump_python(tuple(lines), mode="json")
    return plain


def _usage(usage: UsageFigures, begins: str) -> None:
    low, likely, high = map(text.gigabytes, usage.bytes)
    _wrapped(
        f"{begins} {text.big(usage.changes)} changes, about "
        f"{text.big(usage.distinct_rows[1])} distinct rows, {likely} ({low} to {high})"
    )


def _lines(lines: Sequence[CostLine]) -> None:
    from loadgen.costs import text as words  # noqa: PLC0415 - as above
    from loadgen.costs.collect import OLD_PRICE  # noqa: PLC0415 - as above

    rows = [("tool", "paid by", "for", "quantity", "amount", "basis", "grade")]
    for tool, found in groupby(lines, key=lambda line: line.tool):
        own = list(found)
        rows += [
            (
                tool,
                line.payer,
                line.category,
                text.counted(line.quantity, line.unit),
                words.total(Total.of([line])),
                line.basis,
                line.grade,
            )
            for line in own
        ]
        if len(own) > 1:
            rows.append((tool, "", "together", "", words.total(Total.of(own)), "", ""))
    _table(rows, right=(3, 4))
    told = [line for line in lines if line.amount is None or line.note.startswith(OLD_PRICE)]
    for note in dict.fromkeys(f"{one.tool}, {one.category}: {one.note}" for one in told):
        _wrapped(note)


def _efficiency(tools: Sequence[Efficiency]) -> None:
    """Print what Snowflake's credits were spent on, by tool."""
    if not tools:
        return
    print("\nWhat Snowflake's credits were spent on:")
    rows = [("tool", "credits", "/ 1M changes", "idle", "statements / wake-up", "bytes / row")]
    rows += [
        (
            tool.tool,
            _figure(tool.credits),
            _figure(tool.credits_per_million_changes),
            "not known" if tool.idle_share is None else f"{tool.idle_share:.0%}",
            _figure(tool.statements_a_wake_up),
            _figure(tool.bytes_a_row),
        )
        for tool in tools
    ]
    _table(rows, right=(1, 2, 3, 4, 5))


def _figure(number: Decimal | None) -> str:

    return "not known" if number is None else text.four_digits(number)


def _months(months: Sequence[PricedMonth]) -> None:
    from loadgen.costs import text as words  # noqa: PLC0415 - as above

    rows = [("vendor", "plan", "a month", "/ 1M changes", "/ 1M rows", "grade", "as of")]
    rows += [
        (
            words.vendor(month.vendor),
            month.plan,
            text.dollar_range(month.least, month.most),
            text.dollars(month.per_million_changes),
            text.dollars(month.per_million_rows),
            month.grade,
            str(month.as_of or ""),
        )
        for month in months
    ]
    _table(rows, right=(2, 3, 4))


def _once(projection: Projection) -> None:
    """Print what the first copy of the baseline and a re-sync add to a month, by plan."""
    from loadgen.costs import text as words  # noqa: PLC0415 - as above

    baseline = projection.baseline
    if baseline is None:
        return
    low, likely, high = map(text.gigabytes, baseline.bytes)
    print()
    _wrapped(
        f"Once, for the baseline of {text.big(baseline.rows)} rows, {likely} ({low} to {high}):"
    )
    months = projection.months
    rows = [("vendor", "plan", *(line.category for line in months[0].once), "grade")]
    rows += [
        (
            words.vendor(month.vendor),
            month.plan,
            *(text.dollars(line.amount) for line in month.once),
            " ".join(dict.fromkeys(line.grade for line in month.once)),
        )
        for month in months
    ]
    _table(rows, right=(2, 3))


def _cheapest(projection: Projection) -> None:
    """Print the cheapest vendor by range of monthly changes."""
    from loadgen.costs import text as words  # noqa: PLC0415 - as above

    print("\nCheapest vendor by monthly changes in this mix:")
    rows = [("changes a month", "cheapest", "price", "grade")]
    rows += [words.cheapest(entry, projection.vendors) for entry in projection.cheapest]
    _table(rows, right=(2,))


def _table(rows: Sequence[tuple[str, ...]], right: Iterable[int]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())


def _wrapped(text: str) -> None:
    for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  "):
        print(line)
