"""What a run says for and against SimplyLoad's hypothesis: cheaper, fresher and correct. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen import text
from loadgen.record.costs import short_vendor
from loadgen.report.analysis.impact import NOT_MEASURED
from loadgen.report.analysis.tool_answer import Study
from loadgen.report.analysis.tool_summary import INFRASTRUCTURE_CARD, ToolSummary, lowest_published
from loadgen.text import Column, Table

_KIND: Final = "simplyload"
_UNMEASURED: Final = (
    "SimplyLoad's own price: its machines at list prices have no margin and no working time.",
    "Days of load, faults and schema changes, unless this run had them.",
)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The run's answers to the three questions, and the questions that stay open."""

    tool: str
    answers: Table
    unmeasured: tuple[str, ...]


def hypothesis_of(study: Study) -> Hypothesis | None:
    """Return what the run says about SimplyLoad; None if it was not under test."""
    own = next((tool for tool in study.tools if _is_simplyload(tool, study)), None)
    if own is None:
        return None
    others = [tool for tool in study.tools if tool is not own]
    rows = (
        ("correct?", *_correct(own)),
        ("fresher?", *_fresher(own, others)),
        ("cheaper?", *_cheaper(own, others, study)),
    )
    columns = (Column("is it"), Column("this run is"), Column("because"))
    unmeasured = [*_UNMEASURED]
    if own.warehouse_use is None:
        unmeasured.append("The Snowflake credits that its loads use.")
    if study.control is None:
        unmeasured.append("Its share of the source's load: there is no run without tools.")
    return Hypothesis(own.name, Table(columns, rows), tuple(unmeasured))


def _is_simplyload(tool: ToolSummary, study: Study) -> bool:
    """Tell it by tools.toml, or by the rate card if the tool is no longer there."""
    if tool.name in study.kinds:
        return study.kinds[tool.name] == _KIND
    month = tool.cost.priced_month if tool.cost else None
    return month is not None and month.card == INFRASTRUCTURE_CARD


def _correct(own: ToolSummary) -> tuple[str, str]:
    copy = own.correctness
    if copy is None or copy.wrong is None:
        return "open", "its copy was not checked, or changes were not due yet"
    return ("against" if copy.wrong else "for"), str(copy)


def _fresher(own: ToolSummary, others: Sequence[ToolSummary]) -> tuple[str, str]:
    figure = _p95(own)
    best = _best(others, _p95)
    if figure is None:
        return "open", f"its p95 was {NOT_MEASURED}: that takes 20 deliveries"
    if best is None:
        return "open", f"p95 {text.latency(figure)}; no other tool of this run has a p95"
    rival, least = best
    ruling = "for" if figure < least else "against"
    return ruling, f"p95 {text.latency(figure)}, {rival} {text.latency(least)}"


def _cheaper(own: ToolSummary, others: Sequence[ToolSummary], study: Study) -> tuple[str, str]:
    month = own.cost.priced_month if own.cost else None
    if month is None or month.amount is None:
        return "open", "its machines are not priced"
    machines = f"its machines alone cost {text.dollars(month.amount)} a month"
    best = _best(others, _month)
    if best is not None:
        rival, least = best
        price = f"${least:,.2f}"
    else:
        projection = study.costs.projection if study.costs else None
        lowest = lowest_published(projection.months) if projection else None
        if lowest is None or lowest.amount is None:
            return "open", f"{machines}; no vendor's price is known"
        rival, least = short_vendor(lowest.vendor), float(lowest.amount)
        price = f"${least:,.2f} by its list, not run here"
    if float(month.amount) >= least:
        return "against", f"{machines}, and {rival} {price}"
    return "open", f"{machines}, {rival} {price}: a price for SimplyLoad would have to fit between"


def _best(
    tools: Sequence[ToolSummary], figure: Callable[[ToolSummary], float | None]
) -> tuple[str, float] | None:
    """Return the tool with the lowest figure, and that figure; None if none has one."""
    known = [(tool.name, amount) for tool in tools if (amount := figure(tool)) is not None]
    return min(known, key=lambda pair: pair[1], default=None)


def _p95(tool: ToolSummary) -> float | None:
    return tool.freshness.p95 if tool.freshness else None


def _month(tool: ToolSummary) -> float | None:
    month = tool.cost.priced_month if tool.cost else None
    return None if month is None or month.amount is None else float(month.amount)
