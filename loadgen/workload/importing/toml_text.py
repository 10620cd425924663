"""Texts of workload.toml: keys, values in a line, and sections with comments."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor, log10
from typing import Final

from loadgen.errors import printable
from loadgen.workload.section import header_of

Entry = dict[str, object]  # a table of TOML

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_DIGITS: Final = 4  # of a rate: more would say more than statistics know
_NESTED: Final = ("columns", "set", "params", "tables")  # a line for each of their keys


@dataclass(slots=True)
class SectionText:
    """A table of the file: `[kind.name]`, its entries, and comments by their key."""

    kind: str
    name: str
    entries: Entry
    comments: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the section as the file has it."""
        lines = [header_of(self.kind, self.name) if self.name else f"[{self.kind}]"]
        for key, entry in self.entries.items():
            if key in _NESTED and isinstance(entry, Mapping):
                lines += [self._line(f"{key}.{key_text(k)}", v) for k, v in entry.items()]
            else:
                lines.append(self._line(key, entry))
        return "\n".join(lines) + "\n"

    def _line(self, key: str, entry: object) -> str:
        comment = self.comments.get(key, "")
        return f"{key} = {value_text(entry)}" + (f"  # {printable(comment)}" if comment else "")


def key_text(name: str) -> str:
    """Return a key, in quotes if it needs them."""
    return name if _BARE.fullmatch(name) else _quoted(name)


def value_text(value: object) -> str:
    """Return a value in a line; a text of several lines, such as SQL, in as many."""
    if isinstance(value, Mapping):
        pairs = (f"{key_text(str(key))} = {value_text(part)}" for key, part in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, str):
        return _lines(value) if "\n" in value else _quoted(value)
    return json.dumps(value)


def rounded(number: float) -> float:
    """Return a number with four significant digits, whole if it has no others."""
    if not number:
        return 0
    rounded_ = round(number, _DIGITS - 1 - floor(log10(abs(number))))
    return int(rounded_) if rounded_ == int(rounded_) else rounded_


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> str:
    """Return a text of several lines in three quotes, which end no line of it early."""
    return "\n".join(['"""', *(_quoted(line)[1:-1] for line in text.splitlines()), '"""'])
