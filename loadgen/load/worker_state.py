"""What a process that performs arrivals has done, as others know it: by its latest report.

A master keeps one of these for each worker; a run's folder keeps them all (`position.json`), so
that a run whose processes were killed can go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadgen.load.generator_health import GeneratorHealth
from loadgen.record.position import ProcessPosition, ProcessReport
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.arrival_process import Checkpoint
from loadgen.workload.schedule.rate_curve import ProfileName
from loadgen.workload.schedule.shards import Shard

_LOST_ANSWER = "08006"  # SQLSTATE of a write whose process died


@dataclass(slots=True)
class WorkerState:
    """One process, by its latest report."""

    shares: list[tuple[float, Shard]]  # (from schedule time, share)
    heard_at: float  # on the monotonic clock
    slot: int = 0  # the lowest number that was free when it came
    health: GeneratorHealth | None = None  # the latest
    ready: bool = False
    pid: int = 0  # on its own host
    applied: int = 0  # the newest change of rates that it acknowledged
    lost: bool = False
    looked_up: bool = False  # all that can be looked up by key has been
    reconnects: int = 0
    s: float = -1.0  # schedule time of its vector
    counts: dict[str, Counts] = field(default_factory=lambda: dict.fromkeys(OPERATIONS, Counts()))
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unfinished: list[tuple[str, int, str, int]] = field(default_factory=list)
    left: list[tuple[str, int]] = field(default_factory=list)  # before its places, not begun
    backends: list[int] = field(default_factory=list)
    after: dict[str, list[int]] = field(default_factory=dict)  # lost: k that it had not begun

    def share_at(self, s: float) -> Shard:
        """Return the share in force at schedule time `s`."""
        return next((shard for at, shard in reversed(self.shares) if at <= s), self.shares[0][1])

    def take_in(self, vector: Mapping[str, Any]) -> None:
        """Keep what the worker's newest report says."""
        self.s = vector["s"]
        self.reconnects = vector["reconnects"]
        self.counts = {name: Counts(*values) for name, values in vector["counts"].items()}
        self.failures = {(name, state): n for name, state, n in vector["failures"]}
        self.places = {name: (place[0], place[1]) for name, place in vector["next"].items()}
        self.unfinished = [tuple(found) for found in vector["unfinished"]]
        self.left = [tuple(found) for found in vector["left"]]
        self.backends = list(vector["backends"])

    def resolve(
        self, operation: str, *, committed: int = 0, failed: int = 0, skipped: int = 0
    ) -> None:
        """Turn unknown arrivals into what they were found to be."""
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
        """Return what position.json holds of it."""
        return ProcessPosition(
            shares=tuple((at, (shard.part, shard.of)) for at, shard in self.shares),
            lost=self.lost,
            looked_up=self.looked_up,
            after={name: tuple(numbers) for name, numbers in self.after.items()},
            vector=ProcessReport(
                s=self.s,
                counts={name: tuple(counts.dump()) for name, counts in self.counts.items()},
                failures=tuple((*key, n) for key, n in self.failures.items()),
                next=dict(self.places),
                unfinished=tuple(self.unfinished),
                left=tuple(self.left),
                backends=tuple(self.backends),
                reconnects=self.reconnects,
            ),
        )

    @classmethod
    def of(cls, position: ProcessPosition) -> "WorkerState":
        """Return the process that a position holds."""
        shares = [(at, Shard(*shard)) for at, shard in position.shares]
        worker = cls(shares, 0.0, lost=position.lost, looked_up=position.looked_up)
        worker.after = {name: list(numbers) for name, numbers in position.after.items()}
        worker.take_in(position.vector.model_dump())
        return worker


@dataclass(frozen=True, slots=True)
class RunPosition:
    """What a run did before it was resumed, and where it goes on."""

    s: float  # schedule time from which arrivals are performed again
    elapsed: float  # seconds of the run that are over by then, pauses included
    changes: list[tuple[float, Mapping[str, float], ProfileName]]  # from schedule time: per hour
    remotes: list[WorkerState]  # the processes that were killed, and those lost before
    passed: Mapping[str, Checkpoint]  # a place of each operation before `s`, where it is known
    resumed: int  # how often the run has been resumed, this time included
    paused: bool = False  # a pause was in force
