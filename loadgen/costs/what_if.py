"""What a month would cost at other sizes, and which vendor is the cheapest there. Pure.

A vendor's price is that of its cheapest plan that can be compared. Where a part of it is not
published, the price lies between `least` and `most`; None is "without bound".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from math import sqrt
from typing import Final

from loadgen.costs.cards import RateCard
from loadgen.costs.estimate import Priced
from loadgen.costs.usage import Usage
from loadgen.costs.workload import Workload
from loadgen.record.costs import Grade, Total, worst_grade

_PER_DECADE: Final = (1.0, 1.5, 2.2, 3.3, 5.0, 7.0)
VOLUMES: Final = (*(10.0**e * s for e in range(4, 9) for s in _PER_DECADE), 1e9)
EVENT_BYTES: Final = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
HOT_ROWS: Final = tuple(10**e * s for e in range(2, 7) for s in (1, 3))
_NEAR: Final = 1.01  # a range ends where another begins, to a hundredth


@dataclass(frozen=True, slots=True)
class Point:
    """A month's price between two bounds, in dollars, the plan that it is of, and its grade."""

    plan: str
    least: Decimal
    most: Decimal | None
    grade: Grade


@dataclass(frozen=True, slots=True)
class CheapestRange:
    """From `low` to `high` changes a month one of `vendors` is the cheapest.

    A single vendor is certainly the cheapest; of several it is open which one, or they cost the
    same. `at_low` and `at_high` are their prices at the ends.
    """

    low: float
    high: float
    vendors: tuple[str, ...]
    at_low: tuple[Point, ...]
    at_high: tuple[Point, ...]


def compared(cards: Sequence[RateCard], day: date) -> dict[str, tuple[Priced, ...]]:
    """Return what can be compared on that day: the plans of each card, by the card's name."""
    found = {
        card.name: tuple(
            Priced(card.name, card, plan)
            for plan in card.plans
            if plan.compared and plan.in_force(day)
        )
        for card in cards
        if card.payer == "service"
    }
    return {name: plans for name, plans in found.items() if plans}


def cheapest(plans: Sequence[Priced], usage: Usage) -> Point:
    """Return the lowest price among the plans; one that is bounded comes before one that is not."""
    points = [
        Point(priced.plan.title, total.amount, total.at_most, worst_grade(lines))
        for priced in plans
        for lines in [priced.lines(usage)]
        for total in [Total.of(lines)]
    ]
    return min(points, key=lambda point: (point.most is None, point.most or 0))


def over(
    plans: Sequence[Priced], values: Sequence[float], usage: Callable[[float], Usage]
) -> list[Point]:
    """Return the price at each of the values that `usage` makes a usage of."""
    return [cheapest(plans, usage(value)) for value in values]


def at_volume(workload: Workload, changes: float) -> Usage:
    """Return a month's usage at so many changes."""
    return workload.of_changes(changes).month(played=1).likely


def at_event_bytes(workload: Workload, event_bytes: float) -> Usage:
    """Return a month's usage with events of that width, at the workload's rate."""
    return replace(workload, event_bytes=int(event_bytes)).month(played=1).likely


def at_hot_rows(workload: Workload, hot_rows: float) -> Usage:
    """Return a month's usage if its updates returned to so many busy rows."""
    return replace(workload, hot_rows=int(hot_rows)).month(played=1).likely


def cheapest_ranges(
    vendors: Mapping[str, tuple[Priced, ...]], workload: Workload
) -> Iterator[CheapestRange]:
    """Yield which vendors can be the cheapest, over the volumes."""

    def prices(changes: float) -> dict[str, Point]:
        usage = at_volume(workload, changes)
        return {name: cheapest(plans, usage) for name, plans in vendors.items()}

    def candidates(changes: float) -> tuple[str, ...]:
        points = prices(changes)
        bounds = [point.most for point in points.values() if point.most is not None]
        lowest = min(bounds, default=None)
        return tuple(n for n, point in points.items() if lowest is None or point.least <= lowest)

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
    """Return two volumes a hundredth apart: at the one these are the candidates, at the other not.

    They are at `low`, and not at `high`.
    """
    while high / low > _NEAR:
        middle = sqrt(low * high)
        if candidates(middle) == names:
            low = middle
        else:
            high = middle
    return low, high
