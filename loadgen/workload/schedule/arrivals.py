"""The arrival schedule: which write is due when, for the shard of one process.

An arrival is due when the integral of its operation's rate (`RateCurve`) reaches its unit time
(`ArrivalProcess`). Times are schedule seconds: 0 at the start, standing still during a pause. Pure:
no clock, no random generator, no connection.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from math import inf, nextafter
from operator import attrgetter, itemgetter

from loadgen.workload.model import ProfileLevels
from loadgen.workload.schedule.arrival_process import (
    Arrival,
    ArrivalKind,
    ArrivalProcess,
    Batch,
    Checkpoint,
    RequestMaker,
)
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName, RateCurve, profiles_of
from loadgen.workload.schedule.shards import WHOLE, Shard, ShardCursor

_due = itemgetter(0)  # of an arrival


class Schedule:
    """The arrivals of all operations that fall to one process, in order of due time."""

    __slots__ = ("_announced_shards", "_backlog", "_end", "_profiles", "cursors", "mix", "prepared")

    def __init__(
        self,
        seed: int,
        kind: ArrivalKind,
        mix: Mix,
        profile: ProfileName = "steady",
        *,
        own_profile: ProfileLevels | None = None,
        shard: Shard = WHOLE,
        end: float = inf,
    ) -> None:
        """Begin at the first arrivals; `own_profile` is the model's, which is called `workload`."""
        self.mix = mix
        self._profiles = profiles_of(own_profile)
        self._end = end
        # Prepared ahead of time: the cursors are beyond them, and no connection has them yet.
        self.prepared: deque[Arrival] = deque()
        self._announced_shards: deque[tuple[float, Shard]] = deque()
        # Due before a change of the shard and not taken by then; prepared only when taken.
        self._backlog: deque[Arrival] = deque()
        self.cursors = {
            name: ShardCursor(
                ArrivalProcess(seed, name, kind),
                RateCurve(mix.rate(name), self._profiles[profile]),
                shard,
            )
            for name in mix.rates_per_hour
        }

    def prepare_by(
        self, makers: Mapping[str, RequestMaker], batch_sizes: Mapping[str, int]
    ) -> None:
        """Prepare arrivals before they are due: by operation, so many at once (at most a block)."""
        self._rewind()
        for name, maker in makers.items():
            self.cursors[name].prepare_by(maker, batch_sizes[name])

    @property
    def end(self) -> float:
        """The schedule time from which on nothing falls due."""
        return self._end

    @end.setter
    def end(self, at: float) -> None:
        self._rewind()
        self._end = at

    def next_due(self) -> float:
        """Return the due time of the next arrival; infinite if there is none before the end."""
        if self._backlog:
            return self._backlog[0][0]
        if self.prepared:
            return self.prepared[0][0]
        due = self._earliest().due
        return due if due < self._end else inf

    def take(self, s: float) -> Arrival | None:
        """Hand out the earliest arrival that is due at schedule time `s`, if there is one."""
        prepared = self.prepared
        if not prepared:
            self._change_shard_if_due(s)
            if self._backlog:
                due, operation, k, _ = self._backlog.popleft()
                return due, operation, k, self.cursors[operation].prepare(k, due)
            self._look_ahead()
            if not prepared:
                return None
        return prepared.popleft() if prepared[0][0] <= s else None

    def take_batches(self, until: float, most: int, *, exact: bool = False) -> list[Batch]:
        """Hand out up to `most` arrivals that are due by `until`, the earliest ones.

        `exact` prepares no others ahead.
        """
        self._rewind()
        batches: list[Batch] = []
        while most > 0:
            self._change_shard_if_due(until)
            if self._backlog:
                due, operation, k, _ = self._backlog.popleft()
                made = self.cursors[operation].prepare(k, due)
                batches.append(Batch(operation, [due], [k], [made]))
                most -= 1
                continue
            before = min(self._change_at(), nextafter(until, inf))
            horizon = self._horizon(before, most)
            taken = [cursor.take_before(horizon, exact=exact) for cursor in self.cursors.values()]
            if not any(batch.dues for batch in taken):
                if (earliest := self._earliest()).due >= before:
                    break
                # The last arrival of a cursor's block, or several at one instant.
                taken = [earliest.take_next(exact=exact)]
            batches += [batch for batch in taken if batch.dues]
            most -= sum(len(batch.dues) for batch in taken)
        return batches

    def skip(self, before: float) -> dict[str, int]:
        """Skip the arrivals due before `before`; return how many there were, by operation."""
        skipped: Counter[str] = Counter()
        self._skip_queued(self.prepared, before, skipped)
        # By `before` the shard may have changed, and then other processes took the rest.
        self._change_shard_if_due(before)
        self._skip_queued(self._backlog, before, skipped)
        before = min(before, self._end)
        for name, cursor in self.cursors.items():
            if cursor.due < before:
                skipped[name] += cursor.skip(before)
        return skipped

    def offered(self, s: float) -> dict[str, int]:
        """Return how many arrivals of each operation fell to this process by `s`."""
        s, closed = self._counting_bound(s)
        return {name: cursor.offered(s, closed=closed) for name, cursor in self.cursors.items()}

    def waiting(self, s: float) -> dict[str, int]:
        """Return how many arrivals of each operation are due by `s` and not handed out."""
        s, closed = self._counting_bound(s)
        waiting = Counter(operation for _, operation, _, _ in self._backlog)
        for name, cursor in self.cursors.items():
            waiting[name] += cursor.waiting(s, closed=closed)
        return waiting

    def pop_due(self, s: float) -> Iterator[Arrival]:
        """Yield, in order, every arrival that is due at schedule time `s` or before."""
        while (arrival := self.take(s)) is not None:
            yield arrival

    def change_rates(self, at: float, mix: Mix, profile: ProfileName | None = None) -> None:
        """Set the rates, and the profile if one is named, from schedule time `at` on.

        A profile other than the current one begins its own time at `at`.
        """
        self._rewind()
        self.mix = mix
        for name, cursor in self.cursors.items():
            cursor.rate_curve.change(
                at, mix.rate(name), self._profiles[profile] if profile else None
            )
            cursor.retime()

    def change_shard(self, at: float, shard: Shard) -> None:
        """Take `shard` of the arrivals from schedule time `at` on."""
        if self._announced_shards and at < self._announced_shards[-1][0]:
            raise ValueError(f"a shard from {at} s on comes after a later one was announced")
        self._rewind()
        self._announced_shards.append((at, shard))

    def join(self, at: float, shard: Shard, passed: Mapping[str, Checkpoint] | None = None) -> None:
        """Begin with `shard` in the middle of a run: nothing before `at` falls to this process.

        `passed` has known checkpoints before `at`, by operation.
        """
        self._rewind()
        for name, cursor in self.cursors.items():
            cursor.change_shard(at, shard, (passed or {}).get(name))

    def checkpoints(self) -> dict[str, Checkpoint]:
        """Return for each operation the checkpoint after all that was handed out."""
        self._rewind()
        return {name: cursor.checkpoint for name, cursor in self.cursors.items()}

    def backlog(self) -> dict[str, list[int]]:
        """Return the k, by operation, of arrivals due before a change of the shard, still here."""
        left: dict[str, list[int]] = {}
        for _, operation, k, _ in self._backlog:
            left.setdefault(operation, []).append(k)
        return left

    def target_rates(self, s: float) -> Mapping[str, float]:
        """Return the target rate by operation at `s`, per second, of all processes together."""
        if s >= self._end:
            return dict.fromkeys(self.cursors, 0.0)
        return {name: cursor.rate_curve.rate(s) for name, cursor in self.cursors.items()}

    def planned(self, s: float) -> Mapping[str, float]:
        """Return how many arrivals the rates call for from the start up to `s`, by operation."""
        s = min(s, self._end)
        return {name: cursor.rate_curve.unit_time(s) for name, cursor in self.cursors.items()}

    @staticmethod
    def _skip_queued(queue: deque[Arrival], before: float, skipped: Counter[str]) -> None:
        while queue and queue[0][0] < before:
            skipped[queue.popleft()[1]] += 1

    def _earliest(self) -> ShardCursor:
        return min(self.cursors.values(), key=attrgetter("due"))

    def _counting_bound(self, s: float) -> tuple[float, bool]:
        """Return up to when to count, and whether that instant counts; the end does not."""
        self._rewind()
        self._change_shard_if_due(s)
        return (s, True) if s < self._end else (self._end, False)

    def _look_ahead(self) -> None:
        """Prepare the next arrivals, up to the next change of the shard or the end."""
        before = self._change_at()
        horizon = min(before, *(cursor.horizon for cursor in self.cursors.values()))
        arrivals = [
            arrival for cursor in self.cursors.values() for arrival in cursor.pop_before(horizon)
        ]
        if arrivals:
            self.prepared.extend(sorted(arrivals, key=_due))
        elif (earliest := self._earliest()).due < before:  # the last arrival of a cursor's block
            self.prepared.append(earliest.pop())

    def _change_at(self) -> float:
        """Return the next change of the shard, or the end if that comes first."""
        return min(self._announced_shards[0][0] if self._announced_shards else inf, self._end)

    def _horizon(self, before: float, most: int) -> float:
        """Return up to when to look ahead at once: not beyond a batch, nor `most` arrivals."""
        horizon = min(before, *(cursor.horizon for cursor in self.cursors.values()))
        dues = [
            due for cursor in self.cursors.values() for due in cursor.dues_before(horizon, most + 1)
        ]
        return sorted(dues)[most] if len(dues) > most else horizon

    def _rewind(self) -> None:
        """Undo the look-ahead: give the cursors back the arrivals that are not handed out."""
        first: dict[str, int] = {}
        for _, operation, k, _ in self.prepared:
            first.setdefault(operation, k)
        self.prepared.clear()
        for operation, k in first.items():
            self.cursors[operation].rewind(k)

    def _change_shard_if_due(self, s: float) -> None:
        """Change to an announced shard at its instant; arrivals due before it stay here."""
        while self._announced_shards and self._announced_shards[0][0] <= s:
            at, shard = self._announced_shards.popleft()
            before = min(at, self._end)
            backlog: list[Arrival] = []
            for cursor in self.cursors.values():
                while cursor.due < before:
                    backlog.append(cursor.pop_unprepared())
                cursor.change_shard(at, shard)
            self._backlog.extend(sorted(backlog, key=_due))


def schedule_of(plan: Plan, shard: Shard) -> Schedule:
    """Return the schedule of a process that takes `shard` of the plan."""
    return Schedule(
        plan.seed,
        plan.arrivals,
        plan.mix,
        plan.profile,
        own_profile=plan.own_profile,
        shard=shard,
        end=plan.duration,
    )
