"""report.html and report.md: the record's figures, escaped, whole, in one folder."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from loadgen import text as words
from loadgen.record.folder import RunRecord
from loadgen.record.run import Run
from loadgen.report.folder import Written, write_report
from loadgen.workload.operations import operation_facts
from tests.pages import markdown_tables, page_of
from tests.plans import OPERATIONS, SHOP
from tests.records import RATES, START, Made, update, write_run

OUTAGE = Made(seconds=300, outage=(100, 130), refused_every=100)


def written(reports: Path, made: Made, **changed: object) -> Written:
    """Return the report of a made-up run whose run.json has these fields changed."""
    path = write_run(reports, made)
    if changed:
        update(RunRecord.open(path), **changed)
    return write_report(path, START + timedelta(hours=1))


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the report of a run with an outage and refused writes."""
    return written(tmp_path_factory.mktemp("reports"), OUTAGE)


def test_the_figures_are_the_records(outage: Written) -> None:
    """Every count of run.json stands in the page, operation by operation."""
    page, run = page_of(outage.report.html), Run.of(outage.html.parent)
    for operation, totals in run.totals.items():
        name = OPERATIONS[operation].label
        cells = page.row("done", name)
        shown = [int(cell.split(" ")[0].replace(",", "")) for cell in cells[1:6]]
        assert shown == [
            totals.offered,
            totals.committed,
            totals.failed,
            totals.skipped,
            totals.unknown,
        ]
        assert cells[0] == words.whole(run.asked[operation])
        assert page.row("asked", name)[0] == f"{RATES[operation]:,.0f}"
        quantiles = page.row("latency", name)
        found = run.latency[operation]
        assert quantiles == [
            words.milliseconds(getattr(times, q))
            for times in (found.service, found.intended)
            for q in ("p50", "p95", "p99", "max")
        ]
    written_orders = f"{run.totals['insert_order'].committed:,}"
    assert ["orders", "rows", written_orders, written_orders, "yes"] in page.tables["rows"]
    assert page.row("failures", "New orders") == ["40P01", "deadlock detected", "30", "1.00%"]


def test_the_sum_is_that_of_the_operations(outage: Written) -> None:
    """The last row adds up those above it."""
    page = page_of(outage.report.html)
    rows = [
        page.row("done", name)
        for name in [*(operation.label for operation in OPERATIONS.values()), "All"]
    ]
    for column in range(1, 6):
        *parts, total = [int(row[column].split(" ")[0].replace(",", "")) for row in rows]
        assert sum(parts) == total


def test_the_answer_comes_first(outage: Written) -> None:
    """The first heading is the answer, and below it the whole sentence."""
    report = outage.report
    heading = re.search(r"<h1[^>]*>(.*?)</h1>\s*<p[^>]*>(.*?)</p>", report.html, re.DOTALL)
    assert heading is not None
    assert unescape(heading[1]) == report.answer.headline
    assert unescape(heading[2]) == report.answer.sentence
    first, _, second = report.markdown.splitlines()[:3]
    assert (first, second) == (f"# {report.answer.headline}", report.answer.sentence)


def test_what_is_not_measured_is_always_said(outage: Written) -> None:
    """No heading is empty; figures are listed that this run lacks, and those that no run has."""
    for text in (outage.report.html, outage.report.markdown):
        _, _, rest = text.partition("Not measured here")
        assert "run loadgen costs" in rest
        assert "loadgen report --control RUN" in rest
        assert "No run measures reads" in rest
        assert "Tools running together" not in text


def test_the_page_needs_nothing_else(outage: Written) -> None:
    """No script, no network, no other file: the page can be sent alone."""
    html = outage.report.html
    page = page_of(html)
    assert page.fetched == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert page.tags.count("svg") == 12


def test_a_grafana_that_was_named_is_linked_to(outage: Written, tmp_path: Path) -> None:
    """The link has the run's time, in both reports; without a Grafana there is no link."""
    assert "in Grafana" not in outage.html.read_text() + outage.markdown.read_text()
    named = written(tmp_path, Made(), settings={"grafana_url": "http://127.0.0.1:3000"})
    for path in (named.html, named.markdown):
        link = r"http://127\.0\.0\.1:3000/d/loadgen-load\?from=\d{13}&"
        assert re.search(link, unescape(path.read_text()))


def test_the_page_follows_light_and_dark_paper_and_phone(outage: Written) -> None:
    """Dark if the system prefers it, light on paper, one column on a phone."""
    html = outage.report.html
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    assert "@media (max-width: 640px)" in html
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html


HOSTILE = "<script>alert(1)</script> & \"'|`*"


@pytest.mark.parametrize("where", ["profile", "settings", "machine", "journal", "operation"])
def test_nothing_in_a_record_becomes_markup(where: str, tmp_path: Path) -> None:
    """Whatever a setting, a machine or an event is called, it is shown as it is called."""
    changed: Mapping[str, object] = {
        "profile": {"profile": HOSTILE},
        "settings": {"settings": {"arrivals": HOSTILE, "hot_users": HOSTILE}},
        "machine": {"machine": {"cpu": HOSTILE, "os": HOSTILE}, "versions": {HOSTILE: HOSTILE}},
        "journal": {"journal": [{"at": START, "kind": HOSTILE, HOSTILE: {HOSTILE: [HOSTILE]}}]},
        "operation": {"failures": {HOSTILE: {HOSTILE: 3}}},
    }[where]  # type: ignore[assignment]
    report = written(tmp_path, Made(seconds=3), **changed).report
    page = page_of(report.html)
    assert "script" not in page.tags
    assert HOSTILE in "".join(page.text)
    assert "<script" not in report.markdown
    cells = [cell.replace("\\", "") for row in markdown_tables(report.markdown) for cell in row]
    assert any(HOSTILE in cell for cell in cells)


def test_a_small_share_reads_as_plain_text(tmp_path: Path) -> None:
    """The Markdown twin is also read in a terminal: <0.01% stays as it is written."""
    report = written(tmp_path, Made(seconds=3), machine={"cpu": "<0.01%, >99.99%, <b>"}).report
    assert "<0.01%, >99.99%, &lt;b&gt;" in report.markdown
    assert "<0.01%, >99.99%, <b>" in "".join(page_of(report.html).text)


def test_markdown_says_what_the_page_says(outage: Written) -> None:
    """The twin has the same tables, cell for cell."""
    report = outage.report
    page = page_of(report.html)
    in_page = {tuple(row) for rows in page.tables.values() for row in rows if len(row) > 4}
    in_page = {row for row in in_page if "p50" not in row}
    in_text = {tuple(row) for row in markdown_tables(report.markdown)}
    assert in_page <= in_text


def test_markdown_reads_as_plain_text(outage: Written) -> None:
    """Columns line up, and pictures are separate files."""
    text = outage.report.markdown
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(line) for line in table.splitlines()}) == 1
    for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text):
        assert (outage.markdown.parent / name).is_file()
    assert text.count("](charts/") == 3
    assert "\n\n\n" not in text


def test_a_killed_run_is_reported(tmp_path: Path) -> None:
    """Without end, totals and rows, the report says so and shows what the samples hold."""
    report = written(tmp_path, Made(seconds=90, outage=(80, 100), ended=False)).report
    page = page_of(report.html)
    assert report.verdict.headline.startswith("The run has no end")
    assert page.row("done", "New orders")[6] == "10"
    assert len(page.tables["rows"]) == 1  # no table was counted
    assert "No latencies of the whole run were recorded, since it has no end." in "".join(page.text)


def test_a_record_without_its_operations_is_one_of_the_shop(tmp_path: Path) -> None:
    """Those of older versions have neither them nor the workload's name."""
    made = Made(seconds=60)
    path = write_run(tmp_path / "old", made)
    assert not {"operations", "workload"} & json.loads((path / Run.FILE).read_bytes()).keys()
    old = write_report(path, START).report
    shop = operation_facts(SHOP)
    path = write_run(tmp_path / "new", made)
    update(RunRecord.open(path), operations=shop)
    assert Run.of(path).operations == shop
    new = write_report(path, START).report
    assert (old.html, old.markdown, old.charts) == (new.html, new.markdown, new.charts)


def test_names_tables_and_colors_are_those_of_the_record(tmp_path: Path) -> None:
    """Whatever the shop's are by now."""
    facts = operation_facts(SHOP)["insert_order"].model_copy(
        update={"label": "Invoices", "table": "users", "light": "#123456", "dark": "#fedcba"}
    )
    report = written(tmp_path, Made(seconds=60), operations={"insert_order": facts}).report
    page = page_of(report.html)
    assert page.row("done", "Invoices")
    assert page.row("done", "insert_event")  # not described, so by its own name
    assert "--operation-insert-order: #123456" in report.html
    assert "--operation-insert-order: #fedcba" in report.html
    assert "#123456" in report.charts["rates.svg"]


def test_a_run_that_only_just_began_is_reported(tmp_path: Path) -> None:
    """A record that holds next to nothing makes a report that says so, and no picture."""
    record = RunRecord.create(tmp_path, "bare")
    record.begin(Run())
    report = write_report(record.path, START)
    page_of(report.report.html)
    assert report.charts == ()
    assert "charts/" not in report.report.markdown


def test_rate_changes_are_told(tmp_path: Path) -> None:
    """From what, to what and by which way; numbered as in the charts."""
    event = {
        "at": START + timedelta(seconds=90),
        "kind": "rate_change",
        "rates_per_hour": {"insert_order": {"from": 36000.0, "to": 50.0}},
        "by": "page",
    }
    page = page_of(written(tmp_path, Made(seconds=120), journal=[event]).report.html)
    assert page.row("journal", "1") == [
        "2026-11-23 08:01:30 UTC",
        "90 s",
        "Rate change",
        "rates_per_hour: insert_order 36,000 to 50; by: page",
    ]


def test_a_journal_of_thousands_is_shown_at_both_ends(tmp_path: Path) -> None:
    """The page stays small, and says how many events it does not show."""
    events = [
        {"at": START + timedelta(seconds=n / 100), "kind": "copy_went_back", "tool": f"t{n}"}
        for n in range(5000)
    ]
    report = written(tmp_path, Made(seconds=60), journal=events, journal_left_out=7)
    html = report.html.read_text(encoding="utf-8")
    assert len(html) < 1_000_000
    page = page_of(html)
    assert page.row("journal", "100")[2] == page.row("journal", "4901")[2] == "Copy went back"
    shown = report.markdown.read_text(encoding="utf-8")
    assert "4,800 more" in shown
    assert "7 more" in shown
    assert "4,900 more" in shown  # of what went back
    assert "t2500" not in shown


def test_a_report_written_again_leaves_no_picture_of_the_last(tmp_path: Path) -> None:
    """Outdated charts are removed; other people's files stay."""
    report = written(tmp_path, OUTAGE)
    charts = report.html.parent / "charts"
    (charts / "own.svg").write_text("mine", encoding="utf-8")
    (report.html.parent / "samples.csv").unlink()
    again = write_report(report.html.parent, START)
    assert again.charts == ()
    assert [file.name for file in charts.iterdir()] == ["own.svg"]


def test_two_days_fit_into_a_page(tmp_path: Path) -> None:
    """A record of 48 hours makes less than 5 MB, and shows an outage of twenty seconds."""
    made = Made(seconds=48 * 3600, every=10, outage=(60_000, 60_020))
    report = written(tmp_path, made)
    assert report.html.stat().st_size < 5_000_000
    assert report.facts.samples == 17_280
    assert report.facts.standstill.seconds == 20.0
