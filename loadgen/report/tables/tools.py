"""The report's tables about the tools: correctness, freshness, recovery, slots, use.

They come from verify.json, freshness.csv, the journal, slots.csv and tools.csv; report.html and
report.md show the same tables.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from statistics import median
from types import MappingProxyType
from typing import Final

from loadgen import text
from loadgen.record.rows import SlotSample
from loadgen.record.run import JournalEvent
from loadgen.record.verify import (
    KINDS,
    CaseOutcome,
    ClockOffset,
    Kind,
    ToolVerification,
    Verification,
)
from loadgen.report.analysis.deliveries import FEWEST_FOR_P99, Deliveries, Outage
from loadgen.report.analysis.local_use import LocalUse
from loadgen.text import NOTHING, Column, Table
from loadgen.verify import cases
from loadgen.verify.findings import STORED_FINDINGS, few_of_each_sort

_SHOWN_FINDINGS: Final = 12  # of a tool
_OF_A_SORT: Final = 3  # of a table, kind and column
_SHOWN_SETBACKS: Final = 100
_NO_PLANS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Copies:
    """The facts about the tools' copies and slots; a table without rows is not shown."""

    verdicts: Table
    by_table: Table
    findings: Table
    problems: tuple[str, ...]
    cases: Table
    freshness: Table
    clocks: str  # a sentence, "" if none was read
    first_copies: Table
    outages: Table
    setbacks: Table
    slots: Table
    use: Table  # of processor, memory and disk by local tools

    def __bool__(self) -> bool:
        """Tell whether anything is known of a copy or a slot."""
        return bool(self.verdicts.rows or self.freshness.rows or self.slots.rows)

    @property
    def has_recovery(self) -> bool:
        """Whether there is a first copy, an outage or a setback to show."""
        return bool(self.first_copies.rows or self.outages.rows or self.setbacks.rows)


def copies_of(
    verified: Verification,
    delivered: Mapping[str, Deliveries],
    slots: Iterable[SlotSample] = (),
    use: Mapping[str, LocalUse] = MappingProxyType({}),
    *,
    plans: Mapping[str, float] = _NO_PLANS,
    journal: Sequence[JournalEvent] = (),
) -> Copies:
    """Return the tables.

    `plans` has the shortest interval, in seconds, of each tool whose plan limits it.
    """
    tools = verified.tools
    return Copies(
        verdicts=_verdicts(tools),
        by_table=_by_table(tools),
        findings=_findings(tools),
        problems=tuple(
            f"{name}: {problem}" for name, tool in tools.items() for problem in tool.problems
        ),
        cases=_cases(tools),
        freshness=_freshness(delivered, plans),
        clocks=_clocks(tools),
        first_copies=_first_copies(tools),
        outages=_outages(delivered),
        setbacks=_setbacks(journal),
        slots=_slots(slots),
        use=_use(use),
    )


def _table(
    labels: Sequence[str], rows: Iterable[tuple[str, ...]], numbers: Collection[str] = ()
) -> Table:
    return Table(tuple(Column(label, label in numbers) for label in labels), tuple(rows))


def _verdicts(tools: Mapping[str, ToolVerification]) -> Table:
    rows = (
        (
            name,
            tool.verdict,
            text.count(tool.rows),
            text.kinds(tool.totals),
            text.kinds(tool.late),
            text.count(tool.in_flight),
            text.moment(datetime.fromisoformat(tool.at)) if tool.at else NOTHING,
        )
        for name, tool in tools.items()
    )
    labels = ("tool", "verdict", "rows compared", "found", "late", "in flight", "checked at")
    return _table(labels, rows, {"rows compared", "in flight"})


def _by_table(tools: Mapping[str, ToolVerification]) -> Table:
    """Return how many findings of each kind each table has; verify.json keeps only the first."""
    counts = Counter(
        (name, finding.table, finding.kind)
        for name, tool in tools.items()
        for finding in tool.findings
    )
    kinds = [kind for kind in KINDS if any(kind == counted for _, _, counted in counts)]

    def cell(name: str, table: str, kind: Kind) -> str:
        number = counts[name, table, kind]
        if not number:
            return NOTHING
        whole = tools[name].totals.get(kind, 0)
        in_other_tables = sum(
            n
            for (tool, other, counted), n in counts.items()
            if tool == name and counted == kind and other != table
        )
        capped = number >= STORED_FINDINGS and whole > number + in_other_tables
        return f"{text.count(number)} or more" if capped else text.count(number)

    places = dict.fromkeys((name, table) for name, table, _ in counts)
    rows = ((name, table, *(cell(name, table, kind) for kind in kinds)) for name, table in places)
    labels = [kind.replace("_", " ") for kind in kinds]
    return _table(("tool", "table", *labels), rows, labels)


def _findings(tools: Mapping[str, ToolVerification]) -> Table:
    rows = (
        (
            name,
            finding.kind,
            finding.table,
            finding.key,
            finding.column or "",
            NOTHING if finding.source is None else finding.source,
            NOTHING if finding.destination is None else finding.destination,
        )
        for name, tool in tools.items()
        for finding in islice(few_of_each_sort(tool.findings, _OF_A_SORT), _SHOWN_FINDINGS)
    )
    return _table(("tool", "kind", "table", "key", "column", "source", "destination"), rows)


def _cases(tools: Mapping[str, ToolVerification]) -> Table:
    """Return the outcome of each hard case in each copy; no rows if none was tried."""
    checked = {name: tool.cases for name, tool in tools.items() if tool.cases}
    tried = any(case.verdict != "not tried" for tool in checked.values() for case in tool.values())
    rows = (
        (name, *(_case(tool[name]) for tool in checked.values()), expected.because)
        for name, expected in cases.expectations().items()
        if tried and all(name in tool for tool in checked.values())
    )
    return _table(("hard case", *checked, "what it asks of a tool"), rows)


def _case(case: CaseOutcome) -> str:
    verdict, example = cases.case_text(case), cases.case_example(case)
    return f"{verdict}; {example}" if example else verdict


def _freshness(delivered: Mapping[str, Deliveries], plans: Mapping[str, float]) -> Table:
    rows = []
    for tool, deliveries in delivered.items():
        polls = [
            marker.poll_seconds or 0.0
            for marker in deliveries.markers
            if marker.delivery_seconds is not None
        ]
        counts = (
            text.count(len(deliveries.seconds)),
            text.count(deliveries.not_seen),
            text.duration(deliveries.oldest_unseen),
        )
        times = (
            deliveries.quantile(0.5),
            deliveries.p95,
            deliveries.quantile(0.99, FEWEST_FOR_P99),
            deliveries.quantile(1.0),
            median(polls) if polls else None,
        )
        plan = (text.duration(plans.get(tool)),) if plans else ()
        rows.append((tool, *counts, *map(text.latency, times), *plan))
    numbers = (
        "delivered", "not seen", "oldest unseen", "p50", "p95", "p99", "longest",
        "of it our own wait", *(("shortest interval of its plan",) if plans else ()),
    )  # fmt: skip
    return _table(("tool", *numbers), rows, numbers)


def _clocks(tools: Mapping[str, ToolVerification]) -> str:
    """Return how far the source's clock is from this machine's, and those of the destinations."""
    offsets: dict[str, ClockOffset] = {}
    for name, tool in tools.items():
        if "source" in tool.clocks:
            offsets["the source's"] = tool.clocks["source"]
        if "destination" in tool.clocks:
            offsets[f"{name}'s"] = tool.clocks["destination"]
    return "; ".join(f"{clock} is {_offset(offset)}" for clock, offset in offsets.items())


def _offset(offset: ClockOffset) -> str:
    ahead, within = offset.ahead_seconds, offset.within_seconds
    if abs(ahead) <= within:
        return f"the same, to {text.latency(within)}"
    side = "ahead" if ahead > 0 else "behind"
    return f"{text.latency(abs(ahead))} {side}, to {text.latency(within)}"


def _first_copies(tools: Mapping[str, ToolVerification]) -> Table:
    rows = []
    for name, tool in tools.items():
        if (sync := tool.initial_sync) is None:
            continue
        first_row = None
        if sync.first_row_at is not None:
            first_row = (sync.first_row_at - sync.began_at).total_seconds()
        rows.append(
            (
                name,
                text.moment(sync.began_at),
                text.duration(first_row),
                text.duration(sync.seconds),
                text.count(sync.rows),
                text.count(round(sync.rows_per_second)) if sync.seconds else NOTHING,
            )
        )
    numbers = ("first row after", "all after", "rows", "rows a second")
    return _table(("tool", "began", *numbers), rows, numbers)


def _outages(delivered: Mapping[str, Deliveries]) -> Table:
    rows: list[tuple[str, ...]] = []
    for tool, deliveries in delivered.items():
        outages = deliveries.outages()
        if not outages:
            reason = "too few deliveries to tell" if outages is None else "never"
            rows.append((tool, reason, *[NOTHING] * 3))
        else:
            rows += ((tool, *_outage(outage)) for outage in outages)
    numbers = ("for", "a row waited", "caught up after")
    return _table(("tool", "outage from", *numbers), rows, numbers)


def _outage(outage: Outage) -> tuple[str, ...]:
    length, caught_up = "the rest of the run", NOTHING
    if outage.resumed is not None:
        length = text.duration((outage.resumed - outage.began).total_seconds())
        caught_up = "not by the end"
        if outage.caught_up is not None:
            seconds = (outage.caught_up - outage.resumed).total_seconds()
            caught_up = text.duration(seconds) if seconds else "at once"
    waited = text.duration(outage.oldest.total_seconds())
    return (text.moment(outage.began), length, waited, caught_up)


def _setbacks(journal: Sequence[JournalEvent]) -> Table:
    """Return each time that a copy no longer showed markers that it had shown."""
    rows = _setback_rows(journal)
    shown = list(islice(rows, _SHOWN_SETBACKS))
    if more := sum(1 for _ in rows):
        shown.append(("…", f"{text.count(more)} more", "", "", "they are in run.json"))
    numbers = ("from marker", "to", "there again after")
    return _table(("tool", "went back at", *numbers), shown, numbers)


def _setback_rows(journal: Sequence[JournalEvent]) -> Iterator[tuple[str, ...]]:
    not_there_again: dict[object, JournalEvent] = {}
    for event in journal:
        tool = event.details.get("tool")
        if event.kind == "copy_went_back":
            not_there_again.setdefault(tool, event)  # a second watch reports it again
        elif event.kind == "copy_there_again" and tool in not_there_again:
            began = not_there_again.pop(tool)
            yield _setback(began, text.duration((event.at - began.at).total_seconds()))
    for began in not_there_again.values():
        yield _setback(began, "not by the end")


def _setback(event: JournalEvent, until: str) -> tuple[str, ...]:
    details = event.details
    if "count" in details:
        until = f"{details['count']} times until {details.get('until')}"
    tool, newest, shows = (details.get(key) for key in ("tool", "newest", "shows"))
    return (str(tool), text.moment(event.at), str(newest), str(shows or "none"), until)


@dataclass(slots=True)
class _Slot:
    """A slot's extremes over the run."""

    looks: int = 0
    inactive: int = 0
    retained_bytes: int = 0
    lag_bytes: int = 0
    statuses: dict[str, None] = field(default_factory=dict)  # in the order of their appearance

    def add(self, sample: SlotSample) -> None:
        self.looks += 1
        self.inactive += not sample.active
        self.retained_bytes = max(self.retained_bytes, sample.retained_bytes or 0)
        self.lag_bytes = max(self.lag_bytes, sample.confirmed_lag_bytes or 0)
        self.statuses[sample.wal_status] = None


def _slots(samples: Iterable[SlotSample]) -> Table:
    slots: dict[str, _Slot] = defaultdict(_Slot)
    for sample in samples:
        slots[sample.slot].add(sample)
    rows = (
        (
            name,
            text.size(slot.retained_bytes),
            text.size(slot.lag_bytes),
            text.share(slot.inactive, slot.looks),
            ", ".join(slot.statuses),
        )
        for name, slot in slots.items()
    )
    numbers = ("most WAL kept", "furthest behind", "looks when it was inactive")
    return _table(("slot", *numbers, "status"), rows, numbers)


def _use(tools: Mapping[str, LocalUse]) -> Table:
    rows = (
        (
            name,
            text.duration(use.cpu_seconds),
            text.quantity(use.processors),
            text.size(use.resident_bytes),
            text.size(use.read_bytes),
            text.size(use.written_bytes),
        )
        for name, use in tools.items()
    )
    numbers = (
        *("processor time", "processors used", "most memory"),
        *("read from disk", "written to disk"),
    )
    return _table(("tool", *numbers), rows, numbers)
