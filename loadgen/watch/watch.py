"""The watch: observes the source every few seconds, records slots, WAL and local tools.

It is a separate process without gevent, so that a slow query here does not lower the arrival rate
of the load, and it survives restarts of the source and of the load. Observations go to Prometheus
(WATCH_PORT) and, during a run, to its slots.csv and tools.csv. `marker_writer` writes and times the
markers, `consistency` reads conserved sums.
"""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

from loadgen.config.settings import Settings
from loadgen.control import LoadControl
from loadgen.errors import RecordError, SettingsError, SourceError
from loadgen.record.folder import RunRecord, find_run
from loadgen.record.rows import Sample, SlotSample
from loadgen.record.run import Run
from loadgen.record.steady_clock import SteadyClock
from loadgen.source import postgres
from loadgen.source.observe import Observation, current_run, observe, take_lock
from loadgen.tools.readers.marker_probe import MarkerDestination
from loadgen.tools.readers.sums_probe import SumsProbe, source_as_tool
from loadgen.tools.tools_file import Tool
from loadgen.watch.consistency import ConsistencyWatch
from loadgen.watch.last_results import LastResults, LastResultsReader
from loadgen.watch.marker_writer import MarkerWriter
from loadgen.watch.metrics import WatchCollector, WatchState
from loadgen.watch.notifier import Notifier
from loadgen.watch.protection import Protection, dangers
from loadgen.watch.tool_use import ToolUse
from loadgen.web_access import AccessControl
from loadgen.workload.conserved import columns_of
from loadgen.workload.read_model import read_model

_LONGEST_LOOK: Final = 15.0  # seconds, then the source counts as away
_SEGMENT: Final = 16 * 2**20  # bytes of WAL; a crash loses less than that
_SILENT: Final = 60.0  # seconds without a sample after which a run counts as killed


class Watch:
    """One watch of one source; `data_dir` is the server's, if it is on this machine.

    It writes markers and looks for them at the `destinations`, unless that is None. It measures the
    processes of local `tools`, and reads the conserved sums at the copies of all.
    """

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        interval: float,  # seconds between two observations
        data_dir: Path | None = None,
        destinations: Sequence[MarkerDestination] | None = None,
        tools: Sequence[Tool] = (),
    ) -> None:
        self.stopped = threading.Event()
        self._settings = settings
        self._dsn = dsn
        self._interval = interval
        self._data_dir = data_dir
        self._notifier = Notifier()
        self._protection = Protection(settings, self._notifier)
        self._markers: MarkerWriter | None = None
        if destinations is not None:
            self._markers = MarkerWriter(
                dsn,
                LoadControl.of(settings),
                settings.marker_interval_seconds,
                destinations,
                self._notifier,
            )
        self._tool_use = ToolUse(tools, LoadControl.of(settings), self._notifier)
        self._consistency = _consistency_watch(settings, dsn, tools, self._notifier)
        self._latest: Observation | None = None
        self._free_disk_bytes: int | None = None
        self._results_reader = LastResultsReader(settings.reports_dir)
        self._last_results = LastResults()
        self._clock = SteadyClock()  # a new one for each run
        self._wal_bytes = 0  # of the latest observation
        self._record: RunRecord | None = None  # of the current run
        self._connection: psycopg.Connection | None = None

    def run(self) -> None:
        """Watch until `stopped`. Raises PlaygroundError if it can't start.

        Later errors do not end it: each is reported once, and the watch tries again.
        """
        with ExitStack() as at_the_end:
            at_the_end.callback(self._disconnect)
            self._connect()
            at_the_end.callback(self._listen())
            if self._markers is not None:
                at_the_end.callback(self._markers.end)
                self._markers.start()
            if self._consistency is not None:
                at_the_end.callback(self._consistency.end)
                self._consistency.start()
            while True:
                self._watch_once()
                if self.stopped.wait(self._interval):
                    return

    def state(self) -> WatchState:
        """Return the state for the metrics."""
        run_id = self._record.run_id if self._record else ""
        markers = self._markers.facts() if self._markers else None
        return WatchState(
            self._latest,
            run_id,
            markers,
            self._settings.max_slot_retained_bytes,
            self._settings.min_free_disk_bytes,
            self._free_disk_bytes,
            self._last_results,
            self._tool_use.latest,
            self._consistency.counts() if self._consistency else (),
        )

    def _watch_once(self) -> None:
        """Observe the source and the run's folder once."""
        try:
            self._latest = self._observe()
            self._notifier.resolve("source")
        except SourceError as exc:
            self._latest = None
            self._disconnect()
            self._notifier.warn("source", f"{exc}; trying again every {self._interval:g} s")
        try:
            self._follow()
            if self._markers is not None:
                self._markers.follow(self._record)
            if self._consistency is not None:
                self._consistency.follow(self._record)
            run_id = self._record.run_id if self._record else None
            tool_samples = self._tool_use.sample(self._clock.now(), run_id)
            if self._record is not None:
                self._record.append(_slot_samples(self._latest) if self._latest else [])
                self._record.append(tool_samples)
            self._last_results = self._results_reader.read()
            self._notifier.resolve("record")
        except RecordError as exc:
            self._notifier.warn("record", str(exc))
        self._free_disk_bytes = None
        if self._data_dir is not None:
            with suppress(OSError):
                self._free_disk_bytes = shutil.disk_usage(self._data_dir).free
        slots = self._latest.slots if self._latest else ()
        self._protection.check(dangers(slots, self._free_disk_bytes, self._settings))
        self._protection.report_lost(slots)

    def _observe(self) -> Observation:
        if self._connection is None or self._connection.closed:
            self._connect()
        assert self._connection is not None  # noqa: S101 - for the type checker
        with (
            postgres.plain_errors("watching the source"),
            postgres.ended_after(self._connection, _LONGEST_LOOK),
        ):
            observation = observe(self._connection)
        self._wal_bytes = monotonic_wal(observation.source.wal_bytes, self._wal_bytes)
        source = replace(observation.source, wal_bytes=self._wal_bytes)
        return replace(observation, at=self._clock.now(), source=source)

    def _connect(self) -> None:
        self._connection = postgres.connect(self._dsn, application_name="loadgen watch")
        if not take_lock(self._connection):
            self._disconnect()
            raise SourceError(f"another watch observes {postgres.mask(self._dsn)}: stop it first")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _listen(self) -> Callable[[], None]:
        """Serve the metrics; return the function that stops it."""
        settings = self._settings
        registry = CollectorRegistry()
        registry.register(WatchCollector(self.state))
        try:
            server, _ = start_http_server(settings.watch_port, settings.metrics_host, registry)
        except OSError as exc:
            raise SettingsError(
                f"WATCH_PORT: the watch's metrics can't listen on {settings.metrics_host}:"
                f"{settings.watch_port} ({exc.strerror}): set WATCH_PORT to a free port"
            ) from exc
        server.set_app(AccessControl(make_wsgi_app(registry), settings))
        self._notifier.inform(
            f"watching {postgres.mask(self._dsn)} every {self._interval:g} s, metrics at "
            f"http://{settings.metrics_host}:{settings.watch_port}/metrics"
        )

        def close() -> None:
            server.shutdown()
            server.server_close()

        return close

    def _follow(self) -> None:
        """Open the current run's record; runs on other databases are ignored."""
        path = run_under_way(self._settings.reports_dir)
        if path is None:
            self._record = None
        elif self._record is None or self._record.run_id != path.name:
            self._record = RunRecord.open(path) if self._is_ours(path.name) else None
            self._clock = SteadyClock()

    def _is_ours(self, run_id: str) -> bool:
        """Return whether the run writes to the watched database; False while that is unknown."""
        if self._latest is None or self._connection is None:
            return False
        try:
            with postgres.ended_after(self._connection, _LONGEST_LOOK):
                ours = current_run(self._connection) == run_id
        except psycopg.Error:  # the next observation tries again, and reports it
            return False
        if not ours:
            message = f"run {run_id} writes to another database: its record gets nothing from here"
            self._notifier.warn(f"run {run_id}", message)
        return ours


def _consistency_watch(
    settings: Settings, dsn: str, tools: Sequence[Tool], notifier: Notifier
) -> ConsistencyWatch | None:
    """Return what reads the workload's conserved sums; None if it has none, or no tool is there."""
    conserved = read_model(settings.workload).conserved if tools else ()
    if not conserved:
        return None
    columns = columns_of(conserved)
    copies = [SumsProbe(tool, settings, columns) for tool in tools]
    source = SumsProbe(source_as_tool(dsn), settings, columns)
    return ConsistencyWatch(conserved, copies, source, notifier)


def monotonic_wal(wal_bytes: int, before: int) -> int:
    """Return the WAL position as a counter that does not fall after a crash of the server.

    After a crash the position is a little lower. Prometheus would take that for a restart from 0,
    and count all WAL again. A far lower position belongs to another server.
    """
    return before if before - _SEGMENT < wal_bytes < before else wal_bytes


def run_under_way(reports_dir: Path) -> Path | None:
    """Return the folder of the current run: it has not ended, and wrote a sample lately.

    Raises RecordError if it can't be read.
    """
    try:
        path = find_run(reports_dir)
        age = time.time() - (path / Sample.FILE).stat().st_mtime
    except (RecordError, OSError):  # no run, or no sample yet
        return None
    # If the clock was set, the age may be negative or large until the next sample.
    return path if abs(age) < _SILENT and Run.of(path).ended_at is None else None


def _slot_samples(observation: Observation) -> list[SlotSample]:
    return [
        SlotSample(
            observation.at,
            slot.slot,
            slot.active,
            slot.wal_status,
            slot.retained_bytes,
            slot.confirmed_lag_bytes,
            slot.safe_wal_bytes,
            observation.source.wal_bytes,
        )
        for slot in observation.slots
    ]
