"""Writes a run's samples into its record: counters, latencies, generator health, journal entries.

Nothing is lost while the record can't be written: its rows wait in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from loadgen.errors import RecordError
from loadgen.load.generator_health import BottleneckSeconds, worst_figures
from loadgen.load.journal import Journal
from loadgen.load.resume import latencies_position
from loadgen.load.swarm import Latencies, Swarm, no_latencies
from loadgen.load.worker_state import RunPosition
from loadgen.record.folder import RunRecord
from loadgen.record.position import Position
from loadgen.record.rows import GeneratorSample, Sample
from loadgen.record.steady_clock import SteadyClock
from loadgen.workload.histogram import Histogram, merged
from loadgen.workload.ledger import Counts


@dataclass(slots=True)
class Sampler:
    """The samples of one run, and its position for a later resume."""

    swarm: Swarm
    record: RunRecord
    journal: Journal
    clock: SteadyClock
    latencies: Latencies  # from the start of the run, up to the last update
    position: RunPosition | None = None  # of a resumed run
    reconnects: int = 0  # up to the last sample
    unbalanced: int = 0  # counts that broke the accounting law
    # Of the latest sample:
    rows: Mapping[str, Sample] = field(init=False, default_factory=dict)
    service: Mapping[str, Histogram] = field(init=False, default_factory=dict)
    intended: Histogram = field(init=False, default_factory=Histogram)  # of all operations
    notices: Sequence[tuple[str, Mapping[str, object]]] = field(init=False, default=())
    _interval: Latencies = field(init=False)  # since that sample
    _marks: BottleneckSeconds = field(init=False, default_factory=BottleneckSeconds)
    _start_recorded: bool = field(init=False, default=False)
    _unwritable: tuple[datetime, str] | None = field(init=False, default=None)  # since when, why

    def __post_init__(self) -> None:
        self._interval = no_latencies(self.latencies)

    @property
    def behind(self) -> bool:
        """Whether a part of the record waits for room on the disk."""
        return self._unwritable is not None

    def sample(self) -> Mapping[str, Counts]:
        """Append one row an operation to samples.csv, and return the counts."""
        if self.position is None and not self._start_recorded and self.swarm.now() >= 0:
            self._start_recorded = True
            began = self.clock.now() - timedelta(seconds=self.swarm.now())
            self.record.run.schedule_started_at = began
            self.record.write_later()
        counts, targets = self.swarm.counts(), self.swarm.target_rates()
        self.update_latencies()
        latencies, self._interval = self._interval, no_latencies(self.latencies)
        at = self.clock.now()
        rows = [_row(at, name, of, targets[name], latencies[name]) for name, of in counts.items()]
        self.rows = {row.operation: row for row in rows}
        self.service = {name: service for name, (service, _) in latencies.items()}
        self.intended = merged([intended for _, intended in latencies.values()])
        self.unbalanced += sum(not c.balanced() for c in counts.values())
        self.record.buffer(rows)
        if health := self.swarm.take_health():
            marked = self._marks.add(health)
            self.record.buffer(
                [GeneratorSample(at, **worst_figures(health), bottleneck_seconds=marked)]
            )
        before, self.reconnects = self.reconnects, self.swarm.reconnects()
        if self.reconnects > before:
            details = {"what": "reconnected", "connections": self.reconnects - before}
            self.swarm.events.append(("fault", details))
        if step := self.clock.step():
            self.swarm.events.append(("clock_stepped", {"seconds": step}))
        events, self.swarm.events = self.swarm.events, []
        noted = [(kind, self.journal.note(kind, details)) for kind, details in events]
        self.notices = [(kind, details) for kind, details in noted if details is not None]
        self.write(at)
        return counts

    def update_latencies(self) -> Latencies:
        """Return (service, intended) per operation from the start of the run up to now."""
        for name, pair in self.swarm.take_latencies().items():
            for whole, interval, part in zip(
                self.latencies[name], self._interval[name], pair, strict=True
            ):
                whole.merge(part)
                interval.merge(part)
        return self.latencies

    def write(self, at: datetime | None = None) -> None:
        """Write the rows that wait; a failure is reported at once and journaled once it is over.

        The position goes first, so that a resumed run's counters never fall behind the samples.
        """
        at = at or self.clock.now()
        try:
            self.write_position()
            self.record.flush()
        except RecordError as exc:
            if self._unwritable is None:
                self._unwritable = at, str(exc)
                failure = {"what": "record_unwritable", "why": str(exc)}
                self.notices = [*self.notices, ("fault", failure)]
            return
        if self._unwritable is not None:
            (since, why), self._unwritable = self._unwritable, None
            seconds = round((at - since).total_seconds(), 3)
            outage = {"what": "record_unwritable", "why": why, "until": at, "seconds": seconds}
            details = self.journal.note("fault", outage, since)
            if details is not None:
                self.notices = [*self.notices, ("fault", details)]

    def write_position(self) -> None:
        """Write the position from which the run could continue if it were killed now."""
        swarm, past = self.swarm, self.position
        s, elapsed = swarm.moment()  # else a resumed run would end too early
        processes = tuple(worker.position() for worker in swarm.processes())
        latencies = self.update_latencies()  # of the writes that these have counted
        position = Position(
            at=self.clock.now().timestamp(),
            s=max(s, past.s if past else 0.0),
            elapsed=max(elapsed, past.elapsed if past else 0.0),
            workers=swarm.distributed,
            resumed=past.resumptions if past else 0,
            unbalanced=self.unbalanced,
            processes=processes,
            latencies=latencies_position(latencies),
        )
        self.record.write_position(position)


def _row(
    at: datetime, name: str, counts: Counts, target: float, pair: Sequence[Histogram]
) -> Sample:
    service, intended = (histogram.quantiles((0.5, 0.95, 0.99)) for histogram in pair)
    return Sample(at, name, target, *counts.dump(), *service, *intended)
