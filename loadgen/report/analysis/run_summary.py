"""A run and its tools as they are compared, read from the run's folder; and a run without tools."""

from dataclasses import dataclass
from pathlib import Path

from loadgen.errors import RecordError
from loadgen.record.costs import Costs
from loadgen.record.reader import load_run, read_deliveries
from loadgen.record.verify import Verification
from loadgen.report.analysis.compare import RunSummary, differences
from loadgen.report.analysis.deliveries import by_tool
from loadgen.report.analysis.impact import Impact, impact_of
from loadgen.report.analysis.tool_summary import standings_of


@dataclass(frozen=True, slots=True)
class Control:
    """A run of the same load without tools: its figures, and what else was different."""

    run_id: str
    impact: Impact
    warnings: tuple[str, ...]


def study_in(folder: Path) -> RunSummary:
    """Return the run in the folder and how the tools under test in it stand."""
    run = load_run(folder)
    verified, delivered = Verification.of(folder), by_tool(read_deliveries(folder))
    return RunSummary(run, standings_of(verified, delivered, Costs.of(folder)))


def control_for(summary: RunSummary, folder: Path) -> Control:
    """Return the run in `folder` as the study's control.

    Raises RecordError where tools were under test in it, or it had another workload.
    """
    control = study_in(folder)
    found = differences([summary, control])
    why = [one.text for one in found if one.level == "refused"]
    if not control.is_control:
        why = [f"it had {', '.join(one.tool for one in control.standings)}"]
    if why:
        lines = "\n".join(f"run {control.name} is no control: {text}" for text in why)
        raise RecordError(f"{lines}\nname a run of the same load without tools")
    warnings = tuple(one.text for one in found)
    return Control(control.name, impact_of(control.run), warnings)
