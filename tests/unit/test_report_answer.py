"""The report's answer: which tool, why, and whether its figures can be trusted."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest

from loadgen.config.decision import BUILT_IN, Rules
from loadgen.errors import RecordError
from loadgen.record.costs import Costs, PricedMonth, Projection, Total, not_priced
from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample, SlotSample
from loadgen.record.run import Run
from loadgen.record.verify import Finding, InitialSync, TableOutcome, ToolVerification, Verification
from loadgen.report.analysis.answer import RunAnswer, answer_of
from loadgen.report.analysis.compare import Control
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.analysis.hypothesis import hypothesis_of
from loadgen.report.analysis.impact import Impact
from loadgen.report.analysis.local_use import LocalUse
from loadgen.report.analysis.run import Facts, facts_of
from loadgen.report.analysis.tool_answer import Study, month_text
from loadgen.report.analysis.tool_summary import (
    INFRASTRUCTURE_CARD,
    Correctness,
    ToolCost,
    ToolSummary,
)
from loadgen.report.analysis.verdict import judge
from loadgen.report.folder import ReportOptions, Written, write_report
from tests.records import START, Made, marker, write_run

MONTH = PricedMonth(
    card="five",
    vendor="Five (once Four)",
    plan="Standard",
    former=False,
    amount=Decimal("717.20"),
    least=Decimal("717.20"),
    most=Decimal("717.20"),
    low=Decimal(509),
    high=Decimal(1114),
    per_million_changes=None,
    per_million_rows=None,
    grade="P",
    as_of=date(2026, 9, 14),
)
MACHINES = MONTH.model_copy(
    update={"card": "simplyload", "vendor": "SimplyLoad", "amount": Decimal(21)}
)
LOST = Correctness(
    "wrong", 27_849, {"missing": 13, "not_deleted": 11}, 0,
    example=Finding("hard_cases", "2", None, "missing", "there", None),
)  # fmt: skip


def cost(month: PricedMonth) -> ToolCost:
    """Return the cost of a tool with a price for a month."""
    nothing = Total(Decimal(0), 0, Decimal(0))
    return ToolCost(nothing, None, None, {"list": nothing}, "", None, priced_month=month)


def tool(name: str, copy: Correctness | None = None, seconds: float = 0.1) -> ToolSummary:
    """Return a tool with thirty deliveries."""
    copy = copy or Correctness("right", 27_849, {}, 0)
    return ToolSummary(name, copy, Deliveries([marker(k, seconds) for k in range(30)]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Return a run that kept up."""
    path = write_run(tmp_path_factory.mktemp("reports"), Made())
    return facts_of(Run.of(path), Sample.read(path))


def answer(run: Facts, *tools: ToolSummary, rules: Rules = BUILT_IN) -> RunAnswer:
    """Return the answer on these tools."""
    return answer_of(run, judge(run), Study(tools, rules))


def facts_by_label(answer: RunAnswer, name: str) -> Mapping[str, str]:
    """Return a tool's facts by their labels."""
    (found,) = [each for each in answer.tools if each.name == name]
    return {fact.label: fact.text for fact in found.facts}


def test_the_right_tool_is_named_and_the_wrong_one_with_its_reason(run: Facts) -> None:
    """The best comes first, with counts, an example and the limit that was missed."""
    found = answer(run, tool("dlt", LOST, 3.0), tool("replication"))
    assert (found.level, found.headline) == ("good", "Take replication")
    assert "Not dlt: 24 rows of 27,849 are wrong" in found.sentence
    assert [(each.name, each.word, each.level) for each in found.tools] == [
        ("replication", "GO", "good"),
        ("dlt", "NO-GO", "bad"),
    ]
    assert facts_by_label(found, "replication")["correct"] == "all 27,849 rows match"
    wrong = facts_by_label(found, "dlt")
    assert wrong["wrong"] == (
        "24 rows of 27,849: 13 missing, 11 not deleted (example: hard_cases 2, missing)"
    )
    assert wrong["fresh"] == "3 s median, 3 s p95"
    assert wrong["limit"] == "wrong rows 24, limit 0"


def test_a_tool_that_lost_rows_is_never_under_a_green_headline(run: Facts) -> None:
    """Unless another one is a go, which the headline then names."""
    alone = answer(run, tool("dlt", LOST))
    assert (alone.level, alone.headline) == ("bad", "Do not take dlt")
    both = answer(run, tool("dlt", LOST), tool("late", Correctness("late", 9, {}, 0, {"stale": 2})))
    assert (both.level, both.headline) == ("warn", "Undecided: late")


@pytest.mark.parametrize(
    ("copy", "label", "text"),
    [
        (Correctness("late", 9, {}, 0, {"stale": 2}), "late", "2 stale of 9 rows, not due yet"),
        (Correctness("not checked", 0, {}, 0, problem="no table"), "correct",
         "not checked: no table"),
        (Correctness("lossy", 9, {"lossy": 4}, 0), "correct",
         "all 9 rows match, except 4 values declared lossy"),
        (Correctness("did not converge", 9, {"stale": 1}, 0), "wrong", "1 row of 9: 1 stale"),
    ],
)  # fmt: skip
def test_each_verdict_has_its_words(run: Facts, copy: Correctness, label: str, text: str) -> None:
    """A copy that is late or was not checked is neither wrong nor right."""
    assert facts_by_label(answer(run, tool("one", copy)), "one")[label] == text


def test_what_was_not_measured_leaves_a_tool_undecided(run: Facts) -> None:
    """The reader's limit on freshness can't be checked with few deliveries."""
    rules = Rules(no_go={"wrong_rows": 0, "freshness_p95_seconds": 60}, file="decision.toml")
    few = ToolSummary("one", tool("one").correctness, Deliveries([marker(1, 0.5)]))
    found = answer(run, few, rules=rules)
    assert (found.level, found.headline) == ("warn", "Undecided: one")
    assert facts_by_label(found, "one")["open"] == "freshness p95 not measured"
    assert found.sentence == "Undecided on one: freshness p95 not measured."


def test_the_score_is_the_reader_s_and_names_what_it_lacks(run: Facts) -> None:
    """Among two that can be taken, the headline names the better one."""
    rules = Rules(
        weights={"freshness": 2, "ux": 1},
        ten_points={"freshness_p95_seconds": 0},
        no_points={"freshness_p95_seconds": 10},
        no_go={"wrong_rows": 0},
        file="decision.toml",
    )
    found = answer(run, tool("slow", seconds=5.0), tool("quick", seconds=1.0), rules=rules)
    assert found.headline == "Take quick"
    assert found.sentence.endswith(
        "slow is a GO too: half the changes arrive within 5 s, 95% within 5 s."
    )
    assert found.score == "quick 9.0 of 10, slow 5.0 of 10; without UX"
    assert answer(run, tool("a"), tool("b")).headline == "Take a or b"


def test_by_figures_that_can_t_be_trusted_nothing_is_taken(run: Facts) -> None:
    """The reason is the headline; a copy with wrong rows stays a no-go."""
    broken = replace(run, broken=3)
    found = answer(broken, tool("good"), tool("dlt", LOST))
    assert not found.trusted
    assert (found.level, found.headline) == ("bad", "These numbers can't be relied on")
    assert [each.word for each in found.tools] == ["UNDECIDED", "NO-GO"]
    assert next(iter(found.lines())) == found.headline


def test_a_missed_threshold_is_no_reason_for_distrust(tmp_path: Path) -> None:
    """But no headline is green above it."""
    path = write_run(tmp_path, Made(seconds=300, outage=(100, 130)))
    outage = facts_of(Run.of(path), Sample.read(path))
    found = answer(outage, tool("good"))
    assert found.trusted
    assert (found.level, found.headline) == ("warn", "Take good")
    assert "the source took no write" in found.caveats[0].text
    alone = answer(outage)
    assert alone.headline.startswith("The source took 31.8 writes a second, but for 30 s")


def test_without_tools_the_source_is_the_subject(run: Facts) -> None:
    """Rate, latency, WAL and processor time are the load's figures."""
    impact = Impact(0.004, 0.005, 2048.0, 1.5)
    found = answer_of(run, judge(run), Study(impact=impact))
    assert found.headline == "The source kept up with 35.2 writes a second, 95% of them within 4 ms"
    shown = {fact.label: fact.text for fact in found.facts}
    assert shown["rate"] == "35.2 writes a second, as planned: 2,112 writes in 60 s"
    assert shown["WAL"] == "2 KiB a write, 5.8 GiB a day at this rate"
    assert shown["CPU"] == "1.5 s per 1,000 writes"
    caveats = {caveat.label: caveat.text for caveat in found.caveats}
    assert caveats["tools"].startswith("none was tested")
    assert caveats["prices"] == "not known; for list prices, run loadgen costs"
    assert found.sentence.endswith(
        "so this run does not say which to take, what it costs or how old a copy is."
    )


def test_a_local_tool_has_what_it_uses_instead_of_a_price(run: Facts) -> None:
    """And the report names the cheapest vendor for the same load."""
    none = ToolCost(
        Total(Decimal(0), 1, None), None, None, {}, "", None,
        why_not_priced="not priced: it runs here",
    )  # fmt: skip
    use = LocalUse(cpu_seconds=8.4, seconds=60, resident_bytes=100 * 2**20)
    costs = Costs(made_at=START, lines=(), projection=Projection(months=(MONTH,)))
    study = Study((replace(tool("here"), cost=none),), use={"here": use}, costs=costs)
    found = answer_of(run, judge(run), study)
    assert facts_by_label(found, "here")["cost"] == (
        "not priced: it runs here, on 14% of a processor and 100 MiB of memory"
    )
    assert found.sentence.endswith(
        "It has no vendor's price; for comparison, the lowest list price of a vendor for this "
        "load is $717 a month (Five), which was not tested."
    )
    machines = MONTH.model_copy(update={"card": INFRASTRUCTURE_CARD})
    own = replace(tool("own"), cost=replace(none, priced_month=machines))
    found = answer_of(run, judge(run), replace(study, tools=(*study.tools, own)))
    assert "Neither tool has a vendor's price" in found.sentence


def test_prices_have_a_band_a_grade_and_a_date(run: Facts) -> None:
    """A missing price comes with its reason."""
    assert month_text(MONTH) == "$717 a month ($509 to $1,114; grade P, 2026-09-14)"
    part = MONTH.model_copy(update={"amount": None, "least": Decimal(500), "most": Decimal(900)})
    assert month_text(part) == (
        "$500 to $900 a month: part of it is not priced (grade P, 2026-09-14)"
    )
    none = ToolCost(
        Total(Decimal(0), 1, None), None, None, {}, "", None,
        why_not_priced="not priced: it runs here",
    )  # fmt: skip
    shown = answer(run, replace(tool("here"), cost=none), tool("unknown"))
    assert facts_by_label(shown, "here")["cost"] == "not priced: it runs here"
    assert facts_by_label(shown, "unknown")["cost"].startswith("not priced")


def test_the_only_tool_is_compared_with_the_control(run: Facts) -> None:
    """Of several, each one's share of the source's latency is not known."""
    control = Control("alone", Impact(0.004, None, None, None), ())
    impact = Impact(0.005, None, None, None)
    study = Study((tool("one"),), wal_kept={"one": 1_258_291}, control=control, impact=impact)
    shown = facts_by_label(answer_of(run, judge(run), study), "one")
    assert shown["source"] == "+25% service p95, 1.2 MiB of WAL kept"
    two = replace(study, tools=(tool("one"), tool("two")), wal_kept={"one": None})
    found = answer_of(run, judge(run), two)
    assert facts_by_label(found, "one")["source"] == "no slot, keeps no WAL"
    assert "source" not in facts_by_label(found, "two")
    caveats = {caveat.label: caveat.text for caveat in found.caveats}
    assert caveats["source"] == (
        "writes with all tools: +25% service p95 against run alone without tools"
    )


def test_the_hypothesis_is_only_judged_where_simplyload_ran() -> None:
    """Cheaper is never shown by its machines' price alone; dearer is."""
    own, rival = (
        replace(tool("ours"), cost=cost(MACHINES)),
        replace(tool("five", seconds=3.0), cost=cost(MONTH)),
    )
    found = hypothesis_of(Study((own, rival), kinds={"ours": "simplyload", "five": "fivetran"}))
    assert found is not None
    rulings = {row[0]: row[1] for row in found.answers.rows}
    assert rulings == {"correct?": "for", "fresher?": "for", "cheaper?": "open"}
    dear = replace(own, cost=cost(MACHINES.model_copy(update={"amount": Decimal(900)})))
    found = hypothesis_of(Study((dear, rival)))
    assert found is not None
    assert [row[1] for row in found.answers.rows] == ["for", "for", "against"]
    assert hypothesis_of(Study((rival,))) is None


@pytest.fixture
def two_tools(tmp_path: Path) -> Written:
    """Return the report of a run with two tools, one of which lost rows."""
    path = write_run(tmp_path, Made())
    right = ToolVerification(
        verdict="right", totals={}, in_flight=0, tables={"orders": TableOutcome(27_849, 27_849)},
        problems=(), findings=(),
    )  # fmt: skip
    lost = right.model_copy(
        update={"verdict": "wrong", "totals": LOST.findings, "findings": (LOST.example,)}
    )
    Verification(tools={"replication": right, "dlt": lost}).write(path)
    record = RunRecord.open(path)
    record.append([
        marker(k, seconds, tool=name)
        for name, seconds in (("replication", 0.09), ("dlt", 3.2))
        for k in range(30)
    ])  # fmt: skip
    record.append([
        SlotSample(
            START + timedelta(seconds=at), "loadgen_replication", active=True,
            wal_status="reserved", retained_bytes=kept, confirmed_lag_bytes=0,
            safe_wal_bytes=None, wal_bytes_total=10**9,
        )
        for at, kept in ((1, 1000), (50, 1_258_291))
    ])  # fmt: skip
    lines = [
        not_priced(name, "customer", "machine", "it runs here") for name in ("replication", "dlt")
    ]
    Costs(made_at=START, lines=tuple(lines), projection=Projection(months=(MONTH,))).write(path)
    rules = Rules(
        weights={"correctness": 1}, ten_points={"wrong_rows": 0}, no_points={"wrong_rows": 30},
        no_go={"wrong_rows": 0}, file="decision.toml",
    )  # fmt: skip
    slots = {"replication": "loadgen_replication", "dlt": None}
    into = {"replication": "postgres", "dlt": "duckdb"}
    return write_report(path, START, ReportOptions(rules=rules, slots=slots, destinations=into))


FIRST_SCREEN = """\
SimplyLoad Playground, run 20261123T080000Z-0001
Take replication
All 27,849 rows match. Half the changes arrive within 90 ms, 95% within 90 ms. Not dlt: 24 rows of \
27,849 are wrong: 13 missing, 11 not deleted. Neither tool has a vendor's price; for \
comparison, the lowest list price of a vendor for this load is $717 a month (Five), which was not \
tested.
shop workload, 35.2 writes a second for 60 s, steady profile, 2026-11-23 07:59:59 UTC
trusted yes: the load committed all 2,112 planned writes. None failed or was skipped, and the \
tables confirm the count.
length one run of 60 s, 2,112 writes: too short for checkpoints, vacuum and daily peaks
replication into Postgres GO
correct all 27,849 rows match
fresh at most 90 ms median, 90 ms p95
cost not priced: it runs here
source 1.2 MiB of WAL kept
dlt into DuckDB NO-GO
wrong 24 rows of 27,849: 13 missing, 11 not deleted (example: hard_cases 2, missing)
fresh 3.2 s median, 3.2 s p95
cost not priced: it runs here
source no slot, keeps no WAL
limit wrong rows 24, limit 0
Score by the weights of decision.toml replication 10.0 of 10, dlt 2.0 of 10 (over a limit)
Before you decide
prices no vendor's tool ran; the lowest list price for this load is $717 a month (Five); list \
prices of 2026-09-14, no quotes
limits decision.toml: wrong rows at most 0
unknown what the tools add to the source's load (no run without tools); queries on the copy, the \
network to a vendor, people's work"""


def test_the_first_screen(two_tools: Written) -> None:
    """Which tool, why not the other, how much, how old, and whether to trust it."""
    first = two_tools.report.html.partition("<header>")[2].partition("<nav")[0]
    lines = re.split(r"</(?:p|h1|h2|dd|div)>\s*", first)
    plain = [" ".join(unescape(re.sub(r"<[^>]+>", " ", line)).split()) for line in lines]
    assert "\n".join(line for line in plain if line) == FIRST_SCREEN


def test_an_invalid_run_is_no_control(tmp_path: Path) -> None:
    """Figures that can't be relied on are no measure of what tools add."""
    folder, control = write_run(tmp_path / "with", Made()), write_run(tmp_path / "without", Made())
    run = Run.of(control)
    run.valid, run.invalid_reason = False, "rows were added by others"
    run.write(control)
    with pytest.raises(RecordError, match="is invalid: rows were added by others"):
        write_report(folder, START, ReportOptions(control=control))


def test_the_matrix_and_its_limits_are_in_the_report(two_tools: Written) -> None:
    """The matrix is as in RESULTS.md, without the rows that are not filled in."""
    for text in (two_tools.report.html, two_tools.report.markdown):
        assert "Decision matrix" in text
        assert "no-go: wrong rows 24, limit 0" in text
        assert "Set-up time" not in text
        assert "loadgen |" not in text
    assert set(two_tools.report.charts) >= {"freshness.svg", "prices.svg", "slots.svg"}


def test_each_table_is_a_region_that_a_keyboard_can_scroll(two_tools: Written) -> None:
    """With a distinct name, and a shade at an edge beyond which there is more."""
    html = two_tools.report.html
    regions = re.findall(r'<div class="scroll"([^>]*)>', html)
    assert len(regions) > 5
    for attributes in regions:
        assert 'tabindex="0" role="region"' in attributes
        assert re.search(r'aria-label="[A-Z][^"]+"', attributes)
    assert len({*regions}) == len(regions)
    assert "no-repeat scroll" in html.partition("</style>")[0]


def test_first_copies_are_a_chart(tmp_path: Path) -> None:
    """In rows a second, the fastest first; on the page and as a file."""
    path = write_run(tmp_path, Made())
    tools = {
        name: ToolVerification(
            verdict="right", totals={}, in_flight=0, tables={}, problems=(), findings=(),
            initial_sync=InitialSync(START, START + timedelta(seconds=seconds), 26_000),
        )
        for name, seconds in (("slow", 20), ("fast", 2))
    }  # fmt: skip
    Verification(tools=tools).write(path)
    written = write_report(path, START, ReportOptions())
    assert "first_copy.svg" in written.report.charts
    chart = written.report.charts["first_copy.svg"]
    assert chart.index(">fast<") < chart.index(">slow<")
    assert "13,000 a second (26,000 rows in 2 s)" in chart
    assert written.report.html.count("How fast each first copy was") >= 2  # wide and narrow
