"""How money and volumes are said: never $0 for what is not known."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from loadgen.record.costs import GRADES, Costs, Total

NOT_PRICED: Final = "not priced"
_COUNTS: Final = ((10**9, "billion"), (10**6, "million"))
_BYTES: Final = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_MILLION: Final = 1_000_000
_KILO: Final = 1_000
_THREE_DIGITS: Final = 100


def dollars(amount: Decimal | None) -> str:
    """Return dollars to the cent; what is less than a cent and more than nothing as such."""
    if amount is None:
        return NOT_PRICED
    if 0 < amount < Decimal("0.01"):
        return "<$0.01"
    return f"-${-amount:,.2f}" if amount < 0 else f"${amount:,.2f}"


def span(least: Decimal, most: Decimal | None) -> str:
    """Return what lies between two bounds: one figure where they are the same."""
    if most is None:
        return f"{dollars(least)} + {NOT_PRICED}" if least else NOT_PRICED
    if dollars(least) == dollars(most):
        return dollars(least)
    if most - least >= 10:
        return f"${least:,.0f} to ${most:,.0f}" if least else f"up to ${most:,.0f}"
    return f"{dollars(least)} to {dollars(most)}" if least else f"up to {dollars(most)}"


def total(found: Total) -> str:
    """Return a sum of lines with what is known of those that are not priced."""
    return span(found.amount, found.at_most)


def big(number: Decimal | float) -> str:
    """Return a count in words that can be read at a glance: 91.2 million."""
    return f"{number:,.0f}" if number < _MILLION else _scaled(number, _COUNTS)


def gigabytes(number: Decimal | float) -> str:
    """Return bytes in GB of 10^9, small ones in MB or kB."""
    return f"{number:,.0f} bytes" if number < _KILO else _scaled(number, _BYTES)


def _scaled(number: Decimal | float, scales: Sequence[tuple[int, str]]) -> str:
    """Return a number to three digits in the largest scale of which it has, rounded, at least 1."""
    scaled = [(float(number) / scale, unit) for scale, unit in scales]
    value, unit = next((found for found in scaled if float(f"{found[0]:.3g}") >= 1), scaled[-1])
    if value < _THREE_DIGITS:
        value = float(f"{value:.3g}")
    return f"{value:,.0f} {unit}" if value >= _THREE_DIGITS else f"{value:g} {unit}"


def quantity(number: Decimal) -> str:
    """Return a quantity to four digits, large ones whole."""
    if number >= _KILO or not number:
        return f"{number:,.0f}"
    return f"{float(number):.4g}" if number >= Decimal("0.001") else "<0.001"


def counted(number: Decimal | None, unit: str) -> str:
    """Return a quantity with its unit, which is put in the plural where it is a word."""
    if number is None:
        return ""
    ending = "s" if number != 1 and unit[-1:].islower() else ""
    return f"{quantity(number)} {unit}{ending}".strip()


def plural(number: int, one: str) -> str:
    """Return the number with its noun."""
    return f"{number:,} {one if number == 1 else one + 's'}"


def settled(costs: Costs) -> str:
    """Return in a sentence whether the costs are final, and what to do if they are not."""
    if costs.mode == "final":
        return "These figures are final."
    of = plural(len(costs.lines), "line")
    return (
        f"These figures are provisional: {costs.unsettled} of {of} may still change or have no "
        "figure yet. Run `loadgen costs` again later."
    )


def vendor(name: str) -> str:
    """Return a vendor's name without what it was called before, or is part of."""
    return name.partition(" (")[0]


def cheapest(entry: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return a range of costs.json's `cheapest`: from where to where, who, the price, its grade."""
    prices = [_bound(entry[end]) for end in ("at_from", "at_to")]
    grades = [point["grade"] for end in ("at_from", "at_to") for point in entry[end]]
    return (
        f"{big(entry['from'])} to {big(entry['to'])}",
        " or ".join(vendor(names[name]) for name in entry["vendors"]),
        dollars(prices[0]) if prices[0] == prices[1] else " to ".join(map(dollars, prices)),
        max(grades, key=list(GRADES).index),
    )


def _bound(points: Sequence[Mapping[str, Any]]) -> Decimal | None:
    """Return what the cheapest of these costs at most; None without a bound."""
    return min((Decimal(p["most"]) for p in points if p["most"] is not None), default=None)
