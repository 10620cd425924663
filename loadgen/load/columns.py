"""The values of an operation's parameters: for each a column, made for many arrivals at once.

The values of arrival k are a pure function of the plan, the operation and k; those of `newest` also
depend on when the arrivals are due.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.keys import key_words
from loadgen.workload.model import (
    InsertedParameter,
    KeyParameter,
    OnceParameter,
    Operation,
    StateParameter,
    Value,
    WorkloadModel,
)
from loadgen.workload.schedule.arrival_process import uniform
from loadgen.workload.schedule.plan import Plan, unused_indexes
from loadgen.workload.streams import Int64Array, Stream
from loadgen.workload.typed import (
    Cut,
    Documents,
    Nullable,
    Picks,
    Texts,
    Typed,
    Uuids,
    Words,
    digits,
    hex_digits,
    rows_of,
)
from loadgen.workload.values import ValueMaker, ValueMakers

# How many arrivals of an operation are due by each of some schedule times.
DueCounts = Callable[[str, Sequence[float]], Int64Array]

# Digits of the largest key, by the type of its column; keys of other types are texts of uuids.
_KEY_DIGITS: Final = {
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "numeric": 19,
}
_HEX_WIDTH, _TEXT_WIDTH = 32, 36  # of a uuid without hyphens, and with


@dataclass(frozen=True, slots=True)
class Varying:
    """Texts of no fixed width, and their sizes; that of NULL is -1."""

    rows: Cut | Sequence[bytes | None]
    sizes: Int64Array

    def texts(self) -> Sequence[bytes | None]:
        """Return the texts."""
        return self.rows.rows() if isinstance(self.rows, Cut) else self.rows

    def cut(self) -> Cut:
        """Return them as cut from one text, NULL as an empty one."""
        if isinstance(self.rows, Cut):
            return self.rows
        sizes = np.maximum(self.sizes, 0)
        letters = np.frombuffer(b"".join(filter(None, self.rows)) or b" ", np.uint8)
        return Cut(letters, np.cumsum(sizes) - sizes, sizes)


# A part of a parameter's texts; a matrix has a row for each. Only a text in one piece can be NULL.
Piece = NDArray[np.uint8] | Varying


@dataclass(frozen=True, slots=True)
class Column:
    """One parameter: its texts by index, in pieces, and which index an arrival has.

    `widths` are of the pieces that are a matrix. An index below 0 means that there is no row left
    for this arrival. Without `indexes` it is k.
    """

    widths: tuple[int | None, ...]
    pieces: Callable[[Int64Array], Sequence[Piece]]
    nullable: bool = False
    indexes: Callable[[Int64Array, Sequence[float]], Int64Array] | None = None

    @classmethod
    def of(cls, width: int, texts: Callable[[Int64Array], NDArray[np.uint8]]) -> "Column":
        """Return a column of texts of one width."""
        return cls((width,), lambda indexes: (texts(indexes),))

    @classmethod
    def by(cls, maker: ValueMaker) -> "Column":
        """Return the column of a maker's values."""
        sample = maker.typed(np.zeros(1, np.int64))
        widths = tuple(
            None if isinstance(piece, Varying) else piece.shape[1] for piece in pieces_of(sample)
        )
        nullable = isinstance(sample, Nullable)
        return cls(widths, lambda indexes: pieces_of(maker.typed(indexes)), nullable)

    def keys(self, ks: Sequence[int]) -> list[str]:
        """Return the texts of some arrivals, without those that have no row left.

        Not if they depend on due times.
        """
        indexes = np.array(ks, np.int64)
        if self.indexes is not None:
            indexes = self.indexes(indexes, ())
        indexes = indexes[indexes >= 0]
        texts = self.texts(indexes) if len(indexes) else []
        return [text.decode() for text in texts if text is not None]

    def texts(self, indexes: Int64Array) -> list[bytes | None]:
        """Return the texts of some indexes."""
        pieces = [
            piece.texts() if isinstance(piece, Varying) else rows_of(piece)
            for piece in self.pieces(indexes)
        ]
        if len(pieces) == 1:
            return [*pieces[0]]
        return [b"".join(filter(None, row)) for row in zip(*pieces, strict=True)]


class Columns:
    """Makes the columns of a model's parameters for one run."""

    def __init__(
        self,
        model: WorkloadModel,
        plan: Plan,
        makers: ValueMakers,
        due_counts: DueCounts | None = None,
    ) -> None:
        """Without `due_counts` those of `newest` can't be made."""
        self._plan = plan
        self._makers = makers
        self._due_counts = due_counts
        self._model = model

    def of(self, operation: Operation) -> dict[str, Column]:
        """Return the columns of an operation's parameters, without those of a move."""
        return {
            name: self.one(operation, name)
            for name, parameter in operation.parameters.items()
            if not isinstance(parameter, StateParameter)
        }

    def one(self, operation: Operation, name: str) -> Column:
        """Return the column of one parameter, which is no part of a move."""
        match operation.parameters[name]:
            case Value():
                return Column.by(self._makers.parameter(operation.name, name))
            case KeyParameter() as key:
                return self._key(operation, name, key)
            case OnceParameter() as once:
                return self._once(operation.name, name, once)
            case InsertedParameter() as inserted:
                return self._inserted(operation.name, name, inserted)
            case StateParameter():
                raise TypeError(f"{operation.name}.{name} is a part of a move")

    def _key(self, operation: Operation, name: str, key: KeyParameter) -> Column:
        place = f"{key.table}.{key.column}"
        key_type = self._plan.key_types[place]
        if key_type in _KEY_DIGITS:
            first, step = first_and_step(self._model, operation.name, name)
            first += self._plan.first_keys[place]
            width = _KEY_DIGITS[key_type]
            return Column.of(width, lambda ks: digits(first + step * ks, width))
        owner = operation.name if name == first_key(operation) else f"{operation.name}.{name}"
        words = key_words(self._plan.run_id, owner)
        if key_type == "uuid":
            return Column.of(_HEX_WIDTH, lambda ks: hex_digits(words(ks)))
        return Column.of(_TEXT_WIDTH, lambda ks: Uuids(words(ks)).texts())

    def _once(self, operation: str, name: str, once: OnceParameter) -> Column:
        first, step = first_and_step(self._model, operation, name)
        limit = self._makers.once_limit(once.table, once.share)
        left = np.append(unused_indexes(self._plan.once_used[once.table], limit), limit)
        rows = self._makers.once_rows(once.table, once.share)
        maker = self._makers.column(once.table, once.column)
        column = Column.by(maker)

        def indexes(ks: Int64Array, _: Sequence[float]) -> Int64Array:
            return rows(left[np.minimum(first + step * ks, len(left) - 1)])

        return replace(column, indexes=indexes)

    def _inserted(self, operation: str, name: str, inserted: InsertedParameter) -> Column:
        inserter = self._model.operations[inserted.operation]
        key = inserter.parameters[inserted.parameter]
        if not isinstance(key, KeyParameter):
            raise TypeError(f"{inserted.operation}.{inserted.parameter} is no client-made key")
        column = self._key(inserter, inserted.parameter, key)
        if inserted.order == "oldest":
            return column
        draws = Stream(f"{self._plan.seed}:{operation}:{name}:age")
        early, due_counts = 2 * self._plan.lateness_limit, self._due_counts

        def newest(ks: Int64Array, dues: Sequence[float]) -> Int64Array:
            if due_counts is None:
                raise TypeError("there is no schedule to count due arrivals by")
            due = due_counts(inserted.operation, [at - early for at in dues])
            u = uniform(draws.bits(ks))
            # Half of the draws fall into the newest eighth.
            return due - 1 - (due * (u * u * u)).astype(np.int64)

        return replace(column, indexes=newest)


def value_makers(model: WorkloadModel, plan: Plan) -> ValueMakers:
    """Return the makers of a run's values, and of its baseline's."""
    return ValueMakers(
        model,
        plan.baseline_seed,
        plan.baseline_rows,
        datetime.fromisoformat(plan.baseline_end),
        plan.settings,
        load_seed=plan.seed,
        run_id=plan.run_id,
    )


def pieces_of(values: Typed) -> Sequence[Piece]:
    """Return the texts of values in pieces."""
    if isinstance(values, Documents):
        return [_piece(part) for part in values.parts]
    if isinstance(values, Words):
        return (_piece(values.rows),)
    if isinstance(values, Picks):
        return (_piece(values.pool.part(values.picks)),)
    return (_piece(values.texts()),)


def _piece(texts: Texts | list[bytes | None] | Cut) -> Piece:
    if isinstance(texts, Cut):
        return Varying(texts, texts.sizes)
    if not isinstance(texts, list):
        return texts
    sizes = (-1 if text is None else len(text) for text in texts)
    return Varying(texts, np.fromiter(sizes, np.int64, len(texts)))


def is_number(key_type: str) -> bool:
    """Tell whether client-made keys of this type are numbers."""
    return key_type in _KEY_DIGITS


def first_key(operation: Operation) -> str:
    """Return the name of an operation's first client-made key."""
    return next(n for n, p in operation.parameters.items() if isinstance(p, KeyParameter))


def first_and_step(model: WorkloadModel, operation: str, name: str) -> tuple[int, int]:
    """Return i and n of a parameter: it is the i-th of n parameters that share a sequence.

    The parameters that make keys of one column share its numbers, and those that take each row of
    a table once share its rows: arrival k has the number n * k + i.
    """
    own = model.operations[operation].parameters[name]
    users = [
        (other.name, other_name)
        for other in model.operations.values()
        for other_name, parameter in other.parameters.items()
        if _share_sequence(own, parameter)
    ]
    return users.index((operation, name)), len(users)


def _share_sequence(first: object, second: object) -> bool:
    match first, second:
        case KeyParameter(), KeyParameter():
            return first == second
        case OnceParameter(), OnceParameter():
            return first.table == second.table
    return False
