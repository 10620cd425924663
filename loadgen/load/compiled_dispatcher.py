"""The load's hot path beside gevent: a compiled thread sends arrivals and reads their answers.

This hands arrivals over to it before they are due, and accounts for outcomes a few milliseconds
after. A change of the schedule is announced `ahead`, so nothing that was handed over changes.
"""

import gevent.hub  # isort: skip - first, once Locust has patched the standard library
import os
from collections.abc import Iterator, Mapping
from math import inf
from time import monotonic

import numpy as np
from greenlet import getcurrent, greenlet

from loadgen.load.connection_tracker import ConnectionTracker
from loadgen.load.dispatcher import NO_ROW, Dispatcher
from loadgen.load.driver import compiled_loop as loop
from loadgen.load.driver.libpq import CONNECTION_FAILURE, GeventConnection
from loadgen.load.driver.loop_thread import SLOTS, LoopThread
from loadgen.load.driver.plain import PlainConnection
from loadgen.load.lookup import Lost
from loadgen.load.writes import Write, Writes
from loadgen.workload.ledger import Ledger
from loadgen.workload.schedule.arrival_process import Arrival
from loadgen.workload.schedule.clock import ScheduleClock

_READ = 1
_AHEAD_SECONDS = 0.1
# Arrivals that wait for the loop: four times what it did between two looks, since in an overload
# most of the others would be skipped.
_LEAST_AHEAD, _MOST_AHEAD, _LOOKS_AHEAD = 256, SLOTS // 2, 4
# Between two looks at what the loop has done; a busy one is looked at more often.
_IDLE_SECONDS, _BUSY_SECONDS, _BUSY_ARRIVALS = 0.025, 0.01, 100


class CompiledDispatcher(Dispatcher):
    """The dispatcher of a process whose connections are `PlainConnection`s."""

    ahead = _AHEAD_SECONDS

    def __init__(
        self,
        connections: ConnectionTracker,
        clock: ScheduleClock,
        ledger: Ledger,
        writes: Writes,
        depth: int = 1,
    ) -> None:
        super().__init__(connections, clock, ledger, writes, depth)
        statements = max(len(c.operation.statements) for c in writes.compiled.values())
        self._thread = LoopThread(depth, statements, ledger.lateness_limit, ledger.margin)
        self._thread.shared.times[loop.LATE_AFTER] = self.late_after
        self.threads = (self._thread.native_id,)
        self._names = [*writes.compiled]
        self._numbers = {name: number for number, name in enumerate(self._names)}
        # By slot: its arrival, its write unless it was made ahead, the number of its operation, and
        # what keeps its request in memory.
        self._arrivals: list[Arrival | None] = [None] * SLOTS
        self._writes: list[Write | None] = [None] * SLOTS
        self._operations = np.zeros(SLOTS, np.int64)
        self._kept = np.full(SLOTS, None, object)
        self._out = np.zeros(SLOTS, np.bool_)  # handed over, and not accounted for
        self.defect: Exception | None = None
        self._lent: dict[int, CompiledSender] = {}  # by the connection's number
        self._hub = gevent.hub.get_hub()
        self._notices = self._hub.loop.io(self._thread.notice_file, _READ)
        self._notices.start(self._notice)
        self._hands_over_at = -inf  # schedule time
        self._done = 0  # arrivals, between the last two looks
        self._timer = self._hub.loop.timer(0)
        self._poll()

    def sender(self, connection: GeventConnection) -> "CompiledSender":
        """Return what makes a connection work."""
        if not isinstance(connection, PlainConnection):
            raise TypeError("the compiled loop can't use an encrypted connection")
        return CompiledSender(self, connection)

    def lend(self, sender: "CompiledSender", connection: PlainConnection) -> int:
        """Let the loop use a sender's connection; return its number there."""
        number = self._thread.lend(*connection.lend())
        self._lent[number] = sender
        return number

    def leave(self, number: int) -> None:
        """Have a connection be gone once all is answered."""
        self._thread.leave(number)

    def take_back(self, number: int) -> tuple[list[Write], str]:
        """Take a connection from the loop; return the writes under way and its loss, "" without."""
        slots, loss = self._thread.take_back(number)
        del self._lent[number]
        self.refresh()
        lost = [write for slot in slots if (write := self._write(slot)) is not None]
        self._release(slots)
        if self.retired and not self._lent:
            self._close()
        return lost, loss

    def performing(self) -> Iterator[Write]:
        """Yield the writes under way, which are lost if this process dies."""
        begun = self._out.copy()
        begun[self._thread.waiting()] = False
        for slot in np.flatnonzero(begun).tolist():
            if (write := self._write(slot)) is not None:
                yield write

    def retire(self) -> None:
        """Give out no more arrivals, and send the users to their next dispatcher."""
        self.holding = self.retired = True
        self._thread.hold(holding=True)
        for sender in [*self.senders]:
            sender.leave()
        if not self._lent:
            self._close()

    def hold(self, *, holding: bool) -> None:
        """Stop taking arrivals, or take them again."""
        if holding != self.holding:
            self.holding = holding
            self._thread.hold(holding=holding)

    def rescheduled(self) -> None:
        """Heed a change of the schedule or the clock."""
        self._thread.set_clock(self.clock)
        self._hand_over()

    def next_due(self) -> float:
        """Return when the next arrival is due that waits for a sender."""
        return min(self._thread.next_due(), self.ledger.schedule.next_due())

    def not_begun(self) -> list[tuple[str, int]]:
        """Return (operation, k) of the arrivals that were taken ahead and are not under way."""
        waits = np.zeros(SLOTS, np.bool_)
        waits[self._thread.waiting()] = True
        waits |= self._out & (self._thread.shared.slots["size"] == 0)
        arrivals = [self._arrivals[slot] for slot in np.flatnonzero(waits).tolist()]
        return [(arrival[1], arrival[2]) for arrival in arrivals if arrival is not None]

    def not_due(self, s: float) -> Mapping[str, int]:
        """Return how many of these are due after `s`, by operation."""
        slots = self._thread.waiting()
        return dict(
            self._by_name(self._operations[slots[self._thread.shared.slots["due"][slots] > s]])
        )

    def refresh(self) -> None:
        """Account for all that has been answered up to now; the next methods tell of then."""
        shared, ledger = self._thread.shared, self.ledger
        slots = self._thread.collect()
        if not len(slots):
            return
        outcomes, operations = shared.slots["outcome"][slots], self._operations[slots]
        usual = outcomes == loop.ONE_ROW_EACH
        for number in np.flatnonzero(np.bincount(operations[usual])).tolist():
            name = self._names[number]
            own = slots[usual & (operations == number)]
            began, ended = shared.slots["began"][own], shared.slots["ended"][own]
            ledger.all_committed(
                name, ended - began, shared.slots["ended_at"][own] - shared.slots["due"][own]
            )
            if name in self.writes.moving or name in self.writes.adding:
                for slot in own.tolist():
                    self._note_committed(slot)
        skipped = outcomes == loop.SKIPPED
        for name, n in self._by_name(operations[skipped]):
            ledger.skipped(name, n)
        for slot in slots[skipped].tolist():
            if (write := self._writes[slot]) is not None:
                self.writes.refused(write)
        for slot in slots[~usual & ~skipped].tolist():
            self._account(slot)
        self._release(slots.tolist())

    def _by_name(self, operations: loop.Ints) -> Iterator[tuple[str, int]]:
        counts = np.bincount(operations, minlength=len(self._names))
        return ((name, n) for name, n in zip(self._names, counts.tolist(), strict=True) if n)

    def _note_committed(self, slot: int) -> None:
        """Note that the rows that a write has inserted or moved may be moved from now on."""
        arrival, write = self._arrivals[slot], self._writes[slot]
        if write is not None:
            self.writes.committed(write)
        elif arrival is not None and arrival[1] in self.writes.adding:
            self.writes.inserted(arrival)

    def _account(self, slot: int) -> None:
        """Account for a write that failed, or touched another number of rows."""
        shared, operation = self._thread.shared, self._names[self._operations[slot]]
        outcome = int(shared.slots[slot]["outcome"])
        rows = shared.rows[slot, : shared.slots[slot]["answered"]].tolist()
        if outcome == loop.OTHER_ROWS and any(rows):
            one = slice(slot, slot + 1)
            service = shared.slots["ended"][one] - shared.slots["began"][one]
            self.ledger.all_committed(
                operation, service, shared.slots["ended_at"][one] - shared.slots["due"][one]
            )
            self.ledger.touched(operation, rows)
            if self._writes[slot] is None or 0 not in rows:  # else its row's state is unknown
                self._note_committed(slot)
        elif outcome <= 0:
            self.ledger.failed(operation, NO_ROW)
        else:
            self.ledger.failed(operation, loop.unpacked(outcome))
            if (write := self._writes[slot]) is not None:
                self.writes.refused(write)

    def _release(self, slots: list[int]) -> None:
        for slot in slots:
            self._arrivals[slot] = self._writes[slot] = None
        self._kept[slots] = None
        self._out[slots] = False
        self._thread.release(slots)

    def _write(self, slot: int) -> Write | None:
        """Return the write of a slot, if there is something to send."""
        arrival, write = self._arrivals[slot], self._writes[slot]
        if write is not None or arrival is None or not self._thread.shared.slots[slot]["size"]:
            return write
        return self.writes.write(arrival)

    def _poll(self) -> None:
        """Catch up and come back, in the hub; a bug of ours ends the users."""
        try:
            seconds = self._catch_up()
        except Exception as exc:  # noqa: BLE001 - the hub would print it and leave the users waiting
            self.defect = exc
            for sender in self._lent.values():
                sender.wake()
            return
        self._timer.close()
        self._timer = self._hub.loop.timer(seconds)
        self._timer.start(self._poll, update=True)

    def _catch_up(self) -> float:
        """Account for what is done, and hand over what is due soon; return when to come again."""
        before = self._thread.room
        self.refresh()
        self._done = self._thread.room - before
        shared = self._thread.shared
        self.holding = self.holding or bool(shared.words[loop.HOLDING])
        self.late_wakes = int(shared.words[loop.LATE_WAKES])
        shared.times[loop.TICKED_AT] = inf if self.ticked_at is None else self.ticked_at
        if self.clock.now() >= self._hands_over_at:
            self._hand_over()
        return _BUSY_SECONDS if self._done > _BUSY_ARRIVALS else _IDLE_SECONDS

    def _hand_over(self) -> None:
        """Hand over the arrivals that are due soon."""
        at = self.clock.at(monotonic())
        if at == -inf or self.retired or not self._lent:
            return
        most = min(max(_LEAST_AHEAD, _LOOKS_AHEAD * self._done), _MOST_AHEAD)
        most = min(most - len(self._thread.waiting()), self._thread.room)
        until = min(at + self.ahead, self.clock.pause_at)
        arrivals = self.ledger.take_ahead(at, until, most)
        self._hands_over_at = at if len(arrivals) >= most else at + self.ahead / 2
        if not arrivals:
            return
        requests: list[bytes] = []
        writes: dict[int, Write] = {}
        for i, arrival in enumerate(arrivals):
            request = arrival[3]
            if request.__class__ is bytes:
                requests.append(request)
                continue
            write = self.writes.write(arrival)
            if write is None:
                requests.append(b"")
            else:
                writes[i] = write
                requests.append(write.request)
        together = b"".join(requests) or b"\0"
        address = np.frombuffer(together, np.uint8).ctypes.data
        dues = [arrival[0] for arrival in arrivals]
        slots = self._thread.hand_over(dues, requests, address)
        for slot, arrival in zip(slots, arrivals, strict=True):
            self._arrivals[slot] = arrival
        for i, write in writes.items():
            self._writes[slots[i]] = write
        self._operations[slots] = [self._numbers[arrival[1]] for arrival in arrivals]
        self._kept[slots] = together
        self._out[slots] = True

    def _notice(self) -> None:
        """Wake the users whose connections are gone or lost; runs in the hub."""
        os.read(self._thread.notice_file, 8)
        self.refresh()
        for number, sender in self._lent.items():
            if self._thread.has_left(number):
                sender.wake()

    def _close(self) -> None:
        self._timer.close()
        self._notices.stop()
        self._notices.close()
        self._thread.stop()


class CompiledSender:
    """One user's connection at work in the loop."""

    def __init__(self, dispatcher: CompiledDispatcher, connection: PlainConnection) -> None:
        self._dispatcher = dispatcher
        self._connection = connection
        self._user: greenlet | None = None
        self._leaving = False
        self._number = -1

    def work(self) -> str:
        """Work until `leave` or the connection breaks; return the SQLSTATE of its loss, or ""."""
        dispatcher, connection = self._dispatcher, self._connection
        if self._leaving or dispatcher.retired:
            return ""
        self._user = getcurrent()
        self._number = dispatcher.lend(self, connection)
        dispatcher.senders.add(self)
        loss = ""
        try:
            dispatcher.rescheduled()
            gevent.hub.get_hub().switch()
            if dispatcher.defect is not None:
                raise dispatcher.defect
        finally:
            self._user = None
            dispatcher.senders.discard(self)
            writes, loss = dispatcher.take_back(self._number)
            for write in writes:
                dispatcher.ledger.lost(write.operation)
                sqlstate = loss or CONNECTION_FAILURE
                dispatcher.lost.append(Lost(write, connection.backend_pid, sqlstate))
        return loss

    def leave(self) -> None:
        """Take nothing more; the user wakes when all answers have arrived."""
        if not self._leaving and self._user is not None:
            self._dispatcher.leave(self._number)
        self._leaving = True

    def wake(self) -> None:
        """Wake the user."""
        if self._user is not None:
            gevent.hub.get_hub().loop.run_callback(self._user.switch)
            self._user = None
