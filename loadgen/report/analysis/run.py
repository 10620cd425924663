"""What a run did, as the report judges and shows it: run.json and samples.csv brought together.

A run that ended speaks through run.json; one that did not (killed, or still going on) through its
last samples, and what the rates asked for is then added up from the samples' targets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loadgen.record.reader import JournalEvent, Run, Totals
from loadgen.record.rows import GeneratorSample, Sample, law_holds
from loadgen.report.analysis.generator import Generator, generator_of
from loadgen.report.analysis.intervals import (
    Gap,
    Interval,
    Standstill,
    intervals,
    skipped_beside,
    standstill,
)
from loadgen.workload.operations import OPERATIONS, in_order

# A first sample this close to the noted start is the start: a rate over less would be noise.
_LATE_START_SECONDS = 0.2

# Events of the journal that tables and charts show: the first of them, and as many of the last.
_EVENTS_AT_EITHER_END = 100


@dataclass(frozen=True, slots=True)
class Done:
    """One operation over the whole run; None where it is not known."""

    operation: str
    asked: float | None
    totals: Totals
    in_flight: int
    gained: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether the source gained exactly what was committed."""
        return None if self.gained is None else self.gained == self.totals.committed


@dataclass(frozen=True, slots=True)
class Facts:
    """One run, ready to be judged; `samples` and `broken` count moments, not rows."""

    run: Run
    ended: bool
    seconds: float | None
    start: datetime | None
    operations: tuple[Done, ...]
    samples: int
    broken: int
    last_sample: datetime | None
    parts: Mapping[str, tuple[Interval, ...]]
    standstill: Standstill
    gaps: tuple[Gap, ...]
    skipped_beside_gaps: int
    generator: Generator | None

    @property
    def asked(self) -> float:
        """All that the rates asked for."""
        return sum(done.asked or 0.0 for done in self.operations)

    def total(self, outcome: str) -> int:
        """Return one outcome summed over the operations."""
        return sum(getattr(done.totals, outcome) for done in self.operations)


def facts_of(
    run: Run, samples: Iterable[Sample], generator: Iterable[GeneratorSample] = ()
) -> Facts:
    """Return the facts of the run."""
    by_operation: dict[str, list[Sample]] = {}
    times, broken = set(), set()
    for sample in samples:
        by_operation.setdefault(sample.operation, []).append(sample)
        times.add(sample.time)
        if not law_holds(sample):
            broken.add(sample.time)
    start = _start(run, min(times, default=None))
    gaps = tuple(_gap(event) for event in run.journal if event.kind == "gap")
    parts = {
        name: tuple(intervals(rows, start, gaps)) if start else ()
        for name, rows in by_operation.items()
    }
    ended = run.ended_at is not None
    last = max(times, default=None)
    lived = (last - start).total_seconds() if last and start else None
    return Facts(
        run=run,
        ended=ended,
        seconds=run.duration_seconds if ended else lived,
        start=start,
        operations=tuple(
            _done(run, name, by_operation.get(name, ()), parts.get(name, ()))
            for name in _names(run, by_operation)
        ),
        samples=len(times),
        broken=len(broken),
        last_sample=last,
        parts=parts,
        standstill=standstill(part for several in parts.values() for part in several),
        gaps=gaps,
        skipped_beside_gaps=sum(skipped_beside(gaps, rows) for rows in by_operation.values()),
        generator=generator_of(generator),
    )


def shown_events(run: Run) -> tuple[tuple[int, JournalEvent], ...]:
    """Return the events of the journal that a report shows, numbered: of very many not all."""
    numbered = tuple(enumerate(run.journal, 1))
    if len(numbered) <= 2 * _EVENTS_AT_EITHER_END:
        return numbered
    return numbered[:_EVENTS_AT_EITHER_END] + numbered[-_EVENTS_AT_EITHER_END:]


def gained(run: Run, operation: str) -> int | None:
    """Return what the operation's table gained over the run; None where that was not counted."""
    if operation not in OPERATIONS:
        return None
    table, counter = OPERATIONS[operation].table, OPERATIONS[operation].counter
    before, after = run.rows_before.get(table), run.rows_after.get(table)
    if before is None or after is None:
        return None
    return (getattr(after, counter) or 0) - (getattr(before, counter) or 0)


def _start(run: Run, first: datetime | None) -> datetime | None:
    started = run.schedule_started_at
    if started is None or first is None:
        return started or first
    near = abs((first - started).total_seconds()) <= _LATE_START_SECONDS
    return first if near else started


def _names(run: Run, by_operation: Mapping[str, object]) -> list[str]:
    with_rate = [name for name, op in OPERATIONS.items() if op.rate_setting in run.settings]
    return in_order(dict.fromkeys([*with_rate, *run.totals, *by_operation]))


def _gap(event: JournalEvent) -> Gap:
    settled = event.details.get("settled_seconds")
    return Gap(event.at, settled if isinstance(settled, int | float) else 0.0)


def _done(run: Run, name: str, rows: Sequence[Sample], parts: Sequence[Interval]) -> Done:
    totals = run.totals.get(name)
    if totals is not None:
        left = totals.offered - totals.committed - totals.failed - totals.skipped - totals.unknown
        return Done(name, run.asked.get(name), totals, left, gained(run, name))
    if not rows:
        return Done(name, None, Totals(0, 0, 0, 0, 0), 0, gained(run, name))
    last = rows[-1]
    counted = Totals(last.offered, last.committed, last.failed, last.skipped, last.unknown)
    return Done(name, _asked(rows, parts), counted, last.in_flight, gained(run, name))


def _asked(rows: Sequence[Sample], parts: Sequence[Interval]) -> float:
    """Add up the targets; what a first sample that is itself the start holds was asked for too."""
    at_start = rows[0].offered if not parts or rows[0] is not parts[0].sample else 0
    return at_start + sum(part.seconds * part.target for part in parts)
