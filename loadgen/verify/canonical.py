"""Canonical text: the one place that says how a value is written so that engines agree.

A pair of columns has a form, and each engine writes each family of types in that form. One rule
holds for all: equal texts mean equal values. Where equal values may still give different texts
(JSON's order of keys, a float's exponent) the checksum differs, the rows are fetched, and the texts
are compared by value here. So a text that is too strict costs time, and never a false finding.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from loadgen.tools.columns import Column, Engine, Family

Form = Literal[
    "plain",  # integers and decimals of one scale, dates, booleans: the engine's own text
    "number",  # a decimal without trailing zeros
    "instant",  # 2026-11-23 15:29:55.12+00
    "clock",  # the same without a zone
    "uuid",
    "text",
    "hex",
    "json",  # as Postgres writes jsonb
    "json_sorted",  # without spaces, keys of the outermost object in order, as Snowflake writes it
]
Expressions = Mapping[Family, str]
JSON_FORMS: Final[frozenset[Form]] = frozenset({"json", "json_sorted"})
_ABSENT: Final = object()  # instead of a value that one side of a JSON has not

# What has no comma within: it needs no length before it.
_FIXED: Final = frozenset({"integer", "numeric", "float", "boolean", "date", "timestamp"})
_FIXED_TOO: Final = frozenset({"timestamptz", "uuid"})

# Postgres' words for what is no number, and no sign of a zero. Only NaN is above infinity.
_FLOAT: Final = (
    "CASE WHEN abs({c}) < 1e15 AND {c} = floor({c}) THEN CAST(CAST({c} AS BIGINT) AS VARCHAR)"
    " WHEN {c} > {infinity} THEN 'NaN' WHEN {c} = {infinity} THEN 'Infinity'"
    " WHEN {c} = -{infinity} THEN '-Infinity' ELSE CAST({c} AS VARCHAR) END"
).replace("{infinity}", "CAST('inf' AS FLOAT)")
_POSTGRES_FLOAT: Final = "({c} + 0::real)::text"  # 0 for -0
# Its own text of a time with a zone goes through calendars and takes twice as long: left to it is
# what Postgres can't hold, and infinity, which has no number.
_DUCKDB_CLOCK: Final = (
    "CASE WHEN {c} BETWEEN TIMESTAMPTZ '4714-01-01 (BC) 00:00:00+00'"
    " AND TIMESTAMPTZ '294246-01-01 00:00:00+00'"
    " THEN CAST(make_timestamp(epoch_us({c})) AS VARCHAR){zone} ELSE CAST({c} AS VARCHAR) END"
)
_TRIMMED: Final = "rtrim(rtrim(CAST({c} AS VARCHAR), '0'), '.')"
# Conditions in turn: of two in one DuckDB tries now and then which is the quicker to ask first. A
# separator that is no part of a string gets the space that Postgres writes after it. The comma
# at the end lets each match begin where the one before ended, so that none begins in a string.
_SPACED: Final = (
    "CASE WHEN contains({c}, '\": ') THEN CAST({c} AS VARCHAR)"
    " WHEN NOT json_valid({c}) THEN CAST({c} AS VARCHAR) ELSE"
    " left(regexp_replace(CAST(json({c}) AS VARCHAR) || ',',"
    r""" '((?:"(?:[^"\\]|\\.)*"|[^",:])*)([:,])', '\1\2 ', 'g'), -2) END"""
)
_POSTGRES_SORTED: Final = (
    "CASE WHEN jsonb_typeof({c}::jsonb) = 'object' THEN (SELECT '{{' || coalesce(string_agg("
    "to_json(key)::text || ':' || value::text, ',' ORDER BY key COLLATE \"C\"), '') || '}}'"
    " FROM jsonb_each({c}::jsonb)) ELSE {c}::text END"
)
# With a pattern: fakesnow's RTRIM does not take a point.
_UNZEROED: Final = (
    "CASE WHEN CONTAINS({text}, '.') THEN REGEXP_REPLACE({text}, '[.]?0+$', '') ELSE {text} END"
)
_SNOWFLAKE_TRIMMED: Final = _UNZEROED.replace("{text}", "CAST({c} AS VARCHAR)")
_SNOWFLAKE_CLOCK: Final = _UNZEROED.replace(
    "{text}", "TO_VARCHAR({c}, 'YYYY-MM-DD HH24:MI:SS.FF9')"
)
_SNOWFLAKE_UTC: Final = _SNOWFLAKE_CLOCK.replace(
    "{c}", "CONVERT_TIMEZONE('UTC', {c})::TIMESTAMP_NTZ"
)

# How each engine writes a family where the form is not its own text.
_POSTGRES: Final[Mapping[Form, Expressions]] = {
    "number": {"numeric": "trim_scale({c})::text", "float": _POSTGRES_FLOAT},
    "instant": {"timestamp": "({c}::text || '+00')"},
    "clock": {"timestamptz": "({c} AT TIME ZONE 'UTC')::text"},
    "uuid": {"text": "lower({c}::text)"},
    "hex": {"binary": "encode({c}, 'hex')"},
    "json_sorted": {"json": _POSTGRES_SORTED},
}
_DUCKDB: Final[Mapping[Form, Expressions]] = {
    "number": {"numeric": _TRIMMED, "float": _FLOAT},
    "instant": {
        "timestamptz": _DUCKDB_CLOCK.replace("{zone}", " || '+00'"),
        "timestamp": "(CAST({c} AS VARCHAR) || '+00')",
    },
    "clock": {"timestamptz": _DUCKDB_CLOCK.replace("{zone}", "")},
    "uuid": {"text": "lower(CAST({c} AS VARCHAR))"},
    "hex": {"binary": "lower(hex({c}))"},
    "json": {"json": _SPACED, "text": _SPACED},
}
_SNOWFLAKE: Final[Mapping[Form, Expressions]] = {
    "number": {"numeric": _SNOWFLAKE_TRIMMED, "float": _FLOAT},
    "instant": {
        "timestamptz": f"({_SNOWFLAKE_UTC}) || '+00'",
        "timestamp": f"({_SNOWFLAKE_CLOCK}) || '+00'",
    },
    "clock": {"timestamptz": _SNOWFLAKE_UTC, "timestamp": _SNOWFLAKE_CLOCK},
    "uuid": {"text": "LOWER({c})"},
    "hex": {"binary": "LOWER(HEX_ENCODE({c}))"},
    "json_sorted": {"json": "TO_JSON({c})"},
}
_WRITERS: Final[Mapping[Engine, Mapping[Form, Expressions]]] = {
    "postgres": _POSTGRES,
    "duckdb": _DUCKDB,
    "snowflake": _SNOWFLAKE,
}
_OWN_TEXT: Final[Mapping[Engine, str]] = {
    "postgres": "{c}::text",
    "duckdb": "CAST({c} AS VARCHAR)",
    "snowflake": "CAST({c} AS VARCHAR)",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the source and its copy, and the form in which both are written."""

    source: Column
    copy: Column
    form: Form

    @property
    def fixed(self) -> bool:
        """Whether no text of it can hold a comma, on either side."""
        families = {self.source.family, self.copy.family}
        return families <= (_FIXED | _FIXED_TOO)

    def expression(self, engine: Engine, name: str, *, of_copy: bool) -> str:
        """Return SQL for the canonical text of the column, whose quoted name is given."""
        family = (self.copy if of_copy else self.source).family
        return written(engine, family, self.form).format(c=name)


def pair(source: Column, copy: Column, engine: Engine) -> Pair:
    """Return a pair of a column in Postgres and its copy in an engine."""
    return Pair(source, copy, _form(source, copy, engine))


def written(engine: Engine, family: Family, form: Form) -> str:
    """Return how an engine writes a family in a form, {c} standing for the column."""
    return _WRITERS[engine].get(form, {}).get(family) or _OWN_TEXT[engine]


def same(form: Form, source: str | None, copy: str | None) -> bool:
    """Return whether two canonical texts, None for NULL, are one value."""
    if source == copy or source is None or copy is None:
        return source == copy
    if form in {"plain", "number"}:
        return _amount(source) is not None and _amount(source) == _amount(copy)
    if form in {"instant", "clock"}:
        return moment(source) == moment(copy)
    if form in JSON_FORMS:
        return _by_value(source) is not None and _by_value(source) == _by_value(copy)
    return form == "uuid" and source.lower() == copy.lower()


def moment(text: str) -> datetime | str:
    """Return the time that a canonical text says, in UTC; as text where Python has no such time."""
    fraction = re.search(r"\.\d{6}(\d+)", text)
    if fraction and fraction[1].strip("0"):
        return text.removesuffix("+00")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        # DuckDB writes the era in another place.
        return re.sub(r"^(\S+) \(BC\)(.*)$", r"\1\2 BC", text.replace("+00", ""))
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def number(text: str) -> Decimal | None:
    """Return the number that a canonical text says; None where it is none."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _amount(text: str) -> Decimal | str | None:
    """Return the number, infinity or NaN that a text says; as in a database one NaN is another."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return "NaN" if found.is_nan() else found


def _form(source: Column, copy: Column, engine: Engine) -> Form:
    family = source.family
    if family in {"integer", "numeric", "float"}:
        exact = {family, copy.family} <= {"integer", "numeric"}
        one_scale = family == copy.family and source.scale == copy.scale is not None
        return "plain" if exact and (one_scale or family == copy.family == "integer") else "number"
    forms: dict[Family, Form] = {
        "timestamptz": "instant",
        "timestamp": "clock",
        "uuid": "uuid",
        "binary": "hex",
        "json": "json_sorted" if engine == "snowflake" else "json",
        "boolean": "plain",
        "date": "plain",
    }
    return forms.get(family, "text")


def json_difference(source: str, copy: str) -> tuple[str, str, str] | None:
    """Return where two texts of JSON differ first, and what is there; None if one is not JSON.

    The place is a path such as $.list[3].name.
    """
    ours, theirs = _by_value(source), _by_value(copy)
    if ours is None or theirs is None:
        return None
    path, both = "$", (ours[0], theirs[0])
    while (step := _first_unequal(*both)) is not None:
        key, *both_inside = step
        named = isinstance(key, str) and key.isidentifier()
        path += f".{key}" if named else f"[{json.dumps(key, ensure_ascii=False)}]"
        both = tuple(both_inside)
    return path, _json_text(both[0]), _json_text(both[1])


def _first_unequal(ours: Any, theirs: Any) -> tuple[str | int, Any, Any] | None:
    """Return the first key of two objects, or place in two lists, with what differs there."""
    if isinstance(ours, list) and isinstance(theirs, list):
        ours, theirs = dict(enumerate(ours)), dict(enumerate(theirs))
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return None
    for key in dict.fromkeys([*ours, *theirs]):
        inside = ours.get(key, _ABSENT), theirs.get(key, _ABSENT)
        if inside[0] != inside[1]:
            return key, *inside
    return None


def _by_value(text: str) -> list[Any] | None:
    """Return JSON, in a list, so that two texts of one value are equal; None if it is not JSON."""
    try:
        return [
            json.loads(text, parse_float=_Number.of, parse_int=_Number.of, parse_constant=_refused)
        ]
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class _Number:
    """A number in JSON; 1.50 and 15e-1 are equal."""

    sign: int
    digits: str
    power: int
    text: str = field(compare=False)

    @classmethod
    def of(cls, text: str) -> "_Number":
        sign, digits, exponent = Decimal(text).as_tuple()
        significant = "".join(map(str, digits)).lstrip("0")
        kept = significant.rstrip("0")
        if not kept:
            return cls(0, "", 0, text)
        return cls(sign, kept, int(exponent) + len(significant) - len(kept), text)


def _json_text(value: Any) -> str:
    """Return a part of JSON as text, its numbers as they were written."""
    if value is _ABSENT:
        return "absent"
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        inside = (f"{json.dumps(k, ensure_ascii=False)}: {_json_text(v)}" for k, v in value.items())
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_json_text, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
