"""A report on the disk: reads a run's folder, writes report.html, report.md and charts/ into it."""

import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loadgen.errors import RecordError
from loadgen.record_costs import read_costs
from loadgen.record_files import naming, replace_file
from loadgen.record_reader import (
    load_run,
    read_freshness,
    read_generator,
    read_samples,
    read_slots,
    read_verify,
)
from loadgen.report.copies import copies_of
from loadgen.report.facts import Facts, facts_of
from loadgen.report.render import CHART_FILES, Beside, Report, render
from loadgen.thresholds import Threshold

HTML_FILE = "report.html"
MARKDOWN_FILE = "report.md"
CHARTS_FOLDER = "charts"


@dataclass(frozen=True, slots=True)
class Written:
    """A report that was written, and what it is about."""

    report: Report
    facts: Facts
    html: Path
    markdown: Path
    charts: tuple[Path, ...]


def write_report(folder: Path, at: datetime, limits: tuple[Threshold, ...] = ()) -> Written:
    """Write the report of the run in `folder`; a report that is there already is replaced."""
    facts = facts_of(load_run(folder), read_samples(folder), read_generator(folder))
    _give_matplotlib_a_folder()
    copies = copies_of(read_verify(folder), read_freshness(folder), read_slots(folder))
    report = render(facts, at, limits, Beside(copies, read_costs(folder)))
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
    return Written(report, facts, html, markdown, tuple(charts / name for name in report.charts))


def _give_matplotlib_a_folder() -> None:
    """Let matplotlib keep its list of fonts where it can write; a home folder may be read-only."""
    folder = Path(tempfile.gettempdir()) / f"loadgen-matplotlib-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        usable = folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK)
    except OSError:
        usable = False
    os.environ.setdefault("MPLCONFIGDIR", str(folder if usable else tempfile.mkdtemp()))
