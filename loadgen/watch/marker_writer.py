"""Writes a marker at a fixed interval, and polls each tool's destination for it.

One thread writes, and one polls each destination, so that a slow destination delays neither the
others nor the watch. A marker is recorded in the run's markers.csv at once, for each tool that
should deliver it, and its sighting in freshness.csv. An unseen marker gets a row there when polling
ends. A watch that starts during a run finds earlier markers in the source, by key.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import psycopg

from loadgen.control import ControlError, LoadControl
from loadgen.errors import DestinationError, PlaygroundError, RecordError, SourceError
from loadgen.record.folder import RunRecord
from loadgen.record.rows import ExpectedMarker, MarkerSample, read_deliveries
from loadgen.record.steady_clock import SteadyClock
from loadgen.report.analysis.deliveries import seen_text
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.source.markers import Marker, find_markers, write_marker
from loadgen.tools.readers.marker_probe import MarkerDestination
from loadgen.watch.marker_reader import CopyRewind, DeliveryHistogram, MarkerPoll, MarkerReader
from loadgen.watch.notifier import Notifier

_LONGEST_WRITE: Final = 30.0  # seconds, the limit of the load's writes too
_JOIN_SECONDS: Final = 5.0  # for a thread to end


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """The metrics of one tool."""

    name: str
    up: bool | None  # None before the first query
    unseen: int
    freshness: float | None  # seconds; None without markers
    deliveries: Sequence[tuple[str, float]]  # cumulative, by upper edge in seconds
    delivery_seconds: float  # their sum


@dataclass(frozen=True, slots=True)
class MarkerFacts:
    """The metrics of markers; `written` counts from the start of the process."""

    written: int
    tools: Sequence[ToolFacts]


@dataclass(slots=True)
class _FollowedRun:
    """The run whose markers are written, or have been written and are still polled for."""

    record: RunRecord
    reader: MarkerReader
    is_running: bool = True
    expected: dict[str, int] = field(default_factory=dict)  # last sequence in markers.csv, by tool


@dataclass(slots=True)
class _WatchedTool:
    destination: MarkerDestination
    up: bool | None = None
    deliveries: DeliveryHistogram = field(default_factory=DeliveryHistogram)

    @property
    def name(self) -> str:
        return self.destination.name


class MarkerWriter:
    """Writes a marker every `interval` seconds during a run, and polls the destinations for it."""

    def __init__(
        self,
        dsn: str,
        control: LoadControl,
        interval: float,
        destinations: Sequence[MarkerDestination],
        notifier: Notifier,
    ) -> None:
        self._dsn = dsn
        self._control = control
        self._interval = interval
        self._notifier = notifier
        self._tools = [_WatchedTool(destination) for destination in destinations]
        self._now = SteadyClock().now  # a new one for each run: the clock may be corrected by then
        self._run: _FollowedRun | None = None
        self._written = 0
        self._connection: psycopg.Connection | None = None
        self._searched: _FollowedRun | None = None  # run whose earlier markers have been read
        self._lock = threading.Lock()  # guards the state that threads share
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._write, name="markers", daemon=True)]
        self._threads += [
            threading.Thread(target=self._poll, args=(tool,), name=tool.name, daemon=True)
            for tool in self._tools
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def follow(self, record: RunRecord | None) -> None:
        """Write markers for this run from now on; None between runs.

        The last run's markers are polled for until another run starts. Raises RecordError.
        """
        with self._lock:
            current = self._run
            if current is not None:
                ends_now = current.is_running and record is None
                current.is_running = record is not None and record.run_id == current.record.run_id
                if ends_now:
                    for tool in self._tools:
                        self._report_deliveries(current, tool)
            if record is not None and (current is None or not current.is_running):
                self._close(current)
                self._run = self._open(record)

    def facts(self) -> MarkerFacts:
        """Return the figures for the metrics."""
        with self._lock:
            tools = [self._facts_of(tool) for tool in self._tools]
            return MarkerFacts(self._written, tools)

    def end(self) -> None:
        """Stop the threads and record unseen markers. Raises RecordError."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_JOIN_SECONDS)
        with self._lock:
            self._close(self._run)
            self._run = None

    def _open(self, record: RunRecord) -> _FollowedRun:
        """Return a run with the markers of its record; unseen ones are polled for again."""
        known = read_deliveries(record.path)
        run = _FollowedRun(record, MarkerReader([tool.name for tool in self._tools], known))
        for marker in ExpectedMarker.read(record.path):
            run.expected[marker.tool] = max(marker.sequence, run.expected.get(marker.tool, 0))
        rows = list(MarkerSample.read(record.path))
        times = [row.seen_at or row.written_at for row in rows]
        self._now = SteadyClock(not_before=max(times, default=None)).now
        sightings = [row for row in rows if row.seen_at is not None]
        if len(sightings) < len(rows):
            record.replace_freshness(sightings)
        return run

    def _close(self, run: _FollowedRun | None) -> None:
        if run is not None:
            for tool in self._tools:
                self._report_deliveries(run, tool)
            self._save(run, [row for t in self._tools for row in run.reader.unseen(t.name)])

    def _report_deliveries(self, run: _FollowedRun, tool: _WatchedTool) -> None:
        """Print how many of the run's markers the tool has delivered."""
        written, unseen = run.reader.last_sequence(), run.reader.unseen(tool.name)
        oldest = (self._now() - unseen[0].written_at).total_seconds() if unseen else None
        deliveries = seen_text(written - len(unseen), written, oldest)
        self._notifier.inform(f"run {run.record.run_id}, tool {tool.name}: {deliveries}")

    def _save(self, run: _FollowedRun, rows: Sequence[MarkerSample] = ()) -> None:
        """Append rows, and the markers that tools have to deliver.

        If the disk is full, the record keeps them for the next attempt.
        """
        for tool in self._tools:
            markers = run.reader.markers_after(run.expected.get(tool.name, 0))
            run.record.buffer(
                ExpectedMarker(tool.name, marker.sequence, marker.written_at) for marker in markers
            )
            run.expected[tool.name] = run.reader.last_sequence()
        run.record.buffer(rows)
        try:  # only these two files: the main thread writes the others
            run.record.write_rows(ExpectedMarker, MarkerSample)
        except RecordError as exc:
            self._notifier.warn("freshness", str(exc))
        else:
            self._notifier.resolve("freshness")

    def _facts_of(self, tool: _WatchedTool) -> ToolFacts:
        run, freshness, unseen = self._run, None, 0
        if run is not None:
            unseen = len(run.reader.unseen(tool.name))
            if run.is_running or unseen:  # otherwise its age means nothing
                freshness = run.reader.freshness(tool.name, self._now())
        times = tool.deliveries
        return ToolFacts(tool.name, tool.up, unseen, freshness, times.buckets(), times.total)

    # The writing thread.

    def _write(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            run = self._run
            if run is None or not run.is_running:
                due = time.monotonic() + min(1.0, self._interval)
                continue
            due = max(due + self._interval, time.monotonic())
            try:
                self._write_marker(run)
                self._notifier.resolve("markers")
            except SourceError as exc:
                self._disconnect()
                due = time.monotonic() + min(1.0, self._interval)
                self._notifier.warn("markers", f"{exc}; markers resume as soon as possible")
        self._disconnect()

    def _write_marker(self, run: _FollowedRun) -> None:
        """Write the next marker, after those that another watch or a lost answer left behind."""
        if self._connection is None:
            self._connection = postgres.connect(self._dsn, application_name="loadgen watch")
        conn, run_id = self._connection, run.record.run_id
        with (
            postgres.plain_errors("writing a marker"),
            first_write(conn, "writing a marker", _LONGEST_WRITE),
        ):
            if self._searched is not run:
                self._read_markers(conn, run)
                self._searched = run
            sequence = run.reader.last_sequence() + 1
            if write_marker(conn, run_id, sequence, self._now()):
                self._add_marker(run, Marker(sequence, self._now()))
                self._written += 1
            elif not self._read_markers(conn, run):
                raise SourceError(f"run {run_id} writes to another database: no marker is written")

    def _read_markers(self, conn: psycopg.Connection, run: _FollowedRun) -> bool:
        """Add markers that are in the source and not known here; return False if there are none."""
        before = run.reader.last_sequence()
        for marker in find_markers(conn, run.record.run_id, before):
            self._add_marker(run, marker)
        return run.reader.last_sequence() > before

    def _add_marker(self, run: _FollowedRun, marker: Marker) -> None:
        with self._lock:
            run.reader.add_marker(marker)
            if run is self._run:
                self._save(run)

    def _disconnect(self) -> None:
        self._searched = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # The threads of destinations, one each.

    def _poll(self, tool: _WatchedTool) -> None:
        queried_at: datetime | None = None
        while not self._stopped.wait(tool.destination.poll_seconds):
            run = self._run
            if run is None or not self._has_unseen(run, tool):
                continue
            previous, queried_at = queried_at, self._now()
            try:
                newest = tool.destination.newest_marker(run.record.run_id)
            except DestinationError as exc:
                tool.up, queried_at = False, previous
                self._notifier.warn(tool.name, f"tool {tool.name}: {exc}; it is queried again")
                continue
            tool.up = True
            self._notifier.resolve(tool.name)
            self._record_poll(run, tool, MarkerPoll(newest, previous, self._now()))
        with suppress(PlaygroundError):
            tool.destination.close()

    def _has_unseen(self, run: _FollowedRun, tool: _WatchedTool) -> bool:
        with self._lock:
            return bool(run.reader.unseen(tool.name))

    def _record_poll(self, run: _FollowedRun, tool: _WatchedTool, poll: MarkerPoll) -> None:
        with self._lock:
            if run is not self._run:
                return  # the run is closed, and its unseen markers are recorded
            rewind = run.reader.check_rewind(tool.name, poll)
            rows = run.reader.record_poll(tool.name, poll)
            for row in rows:
                tool.deliveries.add(row.delivery_seconds or 0.0)
            self._save(run, rows)
        if rewind is not None:
            self._report_rewind(run, tool, rewind)

    def _report_rewind(self, run: _FollowedRun, tool: _WatchedTool, rewind: CopyRewind) -> None:
        """Print and journal that a copy lost markers, or shows them again."""
        if rewind.went_back:
            kind, shows = "copy_went_back", f"marker {rewind.shows}" if rewind.shows else "none"
            change = f"went back from marker {rewind.newest} to {shows}: a re-sync, or lost rows"
        else:
            kind, change = "copy_there_again", f"shows marker {rewind.newest} again"
        self._notifier.inform(f"loadgen: the copy of tool {tool.name} {change}")
        if run.is_running:
            with suppress(ControlError):  # no load, no journal
                entry = {"kind": kind, "tool": tool.name, "newest": rewind.newest}
                self._control.ask("journal", {**entry, "shows": rewind.shows, "by": "watch"})
