"""Reads how a model's columns and parameters get their values."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Final, Literal, get_args

from loadgen.config.settings import Settings
from loadgen.errors import suggest
from loadgen.workload.model import (
    Array,
    Boolean,
    Bytes,
    Choice,
    Constant,
    Decimal,
    Email,
    Generator,
    Json,
    Number,
    PersonName,
    Row,
    Sequence,
    SqlDefault,
    Text,
    Time,
    TimeAfter,
    Uuid,
    Value,
)
from loadgen.workload.read_sql import SchemaTable
from loadgen.workload.section import Section, is_number

_MOST_BYTES: Final = 10_000_000
_MOST_ELEMENTS: Final = 10_000
_MOST_DAYS: Final = 36_500
_GENERATED: Final = ("uuid", "sequence", "name", "email", "boolean")


@dataclass(frozen=True, slots=True)
class Outline:
    """What others refer to of a table, before its values are read.

    `columns` are those with values in the baseline.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    has_rows: bool
    schema: SchemaTable | None = None
    typed: tuple[str, ...] = ()  # its columns if there is no schema.sql

    @property
    def known(self) -> tuple[str, ...]:
        """Every column of the table; none if they are unknown."""
        return tuple(self.schema.columns) if self.schema else self.typed


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a value may refer to."""

    outlines: Mapping[str, Outline]
    pools: Mapping[str, Choice]
    siblings: Collection[str] = ()  # the columns or parameters beside it
    types: Mapping[str, str] = field(default_factory=dict)  # of columns, from schema.sql

    def beside(self, siblings: Collection[str], types: Mapping[str, str]) -> "Names":
        """Return the names for one of these columns or parameters."""
        return Names(self.outlines, self.pools, siblings, types)


def read_value(section: Section, names: Names, *others: str) -> Value:
    """Return the value of a column or parameter; `others` are keys that the caller reads."""
    generator = read_generator(section, names, "null", *others)
    null_share = 0.0 if "null" not in section else section.share("null", 0)
    return Value(generator, null_share)


def read_generator(section: Section, names: Names, *others: str) -> Generator:
    """Return the generator that a table such as { number = [1, 9] } describes."""
    kinds = [kind for kind in GENERATORS if kind in section]
    if not kinds:
        known = tuple(GENERATORS)
        words = [key for key in section.entries if key not in others]
        raise section.error("", f"it has no generator: {suggest(words[0] if words else '', known)}")
    if len(kinds) > 1:
        raise section.error("", f"{kinds[0]} and {kinds[1]} are two generators: keep one")
    read, options = GENERATORS[kinds[0]]
    section.only(kinds[0], *options, *others)
    return read(section, names)


def _generated(section: Section, names: Names) -> Generator:
    kind = section.one_of("generate", _GENERATED)
    options = {"sequence": ("start", "pattern"), "boolean": ("share",), "name": ("by",)}
    options["email"] = ("by",)
    for key in ("start", "pattern", "share", "by"):
        if key in section and key not in options.get(kind, ()):
            raise section.error(key, f"{kind} has no such key")
    if kind == "sequence":
        pattern = section.text("pattern", "")
        if pattern:
            _check_pattern(section, pattern)
        return Sequence(section.whole("start", 1), pattern)
    if kind == "boolean":
        return Boolean(section.share("share", 0.5))
    if kind in ("name", "email"):
        by = _sibling(section, "by", names) if "by" in section else ""
        return PersonName(by) if kind == "name" else Email(by)
    return Uuid()


def _check_pattern(section: Section, pattern: str) -> None:
    try:
        texts = {pattern.format(1), pattern.format(2)}
    except (ValueError, LookupError, AttributeError):
        texts = set()
    if len(texts) != 2 or pattern.count("{") != 1:
        raise section.wrong("pattern", 'a text with one {} for the number, such as "ACC-{:06}"')


def _chosen(section: Section, names: Names) -> Generator:
    pool = section.entries["choose"]
    if isinstance(pool, str):
        if pool not in names.pools:
            hint = suggest(pool, names.pools) if names.pools else "give a list, or add [pools]"
            raise section.error("choose", f"there is no pool {pool!r}: {hint}")
        return names.pools[pool]
    return read_choice(section, "choose")


def read_choice(section: Section, key: str) -> Choice:
    """Return the choice that a list, or a table of weights, describes."""
    pool = section.entries[key]
    if isinstance(pool, list) and pool and all(isinstance(x, str | int | float) for x in pool):
        return Choice(tuple(map(plain_text, pool)), (1.0,) * len(pool))
    if not isinstance(pool, dict) or not pool:
        raise section.wrong(key, "a list, or a table of weights such as { eu = 60, us = 40 }")
    for text, weight in pool.items():
        if not is_number(weight) or weight <= 0:
            raise section.section(key).wrong(text, "a weight: a number above 0")
    return Choice(tuple(pool), tuple(float(weight) for weight in pool.values()))


def _number(section: Section, _: Names) -> Generator:
    low, high = section.whole_span("number", low=-(2**63), high=2**63 - 1)
    return Number(low, high, _skew(section))


def _decimal(section: Section, _: Names) -> Generator:
    low, high = section.span("decimal")
    return Decimal(float(low), float(high), section.whole("scale", 2, high=15), _skew(section))


def _skew(section: Section) -> float:
    return section.number("skew", 1, low=1, high=100)


def _text(section: Section, _: Names) -> Generator:
    return Text(*section.whole_span("text", low=0, high=_MOST_BYTES))


def _bytes(section: Section, _: Names) -> Generator:
    return Bytes(*section.whole_span("bytes", low=0, high=_MOST_BYTES))


def _time(section: Section, names: Names) -> Generator:
    spread = section.one_of("time", ("growth", "even"))
    form = time_form(section.text("type", names.types.get(section.path.rpartition(".")[2], "")))
    days = section.whole("days", 182, low=1, high=_MOST_DAYS)
    return Time(days, "growth" if spread == "growth" else "even", form)


def time_form(type_: str) -> Literal["timestamptz", "timestamp", "date"]:
    """Return the form of times for a column of this type."""
    if type_.startswith("timestamp") and "tz" not in type_ and "with time zone" not in type_:
        return "timestamp"
    return "date" if type_ == "date" else "timestamptz"


def _after(section: Section, names: Names) -> Generator:
    return TimeAfter(_sibling(section, "after", names), section.number("share", 1, high=1))


def _json(section: Section, names: Names) -> Generator:
    by = _sibling(section, "by", names) if "by" in section else ""
    pad_setting, pad_to = read_setting(section, "pad_to", most=_MOST_BYTES)
    body = section.section("json")
    if not by:
        return Json({"": _object(body, names)}, "", pad_to, pad_setting)
    return Json(
        {text: _object(inner, names) for text, inner in section.sections("json")},
        by,
        pad_to,
        pad_setting,
    )


def _object(section: Section, names: Names) -> dict[str, object]:
    return {key: _member(section, key, names) for key in section.entries}


def _member(section: Section, key: str, names: Names) -> object:
    """Return a constant, or the generator in the place of a value."""
    inner = section.entries[key]
    if isinstance(inner, dict):
        table = section.section(key)
        if "json" in inner:
            table.only("json")
            return _object(table.section("json"), names)
        if "value" in inner:
            table.only("value")
            return inner["value"]
        if any(kind in inner for kind in GENERATORS):
            return read_generator(table, names)
        return _object(table, names)
    if isinstance(inner, datetime | date | time):
        return inner.isoformat()
    return inner


def read_setting(section: Section, key: str, *, most: int, prefix: str = "") -> tuple[str, int]:
    """Return the setting, "" if none, and the number of `key`: a number or { setting, default }.

    The setting's name begins with `prefix`.
    """
    if not isinstance(section.entries.get(key), dict):
        return "", section.whole(key, 0, high=most)
    inner = section.section(key)
    inner.only("setting", "default")
    return setting_name(inner, "setting", prefix), inner.whole("default", high=most)


def setting_name(section: Section, key: str, prefix: str = "") -> str:
    """Return the name of a setting that is a whole number."""
    whole = [
        name
        for name, setting in Settings.model_fields.items()
        if name.startswith(prefix)
        and (
            int in (setting.annotation, *get_args(setting.annotation))
            or "Annotated[int" in str(setting.annotation)
        )
    ]
    return section.one_of(key, whole)


def _array(section: Section, names: Names) -> Generator:
    element = read_generator(section.section("array"), names)
    if isinstance(element, Array | SqlDefault | TimeAfter):
        raise section.error("array", "its elements can't be arrays, defaults or times after others")
    if isinstance(element, Time) and element.spread == "growth":
        raise section.error("array.time", 'it is "growth", the order of rows: write "even"')
    fewest, most = (0, 5)
    if "length" in section:
        fewest, most = section.whole_span("length", low=0, high=_MOST_ELEMENTS)
    return Array(element, fewest, most)


def read_row(section: Section, names: Names, table: str = "") -> Row:
    """Return the reference to a baseline row, of `table` if `row` names none."""
    table, column = row_target(section, names, table)
    hot = ""
    if "hot" in section:
        inner = section.section("hot")
        inner.only("setting")
        hot = setting_name(inner, "setting")
    return Row(table, column, _skew(section), hot)


def _row(section: Section, names: Names) -> Generator:
    row, each = read_row(section, names), section.true("each")
    if each and ("skew" in section or "hot" in section):
        raise section.error("each", "it takes rows in turn: leave out skew and hot")
    return replace(row, each=each)


def row_target(section: Section, names: Names, table: str = "") -> tuple[str, str]:
    """Return the table with baseline rows that `row` names, and the column, its key by default."""
    key = "" if table else "row"  # an operation's `row` is of its own table
    table = table or section.one_of("row", names.outlines)
    outline = names.outlines[table]
    if not outline.has_rows:
        raise section.error(key, f"{table} has no baseline rows: give it `rows`")
    if "column" in section:
        return table, section.one_of("column", outline.columns)
    if len(outline.key) != 1 or outline.key[0] not in outline.columns:
        if not outline.key:
            raise section.error(key, keyless(table))
        columns = ", ".join(outline.key)
        raise section.error("column", f"it is missing: the key of {table} is ({columns})")
    return table, outline.key[0]


def keyless(table: str) -> str:
    """Return the fault of a reference to rows of a table without key."""
    return f"{table} has no key: add `key` to its table, or a uuid or sequence column"


def _constant(section: Section, _: Names) -> Generator:
    return Constant(plain_text(section.entries["value"]))


def plain_text(constant: object) -> str:
    """Return a value of TOML in Postgres' input syntax."""
    if isinstance(constant, bool):
        return "true" if constant else "false"
    if isinstance(constant, dict | list):
        return json.dumps(constant, ensure_ascii=False, default=plain_text)
    if isinstance(constant, datetime | date | time):
        return constant.isoformat()
    return str(constant)


def _default(section: Section, _: Names) -> Generator:
    section.true("default")
    return SqlDefault()


def _sibling(section: Section, key: str, names: Names) -> str:
    return section.one_of(key, names.siblings)


_Reader = Callable[[Section, Names], Generator]
# Each generator by its key, with the keys that belong to it.
GENERATORS: Final[Mapping[str, tuple[_Reader, tuple[str, ...]]]] = {
    "generate": (_generated, ("start", "pattern", "share", "by")),
    "choose": (_chosen, ()),
    "number": (_number, ("skew",)),
    "decimal": (_decimal, ("scale", "skew")),
    "text": (_text, ()),
    "bytes": (_bytes, ()),
    "time": (_time, ("days",)),
    "after": (_after, ("share",)),
    "json": (_json, ("by", "pad_to")),
    "array": (_array, ("length",)),
    "row": (_row, ("column", "skew", "hot", "each")),
    "value": (_constant, ()),
    "default": (_default, ()),
}


def sql_type(value: Value, section: Section, type_of: Callable[[str, str], str]) -> str:
    """Return the type of a column that names none; `type_of` tells that of another column."""
    generator = value.generator
    if isinstance(generator, Array):
        element = Value(generator.element)
        return f"{sql_type(element, section.section('array'), type_of)}[]"
    if isinstance(generator, Row):
        return type_of(generator.table, generator.column)
    if isinstance(generator, Number):
        fits = generator.low >= -(2**31) and generator.high < 2**31
        return "integer" if fits else "bigint"
    if isinstance(generator, Sequence):
        return "text" if generator.pattern else "bigint"
    if isinstance(generator, Constant):
        return _constant_type(section.entries["value"])
    if isinstance(generator, SqlDefault):
        raise section.error("type", "it is missing: a default has no type of its own")
    return _TYPES[type(generator)]


_TYPES: Final[Mapping[type, str]] = {
    Uuid: "uuid",
    Choice: "text",
    Decimal: "numeric",
    Boolean: "boolean",
    Text: "text",
    Bytes: "bytea",
    PersonName: "text",
    Email: "text",
    Time: "timestamptz",
    TimeAfter: "timestamptz",
    Json: "jsonb",
}


def _constant_type(constant: object) -> str:
    if isinstance(constant, bool):
        return "boolean"
    if isinstance(constant, int):
        return "bigint"
    return "numeric" if isinstance(constant, float) else "text"
