"""Runs and tools side by side: one table, and what keeps them from being compared. Pure.

A column is a tool of a run, or a run without tools: that is the control, and the others' impact on
the source is shown against it. Runs of another workload are refused; circumstances are warned of.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from loadgen import text as words
from loadgen.costs import text as money
from loadgen.record.costs import Total
from loadgen.record.run import Run
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.report.analysis.impact import FIGURES, NOT_MEASURED, Impact, against, impact_of
from loadgen.report.analysis.tool_summary import ToolSummary
from loadgen.workload.operations import RATE_SETTINGS
from loadgen.workload.outcome import verdict_words

# What makes it another workload; circumstances of the source that change what is measured.
_WORKLOAD: Final = (
    *RATE_SETTINGS.values(), "arrivals", "event_bytes", "hot_users", "pipeline_depth",
    "initial_users", "initial_orders", "initial_events",
)  # fmt: skip
_SAME_LENGTH: Final = 0.01  # runs whose lengths differ by less are as long
Level = Literal["refused", "warning"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run and how the tools under test in it stand."""

    run: Run
    standings: tuple[ToolSummary, ...]

    @property
    def name(self) -> str:
        """What its columns are headed by."""
        return self.run.run_id

    @property
    def is_control(self) -> bool:
        """Whether no tool was under test."""
        return not self.standings


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which the runs are not alike, and whether they can be compared all the same."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Subject:
    """One column of the table."""

    summary: RunSummary
    tool: ToolSummary | None
    impact: Impact
    control: Impact | None


def differences(studies: Sequence[RunSummary]) -> list[Difference]:
    """Return what the runs differ in, refusals first."""
    found = [*_other_workload(studies), *_other_circumstances(studies)]
    return sorted(found, key=lambda one: one.level != "refused")


def subjects(studies: Sequence[RunSummary]) -> list[Subject]:
    """Return the columns: each tool of each run, the control's own first."""
    control = next((summary for summary in studies if summary.is_control), None)
    base = impact_of(control.run) if control else None
    return [
        Subject(summary, tool, impact_of(summary.run), None if summary is control else base)
        for summary in sorted(studies, key=lambda summary: summary is not control)
        for tool in summary.standings or (None,)
    ]


def rows(columns: Sequence[Subject]) -> list[tuple[str, ...]]:
    """Return the table's rows: a label, then a cell for each column; a label alone is a heading."""
    found: list[tuple[str, ...]] = []
    for heading, figures in _ROWS:
        found.append((heading,))
        found += [(label, *(say(one) for one in columns)) for label, say in figures]
    return found


def plain(studies: Sequence[RunSummary], found: Sequence[Difference]) -> dict[str, object]:
    """Return what a program wants: each run's figures and its tools', and the differences."""
    return {
        "differences": [{"level": one.level, "text": one.text} for one in found],
        "runs": [_plain_run(summary) for summary in studies],
    }


def _plain_run(summary: RunSummary) -> dict[str, object]:
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
            outcome: sum(getattr(totals, outcome) for totals in run.totals.values())
            for outcome in ("offered", "committed", "failed", "skipped", "unknown")
        },
        "source": {name: getattr(impact, name) for name, _, _ in FIGURES},
        "tools": {one.tool: _plain_tool(one) for one in summary.standings},
    }


def _plain_tool(one: ToolSummary) -> dict[str, object]:
    correct, fresh, paid = one.correct, one.fresh, one.paid
    return {
        **one.figures(),
        "verdict": correct.verdict if correct else None,
        "findings": dict(correct.found) if correct else None,
        "late": dict(correct.late) if correct else None,
        "rows_compared": correct.rows if correct else None,
        "freshness_p50_seconds": fresh.quantile(0.5) if fresh else None,
        "delivered": len(fresh.seconds) if fresh else None,
        "not_seen": fresh.not_seen if fresh else None,
        "oldest_unseen_seconds": fresh.oldest_unseen if fresh else None,
        "priced_dollars": format(paid.total.amount, "f") if paid else None,
        "lines_not_priced": paid.total.unpriced if paid else None,
    }


def _other_workload(studies: Sequence[RunSummary]) -> Iterator[Difference]:
    for summary in studies:
        if summary.run.ended_at is None:
            yield Difference("refused", f"run {summary.name} has no end")
    yield from _unlike(studies, "refused", "seed", lambda run: run.seed)
    yield from _unlike(studies, "refused", "profile", lambda run: run.profile)
    yield from _unlike(studies, "refused", "the choice of hard cases", _hard_cases)
    for name in _WORKLOAD:
        yield from _unlike(studies, "refused", name.upper(), _setting(name))
    lengths = [summary.run.duration_seconds or 0.0 for summary in studies]
    if max(lengths) - min(lengths) > _SAME_LENGTH * max(lengths):
        told = _told(studies, lambda run: words.duration(run.duration_seconds))
        yield Difference("refused", f"the lengths differ: {told}")


def _other_circumstances(studies: Sequence[RunSummary]) -> Iterator[Difference]:
    for summary in studies:
        if summary.run.valid is False:
            why = summary.run.invalid_reason or "its record does not say why"
            yield Difference("warning", f"run {summary.name} is invalid: {why}")
        elif summary.run.exit_code:
            text = f"run {summary.name} did not pass: {verdict_words(summary.run.exit_code)}"
            yield Difference("warning", text)
    names = dict.fromkeys(name for summary in studies for name in summary.run.source)
    for name in names:
        yield from _unlike(studies, "warning", f"the source's {name}", _source(name))
    for name in ("cpu", "cores", "memory_bytes"):
        yield from _unlike(studies, "warning", f"the machine's {name}", _machine(name))
    counts = {len(summary.standings) for summary in studies if summary.standings}
    if len(counts) > 1 or (len(counts) == 1 and counts != {1} and _in_turn(studies)):
        told = ", ".join(
            f"{summary.name} {', '.join(one.tool for one in summary.standings)}"
            for summary in studies
            if summary.standings
        )
        yield Difference("warning", f"tools ran together in some runs and not in others: {told}")
    yield from _other_warehouses(studies)


def _in_turn(studies: Sequence[RunSummary]) -> bool:
    """Tell whether the runs had other tools."""
    sets = {
        frozenset(one.tool for one in summary.standings) for summary in studies if summary.standings
    }
    return len(sets) > 1


def _other_warehouses(studies: Sequence[RunSummary]) -> Iterator[Difference]:
    found = {
        f"{one.tool} of {summary.name}": one.warehouse_use.warehouse
        for summary in studies
        for one in summary.standings
        if one.warehouse_use is not None
    }
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {kind or 'not shown'}" for name, kind in found.items())
        yield Difference("warning", f"size or generation of the warehouses differ: {told}")


def _unlike(
    studies: Sequence[RunSummary], level: Level, what: str, value: Callable[[Run], object]
) -> Iterator[Difference]:
    if len({repr(value(summary.run)) for summary in studies}) > 1:
        yield Difference(level, f"{what} differs: {_told(studies, value)}")


def _told(studies: Sequence[RunSummary], value: Callable[[Run], object]) -> str:
    return ", ".join(f"{summary.name} {words.value(value(summary.run))}" for summary in studies)


def _verdict(run: Run) -> str:
    return words.NOTHING if run.exit_code is None else verdict_words(run.exit_code)


def _hard_cases(run: Run) -> str:
    return " and ".join(sorted(run.hard_cases)) or "none"


def _setting(name: str) -> Callable[[Run], object]:
    return lambda run: run.settings.get(name)


def _source(name: str) -> Callable[[Run], object]:
    return lambda run: run.source.get(name)


def _machine(name: str) -> Callable[[Run], object]:
    return lambda run: run.machine.get(name)


_Say = Callable[[Subject], str]


def _total(outcome: str) -> _Say:
    def say(one: Subject) -> str:
        totals = one.summary.run.totals.values()
        return words.count(sum(getattr(found, outcome) for found in totals))

    return say


def _figure(name: str, say: Callable[[float | None], str]) -> _Say:
    def said(one: Subject) -> str:
        value = getattr(one.impact, name)
        if one.control is None or value is None:
            return say(value)
        return f"{say(value)} ({against(value, getattr(one.control, name))})"

    return said


def _of_tool(part: str, say: Callable[[Any], str]) -> _Say:
    """Return a cell of a tool; a dash where there is none, `not measured` if nobody looked."""

    def said(one: Subject) -> str:
        if one.tool is None:
            return words.NOTHING
        found = getattr(one.tool, part)
        return NOT_MEASURED if found is None else say(found)

    return said


def _paid(total: Total | None) -> str:
    return words.NOTHING if total is None else money.total(total)


def _latency(seconds: float | None) -> str:
    return "too few" if seconds is None else words.latency(seconds)


def _not_seen(found: Deliveries) -> str:
    return f"{words.count(found.not_seen)} of {words.count(len(found.markers))}"


def _share(value: Any) -> str:
    return NOT_MEASURED if value is None else f"{value:.0%}"


def _quantity(value: Any) -> str:
    return NOT_MEASURED if value is None else words.four_digits(value)


_ROWS: Final[tuple[tuple[str, tuple[tuple[str, _Say], ...]], ...]] = (
    (
        "load",
        (
            ("length", lambda one: words.duration(one.summary.run.duration_seconds)),
            ("verdict", lambda one: _verdict(one.summary.run)),
            *((outcome, _total(outcome)) for outcome in ("committed", "failed", "skipped")),
        ),
    ),
    (
        "correctness",
        (
            ("verdict", _of_tool("correct", lambda found: str(found.verdict))),
            ("found", _of_tool("correct", lambda found: words.kinds(found.found))),
            ("late", _of_tool("correct", lambda found: words.kinds(found.late))),
            ("rows compared", _of_tool("correct", lambda found: words.count(found.rows))),
        ),
    ),
    (
        "freshness",
        (
            ("delivery p50", _of_tool("fresh", lambda found: _latency(found.quantile(0.5)))),
            ("delivery p95", _of_tool("fresh", lambda found: _latency(found.p95))),
            ("markers not seen", _of_tool("fresh", _not_seen)),
            ("oldest unseen", _of_tool("fresh", lambda found: words.duration(found.oldest_unseen))),
        ),
    ),
    (
        "cost of the run",
        (
            ("customer pays", _of_tool("paid", lambda found: _paid(found.customer))),
            ("service pays", _of_tool("paid", lambda found: _paid(found.service))),
            ("together", _of_tool("paid", lambda found: _paid(found.total))),
            (
                "credits per 1M",
                _of_tool("warehouse_use", lambda one: _quantity(one.per_million_changes)),
            ),
            ("idle", _of_tool("warehouse_use", lambda one: _share(one.idle_share))),
        ),
    ),
    ("source", tuple((label, _figure(name, say)) for name, label, say in FIGURES)),
)
