"""How many different rows a period's changes touch, which vendors of active rows charge for.

Rows that are drawn by rank are expected as often as their shares say. Rows that move through a life
cycle are open ones, recent ones more likely, and a row inserted in the same period already counts
once; so the question is how many older ones the moves touch. The answer comes from simulating the
load's own rule with seeded draws. Pure.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import expm1, log1p
from random import Random
from typing import Final, NamedTuple

import numpy as np

from loadgen.costs.usage import Band
from loadgen.workload.model import States, Table
from loadgen.workload.typed import Picks, not_null
from loadgen.workload.values import ValueMakers

SIMULATIONS: Final = 9  # of a period, for the bounds
HOT_SKEW: Final = 3.0  # of busy rows: the load's own for busy users
OPEN_ROWS_LIMIT: Final = 10_000  # rows of a table that a process remembers to move them on
_SAMPLES: Final = 65_536
_STEP: Final = 20  # ranks that differ by less than a twentieth are about equally busy


class Draws(NamedTuple):
    """So many draws of rows by rank: rank int(rows * u**skew) of uniform u."""

    number: float
    rows: int
    skew: float

    def share(self, low: int, high: int) -> float:
        """Return the share of the draws that each rank from `low` to `high` - 1 gets."""
        below, to = (min(rank / self.rows, 1.0) ** (1 / self.skew) for rank in (low, high))
        return float(to - below) / (high - low)


def touched_rows(draws: Iterable[Draws]) -> float:
    """Return the expected number of different rows among draws from one table."""
    draws = [each for each in draws if each.number > 0 and each.rows > 0]
    ends = {each.rows for each in draws}
    total, low, last = 0.0, 0, max(ends, default=0)
    while low < last:
        high = max(low + 1, low + low // _STEP)
        high = min([high, *(end for end in ends if end > low)])
        missed = 0.0  # the logarithm of how probable it is that no draw hits a row
        for each in draws:
            share = each.share(low, high)
            missed += each.number * (log1p(-share) if share < 1 else -np.inf) if share else 0.0
        total += (high - low) * -expm1(missed)
        low = high
    return total


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """The states of a table's rows: the open ones' followers by weight, and the first state."""

    first: str
    followers: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]

    @classmethod
    def of(cls, states: States) -> "LifeCycle":
        """Return the life cycle that a model describes."""
        return cls(
            states.first,
            tuple(
                (state, tuple((f.state, f.weight) for f in states.next_states[state]))
                for state in states.open_states
            ),
        )


def open_rows(table: Table, makers: ValueMakers) -> tuple[tuple[str, int], ...]:
    """Return about how many rows of a table's baseline may still move, by their state."""
    states, rows = table.states, makers.rows(table.name)
    if states is None or not rows:
        return ()
    indexes = (
        np.arange(rows) if rows <= _SAMPLES else np.linspace(0, rows - 1, _SAMPLES).astype(int)
    )
    typed = not_null(makers.column(table.name, states.column).typed(indexes))
    if not isinstance(typed, Picks):
        raise TypeError(f"the states of {table.name} are no choice")
    counts = np.bincount(typed.picks, minlength=len(typed.pool.entries)) * (rows / len(indexes))
    names = [entry.decode() for entry in typed.pool.entries]
    number = dict(zip(names, counts.tolist(), strict=True))
    known = {state: number.get(state, 0.0) for state in states.open_states}
    scale = min(1.0, OPEN_ROWS_LIMIT / (sum(known.values()) or 1.0))
    return tuple((state, round(n * scale)) for state, n in known.items())


@cache
def touched_older_rows(
    cycle: LifeCycle,
    older: tuple[tuple[str, int], ...],
    inserts: int,
    moves: int,
    seed: int,
    simulations: int = SIMULATIONS,
) -> Band[int]:
    """Return how many rows from before the period its moves touch.

    The period begins with the open rows `older` by state, adds `inserts` and makes `moves` of any.
    """
    counts = sorted(
        _simulate(cycle, older, inserts, moves, Random(f"{seed}:{n}"))  # noqa: S311 - no secret
        for n in range(simulations)
    )
    return Band(counts[0], counts[simulations // 2], counts[-1])


def _simulate(
    cycle: LifeCycle, older: tuple[tuple[str, int], ...], inserts: int, moves: int, draw: Random
) -> int:
    """Return how many of the older rows the moves touch, as the load picks them."""
    followers = {
        state: ([name for name, _ in following], [*accumulate(w for _, w in following)])
        for state, following in cycle.followers
    }
    uniform, first = draw.random, (cycle.first, False)
    is_first_open = cycle.first in followers
    # The most advanced states are the oldest rows.
    rows = [(state, True) for state, number in reversed(older) for _ in range(number)]
    touched, left, inserted = 0, len(rows), 0
    for done in range(1, moves + 1):
        due = inserts * done // moves
        if due > inserted and is_first_open:
            rows += [first] * min(due - inserted, OPEN_ROWS_LIMIT)
            if (forgotten := len(rows) - OPEN_ROWS_LIMIT) > 0:
                left -= sum(is_older for _, is_older in rows[:forgotten])
                del rows[:forgotten]
        inserted = due
        if not left:
            break
        state, is_older = rows.pop(-1 - int(len(rows) * uniform() ** 3))
        if is_older:
            touched += 1
            left -= 1
        names, sums = followers[state]
        following = names[bisect_right(sums, uniform() * sums[-1]) if len(names) > 1 else 0]
        if following in followers:
            rows.append((following, False))  # a touched row does not count twice
    return touched
