"""The accounting of one process: every arrival that falls due is counted exactly once.

The law, for each operation at any instant:
    offered = committed + failed + skipped + unknown + in flight
Offered counts the arrivals that the schedule made due and nothing else. In flight are those that
wait for a connection and those that are under way. Unknown is a write whose COMMIT answer was lost
and that has not been looked up yet. Time is an argument (schedule seconds), so that a test can
replay a ledger.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from math import inf
from operator import add
from typing import Final

from loadgen.record.rows import law_holds
from loadgen.workload.histogram import Histogram
from loadgen.workload.schedule.arrival_process import Arrival, Batch
from loadgen.workload.schedule.arrivals import Schedule

_BATCH = 512  # latencies that go into the histograms at once
# In an overload, arrivals that have less than 50 ms left (of a short limit: 5%) are skipped early.
# Without that, each arrival is taken at the last moment, which costs a third of the writes.
_MARGIN_SECONDS = 0.05
_MARGIN_SHARE = 0.05
NONE_AHEAD: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class Counts:
    """The counters of one operation, from the start of the run up to one instant."""

    offered: int = 0
    committed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: int = 0
    in_flight: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum, for example of two processes."""
        return Counts(*map(add, astuple(self), astuple(other)))

    def dump(self) -> list[int]:
        """Return plain values for a message between processes: Counts(*values) reads them."""
        return [*astuple(self)]

    def balanced(self) -> bool:
        """Tell whether the accounting law holds."""
        return law_holds(*astuple(self))


@dataclass(slots=True)
class _Account:
    committed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: int = 0
    under_way: int = 0
    service: Histogram = field(default_factory=Histogram)
    intended: Histogram = field(default_factory=Histogram)
    # Latencies of committed writes that are not counted above yet.
    new_service: list[float] = field(default_factory=list)
    new_intended: list[float] = field(default_factory=list)

    def flush(self) -> None:
        """Count the new committed writes, and add their latencies to the histograms."""
        n = len(self.new_service)
        self.under_way -= n
        self.committed += n
        self.service.add(self.new_service)
        self.intended.add(self.new_intended)
        self.new_service.clear()
        self.new_intended.clear()


def rows_by_statement(
    committed: int, operation: str, statements: int, extra_rows: Mapping[tuple[str, int], int]
) -> tuple[int, ...]:
    """Return how many rows each of an operation's statements touched in committed transactions.

    One whose answer was lost counts one row for each statement.
    """
    return tuple(committed + extra_rows.get((operation, index), 0) for index in range(statements))


class Ledger:
    """Counts what happens to the arrivals of `schedule`."""

    def __init__(self, schedule: Schedule, lateness_limit: float) -> None:
        self.schedule = schedule
        self.lateness_limit = lateness_limit
        # Seconds; in an overload, arrivals that have less time left are skipped too.
        self.margin = min(_MARGIN_SECONDS, _MARGIN_SHARE * lateness_limit)
        self.failures: Counter[tuple[str, str]] = Counter()  # (operation, SQLSTATE)
        # (operation, statement's index): rows touched, less one for each committed transaction.
        self.extra_rows: Counter[tuple[str, int]] = Counter()
        self._prepared = schedule.prepared
        self._skipped_at = -inf  # schedule time of the last skip
        self._accounts = {name: _Account() for name in schedule.cursors}

    def take(self, now: float) -> Arrival | None:
        """Hand out the arrival that has waited longest, if one is due.

        Arrivals that have waited beyond the limit are skipped first; in an overload also those that
        are about to.
        """
        prepared = self._prepared
        # As the schedule does it, without the call.
        known = prepared and prepared[0][0] <= now
        arrival = prepared.popleft() if known else self.schedule.take(now)
        if arrival is None:
            return None
        if arrival[0] < now - self.lateness_limit:
            self._accounts[arrival[1]].skipped += 1
            self._skip_late(now)
            arrival = self.schedule.take(now)
            if arrival is None:
                return None
        self._accounts[arrival[1]].under_way += 1
        return arrival

    def take_ahead(self, now: float, until: float, most: int, wait: float) -> list[Batch]:
        """Hand out up to `most` arrivals that are due by `until`, the earliest ones.

        As if each had been taken when it is due: `counts` has to know which are not due yet. In an
        overload they have to `wait` so many seconds more, and those that would then be late are
        skipped now.
        """
        oldest = now - self.lateness_limit + min(wait, self.lateness_limit / 2)
        is_late = self.schedule.next_due() < oldest
        if is_late:
            self._skip(oldest + self.margin if wait else oldest)
        batches = self.schedule.take_batches(until, most, exact=is_late)
        for batch in batches:
            self._accounts[batch.operation].under_way += len(batch.dues)
        return batches

    def committed(self, operation: str, service: float, intended: float) -> None:
        """Count a write whose commit was answered; latencies in seconds."""
        account = self._accounts[operation]
        latencies = account.new_service
        latencies.append(service)
        account.new_intended.append(intended)
        if len(latencies) == _BATCH:
            account.flush()

    def all_committed(self, operation: str, service: Histogram, intended: Histogram) -> None:
        """Count writes whose commits were answered, by their latencies."""
        account, n = self._accounts[operation], service.count()
        account.under_way -= n
        account.committed += n
        account.service.merge(service)
        account.intended.merge(intended)

    def skipped(self, operation: str, n: int) -> None:
        """Count arrivals that were handed out and have waited beyond the limit."""
        account = self._accounts[operation]
        account.under_way -= n
        account.skipped += n

    def touched(self, operation: str, rows: Sequence[int]) -> None:
        """Count what the statements of a committed transaction touched, if not one row each."""
        for index, n in enumerate(rows):
            if n != 1:
                self.extra_rows[operation, index] += n - 1

    def failed(self, operation: str, sqlstate: str) -> None:
        """Count a write that the server refused, or that changed no row."""
        account = self._accounts[operation]
        account.under_way -= 1
        account.failed += 1
        self.failures[operation, sqlstate] += 1

    def lost(self, operation: str) -> None:
        """Count a write whose answer was lost; it is unknown until it is settled."""
        account = self._accounts[operation]
        account.under_way -= 1
        account.unknown += 1

    def settled(self, operation: str, sqlstate: str | None) -> None:
        """Turn an unknown write into committed (`sqlstate` None) or failed."""
        account = self._accounts[operation]
        account.unknown -= 1
        if sqlstate is None:
            account.committed += 1
        else:
            account.failed += 1
            self.failures[operation, sqlstate] += 1

    def counts(self, now: float, ahead: Mapping[str, int] = NONE_AHEAD) -> dict[str, Counts]:
        """Return the counts of each operation at schedule time `now`.

        `ahead` are the arrivals that were taken ahead and are not due yet.
        """
        self._skip(now - self.lateness_limit)
        for account in self._accounts.values():
            account.flush()
        offered, waiting = self.schedule.offered(now), self.schedule.waiting(now)
        return {
            name: Counts(
                offered[name] - ahead.get(name, 0),
                a.committed,
                a.failed,
                a.skipped,
                a.unknown,
                waiting[name] + a.under_way - ahead.get(name, 0),
            )
            for name, a in self._accounts.items()
        }

    def take_latencies(self) -> dict[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) of each operation since the last call, and start new ones."""
        for account in self._accounts.values():
            account.flush()
        taken = {name: (a.service, a.intended) for name, a in self._accounts.items()}
        for account in self._accounts.values():
            account.service, account.intended = Histogram(), Histogram()
        return taken

    def _skip_late(self, now: float) -> None:
        """Skip the arrivals that have waited beyond the limit; in an overload, those about to."""
        overloaded = now - self._skipped_at < 2 * self.margin
        self._skip(now - self.lateness_limit + (self.margin if overloaded else 0.0))
        self._skipped_at = now

    def _skip(self, before: float) -> None:
        for name, n in self.schedule.skip(before).items():
            self._accounts[name].skipped += n
