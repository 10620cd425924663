"""What gives arrivals to the senders of one process, and what becomes of their lost writes.

There are two kinds: one works in gevent's hub (`hub_dispatcher`), the other hands arrivals over to
a compiled thread (`compiled_dispatcher`). Users (`user`) only open connections and wait.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import psycopg

from loadgen.load.connection_tracker import ConnectionTracker
from loadgen.load.driver.libpq import GeventConnection
from loadgen.load.generator_health import late_after
from loadgen.load.lookup import Lost, backend_alive
from loadgen.load.proofs import Proofs
from loadgen.load.writes import Write, Writes
from loadgen.workload.ledger import NONE_AHEAD, Ledger
from loadgen.workload.schedule.clock import ScheduleClock

STALL_SECONDS: Final = 5.0
NO_ROW: Final = "02000"  # SQLSTATE of a transaction that found nothing to change


class Sender(Protocol):
    """One user's connection at work, with its writes under way."""

    def work(self) -> str:
        """Work until `leave` or the connection breaks; return the SQLSTATE of its loss, or "".

        Called in the user's greenlet, which sleeps meanwhile. If that is killed, the writes under
        way may still be committed: they are lost, as those of a broken connection.
        """

    def leave(self) -> None:
        """Take nothing more; the user wakes when all answers have arrived."""


class Dispatcher(ABC):
    """Gives due arrivals to the free senders of one process, which share its state."""

    ahead = 0.0  # seconds before they are due, arrivals are out of the schedule's hands
    tick_seconds = 0.01  # between two looks at how late the hub is

    def __init__(
        self,
        connections: ConnectionTracker,
        clock: ScheduleClock,
        ledger: Ledger,
        writes: Writes,
        depth: int = 1,
    ) -> None:
        self.depth = depth  # writes that a connection has under way at once
        self.connections = connections
        self.clock = clock
        self.ledger = ledger
        self.writes = writes
        self.lost: list[Lost] = []
        self.unproved: list[Write] = []  # lost, and nothing can tell what became of them
        self.senders: set[Sender] = set()  # at work
        self.holding = False  # take nothing for the moment
        self.retired = False  # take nothing ever again
        self.ticked_at: float | None = None  # in a worker: when its watch on the master ran last
        self.late_after = late_after(ledger.lateness_limit)  # seconds
        self.late_wakes = 0  # times a free sender got an arrival later than that
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Get ready to work, at the end of `__init__`."""

    @abstractmethod
    def sender(self, connection: GeventConnection) -> Sender:
        """Return what makes a connection work."""

    @abstractmethod
    def performing(self) -> Iterator[Write]:
        """Yield the writes under way, which are lost if this process dies."""

    @abstractmethod
    def retire(self) -> None:
        """Give out no more arrivals, and send the users to their next dispatcher."""

    @abstractmethod
    def hold(self, *, holding: bool) -> None:
        """Stop taking arrivals, or take them again."""

    @abstractmethod
    def rescheduled(self) -> None:
        """Heed a change of the schedule or the clock."""

    @abstractmethod
    def next_due(self) -> float:
        """Return when the next arrival is due that waits for a sender."""

    @abstractmethod
    def refresh(self) -> None:
        """Account for all that has been answered up to now; the next methods tell of then."""

    def threads(self) -> Mapping[int, float]:
        """Return the system's threads that work beside gevent's, and how long each has given way.

        That is, how many seconds it let others have the processor because it could begin nothing.
        """
        return {}

    def not_begun(self) -> Mapping[str, list[int]]:
        """Return the k, by operation, of arrivals that were taken ahead and are not under way."""
        return {}

    def not_due(self, s: float) -> Mapping[str, int]:  # noqa: ARG002 - here there are none
        """Return how many of these are due after `s`, by operation."""
        return NONE_AHEAD

    def settle(self, connection: psycopg.Connection, proofs: Proofs) -> None:
        """Look up every lost write whose backend has left; the others stay for the next call."""
        for lost in list(self.lost):
            if backend_alive(connection, lost.backend_pid):
                continue
            write, writes = lost.write, self.writes
            if write.operation in proofs.unproved:
                self.lost.remove(lost)
                self.unproved.append(write)
                continue
            committed = proofs.is_committed(
                connection, write.operation, writes.key(write), writes.version(write)
            )
            self.lost.remove(lost)
            self.ledger.settled(write.operation, None if committed else lost.sqlstate)
            (writes.committed if committed else writes.refused)(write)
