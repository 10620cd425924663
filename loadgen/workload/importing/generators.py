"""Chooses the value of a column, as docs/workload.md has it, from its type and statistics."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Final, NamedTuple

from loadgen.workload.importing.facts import ColumnFacts
from loadgen.workload.importing.limits import Limits
from loadgen.workload.importing.toml_text import Entry, rounded
from loadgen.workload.model import Time

_INTEGERS: Final[Mapping[str, int]] = {
    "smallint": 2**15 - 1,
    "integer": 2**31 - 1,
    "bigint": 10**15,
}
_FLOATS: Final[Mapping[str, int]] = {"real": 3, "double precision": 6}  # digits after the point
_TEXTS: Final = ("text", "character varying", "character", "citext")
TIMESTAMPS: Final = ("timestamp with time zone", "timestamp without time zone")
TIMES: Final = (*TIMESTAMPS, "date")
_JSON: Final = ("json", "jsonb")
# Made-up values of types that have no generator.
_SAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "inet": ("10.0.0.7", "10.20.30.40", "fe80::1"),
    "cidr": ("10.0.0.0/8", "192.168.100.0/24"),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04"),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "interval": ("10 minutes", "3 hours", "2 days"),
    "time without time zone": ("08:30:00", "12:00:00", "17:45:00"),
    "time with time zone": ("08:30:00+00", "12:00:00+00", "17:45:00+00"),
    "int4range": ("[1,5)", "[10,20)"),
    "int8range": ("[1,5)", "[10,20)"),
    "numrange": ("[1,5)", "[10,20)"),
    "daterange": ("[2026-01-01,2026-02-01)", "[2026-03-01,2026-03-08)"),
    "tsrange": ("[2026-01-01 08:00,2026-01-01 09:00)",),
    "tstzrange": ("[2026-01-01 08:00+00,2026-01-01 09:00+00)",),
    "money": ("12.50", "99.00"),
    "tsvector": ("'quick' 'brown' 'fox'", "'some' 'words'"),
    "tsquery": ("'quick' & 'fox'",),
    "point": ("(1,2)", "(3.5,4)"),
    "line": ("{1,2,3}",),
    "lseg": ("[(1,2),(3,4)]",),
    "box": ("(3,4),(1,2)",),
    "path": ("[(1,2),(3,4)]",),
    "polygon": ("((1,2),(3,4),(5,0))",),
    "circle": ("<(1,2),3>",),
    "jsonpath": ("$.a",),
    "pg_lsn": ("0/16B3748",),
    "name": ("some_name", "other_name"),
    '"char"': ("a", "b"),
    "oid": ("1", "2"),
    "hstore": ("a=>1", "a=>2,b=>3"),
    "ltree": ("top.middle.leaf", "top.other"),
}
# Unique values of other types: a pattern, and how many numbers it takes.
_PATTERNS: Final[Mapping[str, tuple[str, int]]] = {
    "inet": ("fd00::{}", 9999),
    "macaddr": ("{:012}", 10**12),
    "interval": ("{} seconds", 10**9),
    "bytea": ("\\x{:016}", 10**15),
}
# SQL of values that hardly ever repeat, for inserts.
_RANDOM: Final[Mapping[str, str]] = {
    "uuid": "gen_random_uuid()",
    "date": "date '2100-01-01' + (random() * 1000000)::integer",
    **dict.fromkeys(TIMESTAMPS, "clock_timestamp()"),
    "inet": "inet '10.0.0.0' + floor(random() * 16000000)::bigint",
    "macaddr": "left(md5(random()::text), 12)::macaddr",
    "interval": "random() * interval '1000 days'",
    "bytea": "sha256(random()::text::bytea)",
}
_UUID_CHARACTERS: Final = 36  # of a client-made key in a column of type text
_NARROW: Final = 20  # characters of a text whose unique values have no stem
_JULIAN: Final = 2_440_588  # 1970-01-01 as Postgres counts days after a J
_MOST_WIDE: Final = 1_000_000
_FEW: Final = 20  # different texts that a default stands for
_RARELY_NULL: Final = 0.005
_PERSON: Final = re.compile(r"(first|last|full|sur|middle|user|customer|contact|person)[_ ]?name")
_MAIL: Final = re.compile(r"(^|_|\b)e?_?mail(_?addr(ess)?)?$", re.IGNORECASE)
_MAIL_CHARACTERS: Final = 80  # of the longest made-up address
_DECIMAL_DIGITS: Final = 15
_MOST_NUMBER: Final = 10**12


class Kind(NamedTuple):
    """A type without its modifiers, and these."""

    name: str
    modifiers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Generators:
    """The values of one column."""

    column: ColumnFacts
    limits: Limits
    rows: int  # of its table, in the model

    @cached_property
    def kind(self) -> Kind:
        """Its type; of a domain that below it."""
        return kind_of(self.column.base_type or self.column.type)

    def plain(self) -> Entry | None:
        """Return a value that may repeat, without its share of NULL; None if no generator fits."""
        type_ = self.column.base_type or self.column.type
        if type_.endswith("[]"):
            return self._array(type_.removesuffix("[]"))
        if self.column.labels:
            return self._common() or {"choose": _allowed(self.column.labels, self.limits.texts)}
        if self.limits.texts and type_ != "boolean":
            return _chosen(self.limits.texts)
        return self._common() or self._of_kind()

    def unique(self) -> Entry | None:
        """Return a value that differs in each row; None if the type has none for so many."""
        column, rows, name = self.column, self.rows, self.kind.name
        if column.labels or self.limits.texts or (column.base_type or column.type).endswith("[]"):
            return None
        start = self._least_whole()
        if name in _TEXTS:
            return self._unique_text()
        if name in (*_INTEGERS, *_FLOATS, "numeric"):
            high = self.limits.high if self.limits.high is not None else inf
            fits = start + rows <= min(_INTEGERS.get(name, self._largest()), high)
            return self._sequence(start) if fits else None
        if name in _PATTERNS and rows <= _PATTERNS[name][1]:
            return self._sequence(1, _PATTERNS[name][0])
        if name in TIMES and rows < _JULIAN:
            return self._sequence(_JULIAN - rows // 2, "J{}")
        return {"generate": "uuid"} if name == "uuid" else None

    def default_stands(self) -> bool:
        """Tell whether a column with few texts is better left to its default."""
        column = self.column
        return bool(
            column.default
            and self.kind.name in _TEXTS
            and not self.limits.texts
            and (column.distinct or 0) <= _FEW
        )

    def takes_client_keys(self) -> bool:
        """Tell whether an insert can give a unique value: a number or uuid made by the client."""
        column, name = self.column, self.kind.name
        if column.base_type and column.base_type != column.type:
            return False
        if name in ("text", "character varying", "character"):
            return self._limit() is None or (self._limit() or 0) >= _UUID_CHARACTERS
        return name == "uuid" or name in _INTEGERS

    def inserted(self) -> object:
        """Return what an insert sets a unique column to if the client can't make its key."""
        column, name = self.column, self.kind.name
        if re.search(r"nextval|uuid", column.default) or column.identity:
            return {"default": True}
        if name in _TEXTS:
            random = "md5(random()::text)"
            limit = self._limit()
            return {"sql": f"left({random}, {limit})" if limit else random}
        if name in _RANDOM:
            return {"sql": _RANDOM[name]}
        most = min(int(self._largest()), _INTEGERS.get(name, _MOST_NUMBER))
        return {"sql": f"floor(random() * {most})"}

    def growth(self) -> Entry:
        """Return a time in the order of rows."""
        days = self.limits.days
        time: Entry = {"time": "growth"}
        return time | {"days": days} if days is not None and days < Time().days else time

    # By type.

    def _of_kind(self) -> Entry | None:
        name = self.kind.name
        makers: Mapping[str, Callable[[], Entry]] = {
            "uuid": lambda: {"generate": "uuid"},
            "boolean": self._boolean,
            "bytea": self._bytes,
            "numeric": self._decimal,
            "bit": self._bits,
            "bit varying": self._bits,
            **dict.fromkeys(_INTEGERS, self._whole),
            **dict.fromkeys(_FLOATS, self._decimal),
            **dict.fromkeys(_TEXTS, self._text),
            **dict.fromkeys(TIMES, self._time),
            **dict.fromkeys(_JSON, self._document),
        }
        if name in makers:
            return makers[name]()
        return _chosen(_SAMPLES[name]) if name in _SAMPLES else None

    def _common(self) -> Entry | None:
        """Return the most common values, if they were read and are nearly all there are."""
        common, kind = self.column.common, self.kind.name
        if kind == "boolean" or kind in (*TIMES, *_JSON) or not common:
            return None
        not_null = 1 - (self.column.null_share or 0)
        if sum(share for _, share in common) < 0.9 * not_null:
            return None
        return {"choose": {text: rounded(share) for text, share in common if share > 0}}

    def _boolean(self) -> Entry:
        shares = dict(self.column.common)
        true, false = shares.get("t", 0.0), shares.get("f", 0.0)
        if not true or not false:
            return {"value": True} if true else {"generate": "boolean"}
        return {"generate": "boolean", "share": rounded(true / (true + false))}

    def _whole(self) -> Entry:
        if self.column.distinct == 1 and self.limits == Limits():
            return {"value": 0}
        low, high = self._span(1, max(1, round(self.column.distinct or 1000)))
        limits = self.limits
        low += limits.excludes_low and low == limits.low
        high -= limits.excludes_high and high == limits.high
        most = _INTEGERS[self.kind.name]
        low, high = int(min(low, most)), int(min(high, most))
        return {"number": [low, max(low, high)]}

    def _decimal(self) -> Entry:
        scale = self._scale()
        low, high = self._span(0, max(1, (self.column.distinct or 10**5) / 10**scale))
        step = 10**-scale
        low += step if self.limits.excludes_low and low == self.limits.low else 0
        high -= step if self.limits.excludes_high and high == self.limits.high else 0
        high = max(low, min(high, self._largest()))
        neat_low, neat_high = rounded(low), rounded(high)
        low = neat_low if low <= neat_low <= high else low
        high = neat_high if low <= neat_high <= high else high
        return {"decimal": [low, high], "scale": scale}

    def _span(self, low: float, high: float) -> tuple[float, float]:
        """Return the lowest and highest number: by limits and bounds, else `low` and `high`."""
        bounds = self.column.bounds
        with suppress(ValueError):
            low, high = (float(bounds[0]), float(bounds[-1])) if bounds else (low, high)
        limits, width = self.limits, high - low
        if limits.low is not None and low < limits.low:
            low, high = limits.low, max(high, limits.low + width)
        if limits.high is not None and high > limits.high:
            low, high = min(low, limits.high), limits.high
            low = low if limits.low is None else max(low, limits.low)
        return low, high

    def _text(self) -> Entry:
        limit = self._limit()
        if _PERSON.search(self.column.name.lower()) and (limit is None or limit >= _NARROW * 3):
            return {"generate": "name"}
        if _MAIL.search(self.column.name) and (limit is None or limit >= _MAIL_CHARACTERS):
            return {"generate": "email"}
        if self.kind.name == "character" and limit:
            return {"text": [limit, limit]}
        width = self._width(16)
        shortest = max(self.limits.shortest, width // 2)
        longest = max(shortest, width + width // 2)
        if limit is not None:
            shortest, longest = min(shortest, limit), min(longest, limit)
        return {"text": [shortest, longest]}

    def _unique_text(self) -> Entry | None:
        limit = self._limit()
        digits = max(len(str(self.rows)), min(6, limit or 6))
        if limit is not None and digits > limit:
            return None
        stem = re.sub(r"[^a-z0-9]+", "-", self.column.name.lower()).strip("-")
        if limit is not None and limit < _NARROW + len(stem):
            stem = ""
        pattern = f"{stem}-" if stem else ""
        if _MAIL.search(self.column.name) and (limit is None or limit >= _MAIL_CHARACTERS):
            return self._sequence(1, f"{pattern}{{:0{digits}}}@mail.example")
        wanted = min(self._width(0), limit or _MOST_WIDE, _UUID_CHARACTERS) - len(pattern)
        digits = max(digits, min(wanted, 18), self.limits.shortest - len(pattern))
        return self._sequence(1, f"{pattern}{{:0{digits}}}")

    def _bytes(self) -> Entry:
        width = self._width(16)
        return {"bytes": [width // 2, width + width // 2]}

    def _bits(self) -> Entry:
        bits = self.kind.modifiers[0] if self.kind.modifiers else 1
        return _chosen(("0" * bits, "1" * bits))

    def _time(self) -> Entry:
        return self.growth() if self._is_in_order() else self.growth() | {"time": "even"}

    def _is_in_order(self) -> bool:
        """Tell whether times come in the order of rows, as those of creation."""
        name = self.column.name.lower()
        if self.column.correlation is not None:
            return self.column.correlation > 0.9
        return bool(re.search(r"creat|insert|added|^at$|^ts$|occurred|received", name))

    def _document(self) -> Entry:
        width = self._width(100)
        if width < _UUID_CHARACTERS * 2:
            return {"json": {"n": {"number": [1, 1000]}}}
        return {"json": {"id": {"generate": "uuid"}}, "pad_to": width}

    def _array(self, element: str) -> Entry | None:
        column = ColumnFacts(self.column.name, element, element, labels=self.column.labels)
        value = Generators(column, Limits(), self.rows).plain()
        if value is None:
            return None
        if value.get("generate") in ("name", "email"):
            value = {"text": [4, 20]}
        if "time" in value:
            value = {"time": "even"}
        return {"array": value, "length": [0, 4]}

    # By modifiers and statistics.

    def _sequence(self, start: int, pattern: str = "") -> Entry:
        entry: Entry = {"generate": "sequence"}
        if start != 1:
            entry["start"] = start
        return entry | ({"pattern": pattern} if pattern else {})

    def _least_whole(self) -> int:
        low = self.limits.low
        return 1 if low is None else max(1, int(low) + 1)

    def _limit(self) -> int | None:
        """Return the characters that a text may have."""
        own = self.kind.modifiers[0] if self.kind.modifiers else None
        if self.kind.name == "character" and own is None:
            own = 1
        limits = [limit for limit in (own, self.limits.longest) if limit is not None]
        return min(limits, default=None)

    def _width(self, default: int) -> int:
        """Return the mean number of bytes of a value, without Postgres' length."""
        width = self.column.width
        if width is None:
            return default
        return min(_MOST_WIDE, max(0, round(width) - (1 if width <= 127 else 4)))

    def _scale(self) -> int:
        if self.kind.name in _FLOATS:
            return _FLOATS[self.kind.name]
        if not self.kind.modifiers:
            return 2
        return max(0, min(self.kind.modifiers[-1] if len(self.kind.modifiers) > 1 else 0, 15))

    def _largest(self) -> float:
        """Return the largest number that the type holds, or that is made."""
        if self.kind.name in _FLOATS:
            return 10**6 if self.kind.name == "real" else _MOST_NUMBER
        if not self.kind.modifiers:
            return _MOST_NUMBER
        whole = self.kind.modifiers[0] - self._scale()
        step: float = 10.0 ** -self._scale()
        return min(float(_MOST_NUMBER), float(10.0**whole) - (1 if whole > 0 else step))


def kind_of(type_: str) -> Kind:
    """Return a type that format_type() writes without its modifiers, and these."""
    modifiers = re.search(r"\(([\d,\s-]+)\)", type_)
    name = re.sub(r"\s*\([\d,\s-]+\)", "", type_)
    numbers = tuple(int(n) for n in modifiers[1].split(",")) if modifiers else ()
    return Kind(name.removeprefix("public."), numbers)


def with_nulls(entry: Entry, column: ColumnFacts) -> Entry | None:
    """Return a value with the column's share of NULL; None if that is all."""
    share = column.null_share or 0.0
    if column.is_required or share < _RARELY_NULL:
        return entry
    if share > 1 - _RARELY_NULL:
        return None
    return entry | {"null": round(share, 2)}


def _chosen(texts: tuple[str, ...]) -> Entry:
    return {"value": texts[0]} if len(texts) == 1 else {"choose": list(texts)}


def _allowed(labels: tuple[str, ...], texts: tuple[str, ...]) -> list[str]:
    return [label for label in labels if not texts or label in texts] or list(labels)
