"""A report on the disk: reads a run's folder, writes report.html, report.md and charts/ into it.

And RESULTS.md, where tools were under test, or somebody has begun it.
"""

import os
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from loadgen.config.decision import Rules
from loadgen.config.thresholds import Threshold
from loadgen.errors import RecordError
from loadgen.record.costs import Costs
from loadgen.record.files import naming, replace_file
from loadgen.record.reader import (
    read_generator,
    read_samples,
    read_slots,
)
from loadgen.record.verify import Verification
from loadgen.report.analysis.impact import impact_of
from loadgen.report.analysis.recovery import recovery_of
from loadgen.report.analysis.run import Facts, facts_of
from loadgen.report.analysis.run_summary import control_for, study_in
from loadgen.report.analysis.verdict import Verdict
from loadgen.report.charts.freshness import saws
from loadgen.report.decision_matrix import Words, read_words
from loadgen.report.render import CHART_FILES, Report, ReportContext, render
from loadgen.report.results import results
from loadgen.report.tables.tools import copies_of

HTML_FILE = "report.html"
MARKDOWN_FILE = "report.md"
RESULTS_FILE = "RESULTS.md"
CHARTS_FOLDER = "charts"


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written, and what it is about."""

    report: Report
    facts: Facts
    html: Path
    markdown: Path
    charts: tuple[Path, ...]
    results: Path | None  # None where no tool was under test


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report is to judge by: limits on the run, rules of the decision, a run without tools.

    `control` is the folder of the latter.
    """

    limits: tuple[Threshold, ...] = ()
    rules: Rules = field(default_factory=Rules)
    control: Path | None = None


def write_report(folder: Path, at: datetime, options: ReportOptions | None = None) -> Written:
    """Write the report of the run in `folder`; a report that is there already is replaced.

    Raises RecordError, before anything is written, where RESULTS.md can't be read back.
    """
    options = options or ReportOptions()
    kept = read_kept(folder)
    summary = study_in(folder)
    control = None if options.control is None else control_for(summary, options.control)
    facts = facts_of(summary.run, read_samples(folder), read_generator(folder))
    _give_matplotlib_a_folder()
    verified = Verification.of(folder)
    delivered = {one.tool: one.fresh for one in summary.standings if one.fresh is not None}
    paid = {one.tool: one.paid.syncs_every for one in summary.standings if one.paid is not None}
    plans = {tool: every for tool, every in paid.items() if every is not None}
    beside = ReportContext(
        copies_of(verified, delivered, read_slots(folder), plans),
        {} if facts.start is None else saws(delivered, facts.start),
        recovery_of(verified, delivered, summary.run.journal),
        Costs.of(folder),
        summary.standings,
        impact_of(summary.run),
        control,
    )
    report = render(facts, at, options.limits, beside)
    charts = folder / CHARTS_FOLDER
    if charts.exists() and not charts.is_dir():
        raise RecordError(f"{charts} is in the way of the report's charts: move it away")
    with naming(charts):
        charts.mkdir(exist_ok=True)
        for name in CHART_FILES:
            if name not in report.charts:
                (charts / name).unlink(missing_ok=True)
    for name, svg in report.charts.items():
        replace_file(charts / name, svg.encode())
    html, markdown = folder / HTML_FILE, folder / MARKDOWN_FILE
    replace_file(markdown, report.markdown.encode())
    replace_file(html, report.html.encode())
    drawn = tuple(charts / name for name in report.charts)
    decided = None
    if summary.standings or kept is not None:
        decided = folder / RESULTS_FILE
        title = f"Results of run {facts.run.run_id}"
        warning = _warning(report.verdict)
        text = results(title, summary.standings, options.rules, kept or Words(), warning)
        replace_file(decided, text.encode())
    return Written(report, facts, html, markdown, drawn, decided)


def _warning(verdict: Verdict) -> str:
    """Say why the figures of the run's tools may mean little; empty if the run passed."""
    if verdict.run is None:
        return f"{verdict.headline}."
    if verdict.run.exit_code == 0:
        return ""
    return f"The run of this study did not pass: {verdict.run}. {verdict.headline}."


def read_kept(folder: Path) -> Words | None:
    """Return what people wrote into the folder's RESULTS.md; None where there is none yet."""
    file = folder / RESULTS_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise RecordError(f"{file} can't be read ({exc}): move it away") from exc
    return read_words(text, str(file))


def _give_matplotlib_a_folder() -> None:
    """Let matplotlib keep its list of fonts where it can write; a home folder may be read-only."""
    folder = Path(tempfile.gettempdir()) / f"loadgen-matplotlib-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        usable = folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK)
    except OSError:
        usable = False
    os.environ.setdefault("MPLCONFIGDIR", str(folder if usable else tempfile.mkdtemp()))
