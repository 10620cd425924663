"""Sentences on costs that terminal and report share."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from loadgen.record.costs import GRADES, CheapestVendors, Costs, PricePoint, Total
from loadgen.text import big, dollar_range, dollars, plural


def total(found: Total) -> str:
    """Return a sum of lines with what is known of those that are not priced."""
    return dollar_range(found.amount, found.at_most)


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


def cheapest(entry: CheapestVendors, names: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return a range of changes, who is the cheapest in it, the price and its grade."""
    prices = [_bound(points) for points in (entry.at_from, entry.at_to)]
    grades = [point.grade for point in (*entry.at_from, *entry.at_to)]
    return (
        f"{big(entry.from_changes)} to {big(entry.to_changes)}",
        " or ".join(vendor(names[name]) for name in entry.vendors),
        dollars(prices[0]) if prices[0] == prices[1] else " to ".join(map(dollars, prices)),
        max(grades, key=list(GRADES).index),
    )


def _bound(points: Sequence[PricePoint]) -> Decimal | None:
    """Return what the cheapest of these costs at most; None without a bound."""
    return min((point.most for point in points if point.most is not None), default=None)
