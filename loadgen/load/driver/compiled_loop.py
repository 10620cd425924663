"""The load's hot path compiled: a thread that sends due arrivals and reads their answers.

Numba compiles this module to machine code, which runs beside gevent without Python's lock. So it
is written in what Numba understands: functions, numbers, and arrays that Python and the thread both
see (`Shared`). Python hands arrivals over ahead of their due times and collects outcomes later
(`loop_thread`). docs/method/compiled-loop.md explains both sides.

An arrival that is handed over has a slot. Each array has one writer at a time: Python fills a slot
before it is queued, the loop until it is finished, and Python again once it has been collected.

This is one file on purpose: Numba's cache notices changes of the file that a function is in, and
not of constants from others.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadgen.load.driver import system_calls
from loadgen.load.driver.system_calls import EVENT_DATA, EVENT_WORDS, compiled

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Ints32 = NDArray[np.int32]

BUFFER_BYTES: Final = 8192  # of a connection's answers; of a longer message the rest is passed over
MOST_EVENTS: Final = 64  # at once
MOST_PIECES: Final = 64  # requests that one call sends

# Words that both sides read, each on a cache line of its own. Of a ring: how many went in, and out.
(
    QUEUED, TAKEN, FINISHED, ORDERED, OBEYED, STOP, HOLDING, LATE_WAKES,
    FREE, DEPTH, WAKE_FILE, NOTICE_FILE, EPOLL_FILE, EVENTS_ADDRESS, SCRATCH_ADDRESS,
    BUFFER_ADDRESS,
) = range(0, 16 * 8, 8)  # fmt: skip
WORDS: Final = 16 * 8

# Times in seconds: of the schedule's clock (see `ScheduleClock`); from when on the thread takes
# nothing (monotonic); limits; since when a connection has been free without a break (schedule
# time); until when the thread sleeps (monotonic); how long it has given way (see `give_way`).
(
    ZERO, FLOOR, PAUSE_AT, HOLD_AT, LATENESS_LIMIT, LATE_AFTER, IDLE_SINCE, SLEEPS_UNTIL, GIVEN_WAY,
) = range(9)  # fmt: skip
TIMES: Final = 9

# Outcomes of a slot, beside an SQLSTATE (`packed`): one row for each statement; other numbers,
# which are in `rows`; not begun in time; nothing to send.
ONE_ROW_EACH, OTHER_ROWS, SKIPPED, NOTHING_TO_SEND = 0, -1, -2, -3

# What Python orders for a connection, and a connection's states.
LEND, LEAVE, DROP = 0, 1, 2
UNUSED, OPEN, LEAVING, GONE, LOST = range(5)

_MOST_GIVEN_WAY: Final = system_calls.TIME_SLICE / 1e9
_NO_TIME: Final = -np.inf
_NEVER: Final = np.inf
_HEAD: Final = 5  # bytes of a message's type and length
_READY, _COMPLETE, _EMPTY, _ERROR = ord("Z"), ord("C"), ord("I"), ord("E")
_IGNORED: Final = tuple(b"12nTDNSA")
_ZERO, _NINE, _SPACE = ord("0"), ord("9"), ord(" ")
_SQLSTATE_BYTES: Final = 5


def packed(sqlstate: str) -> int:
    """Return an SQLSTATE as a number, as outcomes have it."""
    return int.from_bytes(sqlstate.encode(), "big")


def unpacked(number: int) -> str:
    """Return the SQLSTATE that a number stands for."""
    return number.to_bytes(_SQLSTATE_BYTES, "big").decode()


_CONNECTION_FAILURE: Final = packed("08006")
_PROTOCOL_VIOLATION: Final = packed("08P01")
_INTERNAL_ERROR: Final = packed("XX000")


# One arrival that is handed over: when it is due (schedule time), its request's address and bytes;
# when it was begun (monotonic; -inf: not yet) and answered, the latter also in schedule time; its
# outcome, and how many statements the server has answered. The rest is Python's: the number of its
# operation, its batch (-1 if the slot is not in use), and its place there.
SLOT: Final = np.dtype(
    [
        *((name, np.float64) for name in ("due", "began", "ended", "ended_at")),
        *((name, np.int64) for name in ("address", "size", "outcome", "answered")),
        *((name, np.int64) for name in ("operation", "batch", "place")),
    ]
)

# A connection: its socket, its state, the SQLSTATE of its loss, and what epoll waits for. Its slots
# under way are a ring, from `first` to `last`; before `unsent` all is sent, and of that one
# `offset`. Of its answer: bytes not understood yet, bytes to pass over, the error's SQLSTATE, and
# how many statements are answered.
CONNECTION: Final = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("file", "state", "loss", "watched", "first", "unsent", "last", "offset"),
            *("filled", "passing", "error", "answered"),
        )
    ]
)


class Shared(NamedTuple):
    """The arrays. The sizes of rings, and the depth of a connection, are powers of two."""

    words: Ints
    times: Floats
    slots: NDArray[np.void]  # SLOT
    rows: Ints  # slots x statements: rows touched
    queue: Ints32  # rings of slots
    finished: Ints32
    orders: Ints  # a ring: connection * 4 + what
    connections: NDArray[np.void]  # CONNECTION
    fifo: Ints32  # connections x depth: slots
    buffer: NDArray[np.uint8]  # connections x BUFFER_BYTES
    answer_rows: Ints  # connections x statements
    free: Ints32  # the loop's own: connections that can take a write, the last first
    sending: Ints32  # connections with something to send
    events: Ints32  # of epoll
    scratch: Ints  # what other calls read or fill in


# In `scratch`: seconds and nanoseconds, a word, and addresses with sizes.
_TIME, _WORD, _PIECES = 0, 2, 3
SCRATCH: Final = _PIECES + 2 * MOST_PIECES


@compiled
def run(s: Shared) -> None:
    """Work until Python sets STOP."""
    if s.words[STOP] == 0:
        system_calls.prctl(system_calls.TIMER_SLACK, 1, 0, 0, 0)
    while s.words[STOP] == 0:
        idle = s.words[FREE] > 0
        obey(s)
        serve(s, monotonic(s), idle)
        heed_events(s, wait(s))


@compiled
def heed_events(s: Shared, found: int) -> None:
    """Do what the events say that `wait` has found; serve after each, for a low latency."""
    idle = s.words[FREE] > 0
    for i in range(found):
        event = i * EVENT_WORDS
        flags, c = s.events[event], -1 - s.events[event + EVENT_DATA]
        if c < 0:  # the file itself, as Python has it
            system_calls.read(s.words[WAKE_FILE], s.words[SCRATCH_ADDRESS] + 8 * _WORD, 8)
            continue
        if not is_at_work(s, c):
            continue
        if flags & ~system_calls.WRITABLE:
            receive(s, c)
        if flags & system_calls.WRITABLE and is_at_work(s, c):
            send(s, c)
        serve(s, monotonic(s), idle)
        idle = False


@compiled
def monotonic(s: Shared) -> float:
    """Return the monotonic clock, in seconds, as Python's time.monotonic does."""
    system_calls.clock_gettime(system_calls.CLOCK_MONOTONIC, s.words[SCRATCH_ADDRESS])
    return float((s.scratch[_TIME] * 1_000_000_000 + s.scratch[_TIME + 1]) / 1e9)


@compiled
def schedule_time(times: Floats, now: float) -> float:
    """Return the schedule's time, as ScheduleClock does; Python changes `pause_at` last."""
    pause_at = times[PAUSE_AT]
    system_calls.fence()
    at = now - times[ZERO]
    if at > pause_at:
        return float(pause_at)
    return float(max(at, times[FLOOR]))


@compiled
def obey(s: Shared) -> None:
    """Do what Python has ordered for connections."""
    while s.words[OBEYED] != s.words[ORDERED]:
        system_calls.fence()
        order = s.orders[s.words[OBEYED] & (len(s.orders) - 1)]
        c, what = order >> 2, order & 3
        if what == LEND:
            s.connections[c]["state"], s.connections[c]["watched"] = OPEN, system_calls.READABLE
            if watch(s, c, system_calls.EPOLL_ADD) < 0:
                lose(s, c, _CONNECTION_FAILURE)
            else:
                at = schedule_time(s.times, monotonic(s))
                for _ in range(s.words[DEPTH]):
                    add_free(s, c, at)
        elif is_at_work(s, c):
            withdraw(s, c)
            s.connections[c]["state"] = LEAVING
            if what == DROP:
                watch(s, c, system_calls.EPOLL_DELETE)
                s.connections[c]["state"] = GONE
            else:
                leave_if_done(s, c)
        system_calls.fence()
        s.words[OBEYED] += 1


@compiled
def watch(s: Shared, c: int, operation: int) -> int:
    """Tell epoll what to wait for on a connection; -1 if that is impossible."""
    event = MOST_EVENTS * EVENT_WORDS
    s.events[event], s.events[event + EVENT_DATA] = s.connections[c]["watched"], -1 - c
    return system_calls.epoll_ctl(
        s.words[EPOLL_FILE],
        operation,
        s.connections[c]["file"],
        s.words[EVENTS_ADDRESS] + 4 * event,
    )


@compiled
def is_at_work(s: Shared, c: int) -> bool:
    """Tell whether the loop has a connection. One that it has given up may be closed by now."""
    return bool(s.connections[c]["state"] == OPEN or s.connections[c]["state"] == LEAVING)


@compiled
def add_free(s: Shared, c: int, at: float) -> None:
    """Note that a connection can take one more write, at schedule time `at`."""
    if s.words[FREE] == 0:
        s.times[IDLE_SINCE] = at
    s.free[s.words[FREE]] = c
    s.words[FREE] += 1


@compiled
def withdraw(s: Shared, c: int) -> None:
    """Give a connection no more writes."""
    kept = 0
    for i in range(s.words[FREE]):
        if s.free[i] != c:
            s.free[kept] = s.free[i]
            kept += 1
    s.words[FREE] = kept


@compiled
def leave_if_done(s: Shared, c: int) -> None:
    """Let a connection go that is to leave, once nothing is under way on it."""
    if (
        s.connections[c]["state"] == LEAVING
        and s.connections[c]["first"] == s.connections[c]["last"]
    ):
        watch(s, c, system_calls.EPOLL_DELETE)
        s.connections[c]["state"] = GONE
        notify(s)


@compiled
def lose(s: Shared, c: int, sqlstate: int) -> None:
    """Note that a connection broke; Python collects what was under way."""
    withdraw(s, c)
    watch(s, c, system_calls.EPOLL_DELETE)
    s.connections[c]["loss"] = sqlstate
    system_calls.fence()
    s.connections[c]["state"] = LOST
    notify(s)


@compiled
def notify(s: Shared) -> None:
    """Have Python look at the connections."""
    s.scratch[_WORD] = 1
    system_calls.write(s.words[NOTICE_FILE], s.words[SCRATCH_ADDRESS] + 8 * _WORD, 8)


@compiled
def serve(s: Shared, now: float, idle: bool) -> None:  # noqa: FBT001 - Numba's calls
    """Give due arrivals to free connections, the one that became free last first, and send.

    `idle` says that a connection was free before, so that a late arrival is our fault.
    """
    words, times = s.words, s.times
    queued, sending = words[QUEUED], 0
    system_calls.fence()
    at = schedule_time(times, now)
    idle = skip_late(s, queued, now, at, idle)
    if now > times[HOLD_AT]:
        words[HOLDING] = 1
    while words[TAKEN] != queued and words[FREE] and not words[HOLDING]:
        slot = s.queue[words[TAKEN] & (len(s.queue) - 1)]
        if s.slots[slot]["due"] > at:
            break
        if s.slots[slot]["size"] == 0:
            words[TAKEN] += 1
            finish(s, slot, NOTHING_TO_SEND, now, at)
            continue
        due = s.slots[slot]["due"]
        if idle and due >= times[IDLE_SINCE] and at - due > times[LATE_AFTER]:
            words[LATE_WAKES] += 1
            idle = False
        words[FREE] -= 1
        c = s.free[words[FREE]]
        if s.connections[c]["unsent"] == s.connections[c]["last"]:
            s.sending[sending] = c
            sending += 1
        s.slots[slot]["began"] = now
        s.fifo[c, s.connections[c]["last"] & (s.fifo.shape[1] - 1)] = slot
        s.connections[c]["last"] += 1
        system_calls.fence()
        words[TAKEN] += 1
    for i in range(sending):
        send(s, s.sending[i])


@compiled
def skip_late(s: Shared, queued: int, now: float, at: float, idle: bool) -> bool:  # noqa: FBT001
    """Skip arrivals that have waited beyond the limit; return `idle`, false if one has counted."""
    words = s.words
    oldest = at - s.times[LATENESS_LIMIT]
    while words[TAKEN] != queued:
        slot = s.queue[words[TAKEN] & (len(s.queue) - 1)]
        if s.slots[slot]["due"] >= oldest:
            break
        if idle and s.slots[slot]["due"] >= s.times[IDLE_SINCE] and not words[HOLDING]:
            words[LATE_WAKES] += 1
            idle = False
        words[TAKEN] += 1
        finish(s, slot, SKIPPED, now, at)
    return idle


@compiled
def finish(s: Shared, slot: int, outcome: int, now: float, at: float) -> None:
    """Give a slot back to Python; the monotonic clock reads `now`, the schedule's `at`."""
    s.slots[slot]["ended"], s.slots[slot]["ended_at"], s.slots[slot]["outcome"] = now, at, outcome
    done = s.words[FINISHED]
    s.finished[done & (len(s.finished) - 1)] = slot
    system_calls.fence()
    s.words[FINISHED] = done + 1


@compiled
def send(s: Shared, c: int) -> None:
    """Send what a connection has not sent; if the socket is full, go on once it has room."""
    connection = s.connections[c]
    while connection["unsent"] < connection["last"]:
        pieces = gather(s, c)
        if pieces == 1:  # the usual case, and this call is cheaper
            address, size = s.scratch[_PIECES], s.scratch[_PIECES + 1]
            sent = system_calls.send(connection["file"], address, size, system_calls.NO_SIGNAL)
        else:
            address = s.words[SCRATCH_ADDRESS] + 8 * _PIECES
            sent = system_calls.writev(connection["file"], address, pieces)
        if sent >= 0:
            advance(s, c, sent)
            continue
        error = system_calls.errno()
        if error == system_calls.AGAIN:
            break
        if error != system_calls.INTERRUPTED:
            receive(s, c)  # the server's last word, if it is there
            if is_at_work(s, c):
                lose(s, c, last_error(s, c))
            return
    watched = system_calls.READABLE
    if connection["unsent"] < connection["last"]:
        watched |= system_calls.WRITABLE
    if watched != connection["watched"]:
        connection["watched"] = watched
        watch(s, c, system_calls.EPOLL_MODIFY)


@compiled
def gather(s: Shared, c: int) -> int:
    """Put the addresses and sizes of a connection's next requests in place; return how many."""
    connection = s.connections[c]
    count = min(connection["last"] - connection["unsent"], MOST_PIECES)
    for i in range(count):
        slot = s.fifo[c, (connection["unsent"] + i) & (s.fifo.shape[1] - 1)]
        at = _PIECES + 2 * i
        s.scratch[at], s.scratch[at + 1] = s.slots[slot]["address"], s.slots[slot]["size"]
    s.scratch[_PIECES] += connection["offset"]
    s.scratch[_PIECES + 1] -= connection["offset"]
    return int(count)


@compiled
def advance(s: Shared, c: int, sent: int) -> None:
    """Note that more bytes of a connection's requests are sent."""
    connection = s.connections[c]
    connection["offset"] += sent
    while connection["unsent"] < connection["last"]:
        slot = s.fifo[c, connection["unsent"] & (s.fifo.shape[1] - 1)]
        if connection["offset"] < s.slots[slot]["size"]:
            break
        connection["offset"] -= s.slots[slot]["size"]
        connection["unsent"] += 1


@compiled
def receive(s: Shared, c: int) -> None:
    """Read what has arrived on a connection, and finish the writes whose answers are complete."""
    filled = s.connections[c]["filled"]
    address = s.words[BUFFER_ADDRESS] + c * BUFFER_BYTES + filled
    received = system_calls.recv(s.connections[c]["file"], address, BUFFER_BYTES - filled, 0)
    if received < 0:
        error = system_calls.errno()
        if error in (system_calls.AGAIN, system_calls.INTERRUPTED):
            return
    if received <= 0:
        lose(s, c, last_error(s, c))
        return
    s.connections[c]["filled"] = filled + received
    now = monotonic(s)
    understood = take_in(s, c, now, schedule_time(s.times, now))
    if not understood:
        lose(s, c, _PROTOCOL_VIOLATION)
    else:
        leave_if_done(s, c)


@compiled
def last_error(s: Shared, c: int) -> int:
    """Return the SQLSTATE of the server's last word on a connection that broke."""
    return s.connections[c]["error"] or _CONNECTION_FAILURE


@compiled
def take_in(s: Shared, c: int, now: float, at: float) -> bool:
    """Understand the messages in a connection's buffer; False if one is unexpected.

    The rules are those of `wire.Answers`: in the extended protocol a command is complete before
    its commit is done, and the commit itself may fail. So an answer ends with "ready for query".
    """
    connection, buffer = s.connections[c], s.buffer[c]
    filled = connection["filled"]
    begin = min(connection["passing"], filled)
    connection["passing"] -= begin
    while begin + _HEAD <= filled:
        size = 0
        for i in range(1, _HEAD):
            size = size << 8 | int(buffer[begin + i])
        if size < _HEAD - 1 or size >= 1 << 31:
            return False
        end = begin + 1 + size
        if end > filled and (begin > 0 or filled < BUFFER_BYTES):
            break  # there is room for the rest
        known = min(end, filled)
        if not heed(s, c, begin, known, end, now, at):
            return False
        connection["passing"] = end - known
        begin = known
    for i in range(begin, filled):
        buffer[i - begin] = buffer[i]
    connection["filled"] = filled - begin
    return True


@compiled
def heed(s: Shared, c: int, begin: int, known: int, end: int, now: float, at: float) -> bool:
    """Do what a message says; False if it is unexpected.

    It lies in the buffer from `begin` to `end`; if it is longer than the buffer, up to `known`.
    """
    connection, buffer = s.connections[c], s.buffer[c]
    kind = buffer[begin]
    if kind == _READY:
        if connection["first"] == connection["unsent"] or end > known:
            return False
        complete(s, c, now, at)
    elif kind == _COMPLETE:
        if end > known:
            return False
        add_rows(s, c, rows_in(buffer, begin + _HEAD, end - 1))
    elif kind == _EMPTY:
        add_rows(s, c, 0)
    elif kind == _ERROR:
        if connection["error"] == 0:
            connection["error"] = sqlstate_in(buffer, begin + _HEAD, known)
    else:
        return kind in _IGNORED
    return True


@compiled
def rows_in(buffer: NDArray[np.uint8], begin: int, end: int) -> int:
    """Return the number at the end of a command's tag, such as INSERT 0 1; 0 without one."""
    rows, factor, at = 0, 1, end - 1
    while at >= begin and buffer[at] != _SPACE:
        if buffer[at] < _ZERO or buffer[at] > _NINE:
            return 0
        rows += factor * (int(buffer[at]) - _ZERO)
        factor *= 10
        at -= 1
    return rows


@compiled
def sqlstate_in(buffer: NDArray[np.uint8], at: int, end: int) -> int:
    """Return the SQLSTATE of an error's fields; one without is XX000 (internal error)."""
    while at < end and buffer[at] != 0:
        field = buffer[at]
        if field == _COMPLETE and at + _SQLSTATE_BYTES < end:  # its type is a C too
            number = 0
            for i in range(1, _SQLSTATE_BYTES + 1):
                number = number << 8 | int(buffer[at + i])
            return number
        while at < end and buffer[at] != 0:
            at += 1
        at += 1
    return _INTERNAL_ERROR


@compiled
def add_rows(s: Shared, c: int, rows: int) -> None:
    """Note how many rows the next statement of a connection's answer touched."""
    count = s.connections[c]["answered"]
    if count < s.answer_rows.shape[1]:
        s.answer_rows[c, count] = rows
        s.connections[c]["answered"] = count + 1


@compiled
def complete(s: Shared, c: int, now: float, at: float) -> None:
    """Finish the oldest write under way on a connection, whose answer is complete."""
    slot = s.fifo[c, s.connections[c]["first"] & (s.fifo.shape[1] - 1)]
    count, outcome = s.connections[c]["answered"], s.connections[c]["error"]
    if outcome == 0:
        outcome = ONE_ROW_EACH if count else OTHER_ROWS
        for i in range(count):
            s.rows[slot, i] = s.answer_rows[c, i]
            if s.answer_rows[c, i] != 1:
                outcome = OTHER_ROWS
        s.slots[slot]["answered"] = count
    s.connections[c]["error"] = s.connections[c]["answered"] = 0
    s.connections[c]["first"] += 1
    finish(s, slot, outcome, now, at)
    if s.connections[c]["state"] == OPEN:
        add_free(s, c, at)


@compiled
def wait(s: Shared) -> int:
    """Sleep until something arrives, an arrival is due, or Python has something; return events."""
    words, times = s.words, s.times
    now = monotonic(s)
    at = schedule_time(times, now)
    until = _NEVER
    taken, ordered = words[QUEUED], words[OBEYED]
    if words[TAKEN] != taken:
        due = s.slots[s.queue[words[TAKEN] & (len(s.queue) - 1)]]["due"]
        if words[FREE] == 0 and due < at:
            now = give_way(s, now)
            at = schedule_time(times, now)
        if words[FREE] == 0 or words[HOLDING]:
            due += times[LATENESS_LIMIT]  # it is skipped then
        if due <= times[PAUSE_AT] and at > _NO_TIME:
            until = now + (due - at)
    times[SLEEPS_UNTIL] = until
    system_calls.fence()
    if words[QUEUED] != taken or words[ORDERED] != ordered or words[STOP]:
        until = now
    limit = 0
    if until != _NEVER:
        left = int(max(0.0, until - now) * 1e9)
        s.scratch[_TIME], s.scratch[_TIME + 1] = left // 1_000_000_000, left % 1_000_000_000
        limit = s.words[SCRATCH_ADDRESS]
    found = system_calls.epoll_pwait2(
        s.words[EPOLL_FILE], words[EVENTS_ADDRESS], MOST_EVENTS, limit, 0
    )
    times[SLEEPS_UNTIL] = _NO_TIME
    return max(0, found)


@compiled
def give_way(s: Shared, now: float) -> float:
    """Let others have the processor while all connections are busy and more is due; return when.

    So several answers are read at once, and servers on this machine are interrupted less. Up to one
    of the thread's time slices counts as rest, the remainder as waiting for a processor.
    """
    system_calls.sched_yield()
    after = monotonic(s)
    s.times[GIVEN_WAY] += min(after - now, _MOST_GIVEN_WAY)
    return after
