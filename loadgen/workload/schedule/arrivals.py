"""The arrival schedule: which write is due when, for a process's share, as pure arithmetic.

An arrival's due time is where the integral of its operation's rate (`rate_curve`) reaches its point
(`streams`). Times are schedule seconds: 0 at the start, standing still during a pause. Nothing
here reads a clock, draws a random number or opens a connection.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from math import inf
from operator import attrgetter, itemgetter

from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.mix import Mix
from loadgen.workload.schedule.profiles import ProfileName, profile
from loadgen.workload.schedule.rates import RateCurve
from loadgen.workload.schedule.shards import WHOLE, Shard, ShardCursor
from loadgen.workload.schedule.streams import (
    BLOCK,
    Arrival,
    ArrivalKind,
    ArrivalProcess,
    Checkpoint,
    Make,
)

_due = itemgetter(0)  # of an arrival


class Schedule:
    """All operations' walks of one process, merged in order of due time."""

    __slots__ = ("_end", "_left", "_shares_to_come", "ahead", "cursors", "mix")

    def __init__(  # noqa: PLR0913 - a schedule is these facts
        self,
        seed: int,
        kind: ArrivalKind,
        mix: Mix,
        profile_name: ProfileName = "steady",
        *,
        shard: Shard = WHOLE,
        end: float = inf,
        ahead: Mapping[str, Make] | None = None,
        together: Mapping[str, int] | None = None,
    ) -> None:
        """Begin at the first arrivals; `ahead` has what makes an operation's before they are due.

        It is asked for `together` of an operation at once, a block's where nothing is said.
        """
        shape, makers, numbers = profile(profile_name), ahead or {}, together or {}
        self.mix = mix
        self._end = end
        # Stepped over by the walks and not handed out, in order: the nearest future.
        self.ahead: deque[Arrival] = deque()
        self._shares_to_come: deque[tuple[float, Shard]] = deque()
        # Due before a new split and not taken then: nothing is made of them before they are.
        self._left: deque[Arrival] = deque()
        self.cursors = [
            ShardCursor(
                ArrivalProcess(seed, name, kind),
                RateCurve(mix.rate(name), shape),
                shard,
                makers.get(name),
                numbers.get(name, BLOCK),
            )
            for name in OPERATIONS
        ]

    @property
    def end(self) -> float:
        """The schedule time from which on nothing falls due."""
        return self._end

    @end.setter
    def end(self, at: float) -> None:
        self._look_back()
        self._end = at

    def next_due(self) -> float:
        """Return the due time of the next arrival; infinite where none is to come."""
        if self._left:
            return self._left[0][0]
        if self.ahead:
            return self.ahead[0][0]
        due = self._first().due
        return due if due < self._end else inf

    def take(self, s: float) -> Arrival | None:
        """Hand out the earliest arrival that is due at schedule time `s`; None where none is."""
        ahead = self.ahead
        if not ahead:
            self._split_if_due(s)
            if self._left:
                return self._made_now(self._left.popleft())
            self._look_ahead()
            if not ahead:
                return None
        return ahead.popleft() if ahead[0][0] <= s else None

    def skip(self, before: float) -> dict[str, int]:
        """Pass over what was due before `before`; return how many by operation."""
        skipped: Counter[str] = Counter()
        self._drop(self.ahead, before, skipped)
        # By then another share may have come in force, of which others know.
        self._split_if_due(before)
        self._drop(self._left, before, skipped)
        before = min(before, self._end)
        for cursor in self.cursors:
            if cursor.due < before:
                skipped[cursor.process.operation] += cursor.skip(before)
        return skipped

    def offered(self, s: float) -> dict[str, int]:
        """Return how many arrivals of each operation fell to this process by `s`."""
        s, closed = self._until(s)
        return {
            cursor.process.operation: cursor.offered(s, closed=closed) for cursor in self.cursors
        }

    def waiting(self, s: float) -> dict[str, int]:
        """Return how many arrivals of each operation are due by `s` and not handed out."""
        s, closed = self._until(s)
        waiting = Counter(operation for _, operation, _, _ in self._left)
        for cursor in self.cursors:
            waiting[cursor.process.operation] += cursor.waiting(s, closed=closed)
        return waiting

    def pop_due(self, s: float) -> Iterator[Arrival]:
        """Yield, in order, every arrival that is due at schedule time `s` or before it."""
        while (arrival := self.take(s)) is not None:
            yield arrival

    def change_rates(self, at: float, mix: Mix, profile_name: ProfileName | None = None) -> None:
        """From schedule time `at` on the rates are those of `mix`, and the profile the one named.

        A profile that is not in force already begins its own time at `at`.
        """
        self._look_back()
        self.mix = mix
        shape = profile(profile_name) if profile_name is not None else None
        for cursor in self.cursors:
            cursor.rate_curve.change(at, mix.rate(cursor.process.operation), shape)
            cursor.retime()

    def change_share(self, at: float, shard: Shard) -> None:
        """From schedule time `at` on this process takes `shard` of the arrivals."""
        if self._shares_to_come and at < self._shares_to_come[-1][0]:
            raise ValueError(f"a share from {at} s on comes after a later one was announced")
        self._look_back()
        self._shares_to_come.append((at, shard))

    def join(self, at: float, shard: Shard, passed: Mapping[str, Checkpoint] | None = None) -> None:
        """Begin a share in the middle of a run: nothing before `at` is this process's."""
        self._look_back()
        for cursor in self.cursors:
            cursor.resplit(at, shard, (passed or {}).get(cursor.process.operation))

    def places(self) -> dict[str, Checkpoint]:
        """Return the place of each operation up to which all of this process's are handed out."""
        self._look_back()
        return {cursor.process.operation: cursor.place for cursor in self.cursors}

    def left(self) -> list[tuple[str, int]]:
        """Return (operation, k) of what was due before a new split and is not handed out yet."""
        return [(operation, k) for _, operation, k, _ in self._left]

    def target_rates(self, s: float) -> Mapping[str, float]:
        """Return the whole swarm's target rate per operation at `s`, per second; 0 past the end."""
        if s >= self._end:
            return dict.fromkeys(OPERATIONS, 0.0)
        return {cursor.process.operation: cursor.rate_curve.rate(s) for cursor in self.cursors}

    def asked(self, s: float) -> Mapping[str, float]:
        """Return how many arrivals the rates ask for from the start up to `s`, per operation."""
        s = min(s, self._end)
        return {cursor.process.operation: cursor.rate_curve.units(s) for cursor in self.cursors}

    @staticmethod
    def _drop(queue: deque[Arrival], before: float, skipped: Counter[str]) -> None:
        """Take from the queue what was due before `before`, and count it as skipped."""
        while queue and queue[0][0] < before:
            skipped[queue.popleft()[1]] += 1

    def _made_now(self, arrival: Arrival) -> Arrival:
        """Return one of those left, with what is made of it."""
        due, operation, k, _ = arrival
        cursor = next(cursor for cursor in self.cursors if cursor.process.operation == operation)
        return due, operation, k, cursor.made_of(k)

    def _first(self) -> ShardCursor:
        return min(self.cursors, key=attrgetter("due"))

    def _until(self, s: float) -> tuple[float, bool]:
        """Return up to when to count: `s` itself included, but the end is not part of a run."""
        self._look_back()
        self._split_if_due(s)
        return (s, True) if s < self._end else (self._end, False)

    def _look_ahead(self) -> None:
        """Let the walks step over the next arrivals, up to where something is to change."""
        before = self._shares_to_come[0][0] if self._shares_to_come else inf
        before = min(before, self._end)
        horizon = min(before, *(cursor.horizon for cursor in self.cursors))
        ahead = [arrival for cursor in self.cursors for arrival in cursor.look_ahead(horizon)]
        if ahead:
            self.ahead.extend(sorted(ahead, key=_due))
        elif (first := self._first()).due < before:  # the last one of a walk's block
            self.ahead.append(first.step())

    def _look_back(self) -> None:
        """Undo the look ahead: what has not been handed out is the walks' again."""
        first: dict[str, int] = {}
        for _, operation, k, _ in self.ahead:
            first.setdefault(operation, k)
        self.ahead.clear()
        for cursor in self.cursors:
            if cursor.process.operation in first:
                cursor.look_back(first[cursor.process.operation])

    def _split_if_due(self, s: float) -> None:
        """Put a new share in force at its instant; what was due before stays with this process."""
        while self._shares_to_come and self._shares_to_come[0][0] <= s:
            at, shard = self._shares_to_come.popleft()
            before = min(at, self._end)
            left: list[Arrival] = []
            for cursor in self.cursors:
                while cursor.due < before:
                    left.append(cursor.leave())
                cursor.resplit(at, shard)
            self._left.extend(sorted(left, key=_due))
