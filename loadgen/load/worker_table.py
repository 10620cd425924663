"""The workers of a master, by their latest reports: what they did, summed, and how they are."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.recovery import awaits_sums, settle_from_sums
from loadgen.load.swarm import no_latencies
from loadgen.load.worker_state import WorkerState
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.shards import Shard


class WorkerTable:
    """All that have, or had, a share; one that is lost stays, with what it did."""

    def __init__(self) -> None:
        self.remotes: dict[str, WorkerState] = {}
        self._latencies: dict[str, tuple[Histogram, Histogram]] = no_latencies()
        self._vitals: list[GeneratorHealth] = []

    def enlist(self, name: str, shard: Shard, at: float) -> None:
        """Note a worker that takes `shard` from schedule time `at` on."""
        taken = {worker.slot for worker in self.live()}
        slot = next(number for number in count() if number not in taken)
        self.remotes[name] = WorkerState([(at, shard)], time.monotonic(), slot)

    def take_in(self, worker: WorkerState, vector: Mapping[str, Any]) -> None:
        """Keep what a worker's newest report says."""
        worker.take_in(vector)
        for values in vector["vitals"]:
            worker.health = GeneratorHealth(*values)
            self._vitals.append(worker.health)
        for name, (service, intended) in vector["latencies"].items():
            ours = self._latencies[name]
            ours[0].merge(Histogram.load(service))
            ours[1].merge(Histogram.load(intended))

    def live(self) -> list[WorkerState]:
        """Return the workers that have a share."""
        return [worker for worker in self.remotes.values() if not worker.lost]

    def backends_of(self, worker: WorkerState) -> list[int]:
        """Return the backends that a worker called its own, but for those of the others."""
        others = {pid for other in self.live() if other is not worker for pid in other.backends}
        return [pid for pid in worker.backends if pid not in others]

    def processes(self) -> list[WorkerState]:
        """Return all that performed arrivals, as a resumed run has to know them."""
        return list(self.remotes.values())

    def counts(self) -> Mapping[str, Counts]:
        """Return the sum of the workers' latest vectors."""
        return {
            name: sum((worker.counts[name] for worker in self.remotes.values()), Counts())
            for name in OPERATIONS
        }

    def latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        taken, self._latencies = self._latencies, no_latencies()
        return taken

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        total: Counter[tuple[str, str]] = Counter()
        for worker in self.remotes.values():
            total.update(worker.failures)
        return total

    def reconnects(self) -> int:
        """Return how often a connection that had broken was made again."""
        return sum(worker.reconnects for worker in self.remotes.values())

    def workers(self) -> int:
        """Return how many workers have a share."""
        return len(self.live())

    def health(self) -> Mapping[int, GeneratorHealth]:
        """Return each worker's latest health, by slot."""
        return {r.slot: r.health for r in self.live() if r.health is not None}

    def take_vitals(self) -> Sequence[GeneratorHealth]:
        """Return all workers' health since the last call."""
        taken, self._vitals = self._vitals, []
        return taken

    def awaits_sums(self) -> bool:
        """Tell whether all that is still unknown can be told by the tables' sums alone."""
        return awaits_sums(self.remotes.values())

    def settle_from_sums(self, gained: Mapping[str, int]) -> None:
        """Settle what only the tables' sums can tell, when nobody writes any more."""
        settle_from_sums(self.remotes.values(), gained)
