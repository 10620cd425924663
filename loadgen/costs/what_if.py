"""A month's price at other sizes, and the cheapest vendor at each. Pure.

A vendor's price is the price of its cheapest plan that can be compared. If a part of it is not
published, the price lies between `least` and `most`; None is without bound.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from math import sqrt
from typing import Final

from loadgen.costs.cards import RateCard
from loadgen.costs.estimate import PlanPrice
from loadgen.costs.usage import Usage
from loadgen.costs.workload import Workload
from loadgen.record.costs import Grade, Total, worst_grade

_PER_DECADE: Final = (1.0, 1.5, 2.2, 3.3, 5.0, 7.0)
VOLUMES: Final = (*(10.0**e * s for e in range(4, 9) for s in _PER_DECADE), 1e9)
EVENT_BYTES: Final = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
HOT_ROWS: Final = tuple(10**e * s for e in range(2, 7) for s in (1, 3))
_PRECISION: Final = 1.01  # of the volume at which one range ends and the next begins


@dataclass(frozen=True, slots=True)
class VendorPrice:
    """A vendor's price of a month in dollars, between two bounds, with its plan and grade."""

    plan: str
    least: Decimal
    most: Decimal | None
    grade: Grade


@dataclass(frozen=True, slots=True)
class CheapestRange:
    """From `low` to `high` changes a month, one of `vendors` is the cheapest.

    A single vendor is certainly the cheapest. Several cost the same, or the unpublished part of a
    price decides between them. `at_low` and `at_high` are their prices at the ends.
    """

    low: float
    high: float
    vendors: tuple[str, ...]
    at_low: tuple[VendorPrice, ...]
    at_high: tuple[VendorPrice, ...]


def compared(cards: Sequence[RateCard], day: date) -> dict[str, tuple[PlanPrice, ...]]:
    """Return the plans that can be compared on that day, by the name of their card."""
    by_card = {
        card.name: tuple(
            PlanPrice(card.name, card, plan)
            for plan in card.plans
            if plan.compared and plan.is_sold(day)
        )
        for card in cards
        if card.payer == "service"
    }
    return {name: plans for name, plans in by_card.items() if plans}


def cheapest(plans: Sequence[PlanPrice], usage: Usage) -> VendorPrice:
    """Return the lowest price among the plans; prices without bound come last."""
    prices = [
        VendorPrice(price.plan.title, total.amount, total.at_most, worst_grade(lines))
        for price in plans
        for lines in [price.lines(usage)]
        for total in [Total.of(lines)]
    ]
    return min(prices, key=lambda price: (price.most is None, price.most or 0))


def at_volume(workload: Workload, changes: float) -> Usage:
    """Return a month's usage with that many changes."""
    return workload.of_changes(changes).month(simulations=1).likely


def at_event_bytes(workload: Workload, event_bytes: float) -> Usage:
    """Return a month's usage with EVENT_BYTES of that size, at the workload's rate."""
    return workload.of_padding("event_bytes", int(event_bytes)).month(simulations=1).likely


def at_hot_rows(workload: Workload, hot_rows: float) -> Usage:
    """Return a month's usage if its updates returned to that many busy rows."""
    return replace(workload, hot_rows=int(hot_rows)).month(simulations=1).likely


def cheapest_ranges(
    vendors: Mapping[str, tuple[PlanPrice, ...]], workload: Workload
) -> Iterator[CheapestRange]:
    """Yield the vendors that can be the cheapest, by ranges of the volumes."""

    def prices(changes: float) -> dict[str, VendorPrice]:
        usage = at_volume(workload, changes)
        return {name: cheapest(plans, usage) for name, plans in vendors.items()}

    def candidates(changes: float) -> tuple[str, ...]:
        by_name = prices(changes)
        bounds = [price.most for price in by_name.values() if price.most is not None]
        lowest = min(bounds, default=None)
        return tuple(n for n, price in by_name.items() if lowest is None or price.least <= lowest)

    def between(low: float, last: float, high: float) -> CheapestRange:
        at_low, at_high = (tuple(prices(v)[name] for name in names) for v in (low, last))
        return CheapestRange(low, high, names, at_low, at_high)

    start = before = VOLUMES[0]
    names = candidates(start)
    for volume in VOLUMES[1:]:
        while candidates(volume) != names:
            last, changed = _crossing(before, volume, names, candidates)
            yield between(start, last, changed)
            start = before = changed
            names = candidates(start)
        before = volume
    yield between(start, VOLUMES[-1], VOLUMES[-1])


def _crossing(
    low: float, high: float, names: tuple[str, ...], candidates: Callable[[float], tuple[str, ...]]
) -> tuple[float, float]:
    """Return two volumes 1% apart; `names` are the candidates at the lower one only.

    They are the candidates at `low`, and not at `high`.
    """
    while high / low > _PRECISION:
        middle = sqrt(low * high)
        if candidates(middle) == names:
            low = middle
        else:
            high = middle
    return low, high
