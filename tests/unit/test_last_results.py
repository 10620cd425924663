"""The watch shows the newest run's results from its folder: findings, rows, dollars."""

import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen.errors import RecordError
from loadgen.record.costs import CostLine, Costs, not_priced
from loadgen.record.verify import KINDS, Kind, TableOutcome, ToolVerification, Verification
from loadgen.watch.last_results import LastResults, LastResultsReader
from tests.records import START, Made, write_run


def _tool(totals: dict[Kind, int], rows: int) -> ToolVerification:
    return ToolVerification(
        verdict="wrong",
        totals=totals,
        in_flight=0,
        tables={"orders": TableOutcome(9, rows)},
        problems=(),
        findings=(),
    )


VERIFIED = Verification(tools={"dlt": _tool({"missing": 2}, 7), "copy": _tool({}, 9)})


def line(tool: str, category: str, dollars: str) -> CostLine:
    """Return a priced line."""
    return CostLine(
        tool=tool,
        payer="service",
        category=category,
        amount=Decimal(dollars),
        basis="list",
        grade="P",
        source="a card",
        as_of=date(2026, 11, 1),
    )


def test_without_a_run_there_is_nothing(tmp_path: Path) -> None:
    """A run that was not verified or priced has no results either."""
    assert LastResultsReader(tmp_path).read() == LastResults()
    write_run(tmp_path, Made(seconds=2))
    assert LastResultsReader(tmp_path).read() == LastResults()


def test_findings_and_dollars_are_those_of_the_files(tmp_path: Path) -> None:
    """A verified tool has each kind of finding, zeros too; an unpriced line adds no dollars."""
    path = write_run(tmp_path, Made(seconds=2))
    reader = LastResultsReader(tmp_path)
    assert reader.read() == LastResults()
    VERIFIED.write(path)
    lines = [line("dlt", "compute", "0.25"), line("dlt", "compute", "0.5")]
    lines.append(not_priced("copy", "service", "plan", "no card"))
    Costs(made_at=START, lines=tuple(lines)).write(path)
    kept = reader.read()
    assert kept.findings["dlt", "missing"] == 2
    assert {
        kind: n for (tool, kind), n in kept.findings.items() if tool == "copy"
    } == dict.fromkeys(KINDS, 0.0)
    assert kept.rows == {("dlt", "orders"): 7.0, ("copy", "orders"): 9.0}
    assert kept.dollars == {("dlt", "compute"): 0.75}
    assert reader.read() is kept  # not read again


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """A file that can't be understood raises an error."""
    path = write_run(tmp_path, Made(seconds=2))
    VERIFIED.write(path)
    reader = LastResultsReader(tmp_path)
    assert reader.read().rows
    (path / Verification.FILE).write_text("{")
    os.utime(path / Verification.FILE, (1, 1))
    with pytest.raises(RecordError, match=Verification.FILE):
        reader.read()
