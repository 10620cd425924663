"""Landing conventions: how each kind of tool lays the source's rows down. Data, not code.

conventions.toml has them; a tool's own table in tools.toml replaces single keys of one.
"""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from loadgen.tools.columns import Family

Kind = Literal["fivetran", "airbyte", "rivery", "simplyload", "dlt", "postgres", "generic"]
Reads = Literal["log", "cursor"]
SOURCE_SCHEMA = "public"


class Table(BaseModel):
    """A table of TOML whose keys are all known, and whose values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Flag(Table):
    """A condition on a column: it is true, it holds anything, or it equals a value."""

    column: str
    when: Literal["true", "not_null"] | None = None
    equals: str | int | None = None

    @field_validator("equals", mode="before")
    @classmethod
    def _text_or_number(cls, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError with its place
                'it is a text or a whole number; of a boolean say when = "true"'
            )
        return value

    @model_validator(mode="after")
    def _whole(self) -> "Flag":
        if (self.when is None) == (self.equals is None):
            raise ValueError(
                f'{self.column} needs one of when = "true", when = "not_null" and equals = VALUE'
            )
        if "\\" in str(self.equals):
            raise ValueError(f"{self.column} equals {self.equals!r}: a value has no backslash")
        return self


class LoadTime(Table):
    """A column with a time: what it means, and whose clock took it."""

    column: str
    clock: Literal["source", "tool", "destination"]
    means: str


class Lossy(Table):
    """A loss that is known: from a type of the source to one of the destination.

    `keeps` is what must survive it: a double's precision, or a time to that unit.
    """

    source: Family
    destination: Family
    keeps: Literal["float", "milliseconds", "seconds"]
    because: str


class Convention(Table):
    """How a tool lands rows; conventions.toml says what each key means."""

    schema_pattern: str
    table_pattern: Annotated[str, Field(pattern=r"\{table\}")] = "{table}"
    case: Literal["upper", "lower", "folded"] = "folded"
    ignored_columns: tuple[str, ...] = ()
    reads: Reads | None = None
    deletes: Literal["soft", "hard", "none"]
    delete_marker: Flag | None = None
    current_row: Flag | None = None
    load_time: LoadTime | None = None
    lossy: tuple[Lossy, ...] = ()

    def ignores(self, column: str) -> bool:
        """Return whether the column is the tool's own, whatever its case."""
        patterns = (pattern.lower() for pattern in self.ignored_columns)
        return any(fnmatchcase(column.lower(), pattern) for pattern in patterns)

    def table_name(self, table: str, *, folds_to: Literal["upper", "lower"]) -> str:
        """Return the name of the source's `table` at a destination that folds names so."""
        return self.folded(self.table_pattern.format(table=table), folds_to=folds_to)

    def folded(self, name: str, *, folds_to: Literal["upper", "lower"]) -> str:
        """Return a name in the tool's case."""
        case = folds_to if self.case == "folded" else self.case
        return name.upper() if case == "upper" else name.lower()


@cache
def known() -> Mapping[str, Mapping[str, Any]]:
    """Return the conventions as they are written, by kind."""
    text = files("loadgen.tools").joinpath("conventions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
