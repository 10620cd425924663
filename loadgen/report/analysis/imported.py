"""How near a run of an imported model came to the writes of the model's database. Pure."""

from collections.abc import Iterator
from math import ceil, inf
from typing import Final, NamedTuple

from loadgen import text
from loadgen.record.run import ImportedWrites, Run
from loadgen.report.analysis.tool_answer import Fact

_NAMED_BEYOND: Final = 0.05  # a table that differs by a larger share is named
_NAMED: Final = 3
_HOUR: Final = 3600


class _Deviation(NamedTuple):
    """A table's rows, those that the statistics ask for, and by which share they differ."""

    table: str
    rows: int
    expected: float

    @property
    def share(self) -> float:
        if not self.expected:
            return inf if self.rows else 0.0
        return self.rows / self.expected - 1


def likeness(run: Run, seconds: float | None) -> Fact | None:
    """Return by how much the run's writes differ from the imported statistics, as a line.

    None for a run of another model, and for one whose writes were not counted in the end.
    """
    imported = run.imported
    if imported is None or not seconds:
        return None
    modelled = f"modelled from statistics of {imported.read_at:%Y-%m-%d}"
    scale = f" at {imported.rate_scale:.4g} times its rates" if imported.rate_scale != 1 else ""
    deviations = list(_deviations(imported, seconds))
    if not deviations:
        return Fact("model", f"{modelled}, which had no writes by table", "warn")
    others = [each for each in deviations if abs(each.share) > _NAMED_BEYOND]
    within = max((abs(e.share) for e in deviations if e not in others), default=None)
    writes = (
        ""
        if within is None
        else f"writes by table within {_percent(within)} of the source's{scale}"
    )
    if not others:
        return Fact("model", f"{modelled}; {writes}")
    others.sort(key=lambda each: -abs(each.rows - each.expected))
    named = text.first_few([_named(each) for each in others], _NAMED)
    beyond = f"{writes}, except {named}" if writes else f"writes that differ by table: {named}"
    return Fact("model", f"{modelled}; {beyond}", "warn")


def _deviations(imported: ImportedWrites, seconds: float) -> Iterator[_Deviation]:
    for name, table in imported.tables.items():
        expected = table.per_hour * imported.level * seconds / _HOUR
        if table.rows or expected:
            yield _Deviation(name, table.rows, expected)


def _percent(share: float) -> str:
    """Return a share in percent, rounded up to a tenth: it is a bound."""
    return f"{ceil(round(share * 1000, 6)) / 10:g}%"


def _named(deviation: _Deviation) -> str:
    rows = f"{deviation.rows:,} for {text.whole(deviation.expected)}"
    if not deviation.expected:
        return f"{deviation.table} ({rows})"
    return f"{deviation.table} ({deviation.share:+.0%}: {rows})"
