"""Runs and their tools as they are compared: what differs, and one table of all figures.

A column is a tool of a run, or a run without tools. That one is the control: the others' impact on
the source is shown against it. Runs of different workloads are refused; other differences, such as
another machine, are warnings.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from loadgen import text
from loadgen.errors import RecordError
from loadgen.record.costs import Costs, Total
from loadgen.record.rows import read_deliveries
from loadgen.record.run import Run
from loadgen.record.verdict import verdict_text
from loadgen.record.verify import Verification
from loadgen.report.analysis.deliveries import by_tool
from loadgen.report.analysis.impact import FIGURES, NOT_MEASURED, Impact, against, impact_of
from loadgen.report.analysis.tool_summary import ToolSummary, tool_summaries
from loadgen.workload.operations import facts_of_run

# Settings that make the load, beside the rates.
_SAME_SETTINGS: Final = (
    "arrivals", "event_bytes", "hot_users", "pipeline_depth",
    "initial_users", "initial_orders", "initial_events",
)  # fmt: skip
_SAME_LENGTH: Final = 0.01  # a smaller difference in length is none
Level = Literal["refused", "warning"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run and its tools under test."""

    run: Run
    tools: tuple[ToolSummary, ...]

    @property
    def name(self) -> str:
        """The heading of its columns."""
        return self.run.run_id

    @property
    def is_control(self) -> bool:
        """Whether no tool was under test."""
        return not self.tools

    @property
    def tool_names(self) -> str:
        """Its tools, for a sentence."""
        return ", ".join(tool.name for tool in self.tools)


@dataclass(frozen=True, slots=True)
class Control:
    """A run of the same load without tools: its impact, and what else was different."""

    run_id: str
    impact: Impact
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which the runs differ, and whether they can be compared nevertheless."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """One column of the table."""

    summary: RunSummary
    tool: ToolSummary | None
    impact: Impact
    control: Impact | None


def summary_of(folder: Path) -> RunSummary:
    """Return the run in the folder, with its tools under test."""
    verified, delivered = Verification.of(folder), by_tool(read_deliveries(folder))
    return RunSummary(Run.of(folder), tool_summaries(verified, delivered, Costs.of(folder)))


def control_for(summary: RunSummary, folder: Path) -> Control:
    """Return the run in `folder` as the control of another.

    Raises RecordError if tools were under test in it, it was invalid, or it had another workload.
    """
    control = summary_of(folder)
    differing = differences([summary, control])
    reasons = [difference.text for difference in differing if difference.level == "refused"]
    if not control.is_control:
        reasons = [f"it had {control.tool_names}"]
    if control.run.valid is False:
        reasons.append(f"it is invalid: {control.run.invalid_reason or 'its record says so'}")
    if reasons:
        lines = "\n".join(f"run {control.name} is no control: {reason}" for reason in reasons)
        raise RecordError(f"{lines}\nname a run of the same load without tools")
    warnings = tuple(difference.text for difference in differing)
    return Control(control.name, impact_of(control.run), warnings)


def differences(summaries: Sequence[RunSummary]) -> list[Difference]:
    """Return how the runs differ, refusals first."""
    return [*_refusals(summaries), *_warnings(summaries)]


def columns_of(summaries: Sequence[RunSummary]) -> list[ComparedColumn]:
    """Return the columns: each tool of each run, the control's column first."""
    control = next((summary for summary in summaries if summary.is_control), None)
    base = impact_of(control.run) if control else None
    return [
        ComparedColumn(summary, tool, impact_of(summary.run), None if summary is control else base)
        for summary in sorted(summaries, key=lambda summary: summary is not control)
        for tool in summary.tools or (None,)
    ]


def rows(columns: Sequence[ComparedColumn]) -> list[tuple[str, ...]]:
    """Return the table's rows: a label, then a cell for each column; a label alone is a heading."""
    table: list[tuple[str, ...]] = []
    for heading, figures in _ROWS:
        table.append((heading,))
        table += [(label, *map(cell, columns)) for label, cell in figures]
    return table


def as_json(summaries: Sequence[RunSummary], differing: Sequence[Difference]) -> dict[str, object]:
    """Return the comparison for programs: each run's figures, its tools', and the differences."""
    return {
        "differences": [{"level": each.level, "text": each.text} for each in differing],
        "runs": [_run_json(summary) for summary in summaries],
    }


def _run_json(summary: RunSummary) -> dict[str, object]:
    run, impact = summary.run, impact_of(summary.run)
    return {
        "run_id": run.run_id,
        "control": summary.is_control,
        "seed": run.seed,
        "profile": run.profile,
        "duration_seconds": run.duration_seconds,
        "valid": run.valid,
        "exit_code": run.exit_code,
        "totals": {
            outcome: _total(run, outcome)
            for outcome in ("offered", "committed", "failed", "skipped", "unknown")
        },
        "source": {name: getattr(impact, name) for name, _, _ in FIGURES},
        "tools": {tool.name: _tool_json(tool) for tool in summary.tools},
    }


def _tool_json(tool: ToolSummary) -> dict[str, object]:
    correctness, freshness, cost = tool.correctness, tool.freshness, tool.cost
    return {
        **tool.figures(),
        "verdict": correctness.verdict if correctness else None,
        "findings": dict(correctness.findings) if correctness else None,
        "late": dict(correctness.late) if correctness else None,
        "rows_compared": correctness.rows if correctness else None,
        "freshness_p50_seconds": freshness.quantile(0.5) if freshness else None,
        "delivered": len(freshness.seconds) if freshness else None,
        "not_seen": freshness.not_seen if freshness else None,
        "oldest_unseen_seconds": freshness.oldest_unseen if freshness else None,
        "priced_dollars": format(cost.total.amount, "f") if cost else None,
        "lines_not_priced": cost.total.unpriced if cost else None,
    }


def _total(run: Run, outcome: str) -> int:
    return sum(getattr(totals, outcome) for totals in run.totals.values())


def _refusals(summaries: Sequence[RunSummary]) -> Iterator[Difference]:
    """Yield how the workloads differ."""
    for summary in summaries:
        if summary.run.ended_at is None:
            yield Difference("refused", f"run {summary.name} has no end")
    yield from _unequal(summaries, "refused", "workload", lambda run: run.workload)
    yield from _unequal(summaries, "refused", "seed", lambda run: run.seed)
    yield from _unequal(summaries, "refused", "profile", lambda run: run.profile)
    yield from _unequal(
        summaries,
        "refused",
        "the choice of hard cases",
        lambda run: " and ".join(sorted(run.hard_cases)) or "none",
    )
    rates = [o.option for summary in summaries for o in facts_of_run(summary.run).values()]
    for name in dict.fromkeys([*rates, *_SAME_SETTINGS]):
        yield from _unequal(summaries, "refused", name.upper(), _key("settings", name))
    lengths = [summary.run.duration_seconds or 0.0 for summary in summaries]
    if max(lengths) - min(lengths) > _SAME_LENGTH * max(lengths):
        listed = _by_run(summaries, lambda run: text.duration(run.duration_seconds))
        yield Difference("refused", f"the lengths differ: {listed}")


def _warnings(summaries: Sequence[RunSummary]) -> Iterator[Difference]:
    """Yield how runs of the same workload differ."""
    for summary in summaries:
        if summary.run.valid is False:
            reason = summary.run.invalid_reason or "its record does not say why"
            yield Difference("warning", f"run {summary.name} is invalid: {reason}")
        elif summary.run.exit_code:
            verdict = verdict_text(summary.run.exit_code)
            yield Difference("warning", f"run {summary.name} did not pass: {verdict}")
    for name in dict.fromkeys(name for summary in summaries for name in summary.run.source):
        yield from _unequal(summaries, "warning", f"the source's {name}", _key("source", name))
    for name in ("cpu", "cores", "memory_bytes"):
        yield from _unequal(summaries, "warning", f"the machine's {name}", _key("machine", name))
    with_tools = [summary for summary in summaries if summary.tools]
    counts = {len(summary.tools) for summary in with_tools}
    sets = {frozenset(tool.name for tool in summary.tools) for summary in with_tools}
    if len(counts) > 1 or (len(sets) > 1 and counts != {1}):
        listed = ", ".join(f"{summary.name} {summary.tool_names}" for summary in with_tools)
        yield Difference("warning", f"tools ran together in some runs and not in others: {listed}")
    warehouses = {
        f"{tool.name} of {summary.name}": tool.warehouse_use.warehouse
        for summary in summaries
        for tool in summary.tools
        if tool.warehouse_use is not None
    }
    if len(set(warehouses.values())) > 1:
        listed = ", ".join(f"{tool} {size or 'not shown'}" for tool, size in warehouses.items())
        yield Difference("warning", f"size or generation of the warehouses differ: {listed}")


def _unequal(
    summaries: Sequence[RunSummary], level: Level, name: str, of: Callable[[Run], object]
) -> Iterator[Difference]:
    if len({repr(of(summary.run)) for summary in summaries}) > 1:
        yield Difference(level, f"{name} differs: {_by_run(summaries, of)}")


def _by_run(summaries: Sequence[RunSummary], of: Callable[[Run], object]) -> str:
    return ", ".join(f"{summary.name} {text.value(of(summary.run))}" for summary in summaries)


def _key(mapping: str, name: str) -> Callable[[Run], object]:
    return lambda run: getattr(run, mapping).get(name)


_Cell = Callable[[ComparedColumn], str]


def _verdict(column: ComparedColumn) -> str:
    exit_code = column.summary.run.exit_code
    return text.NOTHING if exit_code is None else verdict_text(exit_code)


def _outcome(name: str) -> _Cell:
    return lambda column: text.count(_total(column.summary.run, name))


def _impact(name: str, formatted: Callable[[float | None], str]) -> _Cell:
    def cell(column: ComparedColumn) -> str:
        figure = getattr(column.impact, name)
        if column.control is None or figure is None:
            return formatted(figure)
        return f"{formatted(figure)} ({against(figure, getattr(column.control, name))})"

    return cell


def _of_tool(part: str, formatted: Callable[[Any], str]) -> _Cell:
    """Return a tool's cell: a dash in the control's column, `not measured` if it was not."""

    def cell(column: ComparedColumn) -> str:
        if column.tool is None:
            return text.NOTHING
        figures = getattr(column.tool, part)
        return NOT_MEASURED if figures is None else formatted(figures)

    return cell


def _paid(total: Total | None) -> str:
    return text.NOTHING if total is None else str(total)


def _latency(seconds: float | None) -> str:
    return "too few" if seconds is None else text.latency(seconds)


_ROWS: Final[tuple[tuple[str, tuple[tuple[str, _Cell], ...]], ...]] = (
    (
        "load",
        (
            ("length", lambda column: text.duration(column.summary.run.duration_seconds)),
            ("verdict", _verdict),
            *((outcome, _outcome(outcome)) for outcome in ("committed", "failed", "skipped")),
        ),
    ),
    (
        "correctness",
        (
            ("verdict", _of_tool("correctness", lambda copy: str(copy.verdict))),
            ("found", _of_tool("correctness", lambda copy: text.kinds(copy.findings))),
            ("late", _of_tool("correctness", lambda copy: text.kinds(copy.late))),
            ("rows compared", _of_tool("correctness", lambda copy: text.count(copy.rows))),
        ),
    ),
    (
        "freshness",
        (
            ("delivery p50", _of_tool("freshness", lambda times: _latency(times.quantile(0.5)))),
            ("delivery p95", _of_tool("freshness", lambda times: _latency(times.p95))),
            (
                "markers not seen",
                _of_tool(
                    "freshness",
                    lambda times: (
                        f"{text.count(times.not_seen)} of {text.count(len(times.markers))}"
                    ),
                ),
            ),
            (
                "oldest unseen",
                _of_tool("freshness", lambda times: text.duration(times.oldest_unseen)),
            ),
        ),
    ),
    (
        "cost of the run",
        (
            ("customer pays", _of_tool("cost", lambda cost: _paid(cost.customer))),
            ("service pays", _of_tool("cost", lambda cost: _paid(cost.service))),
            ("together", _of_tool("cost", lambda cost: _paid(cost.total))),
            ("credits per 1M", _of_tool("warehouse_use", lambda use: use.credits_text)),
            ("idle", _of_tool("warehouse_use", lambda use: use.idle_text)),
        ),
    ),
    ("source", tuple((label, _impact(name, formatted)) for name, label, formatted in FIGURES)),
)
