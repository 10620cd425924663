"""The Locust users: each opens a connection, lends it to the process's dispatcher, and waits.

Users are connections and nothing else: how much is offered is the schedule's business. The
`dispatcher` decides what a connection does, arrival by arrival.
"""

import locust  # isort: skip - first, since it patches the standard library
from random import SystemRandom
from typing import ClassVar

import gevent
import psycopg
from locust import constant, task
from locust.exception import StopUser

from loadgen.errors import SourceError
from loadgen.load.dispatcher import Dispatcher, Sender
from loadgen.load.driver.libpq import ConnectionLost, GeventConnection
from loadgen.load.driver.plain import connect
from loadgen.load.driver.wire import execution
from loadgen.load.lookup import IS_OF_RUN, another_database
from loadgen.source import postgres

_IS_OF_RUN = "loadgen.is_of_run"  # no operation can be called that
_BACK_OFF_SECONDS = (0.1, 2.0)  # first and longest wait between attempts to connect
_random = SystemRandom()  # jitter only: nothing that is written depends on it


class PostgresUser(locust.User):
    """One connection. Locust makes the users, so they find their process's dispatcher here."""

    wait_time = constant(0)
    dispatcher: ClassVar[Dispatcher | None] = None  # of the newest run
    _sender: Sender | None = None

    @task
    def work(self) -> None:
        """Perform arrivals until told to stop; a task that never returns saves Locust's loop."""
        again = False
        while self._state == "running":
            dispatcher = self.dispatcher
            if dispatcher is None or dispatcher.retired:
                # Wait: this worker's shard is not ready yet, or the worker was given up as lost and
                # is about to join again.
                gevent.sleep(0.05)
                continue
            connection = self._connect(dispatcher, again=again)
            if connection is None:
                continue
            self._sender = dispatcher.sender(connection)
            try:
                sqlstate = self._sender.work()
                again = bool(sqlstate) and not dispatcher.retired
                if again:
                    dispatcher.connections.lost(connection.backend_pid, sqlstate)
            finally:
                self._sender = None
                dispatcher.connections.closed(connection.backend_pid)
                connection.close()
        raise StopUser

    def stop(self, force: bool = False) -> bool:  # noqa: FBT001, FBT002 - Locust's signature
        """Stop after the write under way, as Locust wants it."""
        if not force and self._state == "stopping":
            return False  # two stops at once, for instance by Locust's timer and a person
        killed: bool = super().stop(force)
        if not killed and self._sender is not None:
            self._sender.leave()
        return killed

    def _connect(self, dispatcher: Dispatcher, *, again: bool) -> GeventConnection | None:
        """Connect, trying again with growing, jittered waits; None if the user is to stop."""
        wait, longest = _BACK_OFF_SECONDS
        connections = dispatcher.connections
        while self._state == "running" and not dispatcher.retired:
            try:
                connection = _open(dispatcher)
            except SourceError as exc:
                connections.refused(str(exc))
                gevent.sleep(wait * _random.uniform(0.5, 1.5))
                wait = min(wait * 2, longest)
            else:
                connections.opened(connection.backend_pid, again=again)
                return connection
        return None


def _open(dispatcher: Dispatcher) -> GeventConnection:
    """Connect to the source of the run. Raises SourceError, also if another server answers.

    Another server may have taken over the address: nothing is written to one that does not know
    the run.
    """
    connections = dispatcher.connections
    try:
        connection = connect(
            connections.dsn, {_IS_OF_RUN: IS_OF_RUN, **dispatcher.writes.statements}
        )
    except psycopg.Error as exc:
        raise postgres.explain(exc, connections.dsn) from exc
    except ConnectionLost as exc:
        raise _broken_at_once(exc) from exc
    try:
        request = execution(_IS_OF_RUN.encode(), (connections.run_token.encode(),))
        of_run = connection.execute(request).rows == (1,)
    except ConnectionLost as exc:
        connection.close()
        raise _broken_at_once(exc) from exc
    if not of_run:
        connection.close()
        raise another_database(connections.run_token)
    return connection


def _broken_at_once(exc: ConnectionLost) -> SourceError:
    return SourceError(f"a connection broke at once: SQLSTATE {exc.sqlstate}")
