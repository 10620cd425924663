"""The shop's events: their types and their JSON properties, padded to a chosen width.

Pure functions of uniform draws. The facts of 4,096 events are made once as templates. An event is
one of these, its own session and one of 256 paddings, which costs a third of making up its facts.
The same draws give the same bytes on every machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Final

from loadgen.workload.data.pools import Pools, small_pools

TEMPLATE_MASK: Final = 4095  # the bits of a draw that pick a template
OPENING: Final = b'{"session":"'
CLOSING: Final = b'"}'
_FRAME: Final = len(OPENING) + 16 + len(CLOSING)  # bytes that are neither facts nor padding

# An event's type, the length of its properties, and the properties in pieces without CLOSING.
EventPieces = tuple[bytes, int, bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class EventTemplates:
    """The parts of events of one width, by template.

    Properties are OPENING, the 16 hex digits of a session, facts, padding, and CLOSING.
    """

    types: tuple[bytes, ...]
    facts: tuple[bytes, ...]
    padding_sizes: tuple[int, ...]  # bytes of padding after the facts
    sizes: tuple[int, ...]  # bytes of the properties
    padding_starts: tuple[int, ...]  # indexes at which the padding may begin, by 8 bits of a draw
    padding: bytes


def event(draws: Sequence[int], event_bytes: int) -> tuple[bytes, bytes]:
    """Return (event type, properties as JSON) from the last two of `draws` (64-bit integers).

    The JSON has `event_bytes` bytes, or more if its facts alone need more.
    """
    event_type, _, *properties = event_maker(event_bytes)(draws[-2], draws[-1])
    return event_type, b"".join((*properties, CLOSING))


@lru_cache(maxsize=4)
def event_templates(event_bytes: int) -> EventTemplates:
    """Return the templates of events whose properties have `event_bytes` bytes."""
    pools, (types, facts) = small_pools(), zip(*_types_and_facts(), strict=True)
    padding_sizes = tuple(max(0, event_bytes - _FRAME - len(fact)) for fact in facts)
    sizes = tuple(_FRAME + len(fact) + n for fact, n in zip(facts, padding_sizes, strict=True))
    starts = pools.padding_starts
    padding = pools.padding * ((max(starts) + max(padding_sizes)) // len(pools.padding) + 1)
    return EventTemplates(types, facts, padding_sizes, sizes, starts, padding)


@lru_cache(maxsize=4)
def event_maker(event_bytes: int) -> Callable[[int, int], EventPieces]:
    """Return the function that makes an event from two 64-bit draws."""
    parts = event_templates(event_bytes)
    templates = [*zip(parts.types, parts.sizes, parts.facts, parts.padding_sizes, strict=True)]
    starts, padding = parts.padding_starts, parts.padding

    def make(a: int, b: int) -> EventPieces:
        event_type, size, facts, padding_size = templates[a & TEMPLATE_MASK]
        start = starts[a >> 56]
        session = OPENING + b"%016x" % b
        return event_type, size, session, facts, padding[start : start + padding_size]

    return make


@cache
def _types_and_facts() -> tuple[tuple[bytes, bytes], ...]:
    """Return (event type, facts) of every template: types by their weights."""
    pools, templates = small_pools(), []
    for i in range(TEMPLATE_MASK + 1):
        a = int.from_bytes(blake2b(b"%d" % i, digest_size=7).digest(), "little")
        event_type, make_facts = _KINDS[i & 127]
        templates.append((event_type, make_facts(a, pools)))
    return tuple(templates)


# The following functions make an event's facts of 57 random bits: the JSON after the session, up to
# the inside of the last string, which is padded and closed later. The lengths of the pools are
# powers of two.


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


_FactMaker = Callable[[int, Pools], bytes]

# Event types with their weights, which add up to 128, so that seven bits of a draw pick one.
# Another weight changes the events that a seed makes.
_WEIGHTS: Final[tuple[tuple[bytes, _FactMaker, int], ...]] = (
    (b"page_view", _page_view, 62),
    (b"search", _search, 20),
    (b"add_to_cart", _add_to_cart, 18),
    (b"login", _login, 14),
    (b"checkout", _checkout, 8),
    (b"error", _error, 4),
    (b"plan_change", _plan_change, 2),
)
_KINDS: Final = tuple((name, make) for name, make, weight in _WEIGHTS for _ in range(weight))
if len(_KINDS) != 128:
    raise ValueError(f"the weights of event types add up to {len(_KINDS)}: they must to 128")
EVENT_TYPES: Final = tuple(name.decode() for name, _, _ in _WEIGHTS)
