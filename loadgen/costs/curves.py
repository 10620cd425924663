"""What a month would cost at other sizes, and where one vendor becomes cheaper than another. Pure.

A vendor's price is that of its cheapest plan that can be compared. Where a part of it is not
published, the price lies between `least` and `most`; None is "without bound".
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import combinations, pairwise
from math import sqrt
from typing import Final

from loadgen.costs.cards import RateCard
from loadgen.costs.estimate import Priced
from loadgen.costs.usage import Usage
from loadgen.costs.workload import Workload
from loadgen.record_costs import Total

_PER_DECADE: Final = (1.0, 1.5, 2.2, 3.3, 5.0, 7.0)
VOLUMES: Final = (*(10.0**e * s for e in range(4, 9) for s in _PER_DECADE), 1e9)
EVENT_BYTES: Final = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
HOT_ROWS: Final = tuple(10**e * s for e in range(2, 7) for s in (1, 3))
_NEAR: Final = 1.01  # a break-even is found to a hundredth


@dataclass(frozen=True, slots=True)
class Point:
    """A month's price between two bounds, in dollars, and the plan that it is of."""

    plan: str
    least: Decimal
    most: Decimal | None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Below `changes` a month `below` is the cheaper, above it `above`."""

    below: str
    above: str
    changes: float
    dollars: Decimal


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
        Point(priced.plan.title, total.amount, total.at_most)
        for priced in plans
        for total in [Total.of(priced.lines(usage))]
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


def break_evens(vendors: dict[str, tuple[Priced, ...]], workload: Workload) -> Iterator[BreakEven]:
    """Yield where one vendor becomes certainly cheaper than another, over the volumes."""
    for one, other in combinations(vendors, 2):

        def sign(changes: float, pair: tuple[str, str] = (one, other)) -> int:
            usage = at_volume(workload, changes)
            return _compared(*(cheapest(vendors[name], usage) for name in pair))

        known = [(volume, found) for volume in VOLUMES if (found := sign(volume))]
        for (low, before), (high, after) in pairwise(known):
            if before == after:
                continue
            changes = _crossing(low, high, before, sign)
            names = (one, other) if before < 0 else (other, one)
            point = cheapest(vendors[names[1]], at_volume(workload, changes))
            yield BreakEven(*names, changes, point.least)


def _compared(one: Point, other: Point) -> int:
    """Return -1 where one is cheaper for certain, 1 where the other is, 0 where it is open."""
    if one.most is not None and one.most < other.least:
        return -1
    return 1 if other.most is not None and other.most < one.least else 0


def _crossing(low: float, high: float, before: int, sign: Callable[[float], int]) -> float:
    """Return the first volume, to a hundredth, from which on it is no longer as `before`."""
    while high / low > _NEAR:
        middle = sqrt(low * high)
        if sign(middle) == before:
            low = middle
        else:
            high = middle
    return high
