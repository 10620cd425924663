"""Names, mail domains and companies of the baseline's users, from a seeded Faker.

Big pools, made once per seeding (under a second, most of it Faker's own start): a row then costs a
few look-ups, not a call of Faker. They are the same for one seed and one version of Faker.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from loadgen.workload.data.pools import COUNTRIES, weighted

_LOCALES: Final = {
    "US": "en_US", "DE": "de_DE", "GB": "en_GB", "FR": "fr_FR", "IN": "en_IN", "BR": "pt_BR",
    "ES": "es_ES", "IT": "it_IT", "NL": "nl_NL", "PL": "pl_PL", "CA": "fr_CA", "AU": "en_AU",
    "SE": "sv_SE", "CH": "de_CH", "IL": "he_IL",
}  # fmt: skip
_PROVIDERS: Final = ["faker.providers.person", "faker.providers.company"]
_NAMES: Final = 256
_DOMAINS: Final = 1024
# Letters that Unicode doesn't take apart into an ASCII letter and an accent.
_UNFOLDED: Final = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "Ł": "l", "æ": "ae", "đ": "d"})


@dataclass(frozen=True, slots=True)
class Name:
    """A first or last name: as it is written, and as mail addresses have it."""

    text: bytes
    mail: bytes


@dataclass(frozen=True, slots=True)
class Nation:
    """A country (ISO 3166 code) with names that people have there; 256 of each."""

    code: bytes
    first: tuple[Name, ...]
    last: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """What users are made of: 256 nations by weight, 1024 mail domains."""

    nations: tuple[Nation, ...]
    domains: tuple[bytes, ...]


def names(seed: int) -> Names:
    """Return the pools for `seed`."""
    nations: dict[bytes, Nation] = {}
    companies: list[str] = []
    for country, _ in COUNTRIES:
        fake = _faker(country, seed)
        first = tuple(_name(fake.first_name()) for _ in range(_NAMES))
        last = tuple(_name(fake.last_name()) for _ in range(_NAMES))
        nations[country.encode()] = Nation(country.encode(), first, last)
        companies += [fake.company() for _ in range(_DOMAINS // len(COUNTRIES) + 1)]
    return Names(
        tuple(nations[code] for code in weighted(COUNTRIES, 256)),
        # .example can't be registered, so no mail ever reaches anybody.
        tuple(_domain(company) for company in companies[:_DOMAINS]),
    )


def _faker(country: str, seed: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    # Imported here as it takes a third of a second, which the load needn't wait for.
    from faker import Faker  # noqa: PLC0415

    fake = Faker(_LOCALES[country], providers=_PROVIDERS)
    fake.seed_instance(f"{seed}:{country}")
    return fake


def _name(text: str) -> Name:
    return Name(text.encode(), _ascii(text).encode() or b"user")


def _domain(company: str) -> bytes:
    return (_ascii(company) or "company").encode() + b".example"


def _ascii(text: str) -> str:
    """Return the letters and digits of `text` in lower case without accents."""
    folded = unicodedata.normalize("NFKD", text.translate(_UNFOLDED))
    words = re.findall(r"[a-z0-9]+", folded.encode("ascii", "ignore").decode().lower())
    return "-".join(words)
