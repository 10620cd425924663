"""The watch's metrics for Prometheus, from its latest observation of the source.

Names, types and labels are a contract (docs/metrics.md). Labels are bounded: slots are few, tables
are those of the workload, tools those of tools.toml.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from loadgen.prometheus import counter, gauge, histogram
from loadgen.record.rows import ToolSample
from loadgen.source.observe import Observation, Slot
from loadgen.watch.consistency import ReadCounts
from loadgen.watch.last_results import LastResults
from loadgen.watch.marker_writer import MarkerFacts, ToolFacts

_STATUSES: Final = ("reserved", "extended", "unreserved", "lost")


@dataclass(frozen=True, slots=True)
class WatchState:
    """The watch's state at one moment; `observation` is None while the source is away.

    `run_id` is empty between runs, `markers` is None if the watch writes none. `last_results` are
    the newest run's, also after its end. `free_disk_bytes` are known of the embedded server;
    the limits are those of the settings, at which the watch pauses the load.
    """

    observation: Observation | None
    run_id: str
    markers: MarkerFacts | None
    slot_limit_bytes: int
    disk_limit_bytes: int
    free_disk_bytes: int | None = None
    last_results: LastResults = field(default_factory=LastResults)
    tool_use: Sequence[ToolSample] = ()
    sums: Sequence[ReadCounts] = ()


class WatchCollector(Collector):
    """Reads the watch's state at each scrape; `read` may return None."""

    def __init__(self, read: Callable[[], WatchState | None]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family, also those without a sample."""
        state = self._read()
        observation = state.observation if state else None
        is_up = float(observation is not None)
        yield gauge("source_up", "whether the source answers", (), [((), is_up)])
        yield from _slots(observation.slots if observation else ())
        yield from _source(observation)
        yield from _limits(state)
        yield from _tables(observation)
        markers = state.markers if state else None
        written = [((), float(markers.written))] if markers else []
        yield counter("markers", "marker rows written and committed", (), written)
        yield from _tools(markers.tools if markers else ())
        yield from _sums(state.sums if state else ())
        yield from _tool_use(state.tool_use if state else ())
        yield from _last_results(state.last_results if state else LastResults())
        run = [((state.run_id,), 1.0)] if state and state.run_id else []
        yield gauge("run_info", "the run whose folder is written to", ("run_id",), run)


def _slots(slots: Sequence[Slot]) -> Iterator[Metric]:
    for name, text in (
        ("retained_bytes", "WAL that the server keeps for a slot"),
        ("confirmed_lag_bytes", "WAL that a slot's reader has not confirmed"),
        ("safe_wal_bytes", "WAL until a slot may be lost, if the server has a limit"),
        ("inactive_seconds", "how long a slot has been inactive (Postgres 17 and newer)"),
        ("active", "whether a slot has an active reader"),
    ):
        values = [((s.slot,), float(v)) for s in slots if (v := getattr(s, name)) is not None]
        yield gauge(f"slot_{name}", text, ("slot",), values)
    statuses = [
        ((s.slot, status), float(s.wal_status == status)) for s in slots for status in _STATUSES
    ]
    yield gauge("slot_wal_status", "1 for a slot's status", ("slot", "status"), statuses)
    reasons = [((s.slot, s.invalidation_reason), 1.0) for s in slots if s.invalidation_reason]
    text = "1 for the reason why a slot is invalid (Postgres 17 and newer)"
    yield gauge("slot_invalidated", text, ("slot", "reason"), reasons)


def _source(observation: Observation | None) -> Iterator[Metric]:
    source = observation.source if observation else None
    for name, text in (
        ("walsenders", "processes that send WAL to readers"),
        ("connections", "sessions in the database"),
        ("oldest_transaction_seconds", "age of the oldest open transaction"),
        ("xmin_age", "transactions that vacuum has to keep rows for"),
        ("database_bytes", "size of the database"),
    ):
        values = [((), float(getattr(source, name)))] if source else []
        yield gauge(f"source_{name}", text, (), values)
    wal = [((), float(source.wal_bytes))] if source else []
    yield counter("source_wal_bytes", "WAL written by the server", (), wal)
    checkpoints = [((), float(observation.checkpoints))] if observation else []
    yield counter("source_checkpoints", "checkpoints made", (), checkpoints)


def _limits(state: WatchState | None) -> Iterator[Metric]:
    for metric, name, text in (
        ("slot_retained_limit_bytes", "slot_limit_bytes", "MAX_SLOT_RETAINED_BYTES"),
        ("source_free_disk_bytes", "free_disk_bytes", "free disk of the embedded server"),
        ("source_free_disk_limit_bytes", "disk_limit_bytes", "MIN_FREE_DISK_BYTES"),
    ):
        number = getattr(state, name) if state else None
        yield gauge(metric, text, (), [] if number is None else [((), float(number))])


def _tables(observation: Observation | None) -> Iterator[Metric]:
    tables = observation.tables if observation else ()
    for metric, name, text in (
        ("rows", "rows", "rows of a table, estimated by the server"),
        ("dead_rows", "dead_rows", "rows that vacuum has not removed yet, estimated"),
        ("table_bytes", "bytes", "size of a table with its indexes"),
    ):
        values = [((table.name,), float(getattr(table, name))) for table in tables]
        yield gauge(f"source_{metric}", text, ("table",), values)


def _tools(tools: Sequence[ToolFacts]) -> Iterator[Metric]:
    for metric, name, text in (
        ("destination_up", "up", "whether a tool's destination answers"),
        ("markers_unseen", "unseen", "markers that a tool has not delivered"),
        ("freshness_seconds", "freshness", "age of the newest marker at a tool's destination"),
    ):
        values = [((t.name,), float(v)) for t in tools if (v := getattr(t, name)) is not None]
        yield gauge(metric, text, ("tool",), values)
    text = "from a marker's commit to its sighting at a tool's destination"
    delivered = [((tool.name,), tool.deliveries, tool.delivery_seconds) for tool in tools]
    yield histogram("delivery_seconds", text, ("tool",), delivered)


def _sums(counts: Sequence[ReadCounts]) -> Iterator[Metric]:
    for name, field_, text in (
        ("consistency_reads", "reads", "reads of a copy's conserved sums during a run"),
        ("torn_reads", "torn", "reads of a copy in which conserved sums did not agree"),
    ):
        values = [((each.tool,), float(getattr(each, field_))) for each in counts]
        yield counter(name, text, ("tool",), values)


def _tool_use(samples: Sequence[ToolSample]) -> Iterator[Metric]:
    resident = [((s.tool,), float(s.resident_bytes)) for s in samples]
    text = "memory of a local tool's processes, shared pages counted once"
    yield gauge("tool_resident_bytes", text, ("tool",), resident)
    for name, text in (
        ("cpu_seconds", "processor time of a local tool's processes"),
        ("read_bytes", "bytes that a local tool's processes read from the disk"),
        ("written_bytes", "bytes that a local tool's processes wrote to the disk"),
    ):
        values = [((s.tool,), float(v)) for s in samples if (v := getattr(s, name)) is not None]
        yield counter(f"tool_{name}", f"{text}, since the watch began", ("tool",), values)


def _last_results(results: LastResults) -> Iterator[Metric]:
    for metric, label, values, text in (
        ("findings", "kind", results.findings, "findings of the last verification, by kind"),
        ("destination_rows", "table", results.rows, "rows at a destination at its last check"),
        ("cost_dollars", "component", results.dollars, "priced dollars of the run"),
    ):
        yield gauge(metric, text, ("tool", label), list(values.items()))
