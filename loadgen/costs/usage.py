"""A pipeline's usage in the meters that vendors charge by.

Counts are of changes at the source; a soft delete is an update, since its row stays. A gigabyte is
10^9 bytes. `usage.toml` in a run's folder has the figures that vendors reported themselves.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from loadgen.costs.cards import Meter
from loadgen.errors import SettingsError
from loadgen.record.costs import ReportedUsage
from loadgen.untrusted import MOST, read_toml

USAGE_FILE: Final = "usage.toml"
MONTH_HOURS: Final = 720

_COUNTS: Final = ("inserts", "updates", "deletes", "distinct_rows")
BY_TABLE: Final = (*_COUNTS, "changes", "gigabytes")  # meters whose sum is that of the tables
_REPORTED: Final = (*_COUNTS, "gigabytes", "billed_usd")
_ADDED: Final = (*_COUNTS, "bytes")  # of several tables; the period is the same
_GIGABYTE: Final = Decimal(10) ** 9

T = TypeVar("T")


class Band(NamedTuple, Generic[T]):
    """An estimate between its bounds."""

    low: T
    likely: T
    high: T


@dataclass(frozen=True, slots=True)
class Usage:
    """One period's usage; `distinct_rows` are rows touched at least once in it, new ones too."""

    inserts: Decimal
    updates: Decimal
    deletes: Decimal
    distinct_rows: Decimal
    bytes: Decimal
    hours: Decimal
    months: Decimal = Decimal(1)
    connections: Decimal = Decimal(1)

    @classmethod
    def none(cls, hours: Decimal) -> "Usage":
        """Return the usage of a pipeline that had nothing to copy."""
        zero = Decimal(0)
        return cls(zero, zero, zero, zero, zero, hours)

    def __add__(self, other: "Usage") -> "Usage":
        """Return the usage of two tables of one pipeline in the same period."""
        rows = {name: getattr(self, name) + getattr(other, name) for name in _ADDED}
        return replace(self, **rows)

    @property
    def changes(self) -> Decimal:
        """All changes."""
        return self.inserts + self.updates + self.deletes

    @property
    def gigabytes(self) -> Decimal:
        """The moved bytes in 10^9."""
        return self.bytes / _GIGABYTE

    @property
    def connection_hours(self) -> Decimal:
        """Hours of all connections together."""
        return self.connections * self.hours

    def with_rows(self, rows: Decimal, size: Decimal) -> "Usage":
        """Return the usage with more rows of `size` bytes in all, each inserted once."""
        return replace(
            self,
            inserts=self.inserts + rows,
            distinct_rows=self.distinct_rows + rows,
            bytes=self.bytes + size,
        )

    def with_reported(self, reported: ReportedUsage) -> "Usage":
        """Return the usage with the vendor's figures in place of ours."""
        figures = {name: getattr(reported, name) for name in _COUNTS}
        if reported.gigabytes is not None:
            figures["bytes"] = reported.gigabytes * _GIGABYTE
        return replace(self, **{name: n for name, n in figures.items() if n is not None})

    def quantity(self, meter: Meter) -> Decimal:
        """Return the quantity of a meter."""
        quantity: Decimal = getattr(self, meter)
        return quantity


def read_reported(folder: Path) -> dict[str, ReportedUsage]:
    """Return the vendors' figures in the run's usage.toml by tool; none if there is no file.

    Raises SettingsError, which names the wrong table or key.
    """
    file = folder / USAGE_FILE
    try:
        tables = read_toml(file, parse_float=Decimal)
    except FileNotFoundError:
        return {}
    return {tool: _reported(file, tool, table) for tool, table in tables.items()}


def _reported(file: Path, tool: str, table: object) -> ReportedUsage:
    if not isinstance(table, dict):
        raise SettingsError(f"{file}: {tool} has to be a table, [{tool}]")
    source = table.get("source")
    if not isinstance(source, str) or not source:
        raise SettingsError(f"{file}: [{tool}] needs source, where and when you read the figures")
    figures: dict[str, Decimal] = {}
    for name, figure in table.items():
        if name == "source":
            continue
        if name not in _REPORTED:
            raise SettingsError(f"{file}: [{tool}] has no key {name}: {', '.join(_REPORTED)}")
        is_number = isinstance(figure, int | Decimal) and not isinstance(figure, bool)
        if not is_number or not Decimal(figure).is_finite() or not 0 <= figure <= MOST:
            raise SettingsError(f"{file}: {name} of [{tool}] must be a number, 0 or more")
        figures[name] = Decimal(figure)
    return ReportedUsage(source=source, **figures)
