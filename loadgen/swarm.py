"""The swarm of a single process: one station, asked directly."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections.abc import Mapping

import gevent

from loadgen.protocol import Applied
from loadgen.station import Station
from loadgen.workload.arrivals import WHOLE
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.mix import OPERATIONS, Mix
from loadgen.workload.plan import Plan
from loadgen.workload.profiles import ProfileName

CONNECT_SECONDS = 5.0  # the schedule starts without a connection after that
_ITSELF = "1 of 1"


class LocalSwarm:
    """What the conductor asks, answered by this process's station."""

    station: Station
    _duration: float

    events: list[tuple[str, dict[str, object]]]

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.events = []

    def begin(self, plan: Plan) -> None:
        """Make the station, and start its clock once a connection is open."""
        self._duration = plan.duration
        self.station = Station(
            self._dsn, plan, WHOLE, lambda kind, details: self.events.append((kind, details))
        )
        gevent.spawn(self._start)

    def _start(self) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.station.connections.open and time.monotonic() < deadline:
            gevent.sleep(0.005)
        self.station.start(time.time())

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self.station.now()

    def gather(self, s: float) -> None:
        """Nothing to wait for: the station is here."""

    def counts(self) -> Mapping[str, Counts]:
        """Return the station's vector."""
        return self.station.counts()

    def latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.station.take_latencies()

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        return self.station.failures()

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
        return self.station.connections.remade

    def workers(self) -> int:
        """Return how many processes perform arrivals."""
        return 1

    def change(self, mix: Mix, profile: ProfileName) -> Applied:
        """From now on rates and profile are these; return from when, and who acknowledged it."""
        at = max(0.0, self.now())
        self.station.change(at, mix, profile)
        return Applied(at, _ITSELF)

    def pause(self) -> Applied:
        """Let schedule time stand still from now on."""
        at = max(0.0, self.now())
        self.station.pause(at)
        return Applied(at, _ITSELF)

    def resume(self) -> Applied:
        """Let schedule time go on."""
        at = self.now()
        self.station.resume(time.time())
        self.station.end(at + self._duration - self.elapsed())
        return Applied(at, _ITSELF)

    def stop_offering(self) -> None:
        """Let nothing more fall due."""
        self.station.end(max(0.0, self.now()))

    def awaits_sums(self) -> bool:
        """Nothing does: what this process lost, it looks up itself."""
        return False

    def settle_from_sums(self, gained: Mapping[str, int]) -> None:
        """Nothing awaits it."""

    def close(self) -> None:
        """End what goes on beside the users."""
        self.station.close()
