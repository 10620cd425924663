"""The workers of a master by their latest reports: their counts, latencies and health."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.messages import WorkerReport
from loadgen.load.proofs import Proofs
from loadgen.load.recovery import awaits_sums, settle_from_sums
from loadgen.load.swarm import no_latencies
from loadgen.load.worker_state import WorkerState
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.model import WorkloadModel
from loadgen.workload.schedule.shards import Shard


class WorkerTable:
    """All workers that have, or had, a shard; a lost one stays with its counts."""

    proofs: Proofs  # of the run

    def __init__(self, model: WorkloadModel) -> None:
        self.model = model
        self.workers: dict[str, WorkerState] = {}
        self._latencies: dict[str, tuple[Histogram, Histogram]] = no_latencies(model.operations)
        self._health: list[GeneratorHealth] = []

    def enlist(self, name: str, shard: Shard, at: float) -> None:
        """Note a worker that takes `shard` from schedule time `at` on."""
        used = {worker.slot for worker in self.live()}
        slot = next(number for number in count() if number not in used)
        counts = dict.fromkeys(self.model.operations, Counts())
        self.workers[name] = WorkerState([(at, shard)], time.monotonic(), slot, counts=counts)

    def take_in(self, worker: WorkerState, report: WorkerReport) -> None:
        """Keep a worker's newest report."""
        worker.take_in(report.process)
        if report.health:
            worker.health = report.health[-1]
            self._health += report.health
        for name, (service, intended) in report.latencies.items():
            self._latencies[name][0].merge(service)
            self._latencies[name][1].merge(intended)

    def live(self) -> list[WorkerState]:
        """Return the workers that have a shard."""
        return [worker for worker in self.workers.values() if not worker.lost]

    def backends_of(self, worker: WorkerState) -> list[int]:
        """Return the backends that a worker called its own, without those of the others."""
        others = {pid for other in self.live() if other is not worker for pid in other.backends}
        return [pid for pid in worker.backends if pid not in others]

    def processes(self) -> list[WorkerState]:
        """Return all that performed arrivals, as a resumed run has to know them."""
        return list(self.workers.values())

    def counts(self) -> Mapping[str, Counts]:
        """Return the sum of the workers' latest counts."""
        return {
            name: sum((worker.counts[name] for worker in self.workers.values()), Counts())
            for name in self.model.operations
        }

    def take_latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        latencies, self._latencies = self._latencies, no_latencies(self.model.operations)
        return latencies

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        total: Counter[tuple[str, str]] = Counter()
        for worker in self.workers.values():
            total.update(worker.failures)
        return total

    def extra_rows(self) -> Mapping[tuple[str, int], int]:
        """Return the rows touched beyond one per committed transaction, by statement."""
        total: Counter[tuple[str, int]] = Counter()
        for worker in self.workers.values():
            total.update(worker.extra_rows)
        return total

    def reconnects(self) -> int:
        """Return how often a broken connection was made again."""
        return sum(worker.reconnects for worker in self.workers.values())

    def process_count(self) -> int:
        """Return how many workers have a shard."""
        return len(self.live())

    def health(self) -> Mapping[int, GeneratorHealth]:
        """Return each worker's latest health, by slot."""
        return {worker.slot: worker.health for worker in self.live() if worker.health is not None}

    def take_health(self) -> Sequence[GeneratorHealth]:
        """Return all workers' health since the last call."""
        health, self._health = self._health, []
        return health

    def awaits_sums(self) -> bool:
        """Tell whether only the tables' sums can settle the unknown writes."""
        return awaits_sums(self.proofs, self.workers.values())

    def settle_from_sums(self, updates: Mapping[str, int]) -> None:
        """Settle these, when all writing has ended."""
        settle_from_sums(self.model, self.workers.values(), updates)
