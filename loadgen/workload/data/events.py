"""What events say: facts made ahead, a session of its own each, and words to the width asked for.

Pure functions of uniform draws, like `synthetic`. An event is one of 4,096 with its facts in place,
cut 256 ways from the same text, and its session is drawn: to write one out takes a third of what
making up its facts would. The same draws give the same bytes on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Final

from loadgen.workload.data.pools import Pools, small_pools

EVENTS: Final = 4095  # the bits of a draw that pick an event
OPENING: Final = b'{"session":"'
CLOSING: Final = b'"}'
_FRAME: Final = len(OPENING) + 16 + len(CLOSING)  # bytes that are neither facts nor words


# An event's type, the length of its properties, and the properties in pieces, CLOSING left out.
Pieces = tuple[bytes, int, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class ReadyEvents:
    """What events of one width are put together from; the index is `EVENTS` bits of a draw.

    Properties are OPENING, a session's 16 hex digits, facts, some words, and CLOSING.
    """

    types: tuple[bytes, ...]
    facts: tuple[bytes, ...]
    words: tuple[int, ...]  # bytes of words that follow the facts
    sizes: tuple[int, ...]  # bytes of all
    starts: tuple[int, ...]  # where in the filler the words may begin, by 8 bits of a draw
    filler: bytes


def event(draws: Sequence[int], event_bytes: int) -> tuple[bytes, bytes]:
    """Return (event type, properties as JSON) from the last two of `draws` (64-bit integers).

    The JSON is `event_bytes` long, or longer where its facts alone are.
    """
    event_type, _, session, facts, words = event_maker(event_bytes)(draws[-2], draws[-1])
    return event_type, b"".join((session, facts, words, CLOSING))


@lru_cache(maxsize=4)
def ready_events(event_bytes: int) -> ReadyEvents:
    """Return what events of `event_bytes` are put together from."""
    pools, (types, facts) = small_pools(), zip(*_ready_facts(), strict=True)
    words = tuple(max(0, event_bytes - _FRAME - len(one)) for one in facts)
    starts = pools.filler_starts
    return ReadyEvents(
        types,
        facts,
        words,
        tuple(_FRAME + len(one) + more for one, more in zip(facts, words, strict=True)),
        starts,
        pools.filler * ((max(starts) + max(words)) // len(pools.filler) + 1),
    )


@lru_cache(maxsize=4)
def event_maker(event_bytes: int) -> Callable[[int, int], Pieces]:
    """Return the function that makes an event of two 64-bit draws."""
    ready = ready_events(event_bytes)
    of = [*zip(ready.types, ready.sizes, ready.facts, ready.words, strict=True)]
    starts, filler = ready.starts, ready.filler

    def event(a: int, b: int) -> Pieces:
        event_type, size, facts, words = of[a & EVENTS]
        start = starts[a >> 56]
        return event_type, size, OPENING + b"%016x" % b, facts, filler[start : start + words]

    return event


@cache
def _ready_facts() -> tuple[tuple[bytes, bytes], ...]:
    """Return (event type, facts) of every event: types by their weights."""
    pools, made = small_pools(), []
    for i in range(EVENTS + 1):
        a = int.from_bytes(blake2b(b"%d" % i, digest_size=7).digest(), "little")
        event_type, make = _KINDS[i & 127]
        made.append((event_type, make(a, pools)))
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
