"""The report's table of what the runners of its local tools can do, as their own test shows it."""

from loadgen.report.analysis.tool_answer import Study
from loadgen.text import Column, Table
from loadgen.tools.runners.abilities import ABILITIES, STEPS


def abilities_of(study: Study) -> Table:
    """Return each step of the test by tool; no rows if no tool of the run has such a runner."""
    tools = {
        tool.name: ABILITIES[study.runners[tool.name]]
        for tool in study.tools
        if study.runners.get(tool.name) in ABILITIES
    }
    columns = (Column("step"), *(Column(name) for name in tools))
    rows = (
        (
            step.replace("`", ""),
            *("no" if step in each.cannot else "yes" for each in tools.values()),
        )
        for step in STEPS
    )
    return Table(columns, tuple(rows) if tools else ())
