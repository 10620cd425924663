"""Rows that move through the states of their table's life cycle.

A move belongs to the process that holds its row: it takes the row off its list, knows its version,
and puts it back once the answer has arrived. So a move is legal by construction, and one whose
answer was lost has a look-up by key and version.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, repeat
from typing import Final, NamedTuple

from sqlglot import exp

from loadgen.load.driver.wire import parameter_slices, transaction
from loadgen.load.named_tuples import maker
from loadgen.workload.model import (
    KeyParameter,
    Operation,
    StateParameter,
    States,
    WorkloadModel,
)
from loadgen.workload.read_sql import syntax_tree

ROWS_LIMIT: Final = 10_000  # rows that a process remembers for each table


class StateRow(NamedTuple):
    """A row that may move on, as the process that moves it knows it."""

    key: bytes
    state: str
    version: int


state_row: Final = maker(StateRow)


class StateMachine:
    """The rows of one table that this process may move on, the newest last."""

    def __init__(self, states: States, rows: Sequence[StateRow] = ()) -> None:
        self._rows: list[StateRow | None] = [*rows]
        self._forgotten = 0  # how many of them, the oldest, don't count any more
        self._open = frozenset(states.open_states)
        self._followers = {
            state: (
                [*accumulate(following.weight for following in states.next_states[state])],
                [following.state for following in states.next_states[state]],
            )
            for state in self._open
        }

    def add(self, row: StateRow) -> None:
        """Let a row be moved from now on, unless its state is final."""
        if row.state in self._open:
            self._rows.append(row)
            self._forget()

    def add_all(self, rows: Iterable[StateRow]) -> None:
        """Let rows be moved from now on, but not those whose state is final."""
        self._rows += [row for row in rows if row.state in self._open]
        self._forget()

    def add_new(self, keys: Iterable[bytes], state: str) -> None:
        """Let the rows with these keys be moved from now on: they are new, all in one state."""
        if state in self._open:
            self._rows += map(state_row, zip(keys, repeat(state), repeat(0), strict=False))
            self._forget()

    def _forget(self) -> None:
        """Keep no more than the newest rows."""
        rows = self._rows
        excess = len(rows) - self._forgotten - ROWS_LIMIT
        if excess > 0:
            # Moving all the others each time would cost more than the write's sending.
            rows[self._forgotten : self._forgotten + excess] = [None] * excess
            self._forgotten += excess
            if self._forgotten >= ROWS_LIMIT:
                del rows[: self._forgotten]
                self._forgotten = 0

    def take(self, age: float) -> StateRow | None:
        """Take a row off the list: the newest at `age` 0, the oldest at 1; None if it is empty."""
        known = len(self._rows) - self._forgotten
        if not known:
            return None
        row = self._rows.pop(-1 - int(known * age))
        if row is None:
            raise AssertionError("a row that was forgotten was taken")
        return row

    def next_state(self, state: str, turn: float) -> str:
        """Return the state after `state`, by `turn`, which is uniform in [0, 1)."""
        sums, states = self._followers[state]
        return states[bisect_right(sums, turn * sums[-1])]


def move_requests(
    operation: Operation, names: Sequence[str]
) -> Callable[[StateRow, str, Sequence[bytes | None]], bytes]:
    """Return a function that makes the request of a move: of a row, its next state and values.

    `names` are the prepared statements' names. The values are those of the parameters that are no
    part of the move, in their order.
    """
    parameters = operation.parameters
    others = [name for name, p in parameters.items() if not isinstance(p, StateParameter)]
    keys = {n for n, p in parameters.items() if isinstance(p, StateParameter) and p.part == "key"}

    def request(row: StateRow, state: str, values: Sequence[bytes | None]) -> bytes:
        parts = {"key": row.key, "state": state.encode(), "version": b"%d" % row.version}
        texts: Mapping[str, bytes | None] = dict(zip(others, values, strict=True)) | {
            name: parts[parameter.part]
            for name, parameter in parameters.items()
            if isinstance(parameter, StateParameter)
        }
        return transaction(
            [
                (name.encode(), [texts[parameter] for parameter in statement.parameters])
                for name, statement in zip(names, operation.statements, strict=True)
            ]
        )

    if others:
        return request

    @lru_cache(maxsize=1024)
    def around_key(width: int, state: str, version: int) -> list[bytes]:
        """Return the pieces of the request between which a key of `width` bytes stands."""
        blank = request(StateRow(b"0" * width, "", version), state, ())
        pieces, at = [], 0
        for n, statement in enumerate(operation.statements):
            for name, place in zip(statement.parameters, parameter_slices(blank, n), strict=True):
                if name in keys:
                    pieces.append(blank[at : place.start])
                    at = place.stop
        return [*pieces, blank[at:]]

    def fast_request(row: StateRow, state: str, _: Sequence[bytes | None]) -> bytes:
        return row.key.join(around_key(len(row.key), state, row.version))

    return fast_request


def added_row(model: WorkloadModel, operation: Operation) -> tuple[str, str, str] | None:
    """Return table, the key's parameter and the state of the rows that an operation inserts.

    None if it inserts no rows that move, or if their first state is a parameter.
    """
    for statement in operation.statements:
        table = model.tables.get(statement.table)
        if statement.change != "insert" or table is None or table.states is None:
            continue
        key = KeyParameter(table.name, table.states.key)
        name = next((n for n in statement.parameters if operation.parameters[n] == key), None)
        state = _inserted_state(statement.sql, table.states)
        if name is not None and state is not None:
            return table.name, name, state
    return None


def _inserted_state(sql: str, states: States) -> str | None:
    """Return the state in which a statement inserts a row; None if that is no constant."""
    insert = syntax_tree(sql)
    if insert is None:
        return None
    columns = [column.name for column in insert.this.expressions]
    if states.column not in columns:
        return states.first
    values = insert.find(exp.Values)
    if values is None:
        return None
    value = values.expressions[0].expressions[columns.index(states.column)]
    literal = value.find(exp.Literal)
    if literal is None or value.find(exp.Parameter) is not None:
        return None
    return str(literal.this)
