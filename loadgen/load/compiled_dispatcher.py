"""The load's hot path beside gevent: a compiled thread sends arrivals and reads their answers.

This hands arrivals over to it before they are due, and accounts for outcomes a few milliseconds
after. A change of the schedule is announced `ahead`, so nothing that was handed over changes.
"""

import gevent.hub  # isort: skip - first, once Locust has patched the standard library
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from time import monotonic

import numpy as np
from greenlet import getcurrent, greenlet

from loadgen.load.compile import CompiledOperation
from loadgen.load.dispatcher import NO_ROW, STALL_SECONDS, Dispatcher
from loadgen.load.driver import compiled_loop as loop
from loadgen.load.driver.libpq import CONNECTION_FAILURE, GeventConnection
from loadgen.load.driver.loop_thread import SLOTS, LoopThread
from loadgen.load.driver.plain import PlainConnection
from loadgen.load.driver.slots import ALL_ONES, COMMITTED_ONES
from loadgen.load.lookup import Lost
from loadgen.load.request_block import RequestBlock, joined
from loadgen.load.writes import Write, Writes
from loadgen.workload.schedule.arrival_process import BLOCK, Arrival, Batch, RequestMaker

_READ = 1
_AHEAD_SECONDS = 0.15
# Arrivals that wait for the loop in an overload: as many as it does until the look after the next.
_LEAST_AHEAD, _MOST_AHEAD, _LOOKS_AHEAD = 256, SLOTS // 2, 2
# Between two looks at what the loop has done; if it has done many, less: a long look makes writes
# late. In an overload they are late anyway.
_LOOK_SECONDS, _SHORT_LOOK_SECONDS = 0.1, 0.05
_MANY, _MANY_IN_OVERLOAD = 512, _MOST_AHEAD // _LOOKS_AHEAD


class CompiledDispatcher(Dispatcher):
    """The dispatcher of a process whose connections are `PlainConnection`s."""

    ahead = _AHEAD_SECONDS
    tick_seconds = _SHORT_LOOK_SECONDS  # no arrival waits for the hub, except to be handed over

    def _prepare(self) -> None:
        compiled = self.writes.compiled
        statements = max(len(one.operation.statements) for one in compiled.values())
        self._names = [*compiled]
        self._thread: LoopThread[_HandedOver] = LoopThread(
            self.depth, statements, self.ledger.lateness_limit, self._names
        )
        self._thread.shared.times[loop.LATE_AFTER] = self.late_after
        for number, name in enumerate(self._names):
            if name in self.writes.moving:
                self._thread.tally.singly[number] = ALL_ONES
            elif name in self.writes.adding:
                self._thread.tally.singly[number] = COMMITTED_ONES
        self.ledger.schedule.prepare_by(
            {name: _block_maker(operation) for name, operation in compiled.items()},
            {name: operation.batch_size(BLOCK) for name, operation in compiled.items()},
        )
        self._lent: dict[int, CompiledSender] = {}  # by the connection's number
        self._hub = gevent.hub.get_hub()
        self._notices = self._hub.loop.io(self._thread.notice_file, _READ)
        self._notices.start(self._notice)
        self._look_seconds = _LOOK_SECONDS
        self._looked_at, self._performed = monotonic(), 0  # the last look; arrivals up to then
        # Between the last two looks: seconds, and arrivals that were not skipped.
        self._between, self._done = 0.0, 0
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
        lost = [write for slot in slots.tolist() if (write := self._write(slot)) is not None]
        self._thread.release(slots)
        if self.retired and not self._lent:
            self._close()
        return lost, loss

    def performing(self) -> Iterator[Write]:
        """Yield the writes under way, which are lost if this process dies."""
        begun = self._thread.in_use()
        begun[self._thread.waiting()] = False
        for slot in np.flatnonzero(begun).tolist():
            if (write := self._write(slot)) is not None:
                yield write

    def retire(self) -> None:
        """Give out no more arrivals, and send the users to their next dispatcher."""
        self.holding = self.retired = True
        self._thread.hold(self.clock, holding=True)
        for sender in [*self.senders]:
            sender.leave()
        if not self._lent:
            self._close()

    def hold(self, *, holding: bool) -> None:
        """Stop taking arrivals, or take them again."""
        if holding != self.holding:
            self.holding = holding
            self._heed_tick()
            self._thread.hold(self.clock, holding=holding)

    def rescheduled(self) -> None:
        """Heed a change of the schedule or the clock."""
        self._thread.set_clock(self.clock)
        self._hand_over()

    def next_due(self) -> float:
        """Return when the next arrival is due that waits for a sender."""
        return min(self._thread.next_due(), self.ledger.schedule.next_due())

    def threads(self) -> Mapping[int, float]:
        """Return the loop's thread, and how many seconds it has given way."""
        return {self._thread.native_id: float(self._thread.shared.times[loop.GIVEN_WAY])}

    def not_begun(self) -> Mapping[str, list[int]]:
        """Return the k, by operation, of arrivals that were taken ahead and are not under way."""
        waits = self._thread.shared.slots["size"] == 0
        waits[self._thread.waiting()] = True
        waits &= self._thread.in_use()
        slots, left = self._thread.shared.slots[waits], defaultdict[str, list[int]](list)
        for number in np.unique(slots["batch"]).tolist():
            batch = self._thread.batches[number]
            ks = np.array(batch.ks)[slots["place"][slots["batch"] == number]]
            left[batch.operation] += ks.tolist()
        return left

    def not_due(self, s: float) -> Mapping[str, int]:
        """Return how many of these are due after `s`, by operation."""
        slots = self._thread.shared.slots[self._thread.waiting()]
        later = slots["operation"][slots["due"] > s]
        counts = np.bincount(later, minlength=len(self._names))
        return dict(zip(self._names, counts.tolist(), strict=True))

    def refresh(self) -> None:
        """Account for all that has been answered up to now; the next methods tell of then."""
        self._collect()
        for number, skipped, service, intended in self._thread.tally.take():
            self.ledger.skipped(self._names[number], skipped)
            self.ledger.all_committed(self._names[number], service, intended)

    def _collect(self) -> None:
        """Count what is finished; look one by one at writes that failed, or whose row may move."""
        slots = self._thread.collect()
        if not len(slots):
            return
        batches, done = self._thread.batches, self._thread.shared.slots[slots]
        usual = done["outcome"] == loop.ONE_ROW_EACH
        parts = (done[name][~usual].tolist() for name in ("outcome", "batch", "place"))
        for slot, outcome, number, place in zip(slots[~usual].tolist(), *parts, strict=True):
            if outcome == loop.SKIPPED:
                self._note_refused(batches[number], place)
            else:
                self._account(slot, outcome, batches[number], place)
        numbers, places = done["batch"][usual], done["place"][usual]
        for number in np.unique(numbers).tolist():
            self._note_committed(batches[number], places[numbers == number].tolist())
        self._thread.release(slots)

    def _note_committed(self, batch: "_HandedOver", places: Sequence[int]) -> None:
        """Note that the rows that writes have inserted or moved may be moved from now on."""
        operation, adding = batch.operation, self.writes.adding.get(batch.operation)
        if batch.moves:
            self.writes.all_committed(operation, (batch.moves[place] for place in places))
        elif adding and adding.place:
            self.writes.all_inserted(operation, batch.requests.parts(places, adding.place))
        elif adding:
            for place in places:
                self.writes.inserted(operation, batch.requests[place])

    def _note_refused(self, batch: "_HandedOver", place: int) -> None:
        """Note that a write was not done: its row stayed as it was, if it was to move one."""
        if batch.moves and (write := batch.moves[place]):
            self.writes.refused(write)

    def _account(self, slot: int, outcome: int, batch: "_HandedOver", place: int) -> None:
        """Account for a write that failed, or touched another number of rows."""
        done, operation = self._thread.shared.slots[slot], batch.operation
        rows = self._thread.shared.rows[slot, : done["answered"]].tolist()
        if outcome == loop.OTHER_ROWS and any(rows):
            service, intended = done["ended"] - done["began"], done["ended_at"] - done["due"]
            self.ledger.committed(operation, float(service), float(intended))
            self.ledger.touched(operation, rows)
            if operation not in self.writes.moving or 0 not in rows:  # else its state is unknown
                self._note_committed(batch, [place])
        elif outcome <= 0:
            self.ledger.failed(operation, NO_ROW)
        else:
            self.ledger.failed(operation, loop.unpacked(outcome))
            self._note_refused(batch, place)

    def _write(self, slot: int) -> Write | None:
        """Return the write of a slot, if there is something to send."""
        done = self._thread.shared.slots[slot]
        if not done["size"]:
            return None
        batch = self._thread.batches[int(done["batch"])]
        if batch.moves:
            return batch.moves[int(done["place"])]
        return self.writes.write(self._arrival(slot))

    def _arrival(self, slot: int) -> Arrival:
        done = self._thread.shared.slots[slot]
        batch, place = self._thread.batches[int(done["batch"])], int(done["place"])
        return float(done["due"]), batch.operation, batch.ks[place], batch.requests[place]

    def _poll(self) -> None:
        """Catch up and come back, in the hub; a bug of ours ends the users."""
        try:
            self._catch_up()
        except Exception as exc:  # noqa: BLE001 - the hub would print it and leave the users waiting
            for sender in self._lent.values():
                sender.wake(exc)
        self._timer.close()
        self._timer = self._hub.loop.timer(self._look_seconds)
        self._timer.start(self._poll, update=True)

    def _catch_up(self) -> None:
        """Account for finished writes and hand over the next arrivals."""
        self._collect()
        now, performed = monotonic(), self._thread.performed
        self._between, self._looked_at = now - self._looked_at, now
        self._done, self._performed = performed - self._performed, performed
        shared = self._thread.shared
        self.holding = self.holding or bool(shared.words[loop.HOLDING])
        self.late_wakes = int(shared.words[loop.LATE_WAKES])
        self._heed_tick()
        self._hand_over()

    def _heed_tick(self) -> None:
        """Tell the loop until when it may begin arrivals while this process stands still."""
        if self.ticked_at is not None:
            self._thread.shared.times[loop.HOLD_AT] = self.ticked_at + STALL_SECONDS

    def _hand_over(self) -> None:
        """Hand over the arrivals that are due soon."""
        at = self.clock.at(monotonic())
        if at == -inf or self.retired or not self._lent:
            return
        thread, until = self._thread, min(at + self.ahead, self.clock.pause_at)
        next_due = self.ledger.schedule.next_due()
        # In an overload most of what waits would be skipped.
        is_late = min(next_due, thread.next_due()) < at - self.late_after
        many = _MANY_IN_OVERLOAD if is_late else _MANY
        self._look_seconds = _SHORT_LOOK_SECONDS if self._done > many else _LOOK_SECONDS
        if next_due > until:
            return
        most = max(_LEAST_AHEAD, _LOOKS_AHEAD * self._done) if is_late else _MOST_AHEAD
        most = min(most, _MOST_AHEAD) - thread.waiting_count
        wait = _LOOKS_AHEAD * max(self._between, self._look_seconds) if is_late else 0.0
        if batches := self.ledger.take_ahead(at, until, min(most, thread.room), wait):
            thread.hand_over([_HandedOver(batch, self.writes) for batch in batches])

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


def _block_maker(operation: CompiledOperation) -> RequestMaker:
    """Return what makes an operation's requests as blocks, or as moves."""
    laid_out = operation.laid_out
    if laid_out is None:
        return operation.make
    return lambda ks, dues: joined(laid_out(ks, dues))


class _HandedOver:
    """A batch of arrivals that the loop has: their k, requests, and where these lie in memory.

    The requests stay there as long as this does. `moves` are the writes of moves, by their place;
    one that found no row, as every arrival without one, has an empty request.
    """

    __slots__ = ("addresses", "dues", "ks", "moves", "operation", "requests", "sizes")

    def __init__(self, batch: Batch, writes: Writes) -> None:
        self.operation, self.ks, self.dues = batch.operation, batch.ks, np.array(batch.dues)
        self.moves: list[Write | None] = []
        if isinstance(batch.prepared, RequestBlock):
            block = batch.prepared
        else:
            self.moves = writes.all_writes(batch)
            block = RequestBlock.of([write.request if write else b"" for write in self.moves])
        self.requests, self.addresses, self.sizes = block, block.addresses, block.sizes


class CompiledSender:
    """One user's connection at work in the loop."""

    def __init__(self, dispatcher: CompiledDispatcher, connection: PlainConnection) -> None:
        self._dispatcher = dispatcher
        self._connection = connection
        self._user: greenlet | None = None
        self._leaving = False
        self._number = -1
        self._defect: Exception | None = None

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
            if self._defect is not None:
                raise self._defect
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

    def wake(self, defect: Exception | None = None) -> None:
        """Wake the user, to be told of a bug of ours if there is one."""
        self._defect = defect or self._defect
        if self._user is not None:
            gevent.hub.get_hub().loop.run_callback(self._user.switch)
            self._user = None
