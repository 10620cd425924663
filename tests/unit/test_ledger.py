"""The accounting law: every arrival that falls due is accounted for, exactly once, at all times."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts, Ledger, rows_by_statement
from loadgen.workload.schedule.arrival_process import Arrival
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import Shard
from tests.plans import OPERATIONS

LIMIT = 1.0


def ledger(rate: float = 36_000, end: float = float("inf")) -> Ledger:
    """Return a ledger over an even schedule of `rate` orders an hour."""
    mix = Mix(dict(zip(OPERATIONS, (rate, rate / 2, 0, 0), strict=True)))
    return Ledger(Schedule(1, "even", mix, end=end), LIMIT)


class AccountingLaw(RuleBasedStateMachine):
    """Users take, commit, fail, lose and settle in any order while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = ledger()
        self.now = 0.0
        self.performing: list[Arrival] = []
        self.ahead: list[Arrival] = []  # taken before they are due
        self.lost: list[Arrival] = []

    @rule(step=st.floats(0, 5))
    def time_passes(self, step: float) -> None:
        """Nothing else happens: a stall."""
        self.now += step

    @rule()
    def take(self) -> None:
        """A user takes the next due arrival, none of which is later than the limit."""
        arrival = self.ledger.take(self.now)
        if arrival is not None:
            assert self.now - LIMIT <= arrival[0] <= self.now
            self.performing.append(arrival)

    @rule(seconds=st.floats(0, 0.3), most=st.integers(0, 20), wait=st.sampled_from([0.0, 0.1]))
    def take_ahead(self, seconds: float, most: int, wait: float) -> None:
        """Arrivals are taken before they are due."""
        taken = self.ledger.take_ahead(self.now, self.now + seconds, most, wait)
        self.ahead += [arrival for batch in taken for arrival in batch.arrivals()]

    @rule(skipped=st.booleans())
    def begin(self, skipped: bool) -> None:
        """One of these is due: it is performed, or skipped since it has waited too long."""
        for arrival in self.ahead:
            if arrival[0] <= self.now:
                self.ahead.remove(arrival)
                if skipped:
                    self.ledger.skipped(arrival[1], 1)
                else:
                    self.performing.append(arrival)
                return

    @rule()
    def finish_all(self) -> None:
        """All that are performed are committed, and counted at once."""
        for operation, n in Counter(arrival[1] for arrival in self.performing).items():
            histograms = Histogram(), Histogram()
            for histogram in histograms:
                histogram.add([0.001] * n)
            self.ledger.all_committed(operation, *histograms)
        self.performing.clear()

    @rule(outcome=st.sampled_from(["committed", "failed", "lost"]))
    def finish(self, outcome: str) -> None:
        """A user finishes its write."""
        if not self.performing:
            return
        arrival = self.performing.pop()
        if outcome == "committed":
            self.ledger.committed(arrival[1], 0.001, self.now - arrival[0])
        elif outcome == "failed":
            self.ledger.failed(arrival[1], "40001")
        else:
            self.ledger.lost(arrival[1])
            self.lost.append(arrival)

    @rule(sqlstate=st.sampled_from([None, "08006"]))
    def settle(self, sqlstate: str | None) -> None:
        """The look-up of a lost write settles it."""
        if self.lost:
            self.ledger.settled(self.lost.pop()[1], sqlstate)

    @invariant()
    def the_law_holds(self) -> None:
        """Offered is the schedule's count; the rest adds up to it; failures are all named."""
        not_due = Counter(name for due, name, _, _ in self.ahead if due > self.now)
        counts = self.ledger.counts(self.now, not_due)
        asked = self.ledger.schedule.planned(self.now)
        for name, count in counts.items():
            assert count.balanced()
            assert abs(count.offered - asked[name]) <= 1
        total = sum(counts.values(), Counts())
        assert total.failed == sum(self.ledger.failures.values())
        assert total.unknown == len(self.lost)
        due_ahead = len(self.ahead) - not_due.total()
        assert total.in_flight >= len(self.performing) + due_ahead


TestAccountingLaw = AccountingLaw.TestCase
TestAccountingLaw.settings = settings(max_examples=60, stateful_step_count=40)


def in_flight(book: Ledger, now: float) -> int:
    """Return how much is due and unfinished."""
    return sum(counts.in_flight for counts in book.counts(now).values())


def test_after_a_stall_no_more_than_the_limit_is_made_up() -> None:
    """Arrivals that waited beyond the limit are skipped: no stampede follows an outage."""
    book = ledger(rate=36_000)
    taken = 0
    while book.take(30.0) is not None:
        taken += 1
    counts = book.counts(30.0)
    assert counts["insert_order"].offered == 300
    assert taken <= 15 * LIMIT + 1
    assert sum(c.skipped for c in counts.values()) == 450 - taken


def test_a_drain_ends_with_nothing_in_flight() -> None:
    """After the end, waiting arrivals can still be taken; those not taken are skipped in time."""
    book = ledger(end=2.0)
    arrival = book.take(2.0)
    assert arrival is not None
    assert in_flight(book, 2.0) > 0
    assert in_flight(book, 10.0) == 1  # the waiting ones are skipped, one is still being performed
    book.committed(arrival[1], 0.1, 0.2)
    assert in_flight(book, 10.0) == 0
    assert all(c.in_flight == 0 for c in book.counts(10.0).values())


def test_latencies_are_handed_out_once() -> None:
    """Each interval has its own histograms; nothing is counted in two."""
    book = ledger()
    arrival = book.take(1.0)
    assert arrival is not None
    book.committed(arrival[1], 0.004, 0.009)
    service, intended = book.take_latencies()[arrival[1]]
    assert (service.count(), intended.count()) == (1, 1)
    assert book.take_latencies()[arrival[1]][0].count() == 0


def test_rows_of_each_statement_are_those_of_the_committed_transactions() -> None:
    """One row each needs no counting; more and fewer do."""
    book = ledger()
    for rows in ((1, 1, 1), (3, 0, 1), (1, 0, 1), (2, 1, 1)):
        arrival = book.take(10.0)
        assert arrival is not None
        book.committed("insert_order", 0.001, 0.001)
        book.touched("insert_order", rows)
    assert book.extra_rows == {("insert_order", 0): 3, ("insert_order", 1): -2}
    assert rows_by_statement(4, "insert_order", 3, book.extra_rows) == (7, 2, 4)
    assert rows_by_statement(4, "insert_event", 2, book.extra_rows) == (4, 4)


def test_vectors_add_up_across_processes() -> None:
    """The sum of vectors that keep the law keeps it."""
    total = Counts(10, 5, 1, 2, 1, 1) + Counts(4, 4, 0, 0, 0, 0)
    assert total == Counts(14, 9, 1, 2, 1, 1)
    assert total.balanced()
    assert not Counts(offered=1).balanced()


def test_a_stall_across_a_split_skips_by_the_shares_of_the_time() -> None:
    """A process that sleeps through a split counts its old share before it, its new one after."""
    mix = Mix(dict(zip(OPERATIONS, (36_000.0, 0.0, 0.0, 0.0), strict=True)))
    sleeper, other = (Ledger(Schedule(1, "even", mix), 0.05) for _ in ("sleeper", "other"))
    sleeper.schedule.change_shard(1.0, Shard(0, 2))
    other.schedule.join(1.0, Shard(1, 2))
    counts = [book.counts(3.0)["insert_order"] for book in (sleeper, other)]
    assert [count.offered for count in counts] == [20, 10]
    assert all(count.balanced() for count in counts)


def test_an_overload_is_skipped_in_strides() -> None:
    """If ten times more is due than is taken, late arrivals are sought once in many writes.

    Skipped arrivals have had at least 0.95 of their time; the first late ones had their full time.
    """
    passed: list[tuple[float, float]] = []  # (now, before) of each skip

    class Watched(Schedule):
        def skip(self, before: float) -> dict[str, int]:
            passed.append((now, before))
            return super().skip(before)

    mix = Mix(dict(zip(OPERATIONS, (7_200_000, 3_600_000, 0, 0), strict=True)))
    late = Ledger(Watched(1, "even", mix), LIMIT)  # 3,000 arrivals a second, of which 300 are taken
    for n in range(3000):
        now = 2 + n / 300
        arrival = late.take(now)
        assert arrival is not None
        assert now - LIMIT <= arrival[0]
    assert passed[0] == (2.0, 1.0)
    assert all(now - before >= 0.95 * LIMIT - 1e-9 for now, before in passed)
    assert len(passed) < 300


def test_a_stall_costs_only_what_is_late() -> None:
    """After it, arrivals that have a moment left are handed out, not skipped with the others."""
    stalled = ledger(rate=360_000)  # 100 orders a second, even
    arrival = stalled.take(10.0)
    assert arrival is not None
    assert arrival[0] - 9.0 < 0.02
