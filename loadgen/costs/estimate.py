"""A plan's price of a usage, and of copying the baseline, as cost lines. Pure.

The base is one line, and so is each tier of a charge that the usage reaches. Included quantities
count before the first tier. A tier without a price becomes a line without an amount, but with the
card's bound if there is one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any, Final

from loadgen.costs.cards import Base, Charge, Copying, PricePlan, RateCard, Tier
from loadgen.costs.lines import join_notes
from loadgen.costs.usage import BY_TABLE, Usage
from loadgen.costs.workload import Baseline
from loadgen.record.costs import Basis, CostLine, Total, not_priced, worst_grade

FIRST_COPY: Final = "first copy"
RESYNC: Final = "one re-sync"
RESYNCED: Final = "re-sync"  # one that the run has measured
_FINEST: Final = Decimal("1e-12")
_WIDE: Final = Context(prec=100)  # holds every product of bounded numbers
_SMALLEST_SHOWN: Final = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """A vendor's plan that prices a tool's usage; `basis` is how the usage is known."""

    tool: str
    card: RateCard
    plan: PricePlan
    basis: Basis = "estimate"

    def lines(self, usage: Usage) -> list[CostLine]:
        """Return the plan's charges for the usage."""
        for meter, most in self.plan.limits.items():
            if usage.quantity(meter) > most:
                reason = (
                    f"plan {self.plan.title} is for up to {most:,.15g} {meter.replace('_', ' ')}, "
                    f"these are {usage.quantity(meter):,.0f}"
                )
                return [self._not_priced("plan", reason)]
        charged = [line for charge in self.plan.charges for line in self._charge(charge, usage)]
        base = self.plan.base
        return charged if base is None else [*self._base(base, usage, charged), *charged]

    def copy_lines(self, usage: Usage, baseline: Baseline | None) -> Iterator[CostLine]:
        """Yield what the first copy and each later re-sync add to the price of a usage."""
        yield self.copy_line(usage, baseline, FIRST_COPY)
        yield self.copy_line(usage, baseline, RESYNC)

    def copy_line(self, usage: Usage, baseline: Baseline | None, category: str) -> CostLine:
        """Return what one copy of the baseline adds to the price of the usage."""
        copying = self.card.first_copy if category == FIRST_COPY else self.card.resync
        if baseline is None:
            reason = "the run's record has no rows of the baseline"
            return self._not_priced(category, reason)
        if copying is None:
            reason = f"rate card {self.card.name} does not say whether it is billed"
            return self._not_priced(category, reason)
        if not copying.billed:
            note = join_notes("free", copying.note)
            return self._copied(copying, category, baseline, Decimal(0), note)
        before = Total.of(self.lines(usage))
        lines = self.lines(usage.with_rows(baseline.rows, baseline.bytes.likely))
        after = Total.of(lines)
        if before.unpriced or after.unpriced:
            reason = next((line.note for line in lines if line.amount is None), "unknown price")
            return self._not_priced(category, reason.removeprefix("not priced: "))
        added = after.amount - before.amount
        line = self._copied(copying, category, baseline, added, copying.note)
        return replace(line, grade=worst_grade([line, *lines]))

    def bill_shares(self, usage: Usage, tables: Mapping[str, Usage]) -> dict[str, Decimal]:
        """Return each table's share of the price of the usage, which is that of all tables.

        Every charge by rows or bytes is divided as they are; fixed fees and hours are no table's.
        An unpriced part counts at its bound.
        """
        dollars = dict.fromkeys(tables, Decimal(0))
        for charge in self.plan.charges:
            whole = usage.quantity(charge.meter)
            if charge.meter not in BY_TABLE or not whole:
                continue
            total = Total.of(self._charge(charge, usage))
            amount = total.amount if total.at_most is None else total.at_most
            for name, own in tables.items():
                dollars[name] += amount * own.quantity(charge.meter) / whole
        total = Total.of(self.lines(usage))
        bill = total.amount if total.at_most is None else total.at_most
        return {name: amount / bill if bill else amount for name, amount in dollars.items()}

    def _base(self, base: Base, usage: Usage, charged: list[CostLine]) -> Iterator[CostLine]:
        limit, meter = base.upto, base.meter
        if limit and meter and not 0 < usage.quantity(meter) <= limit:
            return
        price = base.amount
        if price is not None and base.mode == "floor":
            price = max(Decimal(0), price - sum((line.amount or 0 for line in charged), Decimal(0)))
        yield self._line(
            base,
            category="base",
            quantity=usage.months,
            unit="month",
            unit_price=price,
            amount=None if price is None else price * usage.months,
            note=join_notes(f"not priced: {base.unpriced}" if base.unpriced else "", base.note),
        )

    def _charge(self, charge: Charge, usage: Usage) -> Iterator[CostLine]:
        counted = usage.quantity(charge.meter) * charge.factor
        if charge.meter in {"connections", "connection_hours"}:
            counted *= self.plan.connections
        included = min(counted, charge.included)
        used = f"{_short(included)} of {_short(charge.included)} included are used"
        note = used if charge.included else ""
        for tier, quantity in _split_by_tier(
            charge.tiers, max(Decimal(0), counted - charge.included)
        ):
            yield self._tier(charge, tier, quantity, join_notes(note, charge.note))
            note = ""

    def _tier(self, charge: Charge, tier: Tier, quantity: Decimal, note: str) -> CostLine:
        at_most = None if tier.at_most is None else _tidy(quantity * tier.at_most / charge.per)
        return self._line(
            charge,
            category=charge.category,
            quantity=quantity,
            unit=charge.unit,
            unit_price=None if tier.rate is None else _tidy(tier.rate / charge.per),
            amount=None if tier.rate is None else _tidy(quantity * tier.rate / charge.per),
            at_most=at_most,
            note=join_notes(f"not priced: {tier.unpriced}" if tier.unpriced else "", note),
        )

    def _copied(
        self, copying: Copying, category: str, baseline: Baseline, amount: Decimal, note: str
    ) -> CostLine:
        rows = baseline.rows
        parts = {"quantity": rows, "unit": "row", "amount": amount, "note": note}
        return self._line(copying, category=category, **parts)

    def _line(self, cited: Base | Charge | Copying, **parts: Any) -> CostLine:
        source = self.card.sources[cited.source]
        return CostLine(
            tool=self.tool,
            payer=self.card.payer,
            basis=self.basis,
            grade="?" if parts["amount"] is None else cited.grade or source.grade,
            source=source.title,
            as_of=source.as_of,
            **parts,
        )

    def _not_priced(self, category: str, reason: str) -> CostLine:
        return not_priced(self.tool, self.card.payer, category, reason, self.card.vendor)


def _split_by_tier(tiers: tuple[Tier, ...], quantity: Decimal) -> Iterator[tuple[Tier, Decimal]]:
    """Yield each tier that the quantity reaches, with its part; the first one also for 0."""
    start = Decimal(0)
    for tier in tiers:
        end = quantity if tier.upto is None else min(quantity, tier.upto)
        if end > start or not start:
            yield tier, end - start
        if tier.upto is None or quantity <= tier.upto:
            return
        start = tier.upto


def _tidy(dollars: Decimal) -> Decimal:
    """Return dollars to 12 decimals, unchanged if they have no more."""
    rounded = dollars.quantize(_FINEST, context=_WIDE)
    return dollars if dollars == rounded else rounded


def _short(number: Decimal) -> str:
    if 0 < number < _SMALLEST_SHOWN:
        return f"less than {_SMALLEST_SHOWN}"
    return f"{number:,.4g}" if number < 1000 else f"{number:,.0f}"
