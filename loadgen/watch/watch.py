"""The watch: looks at the source every few seconds, keeps what it saw, and protects the source.

A process of its own beside the load, not patched by gevent, so that a slow answer here never dents
the arrival rate there. It outlives restarts of the source and of the load. What it finds goes to
Prometheus (WATCH_PORT) and, while a run goes on, into that run's slots.csv; markers and their
sightings are `marking`'s.
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
from loadgen.record.reader import find_run, load_run
from loadgen.record.rows import Sample, SlotSample
from loadgen.record.writer import RunRecord
from loadgen.source import postgres
from loadgen.source.observe import Observation, current_run, observe, take_lock
from loadgen.steady_clock import SteadyClock
from loadgen.tools.readers.marker_probe import Destination
from loadgen.watch.last_results import LastResults, LastResultsReader
from loadgen.watch.marker_writer import MarkerWriter
from loadgen.watch.metrics import WatchCollector, WatchState
from loadgen.watch.notices import Notices
from loadgen.watch.protection import Protection, dangers
from loadgen.web_access import AccessControl

_LONGEST_LOOK: Final = 15.0  # seconds, then the source counts as away
_SEGMENT: Final = 16 * 2**20  # bytes of WAL; a crash takes back less than that
_SILENT: Final = 60.0  # seconds without a sample after which a run is not going on: it was killed


class Watch:
    """One watch of one source; `data_dir` is the server's, where it is on this machine.

    Markers are written where `destinations` to look for them at are given, be it none.
    """

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        interval: float,  # seconds between two looks
        data_dir: Path | None = None,
        destinations: Sequence[Destination] | None = None,
    ) -> None:
        self.stopped = threading.Event()
        self._settings = settings
        self._dsn = dsn
        self._interval = interval
        self._data_dir = data_dir
        self._notices = Notices()
        self._protection = Protection(settings, self._notices)
        self._marking: MarkerWriter | None = None
        if destinations is not None:
            every = settings.marker_interval_seconds
            self._marking = MarkerWriter(
                dsn, LoadControl.of(settings), every, destinations, self._notices
            )
        self._latest: Observation | None = None
        self._reader, self._kept = LastResultsReader(settings.reports_dir), LastResults()
        self._clock = SteadyClock()  # a new one for each run
        self._wal_bytes = 0  # of the latest observation that there was
        self._record: RunRecord | None = None  # of the run that goes on
        self._connection: psycopg.Connection | None = None

    def run(self) -> None:
        """Watch until `stopped`. Raises PlaygroundError where it can't begin.

        Later nothing ends it: what is away is said once, and looked for again.
        """
        with ExitStack() as at_the_end:
            at_the_end.callback(self._disconnect)
            self._connect()
            at_the_end.callback(self._listen())
            if self._marking is not None:
                at_the_end.callback(self._marking.end)
                self._marking.start()
            while True:
                self._look()
                if self.stopped.wait(self._interval):
                    return

    def state(self) -> WatchState:
        """Return what the metrics show."""
        run_id = self._record.run_id if self._record else ""
        markers = self._marking.facts() if self._marking else None
        return WatchState(self._latest, run_id, markers, self._kept)

    def _look(self) -> None:
        """Take one look at the source and at the run."""
        try:
            self._latest = self._observed()
            self._notices.over("source")
        except SourceError as exc:
            self._latest = None
            self._disconnect()
            self._notices.warn("source", f"{exc}; trying again every {self._interval:g} s")
        try:
            self._follow()
            if self._marking is not None:
                self._marking.follow(self._record)
            if self._record is not None and self._latest is not None:
                self._record.append_slots(_rows(self._latest))
            self._kept = self._reader.read()
            self._notices.over("record")
        except RecordError as exc:
            self._notices.warn("record", str(exc))
        free = None
        if self._data_dir is not None:
            with suppress(OSError):
                free = shutil.disk_usage(self._data_dir).free
        slots = self._latest.slots if self._latest else ()
        self._protection.check(dangers(slots, free, self._settings))
        self._protection.tell_lost(slots)

    def _observed(self) -> Observation:
        if self._connection is None or self._connection.closed:
            self._connect()
        assert self._connection is not None  # noqa: S101 - for the type checker
        with (
            postgres.plain_errors("watching the source"),
            postgres.ended_after(self._connection, _LONGEST_LOOK),
        ):
            found = observe(self._connection)
        self._wal_bytes = never_back(found.source.wal_bytes, self._wal_bytes)
        source = replace(found.source, wal_bytes=self._wal_bytes)
        return replace(found, at=self._clock.now(), source=source)

    def _connect(self) -> None:
        self._connection = postgres.connect(self._dsn, application_name="loadgen watch")
        if not take_lock(self._connection):
            self._disconnect()
            raise SourceError(f"another watch looks at {postgres.mask(self._dsn)}: stop it first")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _listen(self) -> Callable[[], None]:
        """Serve the metrics; return what ends that."""
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
        self._notices.say(
            f"watching {postgres.mask(self._dsn)} every {self._interval:g} s, metrics at "
            f"http://{settings.metrics_host}:{settings.watch_port}/metrics"
        )

        def close() -> None:
            server.shutdown()
            server.server_close()

        return close

    def _follow(self) -> None:
        """Find the run that goes on; one that writes to another database is none of ours."""
        path = run_under_way(self._settings.reports_dir)
        if path is None:
            self._record = None
        elif self._record is None or self._record.run_id != path.name:
            self._record = RunRecord.open(path) if self._is_ours(path.name) else None
            self._clock = SteadyClock()

    def _is_ours(self, run_id: str) -> bool:
        """Whether the run writes to the database that is watched; False while that is not known."""
        if self._latest is None or self._connection is None:
            return False
        try:
            with postgres.ended_after(self._connection, _LONGEST_LOOK):
                ours = current_run(self._connection) == run_id
        except psycopg.Error:  # asked again at the next look, which says so
            return False
        if not ours:
            text = f"run {run_id} writes to another database: its record gets nothing from here"
            self._notices.warn(f"run {run_id}", text)
        return ours


def never_back(wal_bytes: int, before: int) -> int:
    """Return the WAL written so far as a counter that does not fall where a server has crashed.

    It begins again a little before where it was; Prometheus would take that for a restart from 0,
    and all that was ever written for new. Further back is another server.
    """
    return before if before - _SEGMENT < wal_bytes < before else wal_bytes


def run_under_way(reports_dir: Path) -> Path | None:
    """Return the folder of the run that goes on: not ended, and it wrote a sample lately.

    Raises RecordError where there is one that can't be read.
    """
    try:
        path = find_run(reports_dir)
        age = time.time() - (path / Sample.FILE).stat().st_mtime
    except (RecordError, OSError):  # no run, or no sample yet
        return None
    # In the future, or long ago, only if the clock was set: the next sample tells.
    return path if abs(age) < _SILENT and load_run(path).ended_at is None else None


def _rows(found: Observation) -> list[SlotSample]:
    return [
        SlotSample(
            found.at,
            slot.slot,
            slot.active,
            slot.wal_status,
            slot.retained_bytes,
            slot.confirmed_lag_bytes,
            slot.safe_wal_bytes,
            found.source.wal_bytes,
        )
        for slot in found.slots
    ]
