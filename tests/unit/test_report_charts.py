"""Charts as SVG: valid, themed, with text as text, and true to the data."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample
from loadgen.record.run import Run
from loadgen.report.analysis.intervals import Span
from loadgen.report.analysis.run import facts_of
from loadgen.report.charts import load
from loadgen.report.charts.load import ChartList, ChartTitle, Mark, TimeAxis, charts
from loadgen.report.charts.palette import of_operations
from loadgen.report.charts.svg import Drawing, sheet
from loadgen.workload.operations import operation_facts
from tests.plans import SHOP
from tests.records import RATES, START, Made, write_run

SVG = "{http://www.w3.org/2000/svg}"


def drawn(reports: Path, made: Made) -> ChartList:
    """Return the charts of a made-up run."""
    path = write_run(reports, made)
    return charts(facts_of(Run.of(path), Sample.read(path)))


def texts(svg: str) -> list[str]:
    """Return all text of a drawing; raises if it is not well formed."""
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def some_spans(seconds: int = 60, **changed: object) -> list[Span]:
    """Return equal spans of a second each, with the given fields changed."""
    span = Span(0, 1, 10, 10, 10, 10, 10, 0.001, 0.002, 0.001, 0.002, 0, 0)
    span = replace(span, **changed)  # type: ignore[arg-type]
    return [replace(span, begin=i, end=i + 1) for i in range(seconds)]


def test_a_run_with_an_outage_has_all_charts(tmp_path: Path) -> None:
    """Each operation has charts of rate and latency, and of undone arrivals if there are any."""
    found = drawn(tmp_path, Made(seconds=300, outage=(100, 130), refused_every=100))
    assert [d.name for d in found.rates] == [f"rate-{name}" for name in RATES]
    assert [d.name for d in found.latency] == [f"latency-{name}" for name in RATES]
    assert [d.name for d in found.unwritten] == [f"undone-{name}" for name in RATES]
    assert list(found.files()) == ["rates", "latency", "undone"]


def test_where_nothing_went_wrong_nothing_is_drawn_of_it(tmp_path: Path) -> None:
    """A chart of zeros says nothing that a sentence does not say better."""
    found = drawn(tmp_path, Made())
    assert found.unwritten == ()
    assert list(found.files()) == ["rates", "latency"]


def test_the_sentence_says_what_is_to_be_seen(tmp_path: Path) -> None:
    """Titles are sentences, and their figures are the record's."""
    found = drawn(tmp_path, Made(seconds=300, outage=(100, 130), refused_every=100))
    assert found.rates[0].description == (
        "New orders: 89.33% of 3,000 arrivals were committed; 9.67% skipped, 1.00% failed."
    )
    assert found.latency[0].description == (
        "New orders: 95% of writes took 3.1 ms from sending, 4.65 ms from their due time."
    )
    assert found.unwritten[1].description == "New events: 580 skipped, within 29 s of the run."
    assert found.unwritten[3].description == "Soft deletes: 6 skipped, within 6 s of the run."


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [(60.0, "The one arrival was committed."), (1800.0, "All 30 arrivals were committed.")],
)
def test_few_arrivals_are_told_in_words(rate: float, sentence: str, tmp_path: Path) -> None:
    """One arrival or a few get a natural sentence, and are drawn one by one."""
    found = drawn(tmp_path, Made(rates=RATES | {"soft_delete_user": rate}))
    last = found.rates[-1]
    assert last.description == f"Soft deletes: {sentence}"
    assert "arrivals so far" in texts(last.inline())
    assert "arrivals so far" not in texts(found.rates[0].inline())


@pytest.mark.parametrize("rate", [0.0, 30.0])
def test_an_operation_of_which_nothing_was_due_is_not_drawn(rate: float, tmp_path: Path) -> None:
    """At no rate, or at one too low for the run's length, an empty chart would say nothing."""
    found = drawn(tmp_path, Made(rates=RATES | {"soft_delete_user": rate}))
    assert [d.name for d in found.rates] == [f"rate-{name}" for name in list(RATES)[:3]]


def test_a_run_without_an_end_shows_latency_by_sample(tmp_path: Path) -> None:
    """Quantiles of the whole run are only known at its end."""
    found = drawn(tmp_path, Made(ended=False))
    assert found.latency[0].description.endswith("p95 of each sample; the run has no end yet.")


def test_a_run_without_commits_has_no_latency(tmp_path: Path) -> None:
    """If the source took no writes there is nothing to time."""
    assert drawn(tmp_path, Made(outage=(0, 60))).latency == ()


def test_a_run_without_samples_has_no_charts(tmp_path: Path) -> None:
    """A run killed in its first second is reported in words."""
    record = RunRecord.create(tmp_path, "bare")
    record.begin(Run.model_validate({"settings": {"orders_per_hour": 50.0}}))
    found = charts(facts_of(Run.of(record.path), []))
    assert found.files() == {}


def test_the_journal_is_marked_by_number(tmp_path: Path) -> None:
    """A rate change shows in each chart at its moment, with its number in the journal."""
    path = write_run(tmp_path, Made(seconds=60))
    record = RunRecord.open(path)
    record.journal("rate_change", START + timedelta(seconds=20))
    record.journal("pause", START + timedelta(hours=1))
    found = charts(facts_of(Run.of(path), Sample.read(path)))
    assert texts(found.rates[0].inline()).count("1") == 1
    assert "2" not in texts(found.rates[0].inline())


def title_of(operation: str, sentence: str) -> ChartTitle:
    """Return the title of a chart in a run of the shop."""
    shop = operation_facts(SHOP)
    label = shop[operation].label if operation in shop else operation
    return ChartTitle(operation, label, sentence, of_operations(shop))


def test_many_marks_have_no_numbers() -> None:
    """A dozen numbers can be read, a hundred can't."""
    many = TimeAxis(60, tuple(Mark(i / 2, f"no{i}") for i in range(100)))
    svg = load.draw_rates(title_of("insert_order", "Says."), some_spans(), many).inline()
    assert not [text for text in texts(svg) if text.startswith("no")]


def test_colors_follow_the_page() -> None:
    """In a page each colour is a variable; no light colour is left that dark can't change."""
    drawing = load.draw_rates(title_of("insert_order", "Says."), some_spans(), TimeAxis(60))
    inline = drawing.inline()
    assert "var(--operation-insert-order)" in inline
    assert "var(--muted)" in inline
    assert set(re.findall(r"#[0-9a-f]{6}\b", inline)) <= set()
    assert all("fill: var(--" in tag for tag in re.findall(r"<text [^>]*>", inline))


def test_a_file_of_its_own_is_dark_where_dark_is_preferred() -> None:
    """It carries its paper, and a rule for each of its colours."""
    drawing = load.draw_rates(title_of("insert_order", "Says."), some_spans(), TimeAxis(60))
    alone = sheet([drawing, drawing, drawing])
    root = ET.fromstring(alone)  # noqa: S314
    assert (root.get("width"), root.get("height")) == ("728", "540")
    used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", drawing.body))
    assert used
    assert used <= set(drawing.palette.light.values())
    assert "@media (prefers-color-scheme: dark)" in alone
    for name, color in drawing.palette.light.items():
        dark = drawing.palette.dark[name]
        assert f'[style*="fill: {color}"] {{ fill: {dark} !important; }}' in alone


def test_text_stays_text_in_the_pages_font() -> None:
    """Letters are not turned into outlines, and no font is set."""
    drawing = load.draw_rates(title_of("insert_order", "All is well."), some_spans(), TimeAxis(60))
    assert {"New orders", "All is well.", "per second", "seconds", "committed"} <= set(
        texts(drawing.inline())
    )
    assert "font-family" not in drawing.inline()


def test_no_two_drawings_share_an_id(tmp_path: Path) -> None:
    """All drawings are in one page, so each id must be unique."""
    found = drawn(tmp_path, Made(seconds=300, outage=(100, 130), refused_every=100))
    page = "".join(d.inline() for group in found.files().values() for d in group)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page))
    assert {a or b for a, b in referred} <= set(ids)


def test_the_same_run_is_drawn_the_same(tmp_path: Path) -> None:
    """Nothing of the moment or of chance gets into a drawing."""
    made = Made(seconds=60)
    assert drawn(tmp_path / "a", made) == drawn(tmp_path / "b", made)


def test_names_are_text_and_not_markup() -> None:
    """An operation's name may hold any sign; none of it becomes markup or mathematics."""
    name = '<b>&"$x_1$'
    drawing = load.draw_rates(title_of(name, "$a$ < b & c"), some_spans(), TimeAxis(60))
    assert {name, "$a$ < b & c"} <= set(texts(drawing.inline()))
    assert ET.fromstring(drawing.inline()).get("aria-label") == f"{name}: $a$ < b & c"  # noqa: S314


def test_latencies_share_one_scale() -> None:
    """The least and the greatest of all charts bound each; without any there is no chart."""
    quick = some_spans(service=0.001, worst_intended=0.2)
    slow = some_spans(service=0.004, worst_intended=3.0)
    assert load.latency_limits([quick, slow]) == (0.001, 3.0)
    blank = some_spans(service=None, worst_service=None, intended=None, worst_intended=None)
    assert load.latency_limits([blank]) is None


@pytest.mark.parametrize(
    ("limits", "ticks"),
    [
        ((0.001, 2.0), {"1 ms", "10 ms", "100 ms", "1 s"}),
        ((0.001, 0.02), {"1 ms", "3 ms", "10 ms"}),
        ((0.001, 0.002), {"1 ms", "2 ms"}),
    ],
)
def test_latency_ticks_carry_their_unit(limits: tuple[float, float], ticks: set[str]) -> None:
    """A logarithmic axis is readable only if its ticks have units."""
    head = title_of("insert_order", "Says.")
    drawing = load.draw_latency(head, some_spans(), TimeAxis(60), limits)
    assert ticks <= set(texts(drawing.inline()))


def test_a_latency_without_neighbours_is_a_dot() -> None:
    """At one write an hour most spans are empty; a line would show nothing at all."""
    lonely = some_spans(160)
    blank = {"service": None, "intended": None, "worst_service": None, "worst_intended": None}
    sparse = [
        span if i % 3 == 0 else replace(span, **blank)  # type: ignore[arg-type]
        for i, span in enumerate(lonely)
    ]
    head, dot = (
        title_of("soft_delete_user", "Says."),
        re.compile(r'<use [^>]*style="fill: #\w{6}"/>'),
    )
    for spans, dots in ((sparse, 2 * 54), (lonely, 0)):
        drawing = load.draw_latency(head, spans, TimeAxis(160), (0.001, 0.002))
        assert len(dot.findall(drawing.body)) == dots


@pytest.mark.parametrize(
    ("length", "unit", "tick"),
    [(14, "seconds", "10"), (600, "minutes", "10"), (48 * 3600, "hours", "48"),
     (30 * 86400, "hours", "720")],
)  # fmt: skip
def test_time_has_the_unit_that_suits_it(length: float, unit: str, tick: str) -> None:
    """Seconds, minutes or hours since the start, in steps that people count in."""
    spans = [replace(span, end=length) for span in some_spans(1)]
    found = texts(load.draw_rates(title_of("insert_order", "S."), spans, TimeAxis(length)).inline())
    assert {unit, tick} <= set(found)


@pytest.mark.parametrize(
    ("per_second", "unit"), [(10, "per second"), (0.2, "per minute"), (0.0139, "per hour")]
)
def test_rates_have_the_unit_that_suits_them(per_second: float, unit: str) -> None:
    """Fifty an hour is a number; 0.0139 a second is a riddle."""
    assert load.rate_unit(per_second)[1] == unit


@given(heights=st.lists(st.floats(0, 1), min_size=1, max_size=4).map(sorted))
def test_names_at_the_ends_of_lines_never_overlap(heights: Sequence[float]) -> None:
    """They keep a gap and stay within the axes, wherever the lines end."""
    placed = load._apart(heights)
    assert all(b - a > 0.08 for a, b in pairwise(placed))
    assert placed[0] >= 0.02
    assert placed[-1] <= 1.001


def test_a_drawing_keeps_to_its_names(tmp_path: Path) -> None:
    """An operation's drawing has the operation's name."""
    drawing = drawn(tmp_path, Made(seconds=5)).rates[0]
    assert isinstance(drawing, Drawing)
    assert drawing.name == "rate-insert_order"
