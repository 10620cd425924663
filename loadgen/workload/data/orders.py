"""The shop's orders: their values, and which status follows which, and when.

The load uses the rules step by step; the baseline uses whole life cycles, of which a few thousand
are computed once. Pure functions of draws, in integers, so that the same draws give the same orders
on every machine.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import shake_128
from struct import unpack
from typing import Final, NamedTuple

from loadgen.workload.data.pools import Pools, price

STATUSES: Final = ("pending", "paid", "shipped", "delivered", "cancelled", "refunded")
OPEN_STATUSES: Final = ("pending", "paid", "shipped")
OPEN_ORDERS_LIMIT: Final = 10_000  # open orders that a process remembers
# 1 to 8, small ones more often: the lower of two dice.
QUANTITIES: Final = tuple(1 + min(i & 7, i >> 3) for i in range(64))
LIFECYCLES: Final = 4096  # a power of two, so that bits of a draw pick one

_MINUTE_US: Final = 60_000_000
# Minutes from the status before to this one: at least, and at most that many more.
_DELAY_MINUTES: Final = {
    "paid": (1, 600),
    "cancelled": (30, 2880),
    "shipped": (180, 4320),
    "delivered": (1200, 8640),
    "refunded": (600, 14400),
}
_MOST_CHANGES: Final = 4  # from pending to paid, shipped, delivered and refunded


class Order(NamedTuple):
    """An order that may still change, as the process that changes it knows it."""

    number: bytes
    status: str
    version: int


class StatusStep(NamedTuple):
    """A status update whose order is not chosen yet; both numbers are uniform in [0, 1)."""

    age: float  # picks the open order: 0 is the newest, 1 the oldest
    turn: float  # picks its next status


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An order's status from `after_us` microseconds after its creation; change n is version n."""

    after_us: int
    status: bytes
    version: int


Lifecycle = tuple[StatusChange, ...]  # from the last change to the first
_CREATED: Final = StatusChange(0, b"pending", 0)


def order_values(a: int, pools: Pools) -> tuple[int, int, bytes]:
    """Return (quantity, amount in cents, currency) from the 64-bit draw `a`."""
    quantity = QUANTITIES[a & 63]
    cents = price(quantity, pools.products[a >> 6 & 127].cents, discount=a >> 13 & 7 == 0)
    return quantity, cents, pools.currencies[a >> 16 & 255]


def next_status(status: str, u: float) -> str | None:
    """Return the status after `status`, by uniform `u`; None if it is final."""
    if status == "pending":
        return "cancelled" if u < 0.08 else "paid"
    if status == "paid":
        return "refunded" if u < 0.03 else "shipped"
    if status == "shipped":
        return "delivered"
    if status == "delivered":
        return "refunded" if u < 0.02 else None
    return None


def state_at(lifecycle: Lifecycle, age_us: int) -> StatusChange:
    """Return the last change of an order at the age of `age_us`."""
    for change in lifecycle:
        if change.after_us <= age_us:
            return change
    return _CREATED


@cache
def lifecycles() -> tuple[Lifecycle, ...]:
    """Return LIFECYCLES life cycles, the same for every seed."""
    n = LIFECYCLES * _MOST_CHANGES
    draws = unpack(f"<{n}Q", shake_128(b"lives of orders").digest(n * 8))
    return tuple(_lifecycle(draws[i : i + _MOST_CHANGES]) for i in range(0, n, _MOST_CHANGES))


def _lifecycle(draws: tuple[int, ...]) -> Lifecycle:
    status, after_us = "pending", 0
    changes: list[StatusChange] = []
    for version, draw in enumerate(draws, start=1):
        following = next_status(status, (draw & 0xFFFF) / 0x10000)
        if following is None:
            break
        least, spread = _DELAY_MINUTES[following]
        # The product of two uniform numbers: short delays are much more common than long ones.
        share = (draw >> 16 & 0xFFFF) * (draw >> 32 & 0xFFFF)
        after_us += (least << 32) * _MINUTE_US + spread * share * _MINUTE_US >> 32
        status = following
        changes.append(StatusChange(after_us, status.encode(), version))
    return tuple(reversed(changes))
