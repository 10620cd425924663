"""The watch's metrics for Prometheus: the latest observation of the source, as it is asked for.

Names, types and labels are a contract (docs/metrics.md). Slots are few and named by people, tables
are three, tools those of tools.toml: labels are bounded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from loadgen.prometheus import counter, gauge, histogram
from loadgen.source.observe import Observation, Slot
from loadgen.watch.last_results import LastResults
from loadgen.watch.marker_writer import MarkerFacts, ToolFacts

_STATUSES: Final = ("reserved", "extended", "unreserved", "lost")


@dataclass(frozen=True, slots=True)
class WatchState:
    """One moment of the watch; `observation` is None while the source is away.

    `run_id` is empty where no run goes on, `markers` None where none are written; `kept` is the
    newest run's, also after its end.
    """

    observation: Observation | None
    run_id: str
    markers: MarkerFacts | None
    kept: LastResults = field(default_factory=LastResults)


class WatchCollector(Collector):
    """Reads the watch's state when Prometheus asks; `read` gives None where there is none."""

    def __init__(self, read: Callable[[], WatchState | None]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield every family, also those without a value."""
        state = self._read()
        found = state.observation if state else None
        yield gauge("source_up", "whether the source answers", (), [((), float(found is not None))])
        yield from _slots(found.slots if found else ())
        yield from _source(found)
        yield from _tables(found)
        markers = state.markers if state else None
        written = [((), float(markers.written))] if markers else []
        yield counter("markers", "marker rows written and committed", (), written)
        yield from _tools(markers.tools if markers else ())
        yield from _kept(state.kept if state else LastResults())
        info = [((state.run_id,), 1.0)] if state and state.run_id else []
        yield gauge("run_info", "the run whose folder is written to", ("run_id",), info)


def _slots(slots: Sequence[Slot]) -> Iterator[Metric]:
    for name, text in (
        ("retained_bytes", "WAL that the server keeps for a slot"),
        ("confirmed_lag_bytes", "WAL that a slot's reader has not confirmed"),
        ("safe_wal_bytes", "WAL until a slot may be lost, where the server has a limit"),
        ("inactive_seconds", "how long nobody has read a slot (Postgres 17 and newer)"),
        ("active", "whether somebody reads a slot"),
    ):
        values = [((s.slot,), float(v)) for s in slots if (v := getattr(s, name)) is not None]
        yield gauge(f"slot_{name}", text, ("slot",), values)
    statuses = [
        ((s.slot, status), float(s.wal_status == status)) for s in slots for status in _STATUSES
    ]
    yield gauge("slot_wal_status", "1 for a slot's status", ("slot", "status"), statuses)
    reasons = [((s.slot, s.invalidation_reason), 1.0) for s in slots if s.invalidation_reason]
    text = "1 for the reason why a slot can't be used any more (Postgres 17 and newer)"
    yield gauge("slot_invalidated", text, ("slot", "reason"), reasons)


def _source(found: Observation | None) -> Iterator[Metric]:
    source = found.source if found else None
    for name, text in (
        ("walsenders", "processes that send WAL to readers"),
        ("connections", "sessions in the database"),
        ("oldest_transaction_seconds", "age of the oldest open transaction"),
        ("xmin_age", "transactions that vacuum has to keep rows for"),
        ("database_bytes", "size of the database"),
    ):
        values = [((), float(getattr(source, name)))] if source else []
        yield gauge(f"source_{name}", text, (), values)
    wal = [((), float(found.source.wal_bytes))] if found else []
    yield counter("source_wal_bytes", "WAL written by the server", (), wal)
    checkpoints = [((), float(found.checkpoints))] if found else []
    yield counter("source_checkpoints", "checkpoints made", (), checkpoints)


def _tables(found: Observation | None) -> Iterator[Metric]:
    tables = found.tables if found else ()
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


def _kept(kept: LastResults) -> Iterator[Metric]:
    for metric, label, values, text in (
        ("findings", "kind", kept.findings, "what the last verification found wrong, by kind"),
        ("destination_rows", "table", kept.rows, "rows at a destination when it was last verified"),
        ("cost_dollars", "component", kept.dollars, "dollars of the run, as far as it is priced"),
    ):
        yield gauge(metric, text, ("tool", label), list(values.items()))
