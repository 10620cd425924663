"""The usage that vendors would count: of a run, of a month, of the experiment's own rows.

Inserts, updates and deletes are the run's own counts, of each statement of a transaction. Distinct
rows and bytes are estimates, so usage comes as a band. A month is counted from the rates and the
set of rows. A short run is never multiplied, since rows that it touches again and again count once
a month.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from loadgen.config.settings import Settings
from loadgen.costs.active_rows import (
    HOT_SKEW,
    SIMULATIONS,
    Draws,
    LifeCycle,
    open_rows,
    touched_older_rows,
    touched_rows,
)
from loadgen.costs.lines import Unavailable
from loadgen.costs.row_changes import Ranked, RowChange, row_changes
from loadgen.costs.row_sizes import padded_tables, row_sizes
from loadgen.costs.usage import MONTH_HOURS, Band, Usage
from loadgen.errors import SettingsError
from loadgen.record.rows import DeletedRow, Sample, read_deliveries
from loadgen.record.run import Run, Totals
from loadgen.workload.model import Imported, InsertedParameter, WorkloadModel, generator_settings
from loadgen.workload.operations import rates_per_hour
from loadgen.workload.read_model import is_built_in, read_model
from loadgen.workload.seed_request import seed_request
from loadgen.workload.values import ValueMakers

_ASSUMED_ROWS: Final = 1000  # of a table without a baseline, to make values of its rows
_MOST_ROWS: Final = 1_000_000_000  # more have no other sizes
_END: Final = datetime(2026, 11, 23, tzinfo=UTC)  # of the baseline; no size depends on it
_MICROHOUR: Final = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The rows and bytes that a first copy moves."""

    rows: Decimal
    bytes: Band[Decimal]

    @classmethod
    def of(cls, rows: Mapping[str, int], sizes: Mapping[str, Band[Decimal]]) -> "Baseline | None":
        """Return the baseline of tables with these rows; None if a table's rows are not known."""
        if not sizes.keys() <= rows.keys():
            return None
        known = [(rows[table], size) for table, size in sizes.items()]
        low, likely, high = (
            sum((number * size[bound] for number, size in known), Decimal(0)) for bound in range(3)
        )
        return cls(Decimal(sum(number for number, _ in known)), Band(low, likely, high))

    def of_rows(self, rows: int) -> "Baseline":
        """Return so many rows, of the same mean size."""
        share = rows / self.rows if self.rows else Decimal(0)
        return Baseline(Decimal(rows), Band(*(size * share for size in self.bytes)))


@dataclass(frozen=True, slots=True)
class Workload:
    """The writes per hour by operation, and the facts that their price depends on.

    `rows` are those of the tables when the period begins, `settings` those that the model's values
    depend on. With `hot_rows` the updates return to so many busy rows, as a what-if; without it
    they follow the load's own rules. If these are a guess, the band of distinct rows reaches from a
    few busy rows to another row for each update.
    """

    model: WorkloadModel
    per_hour: Mapping[str, float]
    rows: Mapping[str, int]
    settings: Mapping[str, int | None]
    seed: int
    changes: Mapping[str, tuple[RowChange, ...]]  # by operation
    sizes: Mapping[str, Band[Decimal]]  # bytes of a row by table
    # The tables' rows that may still move, by state.
    open_rows: Mapping[str, tuple[tuple[str, int], ...]]
    hot_rows: int | None = None
    targets_are_guesses: bool = False

    @classmethod
    def of(
        cls,
        model: WorkloadModel,
        per_hour: Mapping[str, float],
        rows: Mapping[str, int],
        settings: Mapping[str, object],
        seed: int,
    ) -> "Workload":
        """Return the workload of a model. Raises SettingsError if a value can't be made."""
        numbers = {
            name: number if isinstance(number := settings.get(name), int) else None
            for name in generator_settings(model)
        }
        makers = _makers(model, rows, numbers, seed)
        changes = {
            name: row_changes(model, operation, rows, numbers)
            for name, operation in model.operations.items()
        }
        moved = {change.table for each in changes.values() for change in each if change.is_move}
        return cls(
            model=model,
            per_hour=per_hour,
            rows=rows,
            settings=numbers,
            seed=seed,
            changes=changes,
            sizes=row_sizes(model, makers, model.tables),
            open_rows={
                name: open_rows(model.tables[name], makers) if rows.get(name) else ()
                for name in moved
            },
        )

    @property
    def baseline(self) -> Baseline | None:
        """What a first copy moves; None if the rows of a table are not known."""
        return Baseline.of(self.rows, self.sizes)

    def of_changes(self, changes_per_month: float) -> "Workload":
        """Return the same mix with that many changes a month."""
        changes = sum(
            rate * sum(change.each for change in self.changes[name])
            for name, rate in self.per_hour.items()
        )
        factor = changes_per_month / MONTH_HOURS / (changes or 1.0)
        return replace(self, per_hour={name: r * factor for name, r in self.per_hour.items()})

    def of_padding(self, setting: str, size: int) -> "Workload":
        """Return the workload with another value of a setting that documents are padded to."""
        settings = {**self.settings, setting: size}
        makers = _makers(self.model, self.rows, settings, self.seed)
        padded = row_sizes(self.model, makers, padded_tables(self.model, setting))
        return replace(self, settings=settings, sizes={**self.sizes, **padded})

    def month(self, simulations: int = SIMULATIONS) -> Band[Usage]:
        """Return the usage of a month of 720 hours."""
        counts = {name: round(rate * MONTH_HOURS) for name, rate in self.per_hour.items()}
        return self.usage(counts, Decimal(MONTH_HOURS), simulations)

    def usage(
        self, counts: Mapping[str, int], hours: Decimal, simulations: int = SIMULATIONS
    ) -> Band[Usage]:
        """Return the usage of so many writes by operation, made within `hours`."""
        tables = self.usage_by_table(counts, hours, simulations)
        usage = total_usage(tables.values(), hours)
        if self.hot_rows is None:
            return usage
        distinct = self._with_hot_rows(counts, self.hot_rows)
        return Band(*(replace(bound, distinct_rows=distinct) for bound in usage))

    def usage_by_table(
        self, counts: Mapping[str, int], hours: Decimal, simulations: int = SIMULATIONS
    ) -> dict[str, Band[Usage]]:
        """Return the usage of each table that the writes change; "" if it is not known which."""
        by_table: dict[str, list[tuple[RowChange, int]]] = defaultdict(list)
        for change, number in self._changes(counts):
            by_table[change.table].append((change, number))
        return {
            table: self._usage_of(table, own, hours, simulations) for table, own in by_table.items()
        }

    def _usage_of(
        self,
        table: str,
        changes: Sequence[tuple[RowChange, int]],
        hours: Decimal,
        simulations: int,
    ) -> Band[Usage]:
        """Return the usage of one table's changes.

        New rows are different ones, and so are those that are touched once. An update of a row
        that the load inserted itself touches none that is not counted already.
        """
        by_change = Counter[str]()
        for change, number in changes:
            by_change[change.change] += number
        certain = sum(number for change, number in changes if change.target in ("new", "once"))
        older = self._older_rows(table, changes, simulations)
        size = self._row_size(table)

        def usage(bound: int) -> Usage:
            return Usage(
                inserts=Decimal(by_change["insert"]),
                updates=Decimal(by_change["update"] + by_change["other"]),
                deletes=Decimal(by_change["delete"]),
                distinct_rows=Decimal(certain + older[bound]),
                bytes=by_change.total() * size[bound],
                hours=hours,
            )

        return Band(usage(0), usage(1), usage(2))

    def _changes(self, counts: Mapping[str, int]) -> list[tuple[RowChange, int]]:
        """Return how many rows each statement changes."""
        return [
            (change, round(number * change.each))
            for name, number in self._possible(counts).items()
            for change in self.changes[name]
        ]

    def _with_hot_rows(self, counts: Mapping[str, int], rows: int) -> Decimal:
        """Return the distinct rows if all updates returned to so many busy ones."""
        changes = self._changes(counts)
        certain = sum(n for change, n in changes if change.target in ("new", "once"))
        others = sum(n for change, n in changes if change.target not in ("new", "once"))
        return Decimal(certain + round(touched_rows([Draws(others, rows, HOT_SKEW)])))

    def _row_size(self, table: str) -> Band[Decimal]:
        """Return the bytes of a row: of the widest table, if it is not known which one it is."""
        return self.sizes.get(table) or max(self.sizes.values(), key=lambda size: size.likely)

    def _possible(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return the writes without those that wait for an insert that there is not."""
        possible = dict(counts)
        for name in counts:
            for parameter in self.model.operations[name].parameters.values():
                if isinstance(parameter, InsertedParameter) and parameter.order == "oldest":
                    possible[name] = min(possible[name], counts.get(parameter.operation, 0))
        return possible

    def _older_rows(
        self, table: str, changes: Sequence[tuple[RowChange, int]], simulations: int
    ) -> Band[int]:
        """Return how many rows from before the period the changes of a table touch."""
        draws = [
            Draws(number, change.target.rows, change.target.skew)
            for change, number in changes
            if isinstance(change.target, Ranked)
        ]
        number = Counter[str]()
        for change, n in changes:
            if isinstance(change.target, str):
                number[change.target] += n
        moved = Band(0, 0, 0)
        facts = self.model.tables.get(table)
        if number["moved"] and facts and facts.states:
            moved = touched_older_rows(
                LifeCycle.of(facts.states),
                self.open_rows[table],
                number["new"],
                number["moved"],
                self.seed,
                simulations,
            )
        # Of updates whose rows are not known, each may touch another row.
        known = round(touched_rows(draws)) + number["any"]
        most = self.rows.get(table, 0)
        low, likely, high = (min(most, known + bound) for bound in moved)
        if self.targets_are_guesses:
            skewed = [draw._replace(skew=max(draw.skew, HOT_SKEW)) for draw in draws]
            low = min(low, round(touched_rows(skewed)))
            others = sum(n for change, n in changes if change.target not in ("new", "once"))
            high = max(high, min(most, others))
        return Band(low, likely, high)


def total_usage(tables: Collection[Band[Usage]], hours: Decimal) -> Band[Usage]:
    """Return the usage of several tables in the same hours."""
    low, likely, high = (
        sum((band[bound] for band in tables), Usage.none(hours)) for bound in range(3)
    )
    return Band(low, likely, high)


def _makers(
    model: WorkloadModel,
    rows: Mapping[str, int],
    settings: Mapping[str, int | None],
    seed: int,
) -> ValueMakers:
    made = {name: min(rows.get(name) or _ASSUMED_ROWS, _MOST_ROWS) for name in model.tables}
    return ValueMakers(model, seed, made, _END, settings)


def planned_workload(settings: Settings) -> Workload:
    """Return the workload that the settings describe. Raises SettingsError."""
    model = read_model(settings.workload)
    baseline, per_hour = seed_request(settings, model), rates_per_hour(settings, model.operations)
    return Workload.of(model, per_hour, baseline.rows, baseline.settings, baseline.seed)


def imported_workload(settings: Settings, model: WorkloadModel, imported: Imported) -> Workload:
    """Return the workload of the database that the model was imported from, in its real size."""
    request = seed_request(settings, model)
    rows = {
        name: imported.tables[name].rows
        if name in imported.tables
        else round(table.rows / imported.row_scale)
        for name, table in model.tables.items()
    }
    rates = rates_per_hour(settings, model.operations)
    per_hour = {name: rate / imported.rate_scale for name, rate in rates.items()}
    workload = Workload.of(model, per_hour, rows, request.settings, request.seed)
    return replace(workload, targets_are_guesses=True)


def so_far(run: Run) -> Run:
    """Return a run that has not ended with its totals and duration by its last samples.

    Until a run has ended, run.json has no totals, and its duration is the planned one.
    """
    if run.ended_at is not None:
        return run
    last = {sample.operation: sample for sample in Sample.read(run.path)}
    started = run.schedule_started_at or run.started_at
    if not last or started is None:
        return run
    totals = {
        name: Totals(**{outcome: getattr(sample, outcome) for outcome in Totals.model_fields})
        for name, sample in last.items()
    }
    until = max(sample.time for sample in last.values())
    seconds = (until - started).total_seconds()
    return run.model_copy(update={"totals": totals, "duration_seconds": seconds})


def run_hours(run: Run) -> Decimal | None:
    """Return for how many hours the run wrote; None if its record does not show it."""
    started, seconds = run.schedule_started_at or run.started_at, run.duration_seconds
    if seconds is None and started and run.ended_at:
        seconds = (run.ended_at - started).total_seconds()
    return (Decimal(str(seconds or 0)) / 3600).quantize(_MICROHOUR) or None


def workload_of(run: Run, workload: str) -> Workload | Unavailable:
    """Return the workload at the run's committed rates, or the reason why it is not known.

    `workload` is the setting: it finds the files of a workload that is not built in.
    """
    hours, counts = run_hours(run), _committed(run)
    if hours is None or not any(counts.values()):
        return Unavailable("the run's record has no committed writes")
    try:
        model = _model_of(run, workload)
        if isinstance(model, Unavailable):
            return model
        if unknown := sorted(counts.keys() - model.operations.keys()):
            return Unavailable(f"workload {model.name} has no operation {unknown[0]}")
        rows = {table: max(0, counted.rows) for table, counted in run.rows_before.items()}
        per_hour = {name: number / float(hours) for name, number in counts.items()}
        made = Workload.of(model, per_hour, rows, run.settings, run.seed or 0)
    except SettingsError as exc:
        return Unavailable(str(exc))
    return replace(made, changes=_as_recorded(made.changes, run, counts))


def run_usage(run: Run, workload: Workload) -> Band[Usage]:
    """Return the usage of a run of this workload."""
    return workload.usage(_committed(run), run_hours(run) or Decimal(0))


def _model_of(run: Run, workload: str) -> WorkloadModel | Unavailable:
    recorded = run.settings.get("workload", run.workload)
    if isinstance(recorded, str) and is_built_in(recorded):
        return read_model(recorded)
    # A record is data: it does not say which files to read.
    model = read_model(workload)
    if model.name == run.workload:
        return model
    return Unavailable(f"the run's workload is {run.workload}: set WORKLOAD to its folder")


def _as_recorded(
    changes: Mapping[str, tuple[RowChange, ...]], run: Run, counts: Mapping[str, int]
) -> dict[str, tuple[RowChange, ...]]:
    """Return the changes with as many rows for each write as the statements touched in the run."""
    touched = {
        name: rows
        for name, rows in run.statement_rows.items()
        if counts.get(name) and len(rows) == len(changes.get(name, ()))
    }
    return {
        name: tuple(
            replace(change, each=rows / counts[name])
            for change, rows in zip(own, touched[name], strict=True)
        )
        if name in touched
        else own
        for name, own in changes.items()
    }


def _committed(run: Run) -> dict[str, int]:
    return {name: totals.committed for name, totals in run.totals.items()}


_MARKER_BYTES: Final = 210  # a row of loadgen_markers as JSON
_ROW_BYTES: Final = 350  # a plain row of a hard case
_WIDE_BYTES: Final = 4_450
_DELETES: Final = "hard_deletes"


class _CaseTurn(NamedTuple):
    """The changes of one turn of a hard case; `rows` are those not touched before."""

    inserts: int = 1
    updates: int = 0
    deletes: int = 0
    rows: int = 1
    bytes: int = _ROW_BYTES


_PLAIN: Final = _CaseTurn()
_TURNS: Final[Mapping[str, _CaseTurn]] = {
    # The deleted row was inserted by an earlier turn, so it counts once in a month.
    _DELETES: _CaseTurn(deletes=1, bytes=2 * _ROW_BYTES),
    "key_changes": _CaseTurn(updates=1, rows=2, bytes=2 * _ROW_BYTES),
    "key_reuses": _CaseTurn(inserts=2, deletes=1, bytes=3 * _ROW_BYTES),
    "wide_updates": _CaseTurn(updates=1, bytes=_WIDE_BYTES + _ROW_BYTES),
}


@dataclass(frozen=True, slots=True)
class ExperimentRows:
    """Changes of the experiment itself (markers, hard cases), and the usage including them."""

    category: str
    unit: str
    changes: int
    usage: Usage
    note: str


def experiment_rows(run: Run, usage: Usage) -> Iterator[ExperimentRows]:
    """Yield the changes that the experiment adds to a run, each on top of those before it.

    Vendors charge for freshness markers and hard cases like any change; a month has none.
    """
    markers = len({row.sequence for row in read_deliveries(run.path)})
    usage = with_markers(usage, markers)
    if markers:
        note = "rows that the watch writes into a table of their own, more of the same charges"
        yield ExperimentRows("freshness markers", "marker", markers, usage, note)
    turns = Counter({name: case.committed for name, case in run.hard_cases.items()})
    # Until the run has ended, only deletes are on record.
    deleted = sum(row.case_name == _DELETES for row in DeletedRow.read(run.path))
    turns[_DELETES] = max(turns[_DELETES], deleted)
    sums = [0] * len(_PLAIN)
    for name, number in turns.items():
        turn = _TURNS.get(name, _PLAIN)
        sums = [total + number * part for total, part in zip(sums, turn, strict=True)]
    total = _CaseTurn(*sums)
    if changes := total.inserts + total.updates + total.deletes:
        usage = replace(
            usage,
            inserts=usage.inserts + total.inserts,
            updates=usage.updates + total.updates,
            deletes=usage.deletes + total.deletes,
            distinct_rows=usage.distinct_rows + total.rows,
            bytes=usage.bytes + total.bytes,
        )
        note = f"rows of the hard cases, {total.deletes} of them deleted, more of the same charges"
        yield ExperimentRows("hard cases", "change", changes, usage, note)


def with_markers(usage: Usage, markers: int) -> Usage:
    """Return the usage with freshness markers, each one inserted row."""
    return usage.with_rows(Decimal(markers), Decimal(markers * _MARKER_BYTES))
