"""From a run to the usage that vendors would count: of the run itself, of a month, of other sizes.

Inserts, updates and deletes are the run's own counts. Distinct rows and bytes are estimates, so
each usage comes as a band: low, likely, high. A month is counted from the rate and the hot set; a
short run is never multiplied, since the rows that it touches again and again count once a month.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final

from loadgen.costs.active_rows import PLAYED, Touched, older_touched, returning_touched
from loadgen.costs.row_sizes import Width, widths
from loadgen.costs.usage import MONTH_HOURS, Usage
from loadgen.record.reader import read_samples
from loadgen.record.run import Run, Totals
from loadgen.workload.operations import OPERATIONS, Operation

# By table: an operation on it, whose change is as wide as a row.
_CHANGE_OF_TABLE: Final = {operation.table: name for name, operation in OPERATIONS.items()}
_LOW: Final = attrgetter("low")
_LIKELY: Final = attrgetter("likely")
_HIGH: Final = attrgetter("high")
_DEFAULT_EVENT_BYTES: Final = 300  # of a record that does not say it
_HOUR: Final = 3600
_MICROHOUR: Final = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Band:
    """A usage between its bounds; what is counted and not estimated is the same in all three."""

    low: Usage
    likely: Usage
    high: Usage


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a first copy moves: rows, and their bytes between the bounds of how they are counted."""

    rows: Decimal
    low: Decimal
    likely: Decimal
    high: Decimal

    @classmethod
    def of(cls, rows: Mapping[str, int], event_bytes: int) -> "Baseline | None":
        """Return the baseline of so many rows a table; None if a table's rows are not known."""
        sizes = widths(event_bytes)
        known = {name: sizes[change] for name, change in _CHANGE_OF_TABLE.items() if name in rows}
        if len(known) < len(_CHANGE_OF_TABLE):
            return None
        low, likely, high = (
            sum((rows[name] * of(width) for name, width in known.items()), Decimal(0))
            for of in (_LOW, _LIKELY, _HIGH)
        )
        return cls(Decimal(sum(rows[name] for name in known)), low, likely, high)


@dataclass(frozen=True, slots=True)
class Workload:
    """What a pipe has to carry in an hour, by operation, and what its price depends on.

    `orders` stand at the source when the period begins, `baseline` is what a first copy moves, None
    if that is not known. `hot_rows` is the what-if of updates that
    return to so many busy rows; None is the load's own rule, updates of open orders.
    """

    per_hour: Mapping[str, float]
    orders: int
    event_bytes: int
    seed: int
    hot_rows: int | None = None
    baseline: Baseline | None = None

    @property
    def changes_per_hour(self) -> float:
        """All operations together."""
        return sum(self.per_hour.values())

    def of_changes(self, changes_per_month: float) -> "Workload":
        """Return the same mix at so many changes a month."""
        factor = changes_per_month / MONTH_HOURS / (self.changes_per_hour or 1.0)
        return replace(self, per_hour={name: r * factor for name, r in self.per_hour.items()})

    def month(self, played: int = PLAYED) -> Band:
        """Return the usage of a month of 720 hours."""
        counts = {name: round(rate * MONTH_HOURS) for name, rate in self.per_hour.items()}
        return self.usage(counts, Decimal(MONTH_HOURS), played)

    def usage(self, counts: Mapping[str, int], hours: Decimal, played: int = PLAYED) -> Band:
        """Return the usage of so many changes, by operation, in so many hours."""
        touched, sizes = self._touched(counts, played), widths(self.event_bytes)
        inserts = _sum(counts, lambda operation: operation.change == "insert")
        updates = _sum(counts, lambda operation: operation.change == "update")
        once = _sum(counts, lambda operation: operation.proof == "once")  # another row each

        def one(older: int, width: Callable[[Width], Decimal]) -> Usage:
            moved = (number * width(sizes[name]) for name, number in counts.items())
            return Usage(
                inserts=Decimal(inserts),
                updates=Decimal(updates),
                deletes=Decimal(0),
                distinct_rows=Decimal(inserts + older + once),
                bytes=sum(moved, Decimal(0)),
                hours=hours,
            )

        return Band(
            one(touched.low, _LOW),
            one(touched.likely, _LIKELY),
            one(touched.high, _HIGH),
        )

    def _touched(self, counts: Mapping[str, int], played: int) -> Touched:
        updates = counts.get("update_order_status", 0)
        if self.hot_rows is not None:
            rows = round(returning_touched(self.hot_rows, updates))
            return Touched(rows, rows, rows)
        inserts = counts.get("insert_order", 0)
        return older_touched(self.orders, inserts, updates, self.seed, played)


def _sum(counts: Mapping[str, int], counted: Callable[[Operation], bool]) -> int:
    return sum(n for name, n in counts.items() if counted(OPERATIONS[name]))


def so_far(run: Run) -> Run:
    """Return a run that has not ended with what its last samples counted, and until then.

    run.json has its totals only once the run has ended, and before that the length it is meant to
    have.
    """
    if run.ended_at is not None:
        return run
    last = {sample.operation: sample for sample in read_samples(run.path)}
    begun = run.schedule_started_at or run.started_at
    if not last or begun is None:
        return run
    totals = {
        name: Totals(
            offered=sample.offered,
            committed=sample.committed,
            failed=sample.failed,
            skipped=sample.skipped,
            unknown=sample.unknown,
        )
        for name, sample in last.items()
    }
    until = max(sample.time for sample in last.values())
    return replace(run, totals=totals, duration_seconds=(until - begun).total_seconds())


def run_counts(run: Run) -> dict[str, int]:
    """Return what the run committed, by operation."""
    return {name: totals.committed for name, totals in run.totals.items()}


def run_hours(run: Run) -> Decimal | None:
    """Return for how long the run wrote; None where its record does not say it."""
    begun = run.schedule_started_at or run.started_at
    seconds = run.duration_seconds if run.duration_seconds is not None else _between(begun, run)
    return None if not seconds else (Decimal(str(seconds)) / _HOUR).quantize(_MICROHOUR)


def workload_of(run: Run) -> Workload | None:
    """Return the workload at the rate that the run committed; None where nothing was written."""
    hours, counts = run_hours(run), run_counts(run)
    if hours is None or not any(counts.values()):
        return None
    rows, event_bytes = {n: found.rows for n, found in run.rows_before.items()}, _event_bytes(run)
    return Workload(
        per_hour={name: number / float(hours) for name, number in counts.items()},
        orders=rows.get("orders", 0),
        event_bytes=event_bytes,
        seed=run.seed or 0,
        baseline=Baseline.of(rows, event_bytes),
    )


def _event_bytes(run: Run) -> int:
    event_bytes = run.settings.get("event_bytes")
    return event_bytes if isinstance(event_bytes, int) else _DEFAULT_EVENT_BYTES


def _between(begun: datetime | None, run: Run) -> float | None:
    return (run.ended_at - begun).total_seconds() if begun and run.ended_at else None
