"""How each tool of a study stands: right or wrong, how fresh, at what cost, as figures and words.

From verify.json, freshness.csv and costs.json; what nobody measured is None, in words "not
measured". Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from loadgen import text as words
from loadgen.costs import text as money
from loadgen.record.costs import CostLine, Costs, Efficiency, PricedMonth, Projection, Total
from loadgen.record.verify import Kind, ToolVerification, Verdict, Verification
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.analysis.impact import NOT_MEASURED

_NOT_WRONG: Final = "lossy"  # a difference that the tool's convention declares
_CHECKED: Final = ("right", "late", "lossy", "wrong", "did not converge")


@dataclass(frozen=True, slots=True)
class Correct:
    """What `loadgen verify` found of a copy."""

    verdict: Verdict
    rows: int
    found: Mapping[Kind, int]
    in_flight: int
    late: Mapping[Kind, int] = field(default_factory=dict)

    @property
    def wrong(self) -> int | None:
        """Findings but the declared ones; None as long as they are not known, or not all due."""
        if self.verdict not in _CHECKED or self.verdict == "late":
            return None
        return sum(count for kind, count in self.found.items() if kind != _NOT_WRONG)

    def __str__(self) -> str:
        if self.verdict not in _CHECKED:
            return self.verdict
        found = words.kinds(self.found) if self.found else "nothing wrong"
        late = f", not due yet {words.kinds(self.late)}" if self.late else ""
        return f"{self.verdict}: {found}{late} in {words.plural(self.rows, 'row')}"


@dataclass(frozen=True, slots=True)
class Paid:
    """What a run was to a tool's payers, and a month at its rate by the vendor's card."""

    total: Total
    customer: Total | None
    service: Total | None
    bases: Mapping[str, Total]  # measured, list, estimate
    month: str
    syncs_every: float | None  # seconds: the plan's shortest interval
    final: bool = True

    @property
    def dollars(self) -> float | None:
        """The sum of the lines; None where one of them is not priced."""
        return None if self.total.unpriced else float(self.total.amount)

    def __str__(self) -> str:
        shares = [
            f"{payer} {money.total(found)}"
            for payer, found in (("customer", self.customer), ("service", self.service))
            if found is not None
        ]
        provisional = "" if self.final else ", provisional"
        return f"{money.total(self.total)} this run{provisional} ({', '.join(shares)})"

    @property
    def basis(self) -> str:
        """How much of it was measured, and how much is a list's price or an estimate."""
        return ", ".join(f"{name} {money.total(found)}" for name, found in self.bases.items())


@dataclass(frozen=True, slots=True)
class WarehouseUse:
    """What a tool's Snowflake warehouse burnt."""

    credits: Decimal | None
    per_million_changes: Decimal | None
    idle_share: Decimal | None
    warehouse: str  # size and generation, "" where not shown

    def __str__(self) -> str:
        if self.per_million_changes is None:
            return NOT_MEASURED
        idle = "" if self.idle_share is None else f", {self.idle_share:.0%} idle"
        credits_ = "" if self.credits is None else f", {words.four_digits(self.credits)} in all"
        on = f", {self.warehouse}" if self.warehouse else ""
        per_million = words.four_digits(self.per_million_changes)
        return f"{per_million} credits per 1M changes{credits_}{idle}{on}"


@dataclass(frozen=True, slots=True)
class ToolSummary:
    """One tool; None for what nobody measured."""

    tool: str
    correct: Correct | None = None
    fresh: Deliveries | None = None
    paid: Paid | None = None
    warehouse_use: WarehouseUse | None = None

    def figures(self) -> dict[str, float | None]:
        """Return the figures that a decision is made by, under their names in decision.toml."""
        warehouse_use = self.warehouse_use.per_million_changes if self.warehouse_use else None
        return {
            "cost_dollars": self.paid.dollars if self.paid else None,
            "credits_per_million_changes": None if warehouse_use is None else float(warehouse_use),
            "wrong_rows": self.correct.wrong if self.correct else None,
            "freshness_p95_seconds": self.fresh.p95 if self.fresh else None,
        }

    @property
    def sentence(self) -> str:
        """The tool in a sentence: right, fresh, at what cost."""
        parts = (
            ("its copy was not checked", self.correct),
            ("freshness was not measured", self.fresh),
            ("cost was not measured", self.paid),
        )
        return "; ".join(missing if found is None else str(found) for missing, found in parts)


def standings_of(
    verified: Verification,
    fresh: Mapping[str, Deliveries],
    costs: Costs | None,
) -> tuple[ToolSummary, ...]:
    """Return the tools under test of a run: those that were verified, watched or priced.

    Vendors that are priced for comparison alone are none of them.
    """
    checked = verified.tools
    named = costs.projection.tools if costs else {}
    by_tool = {use.tool: use for use in costs.projection.snowflake} if costs else {}
    names = dict.fromkeys([*checked, *fresh, *named, *by_tool])
    return tuple(
        ToolSummary(
            tool=name,
            correct=_correct(checked[name]) if name in checked else None,
            fresh=fresh.get(name),
            paid=_paid(name, costs) if costs else None,
            warehouse_use=_burnt(by_tool[name]) if name in by_tool else None,
        )
        for name in names
    )


def _correct(tool: ToolVerification) -> Correct:
    return Correct(tool.verdict, tool.rows, tool.totals, tool.in_flight, tool.late)


def _paid(tool: str, costs: Costs) -> Paid | None:
    lines = [line for line in costs.lines if line.tool == tool]
    if not lines:
        return None
    month = _month(tool, costs.projection)
    payers: dict[str, list[CostLine]] = {}
    bases: dict[str, list[CostLine]] = {}
    for line in lines:
        payers.setdefault(line.payer, []).append(line)
        basis = "not priced" if line.amount is None else line.basis
        bases.setdefault(basis, []).append(line)
    return Paid(
        total=Total.of(lines),
        customer=Total.of(payers["customer"]) if "customer" in payers else None,
        service=Total.of(payers["service"]) if "service" in payers else None,
        bases={name: Total.of(found) for name, found in bases.items() if name != "not priced"},
        month=words.dollar_range(month.least, month.most) if month else "",
        syncs_every=month.min_interval_seconds if month else None,
        final=all(line.final for line in lines),
    )


def _month(tool: str, projection: Projection) -> PricedMonth | None:
    """Return a month at the run's rate on the tool's plan; None if no card has it."""
    plan = projection.tools.get(tool)
    return next(
        (
            month
            for month in projection.months
            if plan and (month.card, month.plan) == (plan.card, plan.plan)
        ),
        None,
    )


def _burnt(use: Efficiency) -> WarehouseUse:
    size, generation = use.size or "", f"Gen{use.generation}" if use.generation else ""
    return WarehouseUse(
        use.credits,
        use.credits_per_million_changes,
        use.idle_share,
        " ".join(part for part in (size, generation) if part),
    )
