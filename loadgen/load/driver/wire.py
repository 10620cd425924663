"""Postgres's wire protocol, as far as prepared statements on an open connection need it.

A request is a row of bytes, ready to be sent: Bind, Execute and the Sync that ends a transaction of
its own. Pure: nothing here opens or reads a connection. Parameters and results are text.
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
# Of no interest here: parse and bind complete, no data, row description, a row, an empty query, a
# notice, a changed setting, a notification.
_PASSED_OVER: Final = frozenset(b"12nTDINSA")
_COMPLETE, _ERROR, _IDLE = b"CEZ"
_SQLSTATE = b"C"  # the field of an error


class Answer(NamedTuple):
    """What the server said: the SQLSTATE of an error (None = committed) and the rows touched."""

    sqlstate: str | None
    rows: int


class UnexpectedMessage(Exception):  # noqa: N818 - the connection's user is told of a loss
    """The server said what nobody asked it for."""


class _Lengths(dict[int, bytes]):
    """Numbers as the protocol writes them before so many bytes; the usual ones are ready."""

    def __missing__(self, n: int) -> bytes:
        return _INT32.pack(n)


LENGTHS: Final = _Lengths((n, _INT32.pack(n)) for n in range(2048))


def preparation(statement: bytes, sql: bytes) -> bytes:
    """Return the request that prepares `sql` under a name."""
    body = b"%b\0%b\0\0\0" % (statement, sql)
    return b"P%b%b%b" % (LENGTHS[len(body) + 4], body, _SYNC)


def execution(statement: bytes, parameters: Sequence[bytes]) -> bytes:
    """Return the request that executes a prepared statement, a transaction of its own."""
    # The unnamed portal, the statement's name, no formats (so text), how many parameters.
    pieces = [b"\0%b\0\0\0%b" % (statement, _INT16.pack(len(parameters)))]
    for parameter in parameters:
        pieces += (LENGTHS[len(parameter)], parameter)
    body = b"".join(pieces)
    return b"".join((b"B", bind_length(len(body)), body, END))


def bind_length(body: int) -> bytes:
    """Return what stands behind a request's first byte, where all up to its results is so long."""
    return LENGTHS[_INT32.size + body + len(RESULTS)]


def executed(request: bytes) -> tuple[bytes, list[bytes]]:
    """Return the statement and the parameters that `execution` was given."""
    statement = request[HEAD + 1 : request.index(b"\0", HEAD + 1)]
    return statement, [request[place] for place in places(request)]


def places(request: bytes) -> list[slice]:
    """Return where in a request its parameters lie."""
    at = request.index(b"\0", HEAD + 1) + 3  # the statement's end, no formats
    (count,) = _INT16.unpack_from(request, at)
    at += _INT16.size
    found = []
    for _ in range(count):
        (size,) = _INT32.unpack_from(request, at)
        at += _INT32.size
        found.append(slice(at, at + size))
        at += size
    return found


def _whole(tag: bytes) -> bytes:
    """Return all that the server says to a request which it did, with that command tag."""
    return b"2\0\0\0\x04C%b%b\0%b" % (LENGTHS[len(tag) + 5], tag, _READY)


# Rows touched, by the whole answer: what nearly every request is answered with.
USUAL_ANSWERS: Final = {_whole(b"INSERT 0 1"): 1, _whole(b"UPDATE 1"): 1, _whole(b"UPDATE 0"): 0}


class Answers:
    """Reads what the server says, in whatever pieces it comes; `sqlstate` is its last word."""

    def __init__(self) -> None:
        self.sqlstate: str | None = None  # of an error that has not been answered for
        self.pending = b""  # the beginning of a message
        self._rows = 0

    def take_in(self, data: bytes) -> list[Answer]:
        """Return the requests' answers that `data` completes, in order.

        Raises UnexpectedMessage. In the extended protocol a command is complete before its commit
        is done, and the commit itself may fail: so an answer is what was said up to "ready".
        """
        answers: list[Answer] = []
        data, at = self.pending + data, 0
        while (begin := at + HEAD) <= len(data):
            (size,) = _INT32.unpack_from(data, at + 1)
            kind, end = data[at], at + 1 + size
            if end < begin:
                raise UnexpectedMessage(f"message {chr(kind)!r} of {size} bytes")
            if end > len(data):
                break
            if kind == _IDLE:
                answers.append(Answer(self.sqlstate, self._rows))
                self.sqlstate, self._rows = None, 0
            elif kind == _COMPLETE:
                last = data[begin : end - 1].rpartition(b" ")[2]
                self._rows = int(last) if last.isdigit() else 0
            elif kind == _ERROR:
                self.sqlstate = self.sqlstate or _sqlstate(data[begin:end])
            elif kind not in _PASSED_OVER:
                raise UnexpectedMessage(f"message {chr(kind)!r}")
            at = end
        self.pending = data[at:]
        return answers


def _sqlstate(fields: bytes) -> str:
    """Return the SQLSTATE of an error; XX000 (internal error) where it has none."""
    found = (field[1:] for field in fields.split(b"\0") if field[:1] == _SQLSTATE)
    return next(found, b"XX000").decode()
