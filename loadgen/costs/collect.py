"""Collects a run's cost lines from the rate cards, Snowflake and AWS, and projects a month.

`expected` prices a run before it starts.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from loadgen.config.settings import Settings
from loadgen.costs.aws.costs import AwsCosts
from loadgen.costs.cards import STALE_DAYS, RateCard, load_cards
from loadgen.costs.estimate import FIRST_COPY, PlanPrice
from loadgen.costs.lines import Unavailable, join_notes
from loadgen.costs.projection import projection_of
from loadgen.costs.snowflake.costs import SnowflakeCostTracker
from loadgen.costs.snowflake.views import UsageConnection
from loadgen.costs.usage import USAGE_FILE, Usage, read_reported
from loadgen.costs.vendors import VendorPrices, choices
from loadgen.costs.workload import (
    Workload,
    planned_workload,
    run_usage,
    so_far,
    with_markers,
    workload_of,
)
from loadgen.record.costs import CostLine, Costs, Projection, ToolPlan, Total, not_priced
from loadgen.record.run import Run
from loadgen.text import dollars, plural
from loadgen.tools.tools_file import Tool, load_tools

OLD_PRICE: Final = "old price:"
_WAREHOUSE: Final = (
    "credits depend on how often the tool wakes its warehouse; a Gen1 XS that never suspends "
    "takes 24 a day"
)


def costs_of(folder: Path, settings: Settings, at: datetime) -> Costs:
    """Return the costs of the run in `folder`.

    The run is priced by the plans sold on its day, a month by those sold at `at`. Raises
    SettingsError for an error in a card, tools.toml or usage.toml.
    """
    run, tools = so_far(Run.of(folder)), load_tools(settings)
    cards, reported = load_cards(settings.rate_cards_dir), read_reported(folder)
    vendors = VendorPrices(cards, choices(tools), (run.started_at or at).date(), reported)
    connection = UsageConnection(settings)
    snowflake = SnowflakeCostTracker(tools, settings, _card(cards, "snowflake"), connection, at)
    aws = AwsCosts([tool.name for tool in tools], settings, _card(cards, "aws"), at)
    with closing(connection):
        workload = workload_of(run, settings.workload)
        aws_lines, vendor_lines = aws.lines(run), vendors.lines(run, workload)
        estimates = _without_measured(vendor_lines, aws_lines, tools, cards)
        local = [_local_line(tool) for tool in tools if tool.runner and tool.price is None]
        lines = _grouped_by_tool([*local, *estimates, *snowflake.lines(run), *aws_lines])
        efficiency = snowflake.efficiency(run)
    lines = _with_price_age(lines, at.date())
    if run.ended_at is None:
        lines = [replace(line, final=False) for line in lines]
    warnings = [text for card in cards.values() for text in card.warnings(at.date())]
    known = dict.fromkeys(line.tool for line in lines)
    warnings += [
        f"{USAGE_FILE} has figures of {name}, which has no price: there are {', '.join(known)}"
        for name in reported
        if name not in known
    ]
    if left_out := len(vendor_lines) - len(estimates):
        warnings.append(f"{left_out} estimated lines are left out: AWS has the measured usage")
    chosen = VendorPrices(cards, choices(tools), at.date(), {}).chosen_plans()
    plans = {name: price for name, price in chosen.items() if isinstance(price, PlanPrice)}
    projection = Projection()
    if isinstance(workload, Workload):
        projection = projection_of(
            workload,
            run_usage(run, workload),
            list(cards.values()),
            at.date(),
            [replace(price, tool=price.card.name) for price in plans.values()],
        )
    more: dict[str, object] = {}
    if reported:
        more["reported"] = reported
    if plans:
        more["tools"] = {
            name: ToolPlan(card=price.card.name, plan=price.plan.title)
            for name, price in plans.items()
        }
    if efficiency:
        more["snowflake"] = tuple(efficiency)
    return Costs(
        made_at=at,
        lines=tuple(lines),
        warnings=tuple(warnings),
        projection=projection.model_copy(update=more),
    )


def expected(settings: Settings, tools: Sequence[Tool], at: datetime) -> list[CostLine]:
    """Return what the tools would charge for the run that the settings describe.

    The first copy of the baseline is a separate line.
    """
    cards = load_cards(settings.rate_cards_dir)
    workload = planned_workload(settings)
    usage = _planned_usage(settings, workload, with_watch=bool(tools))
    lines: list[CostLine] = []
    for price in VendorPrices(cards, choices(tools), at.date(), {}).chosen_plans().values():
        if isinstance(price, CostLine):
            lines.append(price)
        else:
            lines += [*price.lines(usage), price.copy_line(usage, workload.baseline, FIRST_COPY)]
    return _with_price_age(lines, at.date()) + [
        not_priced(tool.name, "customer", "warehouse", _WAREHOUSE)
        for tool in tools
        if tool.destination == "snowflake"
    ]


def over_budget(lines: Sequence[CostLine], budget: Decimal) -> str | None:
    """Return a warning if the expected spend is, or may be, above the budget."""
    total = Total.of(lines)
    limit = f"BUDGET_USD, which is {dollars(budget)}"
    if total.amount > budget:
        return f"the run would cost {dollars(total.amount)}, more than {limit}"
    if total.at_most is None:
        return f"{plural(total.unpriced, 'line')} not priced: the run may cost more than {limit}"
    if total.at_most > budget:
        return f"the run may cost up to {dollars(total.at_most)}, more than {limit}"
    return None


def _local_line(tool: Tool) -> CostLine:
    """Return the line of a tool that runs on this machine and has no vendor."""
    return not_priced(tool.name, "customer", "machine", "it runs here")


def _card(cards: Mapping[str, RateCard], name: str) -> RateCard | Unavailable:
    return cards.get(name) or Unavailable(f"there is no rate card {name}")


def _without_measured(
    estimates: Sequence[CostLine],
    aws_lines: Sequence[CostLine],
    tools: Sequence[Tool],
    cards: Mapping[str, RateCard],
) -> list[CostLine]:
    """Return the estimates without those of infrastructure whose usage AWS has measured."""
    measured = {
        line.tool for line in aws_lines if line.payer == "service" and line.amount is not None
    }
    infrastructure = {
        tool.name
        for tool in tools
        if tool.price and (card := cards.get(tool.price.card)) and card.infrastructure
    }
    return [line for line in estimates if line.tool not in measured & infrastructure]


def _grouped_by_tool(lines: Iterable[CostLine]) -> list[CostLine]:
    """Return the lines by tool, tools in the order of their first line."""
    by_tool: dict[str, list[CostLine]] = {}
    for line in lines:
        by_tool.setdefault(line.tool, []).append(line)
    return [line for own in by_tool.values() for line in own]


def _with_price_age(lines: Iterable[CostLine], today: date) -> list[CostLine]:
    """Return the lines with a note on each price that is older than STALE_DAYS."""

    def aged(line: CostLine) -> CostLine:
        days = (today - line.as_of).days if line.as_of else 0
        note = f"{OLD_PRICE} of {line.as_of}, {days} days ago"
        return replace(line, note=join_notes(note, line.note)) if days > STALE_DAYS else line

    return [aged(line) for line in lines]


def _planned_usage(settings: Settings, workload: Workload, *, with_watch: bool) -> Usage:
    """Return the usage of the run that the settings describe, with the watch's markers."""
    hours = Decimal(str(settings.test_duration_hours))
    counts = {name: round(rate * float(hours)) for name, rate in workload.per_hour.items()}
    markers = int(hours * 3600 / Decimal(str(settings.marker_interval_seconds)))
    return with_markers(workload.usage(counts, hours).likely, markers if with_watch else 0)
