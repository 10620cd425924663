"""Random streams of a server's answers, read by the compiled loop and by `wire`.

Runs as a program too, so that the loop's source can be tried as plain Python, where Numba compiles
nothing: `NUMBA_DISABLE_JIT=1 python -m tests.answer_streams SEED COUNT` prints each outcome.
"""

import sys
from collections.abc import Iterator
from random import Random

from loadgen.load.driver import compiled_loop as loop
from loadgen.load.driver.loop_thread import new_shared
from loadgen.load.driver.wire import Answers, UnexpectedMessage

MOST_STATEMENTS = 3
_FIRST_SLOT = 7
_LONG = b"y" * 9000  # longer than the loop's buffer


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return a message of the server's."""
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def stream(random: Random) -> tuple[list[bytes], int]:
    """Return an answer stream in pieces, as they might arrive, and how many answers it may hold."""
    answers = random.randint(1, 6)
    whole = b"".join(_answer(random) for _ in range(answers))
    if random.random() < 0.2:  # the server's last word
        whole += _error(random, b"57P01")
    if random.random() < 0.2 and _LONG not in whole:  # the loop knows such an error before its end
        whole = whole[: random.randrange(len(whole) + 1)]
    pieces, at = [], 0
    while at < len(whole):
        size = random.choice((1, 2, 5, 40, 400, 9000))
        pieces.append(whole[at : at + size])
        at += size
    # More answers than were expected are an error.
    return pieces, answers - (random.random() < 0.05)


def _answer(random: Random) -> bytes:
    parts = []
    for _ in range(random.randint(1, MOST_STATEMENTS)):
        parts.append(message(b"2"))
        match random.randrange(8):
            case 0:
                parts.append(_error(random, random.choice((b"23505", b"40001", b"", b"C1C2C"))))
                break
            case 1:
                parts.append(message(b"I"))
            case 2:
                parts.append(message(b"D", random.randbytes(random.choice((3, 500, 20_000)))))
                parts.append(message(b"C", b"SELECT %d\0" % random.randrange(3)))
            case 3:
                parts.append(message(b"C", random.choice((b"BEGIN\0", b"\0", b"X 1x\0", b"7\0"))))
            case _:
                parts.append(message(b"C", b"INSERT 0 %d\0" % random.choice((0, 1, 1, 1, 12))))
        if random.random() < 0.2:
            parts.append(message(b"N", b"SNOTICE\0M%b\0\0" % random.choice((b"x", _LONG))))
    if random.random() < 0.03:
        parts.append(random.choice((message(b"?", b"what"), b"C\0\0\0\x03", message(b"G"))))
    if random.random() < 0.05:  # the commit itself fails
        parts.append(_error(random, b"40001"))
    return b"".join((*parts, message(b"Z", b"I")))


def _error(random: Random, sqlstate: bytes) -> bytes:
    fields = [b"SERROR\0VERROR\0", b"MC is taken\0" + b"D%b\0" % random.choice((b"", _LONG))]
    if sqlstate:
        fields.insert(1, b"C%b\0" % sqlstate)
    return message(b"E", b"".join(fields) + b"\0")


def by_wire(pieces: list[bytes], expected: int) -> list[object]:
    """Return (SQLSTATE, rows) of each answer as `wire` reads it, then how it ended."""
    answers, found = Answers(), list[object]()
    for piece in pieces:
        try:
            completed = answers.take_in(piece)
        except UnexpectedMessage:
            if len(piece) == 1:
                return [*found, "unexpected"]
            # Read byte by byte, so that the answers completed before the error count.
            rest = [bytes((byte,)) for each in pieces for byte in each]
            return by_wire(rest, expected)
        found += [(answer.sqlstate, answer.rows) for answer in completed]
        if len(found) > expected:
            return [*found[:expected], "unexpected"]
    return [*found, answers.sqlstate]


class Loop:
    """The loop's understanding of one connection."""

    def __init__(self) -> None:
        self.shared = new_shared(8, MOST_STATEMENTS)

    def outcomes(self, pieces: list[bytes], expected: int) -> list[object]:
        """Return (SQLSTATE, rows) of each answer as the loop reads it, then how it ended."""
        s = self.shared
        s.connections[0] = 0
        s.connections[0]["unsent"] = s.connections[0]["last"] = expected
        s.fifo[0, :expected] = range(_FIRST_SLOT, _FIRST_SLOT + expected)
        s.words[loop.FINISHED] = 0
        understood = True
        for piece in pieces:
            rest = piece
            while rest and understood:
                filled = int(s.connections[0]["filled"])
                part = rest[: loop.BUFFER_BYTES - filled]
                rest = rest[len(part) :]
                s.buffer[0, filled : filled + len(part)] = list(part)
                s.connections[0]["filled"] = filled + len(part)
                understood = loop.take_in(s, 0, 0.0, 0.0)
        found = [self._outcome(int(slot)) for slot in s.finished[: s.words[loop.FINISHED]]]
        error = int(s.connections[0]["error"])
        end = (loop.unpacked(error) if error else None) if understood else "unexpected"
        return [*found, end]

    def _outcome(self, slot: int) -> tuple[str | None, tuple[int, ...]]:
        outcome = int(self.shared.slots[slot]["outcome"])
        if outcome > 0:
            return loop.unpacked(outcome), ()
        rows = self.shared.rows[slot, : self.shared.slots[slot]["answered"]].tolist()
        return None, tuple(rows)


def outcomes(seed: int, count: int) -> Iterator[tuple[list[object], list[object]]]:
    """Yield the readings of some streams by `wire` and by the loop."""
    random, understanding = Random(seed), Loop()
    for _ in range(count):
        pieces, expected = stream(random)
        yield by_wire(pieces, expected), understanding.outcomes(pieces, expected)


if __name__ == "__main__":
    for wire, ours in outcomes(*map(int, sys.argv[1:])):
        print(wire == ours, wire, ours)  # noqa: T201 - the program's output
