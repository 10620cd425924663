"""One operation's arrivals as one process takes them: every k of its share, one after the other.

Pure arithmetic on a `stream` and a `timeline`; `arrivals` merges the walks of all operations.
"""

from bisect import bisect_left, bisect_right
from functools import partial
from itertools import repeat
from math import floor
from typing import NamedTuple

from loadgen.workload.streams import Arrival, Checkpoint, Make, Points, Stream
from loadgen.workload.timeline import Timeline

# So many arrivals of the busiest operation are made ready at once: one loop over them costs half of
# what each on its own does between two answers, with the processor's caches cold.
_LOOK_AHEAD = 32

# Makes a named tuple of ready fields, in half the time of Arrival(...).
_new_arrival = partial(tuple.__new__, Arrival)


class Share(NamedTuple):
    """The part of a schedule that one process takes: every k with k % of == part."""

    part: int
    of: int


WHOLE = Share(0, 1)


class Walk:
    """The arrivals of one operation that fall to one process, one after the other.

    It holds those of a block of the stream. What is due is counted by arithmetic (Poisson: by
    walking on), so that arrivals which nobody could take in time cost next to nothing.
    """

    __slots__ = (
        "_at",
        "_before",
        "_draws",
        "_dues",
        "_end",
        "_first",
        "_i",
        "_ks",
        "_last",
        "_make",
        "_seen_from",
        "share",
        "stream",
        "timeline",
    )

    # Of this share's arrivals in the block; the upcoming one has the index _i.
    _ks: range
    _at: Points
    _dues: list[float]
    _draws: list[tuple[int, ...]]
    _i: int
    _end: Checkpoint  # after the block
    _seen_from: tuple[Checkpoint, int]

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
        self._first = self.k

    @property
    def k(self) -> int:
        """Number of the upcoming arrival."""
        return self._ks[self._i]

    @property
    def due(self) -> float:
        """When the upcoming arrival is due; infinite where nothing comes."""
        return self._dues[self._i]

    @property
    def place(self) -> Checkpoint:
        """The place after what was handed out; others' may lie between it and the upcoming one.

        They are this process's own where a new share comes in force before they fall due.
        """
        return self._last

    def step(self) -> Arrival:
        """Return the upcoming arrival, its write not made yet, and go on to the next one."""
        i = self._i
        k, draws = self._ks[i], self._draws[i]
        arrival = Arrival(self.stream.operation, k, self._at.points[i], self._dues[i], draws)
        self._pass_to(i + 1)
        return arrival

    def look_ahead(self, before: float) -> list[Arrival]:
        """Step over what is due before `before`, of the block, and return it, writes made."""
        i = self._i
        self._seen_from = self._last, i
        end = bisect_left(self._dues, before, i)
        if i == end:
            return []
        ks, draws = self._ks[i:end], self._draws[i:end]
        writes = repeat(None) if self._make is None else self._make(ks, draws)
        points, dues = self._at.points[i:end], self._dues[i:end]
        fields = zip(repeat(self.stream.operation), ks, points, dues, draws, writes, strict=False)
        arrivals = [*map(_new_arrival, fields)]
        self._pass_to(end)
        return arrivals

    def horizon(self) -> float:
        """Return the schedule time up to which to look ahead; infinite where nothing comes."""
        return self._dues[min(self._i + _LOOK_AHEAD, len(self._dues) - 1)]

    def look_back(self, k: int) -> None:
        """Undo what the last `look_ahead` stepped over, from arrival `k` on."""
        self._last, self._i = self._seen_from
        if k not in self._ks[self._i :]:
            self._go_to(self._last)
        i = self._ks.index(k)
        if i > self._i:
            self._pass_to(i)

    def skip(self, before: float) -> int:
        """Pass over what was due before `before`; return how many arrivals that were."""
        k = self.k
        i = bisect_left(self._dues, before, self._i)
        if self._i < i < len(self._ks):
            self._pass_to(i)
        elif i > self._i:
            self._last = self._find(before, closed=False)
            self._go_to(self._last)
        return self._owned(k, self.k)

    def offered(self, s: float, *, closed: bool = True) -> int:
        """Return how many of this process's arrivals were due by `s`; `closed` includes `s`."""
        return self._before + self._owned(self._first, self._find(s, closed=closed)[0])

    def waiting(self, s: float, *, closed: bool = True) -> int:
        """Return how many are due by `s` and not handed out yet."""
        return self._owned(self.k, self._find(s, closed=closed)[0])

    def retime(self) -> None:
        """Compute due times again after the timeline has changed."""
        self._dues = self.timeline.whens(self._at.points)

    def resplit(self, at: float, share: Share, passed: Checkpoint | None = None) -> None:
        """Take `share` of the arrivals due from `at` on; call it when all before are taken.

        `passed` is a place before `at`, where one is known: the way there need not be walked.
        """
        self._before += self._owned(self._first, self.k)
        self.share = share
        self._last = self.stream.first_from(passed or self._last, self.timeline.units(at))
        self._go_to(self._last)
        self._first = self.k

    def _owned(self, first: int, end: int) -> int:
        """Count this share's arrivals from `first`, which is one of them, up to before `end`."""
        return max(0, (end - first + self.share.of - 1) // self.share.of)

    def _find(self, s: float, *, closed: bool) -> Checkpoint:
        """Return the first place from the upcoming arrival on that is due after `s` (or at it).

        Where others' arrivals lie just before it, it may be one of theirs.
        """
        bisect = bisect_right if closed else bisect_left
        i = bisect(self._dues, s, self._i)
        if i < len(self._dues):
            return self._ks[i], self._at.before[i]
        place, stream, timeline = self._end, self.stream, self.timeline
        if stream.kind != "poisson":
            place = (max(place[0], floor(timeline.units(s)) - 1), 0)
        while True:
            points, before, after = stream.points(place)
            i = bisect(timeline.whens(points), s)
            if i < len(points):
                return place[0] + i, before[i]
            place = (place[0] + len(points), after[-1])

    def _pass_to(self, i: int) -> None:
        """Let `i` be the upcoming one; what is before it in the block is handed out."""
        self._last = (self._ks[i - 1] + 1, self._at.after[i - 1])
        if i < len(self._ks):
            self._i = i
        else:
            self._go_to(self._end)

    def _go_to(self, place: Checkpoint) -> None:
        """Make the first arrival of this share at or after `place` the upcoming one."""
        stream, (part, of) = self.stream, self.share
        while True:
            k, _ = place
            points, before, after = stream.points(place)
            place = (k + len(points), after[-1])
            first = (part - k) % of
            if first < len(points):
                break
        own = slice(first, None, of)
        self._ks = range(k, k + len(points))[own]
        self._at = Points(points[own], before[own], after[own])
        self._draws = stream.draws_from(k)[own]
        self._end, self._i = place, 0
        self.retime()
