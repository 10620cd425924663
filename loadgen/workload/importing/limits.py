"""The values that the columns of a table may have."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """The values that a column may have; None and () are no limit."""

    low: float | None = None
    high: float | None = None
    excludes_low: bool = False  # above `low`, not equal
    excludes_high: bool = False
    texts: tuple[str, ...] = ()  # the only ones allowed
    shortest: int = 0  # characters
    longest: int | None = None
    days: int | None = None  # before the import that times may lie
    above: str = ""  # a column whose value is lower


@dataclass(frozen=True, slots=True)
class TableLimits:
    """The limits of a table's columns, and the columns of checks that can't be understood."""

    columns: Mapping[str, Limits] = field(default_factory=dict)
    unknown: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()  # of indexes with expressions or conditions

    def of(self, column: str) -> Limits:
        """Return the limits of a column."""
        return self.columns.get(column, Limits())
