"""What the newest run's folder holds of its tools: findings, rows at destinations, dollars.

`loadgen verify` and `loadgen costs` write it; here it is only read again where a file has changed.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from loadgen.errors import RecordError
from loadgen.record.costs import Costs
from loadgen.record.reader import find_run
from loadgen.record.verify import KINDS, Verification

Labelled = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class LastResults:
    """Values by tool and kind, by tool and table, by tool and part of its cost.

    A tool that was verified has every kind, be it 0; what could not be priced is not there.
    """

    findings: Labelled = field(default_factory=dict)
    rows: Labelled = field(default_factory=dict)
    dollars: Labelled = field(default_factory=dict)


class LastResultsReader:
    """Reads it from the newest run below `reports_dir`."""

    def __init__(self, reports_dir: Path) -> None:
        self._reports_dir = reports_dir
        self._read: dict[Path, float] = {}  # when each file was changed last
        self._latest = LastResults()

    def read(self) -> LastResults:
        """Return what there is now. Raises RecordError where a file can't be understood."""
        try:
            folder = find_run(self._reports_dir)
        except RecordError:
            return LastResults()  # no run yet
        changed: dict[Path, float] = {}
        for name in (Verification.FILE, Costs.FILE):
            with suppress(FileNotFoundError):
                changed[folder / name] = (folder / name).stat().st_mtime
        if changed != self._read:
            self._latest, self._read = kept_in(folder), changed
        return self._latest


def kept_in(folder: Path) -> LastResults:
    """Return what a run's folder holds. Raises RecordError."""
    findings: dict[tuple[str, str], float] = {}
    rows: dict[tuple[str, str], float] = {}
    for name, tool in Verification.of(folder).tools.items():
        findings |= {(name, kind): float(tool.totals.get(kind, 0)) for kind in KINDS}
        rows |= {(name, table): float(of.destination_rows) for table, of in tool.tables.items()}
    dollars: dict[tuple[str, str], float] = defaultdict(float)
    costs = Costs.of(folder)
    for line in costs.lines if costs else ():
        if line.amount is not None:
            dollars[line.tool, line.category] += float(line.amount)
    return LastResults(findings, rows, dollars)
