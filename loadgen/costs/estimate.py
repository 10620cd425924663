"""A plan's price of a usage, as cost lines: a line for the base and one for each tier touched.

Pure. What is included is taken off before the first tier. A tier without a price gives a line
without an amount, bounded where the card has a bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from loadgen.costs.cards import Base, Charge, Plan, RateCard, Tier
from loadgen.costs.usage import Usage
from loadgen.record.costs import Basis, CostLine, not_priced

_FINEST: Final = Decimal("1e-12")
_LEAST_SHOWN: Final = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Priced:
    """Who is priced by what, and how the usage was got."""

    tool: str
    card: RateCard
    plan: Plan
    basis: Basis = "estimate"

    def lines(self, usage: Usage) -> list[CostLine]:
        """Return what the plan charges for the usage."""
        beyond = self._beyond(usage)
        if beyond is not None:
            return [not_priced(self.tool, self.card.payer, "plan", beyond, self.card.vendor)]
        charged = [line for charge in self.plan.charges for line in self._charge(charge, usage)]
        base = self.plan.base
        return charged if base is None else [*self._base(base, usage, charged), *charged]

    def _beyond(self, usage: Usage) -> str | None:
        for meter, most in self.plan.limits.items():
            if usage.of(meter) > most:
                return (
                    f"plan {self.plan.title} is for up to {most:,.15g} {meter.replace('_', ' ')}, "
                    f"these are {usage.of(meter):,.0f}"
                )
        return None

    def _base(self, base: Base, usage: Usage, charged: list[CostLine]) -> Iterator[CostLine]:
        if base.meter is not None and base.upto is not None:
            counted = usage.of(base.meter)
            if not 0 < counted <= base.upto:
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
            note=_notes(f"not priced: {base.unpriced}" if base.unpriced else "", base.note),
        )

    def _charge(self, charge: Charge, usage: Usage) -> Iterator[CostLine]:
        counted = usage.of(charge.meter) * charge.factor
        if charge.meter in {"connections", "connection_hours"}:
            counted *= self.plan.connections
        left = max(Decimal(0), counted - charge.included)
        included = min(counted, charge.included)
        said = f"{_short(included)} of {_short(charge.included)} included are used"
        said = said if charge.included else ""
        for tier, quantity in _spread(charge.tiers, left):
            yield self._tier(charge, tier, quantity, _notes(said, charge.note))
            said = ""

    def _tier(self, charge: Charge, tier: Tier, quantity: Decimal, note: str) -> CostLine:
        unit_price = None if tier.rate is None else _tidy(tier.rate / charge.per)
        most = None if tier.at_most is None else _tidy(quantity * tier.at_most / charge.per)
        unpriced = f"not priced: {tier.unpriced}" if tier.unpriced else ""
        return self._line(
            charge,
            category=charge.category,
            quantity=quantity,
            unit=charge.unit,
            unit_price=unit_price,
            amount=None if tier.rate is None else _tidy(quantity * tier.rate / charge.per),
            at_most=most,
            note=_notes(unpriced, note),
        )

    def _line(self, cited: Base | Charge, **parts: Any) -> CostLine:
        source = self.card.sources[cited.source]
        unknown = parts["amount"] is None
        return CostLine(
            tool=self.tool,
            payer=self.card.payer,
            basis=self.basis,
            grade="?" if unknown else cited.grade or source.grade,
            source=source.title,
            as_of=source.as_of,
            **parts,
        )


def _spread(tiers: tuple[Tier, ...], quantity: Decimal) -> Iterator[tuple[Tier, Decimal]]:
    """Yield each tier that the quantity reaches, with its part; the first one even for nothing."""
    begins = Decimal(0)
    for tier in tiers:
        end = quantity if tier.upto is None else min(quantity, tier.upto)
        if end > begins or not begins:
            yield tier, end - begins
        if tier.upto is None or quantity <= tier.upto:
            return
        begins = tier.upto


def _tidy(dollars: Decimal) -> Decimal:
    """Return dollars to 12 decimals: exact for all that a division leaves exact."""
    return dollars.quantize(_FINEST) if dollars != dollars.quantize(_FINEST) else dollars


def _notes(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _short(number: Decimal) -> str:
    if 0 < number < _LEAST_SHOWN:
        return f"less than {_LEAST_SHOWN}"
    return f"{number:,.4g}" if number < 1000 else f"{number:,.0f}"
