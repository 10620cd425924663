"""A Postgres connection that sends prepared statements as ready bytes and waits in gevent's hub.

psycopg's own cursor takes 60 to 80 microseconds of Python for a write under gevent; this takes
about 15, since it uses libpq's asynchronous calls directly and one persistent watcher a
connection. It knows nothing of schedules or accounting.
"""

import gevent.hub
import gevent.monkey

if not gevent.monkey.is_module_patched("select"):
    raise ImportError("import locust before loadgen.gevent_connection: gevent has patched nothing")

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import psycopg
from greenlet import getcurrent, greenlet
from psycopg import pq, waiting

if waiting.wait is getattr(waiting, "wait_c", None):
    raise ImportError(
        "psycopg was imported before locust: every query would block the whole process. "
        "Import locust first, and unset PSYCOPG_WAIT_FUNC."
    )

_READ, _WRITE = 1, 2
_OPTIONS = {
    "application_name": "loadgen",
    "connect_timeout": 5,
    "options": "-c statement_timeout=30s -c lock_timeout=0",
    # A host that is gone without a word is noticed after a minute, not after two hours.
    "tcp_user_timeout": 60_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
CONNECTION_FAILURE = "08006"  # SQLSTATE where the server said nothing
_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class Answer(NamedTuple):
    """What the server said: the SQLSTATE of an error (None = committed) and the rows touched."""

    sqlstate: str | None
    rows: int


class ConnectionLost(Exception):  # noqa: N818 - a fact that users handle, not an error of ours
    """The connection broke before the server had answered: the write's outcome is unknown."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate or CONNECTION_FAILURE


class GeventConnection:
    """One connection with its statements prepared.

    Raises psycopg.OperationalError when it can't connect or prepare. `on_loss` is called in the
    hub when the connection breaks while nobody waits for an answer; then it is `broken`.
    """

    on_loss: Callable[[], None] | None = None
    broken = ""  # else the SQLSTATE of its loss

    def __init__(self, dsn: str, prepare: Mapping[str, str]) -> None:
        self._connection = psycopg.Connection.connect(dsn, autocommit=True, **_OPTIONS)  # type: ignore[arg-type]
        self._pgconn = self._connection.pgconn
        self._hub = gevent.hub.get_hub()
        self._readable = self._hub.loop.io(self._pgconn.socket, _READ)
        self._writable = self._hub.loop.io(self._pgconn.socket, _READ | _WRITE)
        self._waiting: greenlet | None = None
        self.backend_pid = self._pgconn.backend_pid
        try:
            for name, sql in prepare.items():
                self._pgconn.send_prepare(name.encode(), sql.encode())
                answer = self._answer()
                if answer.sqlstate is not None:
                    raise psycopg.OperationalError(  # noqa: TRY301 - so that it is closed below
                        f"preparing {name}: SQLSTATE {answer.sqlstate}"
                    )
        except BaseException:
            self.close()
            raise

    def execute(self, statement: bytes, parameters: Sequence[bytes]) -> Answer:
        """Send a prepared statement and wait for its commit.

        Raises ConnectionLost if the connection breaks before the server is ready again; a
        greenlet killed in here leaves the connection in the middle of a statement, so close it.
        """
        try:
            self._pgconn.send_query_prepared(statement, parameters)
            return self._answer()
        except psycopg.OperationalError as exc:
            raise ConnectionLost(None) from exc

    def close(self) -> None:
        """Close the connection and its watchers; may be called again."""
        self._readable.stop()
        self._writable.stop()
        self._readable.close()
        self._writable.close()
        self._connection.close()

    def _wait(self) -> None:
        """Switch to the hub until there is something to read.

        The watcher stays active from one write to the next, which saves a quarter of hub.wait's
        cost; when it fires with nobody waiting, `_take_in` sees what came.
        """
        if not self._readable.active:  # type: ignore[attr-defined]  # gevent's stubs lack it
            self._readable.start(self._wake)
        self._waiting = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.switch()
        else:
            self._take_in()

    def _take_in(self) -> None:
        """Read what comes unasked: a notice, or the connection's end."""
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError:
            self._readable.stop()
            self.broken = CONNECTION_FAILURE
            if self.on_loss is not None:
                self.on_loss()

    def _answer(self) -> Answer:
        """Wait until the server is ready again: only then is the write committed.

        In the extended protocol the command is complete before its commit is done, and the commit
        itself may fail; hence all results are read, and any error among them counts.
        """
        pgconn = self._pgconn
        while pgconn.flush():
            self._hub.wait(self._writable)
            pgconn.consume_input()
        sqlstate, rows = None, 0
        while True:
            while pgconn.is_busy():
                self._wait()
                try:  # noqa: SIM105 - suppress() would cost half a microsecond a write
                    pgconn.consume_input()
                except psycopg.OperationalError:
                    pass  # libpq may still hold the server's last word: the results tell
            result = pgconn.get_result()
            if result is None:
                break
            if result.status in _DONE:
                rows = result.command_tuples or 0
            else:
                state = result.error_field(pq.DiagnosticField.SQLSTATE)
                sqlstate = sqlstate or (state.decode() if state else CONNECTION_FAILURE)
        if pgconn.status != pq.ConnStatus.OK:
            raise ConnectionLost(sqlstate)
        return Answer(sqlstate, rows)
