"""Made-up values: who is busy, what an order costs, what an event says, what follows a status.

Pure functions of uniform draws, used by the baseline and by the load alike: no connection, no
clock, no generator of random numbers, integers only (one power law apart, by exact IEEE products),
so the same draws give the same bytes on every machine. Pools to pick from are in `pools`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import gcd
from typing import Final

from loadgen.workload.pools import Pools

STATUSES: Final = ("pending", "paid", "shipped", "delivered", "cancelled", "refunded")
OPEN_STATUSES: Final = ("pending", "paid", "shipped")

_DELETED_SHARE: Final = 50  # one user in fifty is soft deleted in the baseline
# 1 to 8, small ones more often: the lower of two dice.
_QUANTITIES: Final = tuple(1 + min(i & 7, i >> 3) for i in range(64))


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
    quantity, cents, currency = order_values(draws[-1], pools)
    return b"%d" % quantity, b"%d.%02d" % divmod(cents, 100), currency


def order_values(a: int, pools: Pools) -> tuple[int, int, bytes]:
    """Return (quantity, amount in cents, currency) from the 64-bit draw `a`."""
    quantity = _QUANTITIES[a & 63]
    cents = pools.products[a >> 6 & 127].cents * quantity
    if a >> 13 & 7 == 0:
        cents -= cents * 15 // 100  # a discount
    return quantity, cents, pools.currencies[a >> 16 & 255]


def event(draws: Sequence[int], pools: Pools, event_bytes: int) -> tuple[bytes, bytes]:
    """Return (event type, properties as JSON) from the last two of `draws` (64-bit integers).

    The JSON is `event_bytes` long, or longer where its facts alone are.
    """
    a, b = draws[-2], draws[-1]
    event_type, make = _KINDS[a & 127]
    body = make(a >> 7, b, pools)
    room = event_bytes - len(body) - 2
    if room <= 0:
        return event_type, body + b'"}'
    start = pools.filler_starts[a >> 56]
    filler = pools.filler
    if start + room > len(filler):
        filler *= (start + room) // len(filler) + 1
    return event_type, b'%b%b"}' % (body, filler[start : start + room])


# Each maker gets 57 and 64 random bits and returns JSON up to inside its last string, which
# `event` fills up and closes. The lengths of the pools are powers of two.


def _page_view(a: int, b: int, pools: Pools) -> bytes:
    return (
        b'{"session":"%016x","path":"%b","referrer":"%b","browser":"%b","device":"%b",'
        b'"load_ms":%d,"excerpt":"'
    ) % (
        b,
        pools.pages[a & 15],
        pools.referrers[a >> 4 & 7],
        pools.browsers[a >> 7 & 7],
        pools.devices[a >> 10 & 3],
        40 + (a >> 12 & 2047),
    )


def _search(a: int, b: int, pools: Pools) -> bytes:
    return (b'{"session":"%016x","query":"%b","results":%d,"page":%d,"device":"%b","snippet":"') % (
        b,
        pools.terms[a & 127],
        a >> 7 & 255,
        1 + (a >> 15 & 3),
        pools.devices[a >> 17 & 3],
    )


def _add_to_cart(a: int, b: int, pools: Pools) -> bytes:
    product = pools.products[a & 127]
    return (
        b'{"session":"%016x","product":{"sku":"%b","name":"%b","price_cents":%d},'
        b'"quantity":%d,"from":"%b","note":"'
    ) % (b, product.sku, product.name, product.cents, 1 + (a >> 7 & 3), pools.pages[a >> 9 & 15])


def _login(a: int, b: int, pools: Pools) -> bytes:
    return (
        b'{"session":"%016x","method":"%b","success":%b,"ip":"10.%d.%d.%d","browser":"%b",'
        b'"user_agent":"'
    ) % (
        b,
        (b"password", b"google", b"sso", b"passkey")[a & 3],
        b"false" if a >> 2 & 15 == 0 else b"true",
        a >> 6 & 255,
        a >> 14 & 255,
        a >> 22 & 255,
        pools.browsers[a >> 30 & 7],
    )


def _checkout(a: int, b: int, pools: Pools) -> bytes:
    first, second = pools.products[a & 127], pools.products[a >> 7 & 127]
    return (
        b'{"session":"%016x","items":["%b","%b"],"total_cents":%d,"currency":"%b","coupon":%b,'
        b'"gift_message":"'
    ) % (
        b,
        first.sku,
        second.sku,
        first.cents + second.cents,
        pools.currencies[a >> 14 & 255],
        b'"WELCOME15"' if a >> 22 & 7 == 0 else b"null",
    )


def _error(a: int, b: int, pools: Pools) -> bytes:
    return (b'{"session":"%016x","code":"%b","path":"%b","status":%d,"retries":%d,"message":"') % (
        b,
        pools.errors[a & 7],
        pools.pages[a >> 3 & 15],
        (400, 404, 429, 500)[a >> 7 & 3],
        a >> 9 & 3,
    )


def _plan_change(a: int, b: int, pools: Pools) -> bytes:
    return b'{"session":"%016x","from":"%b","to":"%b","seats":%d,"reason":"' % (
        b,
        pools.plans[a & 255],
        pools.plans[a >> 8 & 255],
        1 + (a >> 16 & 63),
    )


_Maker = Callable[[int, int, Pools], bytes]

# Event types with their weights; together 128, so that seven bits of a draw pick one.
_WEIGHTS: Final[tuple[tuple[bytes, _Maker, int], ...]] = (
    (b"page_view", _page_view, 62),
    (b"search", _search, 20),
    (b"add_to_cart", _add_to_cart, 18),
    (b"login", _login, 14),
    (b"checkout", _checkout, 8),
    (b"error", _error, 4),
    (b"plan_change", _plan_change, 2),
)
_KINDS: Final = tuple((name, make) for name, make, weight in _WEIGHTS for _ in range(weight))
EVENT_TYPES: Final = tuple(name.decode() for name, _, _ in _WEIGHTS)
