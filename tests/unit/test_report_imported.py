"""A report states how near the run of an imported model came to its database's writes."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadgen.load.outcome import imported_writes
from loadgen.record.folder import RunRecord
from loadgen.record.run import ImportedTableWrites, ImportedWrites, Run
from loadgen.report.analysis.imported import likeness
from loadgen.report.folder import write_report
from loadgen.workload.model import Imported, ImportedTable
from loadgen.workload.read_model import read_model
from tests.records import START, Made, update, write_run

READ_AT = datetime(2026, 11, 20, 13, tzinfo=UTC)
MODELLED = "modelled from statistics of 2026-11-20; "


def imported(**tables: tuple[int, float]) -> ImportedWrites:
    """Return the rows that were written in half an hour, and those per hour at the source."""
    return ImportedWrites(
        read_at=READ_AT,
        tables={
            name: ImportedTableWrites(rows=rows, per_hour=rate)
            for name, (rows, rate) in tables.items()
        },
    )


@pytest.mark.parametrize(
    ("tables", "line", "level"),
    [
        ({"a": (500, 1000)}, "writes by table within 0% of the source's", "good"),
        (
            {"a": (505, 1000), "b": (98, 200.0), "idle": (0, 0)},
            "writes by table within 2% of the source's",
            "good",
        ),
        ({"a": (9_949, 20_000)}, "writes by table within 0.6% of the source's", "good"),
        (
            {"a": (500, 1000), "b": (106, 200)},
            "writes by table within 0% of the source's, except b (+6%: 106 for 100)",
            "warn",
        ),
        (
            {"a": (0, 3), "new": (7, 0), "c": (1500, 2000), "d": (1, 9), "e": (100, 200)},
            (
                "writes by table within 0% of the source's, except c (+50%: 1,500 for 1,000), "
                "new (7 for 0), d (-78%: 1 for 4.5) and 1 more"
            ),
            "warn",
        ),
        ({"a": (0, 100)}, "writes that differ by table: a (-100%: 0 for 50)", "warn"),
    ],
)
def test_the_line_names_tables_beyond_five_percent(
    tables: dict[str, tuple[int, float]], line: str, level: str
) -> None:
    """Those with the largest difference in rows come first; the rest is bounded."""
    fact = likeness(Run(imported=imported(**tables)), 1800.0)
    assert fact is not None
    assert (fact.text, fact.level) == (MODELLED + line, level)


def test_a_run_without_statistics_has_no_line() -> None:
    """Another model's run, one that did not end, and an import that could not read writes."""
    assert likeness(Run(), 1800.0) is None
    assert likeness(Run(imported=imported(a=(1, 2))), None) is None
    fact = likeness(Run(imported=imported()), 1800.0)
    assert fact is not None
    assert fact.text.endswith("2026-11-20, which had no writes by table")


def test_a_run_is_compared_with_the_scaled_rates() -> None:
    """Of each table that the model has and whose writes were counted."""
    tables = {
        "pgbench_accounts": ImportedTable(100, 9, inserts=0.0, updates=3600.0, deletes=0.0),
        "pgbench_branches": ImportedTable(1, 9),
        "other": ImportedTable(1, 9, inserts=5.0),
    }
    digests = (64 * "a",)
    model = replace(
        read_model("tpcb"),
        imported=Imported(READ_AT.isoformat(), digests, rate_scale=0.1, tables=tables),
    )
    written = imported_writes(model, {"transaction": (90, 80, 70, 60)}, 1.0)
    assert written == imported(pgbench_accounts=(90, 360.0)).model_copy(update={"rate_scale": 0.1})
    fact = likeness(Run(imported=written), 900.0)
    assert fact is not None
    assert fact.text.endswith("of the source's at 0.1 times its rates")
    assert imported_writes(read_model("tpcb"), {"transaction": (1, 1, 1, 1)}, 1.0) is None


def test_a_run_in_a_busy_hour_is_compared_with_that_hour() -> None:
    """The rates are means of the whole profile, of which a short run has only a part."""
    busy = imported(a=(750, 1000)).model_copy(update={"level": 1.5})
    fact = likeness(Run(imported=busy), 1800.0)
    assert fact is not None
    assert fact.text == f"{MODELLED}writes by table within 0% of the source's"


def test_the_report_and_the_terminal_state_it(tmp_path: Path) -> None:
    """run.json has the imported facts, so a report of a run needs no model."""
    folder = write_run(tmp_path, Made())
    record = RunRecord.open(folder)
    update(record, imported=imported(orders=(500, 30_000)))
    assert Run.of(folder).imported == imported(orders=(500, 30_000))
    report = write_report(folder, START).report
    line = "modelled from statistics of 2026-11-20; writes by table within 0% of the source"
    assert line in report.markdown
    assert line in report.html
    assert any("modelled from statistics" in line for line in report.answer.lines())
