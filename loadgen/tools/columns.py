"""Names in SQL, columns as a catalogue names them, and the families that their types fall into."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from psycopg import sql

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
    "other",
]

# The first that fits the type's whole name, in small letters.
_FAMILIES: Final[tuple[tuple[str, Family], ...]] = (
    (r"(u?(tiny|small|big|huge)?int(eger)?)", "integer"),
    (r"(numeric|decimal|number)(\(\d+,0\))", "integer"),
    (r"(numeric|decimal|number)(\(.*\))?", "numeric"),
    (r"double( precision)?|float[48]?|real", "float"),
    (r"text|varchar(\(.*\))?|character varying(\(.*\))?|string", "text"),
    (r"uuid", "uuid"),
    (r"bool(ean)?", "boolean"),
    (r"timestamp(\(\d\))? with time zone|timestamp_(tz|ltz)|timestamptz", "timestamptz"),
    (r"timestamp(\(\d\))?( without time zone)?|timestamp_(ntz|ns|ms|s)", "timestamp"),
    (r"date", "date"),
    (r"jsonb?|variant|object|array", "json"),
    (r"bytea|blob|binary", "binary"),
)
_SCALE: Final = re.compile(r"\(\d+,(\d+)\)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `type` is as the catalogue says it, decimals with their precision and scale."""

    name: str
    type: str
    nullable: bool = True  # False where the database itself keeps NULL out

    @property
    def family(self) -> Family:
        """What kind of values it holds."""
        name = self.type.lower().replace(", ", ",")
        return next((family for form, family in _FAMILIES if re.fullmatch(form, name)), "other")

    @property
    def scale(self) -> int | None:
        """Digits after a decimal's point; None where each value has its own."""
        found = _SCALE.search(self.type.replace(" ", ""))
        return int(found[1]) if found else None


def folded(name: str, engine: Engine) -> str:
    """Return a name as an engine writes it if nobody quotes it."""
    return name.upper() if engine == "snowflake" else name.lower()


def find_name(wanted: str, names: Iterable[str], engine: Engine) -> str | None:
    """Return which of a catalogue's `names` is the `wanted` one; None if it is not there.

    This is the one rule of case, for databases, schemas, tables and columns: the very name, else
    the name as the engine folds it; in DuckDB, which does not tell cases apart, in any case.
    """
    there = list(names)
    if wanted in there:
        return wanted
    if engine == "duckdb":
        return next((name for name in there if name.lower() == wanted.lower()), None)
    return next((name for name in there if name == folded(wanted, engine)), None)


def there_is(wanted: str, names: Iterable[str]) -> str:
    """Return what is there instead of a missing name: the one that is alike, else all."""
    there = list(names)
    same = [name for name in there if name.lower() == wanted.lower()]
    alike = same or get_close_matches(wanted, there, n=1)
    if alike:
        return f"there is {alike[0]}"
    return f"there are {listed(there)}" if there else "there are none"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def quoted(*names: str) -> str:
    """Return a name, or names with dots between, as all engines read them exactly."""
    return sql.Identifier(*names).as_string()


def literal(text: str) -> str:
    """Return a text as all engines read it; backslashes, by which one escapes, are refused."""
    if "\\" in text:
        raise ValueError(f"{text!r} has a backslash")
    return "'" + text.replace("'", "''") + "'"
