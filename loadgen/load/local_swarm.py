"""The swarm of a single process: one executor, called directly."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import gevent

from loadgen.load.executor import Executor
from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.messages import NewRates
from loadgen.load.recovery import account_for_killed, awaits_sums, settle_from_sums
from loadgen.load.swarm import Session
from loadgen.load.user import PostgresUser
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.model import WorkloadModel
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.schedule.shards import WHOLE

CONNECT_SECONDS = 5.0  # the schedule starts without a connection after that
_ITSELF = "1 of 1"


class LocalSwarm:
    """The swarm whose one process is this one."""

    distributed = False
    executor: Executor
    _duration: float

    events: list[tuple[str, dict[str, object]]]

    def __init__(self, dsn: str, session: Session, model: WorkloadModel) -> None:
        self._dsn = dsn
        self._model = model
        self._session = session
        self._killed: list[WorkerState] = []  # the processes of a run before it was resumed
        self._first_s = 0.0  # the schedule time that it starts with
        self.events = []

    def begin(self, plan: Plan, position: RunPosition | None = None) -> None:
        """Open the executor, and start its clock once a connection is open."""
        self._duration = plan.duration
        self.executor = executor = Executor.open(
            self._dsn,
            plan,
            WHOLE,
            self._model,
            lambda kind, details: self.events.append((kind, details)),
            session=self._session,
        )
        PostgresUser.dispatcher = executor.dispatcher
        if position is not None:
            self._killed, self._first_s = position.processes, position.s
            for change in position.changes:
                executor.schedule.change_rates(*change)
            executor.schedule.join(position.s, WHOLE, position.checkpoints)
            if position.paused:
                executor.pause(position.s)
            account_for_killed(self._dsn, plan, executor.proofs, position, executor.schedule)
        gevent.spawn(self._start, position)

    def _start(self, position: RunPosition | None) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.executor.connections.open and time.monotonic() < deadline:
            gevent.sleep(0.005)
        if position is None:
            self.executor.start(time.time())
        else:
            self.executor.end(position.s + self._duration - position.elapsed)
            self.executor.start(time.time() - position.s, position.elapsed - position.s)

    def processes(self) -> list[WorkerState]:
        """Return all that performed arrivals, as a resumed run has to know them."""
        ours = WorkerState([(0.0, WHOLE)], 0.0)
        ours.take_in(self.executor.report())
        return [ours, *self._killed]

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self.executor.now()

    def await_reports(self, s: float) -> None:
        """Nothing to wait for: the executor is here."""

    def counts(self) -> Mapping[str, Counts]:
        """Return the executor's counts, and those of the killed processes."""
        return {
            name: sum((worker.counts[name] for worker in self._killed), ours)
            for name, ours in self.executor.counts().items()
        }

    def take_latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.executor.take_latencies()

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        total = Counter(self.executor.ledger.failures)
        for worker in self._killed:
            total.update(worker.failures)
        return total

    def extra_rows(self) -> Mapping[tuple[str, int], int]:
        """Return the rows touched beyond one per committed transaction, by statement."""
        total = Counter(self.executor.ledger.extra_rows)
        for worker in self._killed:
            total.update(worker.extra_rows)
        return total

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""
        if self.executor.clock.paused:
            return dict.fromkeys(self.executor.schedule.cursors, 0.0)
        return self.executor.schedule.target_rates(self.now())

    def planned(self) -> Mapping[str, float]:
        """Return how many arrivals the rates amount to from the start up to now."""
        return self.executor.schedule.planned(max(0.0, self.now()))

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""
        return self.executor.clock.elapsed()

    def moment(self) -> tuple[float, float]:
        """Return `now` and `elapsed` of one moment, however busy the machine is."""
        return self.executor.clock.moment()

    def reconnects(self) -> int:
        """Return how often a broken connection was made again."""
        before = sum(worker.reconnects for worker in self._killed)
        return self.executor.connections.reconnects + before

    def process_count(self) -> int:
        """Return how many processes perform arrivals."""
        return 1

    def health(self) -> Mapping[int, GeneratorHealth]:
        """Return this process's latest health, in slot 0."""
        latest = self.executor.loop_monitor.latest
        return {} if latest is None else {0: latest}

    def take_health(self) -> Sequence[GeneratorHealth]:
        """Return this process's health since the last call."""
        return self.executor.loop_monitor.take()

    def earliest_change(self) -> float:
        """Return the schedule time at which a change may apply: now, or a moment later."""
        return max(self._first_s, self.executor.earliest_change())

    def change_rates(self, change: NewRates) -> str:
        """Apply rates and profile; return how many acknowledged it."""
        self.executor.change_rates(change)
        return _ITSELF

    def pause(self, at: float) -> str:
        """Stop schedule time at `at`."""
        self.executor.pause(at)
        return _ITSELF

    def resume(self) -> str:
        """Let schedule time run again."""
        self.executor.end(self.now() + self._duration - self.elapsed())
        self.executor.resume(time.time())
        return _ITSELF

    def stop_offering(self) -> float:
        """Let nothing more fall due; return the schedule time from which on that holds."""
        at = self.earliest_change()
        self.executor.end(at)
        while self._first_s <= self.now() < at:
            gevent.sleep(0.01)
        return at

    def ended_early_reason(self, seconds: float) -> str:  # noqa: ARG002 - the protocol's
        """Return nothing: only people end this process early."""
        return ""

    def awaits_sums(self) -> bool:
        """Tell whether only the tables' sums can settle the unknown writes.

        That can be writes of a killed process only: this one looks up its own.
        """
        proofs = self.executor.proofs
        if any(
            counts.unknown and name not in proofs.unproved
            for name, counts in self.executor.counts().items()
        ):
            return False
        return awaits_sums(proofs, self._killed)

    def settle_from_sums(self, updates: Mapping[str, int]) -> None:
        """Settle these, when all writing has ended."""
        settle_from_sums(self._model, self._killed, updates)

    def close(self) -> None:
        """End what runs beside the users."""
        self.executor.close()
