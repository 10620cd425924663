"""Postgres's wire protocol, as far as prepared statements on an open connection need it.

A request is bytes that are ready to be sent: Bind, Execute, and the Sync that ends its transaction.
Pure: nothing here opens or reads a connection. Parameters and results are text.
Source: PostgreSQL's documentation, "Frontend/Backend Protocol", version 3.0, "Message Formats".
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

_INT32: Final = Struct(">i")
_INT16: Final = Struct(">h")
HEAD: Final = 5  # bytes: a message's type, and its length without the type
_SYNC: Final = b"S\0\0\0\x04"
_EXECUTE: Final = b"E\0\0\0\x09\0\0\0\0\0"  # the unnamed portal, all rows
# What follows a Bind's parameters: results in text, and the messages after it.
RESULTS: Final = b"\0\0"
END: Final = RESULTS + _EXECUTE + _SYNC

_READY: Final = b"Z\0\0\0\x05I"
# Parse and bind complete, no data, row description, a row, an empty query, a notice, a changed
# setting, a notification.
_IGNORED: Final = frozenset(b"12nTDINSA")
_COMPLETE, _ERROR, _IDLE = b"CEZ"
_SQLSTATE = b"C"  # the field of an error


class Answer(NamedTuple):
    """The server's answer: the SQLSTATE of an error (None = committed) and the rows touched."""

    sqlstate: str | None
    rows: int


class UnexpectedMessage(Exception):  # noqa: N818 - the connection counts as lost then
    """The server sent a message that no request leads to."""


class _Lengths(dict[int, bytes]):
    """Lengths as the protocol writes them; the usual ones are ready."""

    def __missing__(self, n: int) -> bytes:
        return _INT32.pack(n)


LENGTHS: Final = _Lengths((n, _INT32.pack(n)) for n in range(2048))


def preparation(statement: bytes, sql: bytes) -> bytes:
    """Return the request that prepares `sql` under a name."""
    body = b"%b\0%b\0\0\0" % (statement, sql)
    return b"P%b%b%b" % (LENGTHS[len(body) + 4], body, _SYNC)


def execution(statement: bytes, parameters: Sequence[bytes]) -> bytes:
    """Return the request that executes a prepared statement as one transaction."""
    # The unnamed portal, the statement's name, no formats (so text), how many parameters.
    pieces = [b"\0%b\0\0\0%b" % (statement, _INT16.pack(len(parameters)))]
    for parameter in parameters:
        pieces += (LENGTHS[len(parameter)], parameter)
    body = b"".join(pieces)
    return b"".join((b"B", bind_length(len(body)), body, END))


def bind_length(body: int) -> bytes:
    """Return the length field of a Bind whose fields up to the results take `body` bytes."""
    return LENGTHS[_INT32.size + body + len(RESULTS)]


def parsed_execution(request: bytes) -> tuple[bytes, list[bytes]]:
    """Return the statement and the parameters that `execution` made a request of."""
    statement = request[HEAD + 1 : request.index(b"\0", HEAD + 1)]
    return statement, [request[parameter] for parameter in parameter_slices(request)]


def parameter_slices(request: bytes) -> list[slice]:
    """Return where in a request its parameters lie."""
    at = request.index(b"\0", HEAD + 1) + 3  # the statement's end, no formats
    (count,) = _INT16.unpack_from(request, at)
    at += _INT16.size
    slices = []
    for _ in range(count):
        (size,) = _INT32.unpack_from(request, at)
        at += _INT32.size
        slices.append(slice(at, at + size))
        at += size
    return slices


def _whole_answer(tag: bytes) -> bytes:
    """Return all messages that answer a request which succeeded with that command tag."""
    return b"2\0\0\0\x04C%b%b\0%b" % (LENGTHS[len(tag) + 5], tag, _READY)


# Rows touched, by the whole answer, for nearly all requests.
USUAL_ANSWERS: Final = {
    _whole_answer(b"INSERT 0 1"): 1,
    _whole_answer(b"UPDATE 1"): 1,
    _whole_answer(b"UPDATE 0"): 0,
}


class Answers:
    """Reads the server's messages, in pieces of any size; `sqlstate` is of the last error."""

    def __init__(self) -> None:
        self.sqlstate: str | None = None  # of an error before the end of its answer
        self.pending = b""  # the beginning of a message
        self._rows = 0

    def take_in(self, received: bytes) -> list[Answer]:
        """Return the requests' answers that `received` completes, in order.

        Raises UnexpectedMessage. In the extended protocol a command is complete before its commit
        is done, and the commit itself may fail: so an answer ends with "ready for query".
        """
        answers: list[Answer] = []
        buffer, at = self.pending + received, 0
        while (begin := at + HEAD) <= len(buffer):
            (size,) = _INT32.unpack_from(buffer, at + 1)
            kind, end = buffer[at], at + 1 + size
            if end < begin:
                raise UnexpectedMessage(f"message {chr(kind)!r} of {size} bytes")
            if end > len(buffer):
                break
            if kind == _IDLE:
                answers.append(Answer(self.sqlstate, self._rows))
                self.sqlstate, self._rows = None, 0
            elif kind == _COMPLETE:
                last = buffer[begin : end - 1].rpartition(b" ")[2]
                self._rows = int(last) if last.isdigit() else 0
            elif kind == _ERROR:
                self.sqlstate = self.sqlstate or _sqlstate(buffer[begin:end])
            elif kind not in _IGNORED:
                raise UnexpectedMessage(f"message {chr(kind)!r}")
            at = end
        self.pending = buffer[at:]
        return answers


def _sqlstate(fields: bytes) -> str:
    """Return the SQLSTATE of an error; XX000 (internal error) if it has none."""
    states = (field[1:] for field in fields.split(b"\0") if field[:1] == _SQLSTATE)
    return next(states, b"XX000").decode()
