"""Names of people and mail addresses, from pools of a seeded Faker."""

import re
import unicodedata
from functools import cached_property
from typing import Any, Final

import numpy as np

from loadgen.workload.makers import Maker, ValueMaker
from loadgen.workload.streams import Int64Array, Stream
from loadgen.workload.typed import Picks, Pool, Words, not_null

_LOCALES: Final = {
    "US": "en_US", "DE": "de_DE", "GB": "en_GB", "FR": "fr_FR", "IN": "en_IN", "BR": "pt_BR",
    "ES": "es_ES", "IT": "it_IT", "NL": "nl_NL", "PL": "pl_PL", "CA": "fr_CA", "AU": "en_AU",
    "SE": "sv_SE", "CH": "de_CH", "IL": "he_IL",
}  # fmt: skip
COUNTRIES: Final = tuple(_LOCALES)
_PROVIDERS: Final = ["faker.providers.person", "faker.providers.company"]
_NAMES: Final = 256
_DOMAINS: Final = 1024
# Letters that Unicode does not decompose into an ASCII letter and an accent.
_UNFOLDED: Final = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "Ł": "l", "æ": "ae", "đ": "d"})


class NamePools:
    """First and last names by country, 256 of each; they depend on the version of Faker."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def _names(self) -> tuple[list[str], list[str], list[str]]:
        """Return first names, last names and companies."""
        first: list[str] = []
        last: list[str] = []
        companies: list[str] = []
        for country in COUNTRIES:
            fake = _faker(country, self._seed)
            first += [fake.first_name() for _ in range(_NAMES)]
            last += [fake.last_name() for _ in range(_NAMES)]
            companies += [fake.company() for _ in range(_DOMAINS // len(COUNTRIES) + 1)]
        return first, last, companies

    @cached_property
    def names(self) -> tuple[Pool, Pool]:
        """Return first and last names as they are written; a country has _NAMES in a row."""
        first, last, _ = self._names
        return Pool(name.encode() for name in first), Pool(name.encode() for name in last)

    @cached_property
    def mailboxes(self) -> tuple[Pool, Pool, Pool]:
        """Return first names, last names and domains as they are in mail addresses."""
        first, last, companies = self._names
        # .example can't be registered, so no mail is ever delivered.
        domains = (f"@{_ascii(name) or 'company'}.example" for name in companies[:_DOMAINS])
        return (
            Pool(f"{_ascii(name) or 'user'}.".encode() for name in first),
            Pool((_ascii(name) or "user").encode() for name in last),
            Pool(domain.encode() for domain in domains),
        )


class NameMaker(Maker):
    """Makes names of people, of the country in `country` if it is there."""

    __slots__ = ("_country", "_pools", "_stream")

    def __init__(self, pools: NamePools, country: ValueMaker | None, stream: Stream) -> None:
        self._pools, self._country, self._stream = pools, country, stream
        super().__init__(self._typed)

    def picks(self, indexes: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the indexes of first and last name in their pools."""
        start = self._countries(indexes) * _NAMES
        bits = self._stream.bits(indexes).view(np.int64)
        return start + (bits & _NAMES - 1), start + (bits >> 8 & _NAMES - 1)

    def _typed(self, indexes: Int64Array) -> Words:
        first, last = self.picks(indexes)
        first_names, last_names = self._pools.names
        rows = zip(first_names.rows(first), last_names.rows(last), strict=True)
        return Words([b"%b %b" % row for row in rows])

    def _countries(self, indexes: Int64Array) -> Int64Array:
        drawn = self._stream.part("country").below(indexes, len(COUNTRIES))
        if self._country is None:
            return drawn
        codes = not_null(self._country.typed(indexes))
        if not isinstance(codes, Picks):
            return drawn
        known = [
            COUNTRIES.index(code.decode()) if code.decode() in COUNTRIES else -1
            for code in codes.pool.entries
        ]
        countries = np.array(known)[codes.picks]
        return np.where(countries < 0, drawn, countries)


def emails(pools: NamePools, names: NameMaker, mark: str, stream: Stream) -> Maker:
    """Return the maker of mail addresses, unique by their index and `mark`."""

    def typed(indexes: Int64Array) -> Words:
        first, last = names.picks(indexes)
        first_names, last_names, domains = pools.mailboxes
        domain = stream.part("domain").below(indexes, len(domains.entries))
        rows = zip(
            first_names.rows(first),
            last_names.rows(last),
            (indexes + 1).tolist(),
            domains.rows(domain),
            strict=True,
        )
        form = b"%b%b" + mark.encode() + b"%d%b"
        return Words([form % row for row in rows])

    return Maker(typed)


def _faker(country: str, seed: int) -> Any:
    # Imported here, since it takes a third of a second, and few models need it.
    from faker import Faker  # noqa: PLC0415

    fake = Faker(_LOCALES[country], providers=_PROVIDERS)
    fake.seed_instance(f"{seed}:{country}")
    return fake


def _ascii(text: str) -> str:
    """Return the letters and digits of `text` in lower case without accents."""
    folded = unicodedata.normalize("NFKD", text.translate(_UNFOLDED))
    words = re.findall(r"[a-z0-9]+", folded.encode("ascii", "ignore").decode().lower())
    return "-".join(words)
