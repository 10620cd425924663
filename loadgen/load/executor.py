"""One process's part of a run: its shard of the schedule, its ledger, its users, its lost writes.

A single process holds one executor and calls it directly (`local_swarm`). Each worker holds one and
reports it to the master (`worker`).
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import gc
import inspect
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf, nextafter

import gevent
import psycopg

from loadgen.errors import SourceError
from loadgen.load.columns import value_makers
from loadgen.load.connection_tracker import ConnectionTracker, OnEvent
from loadgen.load.dispatcher import Dispatcher
from loadgen.load.hub_dispatcher import HubDispatcher
from loadgen.load.lookup import another_database, is_of_run
from loadgen.load.loop_monitor import LoopMonitor
from loadgen.load.messages import NewRates, ProgressReport, UnfinishedWrite
from loadgen.load.proofs import Proofs
from loadgen.load.run_keys import state_rows
from loadgen.load.sending import dispatcher_for
from loadgen.load.swarm import Session
from loadgen.load.writes import writes_of
from loadgen.source import postgres
from loadgen.source.imported import require_other_database
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts, Ledger
from loadgen.workload.model import WorkloadModel
from loadgen.workload.schedule.arrivals import Schedule, schedule_of
from loadgen.workload.schedule.clock import ScheduleClock
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.schedule.shards import Shard

_SETTLE_INTERVAL = 0.5
_SETTLE_SECONDS = 20.0
_NEW_OBJECTS = 10_000  # that Python's collector lets pass before it looks at them; usually 700


@dataclass(slots=True)
class Executor:
    """Made by `open` for one run; `start` lets its schedule run."""

    clock: ScheduleClock
    schedule: Schedule
    ledger: Ledger
    connections: ConnectionTracker
    dispatcher: Dispatcher
    loop_monitor: LoopMonitor
    proofs: Proofs
    _session: Session  # gives the connection for looking up lost writes
    _settling: "gevent.Greenlet[[], None]" = field(init=False)

    @classmethod
    def open(
        cls,
        dsn: str,
        plan: Plan,
        shard: Shard,
        model: WorkloadModel,
        on_event: OnEvent,
        *,
        joins: bool = False,
        session: Session | None = None,
    ) -> "Executor":
        """Read the shard's rows that may move, and begin to measure and to look up lost writes.

        `on_event` gets this process's entries for the run's journal. A process that `joins` a run
        under way has no such rows at first. Without a `session` a connection is opened whenever
        there are lost writes. Raises PlaygroundError if the source can't be read.
        """
        with (
            postgres.plain_errors("reading the rows that may move"),
            postgres.connect(dsn) as connection,
        ):
            require_other_database(connection, model)  # a worker has its own DATABASE_URL
            rows = {} if joins else state_rows(connection, model, plan.key_types, shard)
            kind = dispatcher_for(connection, plan.load_loop)
        clock = ScheduleClock(time.monotonic)
        makers = value_makers(model, plan)
        schedule = schedule_of(plan, shard)
        writes = writes_of(model, plan, makers, schedule, rows)
        ledger = Ledger(schedule, plan.lateness_limit)
        if kind is not HubDispatcher:  # it can't encrypt, and this source need not
            dsn = postgres.without_encryption(dsn)
        connections = ConnectionTracker(dsn, plan.run_token, on_event)
        dispatcher = kind(connections, clock, ledger, writes, plan.pipeline_depth)
        executor = cls(
            clock,
            schedule,
            ledger,
            connections,
            dispatcher,
            LoopMonitor(dispatcher),
            Proofs(model, plan, makers),
            session or (lambda: postgres.connect(dsn)),
        )
        executor.loop_monitor.start()
        executor._settling = gevent.spawn(executor._settle_for_ever)
        _spare_pauses()
        return executor

    def start(self, zero: float, paused: float = 0.0) -> None:
        """Let schedule time be 0 at wall-clock time `zero`, which may lie ahead.

        A run that is resumed had paused before for `paused` seconds.
        """
        self.clock.start(time.monotonic() + zero - time.time(), paused)
        self.dispatcher.rescheduled()

    def now(self) -> float:
        """Return the schedule time; negative before the start."""
        return self.clock.now()

    def earliest_change(self) -> float:
        """Return the earliest schedule time at which a change may apply."""
        return min(self.now() + self.dispatcher.ahead, self.clock.pause_at)

    def report(self) -> ProgressReport:
        """Return this process's state of one instant.

        Other processes can look up its unfinished writes, should this process die.
        """
        dispatcher = self.dispatcher
        now, counts = self._counts()
        lost = [*(lost.write for lost in dispatcher.lost), *dispatcher.unproved]
        unfinished, writes = [*dispatcher.performing(), *lost], dispatcher.writes
        backlog, not_begun = self.schedule.backlog(), dispatcher.not_begun()
        backends = self.connections.open | {lost.backend_pid for lost in dispatcher.lost}
        return ProgressReport(
            s=max(now, -1.0),  # a number also before the start
            counts=counts,
            failures=dict(self.ledger.failures),
            extra_rows=dict(self.ledger.extra_rows),
            places=self.schedule.checkpoints(),
            left={name: [*backlog.get(name, ()), *not_begun.get(name, ())] for name in counts},
            unfinished=[
                UnfinishedWrite(write.operation, write.k, writes.key(write), writes.version(write))
                for write in unfinished
            ],
            backends=list(backends),
            reconnects=self.connections.reconnects,
        )

    def counts(self) -> Mapping[str, Counts]:
        """Return this process's counts of this moment."""
        return self._counts()[1]

    def take_latencies(self) -> Mapping[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call."""
        return self.ledger.take_latencies()

    def change_rates(self, change: NewRates) -> None:
        """Apply other rates, or another profile, from an instant on."""
        self.schedule.change_rates(*change)
        self.dispatcher.rescheduled()

    def pause(self, at: float) -> None:
        """Stop schedule time at `at`: nothing falls due after it."""
        self.clock.pause(at)
        self.dispatcher.rescheduled()

    def resume(self, at: float) -> None:
        """Let schedule time run again when the wall clock reads `at`."""
        self.clock.resume(time.monotonic() + at - time.time())
        self.dispatcher.rescheduled()

    def split(self, at: float, shard: Shard) -> None:
        """Take `shard` of the arrivals from schedule time `at` on."""
        self.schedule.change_shard(at, shard)
        self.dispatcher.rescheduled()

    def end(self, at: float) -> None:
        """Let nothing fall due after schedule time `at`."""
        self.schedule.end = min(self.schedule.end, nextafter(at, inf))

    def _counts(self) -> tuple[float, dict[str, Counts]]:
        """Return the schedule time and the counts of this moment."""
        self.dispatcher.refresh()
        now = self.now()
        return now, self.ledger.counts(now, self.dispatcher.not_due(now))

    def close(self) -> None:
        """Stop measuring and looking up lost writes; the run is over."""
        self.loop_monitor.stop()
        self._settling.kill()
        self.dispatcher.retire()

    def _settle_for_ever(self) -> None:
        """Look up lost writes while there are any, again if the source does not answer."""
        while True:
            gevent.sleep(_SETTLE_INTERVAL)
            if self.dispatcher.lost:
                with (
                    suppress(SourceError, psycopg.Error),
                    self._session() as connection,
                    # A server that stands still meanwhile is not waited for.
                    postgres.ended_after(connection, _SETTLE_SECONDS),
                ):
                    if not is_of_run(connection, self.connections.run_token):
                        raise another_database(self.connections.run_token)
                    self.dispatcher.settle(connection, self.proofs)


def _spare_pauses() -> None:
    """Do now what would hold up arrivals later: Python's first look at a stack, and its collector.

    Locust looks at its stack when it stops, while the last arrivals still fall due; the first look
    takes 25 ms. The collector takes 0.1 s for the objects that exist now, and all of them stay.
    Each time that it looks at newer ones, it looks at thousands of rows that may move; so it looks
    less often.
    """
    inspect.stack()
    gc.unfreeze()  # the rest of the run before
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
