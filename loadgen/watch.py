"""The watch: looks at the source every few seconds, keeps what it saw, and protects the source.

A process of its own beside the load, not patched by gevent, so that a slow answer here never dents
the arrival rate there. It outlives restarts of the source and of the load. What it finds goes to
Prometheus (WATCH_PORT) and, while a run goes on, into that run's slots.csv.
"""

import shutil
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from prometheus_client import CollectorRegistry, start_http_server

from loadgen.door_client import DoorError, ask, door_url
from loadgen.errors import RecordError, SettingsError, SourceError
from loadgen.record import RunRecord
from loadgen.record_reader import find_run, load_run
from loadgen.record_rows import SlotSample
from loadgen.settings import Settings
from loadgen.source import postgres
from loadgen.source.observe import Observation, observe, take_lock
from loadgen.watch_metrics import WatchCollector


@dataclass(slots=True)
class Watch:
    """One watch of one source; `data_dir` is the server's, where it is on this machine."""

    settings: Settings
    dsn: str
    interval: float  # seconds
    data_dir: Path | None
    stopped: threading.Event = field(default_factory=threading.Event)
    latest: Observation | None = field(init=False, default=None)
    _run_id: str = field(init=False, default="")
    _connection: psycopg.Connection | None = field(init=False, default=None)
    _said: str = field(init=False, default="")
    _protecting: str = field(init=False, default="")  # what the load was paused for

    def run(self) -> None:
        """Watch until `stopped`. Raises PlaygroundError where it can't begin."""
        self._connect()  # here an error ends it: a wrong address will not get better
        self._listen()
        while True:
            self._look()
            if self.stopped.wait(self.interval):
                return

    def _look(self) -> None:
        """Take one look; a source that is away is said once, and looked for again."""
        try:
            if self._connection is None or self._connection.closed:
                self._connect()
            assert self._connection is not None  # noqa: S101 - for the type checker
            with postgres.plain_errors("watching the source"):
                self.latest = observe(self._connection)
        except SourceError as exc:
            self.latest = None
            if self._connection is not None:
                self._connection.close()
            self._say(f"{exc}; trying again every {self.interval:g} s")
            return
        self._say("")
        self._keep(self.latest)
        self._protect(self.latest)

    def _connect(self) -> None:
        self._connection = postgres.connect(self.dsn, application_name="loadgen watch")
        if not take_lock(self._connection):
            self._connection.close()
            raise SourceError(f"another watch looks at {postgres.mask(self.dsn)}: stop it first")

    def _listen(self) -> None:
        settings = self.settings
        registry = CollectorRegistry()
        registry.register(WatchCollector(lambda: self.latest, lambda: self._run_id))
        try:
            start_http_server(settings.watch_port, settings.metrics_host, registry)
        except OSError as exc:
            raise SettingsError(
                f"WATCH_PORT: the watch's metrics can't listen on {settings.metrics_host}:"
                f"{settings.watch_port} ({exc.strerror}): set WATCH_PORT to a free port"
            ) from exc
        print(
            f"watching {postgres.mask(self.dsn)} every {self.interval:g} s, metrics at "
            f"http://{settings.metrics_host}:{settings.watch_port}/metrics",
            flush=True,
        )

    def _keep(self, found: Observation) -> None:
        """Append to the record of the run that goes on; without one nothing is kept."""
        try:
            run = load_run(find_run(self.settings.reports_dir))
            self._run_id = "" if run.ended_at else run.run_id
            if self._run_id:
                RunRecord.open(run.path).append_slots(_rows(found))
        except RecordError:
            self._run_id = ""

    def _protect(self, found: Observation) -> None:
        """Pause the load where the source is in danger; going on is for a person to say."""
        danger = self._danger(found)
        if danger and not self._protecting:
            try:
                ask(door_url(self.settings), "pause", {"reason": danger, "by": "watch"})
            except DoorError as exc:
                self._say(f"{danger}, but the load could not be paused: {exc}")
                return
            print(f"loadgen: the load is paused: {danger}; `loadgen resume` goes on", flush=True)
        self._protecting = danger

    def _danger(self, found: Observation) -> str:
        most, least = self.settings.max_slot_retained_bytes, self.settings.min_free_disk_bytes
        for slot in found.slots:
            if slot.retained_bytes is not None and slot.retained_bytes > most:
                return (
                    f"slot {slot.slot} retains {slot.retained_bytes:,} bytes of WAL, more than "
                    f"MAX_SLOT_RETAINED_BYTES={most:,}"
                )
        if self.data_dir is not None:
            free = shutil.disk_usage(self.data_dir).free
            if free < least:
                return f"{free:,} bytes of disk are left, less than MIN_FREE_DISK_BYTES={least:,}"
        return ""

    def _say(self, text: str) -> None:
        """Say something once, not at every look."""
        if text and text != self._said:
            print(f"loadgen: warning: {text}", file=sys.stderr, flush=True)
        self._said = text


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
