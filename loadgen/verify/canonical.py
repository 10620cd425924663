"""Canonical text: how each engine writes a value, so that texts can be compared across engines.

A pair of columns has a form, and each engine writes each family of types in that form. Equal texts
always mean equal values. If equal values have different texts (the order of keys in JSON, the
exponent of a float), the checksums differ, the rows are fetched, and the texts are compared by
value here. So a strict text may cost time, but never causes a false finding.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from loadgen.tools.columns import CatalogColumn, Engine, Family

Form = Literal[
    "plain",  # integers and decimals of one scale, dates, booleans: the engine's cast to text
    "number",  # a decimal without trailing zeros
    "instant",  # 2026-11-23 15:29:55.12+00
    "clock",  # the same without a zone
    "uuid",
    "text",
    "hex",
    "json",  # as Postgres writes jsonb
    "json_sorted",  # Snowflake's: without spaces, keys of the outermost object in order
]
Expressions = Mapping[Family, str]
JSON_FORMS: Final[frozenset[Form]] = frozenset({"json", "json_sorted"})
_ABSENT: Final = object()  # stands for a key that one of two JSON objects lacks

# Families whose texts have no comma, so that they need no length before them.
_WITHOUT_COMMA: Final = frozenset(
    {"integer", "numeric", "float", "boolean", "date", "timestamp", "timestamptz", "uuid"}
)

# Postgres' names of NaN and infinities, and no sign of a zero. Only NaN is above infinity.
_FLOAT: Final = (
    "CASE WHEN abs({c}) < 1e15 AND {c} = floor({c}) THEN CAST(CAST({c} AS BIGINT) AS VARCHAR)"
    " WHEN {c} > {infinity} THEN 'NaN' WHEN {c} = {infinity} THEN 'Infinity'"
    " WHEN {c} = -{infinity} THEN '-Infinity' ELSE CAST({c} AS VARCHAR) END"
).replace("{infinity}", "CAST('inf' AS FLOAT)")
_POSTGRES_FLOAT: Final = "({c} + 0::real)::text"  # 0 for -0
# DuckDB's cast of a time with a zone uses calendars and takes twice as long. So it is used only for
# infinity and for times outside Postgres' range.
_DUCKDB_CLOCK: Final = (
    "CASE WHEN {c} BETWEEN TIMESTAMPTZ '4714-01-01 (BC) 00:00:00+00'"
    " AND TIMESTAMPTZ '294246-01-01 00:00:00+00'"
    " THEN CAST(make_timestamp(epoch_us({c})) AS VARCHAR){zone} ELSE CAST({c} AS VARCHAR) END"
)
_TRIMMED: Final = "rtrim(rtrim(CAST({c} AS VARCHAR), '0'), '.')"
# Separate conditions: DuckDB reorders those of one AND by their measured speed. A separator outside
# strings gets the space that Postgres writes after it. Due to the appended comma each match begins
# at the end of the one before, so that none begins inside a string.
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
# By a pattern: fakesnow's RTRIM does not accept a point.
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

# How each engine writes a family in a form, if a cast to text does not.
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
_CAST: Final[Mapping[Engine, str]] = {
    "postgres": "{c}::text",
    "duckdb": "CAST({c} AS VARCHAR)",
    "snowflake": "CAST({c} AS VARCHAR)",
}


@dataclass(frozen=True, slots=True)
class ColumnPair:
    """A column of the source and its copy, with the form in which both are written."""

    source: CatalogColumn
    copy: CatalogColumn
    form: Form

    @property
    def has_no_comma(self) -> bool:
        """Whether the column's text can't hold a comma on either side."""
        return {self.source.family, self.copy.family} <= _WITHOUT_COMMA

    @property
    def is_exact(self) -> bool:
        """Whether equal values have equal texts on both sides, so that one can look up the other.

        JSON's order of keys and a float's exponent differ by engine.
        """
        if self.source.type == self.copy.type:
            return self.source.type != "json"
        is_float = "float" in {self.source.family, self.copy.family}
        return not is_float and self.form not in JSON_FORMS

    def expression(self, engine: Engine, name: str, *, of_copy: bool) -> str:
        """Return SQL for the canonical text of the column with this quoted name."""
        family = (self.copy if of_copy else self.source).family
        return text_expression(engine, family, self.form).format(c=name)


def column_pair(source: CatalogColumn, copy: CatalogColumn, engine: Engine) -> ColumnPair:
    """Return the pair of a column in Postgres and its copy in an engine."""
    if source.family in {"integer", "numeric", "float"}:
        same_family = source.family == copy.family
        same_scale = same_family and source.scale == copy.scale is not None
        is_exact = {source.family, copy.family} <= {"integer", "numeric"}
        is_plain = is_exact and (same_scale or (same_family and source.family == "integer"))
        return ColumnPair(source, copy, "plain" if is_plain else "number")
    forms: dict[Family, Form] = {
        "timestamptz": "instant",
        "timestamp": "clock",
        "uuid": "uuid",
        "binary": "hex",
        "json": "json_sorted" if engine == "snowflake" else "json",
        "boolean": "plain",
        "date": "plain",
    }
    return ColumnPair(source, copy, forms.get(source.family, "text"))


def text_expression(engine: Engine, family: Family, form: Form) -> str:
    """Return SQL by which an engine writes a family in a form, with {c} for the column."""
    return _WRITERS[engine].get(form, {}).get(family) or _CAST[engine]


def same_value(form: Form, source: str | None, copy: str | None) -> bool:
    """Return whether two canonical texts, None for NULL, mean the same value."""
    if source == copy or source is None or copy is None:
        return source == copy
    if form in {"plain", "number"}:
        amount = _amount(source)
        return amount is not None and amount == _amount(copy)
    if form in {"instant", "clock"}:
        return parse_time(source) == parse_time(copy)
    if form in JSON_FORMS:
        parsed = _parse_json(source)
        return parsed is not None and parsed == _parse_json(copy)
    return form == "uuid" and source.lower() == copy.lower()


def normal_text(form: Form, text: str | None) -> str | None:
    """Return one text for all canonical texts of a value."""
    if text is None or form not in {"number", *JSON_FORMS}:
        return text
    if form == "number":
        amount = _amount(text)
        return str(amount.normalize()) if isinstance(amount, Decimal) else amount or text
    parsed = _parse_json(text)
    return text if parsed is None else _sorted_json(parsed)


def _sorted_json(part: object) -> str:
    """Return a part of JSON with sorted keys and one notation of each number."""
    if isinstance(part, _JsonNumber):
        return f"{'-' * part.sign}{part.digits or 0}e{part.power}"
    if isinstance(part, dict):
        pairs = (f"{json.dumps(key)}:{_sorted_json(part[key])}" for key in sorted(part))
        return f"{{{','.join(pairs)}}}"
    if isinstance(part, list):
        return f"[{','.join(map(_sorted_json, part))}]"
    return json.dumps(part)


def parse_time(text: str) -> datetime | str:
    """Return a canonical text as a time in UTC, or as text if Python can't represent it."""
    fraction = re.search(r"\.\d{6}(\d+)", text)
    if fraction and fraction[1].strip("0"):
        return text.removesuffix("+00")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        # DuckDB writes the era before the time of day, Postgres after it.
        return re.sub(r"^(\S+) \(BC\)(.*)$", r"\1\2 BC", text.replace("+00", ""))
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def parse_number(text: str) -> Decimal | None:
    """Return a canonical text as a finite number; None if it is none."""
    amount = _amount(text)
    return amount if isinstance(amount, Decimal) and amount.is_finite() else None


def _amount(text: str) -> Decimal | str | None:
    """Return a text as a number, infinity or NaN, which equals NaN as in a database."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return "NaN" if amount.is_nan() else amount


def json_difference(source: str, copy: str) -> tuple[str, str, str] | None:
    """Return the path of the first difference of two JSON texts, and both values there.

    A path is for example $.list[3].name. Returns None if a text is not JSON.
    """
    parsed_source, parsed_copy = _parse_json(source), _parse_json(copy)
    if parsed_source is None or parsed_copy is None:
        return None
    path = "$"
    ours, theirs = parsed_source[0], parsed_copy[0]
    while (step := _first_unequal(ours, theirs)) is not None:
        key, ours, theirs = step
        is_identifier = isinstance(key, str) and key.isidentifier()
        path += f".{key}" if is_identifier else f"[{json.dumps(key, ensure_ascii=False)}]"
    return path, _json_text(ours), _json_text(theirs)


def _first_unequal(ours: object, theirs: object) -> tuple[str | int, object, object] | None:
    """Return the first key of two objects, or index of two lists, with the two values there."""
    if isinstance(ours, list) and isinstance(theirs, list):
        ours, theirs = dict(enumerate(ours)), dict(enumerate(theirs))
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return None
    for key in dict.fromkeys([*ours, *theirs]):
        inner, other_inner = ours.get(key, _ABSENT), theirs.get(key, _ABSENT)
        if inner != other_inner:
            return key, inner, other_inner
    return None


def _parse_json(text: str) -> list[object] | None:
    """Return JSON in a list, so that texts of one value are equal; None if it is not JSON."""
    try:
        return [
            json.loads(
                text,
                parse_float=_JsonNumber.parse,
                parse_int=_JsonNumber.parse,
                parse_constant=_refuse_constant,
            )
        ]
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True, slots=True)
class _JsonNumber:
    """A number in JSON; 1.50 and 15e-1 are equal."""

    sign: int
    digits: str
    power: int
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> "_JsonNumber":
        sign, digits, exponent = Decimal(text).as_tuple()
        significant = "".join(map(str, digits)).lstrip("0")
        mantissa = significant.rstrip("0")
        if not mantissa:
            return cls(0, "", 0, text)
        return cls(sign, mantissa, int(exponent) + len(significant) - len(mantissa), text)


def _json_text(part: object) -> str:
    """Return a part of JSON as text, with numbers in their original notation."""
    if part is _ABSENT:
        return "absent"
    if isinstance(part, _JsonNumber):
        return part.text
    if isinstance(part, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}: {_json_text(v)}" for k, v in part.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(part, list):
        return f"[{', '.join(map(_json_text, part))}]"
    return json.dumps(part, ensure_ascii=False)


def _refuse_constant(constant: str) -> None:
    """Refuse NaN and infinities, which Python's parser accepts."""
    raise ValueError(f"{constant} is not JSON")
