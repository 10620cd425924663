"""The swarm of a single process: one station, asked directly."""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections.abc import Mapping

import gevent

from loadgen.station import Station
from loadgen.workload.arrivals import WHOLE
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.mix import Mix
from loadgen.workload.plan import Plan

CONNECT_SECONDS = 5.0  # the schedule starts without a connection after that


class LocalSwarm:
    """What the conductor asks, answered by this process's station."""

    station: Station

    events: list[tuple[str, dict[str, object]]]

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.events = []

    def begin(self, plan: Plan) -> None:
        """Make the station, and start its clock once a connection is open."""
        self.station = Station(self._dsn, plan, WHOLE)
        gevent.spawn(self._start)

    def _start(self) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.station.crew.backends and time.monotonic() < deadline:
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
        """Return the target per operation at this moment, per second."""
        return self.station.schedule.target_rates(self.now())

    def asked(self) -> Mapping[str, float]:
        """Return what the rates asked for from the start up to now."""
        return self.station.schedule.asked(max(0.0, self.now()))

    def change(self, mix: Mix) -> str:
        """From now on the rates are those of `mix`; return by whom that is acknowledged."""
        self.station.change(max(0.0, self.now()), mix)
        return "1 of 1"

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
