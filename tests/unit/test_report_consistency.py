"""Torn reads in the report: counts, shares over time, and the source as a control."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadgen.record.folder import RunRecord
from loadgen.record.resyncs import Resync
from loadgen.record.rows import SumsSample
from loadgen.report.analysis.consistency import reads_by_tool
from loadgen.report.analysis.tool_answer import Study, tool_answer
from loadgen.report.analysis.tool_summary import ToolSummary
from loadgen.report.charts.levels import torn_series
from loadgen.report.folder import write_report
from loadgen.report.tables.abilities import abilities_of
from loadgen.report.tables.consistency import source_control, torn_reads
from loadgen.text import NOTHING
from loadgen.tools.runners.abilities import HARD_DELETES, STEPS, TORN_BY_TABLE
from tests.records import START, Made, write_run


def sums(tool: str, second: float, by: float = 0.0, name: str = "balance") -> SumsSample:
    """Return a conserved sum as it was read at a second of the run."""
    return SumsSample(START + timedelta(seconds=second), tool, name, by != 0, by)


def reads(torn_source: float = 0.0) -> Iterator[SumsSample]:
    """Yield a read a second of two copies, one torn in two reads of three, and of the source."""
    for second in range(60):
        yield sums("cdc", second)
        yield sums("tables", second, 0.0 if second % 3 == 0 else second)
        yield sums("tables", second, 0.0, "stock")
        if second % 10 == 0:
            yield sums("", second, torn_source)


def test_a_read_is_torn_if_one_of_its_sums_is() -> None:
    """A read of two conserved sums counts once."""
    table = torn_reads(reads_by_tool(reads()), {"tables": "dlt"})
    assert table.rows == (
        ("cdc", NOTHING, "60", "0", "0%", NOTHING, NOTHING),
        ("tables", TORN_BY_TABLE, "60", "40", "66.67%", "balance by 59", NOTHING),
    )


def test_what_local_runners_can_do_is_shown_of_tools_that_have_one() -> None:
    """A column for each; dlt can't see hard deletes."""
    tools = tuple(map(ToolSummary, ("hosted", "cursor", "cdc")))
    table = abilities_of(Study(tools=tools, runners={"cursor": "dlt", "cdc": "replication"}))
    assert [column.label for column in table.columns] == ["step", "cursor", "cdc"]
    assert (HARD_DELETES, "no", "yes") in table.rows
    assert len(table.rows) == len(STEPS)
    assert abilities_of(Study(tools=tools, runners={"cursor": "another's"})).rows == ()


def test_reads_of_a_copy_that_is_not_complete_count_separately() -> None:
    """During a re-sync; of one that did not end, to the end of the run."""
    at = [START + timedelta(seconds=second) for second in (10, 19, 58)]
    copying = [Resync("tables", at[0], at[1]), Resync("tables", at[2]), Resync("other", START)]
    cdc, tables = torn_reads(reads_by_tool(reads(), copying), {}).rows
    assert cdc[-1] == NOTHING
    # 12, 15 and 18 of the first ten agree; of the last two seconds both are torn.
    assert tables == ("tables", NOTHING, "48", "31", "64.58%", "balance by 56", "9 of 12")


def test_the_shares_are_by_stretch_of_the_run() -> None:
    """The source has no line."""
    series = torn_series(reads_by_tool(reads()), START)
    assert series.keys() == {"cdc", "tables"}
    assert {share for _, share in series["cdc"]} == {0.0}
    times, shares = zip(*series["tables"], strict=True)
    assert times[:2] == (2.5, 7.5)
    assert shares[:3] == (0.6, 0.6, 0.8)


def test_a_torn_source_makes_the_figures_worthless() -> None:
    """The declaration is wrong then, and the report says so."""
    assert "agreed in 6 reads" in source_control(reads_by_tool(reads()))
    assert "6 of 6 reads did not agree" in source_control(reads_by_tool(reads(5.0)))
    assert "was not read" in source_control(reads_by_tool([sums("cdc", 1)]))


def test_the_answer_on_a_tool_has_them() -> None:
    """Unless those of the source disagree too."""
    for torn_source, labels in ((0.0, {"consistent", "torn"}), (5.0, set())):
        study = Study(reads=reads_by_tool(reads(torn_source)))
        answers = [tool_answer(ToolSummary(n), study, trusted=True) for n in ("cdc", "tables")]
        facts = {fact.label: fact.text for answer in answers for fact in answer.facts}
        assert facts.keys() & {"consistent", "torn"} == labels
        if labels:
            assert facts["consistent"] == "none of 60 reads saw a part of a transaction"
            assert facts["torn"] == "66.67% of 60 reads saw a part of a transaction"


def test_a_report_has_them_only_if_sums_were_read(tmp_path: Path) -> None:
    """With a chart."""
    folder = write_run(tmp_path, Made())
    written = write_report(folder, datetime.now(UTC))
    assert "Consistent at a moment" not in written.html.read_text(encoding="utf-8")
    record = RunRecord.open(folder)
    record.append(reads())
    record.journal("resync_began", START - timedelta(seconds=9), tool="cdc")
    record.journal("resync_ended", START - timedelta(seconds=4), tool="cdc", rows=1234)
    written = write_report(folder, datetime.now(UTC))
    assert folder / "charts" / "torn.svg" in written.charts
    assert "Torn reads of each copy" in written.html.read_text(encoding="utf-8")
    markdown = written.markdown.read_text(encoding="utf-8")
    assert "| cdc  | 2026-11-23 07:59:51 UTC |            5 s | 1,234 |" in markdown
    assert "1,234</td>" in written.html.read_text(encoding="utf-8")
    row = f"| tables | {NOTHING}        |    60 |   40 | 66.67% | balance by 59 |"
    assert row in written.markdown.read_text("utf-8")
