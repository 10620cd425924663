"""A Postgres connection that sends prepared statements and is read in gevent's hub, through libpq.

psycopg's own cursor takes 60 to 80 microseconds of Python for a write under gevent. This takes 4
beside the system's calls: it uses libpq's asynchronous calls directly, keeps one watcher a
connection, and delivers answers by a call in the hub, without a switch between greenlets. An open
connection without encryption does without libpq: see `plain`. Nothing here knows of schedules or
accounting.
"""

import gevent.hub
import gevent.monkey

if not gevent.monkey.is_module_patched("select"):
    raise ImportError("import locust before loadgen.load.driver.libpq: gevent has patched nothing")

from collections.abc import Callable, Mapping

import psycopg
from greenlet import getcurrent
from psycopg import pq, waiting

from loadgen.load.driver.wire import Answer, parsed_executions
from loadgen.source import postgres

if waiting.wait is getattr(waiting, "wait_c", None):
    raise ImportError(
        "psycopg was imported before locust: every query would block the whole process. "
        "Import locust first, and unset PSYCOPG_WAIT_FUNC."
    )

_READ, _WRITE = 1, 2
CONNECTION_FAILURE = "08006"  # SQLSTATE of a loss without a message of the server
# Plain integers: an enum's member costs more to look up and compare than libpq's call.
_COMMAND_OK, _SYNC = int(pq.ExecStatus.COMMAND_OK), int(pq.ExecStatus.PIPELINE_SYNC)
_DONE = (_COMMAND_OK, int(pq.ExecStatus.TUPLES_OK), int(pq.ExecStatus.EMPTY_QUERY))


def _ignore(*_: object) -> None:
    """Ignore asynchronous notices."""


class ConnectionLost(Exception):  # noqa: N818 - a fact that users handle, not an error of ours
    """The connection broke before the server had answered: the write's outcome is unknown."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate or CONNECTION_FAILURE


class GeventConnection:
    """A connection with its statements prepared, which it closes with itself.

    Raises psycopg.OperationalError if it can't prepare. A request of `wire` is one transaction. It
    is answered in the hub: by `on_answer`, with an Answer's fields, once the server is ready again;
    by `on_loss`, with the last SQLSTATE, if the connection breaks, even with nothing under way.
    Several requests may be under way: libpq is in pipeline mode, which is also the only one in
    which it sends several statements before one Sync.
    """

    def __init__(self, connection: postgres.Session, prepare: Mapping[str, str]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._hub = gevent.hub.get_hub()
        self._readable = self._hub.loop.io(self._pgconn.socket, _READ)
        self._writable = self._hub.loop.io(self._pgconn.socket, _WRITE)
        self._under_way = 0
        self._rows: list[int] = []  # of the answer that is coming in
        self._sqlstate: str | None = None
        self._message = ""  # the server's, of the last error
        self.on_answer: Callable[[str | None, tuple[int, ...]], object] = _ignore
        self.on_loss: Callable[[str], object] = _ignore
        self.backend_pid = connection.server_pid
        self._readable.start(self._read)
        try:
            self._pgconn.enter_pipeline_mode()
            for name, sql in prepare.items():
                self._prepare(name.encode(), sql.encode())
                answer = self._wait()
                if answer.sqlstate is not None:
                    raise psycopg.OperationalError(  # noqa: TRY301 - so that it is closed below
                        f"preparing {name}: {self._message} (SQLSTATE {answer.sqlstate})"
                    )
        except BaseException:
            self.close()
            raise

    def send(self, request: bytes) -> None:
        """Send a request; raises psycopg.OperationalError if that is impossible."""
        self._under_way += 1
        for statement, parameters in parsed_executions(request):
            self._pgconn.send_query_prepared(statement, parameters)
        self._pgconn.pipeline_sync()
        self._flush()

    def execute(self, request: bytes) -> Answer:
        """Send a request and wait for its commit.

        Raises ConnectionLost if the connection breaks before the server is ready again; a
        greenlet killed in here leaves the connection in the middle of a transaction, so close it.
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

    def _prepare(self, name: bytes, sql: bytes) -> None:
        """Send the request that prepares a statement."""
        self._under_way += 1
        self._pgconn.send_prepare(name, sql)
        self._pgconn.pipeline_sync()
        self._flush()

    def _wait(self) -> Answer:
        """Switch to the hub until there is an answer."""
        waiting_greenlet = getcurrent()
        self.on_answer = lambda sqlstate, rows: waiting_greenlet.switch(Answer(sqlstate, rows))
        self.on_loss = lambda sqlstate: waiting_greenlet.throw(ConnectionLost(sqlstate))
        try:
            answer: Answer = self._hub.switch()
        finally:
            self.on_answer = self.on_loss = _ignore
        return answer

    def _flush(self) -> None:
        """Send the rest; if the socket is full, try again once it has room."""
        if not self._pgconn.flush():
            self._writable.stop()
        elif not self._writable.active:  # type: ignore[attr-defined]  # gevent's stubs lack it
            self._writable.start(self._flush)

    def _read(self) -> None:
        """Read from the socket: maybe several answers, each ended by its Sync.

        In the extended protocol a command is complete before its commit is done, and the commit
        itself may fail. So all results are read, and any error among them counts.
        """
        pgconn, lost, ended = self._pgconn, False, False
        try:
            pgconn.consume_input()
        except psycopg.OperationalError:
            lost = True  # libpq may still hold the server's last error: read the results
        while self._under_way and (lost or not pgconn.is_busy()):
            pgresult = pgconn.get_result()
            if pgresult is None:  # the end of a statement's results; twice: nothing more will come
                if ended:
                    break
                ended = True
            else:
                ended = False
                if pgresult.status == _SYNC:
                    self._ready()
                else:
                    self._note(pgresult)
        if lost:
            self._lose()

    def _note(self, pgresult: pq.abc.PGresult) -> None:
        """Keep one result's rows, or the first error, for the answer."""
        if pgresult.status in _DONE:
            self._rows.append(pgresult.command_tuples or 0)
        elif self._sqlstate is None:  # statements after a failed one are skipped
            state = pgresult.error_field(pq.DiagnosticField.SQLSTATE)
            message = pgresult.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
            self._sqlstate = state.decode() if state else CONNECTION_FAILURE
            self._message = (message or b"").decode(errors="replace")

    def _ready(self) -> None:
        """Deliver the answer."""
        sqlstate, rows = self._sqlstate, () if self._sqlstate else tuple(self._rows)
        self._sqlstate = None
        self._rows.clear()
        self._under_way -= 1
        self.on_answer(sqlstate, rows)

    def _lose(self) -> None:
        self._readable.stop()
        self._writable.stop()
        self.on_loss(self._sqlstate or CONNECTION_FAILURE)
