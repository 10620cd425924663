"""One operation's arrivals as one process takes them: every k of its share, one after the other.

Pure arithmetic on a `stream` and a `timeline`; `arrivals` merges the walks of all operations.
"""

from math import floor
from typing import NamedTuple

from loadgen.workload.streams import Arrival, Checkpoint, Make, Stream
from loadgen.workload.timeline import Timeline
from loadgen.workload.writes import new

# Passing over a few arrivals is cheaper one by one, over many by a jump.
_STEPS_BEFORE_A_JUMP = 8
# So many arrivals of the busiest operation are made ready at once: one loop over them costs half of
# what each on its own does between two answers, with the processor's caches cold.
_LOOK_AHEAD = 20


class Share(NamedTuple):
    """The part of a schedule that one process takes: every k with k % of == part."""

    part: int
    of: int


WHOLE = Share(0, 1)


class Walk:
    """The arrivals of one operation that fall to one process, one after the other.

    What is due is counted by arithmetic (Poisson: by walking on), so that arrivals which nobody
    could take in time cost next to nothing.
    """

    __slots__ = (
        "_at",
        "_before",
        "_first",
        "_last",
        "_make",
        "_next",
        "_seen_from",
        "share",
        "stream",
        "timeline",
        "upcoming",
    )

    upcoming: Arrival
    _at: Checkpoint  # of the upcoming arrival
    _next: Checkpoint  # after it

    def __init__(
        self, stream: Stream, timeline: Timeline, share: Share, make: Make | None = None
    ) -> None:
        self.stream = stream
        self.timeline = timeline
        self.share = share
        self._make = make
        self._before = 0  # offered under earlier shares
        self._last: Checkpoint = (0, 0)  # after the last arrival that was handed out
        self._go_to(self._last)
        self._first = self.upcoming.k

    @property
    def place(self) -> Checkpoint:
        """The place after what was handed out; others' may lie between it and the upcoming one.

        They are this process's own where a new share comes in force before they fall due.
        """
        return self._last

    def step(self) -> Arrival:
        """Return the upcoming arrival and go on to the next one."""
        arrival = self.upcoming
        self._last = self._next
        self._go_to(self._next)
        return arrival

    def look_ahead(self, before: float) -> list[Arrival]:
        """Step over what is due before `before` and return it."""
        self._seen_from = self._last
        arrivals: list[Arrival] = []
        while self.upcoming.due < before:
            arrivals.append(self.step())
        return arrivals

    def horizon(self) -> float:
        """Return the schedule time up to which to look ahead; infinite where nothing comes."""
        return self.timeline.when(self.upcoming.point + _LOOK_AHEAD * self.share.of)

    def look_back(self, k: int) -> None:
        """Undo what the last `look_ahead` stepped over, from arrival `k` on."""
        self._last = self._seen_from
        self._go_to(self._last)
        while self.upcoming.k < k:
            self.step()

    def skip(self, before: float) -> int:
        """Pass over what was due before `before`; return how many arrivals that were."""
        k = self.upcoming.k
        for _ in range(_STEPS_BEFORE_A_JUMP):
            if self.upcoming.due >= before:
                break
            self.step()
        else:
            self._last = self._find(before, closed=False)
            self._go_to(self._last)
        return self._owned(k, self.upcoming.k)

    def offered(self, s: float, *, closed: bool = True) -> int:
        """Return how many of this process's arrivals were due by `s`; `closed` includes `s`."""
        return self._before + self._owned(self._first, self._find(s, closed=closed)[0])

    def waiting(self, s: float, *, closed: bool = True) -> int:
        """Return how many are due by `s` and not handed out yet."""
        return self._owned(self.upcoming.k, self._find(s, closed=closed)[0])

    def retime(self) -> None:
        """Compute the upcoming arrival's due time again after the timeline has changed."""
        self.upcoming = self.upcoming._replace(due=self.timeline.when(self.upcoming.point))

    def resplit(self, at: float, share: Share, passed: Checkpoint | None = None) -> None:
        """Take `share` of the arrivals due from `at` on; call it when all before are taken.

        `passed` is a place before `at`, where one is known: the way there need not be walked.
        """
        self._before += self._owned(self._first, self.upcoming.k)
        self.share = share
        self._last = self.stream.first_from(passed or self._last, self.timeline.units(at))
        self._go_to(self._last)
        self._first = self.upcoming.k

    def _owned(self, first: int, end: int) -> int:
        """Count this share's arrivals from `first`, which is one of them, up to before `end`."""
        return max(0, (end - first + self.share.of - 1) // self.share.of)

    def _find(self, s: float, *, closed: bool) -> Checkpoint:
        """Return the first place from the upcoming arrival on that is due after `s` (or at it)."""
        place, stream, timeline = self._at, self.stream, self.timeline
        if stream.kind != "poisson" and self.upcoming.due < s:
            place = (max(place[0], floor(timeline.units(s)) - 1), 0)
        while True:
            point, ticks = stream.point(place, stream.draws(place[0]))
            due = timeline.when(point)
            if due > s or (due == s and not closed):
                return place
            place = (place[0] + 1, ticks)

    def _go_to(self, place: Checkpoint) -> None:
        """Make `upcoming` the first arrival of this share at or after `place`."""
        stream, (part, of) = self.stream, self.share
        k, ticks = place
        if stream.kind != "poisson":
            k += (part - k) % of
        while True:
            draws = stream.draws(k)
            point, after = stream.point((k, ticks), draws)
            if k % of == part:
                break
            k, ticks = k + 1, after
        self._at, self._next = (k, ticks), (k + 1, after)
        write = self._make(k, draws) if self._make is not None else None
        due = self.timeline.when(point)
        self.upcoming = new(Arrival, (stream.operation, k, point, due, draws, write))
