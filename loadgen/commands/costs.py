"""`loadgen costs`: prices a run and a month at its rate."""

import argparse
import json
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from loadgen.commands import selection
from loadgen.config.settings import Settings, load_settings
from loadgen.record.costs import COST_LINES, CostLine, Costs, Total
from loadgen.record.folder import find_run
from loadgen.terminal import print_table
from loadgen.text import Table, listed, plural
from loadgen.tools.tools_file import load_tools, select_tools

if TYPE_CHECKING:
    from loadgen.costs.expected_month import ExpectedMonth

_EXAMPLE = "example: loadgen costs            (the latest run; or name one: loadgen costs RUN)"
_WIDTH = 80
_CHEAPEST = 5
_GRADES = "Grades: {}. List estimates, no quotes; docs/costs.md has the method."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "costs",
        help="price a run: vendors' list prices, months, first copies; write costs.json",
        description="Prices a run and a month at its rate by every vendor's rate card, and writes "
        "costs.json into the run's folder; `loadgen report` shows it. These are list estimates, "
        "each with its grade and date; an unknown price is marked as not priced.",
        epilog=_EXAMPLE,
    )
    selection.add_run(parser)
    selection.add_tool(parser, "print the lines of this tool or vendor only; costs.json has all")
    parser.add_argument(
        "--expected",
        action="store_true",
        help="without a run: price a month of WORKLOAD by table and vendor (of the real database, "
        "if it was imported), and the run that the settings describe for the tools of TOOLS_FILE, "
        "compared with BUDGET_USD; writes nothing",
    )
    parser.add_argument(
        "--infra",
        action="store_true",
        help="price a month of infra/ in AWS_REGION (default: us-east-1), with its bucket only and "
        "with RDS; prices no run",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        dest="everything",
        help="print every vendor and plan, each line with its notes, and usage; without it the "
        f"tools under test and the {_CHEAPEST} cheapest vendors",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Write the costs and print them; always returns 0."""
    settings, now = load_settings(), datetime.now(UTC)
    if args.expected:
        return _expected(args, settings, now)
    if args.infra:
        return _infra(args, settings, now)
    from loadgen.costs.collect import costs_of  # noqa: PLC0415 - pydantic's models take a while

    folder = find_run(settings.reports_dir, selection.run_name(args))
    costs = costs_of(folder, settings, now)
    path = costs.write(folder)
    if args.tool is not None:
        selection.require_tool(args.tool, [line.tool for line in costs.lines], str(path))
        lines = tuple(line for line in costs.lines if line.tool == args.tool)
        costs = costs.model_copy(update={"lines": lines})
    if args.json:
        print(json.dumps(costs.plain(), indent=2))
    elif args.tool is not None:
        print(f"run {folder.name}")
        _print_lines(costs.lines, "This run, as if a month held nothing else")
        print(f"costs: {path}")
    else:
        tested = dict.fromkeys([*(t.name for t in load_tools(settings)), *costs.projection.tools])
        if args.everything:
            _print_costs(folder, costs)
        else:
            _print_summary(folder, costs, list(tested))
        print(f"costs: {path}")
    return 0


def _expected(args: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from loadgen.costs import collect, expected_month  # noqa: PLC0415 - as above

    lines = collect.expected(settings, select_tools(load_tools(settings), args.tool), now)
    warning = collect.over_budget(lines, Decimal(str(settings.budget_usd)))
    month = expected_month.expected_month(settings, now)
    if args.json:
        plain = {"lines": _plain(lines), "warning": warning, "month": month.plain()}
        print(json.dumps(plain))
        return 0
    _print_month(month)
    if not lines:
        print(f"{settings.tools_file} has no tool with a price: the run itself costs nothing.")
        return 0
    _print_lines(lines, f"Expected for {settings.test_duration_hours:g} h at list prices")
    print(f"together: {Total.of(lines)}")
    if warning:
        print(f"warning: {warning}")
    return 0


def _print_month(month: "ExpectedMonth") -> None:
    """Print a month of the workload by table and by vendor."""
    from loadgen.report.tables import costs, expected  # noqa: PLC0415 - as above

    whose = "the imported database" if month.statistics else f"workload {month.workload}"
    print_table(expected.month_by_table(month), title=f"A month of {whose}, by table")
    print_table(expected.month_by_vendor(month), title="Its price at each vendor's cheapest plan")
    for note in (*expected.month_notes(month), _GRADES.format(costs.grades())):
        _print_wrapped(note)


def _infra(args: argparse.Namespace, settings: Settings, now: datetime) -> int:
    from loadgen.costs import cards  # noqa: PLC0415 - as above
    from loadgen.costs.aws import infra, prices  # noqa: PLC0415 - as above

    region = settings.aws_region or "us-east-1"
    card = cards.load_card("aws", settings.rate_cards_dir)
    options = infra.options(prices.AwsPrices(card, region), now.date())
    if args.json:
        plain = {name: _plain(lines) for name, lines in options.items()}
        print(json.dumps({"region": region, "hours": int(infra.HOURS), "options": plain}))
        return 0
    print(f"A month of infra/ in {region}, {infra.HOURS} hours, by list prices.")
    _print_wrapped(f"Assumed: {infra.ASSUMED}.")
    _print_lines(options["the bucket, and RDS"])
    for name, lines in options.items():
        print(f"{name}: {Total.of(lines)}")
    for warning in card.warnings(now.date()):
        _print_wrapped(f"warning: {warning}")
    return 0


def _print_summary(folder: Path, costs: Costs, tested: Sequence[str]) -> None:
    """Print the tools under test and the cheapest vendors."""
    from loadgen.report.tables import costs as tables  # noqa: PLC0415 - as above

    print(f"run {folder.name}")
    _print_wrapped(tables.status(costs))
    if tested:
        print_table(tables.tools_table(costs, tested), title="Tools under test")
    if costs.projection.usage:
        months = tables.cheapest_months(costs.projection, _CHEAPEST)
        title = f"A month at this run's rate: cheapest plan of each vendor, {_CHEAPEST} at most"
        left_out = ("per 1M changes", "per 1M distinct rows", "syncs every", "as of")
        print_table(_without(months, *left_out), title=title)
        _print_wrapped(tables.price_dates(costs.projection))
    if costs.projection.snowflake:
        efficiency = _without(tables.efficiency_table(costs.projection), "statements", "wake-ups")
        print_table(efficiency, title="What Snowflake's credits were spent on")
    _print_wrapped(_GRADES.format(tables.grades()))
    kinds = ["every plan, line and note, usage and first copies"]
    if costs.warnings:
        kinds.append(plural(len(costs.warnings), "warning"))
    _print_wrapped(f"`loadgen costs --all` prints {listed(kinds)}.")


def _print_costs(folder: Path, costs: Costs) -> None:
    from loadgen.report.tables import costs as tables  # noqa: PLC0415 - as above

    print(f"run {folder.name}")
    _print_wrapped(tables.status(costs))
    projection = costs.projection
    if projection.usage:
        print_table(
            tables.usage_table(projection), title="Usage of this run and of a month at its rate"
        )
    _print_lines(costs.lines, "This run, as if a month held nothing else")
    if projection.snowflake:
        efficiency = _without(tables.efficiency_table(projection), "statements", "wake-ups")
        print_table(efficiency, title="What Snowflake's credits were spent on")
    if projection.usage:
        months = _without(tables.months_table(projection), "between", "syncs every")
        print_table(months, title="A month at this run's rate")
        if projection.baseline:
            copies = _without(tables.copies_table(projection), "notes")
            print(f"Baseline: {tables.baseline_size(projection)}")
            print_table(copies, title="Price of each copy of the baseline, on top of a month")
        title = "Cheapest vendor by monthly changes in this mix"
        print_table(tables.cheapest_table(projection), title=title)
    _print_wrapped(_GRADES.format(tables.grades()))
    for warning in costs.warnings:
        _print_wrapped(f"warning: {warning}")


def _print_lines(lines: Sequence[CostLine], title: str = "") -> None:
    """Print the lines and their sums, with the notes on old and missing prices."""
    from loadgen.costs.collect import OLD_PRICE  # noqa: PLC0415 - as above
    from loadgen.report.tables import costs as tables  # noqa: PLC0415 - as above

    print_table(_without(tables.lines_table(lines), "source"), title=title)
    print_table(tables.totals_table(lines))
    doubtful = [line for line in lines if line.amount is None or line.note.startswith(OLD_PRICE)]
    for note in tables.notes(doubtful):
        _print_wrapped(note)


def _without(table: Table, *labels: str) -> Table:
    """Return the table without these columns, for which a terminal is too narrow."""
    shown = [i for i, column in enumerate(table.columns) if column.label not in labels]
    columns = tuple(table.columns[i] for i in shown)
    return Table(columns, tuple(tuple(row[i] for i in shown) for row in table.rows), table.total)


def _plain(lines: Sequence[CostLine]) -> list[object]:
    plain: list[object] = COST_LINES.dump_python(tuple(lines), mode="json")
    return plain


def _print_wrapped(text: str) -> None:
    for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  "):
        print(line)
