"""The load's hot path in gevent: senders take due arrivals, send them, account for the answers.

All of it runs in gevent's hub, called when an answer has arrived or an arrival falls due. A switch
between greenlets for each write would cost a microsecond, and a sender that has just got an answer
takes the next due arrival in the same call.
"""

import gevent.hub  # isort: skip - first, once Locust has patched the standard library
from collections import deque
from collections.abc import Iterator
from math import inf
from time import monotonic

import psycopg
from greenlet import getcurrent, greenlet

from loadgen.load.dispatcher import NO_ROW, STALL_SECONDS, Dispatcher
from loadgen.load.driver.libpq import CONNECTION_FAILURE, GeventConnection
from loadgen.load.driver.timer import new_timer
from loadgen.load.lookup import Lost
from loadgen.load.writes import Write
from loadgen.workload.schedule.arrival_process import Arrival

# What nearly all transactions touch. Of any other, also of more statements, the rows are counted.
_ONE_ROW_EACH = frozenset((1,) * n for n in range(1, 65))


class HubDispatcher(Dispatcher):
    """The dispatcher in gevent's hub; it serves every kind of connection."""

    def _prepare(self) -> None:
        self._free: list[HubSender] = []  # one entry for each write that a sender could take
        self._timer = new_timer()
        self._wakes_at = inf  # schedule time

    def sender(self, connection: GeventConnection) -> "HubSender":
        """Return what makes a connection work."""
        return HubSender(self, connection)

    def performing(self) -> Iterator[Write]:
        """Yield the writes under way, which are lost if this process dies."""
        for sender in self.senders:
            if isinstance(sender, HubSender):
                yield from sender.performing()

    def serve(self, sender: "HubSender", at: float, now: float) -> None:
        """Give `sender`, which can take one more, the next due arrival.

        The monotonic clock reads `at`, the schedule's `now`.
        """
        if sender.leaving:
            sender.leave()
            return
        if not self._holds(at):
            while (arrival := self.ledger.take(now)) is not None:
                if sender.perform(arrival, at):
                    return
        self._free.append(sender)
        self._set_timer()

    def withdraw(self, sender: "HubSender") -> None:
        """Give `sender` no more arrivals."""
        self._free = [other for other in self._free if other is not sender]

    def retire(self) -> None:
        """Give out no more arrivals, and send the users to their next dispatcher."""
        self.holding = self.retired = True
        self._timer.close()
        for sender in [*self.senders]:
            sender.leave()

    def hold(self, *, holding: bool) -> None:
        """Stop taking arrivals, or take them again."""
        if holding != self.holding:
            self.holding = holding
            self.rescheduled()

    def rescheduled(self) -> None:
        """Heed a change of the schedule or the clock: set the timer again."""
        self._timer.stop()
        self._wakes_at = inf
        if self._free:
            self._set_timer()

    def refresh(self) -> None:
        """Do nothing: each answer is accounted for when it arrives."""

    def next_due(self) -> float:
        """Return when the next arrival is due that waits for a sender."""
        return self.ledger.schedule.next_due()

    def _set_timer(self) -> None:
        """Have `_hand_over` called when the next arrival is due."""
        due = self.ledger.schedule.next_due()
        if due == self._wakes_at:
            return
        now = self.clock.now()
        wait = inf if self.holding or due > self.clock.pause_at else due - now
        if wait == inf:  # also before the clock is started
            self._timer.stop()
            self._wakes_at = inf
        else:
            self._timer.start(wait, self._hand_over)
            self._wakes_at = max(now, due)

    def _holds(self, at: float) -> bool:
        """Tell whether to take nothing; after a stall others may have this process's shard."""
        if self.ticked_at is not None and at - self.ticked_at > STALL_SECONDS:
            self.holding = True
        return self.holding

    def _hand_over(self) -> None:
        """Give due arrivals to free senders, the one that became free last first."""
        if self._free and self.clock.now() - self._wakes_at > self.late_after:
            self.late_wakes += 1
        self._wakes_at = inf
        while self._free and not self._holds(at := monotonic()):
            arrival = self.ledger.take(self.clock.at(at))
            if arrival is None:
                break
            sender = self._free.pop()
            if not sender.perform(arrival, at):
                self._free.append(sender)
        if self._free:
            self._set_timer()


class HubSender:
    """One user's connection at work, with its writes under way."""

    def __init__(self, dispatcher: HubDispatcher, connection: GeventConnection) -> None:
        self.leaving = False
        # (arrival, its write unless it was made ahead, sent at: monotonic seconds), in the order
        # of the answers.
        self._under_way: deque[tuple[Arrival, Write | None, float]] = deque()
        self._dispatcher = dispatcher
        self._connection = connection
        self._user: greenlet | None = None
        self._broken = ""
        self._defect: Exception | None = None

    def work(self) -> str:
        """Work until `leave` or the connection breaks; return the SQLSTATE of its loss, or "".

        Called in the user's greenlet, which sleeps meanwhile. If that is killed, the writes under
        way may still be committed: they are lost, as those of a broken connection.
        """
        dispatcher, connection = self._dispatcher, self._connection
        self._user = getcurrent()
        connection.on_answer, connection.on_loss = self._answered, self._break
        dispatcher.senders.add(self)
        try:
            for _ in range(dispatcher.depth):
                at = monotonic()
                dispatcher.serve(self, at, dispatcher.clock.at(at))
            gevent.hub.get_hub().switch()
            if self._defect is not None:
                raise self._defect
        finally:
            self._user = None
            dispatcher.withdraw(self)
            dispatcher.senders.discard(self)
            for write in self.performing():
                dispatcher.ledger.lost(write.operation)
                sqlstate = self._broken or CONNECTION_FAILURE
                dispatcher.lost.append(Lost(write, connection.backend_pid, sqlstate))
        return self._broken

    def performing(self) -> Iterator[Write]:
        """Yield the writes under way."""
        for arrival, write_made, _ in self._under_way:
            write = write_made or self._dispatcher.writes.write(arrival)
            if write is not None:
                yield write

    def leave(self) -> None:
        """Take nothing more; the user wakes when all answers have arrived."""
        self.leaving = True
        self._dispatcher.withdraw(self)
        if not self._under_way:
            self._wake_user()

    def perform(self, arrival: Arrival, at: float) -> bool:
        """Send the write of `arrival`; False if there is no row left that it could change."""
        request, write = arrival[3], None
        if request.__class__ is not bytes:
            write = self._dispatcher.writes.write(arrival)
            if write is None:
                self._dispatcher.ledger.failed(arrival[1], NO_ROW)
                return False
            request = write.request
        self._under_way.append((arrival, write, at))
        try:
            self._connection.send(request)
        except psycopg.OperationalError:
            self._break(CONNECTION_FAILURE)
        return True

    def _answered(self, sqlstate: str | None, rows: tuple[int, ...]) -> None:
        """Account for the oldest write under way and serve again; a bug of ours ends the user."""
        dispatcher = self._dispatcher
        try:
            arrival, write, sent_at = self._under_way.popleft()
            due, operation, _, request = arrival
            at = monotonic()
            now = dispatcher.clock.at(at)
            one_row_each = rows in _ONE_ROW_EACH
            if sqlstate is None and (one_row_each or any(rows)):
                dispatcher.ledger.committed(operation, at - sent_at, now - due)
                if not one_row_each:
                    dispatcher.ledger.touched(operation, rows)
                if write is None:
                    if operation in dispatcher.writes.adding:
                        dispatcher.writes.inserted(operation, request)
                elif 0 not in rows:  # a move of no row: its state is unknown
                    dispatcher.writes.committed(write)
            else:
                dispatcher.ledger.failed(operation, sqlstate or NO_ROW)
                if sqlstate is not None and write is not None:
                    dispatcher.writes.refused(write)
            dispatcher.serve(self, at, now)
        except Exception as exc:  # noqa: BLE001 - the hub would print it and leave the user waiting
            self._defect = exc
            self._break(CONNECTION_FAILURE)

    def _break(self, sqlstate: str) -> None:
        self._broken, self.leaving = sqlstate, True
        self._dispatcher.withdraw(self)
        self._wake_user()

    def _wake_user(self) -> None:
        if self._user is not None:
            gevent.hub.get_hub().loop.run_callback(self._user.switch)
            self._user = None
