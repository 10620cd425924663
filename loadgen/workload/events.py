"""What events say: facts made ahead, a session of its own each, and words to the width asked for.

Pure functions of uniform draws, like `synthetic`. An event is one of 4,096 with its facts in place,
cut 256 ways from the same text, and its session is drawn: to write one out takes a third of what
making up its facts would. The same draws give the same bytes on every machine.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Final

from loadgen.workload.pools import Pools, small_pools

_READY: Final = 4096
_FRAME: Final = len(b'{"session":"0123456789abcdef"}')  # what is neither facts nor words
CLOSING: Final = b'"}'


# An event's type, the length of its properties, and the properties in pieces, CLOSING left out.
Pieces = tuple[bytes, int, bytes, bytes, bytes]


def event(draws: Sequence[int], event_bytes: int) -> tuple[bytes, bytes]:
    """Return (event type, properties as JSON) from the last two of `draws` (64-bit integers).

    The JSON is `event_bytes` long, or longer where its facts alone are.
    """
    event_type, _, session, facts, words = event_maker(event_bytes)(draws[-2], draws[-1])
    return event_type, b"".join((session, facts, words, CLOSING))


@lru_cache(maxsize=4)
def event_maker(event_bytes: int) -> Callable[[int, int], Pieces]:
    """Return the function that makes an event of two 64-bit draws."""
    pools, ready, room = small_pools(), _ready_facts(), event_bytes - _FRAME
    starts = pools.filler_starts
    filler = pools.filler * ((max(starts) + max(0, room)) // len(pools.filler) + 1)

    def event(a: int, b: int) -> Pieces:
        event_type, facts, left = ready[a & 4095]
        left += room
        if left <= 0:
            return event_type, _FRAME + len(facts), b'{"session":"%016x' % b, facts, b""
        start = starts[a >> 56]
        words = filler[start : start + left]
        return event_type, event_bytes, b'{"session":"%016x' % b, facts, words

    return event


@cache
def _ready_facts() -> tuple[tuple[bytes, bytes, int], ...]:
    """Return (event type, facts, minus their length) of every event: types by their weights."""
    pools, made = small_pools(), []
    for i in range(_READY):
        a = int.from_bytes(blake2b(b"%d" % i, digest_size=7).digest(), "little")
        event_type, make = _KINDS[i & 127]
        facts = make(a, pools)
        made.append((event_type, facts, -len(facts)))
    return tuple(made)


# Each maker gets 57 random bits and returns what follows the session, up to inside the last string,
# which `event` fills up and closes. The lengths of the pools are powers of two.


def _page_view(a: int, pools: Pools) -> bytes:
    return (
        b'","path":"%b","referrer":"%b","browser":"%b","device":"%b","load_ms":%d,"excerpt":"'
    ) % (
        pools.pages[a & 15],
        pools.referrers[a >> 4 & 7],
        pools.browsers[a >> 7 & 7],
        pools.devices[a >> 10 & 3],
        40 + (a >> 12 & 2047),
    )


def _search(a: int, pools: Pools) -> bytes:
    return (b'","query":"%b","results":%d,"page":%d,"device":"%b","snippet":"') % (
        pools.terms[a & 127],
        a >> 7 & 255,
        1 + (a >> 15 & 3),
        pools.devices[a >> 17 & 3],
    )


def _add_to_cart(a: int, pools: Pools) -> bytes:
    product = pools.products[a & 127]
    return (
        b'","product":{"sku":"%b","name":"%b","price_cents":%d},"quantity":%d,"from":"%b","note":"'
    ) % (product.sku, product.name, product.cents, 1 + (a >> 7 & 3), pools.pages[a >> 9 & 15])


def _login(a: int, pools: Pools) -> bytes:
    return (b'","method":"%b","success":%b,"ip":"10.%d.%d.%d","browser":"%b","user_agent":"') % (
        (b"password", b"google", b"sso", b"passkey")[a & 3],
        b"false" if a >> 2 & 15 == 0 else b"true",
        a >> 6 & 255,
        a >> 14 & 255,
        a >> 22 & 255,
        pools.browsers[a >> 30 & 7],
    )


def _checkout(a: int, pools: Pools) -> bytes:
    first, second = pools.products[a & 127], pools.products[a >> 7 & 127]
    return (
        b'","items":["%b","%b"],"total_cents":%d,"currency":"%b","coupon":%b,"gift_message":"'
    ) % (
        first.sku,
        second.sku,
        first.cents + second.cents,
        pools.currencies[a >> 14 & 255],
        b'"WELCOME15"' if a >> 22 & 7 == 0 else b"null",
    )


def _error(a: int, pools: Pools) -> bytes:
    return (b'","code":"%b","path":"%b","status":%d,"retries":%d,"message":"') % (
        pools.errors[a & 7],
        pools.pages[a >> 3 & 15],
        (400, 404, 429, 500)[a >> 7 & 3],
        a >> 9 & 3,
    )


def _plan_change(a: int, pools: Pools) -> bytes:
    return b'","from":"%b","to":"%b","seats":%d,"reason":"' % (
        pools.plans[a & 255],
        pools.plans[a >> 8 & 255],
        1 + (a >> 16 & 63),
    )


_Maker = Callable[[int, Pools], bytes]

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
