"""The pools from which values are picked: products, pages, devices, countries, plans and names.

The load's pools are written out here: ready in a few milliseconds and the same for every seed.
Names come from a seeded Faker and are for the baseline alone. To pick a value is then a look-up by
a few bits of a draw.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Final

_PADDING_BYTES: Final = 16_384
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
_PADDING: Final = (
    "the order was packed this morning and leaves tonight please ring twice at the side door since "
    "our bell is broken we compared three offers before choosing this one and would gladly buy "
    "again delivery took longer than promised but support answered within minutes the second box "
    "arrived open although nothing was missing could you send the invoice to accounting as well "
    "search shows better results when the exact name of the product is typed page loaded slowly on "
    "the train yet the cart kept everything a colleague recommended the larger size for our team "
    "settings were changed after the update so notifications stopped until we enabled them again "
)

_LOCALES: Final = {
    "US": "en_US", "DE": "de_DE", "GB": "en_GB", "FR": "fr_FR", "IN": "en_IN", "BR": "pt_BR",
    "ES": "es_ES", "IT": "it_IT", "NL": "nl_NL", "PL": "pl_PL", "CA": "fr_CA", "AU": "en_AU",
    "SE": "sv_SE", "CH": "de_CH", "IL": "he_IL",
}  # fmt: skip
_PROVIDERS: Final = ["faker.providers.person", "faker.providers.company"]
_NAMES: Final = 256
_DOMAINS: Final = 1024
# Letters that Unicode does not decompose into an ASCII letter and an accent.
_UNFOLDED: Final = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "Ł": "l", "æ": "ae", "đ": "d"})


@dataclass(frozen=True, slots=True)
class Product:
    """One thing on sale; its price is in integer cents."""

    sku: bytes
    name: bytes
    cents: int


@dataclass(frozen=True, slots=True)
class Pools:
    """The values of a write, to pick from; all text is JSON-safe UTF-8.

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
    currencies: tuple[bytes, ...]
    plans: tuple[bytes, ...]
    padding: bytes  # ASCII words, so that it may be cut anywhere
    padding_starts: tuple[int, ...]  # the indexes at which its words begin


@cache
def small_pools() -> Pools:
    """Return the load's pools: no Faker, the same on every machine, a few milliseconds."""
    things = [f"{material} {thing}" for thing in _THINGS for material in _MATERIALS]
    products = tuple(_product(i, name) for i, name in enumerate(things))
    word_starts = [0, *(i + 1 for i, letter in enumerate(_PADDING[:-1]) if letter == " ")]
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
        currencies=weighted(CURRENCIES, 256),
        plans=weighted(PLANS, 256),
        padding=_PADDING.encode() * (_PADDING_BYTES // len(_PADDING) + 1),
        padding_starts=tuple(word_starts[i * 5 % len(word_starts)] for i in range(_STARTS)),
    )


def price(quantity: int, cents: int, *, discount: bool) -> int:
    """Return the price in cents of `quantity` things at `cents` each."""
    cents *= quantity
    return cents - (cents * 15 // 100 if discount else 0)


def weighted(entries: tuple[tuple[str, int], ...], size: int) -> tuple[bytes, ...]:
    """Return `size` entries in which each occurs in proportion to its weight, at least once."""
    total = sum(weight for _, weight in entries)
    pool: list[bytes] = []
    cumulative = 0
    for name, weight in entries:
        cumulative += weight
        pool += [name.encode()] * max(1, cumulative * size // total - len(pool))
    if len(pool) != size:
        raise ValueError(f"{len(entries)} entries don't fit {size} places by their weights")
    return tuple(pool)


def _product(i: int, name: str) -> Product:
    # Prices from 4.99 to 305.99, low ones more often.
    cents = 499 + (i * 37 % 128) ** 2 // 54 * 100
    return Product(f"SKU-{1000 + i * 7}".encode(), name.encode(), cents)


def _encoded(entries: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(entry.encode() for entry in entries)


@dataclass(frozen=True, slots=True)
class PersonName:
    """A first or last name as it is written, and as it is in mail addresses."""

    text: bytes
    mail: bytes


@dataclass(frozen=True, slots=True)
class CountryNames:
    """A country (ISO 3166 code) with 256 first and 256 last names that are common there."""

    code: bytes
    first: tuple[PersonName, ...]
    last: tuple[PersonName, ...]


@dataclass(frozen=True, slots=True)
class UserPools:
    """The values of users, to pick from: 256 countries by weight, 1024 mail domains."""

    countries: tuple[CountryNames, ...]
    domains: tuple[bytes, ...]


def user_pools(seed: int) -> UserPools:
    """Return the baseline's pools for `seed`; they depend on the version of Faker."""
    countries: dict[bytes, CountryNames] = {}
    companies: list[str] = []
    for country, _ in COUNTRIES:
        fake = _faker(country, seed)
        first = tuple(_name(fake.first_name()) for _ in range(_NAMES))
        last = tuple(_name(fake.last_name()) for _ in range(_NAMES))
        countries[country.encode()] = CountryNames(country.encode(), first, last)
        companies += [fake.company() for _ in range(_DOMAINS // len(COUNTRIES) + 1)]
    return UserPools(
        tuple(countries[code] for code in weighted(COUNTRIES, 256)),
        # .example can't be registered, so no mail is ever delivered.
        tuple(f"{_ascii(name) or 'company'}.example".encode() for name in companies[:_DOMAINS]),
    )


def _faker(country: str, seed: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    # Imported here, since it takes a third of a second and the load does not need it.
    from faker import Faker  # noqa: PLC0415

    fake = Faker(_LOCALES[country], providers=_PROVIDERS)
    fake.seed_instance(f"{seed}:{country}")
    return fake


def _name(text: str) -> PersonName:
    return PersonName(text.encode(), _ascii(text).encode() or b"user")


def _ascii(text: str) -> str:
    """Return the letters and digits of `text` in lower case without accents."""
    folded = unicodedata.normalize("NFKD", text.translate(_UNFOLDED))
    words = re.findall(r"[a-z0-9]+", folded.encode("ascii", "ignore").decode().lower())
    return "-".join(words)
