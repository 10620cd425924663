"""Each tool under test: whether its copy is right, how fresh, and at what cost. Pure.

The figures come from verify.json, freshness.csv and costs.json; None is not measured.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from loadgen import text
from loadgen.record.costs import CostLine, Costs, Efficiency, PricedMonth, Projection, Total
from loadgen.record.verify import Finding, Kind, ToolVerification, Verdict, Verification
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.analysis.impact import NOT_MEASURED

_DECLARED: Final = "lossy"  # the kind of difference that the tool's landing convention declares
INFRASTRUCTURE_CARD: Final = "simplyload"  # a card of machines' prices, not of a vendor's
_PUBLISHED: Final = ("P", "S")  # grades of prices from a published source
_CHECKED: Final = ("right", "late", "lossy", "wrong", "did not converge")


@dataclass(frozen=True, slots=True)
class Correctness:
    """What `loadgen verify` found of a copy."""

    verdict: Verdict
    rows: int
    findings: Mapping[Kind, int]
    in_flight: int
    late: Mapping[Kind, int] = field(default_factory=dict)
    example: Finding | None = None  # the first wrong row
    problem: str = ""  # the first reason why something was not compared

    @classmethod
    def of(cls, tool: ToolVerification) -> "Correctness":
        """Return a copy's correctness by verify.json."""
        undeclared = (finding for finding in tool.findings if finding.kind != _DECLARED)
        return cls(
            tool.verdict,
            tool.rows,
            tool.totals,
            tool.in_flight,
            tool.late,
            next(undeclared, None),
            next(iter(tool.problems), ""),
        )

    @property
    def wrong(self) -> int | None:
        """The number of undeclared findings; None if it is not known, or some are not due yet."""
        if self.verdict not in _CHECKED or self.verdict == "late":
            return None
        return sum(count for kind, count in self.findings.items() if kind != _DECLARED)

    def __str__(self) -> str:
        if self.verdict not in _CHECKED:
            return self.verdict
        if self.verdict == "right" and self.rows > 1 and not self.findings and not self.late:
            return f"right: all {text.count(self.rows)} rows match"
        findings = text.kinds(self.findings) if self.findings else "nothing wrong"
        late = f", not due yet {text.kinds(self.late)}" if self.late else ""
        return f"{self.verdict}: {findings}{late} in {text.plural(self.rows, 'row')}"


@dataclass(frozen=True, slots=True)
class ToolCost:
    """What the run cost a tool's payers, and a month at its rate by the vendor's rate card.

    `why_not_priced` is the note of the first line without a price.
    """

    total: Total
    customer: Total | None
    service: Total | None
    bases: Mapping[str, Total]  # measured, list, estimate
    month: str
    syncs_every: float | None  # seconds: the plan's shortest interval
    final: bool = True
    priced_month: PricedMonth | None = None
    why_not_priced: str = ""

    @property
    def dollars(self) -> float | None:
        """The sum of the lines; None if one of them is not priced."""
        return None if self.total.unpriced else float(self.total.amount)

    def __str__(self) -> str:
        if not self.bases and self.why_not_priced:
            return self.why_not_priced
        shares = [
            f"{payer} {total}"
            for payer, total in (("customer", self.customer), ("service", self.service))
            if total is not None
        ]
        provisional = "" if self.final else ", provisional"
        return f"{self.total} this run{provisional} ({', '.join(shares)})"

    @property
    def basis(self) -> str:
        """How much of it was measured, and how much is a list's price or an estimate."""
        return ", ".join(f"{name} {total}" for name, total in self.bases.items())


@dataclass(frozen=True, slots=True)
class WarehouseUse:
    """The credits that a tool's Snowflake warehouse used."""

    credits: Decimal | None
    per_million_changes: Decimal | None
    idle_share: Decimal | None
    warehouse: str  # size and generation, "" if Snowflake does not show them

    @classmethod
    def of(cls, use: Efficiency) -> "WarehouseUse":
        """Return a warehouse's use by costs.json."""
        size, generation = use.size or "", f"Gen{use.generation}" if use.generation else ""
        return cls(
            use.credits,
            use.credits_per_million_changes,
            use.idle_share,
            " ".join(part for part in (size, generation) if part),
        )

    def __str__(self) -> str:
        if self.per_million_changes is None:
            return NOT_MEASURED
        credits_ = "" if self.credits is None else f", {text.four_digits(self.credits)} in all"
        idle = "" if self.idle_share is None else f", {self.idle_text} idle"
        warehouse = f", {self.warehouse}" if self.warehouse else ""
        return f"{self.credits_text} credits per 1M changes{credits_}{idle}{warehouse}"

    @property
    def credits_text(self) -> str:
        """The credits per million changes."""
        per_million = self.per_million_changes
        return NOT_MEASURED if per_million is None else text.four_digits(per_million)

    @property
    def idle_text(self) -> str:
        """The share of the time that was billed and ran nothing."""
        return NOT_MEASURED if self.idle_share is None else f"{self.idle_share:.0%}"


@dataclass(frozen=True, slots=True)
class ToolSummary:
    """One tool under test."""

    name: str
    correctness: Correctness | None = None
    freshness: Deliveries | None = None
    cost: ToolCost | None = None
    warehouse_use: WarehouseUse | None = None

    def figures(self) -> dict[str, float | None]:
        """Return the figures that a decision is made by, under their names in decision.toml."""
        per_million = self.warehouse_use.per_million_changes if self.warehouse_use else None
        return {
            "cost_dollars": self.cost.dollars if self.cost else None,
            "credits_per_million_changes": None if per_million is None else float(per_million),
            "wrong_rows": self.correctness.wrong if self.correctness else None,
            "freshness_p95_seconds": self.freshness.p95 if self.freshness else None,
        }

    @property
    def sentence(self) -> str:
        """The tool in a sentence: whether its copy is right, how fresh, and at what cost."""
        parts = (
            self.correctness or "its copy was not checked",
            self.freshness or "freshness was not measured",
            self.cost or "cost was not measured",
        )
        return "; ".join(map(str, parts))


def tool_summaries(
    verified: Verification,
    delivered: Mapping[str, Deliveries],
    costs: Costs | None,
) -> tuple[ToolSummary, ...]:
    """Return the tools under test of a run: those that were verified, watched or priced.

    Vendors that are only priced for comparison are not among them.
    """
    checked = verified.tools
    named = costs.projection.tools if costs else {}
    by_tool = {use.tool: use for use in costs.projection.snowflake} if costs else {}
    names = dict.fromkeys([*checked, *delivered, *named, *by_tool])
    return tuple(
        ToolSummary(
            name=name,
            correctness=Correctness.of(checked[name]) if name in checked else None,
            freshness=delivered.get(name),
            cost=_cost(name, costs) if costs else None,
            warehouse_use=WarehouseUse.of(by_tool[name]) if name in by_tool else None,
        )
        for name in names
    )


def lowest_published(months: Iterable[PricedMonth]) -> PricedMonth | None:
    """Return the cheapest plan still sold whose price for a month was published."""
    published = (month for month in _sold(months) if month.grade in _PUBLISHED)
    return min(published, key=_amount, default=None)


def cheaper_unpublished(months: Iterable[PricedMonth], than: PricedMonth) -> list[PricedMonth]:
    """Return the plans still sold that are cheaper, by a price that was not published."""
    cheaper = (
        month
        for month in _sold(months)
        if month.grade not in _PUBLISHED and _amount(month) < _amount(than)
    )
    return sorted(cheaper, key=_amount)


def _sold(months: Iterable[PricedMonth]) -> Iterator[PricedMonth]:
    return (
        month
        for month in months
        if not month.former and month.card != INFRASTRUCTURE_CARD and month.amount is not None
    )


def _amount(month: PricedMonth) -> Decimal:
    return month.amount or Decimal(0)


def _cost(tool: str, costs: Costs) -> ToolCost | None:
    lines = [line for line in costs.lines if line.tool == tool]
    if not lines:
        return None
    month = plan_month(tool, costs.projection)
    payers: dict[str, list[CostLine]] = {}
    bases: dict[str, list[CostLine]] = {}
    for line in lines:
        payers.setdefault(line.payer, []).append(line)
        basis = "not priced" if line.amount is None else line.basis
        bases.setdefault(basis, []).append(line)
    return ToolCost(
        total=Total.of(lines),
        customer=Total.of(payers["customer"]) if "customer" in payers else None,
        service=Total.of(payers["service"]) if "service" in payers else None,
        bases={name: Total.of(priced) for name, priced in bases.items() if name != "not priced"},
        month=text.dollar_range(month.least, month.most) if month else "",
        syncs_every=month.min_interval_seconds if month else None,
        final=all(line.final for line in lines),
        priced_month=month,
        why_not_priced=next((line.note for line in lines if line.amount is None), ""),
    )


def plan_month(tool: str, projection: Projection) -> PricedMonth | None:
    """Return a month at the run's rate on the tool's plan; None if no rate card has it."""
    plan = projection.tools.get(tool)
    months = projection.months if plan else ()
    return next((m for m in months if plan and (m.card, m.plan) == (plan.card, plan.plan)), None)
