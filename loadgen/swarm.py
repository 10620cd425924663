"""The swarm as one: what the conductor asks of the processes that perform the arrivals.

For now the swarm is this one process; its parts are the same that a worker will have.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import time
from collections.abc import Mapping
from math import inf, nextafter

import gevent
import psycopg

from loadgen.source import postgres
from loadgen.users import Crew, PostgresUser
from loadgen.workload.arrivals import Schedule, Share
from loadgen.workload.clock import ScheduleClock
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts, Ledger
from loadgen.workload.mix import Mix
from loadgen.workload.operations import Operations
from loadgen.workload.plan import Plan
from loadgen.workload.settle import population

_CONNECT_SECONDS = 5.0  # the schedule starts without a connection after that


class LocalSwarm:
    """The swarm of a single process: this one."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._clock = ScheduleClock(time.monotonic)
        self.crew: Crew

    def begin(self, plan: Plan) -> None:
        """Make schedule, ledger and operations, and start the clock once a connection is open."""
        share = Share(0, 1)
        with postgres.connect(self._dsn) as connection:
            who = population(connection, share)
        schedule = Schedule(
            plan.seed, plan.arrivals, plan.mix, plan.profile, share=share, end=plan.duration
        )
        operations = Operations(plan.run_id, who, plan.event_bytes, plan.hot_users)
        ledger = Ledger(schedule, plan.lateness_limit)
        self.crew = PostgresUser.crew = Crew(self._dsn, self._clock, ledger, operations)
        gevent.spawn(self._start_clock)

    def _start_clock(self) -> None:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while not self.crew.connected and time.monotonic() < deadline:
            gevent.sleep(0.005)
        self._clock.start()
        self.crew.rescheduled()

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self._clock.now()

    def counts(self) -> Mapping[str, Counts]:
        """Return this process's vector."""
        return self.crew.ledger.vector(self._clock.now())

    def latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.crew.ledger.take_latencies()

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        return self.crew.ledger.failures

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second."""
        return self.crew.ledger.schedule.target_rates(self._clock.now())

    def asked(self) -> Mapping[str, float]:
        """Return what the rates asked for from the start up to now."""
        return self.crew.ledger.schedule.asked(max(0.0, self._clock.now()))

    def change(self, mix: Mix) -> None:
        """From now on the rates are those of `mix`."""
        now = max(0.0, self._clock.now())
        self.crew.ledger.schedule.change_rates(now, mix)
        self.crew.rescheduled()

    def stop_offering(self) -> None:
        """Let nothing more fall due."""
        now = max(0.0, self._clock.now())
        schedule = self.crew.ledger.schedule
        schedule.end = min(schedule.end, nextafter(now, inf))

    def idle(self) -> bool:
        """Tell whether nothing waits and nothing is being written."""
        return self.crew.ledger.idle(self._clock.now())

    def settle(self, connection: psycopg.Connection) -> int:
        """Look up lost writes; return how many are still unknown."""
        self.crew.settle(connection)
        return len(self.crew.lost)
