"""How money and volumes are said: never $0 for what is not known."""

from decimal import Decimal
from typing import Final

from loadgen.record_costs import Total

NOT_PRICED: Final = "not priced"
_SCALES: Final = ((10**9, "billion"), (10**6, "million"))


def dollars(amount: Decimal | None) -> str:
    """Return dollars to the cent; what is less than a cent and more than nothing as such."""
    if amount is None:
        return NOT_PRICED
    if 0 < amount < Decimal("0.01"):
        return "<$0.01"
    return f"${amount:,.2f}"


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
    for scale, word in _SCALES:
        if number >= scale:
            return f"{float(number) / scale:.3g} {word}"
    return f"{number:,.0f}"


def gigabytes(number: Decimal | float) -> str:
    """Return bytes in GB of 10^9, small ones in MB or kB."""
    for scale, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= scale:
            return f"{float(number) / scale:,.3g} {unit}"
    return f"{number:,.0f} bytes"


def quantity(number: Decimal) -> str:
    """Return a quantity to four digits, large ones whole."""
    if number >= 1000 or not number:
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


def vendor(name: str) -> str:
    """Return a vendor's name without what it was called before, or is part of."""
    return name.partition(" (")[0]
