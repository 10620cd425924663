"""Names in SQL, columns as a catalogue names them, and the families that their types fall into."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
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
