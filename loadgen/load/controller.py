"""Conducts one run: asks for it, samples it, drains it, and writes its record.

It stands between Locust's events (`listeners`) and what the processes do (`users`), and imports
neither: the swarm is handed in behind a protocol, sleeping is `time.sleep`, which gevent patches.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg

from loadgen.config import thresholds
from loadgen.config.settings import Settings
from loadgen.config.thresholds import Threshold
from loadgen.errors import RecordError, SettingsError, SourceError
from loadgen.load.generator_health import BottleneckSeconds, worst_figures
from loadgen.load.journal import Journal
from loadgen.load.live_changes import LiveChanges, Pause
from loadgen.load.lookup import (
    another_database,
    claim,
    is_of_run,
    users_and_lowest_deleted,
)
from loadgen.load.outcome import Outcome, failures_by_operation, totals_of
from loadgen.load.resume import Resumed, latencies_position
from loadgen.load.run_header import opening
from loadgen.load.swarm import Latencies, Session, Swarm, no_latencies
from loadgen.load.worker_state import RunPosition
from loadgen.record.position import Position
from loadgen.record.reader import bottleneck_seconds, read_samples
from loadgen.record.rows import GeneratorSample, Sample
from loadgen.record.run import OperationLatency, SampleCoverage, Spent, TableRows
from loadgen.record.verdict import Evidence, Measured, Quantiles, verdict_of
from loadgen.record.writer import RunRecord
from loadgen.source import postgres
from loadgen.source.environment import resources_used
from loadgen.source.limits import connection_limits, first_write, too_many_users
from loadgen.source.validate import count_rows
from loadgen.steady_clock import SteadyClock
from loadgen.workload.histogram import Histogram, merged, summary
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS, gained
from loadgen.workload.schedule.clock import sample_coverage
from loadgen.workload.schedule.plan import Plan

# A write may take as long as the connection's statement_timeout; settling waits for its backend.
DRAIN_SECONDS = 45.0
SETTLE_SECONDS = 60.0
# How long the end of a run waits for room for its record.
DISK_SECONDS = 30.0


# Connections of a load that has just ended may take a moment to leave.
ROOM_SECONDS = 2.0


@dataclass(slots=True)
class RunController:
    """One run from begin to finish; made anew for each test start."""

    settings: Settings
    dsn: str
    swarm: Swarm
    plan: Plan
    users: int
    session: Session
    beside: int  # connections that the load needs besides the users'
    hard_cases_committed: int = field(init=False, default=0)  # turns, once they have ended
    made_at: float = field(init=False, default_factory=time.monotonic)
    record: RunRecord = field(init=False)
    live_changes: LiveChanges = field(init=False)
    left: float = field(init=False, default=0.0)  # seconds of the run, at its beginning
    sampled: SampleCoverage = field(init=False, default=SampleCoverage())  # known at the end
    _clock: SteadyClock = field(init=False, default_factory=SteadyClock)
    _journal: Journal = field(init=False)
    _unwritable: tuple[datetime, str] | None = field(init=False, default=None)  # since when, why
    _past: RunPosition | None = field(init=False, default=None)
    news: Sequence[tuple[str, Mapping[str, object]]] = field(init=False, default=())
    latest: Mapping[str, Sample] = field(init=False, default_factory=dict)
    last_service: Mapping[str, Histogram] = field(init=False, default_factory=dict)
    _rows_before: dict[str, TableRows] = field(init=False, default_factory=dict)
    _latency: Latencies = field(init=False, default_factory=no_latencies)  # of the whole run
    _interval: Latencies = field(init=False, default_factory=no_latencies)  # since the last sample
    _unbalanced: int = field(init=False, default=0)
    _marks: BottleneckSeconds = field(init=False, default_factory=BottleneckSeconds)
    _limits: tuple[Threshold, ...] = field(init=False, default=())
    _remade: int = field(init=False, default=0)  # connections, up to the last sample
    hard_case_failures: Mapping[tuple[str, str], int] = field(init=False, default_factory=dict)
    _journal_started: bool = field(init=False, default=False)

    def begin(self) -> None:
        """Open the record and get the swarm ready. Raises PlaygroundError; then nothing runs."""
        self._limits = thresholds.load(self.settings, OPERATIONS)
        with (
            postgres.plain_errors("readying the source for a run"),
            self.session() as connection,
        ):
            self._begin(connection)

    def _begin(self, connection: psycopg.Connection) -> None:
        self._require_room(connection)
        self._rows_before = count_rows(connection)
        users, lowest = users_and_lowest_deleted(connection)
        if self.plan.hot_users is not None and self.plan.hot_users > users:
            raise SettingsError(
                f"HOT_USERS is {self.plan.hot_users}, but the source has {users} users: lower it"
            )
        self.plan = replace(self.plan, users=users, lowest_deleted_rank=lowest)
        self.left = self.plan.duration
        self.swarm.begin(self.plan)
        self.record = RunRecord.create(self.settings.reports_dir, self.plan.run_id)
        self._take_record(self.record)
        run = opening(connection, self.settings, self.plan, self.users, self._rows_before)
        run.started_at = self._clock.now()
        self.record.begin(run)
        with first_write(connection, "beginning the run"):
            claim(connection, self.plan.run_token)

    def go_on(self, resumed: Resumed) -> None:
        """Take up a run where its killed processes left it.

        Raises PlaygroundError; then nothing has been written.
        """
        self._limits = thresholds.load(self.settings, OPERATIONS)
        self._rows_before, self._unbalanced = resumed.rows_before, resumed.unbalanced
        self._latency, self._past = resumed.latencies, resumed.past
        self._journal_started = True
        self.left = resumed.left()
        with postgres.plain_errors("readying the source for a run"), self.session() as connection:
            self._require_room(connection)
        self.swarm.begin(self.plan, resumed.past)
        self._remade = self.swarm.reconnects()
        self._clock = SteadyClock(not_before=datetime.fromtimestamp(resumed.kept_at, UTC))
        self._take_record(RunRecord.resume(resumed.folder))
        self.live_changes.mix, self.live_changes.profile = resumed.mix, resumed.profile
        self.live_changes.paused = Pause(*resumed.paused_by) if resumed.paused_by else None
        self.record.run.users = self.users
        self.record.write()
        self.journal("gap", **resumed.gap(self._clock.now()))
        # Before the first arrival is performed, should this process be killed as well.
        self._keep_position()

    def _require_room(self, connection: psycopg.Connection) -> None:
        """Raise SourceError where a limit leaves too few connections for the users."""
        deadline = time.monotonic() + ROOM_SECONDS
        while why := too_many_users(connection_limits(connection), self.users, self.beside):
            if time.monotonic() > deadline:
                raise SourceError(why)
            time.sleep(0.2)

    def _take_record(self, record: RunRecord) -> None:
        self.record, record.now = record, self._clock.now
        self._journal = Journal(record)
        self.live_changes = LiveChanges(self.swarm, record, self.plan)

    def sample(self) -> Mapping[str, Counts]:
        """Append one row an operation to samples.csv; while that is impossible they wait."""
        if not self._journal_started and self.swarm.now() >= 0:
            self._journal_started = True
            began = self._clock.now() - timedelta(seconds=self.swarm.now())
            self.record.run.schedule_started_at = began
            self.record.write_later()
        counts, targets = self.swarm.counts(), self.swarm.target_rates()
        self.latencies()
        latencies, self._interval = self._interval, no_latencies()
        at = self._clock.now()
        rows = [
            self._row(at, name, counts[name], targets[name], latencies[name]) for name in OPERATIONS
        ]
        self.latest = {row.operation: row for row in rows}
        self.last_service = {name: pair[0] for name, pair in latencies.items()}
        self._unbalanced += sum(not c.balanced() for c in counts.values())
        self.record.keep(rows)
        if health := self.swarm.take_vitals():
            marked = self._marks.add(health)
            sample = GeneratorSample(at, **worst_figures(health), bottleneck_seconds=marked)
            self.record.keep([sample])
        self._note_reconnects()
        if step := self._clock.step():
            self.swarm.events.append(("clock_stepped", {"seconds": step}))
        events, self.swarm.events = self.swarm.events, []
        noted = [(kind, self._journal.note(kind, details)) for kind, details in events]
        self.news = [(kind, told) for kind, told in noted if told is not None]
        self._write_record(at)
        return counts

    @property
    def behind(self) -> bool:
        """Whether something of the record waits for room on the disk."""
        return self._unwritable is not None

    def _write_record(self, at: datetime) -> None:
        """Write what waits. That it is impossible is told at once, and journaled once it is over.

        The position goes first, so that a resumed run's counters never fall behind the samples.
        """
        try:
            self._keep_position()
            self.record.flush()
        except RecordError as exc:
            if self._unwritable is None:
                self._unwritable = at, str(exc)
                told = {"what": "record_unwritable", "why": str(exc)}
                self.news = [*self.news, ("fault", told)]
            return
        if self._unwritable is not None:
            (since, why), self._unwritable = self._unwritable, None
            seconds = round((at - since).total_seconds(), 3)
            written = {"what": "record_unwritable", "why": why, "until": at, "seconds": seconds}
            told_now = self._journal.note("fault", written, since)
            if told_now is not None:
                self.news = [*self.news, ("fault", told_now)]

    def _keep_position(self) -> None:
        swarm, past = self.swarm, self._past
        position = Position(
            at=self._clock.now().timestamp(),
            s=max(swarm.now(), past.s if past else 0.0),
            elapsed=max(swarm.elapsed(), past.elapsed if past else 0.0),
            workers=swarm.distributed,
            resumed=past.resumed if past else 0,
            unbalanced=self._unbalanced,
            processes=tuple(worker.position() for worker in swarm.processes()),
            latencies=latencies_position(self._latency),
        )
        self.record.keep_position(position)

    def _note_reconnects(self) -> None:
        remade, self._remade = self._remade, self.swarm.reconnects()
        if self._remade > remade:
            made = {"what": "reconnected", "connections": self._remade - remade}
            self.swarm.events.append(("fault", made))

    def journal(self, kind: str, **details: object) -> None:
        """Note something that another part of the load saw happen."""
        self._journal.note(kind, details)

    def post(self, kind: str, details: Mapping[str, object]) -> None:
        """Note what was posted through the control API. Raises JournalFullError."""
        self._journal.post(kind, details)

    def latencies(self) -> Latencies:
        """Return (service, intended) per operation from the start of the run up to now."""
        for name, pair in self.swarm.latencies().items():
            for whole, interval, part in zip(
                self._latency[name], self._interval[name], pair, strict=True
            ):
                whole.merge(part)
                interval.merge(part)
        return self._latency

    def finish(self, *, interrupted: bool = False) -> Outcome:
        """Drain the run, close its record and judge it."""
        seconds, after = self._drain()
        final_counts = self.sample()
        self.swarm.close()
        self._await_disk()
        self.sampled = sample_coverage(row.time for row in read_samples(self.record.path))
        latency = {name: _summaries(*pair) for name, pair in self._latency.items()}
        services, intendeds = zip(*self._latency.values(), strict=True)
        latency_all = _summaries(merged(services), merged(intendeds))
        marked = bottleneck_seconds(self.record.path)
        total = sum(final_counts.values(), Counts())
        totals = {name: totals_of(counts) for name, counts in final_counts.items()}
        asked, paused = self.swarm.asked(), self.live_changes.paused
        evidence = Evidence(
            Measured(seconds, marked, totals_of(total), totals, latency_all, latency),
            asked,
            gained=None if after.rows is None else gained(self._rows_before, after.rows),
            samples=self.sampled.samples,
            broken_samples=self._unbalanced,
            in_flight=total.in_flight,
            hard_cases=self.hard_cases_committed,
            poisson=self.plan.arrivals == "poisson",
            interrupted=interrupted,
            paused_by=None if paused is None else paused.by,
            why_not_counted=after.why_not,
            # At a signal its workers may have heard the same one.
            load_problems=() if interrupted else tuple(self.swarm.desertion(seconds)),
        )
        verdict = verdict_of(evidence, self._limits)
        failures = failures_by_operation({**self.swarm.failures(), **self.hard_case_failures})
        outcome = Outcome(
            self.plan.run_id, verdict, totals, asked, latency, seconds, marked, failures
        )
        run = self.record.run
        outcome.write_into(run)
        run.ended_at = self._clock.now()
        run.sampled = self.sampled
        run.latency_all = OperationLatency.model_validate(latency_all)
        run.rows_before, run.rows_after = self._rows_before, after.rows
        run.spent_after = after.spent
        self.record.write()
        self.record.forget_position()
        return outcome

    def _drain(self) -> tuple[float, "_After"]:
        """Offer nothing more and let all be known; return the seconds offered, and the source."""
        now, elapsed = self.swarm.now(), self.swarm.elapsed()
        ended_at = self.swarm.stop_offering()
        _wait_until(lambda: not any(c.in_flight for c in self._counts()), DRAIN_SECONDS)
        _wait_until(self._settled, SETTLE_SECONDS if self._may_settle() else 0.0)
        whole = self.plan.duration
        seconds = min(max(whole - self.left, elapsed + max(0.0, ended_at - now)), whole)
        after = self._source_after()
        if after.rows is not None and self.swarm.awaits_sums():
            self.swarm.settle_from_sums(gained(self._rows_before, after.rows))
        return seconds, after

    def _await_disk(self) -> None:
        """Wait for room for the record, which is not complete without what waits."""
        deadline = time.monotonic() + DISK_SECONDS
        while self.behind and time.monotonic() < deadline:
            time.sleep(1.0)
            self._write_record(self._clock.now())

    def _row(
        self, at: datetime, name: str, counts: Counts, target: float, pair: Sequence[Histogram]
    ) -> Sample:
        service, intended = (h.quantiles((0.5, 0.95, 0.99)) for h in pair)
        return Sample(at, name, target, *counts.dump(), *service, *intended)

    def _settled(self) -> bool:
        return self.swarm.awaits_sums() or not any(c.unknown for c in self._counts())

    def _counts(self) -> Iterable[Counts]:
        return self.swarm.counts().values()

    def _may_settle(self) -> bool:
        """Tell whether there is hope: not where another database answers."""
        if not self._settled():
            with suppress(SourceError, psycopg.Error), self.session() as connection:
                return is_of_run(connection, self.plan.run_token)
        return True

    def _source_after(self) -> "_After":
        """Return the source's rows and what it spent, or why not; the users are still connected."""
        try:
            with (
                postgres.plain_errors("counting the source's rows"),
                self.session() as connection,
            ):
                if is_of_run(connection, self.plan.run_token):
                    return _After(count_rows(connection), resources_used(connection))
                raise another_database(self.plan.run_token)
        except SourceError as exc:
            return _After(why_not=str(exc))


class _After(NamedTuple):
    """The source once all is known: its rows and what it has spent, or why nobody can tell."""

    rows: dict[str, TableRows] | None = None
    spent: Spent | None = None
    why_not: str = ""


def _summaries(service: Histogram, intended: Histogram) -> Quantiles:
    return {"service": summary(service), "intended": summary(intended)}


def _wait_until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
