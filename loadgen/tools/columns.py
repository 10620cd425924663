"""Columns as a catalogue describes them, the family of each type, and names quoted for SQL."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from loadgen.text import first_few

Engine = Literal["postgres", "duckdb", "snowflake"]
Family = Literal[
    "integer",
    "numeric",
    "float",
    "text",
    "uuid",
    "boolean",
    "timestamp",
    "timestamptz",
    "date",
    "json",
    "binary",
    "char",  # padded with blanks
    "enum",
    "array",
    "time",
    "interval",
    "money",
    "bit",
    "inet",
    "hstore",
    "composite",
    "printed",  # in other databases only the text that Postgres prints
    "other",
]

# The first pattern that matches the type's whole name, in lower case, counts.
_FAMILIES: Final[tuple[tuple[str, Family], ...]] = (
    (r".*\[\d*\]", "array"),
    (r"(u?(tiny|small|big|huge)?int(eger)?|oid)", "integer"),
    (r"(numeric|decimal|number)(\(\d+,0\))", "integer"),
    (r"(numeric|decimal|number)(\(.*\))?", "numeric"),
    (r"double( precision)?|float[48]?|real", "float"),
    (r'text|varchar(\(.*\))?|character varying(\(.*\))?|string|name|"char"', "text"),
    (r"(\w+\.)?citext", "text"),
    (r"uuid", "uuid"),
    (r"bool(ean)?", "boolean"),
    (r"timestamp(\(\d\))? with time zone|timestamp_(tz|ltz)|timestamptz", "timestamptz"),
    (r"timestamp(\(\d\))?( without time zone)?|timestamp_(ntz|ns|ms|s)", "timestamp"),
    (r"date", "date"),
    (r"jsonb?|variant|object|array", "json"),
    (r"bytea|blob|binary", "binary"),
    (r"(bp)?char(acter)?(\(\d+\))?", "char"),
    (r"enum(\(.*\))?", "enum"),
    (r"time(\(\d\))?( without time zone)?", "time"),
    (r"interval.*", "interval"),
    (r"money", "money"),
    (r"bit( varying)?(\(\d+\))?", "bit"),
    (r"inet", "inet"),
    (r"(\w+\.)?hstore", "hstore"),
    (r"composite", "composite"),
    (r"time.* with time zone|cidr|macaddr8?|xml|(\w*range)", "printed"),
    (r"point|line|lseg|box|path|polygon|circle", "printed"),
    (r"ts(vector|query)|jsonpath|pg_lsn|(txid|pg)_snapshot|refcursor|aclitem", "printed"),
    (r"xid8?|cid|tid|(int2|oid)vector|reg\w+", "printed"),
)
_SCALE: Final = re.compile(r"\(\d+,(\d+)\)")


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """One column; `type` is the catalogue's text, with precision and scale for decimals."""

    name: str
    type: str
    nullable: bool = True  # False only if the database itself enforces NOT NULL

    @property
    def family(self) -> Family:
        """The kind of values that the column holds."""
        name = self.type.lower().replace(", ", ",")
        return next((family for regex, family in _FAMILIES if re.fullmatch(regex, name)), "other")

    @property
    def element(self) -> Family:
        """The family of an array's elements."""
        return CatalogColumn(self.name, self.type.partition("[")[0]).family

    @property
    def scale(self) -> int | None:
        """Digits after the decimal point; None if the type does not fix them."""
        scale = _SCALE.search(self.type.replace(" ", ""))
        return int(scale[1]) if scale else None


def folded(name: str, engine: Engine) -> str:
    """Return an unquoted name as the engine stores it."""
    return name.upper() if engine == "snowflake" else name.lower()


def find_name(wanted: str, names: Iterable[str], engine: Engine) -> str | None:
    """Return the catalogue's name for `wanted`; None if the catalogue has none.

    Databases, schemas, tables and columns follow the same rule: the exact name, else the name as
    the engine folds it. DuckDB ignores case.
    """
    catalogue = list(names)
    if wanted in catalogue:
        return wanted
    if engine == "duckdb":
        return next((name for name in catalogue if name.lower() == wanted.lower()), None)
    return next((name for name in catalogue if name == folded(wanted, engine)), None)


def available_names(wanted: str, names: Iterable[str]) -> str:
    """Return the hint on a missing name: the most similar existing name, else all names."""
    existing = list(names)
    same = [name for name in existing if name.lower() == wanted.lower()]
    similar = same or get_close_matches(wanted, existing, n=1)
    if similar:
        return f"there is {similar[0]}"
    return f"there are {first_few(existing)}" if existing else "there are none"


def quoted(*names: str) -> str:
    """Return a name, or several joined by dots, quoted as every engine reads it."""
    from psycopg import sql  # noqa: PLC0415 - 9 MB that pricing does not need

    return sql.Identifier(*names).as_string()


def literal(text: str) -> str:
    """Return a string literal that every engine reads alike.

    Raises ValueError for a backslash, which one of the engines takes for an escape.
    """
    if "\\" in text:
        raise ValueError(f"{text!r} has a backslash")
    return "'" + text.replace("'", "''") + "'"
