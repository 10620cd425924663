"""The swarm of a single process: one station, asked directly."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import gevent

from loadgen.load.executor import Station
from loadgen.load.recovery import awaits_sums, settle_from_sums, take_up
from loadgen.load.swarm import Session
from loadgen.load.worker_state import Past, Remote
from loadgen.workload.generator_health import Vitals
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.schedule.mix import OPERATIONS, Mix
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.schedule.profiles import ProfileName
from loadgen.workload.schedule.shards import WHOLE

CONNECT_SECONDS = 5.0  # the schedule starts without a connection after that
_ITSELF = "1 of 1"


class LocalSwarm:
    """What the conductor asks, answered by this process's station."""

    distributed = False
    station: Station
    _duration: float

    events: list[tuple[str, dict[str, object]]]

    def __init__(self, dsn: str, session: Session) -> None:
        self._dsn = dsn
        self._session = session
        self._killed: list[Remote] = []  # the processes of a run before it was resumed
        self._earliest = 0.0  # the schedule time that it starts with
        self.events = []

    def begin(self, plan: Plan, past: Past | None = None) -> None:
        """Make the station, and start its clock once a connection is open."""
        self._duration = plan.duration
        self.station = Station(
            self._dsn,
            plan,
            WHOLE,
            lambda kind, details: self.events.append((kind, details)),
            session=self._session,
        )
        if past is not None:
            self._killed, self._earliest = past.remotes, past.s
            self.station.go_on(past)
            take_up(self._dsn, plan, past, self.station.schedule)
        gevent.spawn(self._start, past)

    def _start(self, past: Past | None) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.station.connections.open and time.monotonic() < deadline:
            gevent.sleep(0.005)
        if past is None:
            self.station.start(time.time())
        else:
            self.station.start(time.time() - past.s, past.elapsed - past.s)
            self.station.end(past.s + self._duration - past.elapsed)

    def processes(self) -> list[Remote]:
        """Return all that performed arrivals, as a resumed run has to know them."""
        ours = Remote([(0.0, WHOLE)], 0.0)
        ours.take_in(self.station.vector())
        return [ours, *self._killed]

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self.station.now()

    def gather(self, s: float) -> None:
        """Nothing to wait for: the station is here."""

    def counts(self) -> Mapping[str, Counts]:
        """Return the station's vector, and what killed processes did before."""
        ours = self.station.counts()
        return {
            name: sum((remote.counts[name] for remote in self._killed), ours[name])
            for name in OPERATIONS
        }

    def latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.station.take_latencies()

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        total = Counter(self.station.failures())
        for remote in self._killed:
            total.update(remote.failures)
        return total

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""
        if self.station.clock.paused:
            return dict.fromkeys(OPERATIONS, 0.0)
        return self.station.schedule.target_rates(self.now())

    def asked(self) -> Mapping[str, float]:
        """Return what the rates asked for from the start up to now."""
        return self.station.schedule.asked(max(0.0, self.now()))

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""
        return self.station.clock.elapsed()

    def reconnects(self) -> int:
        """Return how often a connection that had broken was made again."""
        before = sum(remote.reconnects for remote in self._killed)
        return self.station.connections.remade + before

    def workers(self) -> int:
        """Return how many processes perform arrivals."""
        return 1

    def health(self) -> Mapping[int, Vitals]:
        """Return this process's latest vitals, in slot 0."""
        latest = self.station.pulse.latest
        return {} if latest is None else {0: latest}

    def take_vitals(self) -> Sequence[Vitals]:
        """Return this process's vitals since the last call."""
        return self.station.pulse.take()

    def ahead(self) -> float:
        """Return the schedule time: a change may hold at once."""
        return min(max(self._earliest, self.now()), self.station.clock.limit)

    def change(self, at: float, mix: Mix, profile: ProfileName) -> str:
        """From `at` on rates and profile are these; return who acknowledged it."""
        self.station.change(at, mix, profile)
        return _ITSELF

    def pause(self, at: float) -> str:
        """Let schedule time stand still at `at`."""
        self.station.pause(at)
        return _ITSELF

    def resume(self) -> str:
        """Let schedule time go on."""
        at = self.now()
        self.station.resume(time.time())
        self.station.end(at + self._duration - self.elapsed())
        return _ITSELF

    def stop_offering(self) -> float:
        """Let nothing more fall due; return the schedule time from which on that holds."""
        at = self.ahead()
        self.station.end(at)
        return at

    def desertion(self, _: float) -> list[str]:
        """Say why the run ended early: here only people end it."""
        return []

    def awaits_sums(self) -> bool:
        """Tell whether all that is still unknown can be told by the tables' sums alone.

        Only what a killed process left open can't: what this process lost, it looks up itself.
        """
        if any(counts.unknown for counts in self.station.counts().values()):
            return False
        return awaits_sums(self._killed)

    def settle_from_sums(self, gained: Mapping[str, int]) -> None:
        """Settle that, when nobody writes any more."""
        settle_from_sums(self.processes(), gained)

    def close(self) -> None:
        """End what goes on beside the users."""
        self.station.close()
