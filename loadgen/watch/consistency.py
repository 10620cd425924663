"""Reads the workload's conserved sums at each copy while a load runs, and counts torn reads.

One thread reads each copy, and one the source: if the source itself is torn, the workload's
declaration is wrong, and nothing is told of the copies. None of them shares a connection or a
thread with the markers, so a slow sum delays no other measurement. Between two reads a thread
rests for many times as long as the last one took.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from loadgen.errors import PlaygroundError, RecordError
from loadgen.record.folder import RunRecord
from loadgen.record.rows import SumsSample
from loadgen.record.steady_clock import SteadyClock
from loadgen.tools.readers.sums_probe import SumsProbe
from loadgen.watch.notifier import Notifier
from loadgen.workload.conserved import Sums, columns_of, moved_apart, sums_of
from loadgen.workload.model import Conserved

_COPY_REST: Final = 20  # times the length of a read: that long a copy is left alone
_SOURCE_REST: Final = 100  # the source under load too
_SOURCE_PAUSE: Final = 10.0  # seconds
_IDLE_SECONDS: Final = 0.5  # between two looks whether a run has begun
_JOIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """How often a tool's sums were read since the watch began, and how many reads were torn."""

    tool: str
    reads: int
    torn: int


@dataclass(slots=True)
class _Reader:
    probe: SumsProbe
    rest: float
    pause: float
    reads: int = 0
    torn: int = 0

    @property
    def name(self) -> str:
        return self.probe.name or "the source"


@dataclass(frozen=True, slots=True)
class _FollowedRun:
    record: RunRecord
    reference: Sums  # of the source before the run
    clock: SteadyClock


class ConsistencyWatch:
    """Reads the sums of `copies` and of the `source` while a run is followed."""

    def __init__(
        self,
        conserved: Sequence[Conserved],
        copies: Iterable[SumsProbe],
        source: SumsProbe,
        notifier: Notifier,
    ) -> None:
        self._conserved = conserved
        self._notifier = notifier
        self._readers = [_Reader(probe, _COPY_REST, probe.least_pause) for probe in copies]
        self._source = _Reader(source, _SOURCE_REST, _SOURCE_PAUSE)
        self._run_id: str | None = None
        self._run: _FollowedRun | None = None  # None if it can't be read for
        self._lock = threading.Lock()  # guards the run's file
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(reader,), name="sums", daemon=True)
            for reader in (self._source, *self._readers)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def follow(self, record: RunRecord | None) -> None:
        """Read for this run from now on; None between runs."""
        run_id = None if record is None else record.run_id
        if run_id != self._run_id:
            self._run_id = run_id
            self._run = None if record is None else self._open(record)

    def counts(self) -> list[ReadCounts]:
        """Return the figures of each copy for the metrics."""
        return [ReadCounts(reader.name, reader.reads, reader.torn) for reader in self._readers]

    def end(self) -> None:
        """Stop the threads."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_JOIN_SECONDS)

    def _open(self, record: RunRecord) -> _FollowedRun | None:
        """Return the run with its reference; None if its record has none."""
        reference = sums_of(record.run.rows_before)
        if reference.keys() >= set(columns_of(self._conserved)):
            return _FollowedRun(record, reference, SteadyClock())
        message = (
            f"run {record.run_id} has no conserved sums of the watch's WORKLOAD: no torn read is "
            "looked for"
        )
        self._notifier.warn(f"sums of run {record.run_id}", message)
        return None

    def _repeat(self, reader: _Reader) -> None:
        pause = _IDLE_SECONDS
        while not self._stopped.wait(pause):
            run, pause = self._run, reader.pause
            if run is None:
                pause = _IDLE_SECONDS
                continue
            began, at = time.monotonic(), run.clock.now()  # a statement sees its beginning
            try:
                sums = reader.probe.read()
            except PlaygroundError as exc:
                message = (
                    f"the conserved sums of {reader.name} can't be read: {exc}; they are read again"
                )
                self._notifier.warn(f"sums of {reader.name}", message)
                continue
            self._notifier.resolve(f"sums of {reader.name}")
            pause = max(pause, reader.rest * (time.monotonic() - began))
            if sums is not None:
                self._record(run, reader, at, sums)
        with suppress(PlaygroundError):
            reader.probe.close()

    def _record(self, run: _FollowedRun, reader: _Reader, at: datetime, sums: Sums) -> None:
        apart = {each: moved_apart(each, run.reference, sums) for each in self._conserved}
        reader.reads += 1
        reader.torn += any(apart.values())
        with self._lock:
            if run is not self._run:
                return  # the run may have ended while the sums were read
            run.record.buffer(
                SumsSample(at, reader.probe.name, each.name, bool(moved), float(moved))
                for each, moved in apart.items()
            )
            try:
                run.record.write_rows(SumsSample)
            except RecordError as exc:
                self._notifier.warn("consistency", str(exc))
                return
        self._notifier.resolve("consistency")
        if reader is self._source:
            self._warn_of_source(at, [each for each, moved in apart.items() if moved])

    def _warn_of_source(self, at: datetime, broken: Sequence[Conserved]) -> None:
        for each in broken:
            self._notifier.warn(
                f"conserved {each.name}",
                f"at {at:%H:%M:%S} the source's own sums of [conserved.{each.name}] have moved "
                "apart: a transaction changes them unequally, so correct it or the sums; torn "
                "reads of the copies mean nothing",
            )
