"""Turns a model's operations into functions that make requests, once per run.

Requests are made for many arrivals at once, column by column: parameters of a fixed width in one
matrix of bytes, the others joined between its pieces. So nothing interprets the model per write.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from struct import Struct
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from loadgen.load.columns import Column, Columns, DueCounts, Varying
from loadgen.load.driver.wire import SYNC, parameter_slices, transaction
from loadgen.load.named_tuples import maker
from loadgen.load.state_machine import StateRow, move_requests
from loadgen.workload.model import Operation, StateParameter, WorkloadModel
from loadgen.workload.schedule.arrival_process import (
    Move,
    Prepared,
    RequestMaker,
    uniform,
)
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.streams import Int64Array, Stream
from loadgen.workload.typed import Cut, Matrix, rows_of
from loadgen.workload.values import ValueMakers

_Part = tuple[str, int]  # a parameter, and which of its pieces
_Texts = Sequence[bytes]
_INT32: Final = Struct(">i")
_BYTES_AHEAD: Final = 2**20  # of an operation's requests that are made before they are due
_SAMPLE: Final = 16  # requests whose size is measured
_move: Final = maker(Move)


class LaidOut(NamedTuple):
    """What several requests consist of: bytes that all have, and texts that are set between these.

    Each text has the place in the row of bytes before which it stands, in order of these places.
    Arrivals that are `absent` have no row left, so nothing of theirs is sent (None: all have one).
    """

    batch: Matrix
    cuts: Sequence[tuple[int, Cut]]
    absent: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class CompiledOperation:
    """One operation, ready to make its requests.

    `move` makes the request of a row, its next state and a move's values. `places` says where
    in its requests a parameter lies, unless that varies. `laid_out` gives the parts of what `make`
    makes; a move has none.
    """

    operation: Operation
    statements: Mapping[str, str]  # to prepare, by name
    make: RequestMaker
    columns: Mapping[str, Column]
    move: Callable[[StateRow, str, Sequence[bytes | None]], bytes] | None = None
    places: Mapping[str, slice] = field(default_factory=dict)
    longest: int = 1  # bytes of a request, or of a move's values
    laid_out: Callable[[Sequence[int], Sequence[float]], LaidOut] | None = None

    def batch_size(self, most: int) -> int:
        """Return how many requests to make at once: at most `most`, and at most a megabyte."""
        return max(1, min(most, _BYTES_AHEAD // self.longest))

    def parameter(self, request: bytes, name: str) -> bytes:
        """Return a parameter's value in a request."""
        if (place := self.places.get(name)) is not None:
            return request[place]
        for n, statement in enumerate(self.operation.statements):
            if name in statement.parameters:
                return request[parameter_slices(request, n)[statement.parameters.index(name)]]
        raise KeyError(name)


def compile_operations(
    model: WorkloadModel, plan: Plan, makers: ValueMakers, due_counts: DueCounts
) -> dict[str, CompiledOperation]:
    """Return the model's operations, ready to make requests for the run of `plan`.

    `due_counts` tells how many arrivals of an operation are due by some schedule times.
    """
    columns = Columns(model, plan, makers, due_counts)
    return {
        operation.name: _compiled(operation, plan, columns.of(operation))
        for operation in model.operations.values()
    }


def statements_of(operation: Operation) -> dict[str, str]:
    """Return an operation's statements by the names under which they are prepared."""
    return {
        f"{operation.name}_{number}": statement.sql
        for number, statement in enumerate(operation.statements, start=1)
    }


def _compiled(operation: Operation, plan: Plan, columns: Mapping[str, Column]) -> CompiledOperation:
    statements = statements_of(operation)
    if any(isinstance(p, StateParameter) for p in operation.parameters.values()):
        move = move_requests(operation, [*statements])
        make = _move_maker(plan, operation, columns)
        longest = max(map(_size, make(range(_SAMPLE), [0.0] * _SAMPLE)))
        return CompiledOperation(operation, statements, make, columns, move, longest=longest)
    layout = _Layout(operation, [*statements], columns)
    make = _RequestMaker(layout, columns)
    longest = max(map(_size, make(range(_SAMPLE), [0.0] * _SAMPLE)))
    return CompiledOperation(
        operation,
        statements,
        make,
        columns,
        places=layout.fixed_places,
        longest=longest,
        laid_out=make.laid_out,
    )


def _size(request: Prepared) -> int:
    if isinstance(request, Move):
        return 1 + sum(len(value) for value in request.values if value)
    return len(request) if request else 1


def _move_maker(plan: Plan, operation: Operation, columns: Mapping[str, Column]) -> RequestMaker:
    """Return a function that makes the part of moves that does not depend on the rows."""
    ages = Stream(f"{plan.seed}:{operation.name}:age")
    turns = Stream(f"{plan.seed}:{operation.name}:turn")

    def make(ks: Sequence[int], dues: Sequence[float]) -> list[Prepared]:
        numbers = _numbers(ks)
        # Recent rows are more likely: half of the draws fall into the newest eighth.
        u = uniform(ages.bits(numbers))
        moves = [(u * u * u).tolist(), uniform(turns.bits(numbers)).tolist()]
        if not columns:
            return [*map(_move, zip(*moves, repeat(()), strict=False))]
        indexes, absent = _indexes(columns, numbers, dues)
        values = zip(*(column.texts(indexes[n]) for n, column in columns.items()), strict=True)
        return _without([*map(_move, zip(*moves, values, strict=True))], absent)

    return make


class _Layout:
    """The places of an operation's request parts in a row of the matrix of their fixed bytes.

    It leaves out texts of no fixed width.
    """

    def __init__(
        self, operation: Operation, names: Sequence[str], columns: Mapping[str, Column]
    ) -> None:
        executions = [
            (
                name.encode(),
                [b"0" * sum(filter(None, columns[p].widths)) for p in statement.parameters],
            )
            for name, statement in zip(names, operation.statements, strict=True)
        ]
        self.fixed = transaction(executions)
        self.slots: dict[_Part, list[slice]] = {}  # where pieces of a fixed width lie
        self.cuts: list[tuple[int, _Part]] = []  # where the other pieces stand
        # Of a parameter's and a message's length field: its value without these pieces.
        self.lengths: list[tuple[slice, int, list[_Part]]] = []
        self.messages: list[tuple[slice, int, list[_Part]]] = []
        self.fixed_places: dict[str, slice] = {}  # of parameters before the first cut
        for n, statement in enumerate(operation.statements):
            begin = len(transaction(executions[:n])) - len(SYNC) + 1
            varying = []
            for place, name in zip(
                parameter_slices(self.fixed, n), statement.parameters, strict=True
            ):
                own = self._lay_out(place, name, columns[name].widths)
                if own:
                    self.lengths.append((*self._length(place.start - _INT32.size), own))
                    varying += own
                elif not self.cuts:
                    self.fixed_places[name] = place
            if varying:
                self.messages.append((*self._length(begin), varying))

    def _lay_out(self, place: slice, name: str, widths: Sequence[int | None]) -> list[_Part]:
        """Place a parameter's pieces; return those of no fixed width."""
        at, varying = place.start, []
        for number, width in enumerate(widths):
            if width is None:
                self.cuts.append((at, (name, number)))
                varying.append((name, number))
            else:
                self.slots.setdefault((name, number), []).append(slice(at, at + width))
                at += width
        return varying

    def _length(self, at: int) -> tuple[slice, int]:
        """Return a length field and its value."""
        (length,) = _INT32.unpack_from(self.fixed, at)
        return slice(at, at + _INT32.size), length


class _RequestMaker:
    """Makes the requests of one operation, column by column."""

    def __init__(self, layout: _Layout, columns: Mapping[str, Column]) -> None:
        self._layout = layout
        self._columns = columns
        self._fixed = np.frombuffer(layout.fixed, np.uint8)
        self._nullable = [part for _, part in layout.cuts if columns[part[0]].nullable]
        ends = [0, *(at for at, _ in layout.cuts), len(layout.fixed)]
        *places, tail = [slice(*pair) for pair in pairwise(ends)]
        self._ends = [*zip(places, layout.cuts, strict=True)]
        slots = [place for places in layout.slots.values() for place in places]
        lengths = [place for place, _, _ in (*layout.lengths, *layout.messages)]
        # The bytes behind the last cut: the same in all requests if nothing is filled in there.
        is_same = all(place.stop <= tail.start for place in (*slots, *lengths))
        self._tail = layout.fixed[tail] if is_same else tail

    def __call__(self, ks: Sequence[int], dues: Sequence[float]) -> list[Prepared]:
        """Return the requests of some arrivals; None for one that has no row left."""
        batch, varying, absent = self._parts(ks, dues)
        requests = self._joined(batch, varying) if varying else rows_of(batch)
        return _without([*requests], absent)

    def laid_out(self, ks: Sequence[int], dues: Sequence[float]) -> LaidOut:
        """Return the parts of the requests; `request_block` joins them without Python's objects."""
        batch, varying, absent = self._parts(ks, dues)
        cuts = [(place.stop, varying[part].cut()) for place, (_, part) in self._ends]
        return LaidOut(batch, cuts, absent)

    def _parts(
        self, ks: Sequence[int], dues: Sequence[float]
    ) -> tuple[Matrix, Mapping[_Part, Varying], NDArray[np.bool_] | None]:
        """Return the bytes that have a place in all requests, the texts between, and who has none.

        The lengths are filled in.
        """
        indexes, absent = _indexes(self._columns, _numbers(ks), dues)
        batch = np.tile(self._fixed, (len(ks), 1))
        varying: dict[_Part, Varying] = {}
        for name, column in self._columns.items():
            for number, piece in enumerate(column.pieces(indexes[name])):
                if isinstance(piece, Varying):
                    varying[name, number] = piece
                else:
                    for place in self._layout.slots[name, number]:
                        batch[:, place] = piece
        layout, sizes = self._layout, {part: piece.sizes for part, piece in varying.items()}
        for place, length, parts in layout.lengths:
            batch[:, place] = _int32(length, [sizes[part] for part in parts])
        sizes |= {part: np.maximum(sizes[part], 0) for part in self._nullable}
        for place, length, parts in layout.messages:
            batch[:, place] = _int32(length, [sizes[part] for part in parts])
        return batch, varying, absent

    def _joined(self, batch: Matrix, varying: Mapping[_Part, Varying]) -> list[bytes]:
        """Join the rows' bytes with the texts that vary in size."""
        joined: list[Iterable[bytes]] = []
        for place, (_, part) in self._ends:
            if place.start < place.stop:
                joined.append(rows_of(batch[:, place]))
            texts = cast("_Texts", varying[part].texts())  # or NULL
            joined.append([text or b"" for text in texts] if part in self._nullable else texts)
        tail = self._tail
        joined.append(repeat(tail) if isinstance(tail, bytes) else rows_of(batch[:, tail]))
        return [*map(b"".join, zip(*joined, strict=False))]


def _indexes(
    columns: Mapping[str, Column], ks: Int64Array, dues: Sequence[float]
) -> tuple[dict[str, Int64Array], NDArray[np.bool_] | None]:
    """Return each column's indexes, and which arrivals have no row left (None: all have one)."""
    indexes: dict[str, Int64Array] = {}
    absent: NDArray[np.bool_] | None = None
    for name, column in columns.items():
        if column.indexes is None:
            indexes[name] = ks
            continue
        own = column.indexes(ks, dues)
        if (own < 0).any():
            absent = own < 0 if absent is None else absent | (own < 0)
            own = np.maximum(own, 0)
        indexes[name] = own
    return indexes, absent


def _without(made: list[Prepared], absent: NDArray[np.bool_] | None) -> list[Prepared]:
    """Return the requests, with None for the arrivals that have no row left."""
    if absent is not None:
        for i in np.flatnonzero(absent).tolist():
            made[i] = None
    return made


def _numbers(ks: Sequence[int]) -> Int64Array:
    if isinstance(ks, range):
        return np.arange(ks.start, ks.stop, ks.step, dtype=np.int64)
    return np.array(ks, np.int64)


def _int32(length: int, sizes: Sequence[Int64Array]) -> NDArray[np.uint8]:
    """Return sums as the protocol writes them, a row each."""
    total = sizes[0] + length
    for more in sizes[1:]:
        total += more
    return total.astype(">i4").view(np.uint8).reshape(-1, _INT32.size)
