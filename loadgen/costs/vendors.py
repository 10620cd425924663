"""The vendors' prices of a run, from their rate cards: every card's, whatever tool was under test.

A line is what a month would cost that held this run and nothing else: a fee by the month is whole,
one by the hour is for the run's hours.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from loadgen.costs.cards import RateCard
from loadgen.costs.estimate import Priced
from loadgen.costs.experiment import Added, added
from loadgen.costs.usage import Reported, Usage
from loadgen.costs.what_if import compared
from loadgen.costs.workload import Band, run_counts, run_hours, workload_of
from loadgen.record.costs import CostLine, Total, not_priced
from loadgen.record.run import Run
from loadgen.tools.tools_file import Tool


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool under test that names its price: which card, and which plan of it."""

    tool: str
    card: str
    plan: str | None


@dataclass(frozen=True, slots=True)
class VendorPrices:
    """The source of vendors' cost lines: `choices` by their tools' names, other cards by their own.

    `reported` are figures of usage.toml, which come before our own.
    """

    cards: Mapping[str, RateCard]
    choices: Sequence[Choice]
    day: date
    reported: Mapping[str, Reported]

    @property
    def name(self) -> str:
        """What messages call it."""
        return "vendors' rate cards"

    def lines(self, run: Run) -> list[CostLine]:
        """Return each vendor's lines of the run; what the experiment itself adds stands apart."""
        band = run_usage(run)
        extra = [] if band is None else added(run, band.likely)
        found: list[CostLine] = []
        for name, priced in self.priced().items():
            if isinstance(priced, CostLine):
                found.append(priced)
            elif band is None:
                why = "the run's record has no committed writes"
                found.append(not_priced(name, priced.card.payer, "usage", why))
            else:
                found += self._of(priced, band.likely, extra)
        return found

    def priced(self) -> dict[str, Priced | CostLine]:
        """Return who is priced by what; in its place a line that says why it can't be."""
        found = self.named()
        named = {choice.card for choice in self.choices}
        for name, plans in compared(list(self.cards.values()), self.day).items():
            if name not in named:
                found[name] = plans[0]
        return found

    def named(self) -> dict[str, Priced | CostLine]:
        """Return the same of the tools that name their price."""
        return {choice.tool: self._chosen(choice) for choice in self.choices}

    def _chosen(self, choice: Choice) -> Priced | CostLine:
        card = self.cards.get(choice.card)
        if card is None:
            why = f"there is no rate card {choice.card!r}, only {', '.join(self.cards)}"
            return not_priced(choice.tool, "service", "usage", why, "TOOLS_FILE")
        plan = card.plan(choice.plan, self.day)
        if plan is None:
            known = ", ".join(dict.fromkeys(plan.name for plan in card.plans)) or "none"
            why = f"card {card.name} has no plan {choice.plan!r} on {self.day}: it has {known}"
            return not_priced(choice.tool, card.payer, "usage", why, "TOOLS_FILE")
        return Priced(choice.tool, card, plan)

    def _of(self, priced: Priced, usage: Usage, extra: Sequence[Added]) -> list[CostLine]:
        reported = self.reported.get(priced.tool)
        if reported is None:
            return [*priced.lines(usage), *_added_lines(priced, usage, extra)]
        if reported.billed_usd is not None:
            return [_billed(priced, reported, reported.billed_usd)]
        # The vendor counted markers and hard cases too.
        lines = replace(priced, basis="measured").lines(reported.over(usage))
        said = f"usage as reported: {reported.source}"
        return [replace(line, note="; ".join(filter(None, (line.note, said)))) for line in lines]


def sync_intervals(
    tools: Sequence[Tool], cards: Mapping[str, RateCard], day: date
) -> dict[str, float]:
    """Return how often each tool syncs, in seconds, by its name; nothing of one that is not known.

    What tools.toml has comes before the shortest interval that the tool's plan allows.
    """
    prices = VendorPrices(cards, choices(tools), day, {}).named()
    by_plan = {
        name: priced.plan.min_interval_seconds
        for name, priced in prices.items()
        if not isinstance(priced, CostLine)
    }
    found = {
        # A plan's limit says nothing of a tool that runs here.
        tool.name: tool.interval_seconds or (None if tool.runner else by_plan.get(tool.name))
        for tool in tools
    }
    return {name: float(seconds) for name, seconds in found.items() if seconds}


def choices(tools: Iterable[Tool]) -> list[Choice]:
    """Return the prices that tools.toml names; a tool of this machine has none."""
    return [
        Choice(tool.name, tool.price.card, tool.price.plan)
        for tool in tools
        if tool.price is not None
    ]


def run_usage(run: Run) -> Band | None:
    """Return what the run was to vendors; None where nothing was written."""
    workload, hours = workload_of(run), run_hours(run)
    if workload is None or hours is None:
        return None
    return workload.usage(run_counts(run), hours)


def _added_lines(priced: Priced, usage: Usage, extra: Sequence[Added]) -> Iterator[CostLine]:
    """Yield what the experiment's own rows add to the price."""
    before = Total.of(priced.lines(usage))
    for one in extra:
        lines = priced.lines(one.usage)
        after = Total.of(lines)
        if before.unpriced or after.unpriced:
            why = "the plan's price of this usage is not known"
            yield not_priced(priced.tool, priced.card.payer, one.category, why)
        else:
            yield replace(
                lines[-1],
                category=one.category,
                quantity=Decimal(one.changes),
                unit=one.unit,
                unit_price=None,
                amount=after.amount - before.amount,
                note=one.note,
            )
        before = after


def _billed(priced: Priced, reported: Reported, dollars: Decimal) -> CostLine:
    return CostLine(
        tool=priced.tool,
        payer=priced.card.payer,
        category="billed",
        amount=dollars,
        basis="measured",
        grade="P",
        source=reported.source,
        as_of=None,
        note="as the vendor reported it",
    )
