"""Made-up values: who is busy, what an order costs, what follows a status.

Pure functions of uniform draws, used by the baseline and by the load alike: no connection, no
clock, no generator of random numbers, integers only (one power law apart, by exact IEEE products),
so the same draws give the same bytes on every machine. Pools to pick from are in `pools`, what
events say is in `events`.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import gcd
from typing import Final

from loadgen.workload.data.pools import Pools, price

STATUSES: Final = ("pending", "paid", "shipped", "delivered", "cancelled", "refunded")
OPEN_STATUSES: Final = ("pending", "paid", "shipped")

_DELETED_SHARE: Final = 50  # one user in fifty is soft deleted in the baseline
# 1 to 8, small ones more often: the lower of two dice.
QUANTITIES: Final = tuple(1 + min(i & 7, i >> 3) for i in range(64))
_DIGITS: Final = tuple(b"%d" % i for i in range(9))


@lru_cache(maxsize=64)
def _affine(n: int) -> tuple[int, int]:
    """Return (a, inverse of a) of the bijection rank -> rank * a mod n."""
    # The golden section spreads neighbouring ranks far apart; in 16-bit integers.
    a = max(1, n * 40503 >> 16)
    while gcd(a, n) != 1:
        a += 1
    return a, pow(a, -1, n)


def user_id(rank: int, n: int) -> int:
    """Return the id (1..n) of the user of `rank` among `n` baseline users.

    Rank 0, the busiest, is user 1, the oldest: there is always somebody to own a row.
    """
    return 1 + rank * _affine(n)[0] % n


def user_rank(id_: int, n: int) -> int:
    """Return the rank of the user with `id_`: the inverse of `user_id`."""
    return (id_ - 1) * _affine(n)[1] % n


def busy_rank(u: float, n_active: int) -> int:
    """Return a rank below `n_active` from uniform `u` in [0, 1): low ranks are much more likely.

    The busiest 1% get 21% of the activity, the busiest 20% get 58%.
    """
    return int(n_active * (u * u * u))


def first_deleted_rank(n: int) -> int:
    """Return the lowest rank that the baseline soft deletes; n where it deletes nobody."""
    return n - n // _DELETED_SHARE


def lasting_users(n: int) -> int:
    """Return how many of the lowest ranks are never soft deleted, by baseline or load."""
    return max(1, n * 4 // 5)


def next_status(status: str, u: float) -> str | None:
    """Return what an order in `status` becomes next, by uniform `u`; None where it stays."""
    if status == "pending":
        return "cancelled" if u < 0.08 else "paid"
    if status == "paid":
        return "refunded" if u < 0.03 else "shipped"
    if status == "shipped":
        return "delivered"
    if status == "delivered":
        return "refunded" if u < 0.02 else None
    return None


def order(draws: Sequence[int], pools: Pools) -> tuple[bytes, bytes, bytes]:
    """Return (quantity, amount, currency) as text, from the last of `draws` (64-bit integers)."""
    a = draws[-1]
    quantity = QUANTITIES[a & 63]
    bought = quantity << 8 | a >> 5 & 254 | (a >> 13 & 7 == 0)
    return _DIGITS[quantity], pools.amounts[bought], pools.currencies[a >> 16 & 255]


def order_values(a: int, pools: Pools) -> tuple[int, int, bytes]:
    """Return (quantity, amount in cents, currency) from the 64-bit draw `a`."""
    quantity = QUANTITIES[a & 63]
    cents = price(quantity, pools.products[a >> 6 & 127].cents, discount=a >> 13 & 7 == 0)
    return quantity, cents, pools.currencies[a >> 16 & 255]
