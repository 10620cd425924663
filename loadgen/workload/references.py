"""Which rows of a baseline there are at a time, which are busy, and which are quiet or gone.

The rows of a table are ranked by activity. Rank 0 is the busiest and the first row, so that every
row can refer to one; the other ranks are spread over the table. The highest ranks are its quiet
end: some are gone already in the baseline, and operations remove more, each row once. No row and no
arrival refers to the quiet end, so nothing refers to a row that is removed.

Rows with a time of growth lie in the history at equal steps, so how many exist at a time is a
division, and no memory of them is needed. A table that refers to others begins a sixteenth of the
history after its first row.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from loadgen.workload.history import History
from loadgen.workload.model import (
    Array,
    OnceParameter,
    Row,
    Table,
    Time,
    Value,
    WorkloadModel,
)
from loadgen.workload.streams import Int64Array, Spread, Stream

_BEGINNING: Final = 16  # a part of the history in which nothing refers to its first rows


class Timeline:
    """When the rows of a table are created."""

    def __init__(self, history: History, begin: int, rows: int, stream: Stream) -> None:
        self.history, self.begin = history, begin
        self._rows, self._stream = rows, stream
        self._step = max(1, (history.total - begin) // max(1, rows))

    def positions(self, rows: Int64Array) -> Int64Array:
        """Return the positions of rows in the history; row 0 is at its table's beginning."""
        within = self._stream.below(rows, self._step)
        within[rows == 0] = 0
        return rows * self._step + within + self.begin

    def times(self, rows: Int64Array) -> Int64Array:
        """Return when rows are created."""
        return self.history.times(self.positions(rows))

    def existing(self, rows: Int64Array, timeline: "Timeline") -> Int64Array:
        """Return how many rows exist for sure when `rows` of another timeline are created."""
        positions = timeline.positions(rows)
        if timeline.history is not self.history:
            positions = self.history.positions(timeline.history.times(positions))
        return np.clip((positions - self.begin) // self._step, 1, self._rows)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The rows of a table by activity: `rows` in all, of which the last `quiet` are quiet."""

    rows: int
    quiet: int
    removable: int  # one less than all if something refers to the table
    spread: Spread

    def pick(self, stream: Stream, indexes: Int64Array, skew: float, hot: int | None) -> Int64Array:
        """Return rows, busy ones more often; with `hot` only so many of the busiest."""
        return self.spread.rows(stream.skewed(indexes, self.active(hot), skew))

    def pick_existing(
        self, picked: Int64Array, existing: Int64Array, hot: int | None
    ) -> Int64Array:
        """Return `picked` if it exists, else a row that does: the first `existing` rows do."""
        late = np.flatnonzero(picked >= existing)
        active = self.active(hot)
        rows, limits = picked[late] % existing[late], existing[late]
        ranks = self.spread.ranks(rows)
        # Half the rank, until it is one of an active row that exists; the first row always is.
        while len(wrong := np.flatnonzero((ranks >= active) | (rows >= limits))):
            ranks[wrong] //= 2
            rows[wrong] = self.spread.rows(ranks[wrong])
        picked[late] = rows
        return picked

    def once_limit(self, share: float) -> int:
        """Return how many rows of the once-sequence are in a share of the table."""
        return min(self.removable, int(self.rows * share + 1e-9))

    def once(self, indexes: Int64Array, limit: int) -> Int64Array:
        """Return the row of each index of the once-sequence; -1 from `limit` on."""
        rows = self.spread.rows(np.maximum(self.rows - 1 - indexes, 0))
        return np.where(indexes < limit, rows, -1)

    def once_indexes(self, rows: Int64Array) -> Int64Array:
        """Return the index of each row in the once-sequence: the inverse of `once`."""
        return self.rows - 1 - self.spread.ranks(rows)

    def active(self, hot: int | None) -> int:
        """Return how many rows are picked from: with `hot` only so many of the busiest."""
        return max(1, min(self.rows - self.quiet, hot or self.rows))


def ranks_of(model: WorkloadModel, table: Table, rows: int) -> Ranks:
    """Return the ranks of a table's rows, with the largest part of it that may be removed."""
    every = [p for operation in model.operations.values() for p in operation.parameters.values()]
    referred = table.name in _referred(every) or any(
        table.name in referred_tables(other) for other in model.tables.values()
    )
    shares = [p.share for p in every if isinstance(p, OnceParameter) and p.table == table.name]
    shares += [table.gone.share] if table.gone else []
    ranks = Ranks(rows, 0, rows - 1 if referred else rows, Spread(max(1, rows)))
    return replace(ranks, quiet=max(map(ranks.once_limit, shares), default=0))


def timelines(
    model: WorkloadModel, rows: Mapping[str, int], histories: Mapping[int, History], seed: int
) -> dict[str, Timeline]:
    """Return the timelines of the tables that have a time of growth."""
    made: dict[str, Timeline] = {}
    days = {name: growth_days(table) for name, table in model.tables.items()}

    def make(name: str, referring: frozenset[str]) -> Timeline | None:
        span = days.get(name)
        if span is None or name in made:
            return made.get(name)
        history, begin = histories[span], 0
        # In a circle of references one table begins first.
        for other in sorted(referred_tables(model.tables[name]) - referring - {name}):
            earlier = make(other, referring | {name})
            if earlier is not None:
                begin = max(begin, _after_beginning(earlier, history))
        stream = Stream(f"{seed}:tables.{name}:growth")
        made[name] = Timeline(history, begin, rows[name], stream)
        return made[name]

    for name in model.tables:
        make(name, frozenset())
    return made


def _after_beginning(timeline: Timeline, history: History) -> int:
    """Return the position in `history` at which others may refer to rows of `timeline`."""
    span = timeline.history.total - timeline.begin
    position = timeline.begin + span // _BEGINNING
    if timeline.history is history:
        return position
    instants = np.array([timeline.history.time(position)])
    return int(history.positions(instants)[0])


def growth_days(table: Table) -> int | None:
    """Return how many days the rows of a table are spread over by growth; None if they are not."""
    for value in table.columns.values():
        if isinstance(value.generator, Time) and value.generator.spread == "growth":
            return max(1, value.generator.days)
    hidden = table.states is not None and table.states.created_at not in table.columns
    return Time().days if hidden else None


def referred_tables(table: Table) -> set[str]:
    """Return the tables that a table's columns refer to."""
    return set(_referred(table.columns.values()))


def _referred(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        generator = value.generator if isinstance(value, Value) else value
        if isinstance(generator, Row):
            yield generator.table
        elif isinstance(generator, Array):
            yield from _referred([generator.element])
