"""A connection without encryption, which speaks Postgres's protocol itself.

libpq opens it: addresses, authentication and time-outs are its business. From then on requests are
written to the socket unchanged and answers are recognised by their bytes. That takes a quarter of
the time of libpq's calls, and one call of the system can send several requests. A connection with
TLS or GSSAPI encryption stays with libpq (`libpq`).
"""

from loadgen.load.driver.libpq import (  # isort: skip - first: it looks whether gevent has patched
    CONNECTION_FAILURE,
    GeventConnection,
)
import os
from collections.abc import Mapping

import psycopg

from loadgen.load.driver.wire import USUAL_ANSWERS, Answers, UnexpectedMessage, preparation
from loadgen.source import postgres

_READ = 1
_STATEMENT_TIMEOUT = "30s"  # a run's drain waits longer
# Room for more costs more, even if it is not used; it grows if answers fill it.
_READ_BYTES, _MOST_READ_BYTES = 400, 65_536
_PROTOCOL_VIOLATION = "08P01"  # SQLSTATE
_ENCRYPTED = "SELECT FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_backend_pid() AND encrypted"


def connect(dsn: str, prepare: Mapping[str, str]) -> GeventConnection:
    """Connect and prepare statements, given as SQL by name.

    Raises SourceError if it can't connect; psycopg.Error, or ConnectionLost if it breaks, while it
    prepares.
    """
    connection = postgres.connect(dsn, statement_timeout=_STATEMENT_TIMEOUT)
    try:
        plain = is_plain(connection)
    except BaseException:
        connection.close()
        raise
    return (PlainConnection if plain else GeventConnection)(connection, prepare)


def is_plain(connection: postgres.Session) -> bool:
    """Tell whether a connection is without encryption."""
    if connection.pgconn.ssl_in_use:
        return False
    if any(o.keyword == b"gssencmode" and o.val == b"disable" for o in connection.pgconn.info):
        return True
    return connection.execute(_ENCRYPTED).rowcount == 0


class PlainConnection(GeventConnection):
    """A connection whose socket is read and written here."""

    def __init__(self, connection: postgres.Session, prepare: Mapping[str, str]) -> None:
        self._room = _READ_BYTES
        self._socket = connection.pgconn.socket
        self._answers = Answers()
        self._unsent: list[bytes] = []
        self._delivering = False  # several answers: requests meanwhile are sent together
        super().__init__(connection, prepare)

    def send(self, request: bytes) -> None:
        """Send a request; raises psycopg.OperationalError if that is impossible."""
        if self._delivering or self._unsent:
            self._unsent.append(request)
            return
        try:
            sent = os.write(self._socket, request)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            raise psycopg.OperationalError(str(exc)) from exc
        if sent < len(request):
            self._unsent.append(request[sent:])
            self._writable.start(self._write)

    def lend(self) -> tuple[int, bytes]:
        """Give the socket away; return it, and the beginning of a message that was read already.

        From then on this only closes it.
        """
        self._readable.stop()
        return self._socket, self._answers.pending

    def _prepare(self, name: bytes, sql: bytes) -> None:
        self.send(preparation(name, sql))

    def _write(self) -> None:
        """Send the rest; if the socket is full, try again once it has room."""
        left = b"".join(self._unsent)
        try:
            left = left[os.write(self._socket, left) :]
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
            return
        self._unsent = [left] if left else []
        if not left:
            self._writable.stop()
        elif not self._writable.active:  # type: ignore[attr-defined]  # gevent's stubs lack it
            self._writable.start(self._write)

    def _read(self) -> None:
        """Read from the socket, and deliver the answers that are complete."""
        try:
            received = os.read(self._socket, self._room)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        rows = USUAL_ANSWERS.get(received)
        if rows is not None and self._answers.between:
            self.on_answer(None, rows)
        else:
            self._take_in(received)

    def _take_in(self, received: bytes) -> None:
        answers = self._answers
        try:
            completed = answers.take_in(received)
        except UnexpectedMessage:
            completed, received, answers.sqlstate = [], b"", _PROTOCOL_VIOLATION
        self._message = answers.message
        if len(received) == self._room < _MOST_READ_BYTES:
            self._room *= 2
        self._delivering = True
        for answer in completed:
            self.on_answer(*answer)
        self._delivering = False
        if not received:  # the server has closed the connection
            self._sqlstate = answers.sqlstate or CONNECTION_FAILURE
            self._lose()
        elif self._unsent:
            self._write()
