"""Reads a run's folder and writes its report into it: report.html, report.md and charts/.

It also writes RESULTS.md if tools were under test or the file is there already.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from loadgen.config.decision import BUILT_IN, Rules
from loadgen.config.thresholds import Threshold
from loadgen.errors import RecordError
from loadgen.record.costs import Costs
from loadgen.record.files import naming, replace_file
from loadgen.record.resyncs import Resync, resyncs_of
from loadgen.record.rows import GeneratorSample, Sample, SlotSample, SumsSample, ToolSample
from loadgen.record.run import Run
from loadgen.record.verify import Verification
from loadgen.report.analysis.compare import RunSummary, control_for, summary_of
from loadgen.report.analysis.consistency import reads_by_tool
from loadgen.report.analysis.impact import impact_of
from loadgen.report.analysis.local_use import local_use
from loadgen.report.analysis.run import Facts, facts_of
from loadgen.report.analysis.tool_answer import Study
from loadgen.report.analysis.tool_summary import ToolSummary
from loadgen.report.analysis.verdict import Verdict, judge
from loadgen.report.charts import levels
from loadgen.report.charts.freshness import age_series
from loadgen.report.decision_matrix import (
    Annotations,
    decision_tables,
    read_annotations,
    results_text,
)
from loadgen.report.render import CHART_FILES, Report, ReportContext, render
from loadgen.report.tables.resyncs import resync_table
from loadgen.report.tables.tools import copies_of
from loadgen.tools.tools_file import local_slot

HTML_FILE = "report.html"
MARKDOWN_FILE = "report.md"
RESULTS_FILE = "RESULTS.md"
CHARTS_FOLDER = "charts"


@dataclass(frozen=True, slots=True)
class Written:
    """A written report, the facts in it, and its files."""

    report: Report
    facts: Facts
    html: Path
    markdown: Path
    charts: tuple[Path, ...]
    matrix: Path | None  # None if no tool was under test


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a run is judged by: limits, the rules of the decision, and the folder of its control.

    `kinds`, `slots`, `destinations` and `runners` are those of tools.toml by tool; the slot is None
    if a tool reads none.
    """

    limits: tuple[Threshold, ...] = ()
    rules: Rules = BUILT_IN
    control: Path | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    slots: Mapping[str, str | None] = field(default_factory=dict)
    destinations: Mapping[str, str] = field(default_factory=dict)
    runners: Mapping[str, str] = field(default_factory=dict)


def write_report(folder: Path, at: datetime, options: ReportOptions | None = None) -> Written:
    """Write the report of the run in `folder`; a report that is there already is replaced.

    Raises RecordError, before anything is written, if RESULTS.md can't be read back.
    """
    options = options or ReportOptions()
    annotations = _annotations(folder)
    summary = summary_of(folder)
    study = _study(folder, summary, annotations, options)
    facts = facts_of(summary.run, Sample.read(folder), GeneratorSample.read(folder))
    _set_matplotlib_folder()
    verdict = judge(facts, options.limits)
    report = render(facts, at, verdict, _context(folder, facts, study, options.slots))
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
    matrix = None
    if summary.tools or annotations is not None:
        matrix = folder / RESULTS_FILE
        title, warning = f"Results of run {facts.run.run_id}", _warning(verdict)
        annotations = annotations or Annotations()
        tables = decision_tables(study, annotations, trusted=verdict.trusted)
        replace_file(matrix, results_text(title, tables, annotations, warning).encode())
    drawn = tuple(charts / name for name in report.charts)
    return Written(report, facts, html, markdown, drawn, matrix)


def _study(
    folder: Path, summary: RunSummary, annotations: Annotations | None, options: ReportOptions
) -> Study:
    control = None if options.control is None else control_for(summary, options.control)
    return Study(
        tools=summary.tools,
        rules=options.rules,
        cells={} if annotations is None else annotations.cells,
        wal_kept=_wal_kept(folder, summary.tools, options.slots),
        kinds=options.kinds,
        destinations=options.destinations,
        runners=options.runners,
        impact=impact_of(summary.run),
        control=control,
        costs=Costs.of(folder),
        use=local_use(ToolSample.read(folder)),
        reads=reads_by_tool(SumsSample.read(folder), _whole_copies(folder, summary.run)),
    )


def _context(
    folder: Path, facts: Facts, study: Study, slots: Mapping[str, str | None]
) -> ReportContext:
    verified = Verification.of(folder)
    delivered = {tool.name: tool.freshness for tool in study.tools if tool.freshness is not None}
    intervals = {tool.name: tool.cost.syncs_every for tool in study.tools if tool.cost is not None}
    plans = {tool: seconds for tool, seconds in intervals.items() if seconds is not None}
    first_copies = {
        name: tool.initial_sync for name, tool in verified.tools.items() if tool.initial_sync
    }
    copies = copies_of(
        verified,
        delivered,
        SlotSample.read(folder),
        study.use,
        plans=plans,
        journal=facts.run.journal,
    )
    resyncs = resync_table(
        resyncs_of(facts.run.journal),
        SlotSample.read(folder),
        _slot_names((tool.name for tool in study.tools), slots),
        study.costs.lines if study.costs else (),
    )
    context = ReportContext(study, copies, resyncs, first_copies)
    if facts.start is None:
        return context
    charts = {
        levels.TORN: levels.torn_series(study.reads, facts.start),
        levels.WAL: levels.wal_series(SlotSample.read(folder), facts.start),
        levels.CPU: levels.cpu_series(ToolSample.read(folder), facts.start),
        levels.MEMORY: levels.memory_series(ToolSample.read(folder), facts.start),
    }
    return replace(context, ages=age_series(delivered, facts.start), levels=charts)


def _wal_kept(
    folder: Path, tools: Sequence[ToolSummary], slots: Mapping[str, str | None]
) -> dict[str, int | None]:
    """Return the most WAL that each tool's slot kept, of the tools whose slot is known."""
    retained: dict[str, int] = {}
    for sample in SlotSample.read(folder):
        retained[sample.slot] = max(retained.get(sample.slot, 0), sample.retained_bytes or 0)
    names = _slot_names((tool.name for tool in tools), slots)
    known = {tool: retained[slot] for tool, slot in names.items() if slot in retained}
    without = {tool: None for tool, slot in names.items() if slot is None}
    return {**known, **without}


def _whole_copies(folder: Path, run: Run) -> list[Resync]:
    """Return when tools copied everything: the first copies that are known, and the re-syncs."""
    tools = Verification.of(folder).tools.items()
    first = [(name, sync) for name, tool in tools if (sync := tool.initial_sync) is not None]
    return [
        *(Resync(name, sync.began_at, sync.caught_up_at, sync.rows) for name, sync in first),
        *resyncs_of(run.journal),
    ]


def _slot_names(tools: Iterable[str], slots: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return each tool's slot; a local tool's has its name even if tools.toml no longer has it."""
    return {tool: slots.get(tool, local_slot(tool)) for tool in tools}


def _warning(verdict: Verdict) -> str:
    """Return why the figures of the run's tools may mean little; empty if the run passed."""
    if verdict.run is None:
        return f"{verdict.headline}."
    if verdict.run.exit_code == 0:
        return ""
    return f"The run did not pass: {verdict.run}. {verdict.headline}."


def _annotations(folder: Path) -> Annotations | None:
    """Return what people wrote into the folder's RESULTS.md; None if there is none yet."""
    file = folder / RESULTS_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise RecordError(f"{file} can't be read ({exc}): move it away") from exc
    return read_annotations(text, str(file))


def _set_matplotlib_folder() -> None:
    """Let matplotlib keep its list of fonts in a writable folder; the home may be read-only."""
    folder = Path(tempfile.gettempdir()) / f"loadgen-matplotlib-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        usable = folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK)
    except OSError:
        usable = False
    os.environ.setdefault("MPLCONFIGDIR", str(folder if usable else tempfile.mkdtemp()))
