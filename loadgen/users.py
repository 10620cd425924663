"""The Locust users: each is one connection that takes the next due arrival and performs it.

Users are connections and nothing else: how much is offered is the schedule's business. What a
process shares among its users (schedule, ledger, operations, lost writes) is in `Crew`.
"""

import locust  # isort: skip - first, since it patches the standard library
import time
from collections.abc import Callable
from functools import partial
from random import SystemRandom
from typing import ClassVar

import gevent
import gevent.hub
import psycopg
from gevent import getcurrent
from greenlet import greenlet
from locust import constant, task
from locust.exception import StopUser

from loadgen.errors import SourceError
from loadgen.gevent_connection import CONNECTION_FAILURE, ConnectionLost, GeventConnection
from loadgen.source import postgres
from loadgen.workload.clock import ScheduleClock
from loadgen.workload.connections import Connections
from loadgen.workload.ledger import Ledger
from loadgen.workload.operations import STATEMENTS, Operations, Write
from loadgen.workload.settle import IS_OF_RUN, Lost, another_database, backend_alive, is_committed
from loadgen.workload.streams import Arrival
from loadgen.workload.vitals import late_after

STALL_SECONDS = 5.0
_IS_OF_RUN = b"is_of_run"
_PREPARED = {_IS_OF_RUN.decode(): IS_OF_RUN, **STATEMENTS}
NO_ROW = "02000"  # SQLSTATE of an update that found nothing to change
_BACK_OFF_SECONDS = (0.1, 2.0)  # first and longest wait between attempts to connect
_random = SystemRandom()  # jitter only: nothing that is written depends on it


class Crew:
    """What the users of one process share, and the hand-over of due arrivals to idle ones."""

    def __init__(
        self,
        connections: Connections,
        clock: ScheduleClock,
        ledger: Ledger,
        operations: Operations,
    ) -> None:
        self.connections = connections
        self.clock = clock
        self.ledger = ledger
        self.operations = operations
        self.lost: list[Lost] = []
        self.performing: dict[int, Write] = {}  # by user: what is lost if this process dies
        self.holding = False  # take nothing for the moment
        self.ticked_at: float | None = None  # in a worker: when it last knew that it was alive
        self.late_after = late_after(ledger.lateness_limit)  # seconds
        self.late_wakes = 0  # times an idle user was given an arrival later than that
        self._idle: list[greenlet] = []
        self._loop = gevent.hub.get_hub().loop
        self._timer = self._loop.timer(0)
        self._wakes_at = 0.0  # schedule time

    def take(self) -> Arrival | None:
        """Return the next due arrival, waiting for it; None when the user is asked to look up."""
        if self.ticked_at is not None and time.monotonic() - self.ticked_at > STALL_SECONDS:
            self.holding = True  # a stall: others may have been given this process's share
        if not self.holding:
            arrival = self.ledger.take(self.clock.now())
            if arrival is not None:
                return arrival
        me = getcurrent()
        self._idle.append(me)
        self._set_timer()
        try:
            woken_with: Arrival | None = gevent.hub.get_hub().switch()
        except BaseException:
            if me in self._idle:
                self._idle.remove(me)
            raise
        return woken_with

    def look_up(self, user: greenlet) -> None:
        """Wake an idle user without an arrival, so that it sees what has changed."""
        if user in self._idle:
            self._idle.remove(user)
            self._loop.run_callback(user.switch, None)

    def retire(self) -> None:
        """Hand out nothing any more, and let the users look for their next crew."""
        self.holding = True
        while self._idle:
            self._loop.run_callback(self._idle.pop().switch, None)

    def rescheduled(self) -> None:
        """Call it when the schedule or the clock has changed under waiting users."""
        if self._idle:
            self._set_timer()

    def settle(self, connection: psycopg.Connection) -> None:
        """Look up every lost write whose backend has left; the others stay for the next call."""
        for lost in list(self.lost):
            if backend_alive(connection, lost.backend_pid):
                continue
            committed = is_committed(connection, lost.write)
            self.lost.remove(lost)
            self.ledger.settled(lost.write.operation, None if committed else lost.sqlstate)
            (self.operations.committed if committed else self.operations.refused)(lost.write)

    def _set_timer(self) -> None:
        """Wake up when the next arrival is due."""
        self._timer.stop()
        due = self.ledger.schedule.next_due()
        if not self.holding and due <= self.clock.limit and due != float("inf"):
            now = self.clock.now()
            self._wakes_at = max(now, due)
            self._timer = self._loop.timer(max(0.0, due - now))
            self._timer.start(self._hand_over, update=True)

    def _hand_over(self) -> None:
        """Give what is due to idle users, the last one to fall idle first; runs in the hub."""
        if self._idle and self.clock.now() - self._wakes_at > self.late_after:
            self.late_wakes += 1
        while (
            self._idle
            and not self.holding
            and (arrival := self.ledger.take(self.clock.now())) is not None
        ):
            self._idle.pop().switch(arrival)
        if self._idle:
            self._set_timer()


class PostgresUser(locust.User):
    """One connection; `crew_of_run` is set by the process's station before a test starts."""

    wait_time = constant(0)
    crew: Crew
    crew_of_run: ClassVar[Crew | None] = None

    @task
    def work(self) -> None:
        """Perform arrivals until asked to stop; a task that never returns saves Locust's loop."""
        while self.crew_of_run is None:
            gevent.sleep(0.05)  # a worker may be told of its users before its share is ready
        self.crew = self.crew_of_run
        connection, again = None, False
        try:
            while self._state == "running":
                if self.crew is not self.crew_of_run:
                    # This process was given up and has joined anew: what its old connections
                    # did is looked up once they have left.
                    if connection is not None:
                        self._disconnect(connection)
                    connection, again = None, False
                self.crew = self.crew_of_run
                if connection is None:
                    connection = self._connect(again=again)
                    continue
                arrival = self.crew.take()
                if arrival is not None:
                    self._perform(connection, arrival)
                if connection.broken:
                    self.crew.connections.lost(connection.backend_pid, connection.broken)
                    self._disconnect(connection)
                    connection, again = None, True
        finally:
            if connection is not None:
                self._disconnect(connection)
        raise StopUser

    def stop(self, force: bool = False) -> bool:  # noqa: FBT001, FBT002 - Locust's signature
        """Stop after the write at hand, as Locust asks; an idle user is woken to notice."""
        if not force and self._state == "stopping":
            return False  # two stops at once: Locust's timer and a person, say
        killed: bool = super().stop(force)
        if not killed and self.greenlet is not None and self.crew_of_run is not None:
            self.crew.look_up(self.greenlet)
        return killed

    def _connect(self, *, again: bool) -> GeventConnection | None:
        """Connect, trying again with growing, jittered waits; None when asked to stop."""
        wait, longest = _BACK_OFF_SECONDS
        while self._state == "running":
            connections = self.crew.connections
            try:
                connection = _open(connections)
            except SourceError as exc:
                connections.refused(str(exc))
                gevent.sleep(wait * _random.uniform(0.5, 1.5))
                wait = min(wait * 2, longest)
            else:
                connections.opened(connection.backend_pid, again=again)
                if self.greenlet is not None:
                    connection.on_loss = partial(self.crew.look_up, self.greenlet)
                return connection
        return None

    def _disconnect(self, connection: GeventConnection) -> None:
        self.crew.connections.closed(connection.backend_pid)
        connection.close()

    def _perform(
        self,
        connection: GeventConnection,
        arrival: Arrival,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Send one write and account for it; the connection is `broken` when it is gone."""
        crew = self.crew
        write = crew.operations.write(arrival)
        if write is None:
            crew.ledger.failed(arrival.operation, NO_ROW)
            return
        crew.performing[id(self)] = write
        started = clock()
        try:
            answer = connection.execute(write.operation.encode(), write.parameters)
        except ConnectionLost as exc:
            self._lose(connection, write, exc.sqlstate)
            connection.broken = exc.sqlstate
            return
        except BaseException:
            # Killed while waiting: the server may still commit it.
            self._lose(connection, write, CONNECTION_FAILURE)
            raise
        finally:
            del crew.performing[id(self)]
        service = clock() - started
        if answer.sqlstate is not None:
            crew.ledger.failed(write.operation, answer.sqlstate)
            crew.operations.refused(write)
        elif not answer.rows:
            crew.ledger.failed(write.operation, NO_ROW)
        else:
            crew.ledger.committed(write.operation, service, crew.clock.now() - arrival.due)
            crew.operations.committed(write)

    def _lose(self, connection: GeventConnection, write: Write, sqlstate: str) -> None:
        self.crew.ledger.lost(write.operation)
        self.crew.lost.append(Lost(write, connection.backend_pid, sqlstate))


def _open(connections: Connections) -> GeventConnection:
    """Connect to the source of the run; raises SourceError, also where another one answers.

    Another server may have taken over the address: nothing is written where the run is unknown.
    """
    try:
        connection = GeventConnection(connections.dsn, _PREPARED)
    except psycopg.OperationalError as exc:
        raise postgres.explain(exc, connections.dsn) from exc
    try:
        of_run = connection.execute(_IS_OF_RUN, (connections.claim.encode(),)).rows
    except ConnectionLost as exc:
        connection.close()
        raise SourceError(f"a connection broke at once: SQLSTATE {exc.sqlstate}") from exc
    if not of_run:
        connection.close()
        raise another_database(connections.claim)
    return connection
