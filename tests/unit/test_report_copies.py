"""The report's part on the copies: verification, deliveries, slots."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen import text as words
from loadgen.config.settings import HARD_CASES
from loadgen.record.folder import RunRecord
from loadgen.record.rows import ExpectedMarker, SlotSample, read_deliveries
from loadgen.record.run import Run
from loadgen.record.verify import ClockOffset, Finding, ToolVerification, Verification
from loadgen.report.analysis.compare import summary_of
from loadgen.report.analysis.deliveries import by_tool
from loadgen.report.folder import write_report
from loadgen.report.tables.tools import copies_of
from loadgen.verify.cases import CaseFindings, judge_cases
from tests.pages import markdown_tables, page_of
from tests.records import START, VERIFIED, VERIFIED_COPY, Made, marker, write_run


def slot(kept: int | None, *, active: bool, status: str = "reserved") -> SlotSample:
    """Return one look at a slot."""
    return SlotSample(START, "copy", active, status, kept, kept, None, 10**9)


def test_what_verification_found_is_told() -> None:
    """A line a tool, its kinds and problems, and a few findings with their values whole."""
    found = copies_of(VERIFIED, {}, [])
    assert found.verdicts.rows == (
        (
            "copy",
            "wrong",
            "2,000",
            "2 missing, 1,000 differs",
            "nothing",
            "3",
            "2026-11-23 10:00:00 UTC",
        ),
    )
    assert found.problems == ("copy: table events is not there",)
    assert len(found.findings.rows) == 3
    assert found.findings.rows[0][:6] == ("copy", "differs", "orders", "17", "amount", "1.20")
    assert len(found.findings.rows[0][6]) == 70


def test_hard_cases_are_told_by_tool_and_whether_it_was_to_be_expected() -> None:
    """With an example; a case that was not tried says so; without any there is no table."""
    last = {"cursor": "hard_deletes", "log": "odd_numbers"}
    tools: dict[str, ToolVerification] = {}
    for reads, wrong in last.items():
        finding = Finding("hard_cases", "17", "amount", "differs", "1", "2", wrong)
        found = CaseFindings()
        found.add(finding)
        found.add(replace(finding, column="word"))  # the same row once more
        tried = {"hard_deletes": 3, "odd_numbers": 2, "late_commits": 4}
        judged = judge_cases(tried, {wrong: found}, "cursor" if reads == "cursor" else "log")
        tools[reads] = VERIFIED_COPY.model_copy(update={"cases": judged})
    table = copies_of(Verification(tools=tools), {}, []).cases
    assert [column.label for column in table.columns][:3] == ["hard case", "cursor", "log"]
    said = {row[0]: row[1:3] for row in table.rows}
    assert set(said) == set(HARD_CASES)
    assert said["hard_deletes"] == (
        "wrong (1 of 3), as expected; key 17: differs in amount",
        "right (3)",
    )
    assert said["odd_numbers"] == (
        "right (2)",
        "wrong (1 of 2), NOT EXPECTED; key 17: differs in amount",
    )
    assert said["late_commits"] == ("right (4)", "right (4)")
    assert said["odd_texts"] == ("not tried", "not tried")
    assert not copies_of(VERIFIED, {}, []).cases.rows


@pytest.mark.parametrize(
    ("delivered", "p95", "p99"),
    [(19, words.NOTHING, words.NOTHING), (20, "19 s", words.NOTHING), (100, "95 s", "99 s")],
)
def test_a_quantile_needs_enough_deliveries(delivered: int, p95: str, p99: str) -> None:
    """The k-th delivery takes k seconds, and markers that never came are counted separately."""
    rows = [marker(k, float(k)) for k in range(1, delivered + 1)]
    (row,) = copies_of(Verification(), by_tool([*rows, marker(999, None)]), []).freshness.rows
    assert row[:3] == ("copy", str(delivered), "1")
    assert row[5:7] == (p95, p99)
    assert row[8] == "500 ms"


def test_a_tool_that_delivered_nothing_has_no_times() -> None:
    """Only the number of unseen markers and the longest wait are shown."""
    unseen = [marker(k, None, tool="away") for k in (1, 2, 3)]
    (row,) = copies_of(Verification(), by_tool(unseen), []).freshness.rows
    assert row == ("away", "0", "3", "2 s", *[words.NOTHING] * 5)


def test_markers_that_are_only_known_as_written_count_as_not_seen(tmp_path: Path) -> None:
    """As while the watch still looks for them, or after it was killed: in every report."""
    path = write_run(tmp_path / "reports", Made())
    record = RunRecord.open(path)
    written = [ExpectedMarker("still", k, marker(k, None).written_at) for k in range(1, 26)]
    record.append(written)
    record.append([replace(one, tool="some") for one in written])
    record.append([marker(k, 0.5, tool="some") for k in range(1, 24)])
    nothing = "0 of 25 markers seen, the oldest unseen has waited 24 s"
    some = "23 of 25 markers seen, the oldest unseen has waited 1 s"
    report = write_report(path, START).report
    results = (path / "RESULTS.md").read_text(encoding="utf-8")
    for text in (report.html, report.markdown, results):
        assert nothing in text
        assert some in text
        assert "freshness was not measured" not in text
    rows = {
        row[0]: row[1:4]
        for row in copies_of(Verification(), by_tool(read_deliveries(path)), []).freshness.rows
    }
    assert rows == {"some": ("23", "2", "1 s"), "still": ("0", "25", "24 s")}
    tools = {tool.name: tool for tool in summary_of(path).tools}
    assert tools["still"].figures()["freshness_p95_seconds"] is None


def test_the_report_names_the_table_of_the_markers(tmp_path: Path) -> None:
    """Which was events when a record did not tell it yet."""
    path = write_run(tmp_path / "reports", Made())
    record = RunRecord.open(path)
    record.append([marker(1, 0.25)])
    content = json.loads((path / Run.FILE).read_text(encoding="utf-8"))
    for table, changed in (
        ("events", {key: content[key] for key in content if key != "marker_table"}),
        ("loadgen_markers", content | {"marker_table": "loadgen_markers"}),
    ):
        (path / Run.FILE).write_text(json.dumps(changed), encoding="utf-8")
        report = write_report(path, START).report
        assert f"<code>{table}</code> (a marker)" in report.html
        assert f"`{table}` (a marker)" in report.markdown


def test_a_slot_is_told_by_its_worst() -> None:
    """The row has the most WAL kept, the share of looks without a reader, and each status."""
    looks = [slot(2**20, active=True), slot(3 * 2**30, active=False, status="extended")]
    (row,) = copies_of(
        Verification(), {}, [*looks, slot(None, active=False, status="lost")]
    ).slots.rows
    assert row == ("copy", "3 GiB", "3 GiB", "66.67%", "reserved, extended, lost")


def test_both_reports_show_it(tmp_path: Path) -> None:
    """The same cells, nothing as markup; and without any of it there is no such section."""
    bare = write_report(write_run(tmp_path / "bare", Made()), START)
    assert 'id="correctness"' not in bare.report.html
    assert "Nothing is known of a tool's copy" in bare.report.markdown
    path = write_run(tmp_path / "full", Made())
    record = RunRecord.open(path)
    VERIFIED.write(path)
    record.append([marker(1, 0.25)])
    record.append([slot(2**20, active=True)])
    report = write_report(path, START).report
    page = page_of(report.html)
    assert "<b>1.2" not in report.html
    assert "script" not in page.tags
    for text in ("2 missing, 1,000 differs", "table events is not there", "250 ms", "1 MiB"):
        assert text in report.html
        assert text in report.markdown
    tables = markdown_tables(report.markdown)
    assert any("verdict" in str(table) for table in tables)


def test_clocks_and_the_interval_of_a_plan_stand_beside_freshness() -> None:
    """A difference within its own uncertainty is none; a tool without a card has no interval."""
    source, there = ClockOffset(0.0001, 0.0004), ClockOffset(-2.5, 0.02)
    tools = {
        "copy": VERIFIED_COPY.model_copy(
            update={"clocks": {"source": source, "destination": there}}
        ),
        "file": VERIFIED_COPY.model_copy(update={"clocks": {"source": source}}),
    }
    rows = by_tool([marker(1, 2.0, tool="copy"), marker(1, 2.0, tool="file")])
    found = copies_of(Verification(tools=tools), rows, plans={"copy": 900.0})
    assert found.clocks == ("the source's is the same, to 0.4 ms; copy's is 2.5 s behind, to 20 ms")
    assert [row[-1] for row in found.freshness.rows] == ["15 min", words.NOTHING]
    assert copies_of(VERIFIED, rows, []).clocks == ""
