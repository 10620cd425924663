"""The usage that vendors would count: of a run, of a month, of the experiment's own rows.

Inserts, updates and deletes are the run's own counts. Distinct rows and bytes are estimates, so
usage comes as a band. A month is counted from the rates and the set of rows. A short run is never
multiplied, since rows that it touches again and again count once a month.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NamedTuple

from loadgen.costs.active_rows import SIMULATIONS, touched_hot_rows, touched_older_orders
from loadgen.costs.row_sizes import row_sizes
from loadgen.costs.usage import MONTH_HOURS, Band, Usage
from loadgen.record.rows import DeletedRow, Sample, read_deliveries
from loadgen.record.run import OperationFacts, Run, Totals
from loadgen.workload.operations import facts_of_run

_DEFAULT_EVENT_BYTES: Final = 300  # of a record without the setting
_MICROHOUR: Final = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The rows and bytes that a first copy moves."""

    rows: Decimal
    bytes: Band[Decimal]

    @classmethod
    def of(cls, rows: Mapping[str, int], event_bytes: int) -> "Baseline | None":
        """Return the baseline of tables with these rows; None if a table's rows are not known."""
        sizes = row_sizes(event_bytes)
        if not sizes.keys() <= rows.keys():
            return None
        known = [(rows[table], size) for table, size in sizes.items()]
        low, likely, high = (
            sum((number * size[bound] for number, size in known), Decimal(0)) for bound in range(3)
        )
        return cls(Decimal(sum(number for number, _ in known)), Band(low, likely, high))


@dataclass(frozen=True, slots=True)
class Workload:
    """The changes per hour by operation, and the facts that their price depends on.

    The source has `orders` when the period begins. `baseline` is None if it is not known. With
    `hot_rows` the updates return to so many busy rows, as a what-if; without it they follow the
    load's own rule and go to open orders.
    """

    operations: Mapping[str, OperationFacts]
    per_hour: Mapping[str, float]
    orders: int
    event_bytes: int
    seed: int
    hot_rows: int | None = None
    baseline: Baseline | None = None

    def of_changes(self, changes_per_month: float) -> "Workload":
        """Return the same mix with that many changes a month."""
        factor = changes_per_month / MONTH_HOURS / (sum(self.per_hour.values()) or 1.0)
        return replace(self, per_hour={name: r * factor for name, r in self.per_hour.items()})

    def month(self, simulations: int = SIMULATIONS) -> Band[Usage]:
        """Return the usage of a month of 720 hours."""
        counts = {name: round(rate * MONTH_HOURS) for name, rate in self.per_hour.items()}
        return self.usage(counts, Decimal(MONTH_HOURS), simulations)

    def usage(
        self, counts: Mapping[str, int], hours: Decimal, simulations: int = SIMULATIONS
    ) -> Band[Usage]:
        """Return the usage of these changes by operation, made within `hours`."""
        sizes = row_sizes(self.event_bytes)
        changes = [(self.operations[name], number) for name, number in counts.items()]
        inserts = sum(number for operation, number in changes if operation.change == "insert")
        updates = sum(number for operation, number in changes if operation.change == "update")
        once = sum(number for operation, number in changes if operation.proof == "once")

        def usage(bound: int, older_rows: int) -> Usage:
            changed = (number * sizes[operation.table][bound] for operation, number in changes)
            return Usage(
                inserts=Decimal(inserts),
                updates=Decimal(updates),
                deletes=Decimal(0),
                distinct_rows=Decimal(inserts + older_rows + once),  # once: another row each
                bytes=sum(changed, Decimal(0)),
                hours=hours,
            )

        return Band(*(usage(*bound) for bound in enumerate(self._touched(counts, simulations))))

    def _touched(self, counts: Mapping[str, int], simulations: int) -> Band[int]:
        updates = counts.get("update_order_status", 0)
        if self.hot_rows is not None:
            rows = round(touched_hot_rows(self.hot_rows, updates))
            return Band(rows, rows, rows)
        inserts = counts.get("insert_order", 0)
        return touched_older_orders(self.orders, inserts, updates, self.seed, simulations)


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


def workload_of(run: Run) -> Workload | None:
    """Return the workload at the run's committed rates.

    None if nothing was written, or the size of the rows is not known.
    """
    hours, counts = run_hours(run), _committed(run)
    if hours is None or not any(counts.values()):
        return None
    rows = {table: counted.rows for table, counted in run.rows_before.items()}
    event_bytes = run.settings.get("event_bytes")
    event_bytes = event_bytes if isinstance(event_bytes, int) else _DEFAULT_EVENT_BYTES
    operations = facts_of_run(run)
    if not counts.keys() <= operations.keys() or not (
        {operation.table for operation in operations.values()} <= row_sizes(event_bytes).keys()
    ):
        return None
    return Workload(
        operations=operations,
        per_hour={name: number / float(hours) for name, number in counts.items()},
        orders=rows.get("orders", 0),
        event_bytes=event_bytes,
        seed=run.seed or 0,
        baseline=Baseline.of(rows, event_bytes),
    )


def run_usage(run: Run) -> Band[Usage] | None:
    """Return the run's usage; None as for `workload_of`."""
    workload, hours = workload_of(run), run_hours(run)
    return None if workload is None or hours is None else workload.usage(_committed(run), hours)


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
