"""The vendors' prices of a run, by every rate card, whatever tool was under test.

A line is the price of a month that holds this run and nothing else: a monthly fee is whole, an
hourly one is for the run's hours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from loadgen.costs.cards import RateCard
from loadgen.costs.estimate import RESYNCED, PlanPrice
from loadgen.costs.lines import Unavailable, join_notes
from loadgen.costs.usage import Usage
from loadgen.costs.what_if import compared
from loadgen.costs.workload import Baseline, ExperimentRows, Workload, experiment_rows, run_usage
from loadgen.record.costs import CostLine, ReportedUsage, Total, not_priced
from loadgen.record.resyncs import resyncs_of
from loadgen.record.run import Run
from loadgen.tools.tools_file import Tool


@dataclass(frozen=True, slots=True)
class PriceChoice:
    """A tool under test with the rate card and plan that tools.toml names for it."""

    tool: str
    card: str
    plan: str | None


@dataclass(frozen=True, slots=True)
class VendorPrices:
    """Prices a run by the rate cards.

    A tool with a choice is priced by it; each other card gets lines under its own name. `reported`
    are the figures of usage.toml, which replace our own.
    """

    cards: Mapping[str, RateCard]
    choices: Sequence[PriceChoice]
    day: date
    reported: Mapping[str, ReportedUsage]

    def lines(self, run: Run, workload: Workload | Unavailable) -> list[CostLine]:
        """Return each vendor's lines of the run, with the experiment's own rows as extra lines."""
        if isinstance(workload, Unavailable):
            return [
                price
                if isinstance(price, CostLine)
                else not_priced(name, price.card.payer, "usage", workload.reason)
                for name, price in self._all_plans().items()
            ]
        usage = run_usage(run, workload).likely
        extra = list(experiment_rows(run, usage))
        lines: list[CostLine] = []
        for price in self._all_plans().values():
            if isinstance(price, CostLine):
                lines.append(price)
            else:
                lines += self._plan_lines(price, usage, extra)
                if price.tool not in self.reported:
                    lines += _resync_lines(price, usage, run, workload.baseline)
        return lines

    def chosen_plans(self) -> dict[str, PlanPrice | CostLine]:
        """Return the plan of each tool with a choice, or the line with the reason for none."""
        return {choice.tool: self._chosen_plan(choice) for choice in self.choices}

    def _all_plans(self) -> dict[str, PlanPrice | CostLine]:
        plans = self.chosen_plans()
        chosen = {choice.card for choice in self.choices}
        for name, offered in compared(list(self.cards.values()), self.day).items():
            if name not in chosen:
                plans[name] = offered[0]
        return plans

    def _chosen_plan(self, choice: PriceChoice) -> PlanPrice | CostLine:
        card = self.cards.get(choice.card)
        if card is None:
            reason = f"there is no rate card {choice.card!r}, only {', '.join(self.cards)}"
            return not_priced(choice.tool, "service", "usage", reason, "TOOLS_FILE")
        plan = card.plan(choice.plan, self.day)
        if plan is None:
            known = ", ".join(dict.fromkeys(plan.name for plan in card.plans)) or "none"
            reason = f"card {card.name} has no plan {choice.plan!r} on {self.day}: it has {known}"
            return not_priced(choice.tool, card.payer, "usage", reason, "TOOLS_FILE")
        return PlanPrice(choice.tool, card, plan)

    def _plan_lines(
        self, price: PlanPrice, usage: Usage, extra: Sequence[ExperimentRows]
    ) -> list[CostLine]:
        reported = self.reported.get(price.tool)
        if reported is None:
            return [*price.lines(usage), *_extra_lines(price, usage, extra)]
        if reported.billed_usd is not None:
            billed = CostLine(
                tool=price.tool,
                payer=price.card.payer,
                category="billed",
                amount=reported.billed_usd,
                basis="measured",
                grade="P",
                source=reported.source,
                as_of=None,
                note="as the vendor reported it",
            )
            return [billed]
        # The vendor counted markers and hard cases too.
        lines = replace(price, basis="measured").lines(usage.with_reported(reported))
        note = f"usage as reported: {reported.source}"
        return [replace(line, note=join_notes(line.note, note)) for line in lines]


def sync_intervals(
    tools: Sequence[Tool], cards: Mapping[str, RateCard], day: date
) -> dict[str, float]:
    """Return each tool's sync interval in seconds by its name, as far as it is known.

    The interval of tools.toml comes before the shortest one that the tool's plan allows.
    """
    plans = VendorPrices(cards, choices(tools), day, {}).chosen_plans()
    intervals: dict[str, float] = {}
    for tool in tools:
        seconds, price = tool.interval_seconds, plans.get(tool.name)
        if not seconds and not tool.runner and isinstance(price, PlanPrice):
            seconds = price.plan.min_interval_seconds  # which does not bind a tool that runs here
        if seconds:
            intervals[tool.name] = float(seconds)
    return intervals


def choices(tools: Iterable[Tool]) -> list[PriceChoice]:
    """Return the prices that tools.toml names."""
    return [
        PriceChoice(tool.name, tool.price.card, tool.price.plan)
        for tool in tools
        if tool.price is not None
    ]


def _resync_lines(
    price: PlanPrice, usage: Usage, run: Run, baseline: Baseline | None
) -> Iterator[CostLine]:
    """Yield what each re-sync of the tool during the run adds to the price."""
    for resync in resyncs_of(run.journal):
        if resync.tool != price.tool:
            continue
        if resync.rows is None:
            reason = "its copy was not complete by the end of the run"
            yield not_priced(price.tool, price.card.payer, RESYNCED, reason, price.card.vendor)
        else:
            copied = baseline and baseline.of_rows(resync.rows)
            yield price.copy_line(usage, copied, RESYNCED)


def _extra_lines(
    price: PlanPrice, usage: Usage, extra: Sequence[ExperimentRows]
) -> Iterator[CostLine]:
    """Yield what the experiment's own rows add to the price."""
    before = Total.of(price.lines(usage))
    for rows in extra:
        lines = price.lines(rows.usage)
        after = Total.of(lines)
        if before.unpriced or after.unpriced:
            reason = "the plan's price of this usage is not known"
            yield not_priced(price.tool, price.card.payer, rows.category, reason)
        else:
            yield replace(
                lines[-1],
                category=rows.category,
                quantity=Decimal(rows.changes),
                unit=rows.unit,
                unit_price=None,
                amount=after.amount - before.amount,
                note=rows.note,
            )
        before = after
