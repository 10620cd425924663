"""A run as report.html and as its Markdown twin, from the same verdict, tables and charts.

Every value is escaped where it is put in, in HTML by Jinja's autoescape, in Markdown by the
environment's last step. Pure: the moment of writing is an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from loadgen import __version__
from loadgen import text as words
from loadgen.config.grafana_link import load_dashboard
from loadgen.config.thresholds import Threshold
from loadgen.errors import printable
from loadgen.record.costs import Costs
from loadgen.record.reader import Run
from loadgen.report.analysis import judging
from loadgen.report.analysis.impact import Impact, impact_table
from loadgen.report.analysis.recovery import Recovery
from loadgen.report.analysis.run import Facts
from loadgen.report.analysis.run_summary import Control
from loadgen.report.analysis.tool_summary import ToolSummary
from loadgen.report.analysis.verdict import Verdict, judge
from loadgen.report.charts import palette, svg
from loadgen.report.charts.chart_list import ChartList, charts
from loadgen.report.charts.freshness import TALL, WIDE, Saw, draw_freshness
from loadgen.report.markdown import escaped, plain_table
from loadgen.report.tables import load
from loadgen.report.tables.costs import cost_section
from loadgen.report.tables.tools import Copies
from loadgen.text import Table
from loadgen.workload.outcome import TOLERANCE

CHART_FILES = ("rates.svg", "latency.svg", "undone.svg", "costs.svg", "freshness.svg")
_METHOD = (
    """The schedule decides when each arrival is due; nothing else does. A write counts as committed
    once the source has answered its commit, and is never sent twice. At each sample, offered =
    committed + failed + skipped + unknown + in flight holds exactly, for each operation.""",
    f"""The generator is said to have kept up if each operation's offered arrivals lie within
    {TOLERANCE:.1%} (or one arrival; with Poisson arrivals, what chance allows) of those asked for,
    and no limit on skipped arrivals was missed. What was skipped while the source took no write at
    all, or as the load had been killed, does not count against it; the limit is missed all the
    same.""",
    """A second counts as the generator's own fault if a process of the load gave an arrival late to
    a connection that was idle, or if arrivals waited while a process was busy, or waiting for a
    processor, all the time. Waiting for a busy source is not its fault.""",
    """Quantiles come from histograms whose buckets are 2.2% wide, and are never too low. All rules
    are in docs/method.md of the project.""",
)
_MISSING_COPIES = (
    "Nothing is known of a tool's copy: name the tools in tools.toml, run loadgen watch beside the "
    "load and loadgen verify after it."
)
_MISSING_COSTS = "What it would cost is not in this report: run loadgen costs, then loadgen report."
_MISSING_CONTROL = (
    "What the tools did to the source is not told apart from the load: run the same load without "
    "tools, then loadgen report --control RUN."
)
_NEVER_MEASURED = (
    "No run measures reads of the source, queries and models on the destination, the path between "
    "a vendor's service and either end, or the work of people. Freshness is measured on the table "
    "of the markers alone."
)
_MARKS = {"good": "ok", "warn": "note", "bad": "problem"}


@dataclass(frozen=True, slots=True)
class Report:
    """A run's report in both forms, and the files that the Markdown one shows."""

    html: str
    markdown: str
    charts: Mapping[str, str]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What the record has beside the load; costs and a control only where there are some."""

    copies: Copies
    ages: Mapping[str, Saw]
    recovery: Recovery
    costs: Costs | None
    standings: tuple[ToolSummary, ...]
    impact: Impact
    control: Control | None


def render(
    facts: Facts, written_at: datetime, limits: tuple[Threshold, ...], beside: ReportContext
) -> Report:
    """Return the report of a run, judged by `limits`, and of what is known beside its load."""
    verdict, drawn = judge(facts, limits), charts(facts)
    costs = None if beside.costs is None else cost_section(beside.costs)
    aged = [draw_freshness(beside.ages, shape) for shape in (WIDE, TALL) if beside.ages]
    context = _context(facts, verdict, drawn) | {
        "written_at": words.moment(written_at),
        "copies": beside.copies,
        "aged": aged,
        "recovery": beside.recovery,
        "costs": costs,
        "standings": beside.standings,
        "impact": impact_table(beside.impact, beside.control.impact if beside.control else None),
        "control": beside.control,
        "settings": load.settings(
            facts, [tool_summaries.tool for tool_summaries in beside.standings]
        ),
        "missing": _missing(beside),
    }
    sheets = drawn.files() | ({"costs": costs.wide} if costs and costs.wide else {})
    sheets |= {"freshness": tuple(aged[:1])} if aged else {}
    return Report(
        html=_html().get_template("report.html").render(context),
        markdown=_markdown().get_template("report.md").render(context),
        charts={f"{name}.svg": svg.sheet(group) for name, group in sheets.items()},
        verdict=verdict,
    )


def _missing(beside: ReportContext) -> list[str]:
    """Return what was left out of this run, and what no run measures."""
    missing = [] if beside.copies else [_MISSING_COPIES]
    for tool_summaries in beside.standings:
        parts = (
            ("its copy was not verified", tool_summaries.correct),
            ("its freshness was not watched", tool_summaries.fresh),
            ("its cost was not collected", tool_summaries.paid),
        )
        if left_out := [text for text, found in parts if found is None]:
            missing.append(f"{tool_summaries.tool}: {', '.join(left_out)}.")
    missing += [] if beside.costs else [_MISSING_COSTS]
    missing += [] if beside.control else [_MISSING_CONTROL]
    return [*missing, _NEVER_MEASURED]


def _context(facts: Facts, verdict: Verdict, drawn: ChartList) -> dict[str, object]:
    run = facts.run
    return {
        "run": run,
        "facts": facts,
        "verdict": verdict,
        "marks": _MARKS,
        "drawn": drawn,
        "thresholds": judging.table(verdict.judgement),
        "asked": load.asked(facts),
        "done": load.done(facts),
        "latency": load.latency(run),
        "failures": load.failures(facts),
        "rows": load.rows(facts),
        "journal": load.journal(facts),
        "circumstances": load.circumstances(run),
        "about": _about(facts),
        "graphs": _graphs(run),
        "version": __version__,
        "method": [" ".join(text.split()) for text in _METHOD],
        "light": palette.variables(palette.LIGHT),
        "dark": palette.variables(palette.DARK),
        "font": svg.FONT,
    }


def _graphs(run: Run) -> str:
    """Return a link to the run's time on the dashboards; "" where no Grafana was named."""
    address, began = run.settings.get("grafana_url"), run.schedule_started_at or run.started_at
    if not isinstance(address, str) or began is None:
        return ""
    return load_dashboard(address, run.run_id, began, run.ended_at)


def _about(facts: Facts) -> str:
    """Return the run in one line."""
    run = facts.run
    parts = [words.duration(facts.seconds) if facts.seconds else ""]
    parts.append(f"{run.profile} profile" if run.profile else "")
    arrivals = run.settings.get("arrivals")
    parts.append(f"{arrivals} arrivals" if arrivals else "")
    parts.append(f"seed {run.seed}" if run.seed is not None else "")
    parts.append(words.plural(run.users, "connection") if run.users is not None else "")
    parts.append(f"started {words.moment(run.started_at)}" if run.started_at else "")
    return ", ".join(part for part in parts if part)


@cache
def _html() -> Environment:
    environment = Environment(
        loader=PackageLoader("loadgen.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_printable,
    )
    environment.globals["groups"] = _groups
    environment.filters["inline"] = lambda drawing: Markup(drawing.inline())  # noqa: S704 - our own
    return environment


def _printable(value: object) -> object:
    """Return a value for the page, on which no text from outside turns the direction or is hidden.

    What is Markup already is ours.
    """
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(str(value)) if is_text else value


def _groups(table: Table) -> list[tuple[str, int]]:
    """Return the headings above the columns, and over how many columns each reaches."""
    found = groupby(column.group for column in table.columns)
    return [(group, len(list(columns))) for group, columns in found]


@cache
def _markdown() -> Environment:
    environment = Environment(
        loader=PackageLoader("loadgen.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=escaped,
    )
    environment.filters["plain"] = plain_table
    return environment
