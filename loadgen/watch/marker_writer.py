"""Markers at work: writes one every so often, and looks for them at each destination.

Each destination has a thread of its own, and so has the writing: a slow answer of one delays no
other, nor the watch. A marker goes into the run's markers.csv at once, for each tool that is to
deliver it, and a sighting into freshness.csv; a marker that was not seen goes there too when nobody
will look for it any more. A watch that begins during a run finds the markers of the one before it
in the source, by key.
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
from loadgen.record.reader import read_deliveries, read_freshness, read_markers
from loadgen.record.rows import ExpectedMarker, MarkerSample
from loadgen.record.writer import RunRecord
from loadgen.report.analysis.deliveries import seen_text
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.source.markers import Marker, find_markers, write_marker
from loadgen.steady_clock import SteadyClock
from loadgen.tools.readers.marker_probe import Destination
from loadgen.watch.marker_reader import Deliveries, Look, MarkerReader, Turn
from loadgen.watch.notices import Notices

_LONGEST_WRITE: Final = 30.0  # seconds, as the load's own writes
_LAST_WAIT: Final = 5.0  # for a thread to end


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What the metrics show of one tool."""

    name: str
    up: bool | None  # None before it was asked
    unseen: int
    freshness: float | None  # seconds; None where no marker tells
    deliveries: Sequence[tuple[str, float]]  # cumulative, by upper edge in seconds
    delivery_seconds: float  # their sum


@dataclass(frozen=True, slots=True)
class MarkerFacts:
    """What the metrics show of markers; `written` counts from the start of the process."""

    written: int
    tools: Sequence[ToolFacts]


@dataclass(slots=True)
class _Followed:
    """The run whose markers are written, or were and are still looked for."""

    record: RunRecord
    reader: MarkerReader
    goes_on: bool = True
    expected: dict[str, int] = field(default_factory=dict)  # by tool: what markers.csv has


@dataclass(slots=True)
class _Tool:
    destination: Destination
    up: bool | None = None
    deliveries: Deliveries = field(default_factory=Deliveries)

    @property
    def name(self) -> str:
        return self.destination.name


class MarkerWriter:
    """Writes a marker every `interval` seconds while a run is followed, and looks for them."""

    def __init__(
        self,
        dsn: str,
        control: LoadControl,
        interval: float,
        destinations: Sequence[Destination],
        notices: Notices,
    ) -> None:
        self._dsn = dsn
        self._control = control
        self._interval = interval
        self._notices = notices
        self._tools = [_Tool(destination) for destination in destinations]
        self._now = SteadyClock().now  # a new one for each run: the machine's may be right by then
        self._run: _Followed | None = None
        self._written = 0
        self._connection: psycopg.Connection | None = None
        self._searched: _Followed | None = None  # whose markers the source was asked for
        self._lock = threading.Lock()  # of all that the threads share
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._write, name="markers", daemon=True)]
        self._threads += [
            threading.Thread(target=self._look_for, args=(tool,), name=tool.name, daemon=True)
            for tool in self._tools
        ]

    def start(self) -> None:
        """Begin, in the background."""
        for thread in self._threads:
            thread.start()

    def follow(self, record: RunRecord | None) -> None:
        """Write the markers of this run from now on; None where none goes on.

        What the last run wrote is looked for until another begins. Raises RecordError.
        """
        with self._lock:
            current = self._run
            if current is not None:
                ends_now = current.goes_on and record is None
                current.goes_on = record is not None and record.run_id == current.record.run_id
                if ends_now:
                    for tool in self._tools:
                        self._say_seen(current, tool)
            if record is not None and (current is None or not current.goes_on):
                self._close(current)
                self._run = self._begun(record)

    def facts(self) -> MarkerFacts:
        """Return what the metrics show."""
        with self._lock:
            tools = [self._facts_of(tool) for tool in self._tools]
            return MarkerFacts(self._written, tools)

    def end(self) -> None:
        """Stop; what was not seen is written as such. Raises RecordError."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_LAST_WAIT)
        with self._lock:
            self._close(self._run)
            self._run = None

    def _begun(self, record: RunRecord) -> _Followed:
        """Return a run as its record knows it; what was not seen is looked for again."""
        known = read_deliveries(record.path)
        run = _Followed(record, MarkerReader([tool.name for tool in self._tools], known))
        for marker in read_markers(record.path):
            run.expected[marker.tool] = max(marker.sequence, run.expected.get(marker.tool, 0))
        rows = list(read_freshness(record.path))
        times = [row.seen_at or row.written_at for row in rows]
        self._now = SteadyClock(not_before=max(times, default=None)).now
        seen = [row for row in rows if row.seen_at is not None]
        if len(seen) < len(rows):
            record.replace_freshness(seen)
        return run

    def _close(self, run: _Followed | None) -> None:
        if run is not None:
            for tool in self._tools:
                self._say_seen(run, tool)
            self._save(run, [row for t in self._tools for row in run.reader.unseen(t.name)])

    def _say_seen(self, run: _Followed, tool: _Tool) -> None:
        """Say how many of the run's markers the tool has delivered."""
        written, unseen = run.reader.last(), run.reader.unseen(tool.name)
        oldest = (self._now() - unseen[0].written_at).total_seconds() if unseen else None
        seen = seen_text(written - len(unseen), written, oldest)
        self._notices.say(f"run {run.record.run_id}, tool {tool.name}: {seen}")

    def _save(self, run: _Followed, rows: Sequence[MarkerSample] = ()) -> None:
        """Append rows, and the markers that tools have to deliver.

        A full disk leaves them with the record, for the next time.
        """
        for tool in self._tools:
            markers = run.reader.written(run.expected.get(tool.name, 0))
            run.record.keep(
                ExpectedMarker(tool.name, marker.sequence, marker.written_at) for marker in markers
            )
            run.expected[tool.name] = run.reader.last()
        run.record.keep(rows)
        try:  # only these two files: the watch's own thread writes others
            run.record.append_markers(())
            run.record.append_freshness(())
        except RecordError as exc:
            self._notices.warn("freshness", str(exc))
        else:
            self._notices.over("freshness")

    def _facts_of(self, tool: _Tool) -> ToolFacts:
        run, freshness, unseen = self._run, None, 0
        if run is not None:
            unseen = len(run.reader.unseen(tool.name))
            if run.goes_on or unseen:  # else nothing newer is to come
                freshness = run.reader.freshness(tool.name, self._now())
        done = tool.deliveries
        return ToolFacts(tool.name, tool.up, unseen, freshness, done.buckets(), done.total)

    # The writing thread.

    def _write(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            run = self._run
            if run is None or not run.goes_on:
                due = time.monotonic() + min(1.0, self._interval)
                continue
            due = max(due + self._interval, time.monotonic())
            try:
                self._write_one(run)
                self._notices.over("markers")
            except SourceError as exc:
                self._disconnect()
                due = time.monotonic() + min(1.0, self._interval)
                self._notices.warn("markers", f"{exc}; markers go on as soon as they can")
        self._disconnect()

    def _write_one(self, run: _Followed) -> None:
        """Write the next marker; those that another watch, or a lost answer, left come first."""
        if self._connection is None:
            self._connection = postgres.connect(self._dsn, application_name="loadgen watch")
        conn, run_id = self._connection, run.record.run_id
        with (
            postgres.plain_errors("writing a marker"),
            first_write(conn, "writing a marker", _LONGEST_WRITE),
        ):
            if self._searched is not run:
                self._find(conn, run)
                self._searched = run
            sequence = run.reader.last() + 1
            if write_marker(conn, run_id, sequence, self._now()):
                self._wrote(run, Marker(sequence, self._now()))
                self._written += 1
            elif not self._find(conn, run):
                raise SourceError(f"run {run_id} writes to another database: no marker is written")

    def _find(self, conn: psycopg.Connection, run: _Followed) -> bool:
        """Take over the markers that are in the source and not known here; False where none is."""
        before = run.reader.last()
        for marker in find_markers(conn, run.record.run_id, before):
            self._wrote(run, marker)
        return run.reader.last() > before

    def _wrote(self, run: _Followed, marker: Marker) -> None:
        with self._lock:
            run.reader.wrote(marker)
            if run is self._run:
                self._save(run)

    def _disconnect(self) -> None:
        self._searched = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # The threads of destinations, one each.

    def _look_for(self, tool: _Tool) -> None:
        asked: datetime | None = None
        while not self._stopped.wait(tool.destination.poll_seconds):
            run = self._run
            if run is None or not self._waits_for(run, tool):
                continue
            previous, asked = asked, self._now()
            try:
                newest = tool.destination.newest_marker(run.record.run_id)
            except DestinationError as exc:
                tool.up, asked = False, previous
                self._notices.warn(tool.name, f"tool {tool.name}: {exc}; it is asked again")
                continue
            tool.up = True
            self._notices.over(tool.name)
            self._saw(run, tool, Look(newest, previous, self._now()))
        with suppress(PlaygroundError):
            tool.destination.close()

    def _waits_for(self, run: _Followed, tool: _Tool) -> bool:
        with self._lock:
            return bool(run.reader.unseen(tool.name))

    def _saw(self, run: _Followed, tool: _Tool, look: Look) -> None:
        with self._lock:
            if run is not self._run:
                return  # it is closed: they are written as not seen
            turn = run.reader.turned(tool.name, look)
            rows = run.reader.saw(tool.name, look)
            for row in rows:
                tool.deliveries.add(row.delivery_seconds or 0.0)
            self._save(run, rows)
        if turn is not None:
            self._tell(run, tool, turn)

    def _tell(self, run: _Followed, tool: _Tool, turn: Turn) -> None:
        """Say, and have the load journal, that a copy lost what it had shown, or has it again."""
        if turn.went_back:
            kind, shows = "copy_went_back", f"marker {turn.shows}" if turn.shows else "none"
            what = (
                f"went back from marker {turn.newest} to {shows}: it is copied anew, or lost rows"
            )
        else:
            kind, what = "copy_there_again", f"shows marker {turn.newest} again"
        self._notices.say(f"loadgen: the copy of tool {tool.name} {what}")
        if run.goes_on:
            with suppress(ControlError):  # no load, no journal
                entry = {"kind": kind, "tool": tool.name, "newest": turn.newest}
                self._control.ask("journal", {**entry, "shows": turn.shows, "by": "watch"})
