"""How many different rows a period's changes touch: what prices by active rows count.

The load's status updates go to open orders, recent ones more likely; an order that was placed in
the same period is counted once already. So what matters is how many older orders are touched,
which is found by playing the load's own rule with seeded draws. Pure.
"""

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final

from loadgen.workload.data.growth import DAYS
from loadgen.workload.data.order_lifecycle import LIVES, lives, state
from loadgen.workload.data.synthetic import OPEN_STATUSES, next_status
from loadgen.workload.targets import OPEN_ORDERS_LIMIT

PLAYED: Final = 9  # periods that are played for a band
_HOUR_US: Final = 3_600_000_000
_LONGEST_OPEN_HOURS: Final = 240  # no life of an order is open for longer
_GROWTH: Final = 1.5  # the baseline's last days have that many times its mean


@dataclass(frozen=True, slots=True)
class Touched:
    """How many older rows are touched: the least, the median and the most of the played periods."""

    low: int
    likely: int
    high: int


def open_orders(orders: int) -> int:
    """Return about how many of a baseline's orders may still change."""
    hours = sum(_open_shares())  # of a full hour's orders, over all ages
    return min(OPEN_ORDERS_LIMIT, round(orders / DAYS / 24 * _GROWTH * hours))


@cache
def older_touched(
    orders: int, inserts: int, updates: int, seed: int, played: int = PLAYED
) -> Touched:
    """Return how many orders from before the period its updates touch, over `played` periods.

    `orders` stand at its beginning, `inserts` of them come and `updates` of any are made.
    """
    found = sorted(
        _play(open_orders(orders), inserts, updates, Random(f"{seed}:{n}"))  # noqa: S311 - no secret
        for n in range(played)
    )
    return Touched(found[0], found[played // 2], found[-1])


def returning_touched(hot_rows: int, updates: float) -> float:
    """Return the expected number of different rows among updates that return to busy rows.

    Rows are as busy as the load's users: rank = hot_rows * u^3, u uniform.
    """
    total, low = 0.0, 0
    while low < hot_rows:
        high = min(hot_rows, max(low + 1, low * 21 // 20))  # ranks close to each other are alike
        share = ((high / hot_rows) ** (1 / 3) - (low / hot_rows) ** (1 / 3)) / (high - low)
        total += (high - low) * (1 - (1 - min(share, 1.0)) ** updates)
        low = high
    return total


def _play(older: int, inserts: int, updates: int, draw: Random) -> int:
    """Return how many of the older open orders the updates touch, as `Operations` picks them."""
    orders = [("paid", True)] * older
    touched, left, inserted = 0, older, 0
    for done in range(updates):
        due = inserts * (done + 1) // updates
        fresh = min(due - inserted, OPEN_ORDERS_LIMIT)
        inserted = due
        orders += [("pending", False)] * fresh
        forgotten = max(0, len(orders) - OPEN_ORDERS_LIMIT)
        left -= sum(is_older for _, is_older in orders[:forgotten])
        del orders[:forgotten]
        if not left:
            break
        if not orders:
            continue
        age = int(len(orders) * draw.random() ** 3)
        status, is_older = orders.pop(len(orders) - 1 - age)
        touched += is_older
        left -= is_older
        following = next_status(status, draw.random())
        if following in OPEN_STATUSES:
            orders.append((following, False))  # touched once, it is not counted again
    return touched


@cache
def _open_shares() -> tuple[float, ...]:
    """Return the share of orders that are open by age in hours."""
    opened = {status.encode() for status in OPEN_STATUSES}
    return tuple(
        sum(state(life, hour * _HOUR_US).status in opened for life in lives()) / LIVES
        for hour in range(_LONGEST_OPEN_HOURS)
    )
