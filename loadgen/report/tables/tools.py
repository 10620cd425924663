"""What the record knows of the copies: is each right, how old was it, what did its slot keep.

From verify.json, freshness.csv and slots.csv, as tables; the files are read once, row by row.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType

from loadgen import text
from loadgen.record.rows import SlotSample
from loadgen.record.verify import CaseOutcome, ClockOffset, ToolVerification, Verification
from loadgen.report.analysis.deliveries import FEWEST_FOR_P99, Deliveries
from loadgen.text import Column, Table
from loadgen.verify import cases

_FINDINGS = 5  # shown of a tool
_NO_PLANS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Copies:
    """The tables; one without rows is not shown."""

    right: Table
    findings: Table
    problems: tuple[str, ...]
    cases: Table
    freshness: Table
    clocks: str  # a sentence, "" where none was read
    slots: Table

    def __bool__(self) -> bool:
        """Tell whether anything is known of a copy or a slot."""
        return bool(self.right.rows or self.freshness.rows or self.slots.rows)


def copies_of(
    verified: Verification,
    delivered: Mapping[str, Deliveries],
    slots: Iterable[SlotSample],
    plans: Mapping[str, float] = _NO_PLANS,
) -> Copies:
    """Return what verify.json's content, the tools' deliveries and the looks at slots say.

    `plans` are the shortest intervals, in seconds, that tools' plans allow, where a card has one.
    """
    tools = verified.tools
    return Copies(
        right=_right(tools),
        findings=_findings(tools),
        problems=tuple(
            f"{name}: {problem}" for name, tool in tools.items() for problem in tool.problems
        ),
        cases=_cases(tools),
        freshness=_freshness(delivered, plans),
        clocks=_clocks(tools),
        slots=_slots(slots),
    )


def _right(tools: Mapping[str, ToolVerification]) -> Table:
    rows = [
        (
            name,
            tool.verdict,
            text.count(tool.rows),
            text.kinds(tool.totals),
            text.kinds(tool.late),
            text.count(tool.in_flight),
            tool.at,
        )
        for name, tool in tools.items()
    ]
    columns = ("tool", "verdict", "rows compared", "found", "late", "in flight", "checked at")
    numbers = {"rows compared", "in flight"}
    return Table(tuple(Column(name, name in numbers) for name in columns), tuple(rows))


def _findings(tools: Mapping[str, ToolVerification]) -> Table:
    rows = [
        (
            name,
            finding.kind,
            finding.table,
            finding.key,
            finding.column or "",
            text.NOTHING if finding.source is None else finding.source,
            text.NOTHING if finding.destination is None else finding.destination,
        )
        for name, tool in tools.items()
        for finding in tool.findings[:_FINDINGS]
    ]
    columns = ("tool", "kind", "table", "key", "column", "source", "destination")
    return Table(tuple(Column(name) for name in columns), tuple(rows))


def _cases(tools: Mapping[str, ToolVerification]) -> Table:
    """Return what became of each hard case in each copy; no rows if none was tried."""
    checked = {name: tool.cases for name, tool in tools.items() if tool.cases}
    tried = any(
        case.verdict != "not tried" for of_tool in checked.values() for case in of_tool.values()
    )
    rows = [
        (name, *(_case(of_tool[name]) for of_tool in checked.values()), expected.because)
        for name, expected in cases.expectations().items()
        if tried and all(name in of_tool for of_tool in checked.values())
    ]
    columns = ("hard case", *checked, "what it asks of a tool")
    return Table(tuple(Column(name) for name in columns), tuple(rows))


def _case(case: CaseOutcome) -> str:
    verdict, example = cases.said(case), cases.example(case)
    return f"{verdict}; {example}" if example else verdict


def _freshness(delivered: Mapping[str, Deliveries], plans: Mapping[str, float]) -> Table:
    rows = []
    for tool, found in delivered.items():
        waits = [
            row.poll_seconds or 0.0 for row in found.markers if row.delivery_seconds is not None
        ]
        times = (
            found.quantile(0.5),
            found.p95,
            found.quantile(0.99, FEWEST_FOR_P99),
            found.quantile(1.0),
            median(waits) if waits else None,
        )
        counts = (
            text.count(len(found.seconds)),
            text.count(found.not_seen),
            text.duration(found.oldest_unseen),
        )
        plan = (text.duration(plans.get(tool)),) if plans else ()
        rows.append((tool, *counts, *map(text.latency, times), *plan))
    columns = (
        "tool",
        "delivered",
        "not seen",
        "oldest unseen",
        "p50",
        "p95",
        "p99",
        "longest",
        "of it our own wait",
        *(("shortest interval of its plan",) if plans else ()),
    )
    return Table(tuple(Column(name, name != "tool") for name in columns), tuple(rows))


def _clocks(tools: Mapping[str, ToolVerification]) -> str:
    """Return how far the source's clock is from this machine's, and those of the destinations."""
    offsets: dict[str, ClockOffset] = {}
    for name, tool in tools.items():
        if "source" in tool.clocks:
            offsets["the source's"] = tool.clocks["source"]
        if "destination" in tool.clocks:
            offsets[f"{name}'s"] = tool.clocks["destination"]
    return "; ".join(f"{whose} is {_offset(clock)}" for whose, clock in offsets.items())


def _offset(clock: ClockOffset) -> str:
    ahead, within = clock.ahead_seconds, clock.within_seconds
    if abs(ahead) <= within:
        return f"the same, to {text.latency(within)}"
    side = "ahead" if ahead > 0 else "behind"
    return f"{text.latency(abs(ahead))} {side}, to {text.latency(within)}"


@dataclass(slots=True)
class _Slot:
    """What a slot came to over the run."""

    looks: int = 0
    unread: int = 0
    kept: int = 0
    behind: int = 0
    statuses: dict[str, None] = field(default_factory=dict)  # in the order in which they came

    def add(self, row: SlotSample) -> None:
        self.looks += 1
        self.unread += not row.active
        self.kept = max(self.kept, row.retained_bytes or 0)
        self.behind = max(self.behind, row.confirmed_lag_bytes or 0)
        self.statuses[row.wal_status] = None


def _slots(samples: Iterable[SlotSample]) -> Table:
    found: dict[str, _Slot] = defaultdict(_Slot)
    for row in samples:
        found[row.slot].add(row)
    rows = [
        (
            name,
            text.size(slot.kept),
            text.size(slot.behind),
            text.share(slot.unread, slot.looks),
            ", ".join(slot.statuses),
        )
        for name, slot in found.items()
    ]
    columns = ("slot", "most WAL kept", "furthest behind", "looks when nobody read it", "status")
    numbers = set(columns[1:4])
    return Table(tuple(Column(name, name in numbers) for name in columns), tuple(rows))
