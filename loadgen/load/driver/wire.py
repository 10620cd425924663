"""Postgres's wire protocol, as far as prepared statements on an open connection need it.

A request is bytes that are ready to be sent: Bind and Execute for each of its statements, and the
Sync that ends their transaction, an implicit one: without BEGIN and COMMIT. Pure: nothing here
opens or reads a connection. Parameters and results are text.
Source: PostgreSQL's documentation, "Frontend/Backend Protocol", version 3.0, "Message Formats".
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple

_INT32: Final = Struct(">i")
_INT16: Final = Struct(">h")
HEAD: Final = 5  # bytes: a message's type, and its length without the type
SYNC: Final = b"S\0\0\0\x04"
_EXECUTE: Final = b"E\0\0\0\x09\0\0\0\0\0"  # the unnamed portal, all rows
# What follows a Bind's parameters: results in text, and the messages after it if no other statement
# follows.
RESULTS: Final = b"\0\0"
END: Final = RESULTS + _EXECUTE + SYNC
_NULL: Final = b"\xff\xff\xff\xff"  # a length of -1

# Parse and bind complete, no data, row description, a row, a notice, a changed setting, a
# notification.
_IGNORED: Final = frozenset(b"12nTDNSA")
_BOUND, _COMPLETE, _EMPTY, _ERROR, _READY = b"2CIEZ"
_SQLSTATE, _MESSAGE = b"C", b"M"  # fields of an error
_USUAL_KINDS: Final = {_BOUND, _COMPLETE, _READY}
_MOST_LEARNED: Final = 256


class Answer(NamedTuple):
    """The server's answer: the SQLSTATE of an error (None = committed), the rows per statement.

    An error has undone all that the statements before it had touched: it comes without rows.
    """

    sqlstate: str | None
    rows: tuple[int, ...]


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
    return b"P%b%b%b" % (LENGTHS[len(body) + 4], body, SYNC)


def execution(statement: bytes, parameters: Sequence[bytes | None]) -> bytes:
    """Return the request that executes a prepared statement as one transaction."""
    return transaction([(statement, parameters)])


def transaction(executions: Sequence[tuple[bytes, Sequence[bytes | None]]]) -> bytes:
    """Return the request that executes prepared statements, one after the other, or none.

    Each is given by its name and its parameters; None is NULL.
    """
    pieces: list[bytes] = []
    for statement, parameters in executions:
        # The unnamed portal, the statement's name, no formats (so text), how many parameters.
        fields = [b"\0%b\0\0\0%b" % (statement, _INT16.pack(len(parameters)))]
        for parameter in parameters:
            fields += (_NULL,) if parameter is None else (LENGTHS[len(parameter)], parameter)
        body = b"".join(fields)
        pieces += (b"B", bind_length(len(body)), body, RESULTS, _EXECUTE)
    return b"".join((*pieces, SYNC))


def bind_length(body: int) -> bytes:
    """Return the length field of a Bind whose fields up to the results take `body` bytes."""
    return LENGTHS[_INT32.size + body + len(RESULTS)]


def parsed_executions(request: bytes) -> list[tuple[bytes, list[bytes | None]]]:
    """Return the statements and their parameters that `transaction` made a request of."""
    return [
        (statement, [None if place is None else request[place] for place in places])
        for statement, places in _binds(request)
    ]


def parameter_slices(request: bytes, statement: int = 0) -> list[slice]:
    """Return where in a request the parameters of its n-th statement lie; NULL's slice is empty."""
    for n, (_, places) in enumerate(_binds(request)):
        if n == statement:
            return [place or slice(0, 0) for place in places]
    raise IndexError(f"the request has no statement {statement}")


def _binds(request: bytes) -> Iterator[tuple[bytes, list[slice | None]]]:
    """Yield each statement, and where its parameters lie; None is NULL."""
    at = 0
    while request[at : at + 1] == b"B":
        name = at + HEAD + 1
        end = request.index(b"\0", name)
        statement, at = request[name:end], end + 1 + _INT16.size  # behind the formats, of none
        (count,) = _INT16.unpack_from(request, at)
        at += _INT16.size
        places: list[slice | None] = []
        for _ in range(count):
            (size,) = _INT32.unpack_from(request, at)
            at += _INT32.size
            places.append(None if size < 0 else slice(at, at + size))
            at += max(0, size)
        yield statement, places
        at += len(RESULTS) + len(_EXECUTE)


# Rows touched, by the whole answer: one look-up for nearly all requests. `Answers` learns them.
USUAL_ANSWERS: Final[dict[bytes, tuple[int, ...]]] = {}


class Answers:
    """Reads the server's messages, in pieces of any size; `sqlstate` is of the last error."""

    def __init__(self) -> None:
        self.sqlstate: str | None = None  # of an error before the end of its answer
        self.message = ""  # the server's, of the last error
        self.pending = b""  # the beginning of a message
        self.between = True  # no answer has begun to come in
        self._rows: list[int] = []  # of the answer that is coming in

    def take_in(self, received: bytes) -> list[Answer]:
        """Return the requests' answers that `received` completes, in order.

        Raises UnexpectedMessage. In the extended protocol a command is complete before its commit
        is done, and the commit itself may fail: so an answer ends with "ready for query".
        """
        answers: list[Answer] = []
        whole, kinds = self.between, set[int]()
        buffer, at = self.pending + received, 0
        kind = _READY if whole else 0  # of the last message
        while (begin := at + HEAD) <= len(buffer):
            (size,) = _INT32.unpack_from(buffer, at + 1)
            kind, end = buffer[at], at + 1 + size
            if end < begin:
                raise UnexpectedMessage(f"message {chr(kind)!r} of {size} bytes")
            if end > len(buffer):
                break
            kinds.add(kind)
            if kind == _READY:
                answers.append(Answer(self.sqlstate, () if self.sqlstate else tuple(self._rows)))
                self.sqlstate = None
                self._rows.clear()
            elif kind == _COMPLETE:
                last = buffer[begin : end - 1].rpartition(b" ")[2]
                self._rows.append(int(last) if last.isdigit() else 0)
            elif kind == _EMPTY:
                self._rows.append(0)
            elif kind == _ERROR:
                self._note_error(buffer[begin:end])
            elif kind not in _IGNORED:
                raise UnexpectedMessage(f"message {chr(kind)!r}")
            at = end
        self.pending = buffer[at:]
        self.between = kind == _READY and not self.pending
        if whole and self.between and len(answers) == 1 and kinds == _USUAL_KINDS:
            _learn(received, answers[0].rows)
        return answers

    def _note_error(self, fields: bytes) -> None:
        """Keep the first error of an answer; one without a SQLSTATE is XX000 (internal error)."""
        if self.sqlstate is None:
            by_type = {field[:1]: field[1:] for field in fields.split(b"\0")}
            self.sqlstate = by_type.get(_SQLSTATE, b"XX000").decode()
            self.message = by_type.get(_MESSAGE, b"").decode(errors="replace")


def _learn(answer: bytes, rows: tuple[int, ...]) -> None:
    """Remember a whole answer. If counts vary so much that there is no room, begin again."""
    if len(USUAL_ANSWERS) >= _MOST_LEARNED:
        USUAL_ANSWERS.clear()
    USUAL_ANSWERS[answer] = rows
