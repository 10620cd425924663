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
    "array",  # JSON without spaces
    "array_of_times",
    "padded",  # without blanks at the end
    "time",  # of day: 15:29:55.12
    "interval",  # months, days and microseconds
    "money",  # 1234.50
]
Expressions = Mapping[Family, str]
JSON_FORMS: Final[frozenset[Form]] = frozenset({"json", "json_sorted", "array", "array_of_times"})
_ABSENT: Final = object()  # stands for a key that one of two JSON objects lacks

# Families whose texts have no comma, so that they need no length before them.
_WITHOUT_COMMA: Final = frozenset(
    {"integer", "numeric", "float", "boolean", "date", "timestamp", "timestamptz", "uuid", "time"}
)
_NUMBERS: Final = frozenset({"integer", "numeric", "float"})
_TIMES: Final = frozenset({"timestamp", "timestamptz"})
# The form of a family if its copy has no structure; "text" for others.
_FORM: Final[Mapping[Family, Form]] = {
    "timestamptz": "instant",
    "timestamp": "clock",
    "uuid": "uuid",
    "binary": "hex",
    "json": "json",
    "boolean": "plain",
    "date": "plain",
}
_STRUCTURED: Final = frozenset({"array", "hstore", "composite", "interval"})
_IN_TEXT: Final[Mapping[Family, Form]] = {"text": "text", "char": "text", "enum": "text"}
# The forms of the families that are compared only with these families.
_FORM_BY_COPY: Final[Mapping[Family, Mapping[Family, Form]]] = {
    "char": {"text": "padded", "char": "padded", "enum": "padded"},
    "enum": _IN_TEXT,
    "time": {"time": "time", **_IN_TEXT},
    "interval": {"interval": "interval", **_IN_TEXT},
    "money": {
        "integer": "number",
        "numeric": "number",
        "float": "number",
        "money": "money",
        "text": "money",
    },
    "bit": {"bit": "text", **_IN_TEXT},
    "inet": {"inet": "text", **_IN_TEXT},
    "hstore": {"hstore": "text", "json": "json", **_IN_TEXT},
    "composite": {"composite": "text", "json": "json", **_IN_TEXT},
    "printed": {"printed": "text", **_IN_TEXT},
}
# Elements that an array in JSON does not show as the source does.
_NOT_IN_JSON: Final = frozenset({"binary", "interval", "money", "char", "other"})

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
_POSTGRES_INTERVAL: Final = (
    "CASE WHEN isfinite({c}) THEN concat_ws(' ',"
    " (extract(year FROM {c}) * 12 + extract(month FROM {c}))::bigint,"
    " extract(day FROM {c})::bigint,"
    " (extract(hour FROM {c}) * 3600000000 + extract(minute FROM {c}) * 60000000"
    " + extract(microseconds FROM {c}))::bigint) ELSE {c}::text END"
)
_DUCKDB_INTERVAL: Final = (
    "CASE WHEN {c} IS NOT NULL THEN concat_ws(' ',"
    " datepart('year', {c}) * 12 + datepart('month', {c}), datepart('day', {c}),"
    " datepart('hour', {c}) * 3600000000 + datepart('minute', {c}) * 60000000"
    " + datepart('microsecond', {c})) END"
)
_COMPACT: Final = (
    "CASE WHEN json_valid({c}) THEN CAST(json({c}) AS VARCHAR) ELSE CAST({c} AS VARCHAR) END"
)
_DUCKDB_ARRAY: Final[Expressions] = {
    "array": "CAST(to_json({c}) AS VARCHAR)",
    "json": _COMPACT,
    "text": _COMPACT,
}
# By a pattern: fakesnow's RTRIM does not accept a point.
_UNZEROED: Final = (
    "CASE WHEN CONTAINS({text}, '.') THEN REGEXP_REPLACE({text}, '[.]?0+$', '') ELSE {text} END"
)
_SNOWFLAKE_TRIMMED: Final = _UNZEROED.replace("{text}", "CAST({c} AS VARCHAR)")
_SNOWFLAKE_CLOCK: Final = _UNZEROED.replace(
    "{text}", "TO_VARCHAR({c}, 'YYYY-MM-DD HH24:MI:SS.FF9')"
)
_SNOWFLAKE_TIME: Final = _UNZEROED.replace(
    "{text}", "TO_VARCHAR(TIMESTAMP_NTZ_FROM_PARTS(DATE '1970-01-01', {c}), 'HH24:MI:SS.FF9')"
)
_SNOWFLAKE_UTC: Final = _SNOWFLAKE_CLOCK.replace(
    "{c}", "CONVERT_TIMEZONE('UTC', {c})::TIMESTAMP_NTZ"
)

# How each engine writes a family in a form, if a cast to text does not.
_POSTGRES: Final[Mapping[Form, Expressions]] = {
    "number": {
        "numeric": "trim_scale({c})::text",
        "float": _POSTGRES_FLOAT,
        "money": "trim_scale({c}::numeric)::text",
    },
    "text": {"inet": "abbrev({c})"},  # as Postgres prints it; a cast adds the length of the mask
    "padded": {"text": "rtrim({c}, ' ')"},
    "interval": {"interval": _POSTGRES_INTERVAL},
    "money": {"money": "{c}::numeric::text", "text": "regexp_replace({c}, '[$,]', '', 'g')"},
    "array": {"array": "array_to_json({c})::text"},
    "array_of_times": {"array": "array_to_json({c})::text"},
    "json": dict.fromkeys(("hstore", "composite"), "to_jsonb({c})::text"),
    "instant": {"timestamp": "({c}::text || '+00')"},
    "clock": {"timestamptz": "({c} AT TIME ZONE 'UTC')::text"},
    "uuid": {"text": "lower({c}::text)"},
    "hex": {"binary": "encode({c}, 'hex')"},
    "json_sorted": {
        "json": _POSTGRES_SORTED,
        **dict.fromkeys(
            ("hstore", "composite"), _POSTGRES_SORTED.replace("{c}::jsonb", "to_jsonb({c})")
        ),
    },
}
_DUCKDB: Final[Mapping[Form, Expressions]] = {
    "plain": {"date": "replace(CAST({c} AS VARCHAR), ' (BC)', ' BC')"},
    "number": {"numeric": _TRIMMED, "float": _FLOAT},
    "instant": {
        "timestamptz": _DUCKDB_CLOCK.replace("{zone}", " || '+00'"),
        "timestamp": "(CAST({c} AS VARCHAR) || '+00')",
    },
    "clock": {"timestamptz": _DUCKDB_CLOCK.replace("{zone}", "")},
    "uuid": {"text": "lower(CAST({c} AS VARCHAR))"},
    "hex": {"binary": "lower(hex({c}))"},
    "json": {"json": _SPACED, "text": _SPACED},
    "padded": {"text": "rtrim({c}, ' ')"},
    "interval": {"interval": _DUCKDB_INTERVAL},
    "money": {"text": "regexp_replace({c}, '[$,]', '', 'g')"},
    "array": _DUCKDB_ARRAY,
    "array_of_times": _DUCKDB_ARRAY,
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
    "array": {"json": "TO_JSON({c})"},
    "array_of_times": {"json": "TO_JSON({c})"},
    "padded": {"text": "RTRIM({c}, ' ')"},
    "time": {"time": _SNOWFLAKE_TIME},
    "money": {"text": "REGEXP_REPLACE({c}, '[$,]', '')"},
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


def column_pair(
    source: CatalogColumn,
    copy: CatalogColumn,
    engine: Engine,
    arrays: Literal["text", "json"] = "text",
) -> ColumnPair | None:
    """Return the pair of a column in Postgres and its copy in an engine.

    `arrays` is how a text column holds an array. None if no canonical text is declared for the two.
    """
    form = _form(source, copy, engine, arrays)
    return None if form is None else ColumnPair(source, copy, form)


def _form(
    source: CatalogColumn, copy: CatalogColumn, engine: Engine, arrays: Literal["text", "json"]
) -> Form | None:
    family, landed = source.family, copy.family
    form: Form | None
    if "other" in {family, landed}:
        form = "text" if engine == "postgres" and source.type == copy.type else None
    elif family == "array":
        form = _array_form(source, copy, engine, arrays)
    elif family in _FORM_BY_COPY:
        form = _FORM_BY_COPY[family].get(landed)
    elif landed in _STRUCTURED:
        form = None
    else:
        form = _number_form(source, copy) if family in _NUMBERS else _FORM.get(family, "text")
    return "json_sorted" if form == "json" and engine == "snowflake" else form


def _number_form(source: CatalogColumn, copy: CatalogColumn) -> Form:
    same_family = source.family == copy.family
    same_scale = same_family and source.scale == copy.scale is not None
    is_exact = {source.family, copy.family} <= {"integer", "numeric"}
    is_plain = is_exact and (same_scale or (same_family and source.family == "integer"))
    return "plain" if is_plain else "number"


def _array_form(
    source: CatalogColumn, copy: CatalogColumn, engine: Engine, arrays: Literal["text", "json"]
) -> Form | None:
    if copy.family == "array" and engine == "postgres":
        return "text"
    if copy.family in {"array", "json"} or (copy.family == "text" and arrays == "json"):
        if source.element in _NOT_IN_JSON:
            return None
        return "array_of_times" if source.element in _TIMES else "array"
    return "text" if copy.family == "text" else None


def text_expression(engine: Engine, family: Family, form: Form) -> str:
    """Return SQL by which an engine writes a family in a form, with {c} for the column."""
    return _WRITERS[engine].get(form, {}).get(family) or _CAST[engine]


def same_value(form: Form, source: str | None, copy: str | None) -> bool:
    """Return whether two canonical texts, None for NULL, mean the same value."""
    if source == copy or source is None or copy is None:
        return source == copy
    if form in {"plain", "number", "money"}:
        amount = _amount(source)
        return amount is not None and amount == _amount(copy)
    if form in {"instant", "clock"}:
        return parse_time(source) == parse_time(copy)
    if form in JSON_FORMS:
        parsed = _parse_json(source, form)
        return parsed is not None and parsed == _parse_json(copy, form)
    return form == "uuid" and source.lower() == copy.lower()


def normal_text(form: Form, text: str | None) -> str | None:
    """Return one text for all canonical texts of a value."""
    if text is None or form not in {"number", *JSON_FORMS}:
        return text
    if form == "number":
        amount = _amount(text)
        return str(amount.normalize()) if isinstance(amount, Decimal) else amount or text
    parsed = _parse_json(text, form)
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


def _parse_json(text: str, form: Form = "json") -> list[object] | None:
    """Return JSON in a list, so that texts of one value are equal; None if it is not JSON.

    In an array, NaN and infinities are texts, as Postgres writes them, and times have one notation.
    """
    try:
        parsed = json.loads(
            text,
            parse_float=_JsonNumber.parse,
            parse_int=_JsonNumber.parse,
            parse_constant=_refuse_constant if form in {"json", "json_sorted"} else str,
        )
    except (ValueError, RecursionError):
        return None
    return [_with_times(parsed) if form == "array_of_times" else parsed]


def _with_times(part: object) -> object:
    """Return an array of times with one notation of each time."""
    if isinstance(part, list):
        return list(map(_with_times, part))
    return str(parse_time(part)) if isinstance(part, str) else part


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
