"""What made-up rows are made of: pools of products, pages, devices, countries, plans and names.

The small pools serve the load: written out here, ready in a few milliseconds, the same for every
seed. The big ones (`names`) serve the baseline and come from a seeded Faker. Nothing here draws
a number for a row: that is `synthetic`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

# Longest pad that is cut out in one piece; wider events repeat the text.
_FILLER_BYTES: Final = 16_384
_STARTS: Final = 256

PLANS: Final = (("free", 60), ("starter", 22), ("team", 13), ("enterprise", 5))
COUNTRIES: Final = (
    ("US", 34), ("DE", 11), ("GB", 10), ("FR", 8), ("IN", 7), ("BR", 5), ("ES", 4), ("IT", 4),
    ("NL", 4), ("PL", 3), ("CA", 3), ("AU", 2), ("SE", 2), ("CH", 2), ("IL", 1),
)  # fmt: skip
CURRENCIES: Final = (("USD", 38), ("EUR", 36), ("GBP", 12), ("CHF", 5), ("PLN", 5), ("SEK", 4))

_MATERIALS: Final = ("Oak", "Linen", "Steel", "Wool", "Cork", "Glass", "Leather", "Bamboo")
_THINGS: Final = (
    "Desk Lamp", "Notebook", "Backpack", "Kettle", "Chair", "Café Mug", "Clock", "Planter",
    "Headphones", "Blanket", "Fauteuil à bascule", "Wallet", "Tray", "Shelf", "Umbrella",
    "Schlüsselbund",
)  # fmt: skip
_PAGES: Final = (
    "/", "/pricing", "/products", "/products/new", "/cart", "/checkout", "/account", "/help",
    "/blog", "/blog/release-notes", "/docs/start", "/docs/api", "/search", "/orders", "/team",
    "/jobs",
)  # fmt: skip
_REFERRERS: Final = (
    "direct", "google", "newsletter", "bing", "linkedin", "partner", "twitter", "docs",
)  # fmt: skip
_BROWSERS: Final = (
    "Chrome 141", "Chrome 140", "Safari 26", "Safari 18", "Firefox 144", "Edge 141", "Opera 122",
    "Samsung Internet 28",
)  # fmt: skip
_DEVICES: Final = ("desktop", "mobile", "tablet", "mobile")
_ERRORS: Final = (
    "TimeoutError", "TypeError", "NetworkError", "PaymentDeclined", "NotFound", "RateLimited",
    "ValidationError", "SessionExpired",
)  # fmt: skip
_TEXT: Final = (
    "the order was packed this morning and leaves tonight please ring twice at the side door since "
    "our bell is broken we compared three offers before choosing this one and would gladly buy "
    "again delivery took longer than promised but support answered within minutes the second box "
    "arrived open although nothing was missing could you send the invoice to accounting as well "
    "search shows better results when the exact name of the product is typed page loaded slowly on "
    "the train yet the cart kept everything a colleague recommended the larger size for our team "
    "settings were changed after the update so notifications stopped until we enabled them again "
)


@dataclass(frozen=True, slots=True)
class Product:
    """One thing on sale; its price is in integer cents."""

    sku: bytes
    name: bytes
    cents: int


@dataclass(frozen=True, slots=True)
class Pools:
    """What the values of one write are picked from; all text is JSON-safe UTF-8.

    The lengths of tuples are powers of two, so that a few bits of a draw pick an entry.
    """

    products: tuple[Product, ...]
    amounts: tuple[bytes, ...]  # by quantity (0 to 8), product and whether there is a discount
    pages: tuple[bytes, ...]
    referrers: tuple[bytes, ...]
    browsers: tuple[bytes, ...]
    devices: tuple[bytes, ...]
    errors: tuple[bytes, ...]
    terms: tuple[bytes, ...]
    countries: tuple[bytes, ...]
    currencies: tuple[bytes, ...]
    plans: tuple[bytes, ...]
    filler: bytes  # ASCII words, so that it may be cut anywhere
    filler_starts: tuple[int, ...]  # where words begin in it


@cache
def small_pools() -> Pools:
    """Return the load's pools: no Faker, the same on every machine, a few milliseconds."""
    things = [f"{material} {thing}" for thing in _THINGS for material in _MATERIALS]
    products = tuple(_product(i, name) for i, name in enumerate(things))
    return Pools(
        products=products,
        amounts=tuple(
            b"%d.%02d" % divmod(price(quantity, product.cents, discount=discount), 100)
            for quantity in range(9)
            for product in products
            for discount in (False, True)
        ),
        pages=_encoded(_PAGES),
        referrers=_encoded(_REFERRERS),
        browsers=_encoded(_BROWSERS),
        devices=_encoded(_DEVICES),
        errors=_encoded(_ERRORS),
        terms=_encoded(tuple(name.lower() for name in things)),
        countries=weighted(COUNTRIES, 256),
        currencies=weighted(CURRENCIES, 256),
        plans=weighted(PLANS, 256),
        filler=_filler(),
        filler_starts=_filler_starts(),
    )


def price(quantity: int, cents: int, *, discount: bool) -> int:
    """Return what an order of so many things of `cents` each costs, in cents."""
    cents *= quantity
    return cents - (cents * 15 // 100 if discount else 0)


def weighted(entries: tuple[tuple[str, int], ...], size: int) -> tuple[bytes, ...]:
    """Return `size` entries in which each occurs in proportion to its weight, at least once."""
    total = sum(weight for _, weight in entries)
    found: list[bytes] = []
    seen = 0
    for name, weight in entries:
        seen += weight
        found += [name.encode()] * max(1, seen * size // total - len(found))
    if len(found) != size:
        raise ValueError(f"{len(entries)} entries don't fit {size} places by their weights")
    return tuple(found)


def _product(i: int, name: str) -> Product:
    # Prices from 4.99 to 305.99, cheap ones more often.
    cents = 499 + (i * 37 % 128) ** 2 // 54 * 100
    return Product(f"SKU-{1000 + i * 7}".encode(), name.encode(), cents)


def _encoded(entries: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(entry.encode() for entry in entries)


def _filler() -> bytes:
    line = _TEXT.encode()
    return line * (_FILLER_BYTES // len(line) + 1)


def _filler_starts() -> tuple[int, ...]:
    starts = [0, *(i + 1 for i, letter in enumerate(_TEXT[:-1]) if letter == " ")]
    return tuple(starts[i * 5 % len(starts)] for i in range(_STARTS))
