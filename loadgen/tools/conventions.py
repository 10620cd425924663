"""Landing conventions: how each kind of tool lays out the source's rows at the destination.

conventions.toml holds one for each kind; a tool's own table in tools.toml overrides single keys.
"""

import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from loadgen.tools.columns import Family

Kind = Literal["fivetran", "airbyte", "rivery", "simplyload", "dlt", "postgres", "generic"]
Reads = Literal["log", "cursor"]
SOURCE_SCHEMA = "public"
# The beginning of a word in a name: at a capital after a small letter or digit, or before one.
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """Return a name with an underscore between its words."""
    return re.sub(r"\W+", "_", _WORD.sub("_", name))


class TomlTable(BaseModel):
    """A table of a TOML file: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Flag(TomlTable):
    """A condition on a column: it is true, it is not NULL, or it equals a value."""

    column: str
    when: Literal["true", "not_null"] | None = None
    equals: str | int | None = None

    @field_validator("equals", mode="before")
    @classmethod
    def _text_or_number(cls, operand: object) -> object:
        if isinstance(operand, bool) or not isinstance(operand, str | int):
            raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError with its place
                'it has to be a text or a whole number; for a boolean write when = "true"'
            )
        return operand

    @model_validator(mode="after")
    def _exactly_one_condition(self) -> "Flag":
        if (self.when is None) == (self.equals is None):
            raise ValueError(
                f'{self.column} needs one of when = "true", when = "not_null" and equals = VALUE'
            )
        if "\\" in str(self.equals):
            raise ValueError(f"{self.column} equals {self.equals!r}: a value has no backslash")
        return self


class LoadTime(TomlTable):
    """A column that holds a time, its meaning, and the clock that it comes from."""

    column: str
    clock: Literal["source", "tool", "destination"]
    means: str


class Lossy(TomlTable):
    """A known loss, from one type of the source to one of the destination.

    `keeps` is the precision that must survive: that of a double, or a time to that unit.
    """

    source: Family
    destination: Family
    keeps: Literal["float", "milliseconds", "seconds"]
    because: str


class Convention(TomlTable):
    """How a tool lands rows; the head of conventions.toml explains each key."""

    schema_pattern: str
    table_pattern: Annotated[str, Field(pattern=r"\{table\}")] = "{table}"
    case: Literal["upper", "lower", "folded", "snake", "exact"] = "folded"
    arrays: Literal["text", "json"] = "text"
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
        """Return the source table's name at a destination that folds names like this."""
        return self.folded(self.table_pattern.format(table=table), folds_to=folds_to)

    def folded(self, name: str, *, folds_to: Literal["upper", "lower"]) -> str:
        """Return a name in the tool's case."""
        if self.case == "exact":
            return name
        if self.case == "snake":
            name = snake(name)
        case = self.case if self.case in {"upper", "lower"} else folds_to
        return name.upper() if case == "upper" else name.lower()


@cache
def known_conventions() -> Mapping[str, Mapping[str, Any]]:
    """Return the raw tables of conventions.toml by kind."""
    text = files("loadgen.tools").joinpath("conventions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
