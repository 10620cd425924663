"""A process that performs arrivals, as others know it by its latest report.

A master keeps one state for each worker. A run's folder keeps them all (`position.json`), so that a
run whose processes were killed can be resumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.messages import NewRates, ProgressReport, UnfinishedWrite
from loadgen.record.position import ProcessPosition, ProcessReport
from loadgen.workload.ledger import Counts
from loadgen.workload.schedule.arrival_process import Checkpoint
from loadgen.workload.schedule.shards import Shard

_LOST_ANSWER = "08006"  # SQLSTATE of a write whose process died


@dataclass(slots=True)
class WorkerState:
    """One process, by its latest report."""

    shards: list[tuple[float, Shard]]  # (from schedule time, shard)
    heard_at: float  # on the monotonic clock
    slot: int = 0  # the lowest number that was free when it joined
    health: GeneratorHealth | None = None  # the latest
    ready: bool = False
    pid: int = 0  # on its own host
    applied: int = 0  # the newest change that it acknowledged
    lost: bool = False
    looked_up: bool = False  # all that can be looked up by key has been
    reconnects: int = 0
    s: float = -1.0  # schedule time of its report
    counts: dict[str, Counts] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    extra_rows: Mapping[tuple[str, int], int] = field(default_factory=dict)  # see `Ledger`
    places: Mapping[str, Checkpoint] = field(default_factory=dict)
    unfinished: list[UnfinishedWrite] = field(default_factory=list)
    left: Mapping[str, list[int]] = field(default_factory=dict)  # before its places, not begun
    backends: list[int] = field(default_factory=list)
    after: dict[str, list[int]] = field(default_factory=dict)  # lost: k that it had not begun

    def shard_at(self, s: float) -> Shard:
        """Return the shard that it takes at schedule time `s`."""
        return next((shard for at, shard in reversed(self.shards) if at <= s), self.shards[0][1])

    def take_in(self, report: ProgressReport) -> None:
        """Keep the process's newest report."""
        self.s = report.s
        self.reconnects = report.reconnects
        self.counts = dict(report.counts)
        self.failures = dict(report.failures)
        self.extra_rows = report.extra_rows
        self.places = report.places
        self.unfinished = report.unfinished
        self.left = report.left
        self.backends = report.backends

    def resolve(
        self, operation: str, *, committed: int = 0, failed: int = 0, skipped: int = 0
    ) -> None:
        """Count unknown arrivals by their outcome in the database."""
        old = self.counts[operation]
        self.counts[operation] = Counts(
            old.offered,
            old.committed + committed,
            old.failed + failed,
            old.skipped + skipped,
            old.unknown - committed - failed - skipped,
            0,
        )
        if failed:
            key = (operation, _LOST_ANSWER)
            self.failures[key] = self.failures.get(key, 0) + failed

    def position(self) -> ProcessPosition:
        """Return the process as position.json holds it."""
        return ProcessPosition(
            shares=tuple((at, (shard.part, shard.of)) for at, shard in self.shards),
            lost=self.lost,
            looked_up=self.looked_up,
            after={name: tuple(numbers) for name, numbers in self.after.items()},
            vector=ProcessReport(
                s=self.s,
                counts={name: tuple(counts.dump()) for name, counts in self.counts.items()},
                failures=tuple((*key, n) for key, n in self.failures.items()),
                extra_rows=tuple((*key, n) for key, n in self.extra_rows.items()),
                next=dict(self.places),
                unfinished=tuple(self.unfinished),
                left={name: tuple(numbers) for name, numbers in self.left.items()},
                backends=tuple(self.backends),
                reconnects=self.reconnects,
            ),
        )

    @classmethod
    def of(cls, position: ProcessPosition) -> "WorkerState":
        """Return the process that a position holds."""
        shards = [(at, Shard(*shard)) for at, shard in position.shares]
        worker = cls(shards, 0.0, lost=position.lost, looked_up=position.looked_up)
        worker.after = {name: list(numbers) for name, numbers in position.after.items()}
        vector = position.vector
        report = ProgressReport(
            s=vector.s,
            counts={name: Counts(*numbers) for name, numbers in vector.counts.items()},
            failures={(name, sqlstate): n for name, sqlstate, n in vector.failures},
            extra_rows={(name, index): n for name, index, n in vector.extra_rows},
            places=vector.next,
            left={name: list(numbers) for name, numbers in vector.left.items()},
            unfinished=[UnfinishedWrite(*write) for write in vector.unfinished],
            backends=list(vector.backends),
            reconnects=vector.reconnects,
        )
        worker.take_in(report)
        return worker


@dataclass(frozen=True, slots=True)
class RunPosition:
    """The place at which a resumed run continues, and its processes up to then."""

    s: float  # schedule time from which arrivals are performed again
    elapsed: float  # seconds of the run that are over by then, pauses included
    changes: list[NewRates]
    processes: list[WorkerState]  # those that were killed, and those lost before
    checkpoints: Mapping[str, Checkpoint]  # a place of each operation before `s`, if it is known
    resumptions: int  # how often the run has been resumed, this time included
    paused: bool = False
