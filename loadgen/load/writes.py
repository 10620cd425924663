"""The writes of one process: from an arrival to the request that is sent, and what it aims at."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from loadgen.load.compile import CompiledOperation, compile_operations
from loadgen.load.named_tuples import maker
from loadgen.load.state_machine import StateMachine, StateRow, added_row, state_row
from loadgen.workload.model import StateParameter, WorkloadModel
from loadgen.workload.schedule.arrival_process import (
    Arrival,
    ArrivalProcess,
    Batch,
    Move,
    Prepared,
)
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.due_counter import DueCounter
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.values import ValueMakers

_BATCH = 512  # requests of an operation that are made at once


class Write(NamedTuple):
    """One transaction to send."""

    operation: str
    k: int
    request: bytes  # see `wire`
    before: StateRow | None = None  # the row that a move expects
    after: StateRow | None = None  # the row once this is committed


_write: Final = maker(Write)


class _Adding(NamedTuple):
    """An operation that inserts rows which may be moved.

    They have their key in `parameter`, which lies at `place` in all requests, unless that varies.
    """

    machine: StateMachine
    parameter: str
    place: slice | None
    state: str  # of a new row


class Writes:
    """Makes the writes of one process, from what `compile` has made ahead.

    `machines` hold, by table, the rows that this process may move on.
    """

    def __init__(
        self,
        model: WorkloadModel,
        compiled: Mapping[str, CompiledOperation],
        rows: Mapping[str, Sequence[StateRow]],
    ) -> None:
        self.compiled = compiled
        self._machines = {
            table.name: StateMachine(table.states, rows.get(table.name, ()))
            for table in model.tables.values()
            if table.states is not None
        }
        self._moved = {
            operation.name: self._machines[parameter.table]
            for operation in model.operations.values()
            for parameter in operation.parameters.values()
            if isinstance(parameter, StateParameter)
        }
        self.moving = frozenset(self._moved)  # operations
        self.adding: dict[str, _Adding] = {}  # operations that insert rows which may be moved
        for name, operation in model.operations.items():
            if (added := added_row(model, operation)) is not None:
                table, parameter, state = added
                place = compiled[name].places.get(parameter)
                self.adding[name] = _Adding(self._machines[table], parameter, place, state)

    @property
    def statements(self) -> dict[str, str]:
        """The statements of all operations, by the names under which they are prepared."""
        return {
            name: sql
            for operation in self.compiled.values()
            for name, sql in operation.statements.items()
        }

    def write(self, arrival: Arrival) -> Write | None:
        """Return the write of `arrival`; None if there is no row left that it could change.

        A move takes its row off the list: call it once.
        """
        _, operation, k, made = arrival
        if isinstance(made, Move):
            return self._moves(operation, [k], [made])[0]
        return None if made is None else Write(operation, k, made)

    def key(self, write: Write) -> str:
        """Return the key for a write's look-up; empty if there is none."""
        operation = self.compiled[write.operation]
        name = operation.operation.proof.parameter
        return operation.parameter(write.request, name).decode() if name else ""

    def version(self, write: Write) -> int:
        """Return the version that a move expects; 0 for other writes."""
        return write.before.version if write.before else 0

    def inserted(self, operation: str, request: Prepared) -> None:
        """Note that a request's new row is in the database: it may be moved from now on."""
        if not isinstance(request, bytes):
            raise TypeError(f"a request of {operation} has no new row")
        _, name, place, _ = self.adding[operation]
        key = request[place] if place else self.compiled[operation].parameter(request, name)
        self.all_inserted(operation, [key])

    def all_inserted(self, operation: str, keys: Iterable[bytes]) -> None:
        """Note that the new rows with these keys are in the database, as `inserted` does."""
        machine, _, _, state = self.adding[operation]
        machine.add_new(keys, state)

    def committed(self, write: Write) -> None:
        """Note that `write` is in the database: its row may be moved again."""
        if write.after is not None:
            self._moved[write.operation].add(write.after)
        elif write.operation in self.adding:
            self.inserted(write.operation, write.request)

    def all_committed(self, operation: str, writes: Iterable[Write | None]) -> None:
        """Note that writes of one operation are in the database, as `committed` does."""
        rows = (write.after for write in writes if write is not None and write.after is not None)
        if operation in self.moving:
            self._moved[operation].add_all(rows)
            return
        for write in writes:
            if write is not None:
                self.committed(write)

    def refused(self, write: Write) -> None:
        """Note that the server refused `write`: its row stayed as it was."""
        if write.before is not None:
            self._moved[write.operation].add(write.before)

    def all_writes(self, batch: Batch) -> list[Write | None]:
        """Return the writes of several arrivals, as `write` does."""
        if batch.operation in self.moving:
            return self._moves(batch.operation, batch.ks, batch.prepared)
        return [self.write(arrival) for arrival in batch.arrivals()]

    def _moves(
        self, operation: str, ks: Iterable[int], moves: Iterable[Prepared]
    ) -> list[Write | None]:
        machine, request = self._moved[operation], self.compiled[operation].move
        if request is None:
            raise TypeError(f"{operation} moves no rows")
        take, next_state = machine.take, machine.next_state
        made: list[Write | None] = []
        for k, move in zip(ks, moves, strict=True):
            if not isinstance(move, Move) or (row := take(move.age)) is None:
                made.append(None)
                continue
            key, before, version = row
            state = next_state(before, move.turn)
            after = state_row((key, state, version + 1))
            made.append(_write((operation, k, request(row, state, move.values), row, after)))
        return made


def writes_of(
    model: WorkloadModel,
    plan: Plan,
    makers: ValueMakers,
    schedule: Schedule,
    rows: Mapping[str, Sequence[StateRow]],
) -> Writes:
    """Compile the model's operations, and let the schedule prepare their requests."""
    counters = {
        name: DueCounter(ArrivalProcess(plan.seed, name, plan.arrivals), cursor.rate_curve)
        for name, cursor in schedule.cursors.items()
    }
    compiled = compile_operations(
        model, plan, makers, lambda operation, times: counters[operation].counts(times)
    )
    schedule.prepare_by(
        {name: operation.make for name, operation in compiled.items()},
        {name: operation.batch_size(_BATCH) for name, operation in compiled.items()},
    )
    return Writes(model, compiled, rows)
