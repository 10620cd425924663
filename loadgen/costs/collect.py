"""All that is known of a run's cost, from everyone who knows some of it.

Another source of cost lines is added in `sources`; what it can't read it says as lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from loadgen.config.settings import Settings
from loadgen.costs.cards import STALE_DAYS, RateCard, load_cards
from loadgen.costs.cloud import cloud_sources
from loadgen.costs.copying import FIRST_COPY, copy_line
from loadgen.costs.estimate import Priced
from loadgen.costs.experiment import with_markers
from loadgen.costs.lines import CostSource
from loadgen.costs.projection import outlook
from loadgen.costs.usage import USAGE_FILE, Reported, Usage, read_reported
from loadgen.costs.vendors import VendorPrices, choices, run_usage
from loadgen.costs.workload import Baseline, Workload, so_far, workload_of
from loadgen.record.costs import CostLine, Costs, Projection, ToolPlan, Total, not_priced
from loadgen.record.reader import load_run
from loadgen.record.run import Run
from loadgen.text import dollars, plural
from loadgen.tools.tools_file import Tool, load_tools
from loadgen.workload.operations import rates_per_hour

OLD_PRICE: Final = "old price:"
_WAREHOUSE: Final = (
    "credits depend on how often the tool wakes its warehouse; a Gen1 XS that never suspends "
    "takes 24 a day"
)


def costs_of(folder: Path, settings: Settings, at: datetime) -> Costs:
    """Return the costs of the run in `folder`.

    The run is priced by the cards in force on its day, months by those in force at `at`.
    Raises SettingsError for a card, tools.toml or usage.toml that is not understood.
    """
    run, tools = so_far(load_run(folder)), load_tools(settings)
    cards, reported = load_cards(settings.rate_cards_dir), read_reported(folder)
    day = (run.started_at or at).date()
    with cloud_sources(tools, settings, cards, at) as (snowflake, aws):
        own = aws.lines(run)
        provenance = [
            line for one in sources(tools, cards, day, reported) for line in one.lines(run)
        ]
        kept = without_told(provenance, own, tools, cards)
        lines = aged(by_tool([*kept, *snowflake.lines(run), *own]), at.date())
        spent = snowflake.efficiency(run)
    if run.ended_at is None:
        lines = [replace(line, final=False) for line in lines]
    warnings = [text for card in cards.values() for text in card.warnings(at.date())]
    warnings += _unknown(reported, lines)
    if left_out := len(provenance) - len(kept):
        warnings.append(f"{left_out} estimated lines are left out: AWS tells what was used")
    plans = _chosen_plans(tools, cards, at.date())
    projection = _projection(run, list(cards.values()), at.date(), plans)
    more: dict[str, object] = {}
    if reported:
        more["reported"] = {name: usage.recorded() for name, usage in reported.items()}
    if plans:
        more["tools"] = {
            name: ToolPlan(card=priced.card.name, plan=priced.plan.title)
            for name, priced in plans.items()
        }
    if spent:
        more["snowflake"] = tuple(spent)
    return Costs(
        made_at=at,
        lines=tuple(lines),
        warnings=tuple(warnings),
        projection=projection.model_copy(update=more),
    )


def without_told(
    estimated: Sequence[CostLine],
    own: Sequence[CostLine],
    tools: Sequence[Tool],
    cards: Mapping[str, RateCard],
) -> list[CostLine]:
    """Return the estimates but for those of infrastructure of which AWS itself tells the cost."""
    known = {line.tool for line in own if line.payer == "service" and line.amount is not None}
    twice = {
        tool.name
        for tool in tools
        if tool.price and (card := cards.get(tool.price.card)) and card.infrastructure
    }
    return [line for line in estimated if line.tool not in known & twice]


def aged(lines: Iterable[CostLine], today: date) -> list[CostLine]:
    """Return the lines; one whose price is older than STALE_DAYS says so in its own note."""
    return [_aged(line, today) for line in lines]


def _aged(line: CostLine, today: date) -> CostLine:
    if line.as_of is None or (days := (today - line.as_of).days) <= STALE_DAYS:
        return line
    said = f"{OLD_PRICE} of {line.as_of}, {days} days ago"
    return replace(line, note=f"{said}; {line.note}" if line.note else said)


def by_tool(lines: Iterable[CostLine]) -> list[CostLine]:
    """Return the lines with those of a tool together, tools in the order of their first."""
    found: dict[str, list[CostLine]] = {}
    for line in lines:
        found.setdefault(line.tool, []).append(line)
    return [line for own in found.values() for line in own]


def sources(
    tools: Sequence[Tool],
    cards: Mapping[str, RateCard],
    day: date,
    reported: Mapping[str, Reported],
) -> list[CostSource]:
    """Return everyone who is asked what a run cost, but for the clouds."""
    return [VendorPrices(cards, choices(tools), day, reported)]


def expected(settings: Settings, tools: Sequence[Tool], at: datetime) -> list[CostLine]:
    """Return what the tools would charge for the run that the settings describe.

    The first copy of the baseline is a line of its own.
    """
    cards = load_cards(settings.rate_cards_dir)
    found: list[CostLine] = []
    usage, baseline = planned(settings, markers=bool(tools)), _planned_baseline(settings)
    for priced in VendorPrices(cards, choices(tools), at.date(), {}).named().values():
        if isinstance(priced, CostLine):
            found.append(priced)
        else:
            found += [*priced.lines(usage), copy_line(priced, usage, baseline, FIRST_COPY)]
    found = aged(found, at.date())
    for tool in tools:
        if tool.destination == "snowflake":
            found.append(not_priced(tool.name, "customer", "warehouse", _WAREHOUSE))
    return found


def _planned_baseline(settings: Settings) -> Baseline | None:
    rows = {
        "users": settings.initial_users,
        "orders": settings.initial_orders,
        "events": settings.initial_events,
    }
    return Baseline.of(rows, settings.event_bytes)


def planned(settings: Settings, *, markers: bool) -> Usage:
    """Return the usage of the run that the settings describe, its markers with it."""
    hours = Decimal(str(settings.test_duration_hours))
    workload = Workload(
        per_hour=rates_per_hour(settings),
        orders=settings.initial_orders,
        event_bytes=settings.event_bytes,
        seed=settings.seed,
    )
    counts = {name: round(rate * float(hours)) for name, rate in workload.per_hour.items()}
    number = int(hours * 3600 / Decimal(str(settings.marker_interval_seconds))) if markers else 0
    return with_markers(workload.usage(counts, hours).likely, number)


def over_budget(lines: Sequence[CostLine], budget: Decimal) -> str | None:
    """Return in a line that the expected spend is, or may be, above the budget; else None."""
    total = Total.of(lines)
    limit = f"BUDGET_USD, which is {dollars(budget)}"
    if total.amount > budget:
        return f"the run would cost {dollars(total.amount)}, more than {limit}"
    if total.at_most is None:
        return f"{plural(total.unpriced, 'line')} not priced: the run may cost more than {limit}"
    if total.at_most > budget:
        return f"the run may cost up to {dollars(total.at_most)}, more than {limit}"
    return None


def _unknown(reported: Mapping[str, Reported], lines: Sequence[CostLine]) -> list[str]:
    known = dict.fromkeys(line.tool for line in lines)
    return [
        f"{USAGE_FILE} has figures of {name}, which nothing prices: there are {', '.join(known)}"
        for name in reported
        if name not in known
    ]


def _chosen_plans(
    tools: Sequence[Tool], cards: Mapping[str, RateCard], day: date
) -> dict[str, Priced]:
    """Return the plan of each tool that names its price."""
    named = VendorPrices(cards, choices(tools), day, {}).named()
    return {name: priced for name, priced in named.items() if not isinstance(priced, CostLine)}


def _projection(
    run: Run, cards: Sequence[RateCard], day: date, plans: Mapping[str, Priced]
) -> Projection:
    workload, usage = workload_of(run), run_usage(run)
    if workload is None or usage is None:
        return Projection()
    chosen = [replace(priced, tool=priced.card.name) for priced in plans.values()]
    return outlook(workload, usage, cards, day, chosen)
