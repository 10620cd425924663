"""The life cycles of a table's rows, and where in theirs the rows of a baseline are at its end.

A few thousand life cycles are made once, the same for every seed; a row has one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from loadgen.workload.makers import Maker, ValueMaker, instants_of, whole
from loadgen.workload.model import States
from loadgen.workload.streams import Bits, Int64Array, Stream, Weights
from loadgen.workload.typed import DAY_US, Instants, Picks, Pool

LIFECYCLES: Final = 4096
_MOST_MOVES: Final = 64
_MINUTE_US: Final = 60_000_000
_SHIFT_US: Final = 1 << 24  # 17 s, so that rows of one life cycle do not move in step
_NEVER_US: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class _Cycles:
    """By life cycle and move: the state before and after each move, and when it is, in us."""

    states: Int64Array  # [LIFECYCLES, moves + 1]
    after_us: Int64Array  # [LIFECYCLES, moves], _NEVER_US after the last one


class Lifecycles:
    """The life cycles of the rows of one table; `created` makes the times of their creation."""

    def __init__(self, states: States, created: ValueMaker, end_us: int, stream: Stream) -> None:
        self._states, self._created, self._end_us = states, created, end_us
        self._stream, self._shifts = stream, stream.part("shift")
        names = dict.fromkeys([states.first, *states.next_states])
        names |= dict.fromkeys(
            following.state
            for followers in states.next_states.values()
            for following in followers
            if following.state
        )
        self._names = tuple(names)

    def state(self) -> Maker:
        """Return the maker of the states at the baseline's end."""
        pool = Pool(name.encode() for name in self._names)

        def typed(indexes: Int64Array) -> Picks:
            cycle, moves, _ = self._at_end(indexes)
            return Picks(self._cycles.states[cycle, moves], pool)

        return Maker(typed)

    def version(self) -> Maker:
        """Return the maker of the numbers of moves."""
        return whole(lambda indexes: self._at_end(indexes)[1], 0, self._cycles.after_us.shape[1])

    def changed(self) -> Maker:
        """Return the maker of the times of the last move, or of creation."""

        def typed(indexes: Int64Array) -> Instants:
            cycle, moves, created = self._at_end(indexes)
            moved = np.flatnonzero(moves)
            micros = created.micros.copy()
            micros[moved] += self._cycles.after_us[cycle[moved], moves[moved] - 1]
            micros[moved] += self._shift(indexes[moved])
            if created.form == "date":
                micros -= micros % DAY_US
            return Instants(micros, created.form, created.first_day, created.days)

        return Maker(typed)

    def _at_end(self, indexes: Int64Array) -> tuple[Int64Array, Int64Array, Instants]:
        """Return life cycle, number of moves and creation of each row."""
        created = instants_of(self._created.typed(indexes))
        cycle = self._stream.below(indexes, LIFECYCLES)
        age = self._end_us - created.micros - self._shift(indexes)
        moves = np.zeros(len(indexes), np.int64)
        for after_us in self._cycles.after_us.T:
            moves += after_us[cycle] <= age
        return cycle, moves, created

    def _shift(self, indexes: Int64Array) -> Int64Array:
        return self._shifts.below(indexes, _SHIFT_US)

    @cached_property
    def _cycles(self) -> _Cycles:
        stream = Stream(f"life cycles of {self._states.column}")
        rows = np.arange(LIFECYCLES)
        states = [np.full(LIFECYCLES, self._names.index(self._states.first))]
        after_us: list[Int64Array] = []
        for move in range(_MOST_MOVES):
            turns = stream.part(f"turn {move}").bits(rows)
            delays = [stream.part(f"{part} delay {move}").bits(rows) for part in ("1", "2")]
            state, delay = self._moved(states[-1], turns, (delays[0], delays[1]))
            before = after_us[-1] if after_us else np.zeros(LIFECYCLES, np.int64)
            ends = (delay == _NEVER_US) | (before == _NEVER_US)
            if ends.all():
                break
            after_us.append(np.where(ends, _NEVER_US, before + np.where(ends, 0, delay)))
            states.append(state)
        times = np.array(after_us or [np.full(LIFECYCLES, _NEVER_US)])
        return _Cycles(np.array(states).T, times.T)

    def _moved(
        self, states: Int64Array, turns: Bits, delays: tuple[Bits, Bits]
    ) -> tuple[Int64Array, Int64Array]:
        """Return the state after each of `states`, and in how many us; _NEVER_US if it is final."""
        after, delay = states.copy(), np.full(len(states), _NEVER_US)
        # The product of two uniform numbers: short delays are more frequent than long ones.
        share = (delays[0] >> np.uint64(32)) * (delays[1] >> np.uint64(32)) >> np.uint64(32)
        for i, name in enumerate(self._names):
            followers = self._states.next_states.get(name, ())
            here = np.flatnonzero(states == i)
            if not followers or not len(here):
                continue
            picks = Weights([following.weight for following in followers]).picks(turns[here])
            for j, following in enumerate(followers):
                if not following.state:
                    continue
                moving = here[picks == j]
                least, most = (int(minutes * _MINUTE_US) for minutes in following.minutes)
                more = share[moving].view(np.int64).astype(np.float64) / 2**32 * (most - least)
                after[moving] = self._names.index(following.state)
                delay[moving] = least + more.astype(np.int64)
        return after, delay
