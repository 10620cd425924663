"""What a pipe was given to carry, in the meters that vendors charge by.

Counts are of changes at the source. A soft delete is an update there: its row stays. Gigabytes are
10^9 bytes. `usage.toml` in a run's folder has figures that vendors reported themselves.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from loadgen.costs.cards import Meter
from loadgen.errors import SettingsError
from loadgen.record.costs import ReportedUsage
from loadgen.untrusted import read_toml

USAGE_FILE: Final = "usage.toml"
MONTH_HOURS: Final = 720

_REPORTED: Final = ("inserts", "updates", "deletes", "distinct_rows", "gigabytes", "billed_usd")
_GIGABYTE: Final = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Usage:
    """One period's usage: distinct_rows are rows touched at least once in it, new ones too."""

    inserts: Decimal
    updates: Decimal
    deletes: Decimal
    distinct_rows: Decimal
    bytes: Decimal
    hours: Decimal
    months: Decimal = Decimal(1)
    connections: Decimal = Decimal(1)

    @property
    def changes(self) -> Decimal:
        """All changes, whatever they changed."""
        return self.inserts + self.updates + self.deletes

    @property
    def gigabytes(self) -> Decimal:
        """What moves, in 10^9 bytes."""
        return self.bytes / _GIGABYTE

    @property
    def connection_hours(self) -> Decimal:
        """Hours of all connections together."""
        return self.connections * self.hours

    def with_rows(self, rows: Decimal, size: Decimal) -> "Usage":
        """Return the usage with so many more rows of so many bytes, each inserted once."""
        return replace(
            self,
            inserts=self.inserts + rows,
            distinct_rows=self.distinct_rows + rows,
            bytes=self.bytes + size,
        )

    def of(self, meter: Meter) -> Decimal:
        """Return how much of a meter there is."""
        found: Decimal = getattr(self, meter)
        return found


@dataclass(frozen=True, slots=True)
class Reported:
    """What a vendor itself reported of a run; None where it said nothing."""

    tool: str
    source: str
    inserts: Decimal | None = None
    updates: Decimal | None = None
    deletes: Decimal | None = None
    distinct_rows: Decimal | None = None
    gigabytes: Decimal | None = None
    billed_usd: Decimal | None = None

    def over(self, usage: Usage) -> Usage:
        """Return the usage with what the vendor reported in place of our own figures."""
        counts = {
            name: value
            for name in ("inserts", "updates", "deletes", "distinct_rows")
            if (value := getattr(self, name)) is not None
        }
        if self.gigabytes is not None:
            counts["bytes"] = self.gigabytes * _GIGABYTE
        return replace(usage, **counts)

    def recorded(self) -> ReportedUsage:
        """Return what costs.json holds of it: the figures that were reported, and their source."""
        figures = {name: value for name in _REPORTED if (value := getattr(self, name)) is not None}
        return ReportedUsage(source=self.source, **figures)


def read_reported(folder: Path) -> dict[str, Reported]:
    """Return the vendors' figures in the run's usage.toml by tool; none where there is no file.

    Raises SettingsError that names what is not understood.
    """
    file = folder / USAGE_FILE
    try:
        raw = read_toml(file, parse_float=Decimal)
    except FileNotFoundError:
        return {}
    return {tool: _reported(file, tool, table) for tool, table in raw.items()}


def _reported(file: Path, tool: str, table: object) -> Reported:
    if not isinstance(table, dict):
        raise SettingsError(f"{file}: {tool} has to be a table, [{tool}]")
    source = table.get("source")
    if not isinstance(source, str) or not source:
        raise SettingsError(f"{file}: [{tool}] needs source, where and when the figures were read")
    figures: dict[str, Any] = {}
    for name, value in table.items():
        if name == "source":
            continue
        if name not in _REPORTED:
            raise SettingsError(f"{file}: [{tool}] has no key {name}: {', '.join(_REPORTED)}")
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not value >= 0:
            raise SettingsError(f"{file}: {name} of [{tool}] must be a number, 0 or more")
        figures[name] = Decimal(value)
    return Reported(tool, source, **figures)
