"""Python's side of the compiled loop: its thread, its arrays, and what goes in and out.

All of this is called in gevent's thread. Only `hand_over`, `lend` and the like change what the loop
sees; `collect` counts what it has finished.
"""

import atexit
import os
import signal
import time
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

import gevent.monkey
import numpy as np
from numpy.typing import NDArray

from loadgen.load.driver import compiled_loop as loop
from loadgen.load.driver import slots, system_calls
from loadgen.load.driver.compiled_loop import Floats, Ints, Shared
from loadgen.load.driver.system_calls import EVENT_WORDS, compiled, fence
from loadgen.workload.schedule.clock import ScheduleClock

SLOTS: Final = 8192  # arrivals that are handed over and not collected; a power of two
CONNECTIONS: Final = 16_384  # most at once; memory that none has used costs nothing
ORDERS: Final = 4096
_NOTHING: Final = np.zeros(0, np.int64)
_ONE: Final = (1).to_bytes(8, "little")
_epoll = gevent.monkey.get_original("select", "epoll")
_start_thread = gevent.monkey.get_original("_thread", "start_new_thread")
_allocate_lock = gevent.monkey.get_original("_thread", "allocate_lock")
_native_id = gevent.monkey.get_original("_thread", "get_native_id")
_sleep = gevent.monkey.get_original("time", "sleep")


@compiled
def _publish(words: Ints, word: int, value: int) -> None:
    """Set a word once all that was written before can be seen by the loop."""
    fence()
    words[word] = value
    fence()


class Arrivals(Protocol):
    """Arrivals of one operation to hand over, in order of their due times.

    Their requests stay at their addresses as long as this exists.
    """

    @property
    def operation(self) -> str:
        """Its name."""

    @property
    def dues(self) -> Floats:
        """Due times, schedule time."""

    @property
    def addresses(self) -> Ints:
        """Where the requests lie."""

    @property
    def sizes(self) -> Ints:
        """Bytes of the requests; 0 if there is nothing to send."""


Kept = TypeVar("Kept", bound=Arrivals)


class LoopThread(Generic[Kept]):
    """The thread of one run; `notice_file` becomes readable when a connection is gone or lost."""

    def __init__(
        self, depth: int, statements: int, lateness_limit: float, operations: Sequence[str]
    ) -> None:
        """Each connection has up to `depth` writes under way, of up to `statements` each."""
        self._wake_file = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.notice_file = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = _epoll()
        self._epoll.register(self._wake_file, system_calls.READABLE)
        self.shared = s = new_shared(depth, statements)
        s.words[loop.WAKE_FILE], s.words[loop.NOTICE_FILE] = self._wake_file, self.notice_file
        s.words[loop.EPOLL_FILE] = self._epoll.fileno()
        s.times[loop.LATENESS_LIMIT] = lateness_limit
        self.tally = slots.Tally.of(len(operations))
        self.batches: dict[int, Kept] = {}  # of the slots in use, by their number
        self._numbers = {name: number for number, name in enumerate(operations)}
        self._stock = slots.Stock.of(SLOTS)
        self._unused_batches = list(range(SLOTS))
        self._unused_connections = list(range(CONNECTIONS))[::-1]
        self._collected = self._taken = 0
        # Compiled here, all of it: Numba's lock, which gevent has patched, knows no other thread.
        loop.schedule_time(s.times, 0.0)
        _publish(s.words, loop.STOP, 1)
        loop.run(s)
        _publish(s.words, loop.STOP, 0)
        self._compile()
        self._ended = _allocate_lock()
        self._ended.acquire()
        self.native_id = 0
        _start_thread(self._run, ())
        while not self.native_id:
            _sleep(1e-5)
        atexit.register(self.stop)

    def stop(self) -> None:
        """End the thread, and wait for its end; may be called again."""
        if self._epoll.closed:
            return
        _publish(self.shared.words, loop.STOP, 1)
        self.wake()
        self._ended.acquire()
        self._epoll.close()
        os.close(self._wake_file)
        os.close(self.notice_file)
        atexit.unregister(self.stop)

    def set_clock(self, clock: ScheduleClock) -> None:
        """Have the loop read the schedule's clock as it is now."""
        times = self.shared.times
        times[loop.ZERO], times[loop.FLOOR] = clock.zero, clock.floor
        fence()
        times[loop.PAUSE_AT] = clock.pause_at
        self.wake()

    def hold(self, clock: ScheduleClock, *, holding: bool) -> None:
        """Have the loop begin nothing, or begin again."""
        if not holding:  # what fell due meanwhile is not late by our fault
            self.shared.times[loop.IDLE_SINCE] = clock.now()
        _publish(self.shared.words, loop.HOLDING, int(holding))
        self.wake()

    def wake(self) -> None:
        """Have the loop look at its orders, its clock and what is queued."""
        if not self._epoll.closed:
            os.write(self._wake_file, _ONE)

    @property
    def room(self) -> int:
        """How many more arrivals can be handed over."""
        return slots.room(self._stock)

    def hand_over(self, batches: Sequence[Kept]) -> None:
        """Queue batches of arrivals, which are kept until all of their slots are released."""
        s, stock = self.shared, self._stock
        before = self.room
        for batch in batches:
            number = self._unused_batches.pop()
            self.batches[number] = batch
            operation = self._numbers[batch.operation]
            slots.fill(s.slots, stock, batch.dues, batch.addresses, batch.sizes, operation, number)
        taken = stock.unused[self.room : before][::-1]
        dues = s.slots["due"][taken]
        order = np.argsort(dues, kind="stable")
        queued, count = int(s.words[loop.QUEUED]), len(taken)
        s.queue[np.arange(queued, queued + count) & (SLOTS - 1)] = taken[order]
        _publish(s.words, loop.QUEUED, queued + count)
        # Else it finds them by itself before it sleeps, or after what it waits for.
        first = float(dues[order[0]])
        at = time.monotonic() + first - loop.schedule_time(s.times, time.monotonic())
        if at < s.times[loop.SLEEPS_UNTIL]:
            self.wake()

    def waiting(self) -> Ints:
        """Return the slots that had not been begun at the last `collect`, the earliest first."""
        s = self.shared
        ring = np.arange(self._taken, s.words[loop.QUEUED])
        waiting: Ints = s.queue[ring & (SLOTS - 1)].astype(np.int64)
        return waiting

    @property
    def waiting_count(self) -> int:
        """How many slots these are."""
        return int(self.shared.words[loop.QUEUED]) - self._taken

    def in_use(self) -> NDArray[np.bool_]:
        """Tell of each slot whether it is not released."""
        in_use: NDArray[np.bool_] = self.shared.slots["batch"] != slots.NO_BATCH
        return in_use

    def next_due(self) -> float:
        """Return when the first arrival is due that the loop has not begun; infinite without."""
        s = self.shared
        taken = int(s.words[loop.TAKEN])
        waits = taken < s.words[loop.QUEUED]
        return float(s.slots["due"][s.queue[taken & (SLOTS - 1)]]) if waits else np.inf

    def collect(self) -> Ints:
        """Count what the loop has finished since the last call in `tally`, and free its slots.

        Returns the slots that it leaves to the caller, who accounts for them and releases them.
        """
        s, before = self.shared, self._collected
        self._collected = int(s.words[loop.FINISHED])
        fence()
        self._taken = int(s.words[loop.TAKEN])  # behind all that is collected
        if self._collected == before:
            return _NOTHING
        slots.collect(s.slots, s.finished, self._stock, self.tally, before, self._collected)
        self._forget_batches()
        return slots.others(self._stock)

    @property
    def finished(self) -> int:
        """How many arrivals have been collected, since the start."""
        return self._collected

    @property
    def performed(self) -> int:
        """How many of these were not skipped."""
        return self._collected - slots.skipped(self._stock)

    def release(self, used: Ints) -> None:
        """Let slots be used again."""
        slots.release_all(self.shared.slots, self._stock, used)
        self._forget_batches()

    def _forget_batches(self) -> None:
        for number in slots.take_emptied(self._stock):
            del self.batches[number]
            self._unused_batches.append(number)

    def _compile(self) -> None:
        """Call the functions of `slots` once, so that Numba compiles them now."""
        nothing, stock = _NOTHING, slots.Stock.of(1)
        slots.fill(self.shared.slots, stock, np.zeros(0), nothing, nothing, 0, 0)
        slots.collect(self.shared.slots, self.shared.finished, stock, self.tally, 0, 0)
        slots.release_all(self.shared.slots, stock, nothing)

    def lend(self, file: int, received: bytes) -> int:
        """Have the loop use a socket; `received` begins a message. Return the connection's number.

        Raises IndexError if there are too many connections.
        """
        s, c = self.shared, self._unused_connections.pop()
        s.connections[c] = 0
        s.connections[c]["file"], s.connections[c]["filled"] = file, len(received)
        s.buffer[c, : len(received)] = np.frombuffer(received, np.uint8)
        self._order(c, loop.LEND)
        return c

    def leave(self, c: int) -> None:
        """Have a connection take nothing more, and be gone once all is answered."""
        self._order(c, loop.LEAVE)

    def has_left(self, c: int) -> bool:
        """Tell whether a connection is gone or lost."""
        return bool(self.shared.connections[c]["state"] >= loop.GONE)

    def under_way(self, c: int) -> Ints:
        """Return the slots under way on a connection, the oldest first."""
        s = self.shared
        ring = np.arange(s.connections[c]["first"], s.connections[c]["last"])
        under_way: Ints = s.fifo[c, ring & (s.fifo.shape[1] - 1)].astype(np.int64)
        return under_way

    def take_back(self, c: int) -> tuple[Ints, str]:
        """Take a connection from the loop; return the slots under way and its loss, "" without.

        The thread needs microseconds for that, unless it has no processor.
        """
        s = self.shared
        if not self.has_left(c):
            self._order(c, loop.DROP)
            while not self.has_left(c) and not self._epoll.closed:
                _sleep(1e-4)
        fence()
        under_way, loss = self.under_way(c), int(s.connections[c]["loss"])
        s.connections[c]["state"] = loop.UNUSED
        self._unused_connections.append(c)
        return under_way, loop.unpacked(loss) if loss else ""

    def _order(self, c: int, what: int) -> None:
        words = self.shared.words
        while words[loop.ORDERED] - words[loop.OBEYED] >= ORDERS:
            _sleep(1e-4)
        ordered = int(words[loop.ORDERED])
        self.shared.orders[ordered & (ORDERS - 1)] = c << 2 | what
        _publish(words, loop.ORDERED, ordered + 1)
        self.wake()

    def _run(self) -> None:
        """Be the thread; signals are the main thread's."""
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            system_calls.shorten_time_slice()
            self.native_id = _native_id()
            loop.run(self.shared)
        finally:
            self._ended.release()


def new_shared(depth: int, statements: int) -> Shared:
    """Return the arrays, empty."""
    ring = 1 << (depth - 1).bit_length()
    shared = Shared(
        words=np.zeros(loop.WORDS, np.int64),
        times=np.full(loop.TIMES, -np.inf),
        slots=np.zeros(SLOTS, loop.SLOT),
        rows=np.zeros((SLOTS, statements), np.int64),
        queue=np.zeros(SLOTS, np.int32),
        finished=np.zeros(SLOTS, np.int32),
        orders=np.zeros(ORDERS, np.int64),
        connections=np.zeros(CONNECTIONS, loop.CONNECTION),
        fifo=np.zeros((CONNECTIONS, ring), np.int32),
        buffer=np.zeros((CONNECTIONS, loop.BUFFER_BYTES), np.uint8),
        answer_rows=np.zeros((CONNECTIONS, statements), np.int64),
        free=np.zeros(CONNECTIONS * depth, np.int32),
        sending=np.zeros(CONNECTIONS, np.int32),
        events=np.zeros((loop.MOST_EVENTS + 1) * EVENT_WORDS, np.int32),
        scratch=np.zeros(loop.SCRATCH, np.int64),
    )
    shared.slots["batch"] = slots.NO_BATCH
    shared.words[loop.DEPTH] = depth
    shared.words[loop.EVENTS_ADDRESS] = shared.events.ctypes.data
    shared.words[loop.SCRATCH_ADDRESS] = shared.scratch.ctypes.data
    shared.words[loop.BUFFER_ADDRESS] = shared.buffer.ctypes.data
    for never in (loop.ZERO, loop.PAUSE_AT, loop.HOLD_AT, loop.LATE_AFTER):
        shared.times[never] = np.inf
    shared.times[loop.GIVEN_WAY] = 0.0
    return shared
