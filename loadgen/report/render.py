"""A run's report as HTML and as Markdown, from the same verdict, tables and charts.

Every value is escaped when it is put in, in HTML by Jinja's autoescape, in Markdown by the
environment's last step. Pure: the moment of writing is an argument.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadgen import __version__, text
from loadgen.config.settings import dashboard_link
from loadgen.errors import printable
from loadgen.record.run import Run
from loadgen.record.verdict import TOLERANCE
from loadgen.record.verify import InitialSync
from loadgen.report.analysis.answer import RunAnswer, answer_of, rate_text
from loadgen.report.analysis.hypothesis import hypothesis_of
from loadgen.report.analysis.impact import impact_of
from loadgen.report.analysis.run import Facts
from loadgen.report.analysis.tool_answer import Study
from loadgen.report.analysis.verdict import Verdict
from loadgen.report.charts import freshness, levels, palette, svg
from loadgen.report.charts.first_copy import FIRST_COPY_WIDTHS, draw_first_copies
from loadgen.report.charts.freshness import AgeSeries, draw_freshness
from loadgen.report.charts.levels import Chart, Series, draw_levels
from loadgen.report.charts.load import charts
from loadgen.report.charts.prices import PRICE_WIDTHS, draw_prices, price_rows
from loadgen.report.charts.svg import Drawing
from loadgen.report.decision_matrix import LIMITS_NOTE, SCORE_NOTE, decision_tables
from loadgen.report.markdown import escaped, markdown_table
from loadgen.report.tables import load
from loadgen.report.tables.abilities import abilities_of
from loadgen.report.tables.consistency import source_control, torn_reads
from loadgen.report.tables.costs import cost_section
from loadgen.report.tables.tools import Copies
from loadgen.text import Table

CHART_FILES = (
    "rates.svg", "latency.svg", "undone.svg", "costs.svg", "freshness.svg", "slots.svg",
    "tool_cpu.svg", "tool_memory.svg", "prices.svg", "first_copy.svg",
    "torn.svg",
)  # fmt: skip
_METHOD = (
    """The schedule decides when each arrival is due; nothing else does. A write counts as committed
    once the source has answered its commit, and is never sent twice. At each sample, offered =
    committed + failed + skipped + unknown + in flight holds exactly, for each operation.""",
    f"""The generator kept up if each operation's offered arrivals lie within
    {TOLERANCE:.1%} (or one arrival; with Poisson arrivals, what chance allows) of those planned,
    and no limit on skipped arrivals was missed. Arrivals skipped while the source took no write, or
    while the load was killed, do not count against it, but the limit is still missed.""",
    """A second counts as the generator's own fault if a process of the load gave an arrival late to
    a connection that was idle, or if arrivals waited while a process was busy, or waiting for a
    processor, all the time. Waiting for a busy source is not its fault.""",
    """Quantiles come from histograms whose buckets are 2.2% wide, and are never too low. All rules
    are in docs/method.md of the project.""",
)
_MISSING_COPIES = (
    "Nothing is known of a tool's copy: name the tools in tools.toml, run loadgen watch during the "
    "load and loadgen verify after it."
)
_MISSING_COSTS = "Costs are not in this report: run loadgen costs, then loadgen report."
_MISSING_CONTROL = (
    "The tools' impact on the source is not separated from the load's: run the same load without "
    "tools, then loadgen report --control RUN."
)
_NEVER_MEASURED = (
    "No run measures reads of the source, queries and models on the destination, the path between "
    "a vendor's service and either end, or the work of people. Freshness is measured on the "
    "markers' table alone."
)
_BLANK_LINES = re.compile(r"\n{3,}")
_MARKS = {"good": "ok", "warn": "note", "bad": "problem"}


@dataclass(frozen=True, slots=True)
class Report:
    """A run's report in both forms, and the files that the Markdown one shows."""

    html: str
    markdown: str
    charts: Mapping[str, str]
    verdict: Verdict
    answer: RunAnswer


@dataclass(frozen=True, slots=True)
class ReportContext:
    """The study of the tools under test, their copies, and the series of their charts."""

    study: Study
    copies: Copies
    resyncs: Table
    first_copies: Mapping[str, InitialSync]
    ages: Mapping[str, AgeSeries] = field(default_factory=dict)
    levels: Mapping[Chart, Mapping[str, Series]] = field(default_factory=dict)


def render(facts: Facts, written_at: datetime, verdict: Verdict, context: ReportContext) -> Report:
    """Return the report of a run and of its tools."""
    study = context.study
    drawn, control, tools = charts(facts), study.control, study.tools
    impact = study.impact or impact_of(facts.run)
    names = [tool.name for tool in tools]
    costs = None if study.costs is None else cost_section(study.costs, names)
    answer = answer_of(facts, verdict, study)
    tool_charts, colors = _tool_charts(context), palette.of_operations(facts.workload)
    variables = {
        "run": facts.run,
        "facts": facts,
        "verdict": verdict,
        "marks": _MARKS,
        "about": _about(facts),
        "grafana": _grafana_link(facts.run),
        "answer": answer,
        "weights": study.rules.file,
        "tools": tools,
        "decision": decision_tables(study, trusted=verdict.trusted) if tools else None,
        "score_note": SCORE_NOTE,
        "limits_note": LIMITS_NOTE,
        "hypothesis": hypothesis_of(study),
        "costs": costs,
        "copies": context.copies,
        "torn_reads": torn_reads(study.reads, study.runners),
        "abilities": abilities_of(study),
        "source_control": source_control(study.reads),
        "resyncs": context.resyncs,
        "tool_charts": tool_charts,
        "control": control,
        "charts": drawn,
        "thresholds": load.thresholds(facts, verdict.judgement),
        "impact": load.impact(impact, control.impact if control else None),
        "planned": load.planned(facts),
        "settings": load.settings(facts, names),
        "outcomes": load.outcomes(facts),
        "latency": load.latency(facts),
        "failures": load.failures(facts),
        "row_counts": load.row_counts(facts),
        "journal": load.journal(facts),
        "environment": load.environment(facts.run),
        "method": [" ".join(paragraph.split()) for paragraph in _METHOD],
        "missing": _missing(study, context.copies),
        "written_at": text.moment(written_at),
        "version": __version__,
        "light": palette.variables(palette.LIGHT | colors.light),
        "dark": palette.variables(palette.DARK | colors.dark),
        "font": svg.FONT,
    }
    sheets = drawn.files() | ({"costs": costs.wide} if costs and costs.wide else {})
    sheets |= {name: drawings[:1] for name, drawings in tool_charts.items() if drawings}
    return Report(
        html=_html().get_template("report.html").render(variables),
        markdown=_BLANK_LINES.sub("\n\n", _markdown().get_template("report.md").render(variables)),
        charts={f"{name}.svg": svg.sheet(group) for name, group in sheets.items()},
        verdict=verdict,
        answer=answer,
    )


def _tool_charts(context: ReportContext) -> dict[str, tuple[Drawing, ...]]:
    """Return each chart of the tools for a wide page and for a narrow one; empty without data."""
    ages, study = context.ages, context.study
    prices = price_rows(study.tools, study.costs.projection) if study.costs else []
    return {
        "freshness": tuple(
            draw_freshness(ages, shape) for shape in (freshness.WIDE, freshness.TALL) if ages
        ),
        **{
            chart.name: tuple(
                draw_levels(chart, context.levels[chart], shape)
                for shape in (levels.WIDE, levels.TALL)
                if context.levels.get(chart)
            )
            for chart in (levels.TORN, levels.WAL, levels.CPU, levels.MEMORY)
        },
        "prices": tuple(draw_prices(prices, width) for width in PRICE_WIDTHS if prices),
        "first_copy": tuple(
            draw_first_copies(context.first_copies, width)
            for width in FIRST_COPY_WIDTHS
            if context.first_copies
        ),
    }


def _missing(study: Study, copies: Copies) -> list[str]:
    """Return the sentences about what this run lacks, and what no run measures."""
    missing = [] if copies else [_MISSING_COPIES]
    for tool in study.tools:
        parts = (
            ("its copy was not verified", tool.correctness),
            ("its freshness was not watched", tool.freshness),
            ("its cost was not collected", tool.cost),
        )
        if left_out := [sentence for sentence, figures in parts if figures is None]:
            missing.append(f"{tool.name}: {', '.join(left_out)}.")
    missing += [] if study.costs else [_MISSING_COSTS]
    missing += [] if study.control else [_MISSING_CONTROL]
    return [*missing, _NEVER_MEASURED]


def _grafana_link(run: Run) -> str:
    """Return a link to the run's time on the dashboards; "" if there is no Grafana."""
    address, began = run.settings.get("grafana_url"), run.schedule_started_at or run.started_at
    if not isinstance(address, str) or began is None:
        return ""
    return dashboard_link(address, run.run_id, began, run.ended_at)


def _about(facts: Facts) -> str:
    """Return the run in one line."""
    run, totals = facts.run, facts.totals
    parts = [f"{run.workload} workload"]
    if facts.seconds and totals.offered:
        rate = rate_text(totals.offered / facts.seconds)
        parts.append(f"{rate} for {text.duration(facts.seconds)}")
    elif facts.seconds:
        parts.append(text.duration(facts.seconds))
    parts += [f"{run.profile} profile"] if run.profile else []
    parts += [text.moment(run.started_at)] if run.started_at else []
    return ", ".join(parts)


@cache
def _html() -> Environment:
    environment = _environment(_printable)
    environment.globals["groups"] = _groups
    environment.filters["inline"] = lambda drawing: Markup(drawing.inline())  # noqa: S704 - our own
    return environment


@cache
def _markdown() -> Environment:
    environment = _environment(escaped)
    environment.filters["table"] = markdown_table
    return environment


def _environment(finalize: Callable[[object], object]) -> Environment:
    return Environment(
        loader=PackageLoader("loadgen.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=finalize,
    )


def _printable(cell: object) -> object:
    """Return a value for the page, in which no text from outside is hidden or turns direction."""
    is_text = isinstance(cell, str) and not isinstance(cell, Markup)  # Markup is ours
    return printable(str(cell)) if is_text else cell


def _groups(table: Table) -> list[tuple[str, int]]:
    """Return the headings above the columns, and how many columns each covers."""
    groups = groupby(column.group for column in table.columns)
    return [(group, len(list(columns))) for group, columns in groups]
