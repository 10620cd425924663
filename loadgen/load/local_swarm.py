"""The swarm of a single process: one executor, asked directly."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import gevent

from loadgen.load.executor import Executor
from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.recovery import awaits_sums, settle_from_sums, take_up
from loadgen.load.swarm import Session
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName
from loadgen.workload.schedule.shards import WHOLE

CONNECT_SECONDS = 5.0  # the schedule starts without a connection after that
_ITSELF = "1 of 1"


class LocalSwarm:
    """What the controller asks, answered by this process's executor."""

    distributed = False
    executor: Executor
    _duration: float

    events: list[tuple[str, dict[str, object]]]

    def __init__(self, dsn: str, session: Session) -> None:
        self._dsn = dsn
        self._session = session
        self._killed: list[WorkerState] = []  # the processes of a run before it was resumed
        self._earliest = 0.0  # the schedule time that it starts with
        self.events = []

    def begin(self, plan: Plan, past: RunPosition | None = None) -> None:
        """Make the executor, and start its clock once a connection is open."""
        self._duration = plan.duration
        self.executor = Executor(
            self._dsn,
            plan,
            WHOLE,
            lambda kind, details: self.events.append((kind, details)),
            session=self._session,
        )
        if past is not None:
            self._killed, self._earliest = past.remotes, past.s
            self.executor.go_on(past)
            take_up(self._dsn, plan, past, self.executor.schedule)
        gevent.spawn(self._start, past)

    def _start(self, past: RunPosition | None) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.executor.connections.open and time.monotonic() < deadline:
            gevent.sleep(0.005)
        if past is None:
            self.executor.start(time.time())
        else:
            self.executor.start(time.time() - past.s, past.elapsed - past.s)
            self.executor.end(past.s + self._duration - past.elapsed)

    def processes(self) -> list[WorkerState]:
        """Return all that performed arrivals, as a resumed run has to know them."""
        ours = WorkerState([(0.0, WHOLE)], 0.0)
        ours.take_in(self.executor.vector())
        return [ours, *self._killed]

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self.executor.now()

    def gather(self, s: float) -> None:
        """Nothing to wait for: the executor is here."""

    def counts(self) -> Mapping[str, Counts]:
        """Return the executor's vector, and what killed processes did before."""
        ours = self.executor.counts()
        return {
            name: sum((worker.counts[name] for worker in self._killed), ours[name])
            for name in OPERATIONS
        }

    def latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.executor.take_latencies()

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        total = Counter(self.executor.failures())
        for worker in self._killed:
            total.update(worker.failures)
        return total

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""
        if self.executor.clock.paused:
            return dict.fromkeys(OPERATIONS, 0.0)
        return self.executor.schedule.target_rates(self.now())

    def asked(self) -> Mapping[str, float]:
        """Return what the rates asked for from the start up to now."""
        return self.executor.schedule.planned(max(0.0, self.now()))

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""
        return self.executor.clock.elapsed()

    def reconnects(self) -> int:
        """Return how often a connection that had broken was made again."""
        before = sum(worker.reconnects for worker in self._killed)
        return self.executor.connections.reconnects + before

    def workers(self) -> int:
        """Return how many processes perform arrivals."""
        return 1

    def health(self) -> Mapping[int, GeneratorHealth]:
        """Return this process's latest health, in slot 0."""
        latest = self.executor.loop_monitor.latest
        return {} if latest is None else {0: latest}

    def take_vitals(self) -> Sequence[GeneratorHealth]:
        """Return this process's health since the last call."""
        return self.executor.loop_monitor.take()

    def ahead(self) -> float:
        """Return the schedule time: a change may hold at once."""
        return min(max(self._earliest, self.now()), self.executor.clock.pause_at)

    def change(self, at: float, mix: Mix, profile: ProfileName) -> str:
        """From `at` on rates and profile are these; return who acknowledged it."""
        self.executor.change(at, mix, profile)
        return _ITSELF

    def pause(self, at: float) -> str:
        """Let schedule time stand still at `at`."""
        self.executor.pause(at)
        return _ITSELF

    def resume(self) -> str:
        """Let schedule time go on."""
        at = self.now()
        self.executor.resume(time.time())
        self.executor.end(at + self._duration - self.elapsed())
        return _ITSELF

    def stop_offering(self) -> float:
        """Let nothing more fall due; return the schedule time from which on that holds."""
        at = self.ahead()
        self.executor.end(at)
        return at

    def desertion(self, _: float) -> list[str]:
        """Say why the run ended early: here only people end it."""
        return []

    def awaits_sums(self) -> bool:
        """Tell whether all that is still unknown can be told by the tables' sums alone.

        Only what a killed process left open can't: what this process lost, it looks up itself.
        """
        if any(counts.unknown for counts in self.executor.counts().values()):
            return False
        return awaits_sums(self._killed)

    def settle_from_sums(self, gained: Mapping[str, int]) -> None:
        """Settle that, when nobody writes any more."""
        settle_from_sums(self.processes(), gained)

    def close(self) -> None:
        """End what goes on beside the users."""
        self.executor.close()
