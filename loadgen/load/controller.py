"""One run: opened on the source and its record, drained at the end, and judged.

It stands between Locust's events (`listeners`) and the processes that perform the arrivals, and
imports neither: a swarm is handed in, and sleeping is `time.sleep`, which gevent patches.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg

from loadgen.config import thresholds
from loadgen.config.settings import Settings
from loadgen.config.thresholds import Threshold
from loadgen.errors import RecordError, SourceError
from loadgen.load.hard_cases import HardCases
from loadgen.load.journal import Journal
from loadgen.load.live_changes import LiveChanges, PauseReason
from loadgen.load.lookup import (
    another_database,
    is_of_run,
    set_run_token,
)
from loadgen.load.outcome import Outcome, failures_by_operation, imported_writes, totals_of
from loadgen.load.proofs import proof_kind
from loadgen.load.resume import Resumed
from loadgen.load.run_header import run_header
from loadgen.load.run_keys import set_sequences, with_source
from loadgen.load.sampler import Sampler
from loadgen.load.swarm import Session, Swarm, no_latencies
from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample, bottleneck_seconds
from loadgen.record.run import (
    OperationLatency,
    SampleCoverage,
    Spent,
    TableGrowth,
    TableRows,
)
from loadgen.record.steady_clock import SteadyClock
from loadgen.record.verdict import Evidence, Measured, Quantiles, verdict_of
from loadgen.source import postgres
from loadgen.source.environment import resources_used
from loadgen.source.limits import connection_limits, first_write, too_many_users
from loadgen.source.model_schema import cascade_targets, table_facts
from loadgen.source.validate import count_rows
from loadgen.workload.histogram import Histogram, merged, summary
from loadgen.workload.ledger import Counts, rows_by_statement
from loadgen.workload.model import Operation, ProofKind, WorkloadModel
from loadgen.workload.operations import operations_of
from loadgen.workload.row_growth import RowGrowth, row_growth, undecided_tables
from loadgen.workload.schedule.clock import sample_coverage
from loadgen.workload.schedule.plan import Plan

# A write may take as long as the connection's statement_timeout; settling waits for its backend.
DRAIN_SECONDS = 45.0
SETTLE_SECONDS = 60.0
# How long the end of a run waits for room for its record.
DISK_SECONDS = 30.0
# Connections of a load that has just ended may take a moment to leave.
ROOM_SECONDS = 2.0


def begin_run(
    settings: Settings,
    model: WorkloadModel,
    session: Session,
    swarm: Swarm,
    plan: Plan,
    users: int,
    other_connections: int,
) -> "RunController":
    """Open a new run's record and get the swarm ready.

    `other_connections` is how many the load needs in addition to the users'. On PlaygroundError
    nothing runs.
    """
    opened_at = time.monotonic()
    operations = operations_of(settings)
    limits = thresholds.load(settings, operations)
    with postgres.plain_errors("readying the source for a run"), session() as connection:
        _require_room(connection, users, other_connections)
        rows_before = count_rows(connection, model)
        plan = with_source(plan, connection, model, settings)
        clock = SteadyClock()
        swarm.begin(plan)
        record = RunRecord.create(settings.reports_dir, plan.run_id)
        record.now = clock.now
        sampler = Sampler(swarm, record, Journal(record), clock, no_latencies(operations))
        controller = RunController(
            settings=settings,
            operations=operations,
            model=model,
            session=session,
            swarm=swarm,
            plan=plan,
            users=users,
            left=plan.duration,
            opened_at=opened_at,
            record=record,
            live_changes=LiveChanges(swarm, record, plan),
            sampler=sampler,
            rows_before=rows_before,
            limits=limits,
        )
        run = run_header(connection, settings, model, plan, users, rows_before)
        run.started_at = clock.now()
        record.begin(run)
        with first_write(connection, "beginning the run"):
            set_run_token(connection, plan.run_token)
    return controller


def resume_run(
    settings: Settings,
    model: WorkloadModel,
    session: Session,
    swarm: Swarm,
    resumed: Resumed,
    users: int,
    other_connections: int,
) -> "RunController":
    """Take up a run where its killed processes left it.

    Raises PlaygroundError; then nothing has been written.
    """
    opened_at = time.monotonic()
    operations = operations_of(settings)
    limits = thresholds.load(settings, operations)
    with postgres.plain_errors("readying the source for a run"), session() as connection:
        _require_room(connection, users, other_connections)
    plan = resumed.plan
    swarm.begin(plan, resumed.position)
    clock = SteadyClock(not_before=datetime.fromtimestamp(resumed.saved_at, UTC))
    record = RunRecord.resume(resumed.folder)
    record.now = clock.now
    journal = Journal(record)
    sampler = Sampler(
        swarm,
        record,
        journal,
        clock,
        latencies=resumed.latencies,
        position=resumed.position,
        reconnects=swarm.reconnects(),
        unbalanced=resumed.unbalanced,
    )
    live_changes = LiveChanges(swarm, record, plan)
    live_changes.replay(resumed.position.changes)
    live_changes.paused = PauseReason(*resumed.paused_by) if resumed.paused_by else None
    record.run.users = users
    record.write()
    journal.note("gap", resumed.gap(clock.now()))
    # Before the first arrival is performed, in case this process is killed as well.
    sampler.write_position()
    return RunController(
        settings=settings,
        operations=operations,
        model=model,
        session=session,
        swarm=swarm,
        plan=plan,
        users=users,
        left=resumed.left(),
        opened_at=opened_at,
        record=record,
        live_changes=live_changes,
        sampler=sampler,
        rows_before=resumed.rows_before,
        limits=limits,
    )


def _require_room(connection: psycopg.Connection, users: int, others: int) -> None:
    """Raise SourceError if a limit leaves too few connections for the users."""
    deadline = time.monotonic() + ROOM_SECONDS
    while why := too_many_users(connection_limits(connection), users, others):
        if time.monotonic() > deadline:
            raise SourceError(why)
        time.sleep(0.2)


@dataclass(slots=True)
class RunController:
    """One run from its first arrival to its verdict; made by `begin_run` or `resume_run`."""

    settings: Settings
    operations: Mapping[str, Operation]
    model: WorkloadModel
    session: Session
    swarm: Swarm
    plan: Plan
    users: int
    left: float  # seconds of the run when it was opened
    opened_at: float  # on the monotonic clock
    record: RunRecord
    live_changes: LiveChanges
    sampler: Sampler
    rows_before: dict[str, TableRows]
    limits: tuple[Threshold, ...]
    proof: dict[str, ProofKind] = field(init=False)  # of each operation's writes
    sampled: SampleCoverage = field(init=False, default=SampleCoverage())  # known at the end
    ended_at: float = field(init=False, default=0.0)  # schedule time; known at the end

    def __post_init__(self) -> None:
        """Note how to look up lost writes."""
        self.proof = {name: proof_kind(of) for name, of in self.model.operations.items()}

    def finish(self, hard_cases: HardCases | None, *, interrupted: bool = False) -> Outcome:
        """Drain the run, close its record and judge it."""
        turns = {} if hard_cases is None else hard_cases.stop()
        if hard_cases is not None:
            self.record.run.hard_cases = turns
            self.record.write_later()
            self.record.buffer(hard_cases.take_deleted())
        seconds, after = self._drain()
        final_counts = self.sampler.sample()
        self._set_sequences()
        self.swarm.close()
        self._await_disk()
        self.sampled = sample_coverage(row.time for row in Sample.read(self.record.path))
        latencies = self.sampler.latencies
        latency = {name: _summaries(*pair) for name, pair in latencies.items()}
        services, intendeds = zip(*latencies.values(), strict=True)
        latency_all = _summaries(merged(services), merged(intendeds))
        marked = bottleneck_seconds(self.record.path)
        total = sum(final_counts.values(), Counts())
        totals = {name: totals_of(counts) for name, counts in final_counts.items()}
        planned, paused = self.swarm.planned(), self.live_changes.paused
        # At a signal its workers may have received the same one.
        ended_early = "" if interrupted else self.swarm.ended_early_reason(seconds)
        growth = None if after.rows is None else self._growth(after, final_counts)
        evidence = Evidence(
            Measured(seconds, marked, totals_of(total), totals, latency_all, latency),
            planned,
            growth=growth,
            samples=self.sampled.samples,
            broken_samples=self.sampler.unbalanced,
            in_flight=total.in_flight,
            hard_cases=sum(case.committed for case in turns.values()),
            poisson=self.plan.arrivals == "poisson",
            interrupted=interrupted,
            paused_by=None if paused is None else paused.by,
            why_not_counted=after.why_not,
            load_problems=(ended_early,) if ended_early else (),
            unproved=frozenset(name for name, kind in self.proof.items() if kind == "unproved"),
        )
        failures = {**self.swarm.failures(), **(hard_cases.failures() if hard_cases else {})}
        outcome = Outcome(
            self.plan.run_id,
            verdict_of(evidence, self.limits),
            totals,
            planned,
            latency,
            seconds,
            marked,
            failures_by_operation(failures),
        )
        outcome.write_into(self.record.run)
        self.record.run.latency_all = OperationLatency.model_validate(latency_all)
        self.record.run.statement_rows = self._statement_rows(final_counts)
        self.record.run.growth = growth or {}
        self._close_record(after)
        return outcome

    def _close_record(self, source: "_SourceAfter") -> None:
        """Write the record for the last time; the run can't be resumed any more."""
        run = self.record.run
        run.ended_at = self.sampler.clock.now()
        run.sampled, run.proof = self.sampled, self.proof
        run.rows_before, run.rows_after = self.rows_before, source.rows
        level = self.live_changes.mean_level(self.ended_at)
        run.imported = imported_writes(self.model, run.statement_rows, level)
        run.spent_after = source.spent
        self.record.write()
        self.record.remove_position()

    def _drain(self) -> tuple[float, "_SourceAfter"]:
        """Offer nothing more and settle all writes; return the seconds offered, and the source."""
        now, elapsed = self.swarm.moment()
        ended_at = self.swarm.stop_offering()
        self.ended_at = min(ended_at, self.plan.duration)
        _wait_until(lambda: not any(counts.in_flight for counts in self._counts()), DRAIN_SECONDS)
        _wait_until(self._settled, SETTLE_SECONDS if self._may_settle() else 0.0)
        duration = self.plan.duration
        seconds = min(max(duration - self.left, elapsed + max(0.0, ended_at - now)), duration)
        after = self._source_after()
        if after.rows is not None and self.swarm.awaits_sums():
            self.swarm.settle_from_sums(self._unexplained_updates(after.rows, after.cascades))
        return seconds, after

    def _statement_rows(self, all_counts: Mapping[str, Counts]) -> dict[str, tuple[int, ...]]:
        """Return the rows that each statement touched in committed transactions."""
        extra_rows = self.swarm.extra_rows()
        return {
            name: rows_by_statement(
                counts.committed, name, len(self.model.operations[name].statements), extra_rows
            )
            for name, counts in all_counts.items()
        }

    def _unexplained_updates(
        self, rows_after: Mapping[str, TableRows], cascades: Collection[str]
    ) -> dict[str, int]:
        """Return, by table, the updates that its versions show and no committed write explains."""
        written = row_growth(self.model, self._statement_rows(self.swarm.counts()))
        return {
            table: (rows_after[table].version_sum or 0)
            - (self.rows_before[table].version_sum or 0)
            - growth.version_sum
            for table, growth in written.items()
            if growth.version_sum is not None and table not in cascades
        }

    def _growth(
        self, source: "_SourceAfter", counts: Mapping[str, Counts]
    ) -> dict[str, TableGrowth]:
        """Return what the tables gained beside what the committed writes add up to.

        Nothing is known of a table that an unknown write or a foreign key may have changed.
        """
        unknown = [name for name, count in counts.items() if count.unknown]
        undecided = undecided_tables(self.model, unknown) | source.cascades
        written = row_growth(self.model, self._statement_rows(counts))
        growth = {}
        for table, after in (source.rows or {}).items():
            before, expected = self.rows_before[table], written.get(table, RowGrowth(0, 0))
            if table in undecided:
                expected = RowGrowth(None, None)
            has_versions = None not in (before.version_sum, after.version_sum)
            growth[table] = TableGrowth(
                rows=after.rows - before.rows,
                rows_written=expected.rows,
                versions=(after.version_sum or 0) - (before.version_sum or 0)
                if has_versions
                else None,
                versions_written=expected.version_sum if has_versions else None,
            )
        return growth

    def _set_sequences(self) -> None:
        """Let the sequences of client-made keys continue behind them; a role may lack the right."""
        try:
            with postgres.plain_errors("setting the sequences"), self.session() as connection:
                set_sequences(connection, self.model, self.plan.key_types)
        except SourceError as exc:
            with suppress(RecordError):
                self.record.journal("sequences_not_set", reason=str(exc))

    def _await_disk(self) -> None:
        """Wait for room for the record, which is not complete without the rows that wait."""
        deadline = time.monotonic() + DISK_SECONDS
        while self.sampler.behind and time.monotonic() < deadline:
            time.sleep(1.0)
            self.sampler.write()

    def _settled(self) -> bool:
        return self.swarm.awaits_sums() or not any(
            counts.unknown and self.proof[name] != "unproved"
            for name, counts in self.swarm.counts().items()
        )

    def _counts(self) -> Iterable[Counts]:
        return self.swarm.counts().values()

    def _may_settle(self) -> bool:
        """Tell whether lost writes may still be settled: not if another database answers."""
        if not self._settled():
            with suppress(SourceError, psycopg.Error), self.session() as connection:
                return is_of_run(connection, self.plan.run_token)
        return True

    def _source_after(self) -> "_SourceAfter":
        """Return the source's rows and resource use; the users are still connected."""
        try:
            with (
                postgres.plain_errors("counting the source's rows"),
                self.session() as connection,
            ):
                if is_of_run(connection, self.plan.run_token):
                    cascades = cascade_targets(table_facts(connection, self.model))
                    rows = count_rows(connection, self.model)
                    return _SourceAfter(rows, resources_used(connection), cascades)
                raise another_database(self.plan.run_token)
        except SourceError as exc:
            return _SourceAfter(why_not=str(exc))


class _SourceAfter(NamedTuple):
    """The source after the last write: its rows and resource use, or why they are unknown."""

    rows: dict[str, TableRows] | None = None
    spent: Spent | None = None
    cascades: frozenset[str] = frozenset()  # tables of which foreign keys may delete or change rows
    why_not: str = ""


def _summaries(service: Histogram, intended: Histogram) -> Quantiles:
    return {"service": summary(service), "intended": summary(intended)}


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
