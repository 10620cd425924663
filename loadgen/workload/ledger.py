"""The accounting of one process: every arrival that falls due is accounted for, exactly once.

The law, for each operation at any instant:
    offered = committed + failed + skipped + unknown + in flight
Offered counts what the schedule made due and nothing else. In flight is what waits for a user
plus what a user is performing. Unknown is a write whose COMMIT answer was lost and that has not
been looked up yet. Time is an argument (schedule seconds), so the ledger can be played in a test.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import inf

from loadgen.workload.histogram import Histogram
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.arrival_process import Arrival
from loadgen.workload.schedule.arrivals import Schedule

_FOLDED_AT_ONCE = 512  # latencies
# While arrivals are skipped all the time, those that have so much time left (seconds, but at most
# that share of the limit) are skipped with them: to be on the brink at each arrival costs a third
# of the writes.
_BRINK_SECONDS = 0.05
_BRINK_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Counts:
    """One operation's vector, from the start of the run, taken in one step."""

    offered: int = 0
    committed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: int = 0
    in_flight: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum, as of two processes."""
        return Counts(
            self.offered + other.offered,
            self.committed + other.committed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.unknown + other.unknown,
            self.in_flight + other.in_flight,
        )

    def dump(self) -> list[int]:
        """Return plain values for a message between processes: Counts(*values) reads them."""
        return [
            self.offered,
            self.committed,
            self.failed,
            self.skipped,
            self.unknown,
            self.in_flight,
        ]

    def balanced(self) -> bool:
        """Tell whether the accounting law holds."""
        done = self.committed + self.failed + self.skipped
        return self.offered == done + self.unknown + self.in_flight


@dataclass(slots=True)
class _Account:
    committed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: int = 0
    performing: int = 0
    service: Histogram = field(default_factory=Histogram)
    intended: Histogram = field(default_factory=Histogram)
    # Latencies of writes that are committed, and not counted above yet.
    services: list[float] = field(default_factory=list)
    intendeds: list[float] = field(default_factory=list)

    def fold(self) -> None:
        """Count what was committed, and put the latencies into the histograms."""
        n = len(self.services)
        self.performing -= n
        self.committed += n
        self.service.add(self.services)
        self.intended.add(self.intendeds)
        self.services.clear()
        self.intendeds.clear()


class Ledger:
    """What became of the arrivals of `schedule`, which keeps those that nobody has taken yet."""

    def __init__(self, schedule: Schedule, lateness_limit: float) -> None:
        self.schedule = schedule
        self.lateness_limit = lateness_limit
        self.failures: Counter[tuple[str, str]] = Counter()  # (operation, SQLSTATE)
        self._ahead = schedule.prepared
        self._brink = min(_BRINK_SECONDS, _BRINK_SHARE * lateness_limit)
        self._skipped_at = -inf  # schedule time at which something was skipped last
        self._accounts = {name: _Account() for name in OPERATIONS}

    def take(self, now: float) -> Arrival | None:
        """Hand out the arrival that has waited longest; None where nothing is due.

        What has waited beyond the limit is skipped first. In a load that is asked for more than it
        can do, so is what would have to be skipped in a moment: it falls behind less often then.
        """
        ahead = self._ahead
        # As the schedule would, without asking it.
        known = ahead and ahead[0][0] <= now
        arrival = ahead.popleft() if known else self.schedule.take(now)
        if arrival is None:
            return None
        oldest = now - self.lateness_limit
        if arrival[0] < oldest:
            self._accounts[arrival[1]].skipped += 1
            overloaded = now - self._skipped_at < 2 * self._brink
            self._skip(oldest + self._brink if overloaded else oldest)
            self._skipped_at = now
            arrival = self.schedule.take(now)
            if arrival is None:
                return None
        self._accounts[arrival[1]].performing += 1
        return arrival

    def committed(self, operation: str, service: float, intended: float) -> None:
        """Count a write whose commit was answered; latencies in seconds."""
        account = self._accounts[operation]
        services = account.services
        services.append(service)
        account.intendeds.append(intended)
        if len(services) == _FOLDED_AT_ONCE:
            account.fold()

    def failed(self, operation: str, sqlstate: str) -> None:
        """Count a write that the server refused, or that found no row to change."""
        account = self._accounts[operation]
        account.performing -= 1
        account.failed += 1
        self.failures[operation, sqlstate] += 1

    def lost(self, operation: str) -> None:
        """Count a write whose answer was lost: unknown until it is settled."""
        account = self._accounts[operation]
        account.performing -= 1
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

    def vector(self, now: float) -> dict[str, Counts]:
        """Return every operation's counts at `now`, all of the same instant."""
        self._skip(now - self.lateness_limit)
        for account in self._accounts.values():
            account.fold()
        offered, waiting = self.schedule.offered(now), self.schedule.waiting(now)
        return {
            name: Counts(
                offered[name],
                a.committed,
                a.failed,
                a.skipped,
                a.unknown,
                waiting[name] + a.performing,
            )
            for name, a in self._accounts.items()
        }

    def take_latencies(self) -> dict[str, tuple[Histogram, Histogram]]:
        """Return (service, intended) per operation since the last call, and start new ones."""
        for account in self._accounts.values():
            account.fold()
        taken = {name: (a.service, a.intended) for name, a in self._accounts.items()}
        for account in self._accounts.values():
            account.service, account.intended = Histogram(), Histogram()
        return taken

    def _skip(self, before: float) -> None:
        """Pass over what was due before schedule time `before`."""
        for name, n in self.schedule.skip(before).items():
            self._accounts[name].skipped += n
