"""The values of a model's baseline and of its operations, each by its index.

A value is a pure function of (seed, owner, name, index), and a mail address of the run too: of a
column, the index is the number of the row from 0; of a parameter, k of the arrival. Nothing is
remembered, so any process makes the value of any row, and a reference makes the key of the row
that it refers to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import lcm, prod
from typing import Final

import numpy as np

from loadgen.errors import SettingsError
from loadgen.workload import makers
from loadgen.workload.documents import documents
from loadgen.workload.history import History
from loadgen.workload.lifecycles import Lifecycles
from loadgen.workload.makers import Maker, ValueMaker, instants_of
from loadgen.workload.model import (
    Array,
    Boolean,
    Bytes,
    Choice,
    Constant,
    Decimal,
    Email,
    Generator,
    Json,
    Number,
    Operation,
    PersonName,
    Row,
    Sequence,
    SqlDefault,
    Table,
    Text,
    Time,
    TimeAfter,
    Uuid,
    Value,
    WorkloadModel,
)
from loadgen.workload.names import NameMaker, NamePools, emails
from loadgen.workload.references import Ranks, Timeline, growth_days, ranks_of, timelines
from loadgen.workload.streams import Int64Array, Shuffle, Stream
from loadgen.workload.typed import Instants, Nullable, Picks, TimeForm, Typed, not_null, nullable

_Rows = Callable[[Int64Array], Int64Array]
_RUN_DIGITS: Final = 8  # hexadecimal ones, of a run in the addresses that it makes
_MOST_ROWS: Final = 3_000_000_000  # their square is an integer of 64 bits

__all__ = ["ValueMaker", "ValueMakers"]


@dataclass(frozen=True, slots=True)
class _Owner:
    """A table or an operation: where its values are, and what makes their siblings."""

    place: str  # as in the model's file: tables.orders, operations.transfer
    table: Table | None
    sibling: Callable[[str], ValueMaker]
    streams: Callable[[str, Row], Stream]  # of a reference in a column or parameter
    # Of a reference to each row in turn: from the indexes to the rows; None if it picks any.
    in_turn: Callable[[str], "_Rows | None"] = lambda _: None


class ValueMakers:
    """The makers of all columns and parameters of a model.

    `seed` is the baseline's; parameters draw from `load_seed`, which is the same by default. Mail
    addresses that a load makes have a part of `run_id`, so that a later run makes others; so does
    the order in which its inserts take the rows or pairs that are free in a key of references.
    `rows` are the baseline's rows by table, `end` is its last instant, and `settings` has the
    values of the settings that the model names. Raises SettingsError if a value can't be made.
    """

    def __init__(
        self,
        model: WorkloadModel,
        seed: int,
        rows: Mapping[str, int],
        end: datetime,
        settings: Mapping[str, int | None],
        load_seed: int | None = None,
        run_id: str = "",
    ) -> None:
        self._model, self._seed, self._rows, self._settings = model, seed, rows, settings
        self._end = end
        self._load_seed = seed if load_seed is None else load_seed
        self._run = sha256(run_id.encode()).hexdigest()[:_RUN_DIGITS]
        for name, n in rows.items():
            if n > _MOST_ROWS:
                raise SettingsError(f"tables.{name}: {n:,} rows; at most {_MOST_ROWS:,} are made")
        self._histories: dict[int, History] = {}
        for table in model.tables.values():
            if (days := growth_days(table)) is not None:
                self._history(days)
        self._timelines = timelines(model, rows, self._histories, seed)
        self._ranks: dict[str, Ranks] = {}
        self._names = NamePools(seed)
        self._made: dict[tuple[str, str], ValueMaker] = {}

    def rows(self, table: str) -> int:
        """Return how many rows the baseline of `table` has."""
        return self._rows[table]

    def column(self, table: str, column: str) -> ValueMaker:
        """Return the maker of a column; its index is the number of the row."""
        return self._maker(f"tables.{table}", column, lambda: self._column(table, column))

    def forget(self, table: str) -> None:
        """Free the makers of a table's columns; documents alone take half a megabyte a column."""
        for place, column in list(self._made):
            if place == f"tables.{table}":
                del self._made[place, column]

    def parameter(self, operation: str, name: str) -> ValueMaker:
        """Return the maker of a parameter that is a Value; its index is k."""
        place = f"operations.{operation}"

        def make() -> ValueMaker:
            value = self._model.operations[operation].parameters.get(name)
            if not isinstance(value, Value):
                raise SettingsError(f"{place}: {name} is no parameter with a generator")
            owner = _Owner(
                place,
                None,
                lambda sibling: self.parameter(operation, sibling),
                lambda column, row: self._row_stream(
                    place, self._model.operations[operation].parameters, column, row
                ),
                lambda column: self._free_in_turn(self._model.operations[operation], column),
            )
            return self._value(owner, name, value)

        return self._maker(place, name, make)

    def once_rows(self, table: str, share: float) -> Callable[[Int64Array], Int64Array]:
        """Return a function from the indexes of the once-sequence to rows, the quietest first.

        From `once_limit` on it returns -1. The sequence begins with the rows that are gone.
        """
        ranks, limit = self._ranks_of(table), self.once_limit(table, share)
        return lambda indexes: ranks.once(indexes, limit)

    def once_limit(self, table: str, share: float) -> int:
        """Return how many rows the once-sequence of a share of `table` has."""
        return self._ranks_of(table).once_limit(share)

    def once_indexes(self, table: str, rows: Int64Array) -> Int64Array:
        """Return the indexes of rows in the once-sequence of their table."""
        return self._ranks_of(table).once_indexes(rows)

    def gone_rows(self, table: str) -> int:
        """Return how many rows at the start of the once-sequence are gone in the baseline."""
        gone = self._model.tables[table].gone
        return self._ranks_of(table).once_limit(gone.share) if gone else 0

    def filled_columns(self, table: str) -> tuple[str, ...]:
        """Return the columns of `table` that get values, in the model's order."""
        facts = self._model.tables[table]
        columns = [
            name
            for name, value in facts.columns.items()
            if not isinstance(value.generator, SqlDefault) or name in _filled_by_rules(facts)
        ]
        return tuple(dict.fromkeys([*columns, *_filled_by_rules(facts)]))

    def _maker(self, place: str, name: str, make: Callable[[], ValueMaker]) -> ValueMaker:
        if (place, name) not in self._made:
            try:
                self._made[place, name] = make()
            except RecursionError:
                raise SettingsError(
                    f"{place}: {name} depends on itself: refer to another column"
                ) from None
        return self._made[place, name]

    def _column(self, table: str, column: str) -> ValueMaker:
        place, facts = f"tables.{table}", self._model.tables[table]
        stream = Stream(f"{self._seed}:{place}:{column}")
        if facts.gone is not None and column == facts.gone.column:
            return self._gone(facts, stream)
        states = facts.states
        if states is not None and column in (states.column, states.version, states.changed_at):
            created = self._created(facts, states.created_at)
            _require(created, Instants, f"{place}: {states.created_at}", "a time")
            end_us = self._history(Time().days).end_us
            cycles = Lifecycles(
                states, created, end_us, Stream(f"{self._seed}:{place}:life cycles")
            )
            if column == states.column:
                return cycles.state()
            return cycles.version() if column == states.version else cycles.changed()
        if states is not None and column == states.created_at and column not in facts.columns:
            return self._growth(table, "timestamptz")
        value = facts.columns.get(column)
        if value is None or isinstance(value.generator, SqlDefault):
            raise SettingsError(
                f"{place}: column {column} has no generator, so its values are not known"
            )
        owner = _Owner(
            place,
            facts,
            lambda sibling: self.column(table, sibling),
            lambda name, row: self._row_stream(place, facts.columns, name, row),
            lambda name: self._in_turn(facts.columns, name),
        )
        return self._value(owner, column, value)

    def _value(self, owner: _Owner, name: str, value: Value) -> ValueMaker:
        stream = self._stream(owner.place, name)
        maker = self._generated(owner, name, value.generator, stream)
        if not value.null_share:
            return maker
        return makers.with_nulls(maker, value.null_share, stream.part("null"))

    def _generated(  # noqa: C901, PLR0911, PLR0912 - one case for each generator
        self, owner: _Owner, name: str, generator: Generator, stream: Stream
    ) -> ValueMaker:
        match generator:
            case Constant():
                return makers.constant(generator.text)
            case Sequence():
                rows = self._rows[owner.table.name] if owner.table else None
                return makers.sequence(generator.start, generator.pattern, rows)
            case Uuid():
                return makers.uuid(stream)
            case Choice():
                return makers.choice(generator, stream)
            case Number():
                return makers.number(generator, stream)
            case Decimal():
                return makers.decimal(generator, stream)
            case Boolean():
                return makers.boolean(generator.share, stream)
            case Text():
                return makers.text(generator, stream)
            case Bytes():
                return makers.random_bytes(generator.shortest, generator.longest, stream)
            case PersonName():
                country = owner.sibling(generator.by) if generator.by else None
                return NameMaker(self._names, country, stream)
            case Email():
                return self._email(owner, generator, stream)
            case Time():
                if generator.spread == "growth" and owner.table is not None:
                    return self._growth(owner.table.name, generator.form)
                return makers.even_time(generator, self._history(generator.days), stream)
            case TimeAfter():
                return self._time_after(owner, generator, stream)
            case Json():
                return self._json(owner, name, generator, stream)
            case Array():
                elements = self._generated(owner, name, generator.element, stream.part("element"))
                sizes = (generator.fewest, generator.most)
                nested = isinstance(generator.element, Array)
                return makers.array(elements, sizes, stream, nested=nested)
            case Row():
                return self._reference(owner, name, generator)
            case SqlDefault():
                raise SettingsError(f"{owner.place}: {name} needs a generator of values")

    def _email(self, owner: _Owner, generator: Email, stream: Stream) -> ValueMaker:
        names = owner.sibling(generator.by) if generator.by else None
        if not isinstance(names, NameMaker):
            names = NameMaker(self._names, None, stream.part("name"))
        # The addresses of arrivals are none of the baseline, and none of another run.
        mark = "" if owner.table else f"+{owner.place.rpartition('.')[2]}.{self._run}."
        return emails(self._names, names, mark, stream)

    def _time_after(self, owner: _Owner, generator: TimeAfter, stream: Stream) -> ValueMaker:
        base = owner.sibling(generator.column)
        _require(base, Instants, f"{owner.place}: {generator.column}", "a time")
        end_us = self._history(Time().days).end_us
        later = makers.time_after(base, generator.share, end_us, stream)
        table = owner.table
        if table is None or table.gone is None:
            return later
        # The last change of a row that is gone is that it went.
        gone = self.column(table.name, table.gone.column)
        ranks, limit = self._ranks_of(table.name), self.gone_rows(table.name)

        def typed(indexes: Int64Array) -> Typed:
            made = later.typed(indexes)
            times = instants_of(made)
            ends = instants_of(gone.typed(indexes))
            is_gone = ranks.once_indexes(indexes) < limit
            micros = np.where(is_gone, ends.micros, times.micros)
            changed = Instants(micros, times.form, times.first_day, times.days)
            return nullable(changed, made.nulls) if isinstance(made, Nullable) else changed

        return Maker(typed)

    def _json(self, owner: _Owner, name: str, generator: Json, stream: Stream) -> ValueMaker:
        pad_to = self._settings.get(generator.pad_setting) if generator.pad_setting else None
        by = owner.sibling(generator.by) if generator.by else None
        if by is not None:
            _require(by, Picks, f"{owner.place}: {generator.by}", "a choice")
        inside = _Owner(owner.place, None, owner.sibling, lambda n, _: stream.part(n))
        return documents(
            generator,
            generator.pad_to if pad_to is None else pad_to,
            by,
            lambda part, place: self._generated(
                inside, f"{name}{place}", part, stream.part(f"at {place}")
            ),
            stream,
        )

    def _reference(self, owner: _Owner, name: str, row: Row) -> ValueMaker:
        if not self._rows.get(row.table):
            raise SettingsError(f"{owner.place}: {name} refers to {row.table}, which has no rows")
        target = self.column(row.table, row.column)
        if row.each and (rows_in_turn := owner.in_turn(name)) is not None:
            return makers.by_rows(target, rows_in_turn)
        ranks, stream = self._ranks_of(row.table), owner.streams(name, row)
        hot = self._settings.get(row.hot_setting) if row.hot_setting else None
        referred = self._timelines.get(row.table)
        referring = self._timelines.get(owner.table.name) if owner.table else None

        def rows(indexes: Int64Array) -> Int64Array:
            picked = ranks.pick(stream, indexes, row.skew, hot)
            if referred is None or referring is None:
                return picked
            return ranks.pick_existing(picked, referred.existing(indexes, referring), hot)

        return makers.by_rows(target, rows)

    def _in_turn(self, columns: Mapping[str, object], name: str) -> _Rows | None:
        """Return a function from a table's rows to those that they refer to, each in turn.

        A second reference begins one row later after each round of both, so that all pairs come
        before one comes again.
        """
        turns = _turns(columns)
        if name not in turns:
            return None
        first, own = next(iter(turns.values())), turns[name]
        ranks, first_ranks = self._ranks_of(own[0]), self._ranks_of(first[0])
        active = ranks.active(None)
        if own == first:
            return lambda indexes: ranks.spread.rows(indexes % active)
        lap = lcm(active, first_ranks.active(None))
        return lambda indexes: ranks.spread.rows((indexes + 1 + indexes // lap) % active)

    def _free_in_turn(self, operation: Operation, name: str) -> _Rows | None:
        """Return a function from arrivals to the rows that a new row refers to, each in turn.

        The table's rows go on where the baseline ends: the rows, or pairs of rows, that are left
        come once each, in an order of the run's own. None if the operation inserts no such row.
        """
        table, turn = self._filled_in_turn(operation), _turns(operation.parameters).get(name)
        if table is None or turn is None:
            return None
        own = _turns(table.columns)
        rows = self._in_turn(table.columns, next(column for column in own if own[column] == turn))
        every = self._model.operations.values()
        sharing = [other.name for other in every if self._filled_in_turn(other) is table]
        first, step, free = sharing.index(operation.name), len(sharing), self._free(table, own)
        return None if rows is None else lambda indexes: rows(free(first + step * indexes))

    def _filled_in_turn(self, operation: Operation) -> Table | None:
        """Return the table into which an operation inserts rows that refer to each in turn."""
        turns = set(_turns(operation.parameters).values())
        into = (s.table for s in operation.statements if s.change == "insert")
        tables = filter(None, map(self._model.tables.get, into))
        return next((t for t in tables if turns and set(_turns(t.columns).values()) == turns), None)

    def _free(self, table: Table, turns: Mapping[str, tuple[str, int]]) -> _Rows:
        """Return a bijection of the indexes of a table that its baseline has not taken."""
        targets = [*dict.fromkeys(turns.values())][:2]  # two make a key
        most = prod(self._ranks_of(target).active(None) for target, _ in targets)
        taken = self._rows[table.name]
        if taken >= most:  # nothing is free
            taken = 0
        stream = Stream(f"{self._load_seed}:tables.{table.name}:in turn:{self._run}")
        order = Shuffle(stream, most - taken)
        return lambda indexes: order.of(indexes) + taken

    def _row_stream(self, place: str, values: Mapping[str, object], name: str, row: Row) -> Stream:
        """Return the stream of a reference, the same for all columns of one composite key.

        The first reference to each column of a table picks the same row there, if their skew is
        the same; so does the second.
        """
        earlier = _references(values, row)
        number = earlier.index(name) if name in earlier else name
        return self._stream(place, f"row {number} of {row.table}")

    def _stream(self, place: str, name: str) -> Stream:
        """Return the stream of a name at a place: of the baseline, or of the load's operations."""
        seed = self._load_seed if place.startswith("operations.") else self._seed
        return Stream(f"{seed}:{place}:{name}")

    def _gone(self, table: Table, stream: Stream) -> ValueMaker:
        ranks, limit = self._ranks_of(table.name), self.gone_rows(table.name)
        timeline = self._timelines.get(table.name)
        history = timeline.history if timeline else self._history(Time().days)
        late_us, end_us = history.time(history.total // 4 * 3), history.end_us
        form = _time_form(table, table.gone.column if table.gone else "")

        def micros(indexes: Int64Array) -> Int64Array:
            since = np.full(len(indexes), late_us + 1)
            if timeline is not None:
                since = np.maximum(since, timeline.times(indexes) + 1)
            return since + stream.below(indexes, np.maximum(end_us - since, 0) + 1)

        times = makers.instants(micros, form, history.start_us, end_us)
        return Maker(
            lambda indexes: nullable(times.typed(indexes), ranks.once_indexes(indexes) >= limit)
        )

    def _created(self, table: Table, column: str) -> ValueMaker:
        return (
            self.column(table.name, column) if column else self._growth(table.name, "timestamptz")
        )

    def _growth(self, table: str, form: TimeForm) -> ValueMaker:
        timeline: Timeline = self._timelines[table]
        history = timeline.history
        return makers.instants(timeline.times, form, history.start_us, history.end_us)

    def _history(self, days: int) -> History:
        days = max(1, days)
        if days not in self._histories:
            self._histories[days] = History(self._end, days)
        return self._histories[days]

    def _ranks_of(self, table: str) -> Ranks:
        if table not in self._ranks:
            self._ranks[table] = ranks_of(self._model, self._model.tables[table], self._rows[table])
        return self._ranks[table]


def _references(values: Mapping[str, object], row: Row) -> list[str]:
    """Return the columns or parameters that refer to the same column as `row`, in their order."""
    return [
        name
        for name, value in values.items()
        if isinstance(value, Value)
        and isinstance(value.generator, Row)
        and (value.generator.table, value.generator.column) == (row.table, row.column)
    ]


def _turns(columns: Mapping[str, object]) -> dict[str, tuple[str, int]]:
    """Return the columns, or parameters, that refer to each row of a table in turn.

    With the table comes which of the references to it they are, the same for a composite key.
    """
    return {
        name: (value.generator.table, _references(columns, value.generator).index(name))
        for name, value in columns.items()
        if isinstance(value, Value) and isinstance(value.generator, Row) and value.generator.each
    }


def _require(maker: ValueMaker, kind: type[object], place: str, name: str) -> None:
    """Raise SettingsError unless `maker` makes values of `kind`."""
    if not isinstance(not_null(maker.typed(np.zeros(1, np.int64))), kind):
        raise SettingsError(f"{place} has to be {name}, since other values depend on it")


def _filled_by_rules(table: Table) -> tuple[str, ...]:
    """Return the columns that are filled by the table's life cycle and its gone rows."""
    states, gone = table.states, table.gone
    columns = (
        (states.column, states.version, states.created_at, states.changed_at) if states else ()
    )
    return tuple(filter(None, (*columns, gone.column if gone else "")))


def _time_form(table: Table, column: str) -> TimeForm:
    value = table.columns.get(column)
    generator = value.generator if value else None
    return generator.form if isinstance(generator, Time) else "timestamptz"
