"""Reads the keys of one table of a TOML file; a mistake is one line with file, place and remedy."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, TypeGuard

from loadgen.errors import SettingsError, suggest
from loadgen.untrusted import short

_MOST: Final = 10**15  # rows, widths, numbers: a larger one is a typing error


class ModelError(SettingsError):
    """A workload's files are wrong; the text names file, table or operation, key and remedy."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a TOML file: `header` such as [tables.orders], `path` of keys below it."""

    file: str
    header: str
    path: str
    entries: Mapping[str, object]

    def error(self, key: str, message: str) -> ModelError:
        """Return the error at `key`; "" for the section itself."""
        path = ".".join(filter(None, (self.path, key)))
        return ModelError(f"{', '.join(filter(None, (self.file, self.header, path)))}: {message}")

    def only(self, *known: str) -> None:
        """Refuse a key that is not known."""
        for key in self.entries:
            if key not in known:
                raise self.error(key, f"no such key: {suggest(key, known)}")

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def section(self, key: str) -> "Section":
        """Return the table at `key`."""
        path = ".".join(filter(None, (self.path, key)))
        inner = self.entries.get(key, {})
        if not isinstance(inner, dict):
            example = "{ value = [1, 2] }" if isinstance(inner, list) else '{ generate = "uuid" }'
            raise self.wrong(key, f"a table, such as {example}")
        return Section(self.file, self.header, path, inner)

    def sections(self, key: str) -> Iterator[tuple[str, "Section"]]:
        """Yield the tables below the table at `key`, with their names."""
        outer = self.section(key)
        for name in outer.entries:
            yield name, outer.section(name)

    def headed(self, key: str, name: str) -> "Section":
        """Return the table [key.name], which then is the place that errors name."""
        entries = self.section(key).section(name).entries
        return Section(self.file, header_of(key, name), "", entries)

    def text(self, key: str, default: str | None = None) -> str:
        """Return the text at `key`, which must not be empty."""
        if key not in self.entries and default is not None:
            return default
        text = self._required(key, "a text")
        if not isinstance(text, str) or not text.strip():
            raise self.wrong(key, "a text")
        return text

    def one_of(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """Return the text at `key`, which is one of the known ones."""
        text = self.text(key, default)
        if text not in known:
            raise self.error(key, f"there is no {text!r}: {suggest(text, known)}")
        return text

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the text or the list of texts at `key`."""
        texts = self._required(key, "a text or a list of texts")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self.wrong(key, "a text or a list of texts")
        return tuple(texts)

    def number(
        self, key: str, default: float | None = None, *, low: float = 0, high: float = _MOST
    ) -> float:
        """Return the number at `key`, from `low` to `high`."""
        if key not in self.entries and default is not None:
            return float(default)
        wanted = f"a number from {low:,.15g} to {high:,.15g}"
        number = self._required(key, wanted)
        if not is_number(number) or not low <= number <= high:
            raise self.wrong(key, wanted)
        return float(number)

    def whole(
        self, key: str, default: int | None = None, *, low: int = 0, high: int = _MOST
    ) -> int:
        """Return the whole number at `key`, from `low` to `high`."""
        if key not in self.entries and default is not None:
            return default
        wanted = f"a whole number from {low:,} to {high:,}"
        number = self._required(key, wanted)
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise self.wrong(key, wanted)
        return number

    def share(self, key: str, default: float) -> float:
        """Return the share at `key`: above 0, at most 1."""
        if key not in self.entries:
            return default
        share = self.entries[key]
        if not is_number(share) or not 0 < share <= 1:
            raise self.wrong(key, "a share: a number above 0, at most 1")
        return float(share)

    def span(self, key: str, *, low: float = -_MOST, high: float = _MOST) -> tuple[float, float]:
        """Return the two numbers [least, most] at `key`."""
        wanted = f"[least, most], two numbers from {low:,.15g} to {high:,.15g}"
        span = self._required(key, wanted)
        if not isinstance(span, list) or len(span) != 2 or not all(map(is_number, span)):
            raise self.wrong(key, wanted)
        least, most = span
        if not low <= least <= high or not low <= most <= high:
            raise self.wrong(key, wanted)
        if least > most:
            raise self.error(key, f"{least} is more than {most}: write [least, most]")
        return least, most

    def whole_span(self, key: str, *, low: int = -_MOST, high: int = _MOST) -> tuple[int, int]:
        """Return the two whole numbers [least, most] at `key`."""
        least, most = self.span(key, low=low, high=high)
        if not isinstance(least, int) or not isinstance(most, int):
            raise self.wrong(key, "[least, most], two whole numbers")
        return least, most

    def true(self, key: str) -> bool:
        """Tell whether the mark `key` is set; the one thing that may be written is `true`."""
        if key not in self.entries:
            return False
        if self.entries[key] is not True:
            raise self.wrong(key, "true, or left out")
        return True

    def wrong(self, key: str, wanted: str) -> ModelError:
        """Return the error of a value of the wrong kind."""
        return self.error(key, f"it is {short(self.entries.get(key))}, not {wanted}")

    def _required(self, key: str, wanted: str) -> object:
        if key not in self.entries:
            raise self.error(key, f"it is missing: give {wanted}")
        return self.entries[key]


def header_of(key: str, name: str) -> str:
    """Return the header of a table: [tables.orders], or [tables."sales.orders"]."""
    plain = re.fullmatch(r"[\w-]+", name, re.ASCII)
    return f"[{key}.{name if plain else json.dumps(name, ensure_ascii=False)}]"


def is_number(number: object) -> TypeGuard[int | float]:
    """Tell whether a value of TOML is a finite number."""
    return isinstance(number, int | float) and not isinstance(number, bool) and isfinite(number)
