"""One process's part of a swarm: its share of the schedule, its ledger, its users, its losses.

A single process holds one executor and asks it directly; with workers each holds one and reports
it to the master (`workers`).
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import gc
import inspect
import time
from collections.abc import Mapping
from contextlib import suppress
from math import inf, nextafter
from typing import Any

import gevent
import psycopg

from loadgen.errors import SourceError
from loadgen.load.connection_tracker import ConnectionTracker, OnEvent
from loadgen.load.dispatcher import Dispatcher
from loadgen.load.lookup import another_database, is_of_run, open_orders
from loadgen.load.loop_monitor import LoopMonitor
from loadgen.load.operations import Operations
from loadgen.load.swarm import Session
from loadgen.load.user import PostgresUser
from loadgen.load.worker_state import RunPosition
from loadgen.source import postgres
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts, Ledger
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.arrival_process import BLOCK, RequestMaker
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.clock import ScheduleClock
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName
from loadgen.workload.schedule.shards import WHOLE, Shard

_SETTLE_INTERVAL = 0.5
_SETTLE_SECONDS = 20.0
_BYTES_AHEAD = 2**20  # of events that are made before they are due


def schedule_of(
    plan: Plan, shard: Shard, makers: Mapping[str, RequestMaker] | None = None
) -> Schedule:
    """Return the schedule of a process that takes `shard` of the plan."""
    return Schedule(
        plan.seed,
        plan.arrivals,
        plan.mix,
        plan.profile,
        shard=shard,
        end=plan.duration,
        makers=makers,
        batch_sizes={"insert_event": max(1, min(BLOCK, _BYTES_AHEAD // plan.event_bytes))},
    )


class Executor:
    """Made for one run; `begin` connects to the source, `start` lets the schedule run."""

    def __init__(
        self,
        dsn: str,
        plan: Plan,
        shard: Shard,
        tell: OnEvent,
        *,
        joins: bool = False,
        session: Session | None = None,
    ) -> None:
        """Connect and read the share's open orders; one that `joins` others has none at first.

        `tell` is given what the run's journal must hold of this process, `session` gives the
        connection on which lost writes are looked up; without it one is made when there are any.

        Raises PlaygroundError where the source can't be read.
        """
        self._session = session or (lambda: postgres.connect(dsn))
        with (
            postgres.plain_errors("reading the source's open orders"),
            postgres.connect(dsn) as connection,
        ):
            orders = [] if joins else open_orders(connection, shard)
        self.clock = ScheduleClock(time.monotonic)
        operations = Operations(plan, orders)
        self.schedule = schedule_of(plan, shard, operations.ahead)
        self.ledger = Ledger(self.schedule, plan.lateness_limit)
        self.connections = ConnectionTracker(dsn, plan.run_token, tell)
        self.dispatcher = PostgresUser.dispatcher_of_run = Dispatcher(
            self.connections, self.clock, self.ledger, operations, plan.pipeline_depth
        )
        self.loop_monitor = LoopMonitor(self.dispatcher)
        self._settler = gevent.spawn(self._settle_for_ever)
        # Locust looks at its stack when it stops, while the last arrivals are still falling due;
        # the first look takes 25 ms.
        inspect.stack()
        # What is there now stays: the collector need not look at it again, which takes 0.1 s.
        gc.unfreeze()  # but for what is left of the run before it
        gc.collect()
        gc.freeze()

    def start(self, zero: float, paused: float = 0.0) -> None:
        """Let schedule time be 0 at wall-clock time `zero`, which may lie ahead.

        A run that is resumed had paused before for `paused` seconds.
        """
        self.clock.start(time.monotonic() + zero - time.time(), paused)
        self.dispatcher.rescheduled()

    def go_on(self, past: RunPosition) -> None:
        """Take up a run where its killed processes left it; the clock is started as ever."""
        for at, rates, profile in past.changes:
            self.schedule.change_rates(at, Mix(rates), profile)
        self.schedule.join(past.s, WHOLE, past.passed)
        if past.paused:
            self.clock.pause(past.s)

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self.clock.now()

    def vector(self) -> dict[str, Any]:
        """Return this process's state of one instant, as plain values for `WorkerState.take_in`.

        What is unfinished in it can be looked up by others, should this process die.
        """
        now, dispatcher = self.now(), self.dispatcher
        counts = self.ledger.counts(now)
        unfinished = [*dispatcher.performing(), *(lost.write for lost in dispatcher.lost)]
        return {
            "s": max(now, -1.0),  # a number also before the start
            "counts": {name: counts[name].dump() for name in OPERATIONS},
            "failures": [[*key, n] for key, n in self.failures().items()],
            "next": self.schedule.checkpoints(),
            "left": self.schedule.backlog(),
            "unfinished": [[w.operation, w.k, w.key.decode(), w.version] for w in unfinished],
            "backends": list(
                self.connections.open | {lost.backend_pid for lost in dispatcher.lost}
            ),
            "reconnects": self.connections.reconnects,
        }

    def counts(self) -> Mapping[str, Counts]:
        """Return this process's vector of this moment."""
        return self.ledger.counts(self.now())

    def take_latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.ledger.take_latencies()

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""
        return self.ledger.failures

    def change(self, at: float, mix: Mix, profile: ProfileName) -> None:
        """From schedule time `at` on rates and profile are these."""
        self.schedule.change_rates(at, mix, profile)
        self.dispatcher.rescheduled()

    def pause(self, at: float) -> None:
        """Let schedule time stand still at `at`: nothing falls due after it."""
        self.clock.pause(at)

    def resume(self, at: float) -> None:
        """Let schedule time go on when the wall clock reads `at`."""
        self.clock.resume(time.monotonic() + at - time.time())
        self.dispatcher.rescheduled()

    def split(self, at: float, shard: Shard) -> None:
        """From schedule time `at` on this process takes `shard` of the arrivals."""
        self.schedule.change_shard(at, shard)
        self.dispatcher.rescheduled()

    def end(self, at: float) -> None:
        """Let nothing fall due after schedule time `at`."""
        self.schedule.end = min(self.schedule.end, nextafter(at, inf))

    def close(self) -> None:
        """Stop looking for lost writes; the run is over."""
        self.loop_monitor.stop()
        self._settler.kill()
        self.dispatcher.retire()

    def _settle_for_ever(self) -> None:
        """Look up lost writes, while there are any; what can't be asked is asked again."""
        while True:
            gevent.sleep(_SETTLE_INTERVAL)
            if self.dispatcher.lost:
                with suppress(SourceError, psycopg.Error), self._session() as connection:
                    self._settle(connection)

    def _settle(self, connection: psycopg.Connection) -> None:
        """Look up lost writes; a server that stands still meanwhile is not waited for."""
        with postgres.ended_after(connection, _SETTLE_SECONDS):
            if not is_of_run(connection, self.connections.run_token):
                raise another_database(self.connections.run_token)
            self.dispatcher.settle(connection)
