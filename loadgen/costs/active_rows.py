"""How many different rows a period's changes touch, which vendors of active rows charge for.

The load's status updates go to open orders, recent ones more likely, and an order placed in the
same period already counts once. So the question is how many older orders the updates touch. The
answer comes from simulating the load's own rule with seeded draws. Pure.
"""

from functools import cache
from random import Random
from typing import Final

from loadgen.costs.usage import Band
from loadgen.workload.data.history import DAYS
from loadgen.workload.data.orders import (
    LIFECYCLES,
    OPEN_ORDERS_LIMIT,
    OPEN_STATUSES,
    lifecycles,
    next_status,
    state_at,
)

SIMULATIONS: Final = 9  # of a period, for the bounds
_HOUR_US: Final = 3_600_000_000
_LONGEST_OPEN_HOURS: Final = 240  # no order is open for longer
_GROWTH: Final = 1.5  # the baseline's last days have that many times its mean


def open_orders(orders: int) -> int:
    """Return about how many of a baseline's orders may still change."""
    hours = sum(_open_shares())  # of a full hour's orders, over all ages
    return min(OPEN_ORDERS_LIMIT, round(orders / DAYS / 24 * _GROWTH * hours))


@cache
def touched_older_orders(
    orders: int, inserts: int, updates: int, seed: int, simulations: int = SIMULATIONS
) -> Band[int]:
    """Return how many orders from before the period its updates touch.

    The period begins with `orders`, adds `inserts` and makes `updates` of any.
    """
    older = open_orders(orders)
    counts = sorted(
        _simulate(older, inserts, updates, Random(f"{seed}:{n}"))  # noqa: S311 - no secret
        for n in range(simulations)
    )
    return Band(counts[0], counts[simulations // 2], counts[-1])


def touched_hot_rows(hot_rows: int, updates: float) -> float:
    """Return the expected number of different rows among updates that return to busy rows.

    Rows are as busy as the load's users: rank = hot_rows * u^3, u uniform.
    """
    total, low = 0.0, 0
    while low < hot_rows:
        high = min(hot_rows, max(low + 1, low * 21 // 20))  # close ranks are about equally busy
        share = ((high / hot_rows) ** (1 / 3) - (low / hot_rows) ** (1 / 3)) / (high - low)
        total += (high - low) * (1 - (1 - min(share, 1.0)) ** updates)
        low = high
    return total


def _simulate(older: int, inserts: int, updates: int, draw: Random) -> int:
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
            orders.append((following, False))  # a touched order does not count twice
    return touched


@cache
def _open_shares() -> tuple[float, ...]:
    """Return the share of orders that are open by age in hours."""
    open_statuses = {status.encode() for status in OPEN_STATUSES}
    return tuple(
        sum(state_at(life, hour * _HOUR_US).status in open_statuses for life in lifecycles())
        / LIFECYCLES
        for hour in range(_LONGEST_OPEN_HOURS)
    )
