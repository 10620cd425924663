"""The last findings, row counts and costs of the tools, from the newest run's folder.

`loadgen verify` and `loadgen costs` write them; a file is read again only after it has changed.
"""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from loadgen.errors import RecordError
from loadgen.record.costs import Costs
from loadgen.record.folder import find_run
from loadgen.record.verify import KINDS, Verification

_Labelled = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class LastResults:
    """Findings by tool and kind, rows by tool and table, dollars by tool and component.

    A verified tool has an entry for every kind, also with 0. Unpriced costs have no entry.
    """

    findings: _Labelled = field(default_factory=dict)
    rows: _Labelled = field(default_factory=dict)
    dollars: _Labelled = field(default_factory=dict)


class LastResultsReader:
    """Reads the results of the newest run below `reports_dir`."""

    def __init__(self, reports_dir: Path) -> None:
        self._reports_dir = reports_dir
        self._modified: dict[Path, float] = {}  # times of the files that were read
        self._latest = LastResults()

    def read(self) -> LastResults:
        """Return the present results. Raises RecordError if a file is damaged."""
        try:
            folder = find_run(self._reports_dir)
        except RecordError:
            return LastResults()  # no run yet
        modified: dict[Path, float] = {}
        for name in (Verification.FILE, Costs.FILE):
            with suppress(FileNotFoundError):
                modified[folder / name] = (folder / name).stat().st_mtime
        if modified != self._modified:
            self._latest, self._modified = read_last_results(folder), modified
        return self._latest


def read_last_results(folder: Path) -> LastResults:
    """Return the results in a run's folder. Raises RecordError."""
    findings: dict[tuple[str, str], float] = {}
    rows: dict[tuple[str, str], float] = {}
    for name, tool in Verification.of(folder).tools.items():
        findings |= {(name, kind): float(tool.totals.get(kind, 0)) for kind in KINDS}
        rows |= {
            (name, table): float(outcome.destination_rows) for table, outcome in tool.tables.items()
        }
    dollars: dict[tuple[str, str], float] = defaultdict(float)
    costs = Costs.of(folder)
    for line in costs.lines if costs else ():
        if line.amount is not None:
            dollars[line.tool, line.category] += float(line.amount)
    return LastResults(findings, rows, dollars)
