"""What a run did, from run.json, samples.csv and generator.csv, as the report judges and shows it.

The figures of a run that ended come from run.json. A run that was killed or is still running has
none there, so they come from its last samples, and the plan is added up from the samples' targets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loadgen.record.rows import GeneratorSample, Sample
from loadgen.record.run import JournalEvent, OperationFacts, Run, TableGrowth, Totals
from loadgen.report.analysis.intervals import (
    Gap,
    Interval,
    Standstill,
    intervals_between,
    skipped_in_gaps,
    standstill_in,
)
from loadgen.workload.operations import facts_of_run

# A first sample this close to the noted start is the start: a rate over less would be noise.
_LATE_START_SECONDS = 0.2

# Tables and charts show so many events of the journal from its beginning, and as many from its end.
_EVENTS_AT_EITHER_END = 100


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """One operation over the whole run; None means not known.

    `planned` is how many arrivals the rates make, `gained` what the operation's table gained.
    """

    name: str
    planned: float | None
    totals: Totals
    in_flight: int
    gained: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether the source gained exactly the committed writes."""
        return None if self.gained is None else self.gained == self.totals.committed


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring samples in which the generator was the bottleneck, by their times."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Generator:
    """The load's processes: the worst lag in seconds, the busiest as a share of a processor.

    busy_ratio includes the time of waiting for a processor.
    """

    bottleneck_seconds: int
    stretches: tuple[Stretch, ...]
    lag: float
    busy_ratio: float


@dataclass(frozen=True, slots=True)
class Facts:
    """One run, ready to be judged; `samples` and `broken` count moments, not rows."""

    run: Run
    workload: Mapping[str, OperationFacts]
    ended: bool
    seconds: float | None
    start: datetime | None
    operations: tuple[OperationSummary, ...]
    samples: int
    broken: int
    last_sample: datetime | None
    intervals: Mapping[str, tuple[Interval, ...]]
    standstill: Standstill
    gaps: tuple[Gap, ...]
    skipped_in_gaps: int
    generator: Generator | None

    def label(self, operation: str) -> str:
        """Return the operation's name for people; hard cases and unknown ones keep theirs."""
        known = self.workload.get(operation)
        return operation if known is None else known.label

    def in_order(self, names: Iterable[str]) -> list[str]:
        """Return the names in the workload's order; hard cases and unknown ones come last."""
        return in_order(self.workload, names)

    @property
    def growth(self) -> Mapping[str, TableGrowth] | None:
        """What the tables gained; None if that was not counted.

        A record of the shop without it has one table's counter for each operation.
        """
        if self.run.growth:
            return self.run.growth
        growth: dict[str, TableGrowth] = {}
        for operation in self.operations:
            if operation.gained is None:
                return None
            of, committed = self.workload[operation.name], operation.totals.committed
            own = {"rows": operation.gained, "rows_written": committed}
            if of.counter == "version_sum":
                own = {"versions": operation.gained, "versions_written": committed}
            known = growth.get(of.table, TableGrowth(rows=0, rows_written=None))
            growth[of.table] = known.model_copy(update=own)
        return growth or None

    @property
    def planned(self) -> float:
        """How many arrivals the rates make, over all operations."""
        return sum(operation.planned or 0.0 for operation in self.operations)

    @property
    def totals(self) -> Totals:
        """The outcomes, over all operations."""
        sums = {
            outcome: sum(getattr(operation.totals, outcome) for operation in self.operations)
            for outcome in Totals.model_fields
        }
        return Totals(**sums)

    @property
    def in_flight(self) -> int:
        """How many arrivals have no outcome, over all operations."""
        return sum(operation.in_flight for operation in self.operations)

    @property
    def is_poisson(self) -> bool:
        """Whether arrivals come at random intervals, so that their number is random too."""
        return self.run.settings.get("arrivals") == "poisson"


def facts_of(
    run: Run, samples: Iterable[Sample], generator: Iterable[GeneratorSample] = ()
) -> Facts:
    """Return the facts of the run."""
    by_operation: dict[str, list[Sample]] = {}
    times, broken = set(), set()
    for sample in samples:
        by_operation.setdefault(sample.operation, []).append(sample)
        times.add(sample.time)
        if not sample.balanced():
            broken.add(sample.time)
    start = _start(run, min(times, default=None))
    gaps = tuple(_gap(event) for event in run.journal if event.kind == "gap")
    intervals = {
        name: tuple(intervals_between(rows, start, gaps)) if start else ()
        for name, rows in by_operation.items()
    }
    workload = facts_of_run(run)
    with_rate = [name for name, operation in workload.items() if operation.option in run.settings]
    ended = run.ended_at is not None
    last = max(times, default=None)
    sampled_seconds = (last - start).total_seconds() if last and start else None
    return Facts(
        run=run,
        workload=workload,
        ended=ended,
        seconds=run.duration_seconds if ended else sampled_seconds,
        start=start,
        operations=tuple(
            _summary(
                run, name, workload.get(name), by_operation.get(name, ()), intervals.get(name, ())
            )
            for name in in_order(workload, [*with_rate, *run.totals, *by_operation])
        ),
        samples=len(times),
        broken=len(broken),
        last_sample=last,
        intervals=intervals,
        standstill=standstill_in(i for several in intervals.values() for i in several),
        gaps=gaps,
        skipped_in_gaps=sum(skipped_in_gaps(gaps, rows) for rows in by_operation.values()),
        generator=_generator(list(generator)),
    )


def in_order(workload: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return each name once, those of the workload first and in its order."""
    unordered = dict.fromkeys(names)
    return [*dict.fromkeys([*(name for name in workload if name in unordered), *unordered])]


def shown_events(run: Run) -> tuple[tuple[int, JournalEvent], ...]:
    """Return the journal's events numbered; of very many only the first and the last."""
    numbered = tuple(enumerate(run.journal, 1))
    if len(numbered) <= 2 * _EVENTS_AT_EITHER_END:
        return numbered
    return numbered[:_EVENTS_AT_EITHER_END] + numbered[-_EVENTS_AT_EITHER_END:]


def _gained(run: Run, operation: OperationFacts | None) -> int | None:
    """Return what the operation's table gained over the run; None if that was not counted."""
    if operation is None or operation.counter is None:
        return None
    table, counter = operation.table, operation.counter
    before, after = run.rows_before.get(table), (run.rows_after or {}).get(table)
    if before is None or after is None:
        return None
    return after.count(counter) - before.count(counter)


def _start(run: Run, first: datetime | None) -> datetime | None:
    started = run.schedule_started_at
    if started is None or first is None:
        return started or first
    near = abs((first - started).total_seconds()) <= _LATE_START_SECONDS
    return first if near else started


def _gap(event: JournalEvent) -> Gap:
    settled = event.details.get("settled_seconds")
    return Gap(event.at, settled if isinstance(settled, int | float) else 0.0)


def _summary(
    run: Run,
    name: str,
    operation: OperationFacts | None,
    samples: Sequence[Sample],
    intervals: Sequence[Interval],
) -> OperationSummary:
    gained, totals = _gained(run, operation), run.totals.get(name)
    if totals is not None:
        left = totals.offered - totals.committed - totals.failed - totals.skipped - totals.unknown
        return OperationSummary(name, run.asked.get(name), totals, left, gained)
    if not samples:
        return OperationSummary(name, None, Totals(), 0, gained)
    last = samples[-1]
    totals = Totals(**{outcome: getattr(last, outcome) for outcome in Totals.model_fields})
    # What the first sample counted was planned too, if that sample is the start.
    first_is_start = not intervals or samples[0] is not intervals[0].sample
    planned = samples[0].offered if first_is_start else 0
    planned_later = sum(interval.seconds * interval.target for interval in intervals)
    return OperationSummary(name, planned + planned_later, totals, last.in_flight, gained)


def _generator(samples: Sequence[GeneratorSample]) -> Generator | None:
    if not samples:
        return None
    return Generator(
        bottleneck_seconds=sum(sample.bottleneck_seconds for sample in samples),
        stretches=tuple(_stretches(samples)),
        lag=max(sample.loop_lag_max for sample in samples),
        busy_ratio=max(sample.busy_ratio for sample in samples),
    )


def _stretches(samples: Iterable[GeneratorSample]) -> list[Stretch]:
    """Return the marked stretches; one unmarked sample between two marked ones ends no stretch."""
    stretches: list[Stretch] = []
    unmarked = 2
    for sample in samples:
        if not sample.bottleneck_seconds:
            unmarked += 1
            continue
        if unmarked <= 1 and stretches:
            stretches[-1] = Stretch(stretches[-1].first, sample.time)
        else:
            stretches.append(Stretch(sample.time, sample.time))
        unmarked = 0
    return stretches
