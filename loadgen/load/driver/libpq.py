"""A Postgres connection that sends prepared statements and is read in gevent's hub, through libpq.

psycopg's own cursor takes 60 to 80 microseconds of Python for a write under gevent; this takes
about 4 beside the system's calls, since it uses libpq's asynchronous calls directly, one persistent
watcher a connection, and tells answers by a call in the hub, without a switch between greenlets.
What is not encrypted needs no libpq once it is open: see `plain_connection`. Nothing here knows of
schedules or accounting.
"""

import gevent.hub
import gevent.monkey

if not gevent.monkey.is_module_patched("select"):
    raise ImportError("import locust before loadgen.load.driver.libpq: gevent has patched nothing")

from collections.abc import Callable, Mapping

import psycopg
from greenlet import getcurrent
from psycopg import pq, waiting

from loadgen.load.driver.wire import Answer, executed
from loadgen.source import postgres

if waiting.wait is getattr(waiting, "wait_c", None):
    raise ImportError(
        "psycopg was imported before locust: every query would block the whole process. "
        "Import locust first, and unset PSYCOPG_WAIT_FUNC."
    )

_READ, _WRITE = 1, 2
_STATEMENT_TIMEOUT = "30s"  # a run's drain waits longer
CONNECTION_FAILURE = "08006"  # SQLSTATE where the server said nothing
# Plain integers: an enum's member costs more to look up and compare than libpq's call.
_COMMAND_OK = int(pq.ExecStatus.COMMAND_OK)
_DONE = (_COMMAND_OK, int(pq.ExecStatus.TUPLES_OK))
_CONNECTION_OK = int(pq.ConnStatus.OK)


def _unheard(*_: object) -> None:
    """Nobody waits for what the connection has to tell."""


class ConnectionLost(Exception):  # noqa: N818 - a fact that users handle, not an error of ours
    """The connection broke before the server had answered: the write's outcome is unknown."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate or CONNECTION_FAILURE


def new_connection(dsn: str) -> postgres.Session:
    """Connect as the load does. Raises SourceError."""
    return postgres.connect(dsn, statement_timeout=_STATEMENT_TIMEOUT)


class GeventConnection:
    """One connection with its statements prepared; it closes what it is given.

    Raises psycopg.OperationalError when it can't prepare. What is sent, a request of `wire`, is
    answered in the hub: by `on_answer`, with the SQLSTATE of an error and the rows touched, once
    the server is ready again; by `on_loss`, with the SQLSTATE where it has one, if the connection
    breaks, also while nothing is under way.
    """

    def __init__(self, connection: postgres.Session, prepare: Mapping[str, str]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._hub = gevent.hub.get_hub()
        self._readable = self._hub.loop.io(self._pgconn.socket, _READ)
        self._writable = self._hub.loop.io(self._pgconn.socket, _WRITE)
        self._under_way = 0
        self._rows = 0  # of the answer that is coming in
        self._sqlstate: str | None = None
        self.on_answer: Callable[[str | None, int], object] = _unheard
        self.on_loss: Callable[[str], object] = _unheard
        self.backend_pid = connection.server_pid
        self._readable.start(self._read)
        try:
            self._begin()
            for name, sql in prepare.items():
                self._prepare(name.encode(), sql.encode())
                answer = self._wait()
                if answer.sqlstate is not None:
                    raise psycopg.OperationalError(  # noqa: TRY301 - so that it is closed below
                        f"preparing {name}: SQLSTATE {answer.sqlstate}"
                    )
        except BaseException:
            self.close()
            raise

    def send(self, request: bytes) -> None:
        """Send a prepared statement; raises psycopg.OperationalError if that is impossible."""
        self._under_way += 1
        self._pgconn.send_query_prepared(*executed(request))
        self._end()
        self._flush()

    def execute(self, request: bytes) -> Answer:
        """Send a prepared statement and wait for its commit.

        Raises ConnectionLost if the connection breaks before the server is ready again; a
        greenlet killed in here leaves the connection in the middle of a statement, so close it.
        """
        try:
            self.send(request)
        except psycopg.OperationalError as exc:
            raise ConnectionLost(None) from exc
        return self._wait()

    def close(self) -> None:
        """Close the connection and its watchers; may be called again."""
        self._readable.stop()
        self._writable.stop()
        self._readable.close()
        self._writable.close()
        self._connection.close()

    def _begin(self) -> None:
        """Put a new connection into the mode that it works in."""

    def _prepare(self, name: bytes, sql: bytes) -> None:
        """Send what prepares a statement; the answer is to be waited for."""
        self._under_way += 1
        self._pgconn.send_prepare(name, sql)
        self._end()
        self._flush()

    def _end(self) -> None:
        """Send what ends a statement."""

    def _wait(self) -> Answer:
        """Switch to the hub until there is an answer."""
        me = getcurrent()
        self.on_answer = lambda sqlstate, rows: me.switch(Answer(sqlstate, rows))
        self.on_loss = lambda sqlstate: me.throw(ConnectionLost(sqlstate))
        try:
            answer: Answer = self._hub.switch()
        finally:
            self.on_answer = self.on_loss = _unheard
        return answer

    def _flush(self) -> None:
        """Send what is left; what the socket has no room for follows once it has."""
        if not self._pgconn.flush():
            self._writable.stop()
        elif not self._writable.active:  # type: ignore[attr-defined]  # gevent's stubs lack it
            self._writable.start(self._flush)

    def _read(self) -> None:
        """Take in what has come, and tell once the server is ready again: that is the commit.

        In the extended protocol the command is complete before its commit is done, and the commit
        itself may fail; hence all results are read, and any error among them counts.
        """
        pgconn, lost = self._pgconn, False
        try:
            pgconn.consume_input()
        except psycopg.OperationalError:
            lost = True  # libpq may still hold the server's last word: the results tell
        while self._under_way:
            if not lost and pgconn.is_busy():
                return
            result = pgconn.get_result()
            if result is not None:
                if result.status == _COMMAND_OK:
                    self._rows = result.command_tuples or 0
                else:
                    self._note(result)
            elif lost or (self._sqlstate and pgconn.status != _CONNECTION_OK):
                lost = True
                break
            else:
                self._ready()
                return
        if lost:
            self._lose()

    def _note(self, result: pq.abc.PGresult) -> None:
        """Remember for the answer what one result says."""
        if result.status in _DONE:
            self._rows = result.command_tuples or 0
        else:
            state = result.error_field(pq.DiagnosticField.SQLSTATE)
            self._sqlstate = self._sqlstate or (state.decode() if state else CONNECTION_FAILURE)

    def _ready(self) -> None:
        """Tell the answer."""
        sqlstate, rows = self._sqlstate, self._rows
        self._sqlstate, self._rows = None, 0
        self._under_way -= 1
        self.on_answer(sqlstate, rows)

    def _lose(self) -> None:
        self._readable.stop()
        self._writable.stop()
        self.on_loss(self._sqlstate or CONNECTION_FAILURE)


class PipelinedConnection(GeventConnection):
    """One that may have several statements under way, in libpq's pipeline mode.

    A Sync follows each statement, so each is a transaction of its own and answered on its own.
    """

    def _begin(self) -> None:
        self._pgconn.enter_pipeline_mode()

    def _end(self) -> None:
        self._pgconn.pipeline_sync()

    def _read(self) -> None:
        """Take in what has come; there may be several answers, each ended by its Sync."""
        pgconn, lost, ended = self._pgconn, False, False
        try:
            pgconn.consume_input()
        except psycopg.OperationalError:
            lost = True
        while self._under_way and (lost or not pgconn.is_busy()):
            result = pgconn.get_result()
            if result is None:  # the end of one statement's results; twice: nothing more will come
                if ended:
                    break
                ended = True
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._ready()
                ended = False
            else:
                self._note(result)
                ended = False
        if lost:
            self._lose()
