"""From quantities by day and the price of a unit on each to a cost line, measured or not. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from loadgen.costs.unavailable import Unavailable
from loadgen.record.costs import Basis, CostLine, Grade, Payer, not_priced

_NANO: Final = Decimal("1e-9")

ByDay = Mapping[date, Decimal]


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What one unit costs, and how far that is to be believed."""

    value: Decimal
    basis: Basis
    grade: Grade
    source: str
    as_of: date
    final: bool = True


PriceOf = Callable[[date], UnitPrice | Unavailable]


@dataclass(frozen=True, slots=True)
class CostKey:
    """What a line is about."""

    tool: str
    payer: Payer
    category: str

    def unpriced(self, why: str | Unavailable, source: str = "") -> CostLine:
        """Return the line that stands where the figure would; provisional if it may still come."""
        unread = why if isinstance(why, Unavailable) else Unavailable(why)
        line = not_priced(self.tool, self.payer, self.category, unread.why, source)
        return replace(line, final=not unread.yet)


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a quantity was got: where from, what to know of it, and whether it may still change."""

    source: str
    note: str = ""
    final: bool = True
    basis: Basis = "measured"


def priced(
    what: CostKey, unit: str, parts: ByDay, price_of: PriceOf, provenance: Provenance
) -> CostLine:
    """Return the line of so many units by day; not priced where one day's price is not known.

    The amount is the quantity as shown, to a billionth of a unit, times the price.
    """
    quantities = {day: exact(quantity) for day, quantity in parts.items()}
    prices = {day: price_of(day) for day in quantities}
    known = {day: price for day, price in prices.items() if isinstance(price, UnitPrice)}
    unread = [price for price in prices.values() if isinstance(price, Unavailable)]
    unknown = unread[0].why if unread else None
    settled = all(price.final for price in known.values()) and not any(p.yet for p in unread)
    line = CostLine(
        tool=what.tool,
        payer=what.payer,
        category=what.category,
        quantity=sum(quantities.values(), Decimal(0)),
        unit=unit,
        amount=None,
        basis="estimate",
        grade="?",
        source=provenance.source,
        as_of=None,
        note=joined(f"not priced: {unknown or 'no day to price'}", provenance.note),
        final=provenance.final and settled,
    )
    if unknown is not None or not known:
        return line
    newest = max(known.values(), key=lambda price: price.as_of)
    values = {price.value for price in known.values()}
    sources = dict.fromkeys([provenance.source, *(price.source for price in known.values())])
    return replace(
        line,
        unit_price=newest.value if len(values) == 1 else None,
        amount=sum((quantities[day] * price.value for day, price in known.items()), Decimal(0)),
        basis="estimate" if provenance.basis == "estimate" else newest.basis,
        grade=newest.grade,
        source="; ".join(sources),
        as_of=newest.as_of,
        note=joined(
            provenance.note, f"{len(values)} prices on its days" if len(values) > 1 else ""
        ),
    )


def exact(quantity: Decimal) -> Decimal:
    """Return a quantity as it is shown and priced: to a billionth of its unit."""
    return quantity.quantize(_NANO)


def joined(*words: str) -> str:
    """Return the words that say something as one note."""
    return "; ".join(word for word in words if word)
