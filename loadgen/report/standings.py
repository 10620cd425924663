"""How the tools of a run stand, read from its folder."""

from pathlib import Path

from loadgen.errors import RecordError
from loadgen.record_costs import read_costs
from loadgen.record_reader import load_run, read_freshness, read_verify
from loadgen.report.impact import Impact, impact_of
from loadgen.report.standing import Standing, standings_of


def standings_in(folder: Path) -> tuple[Standing, ...]:
    """Return the tools under test of the run in the folder."""
    together = load_run(folder).together
    return standings_of(together, read_verify(folder), read_freshness(folder), read_costs(folder))


def control_in(folder: Path) -> Impact:
    """Return the figures of a run without tools; RecordError where tools were under test in it."""
    if tools := [one.tool for one in standings_in(folder)]:
        raise RecordError(
            f"run {folder.name} is no control: it had {', '.join(tools)}; name a run without tools"
        )
    return impact_of(load_run(folder))
