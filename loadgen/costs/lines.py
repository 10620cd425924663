"""What all sources of cost lines use: unit prices, and reasons for a missing figure.

`cost_line` multiplies quantities by day with the unit price of each day. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypeVar

from loadgen.costs.cards import RateCard
from loadgen.errors import DestinationError
from loadgen.record.costs import Basis, CostLine, Grade, Payer, not_priced

ALL_TOOLS: Final = "all tools"  # the tool of lines that belong to no single tool
_NANO: Final = Decimal("1e-9")

QuantityByDay = Mapping[date, Decimal]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The reason why a figure is missing, as the cost line shows it.

    With `temporary` a later request may bring the figure, so its line is provisional.
    """

    reason: str
    temporary: bool = False


def not_yet(reason: str, ready: datetime) -> Unavailable:
    """Return the reason why a figure is missing until `ready`, and when to ask again."""
    when = f"{ready:%Y-%m-%d %H:%M} UTC"
    return Unavailable(f"{reason}: run `loadgen costs` again after {when}", temporary=True)


def or_unavailable(read: Callable[[], T]) -> T | Unavailable:
    """Call `read` and return its rows, or the reason of its DestinationError."""
    try:
        return read()
    except DestinationError as exc:
        return Unavailable(str(exc))


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The dollars of one unit, and how reliable that price is."""

    dollars: Decimal
    basis: Basis
    grade: Grade
    source: str
    as_of: date
    final: bool = True


PriceOfDay = Callable[[date], UnitPrice | Unavailable]


def list_price(
    card: RateCard | Unavailable, table: str, row: str, column: str
) -> UnitPrice | Unavailable:
    """Return a price of a rate card's table."""
    if isinstance(card, Unavailable):
        return card
    price = card.price(table, row, column)
    if price is None:
        place = f"{row or 'no region'}, {column}"
        return Unavailable(f"rate card {card.name} has no {table} price for {place}")
    source = f"rate card {card.name}: {price.source.title}"
    return UnitPrice(price.rate, "list", price.grade, source, price.source.as_of)


@dataclass(frozen=True, slots=True)
class CostKey:
    """Identifies a cost line: the tool, who pays, and the category."""

    tool: str
    payer: Payer
    category: str

    def not_priced(self, reason: str | Unavailable) -> CostLine:
        """Return the line without an amount; it is provisional if the figure may still come."""
        unavailable = reason if isinstance(reason, Unavailable) else Unavailable(reason)
        line = not_priced(self.tool, self.payer, self.category, unavailable.reason)
        return replace(line, final=not unavailable.temporary)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The source of a quantity, a note about it, and whether it may still change."""

    source: str
    note: str = ""
    final: bool = True
    basis: Basis = "measured"


def cost_line(
    key: CostKey, unit: str, by_day: QuantityByDay, price_of: PriceOfDay, provenance: Provenance
) -> CostLine:
    """Return the line of quantities by day; it has no amount if the price of one day is unknown.

    The amount is the displayed quantity, rounded to a billionth of a unit, times the price.
    """
    quantities = {day: rounded(quantity) for day, quantity in by_day.items()}
    prices = {day: price_of(day) for day in quantities}
    known = {day: price for day, price in prices.items() if isinstance(price, UnitPrice)}
    missing = [price for price in prices.values() if isinstance(price, Unavailable)]
    settled = all(price.final for price in known.values()) and not any(
        price.temporary for price in missing
    )
    reason = missing[0].reason if missing else "no day to price"
    line = CostLine(
        tool=key.tool,
        payer=key.payer,
        category=key.category,
        quantity=sum(quantities.values(), Decimal(0)),
        unit=unit,
        amount=None,
        basis="estimate",
        grade="?",
        source=provenance.source,
        as_of=None,
        note=join_notes(f"not priced: {reason}", provenance.note),
        final=provenance.final and settled,
    )
    if missing or not known:
        return line
    newest = max(known.values(), key=lambda price: price.as_of)
    rates = {price.dollars for price in known.values()}
    sources = dict.fromkeys([provenance.source, *(price.source for price in known.values())])
    several = f"{len(rates)} prices on its days" if len(rates) > 1 else ""
    return replace(
        line,
        unit_price=newest.dollars if len(rates) == 1 else None,
        amount=sum((quantities[day] * price.dollars for day, price in known.items()), Decimal(0)),
        basis="estimate" if provenance.basis == "estimate" else newest.basis,
        grade=newest.grade,
        source="; ".join(sources),
        as_of=newest.as_of,
        note=join_notes(provenance.note, several),
    )


def rounded(quantity: Decimal) -> Decimal:
    """Return a quantity to a billionth of its unit, which is what a line shows and prices."""
    return quantity.quantize(_NANO)


def join_notes(*notes: str) -> str:
    """Join the notes that are not empty."""
    return "; ".join(note for note in notes if note)
