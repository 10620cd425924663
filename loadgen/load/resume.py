"""Resuming a run whose processes were killed: its position, and whether it can continue.

The run's folder holds its plan, its journal and `position.json`: every process's last report. What
the killed processes may have written after that, up to the instant from which the run continues, is
looked up like the arrivals of a lost worker.
"""

import argparse
import secrets
import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import cast, get_args

import psycopg

from loadgen import text
from loadgen.config.settings import Settings, origins
from loadgen.errors import RecordError, SourceError
from loadgen.load.lookup import current_run_token, set_run_token
from loadgen.load.messages import NewRates
from loadgen.load.options import fill_in
from loadgen.load.swarm import Latencies
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.record.folder import find_run
from loadgen.record.position import HistogramState, KilledRun, PauseBegun, Position, RateChange
from loadgen.record.run import Run, TableRows
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.sql import statements
from loadgen.untrusted import reading
from loadgen.workload.histogram import Histogram
from loadgen.workload.model import Operation, WorkloadModel
from loadgen.workload.operations import profile_of
from loadgen.workload.schedule.arrival_process import ArrivalKind, Checkpoint
from loadgen.workload.schedule.clock import sampling_interval
from loadgen.workload.schedule.plan import Mix, Plan, run_id_of_token
from loadgen.workload.schedule.rate_curve import ProfileName, profiles_of

_SQL = statements("loadgen.load", "targets.sql")
# Workers whose master was killed take arrivals until it has been silent for five seconds.
_SILENCE_SECONDS = 5.0
# A position is written after the wait for the workers' reports; then it has to reach the disk.
_LATE_SECONDS = 2.5
_LEAVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """A killed run that can continue."""

    folder: Path
    plan: Plan
    users: int
    mix: Mix  # at its end
    profile: ProfileName
    paused_by: tuple[str, str] | None  # reason and author, if it was paused
    position: RunPosition
    latencies: Latencies
    unbalanced: int
    rows_before: dict[str, TableRows]
    saved_at: float  # wall-clock time of its position
    saved_s: float  # and schedule time

    def left(self) -> float:
        """Return how many seconds of the run are left."""
        return self.plan.duration - self.position.elapsed

    def gap(self, now: datetime) -> dict[str, object]:
        """Return the journal's entry of the time in which nothing was offered.

        The run continues at `schedule_seconds`; the last `settled_seconds` before that were looked
        up.
        """
        since = datetime.fromtimestamp(self.saved_at, UTC)
        return {
            "from": since.isoformat(timespec="milliseconds"),
            "to": now.isoformat(timespec="milliseconds"),
            "seconds": round((now - since).total_seconds(), 3),
            "schedule_seconds": self.position.s,
            "settled_seconds": round(max(0.0, self.position.s - self.saved_s), 3),
        }


def find_resumable(reports_dir: Path, name: str, model: WorkloadModel) -> Resumed:
    """Return the run called `name` (an id, a folder, or `latest`).

    Raises RecordError if there is none, it has ended, or it left no position.
    """
    folder = find_run(reports_dir, name)
    run = Run.of(folder)
    if run.ended_at is not None:
        raise RecordError(f"run {run.run_id} has ended, so there is nothing to resume")
    try:
        position = Position.of(folder)
    except FileNotFoundError as exc:
        raise RecordError(
            f"run {run.run_id} was killed before its first sample: start a new one"
        ) from exc
    with reading(folder / Run.FILE, "start a new run"):
        return resumed_of(run, position, model)


def resumed_of(run: Run, position: Position, model: WorkloadModel) -> Resumed:
    """Return the run of a run.json and a position.json, if it is of this workload.

    Raises ValueError.
    """
    killed = KilledRun.model_validate({"plan": run.plan, "users": run.users})
    plan = replace(
        Plan.load(killed.plan.model_dump()),
        own_profile=model.profile,  # it has the same digest
        resumption=secrets.token_hex(4),
    )
    last = _replayed(run, plan, profiles_of(model.profile))
    mix, pause = last.mix, last.pause
    if plan.arrivals not in get_args(ArrivalKind):
        raise ValueError(f"there are no arrivals {plan.arrivals}")
    if plan.workload != model.digest:
        raise ValueError(f"its workload is not {model.name} as its files are now")
    if missing := [name for name in model.operations if name not in mix.rates_per_hour]:
        raise ValueError(f"its plan has no rate of {missing[0]}")
    if unknown := [name for name in mix.rates_per_hour if name not in model.operations]:
        raise ValueError(f"its plan has a rate of {unknown[0]}, which is no operation")
    s = _continues_at(position, plan.duration, pause.schedule_seconds if pause else None)
    processes = [WorkerState.of(process) for process in position.processes]
    checkpoints = _checkpoints(processes)
    for worker in processes:
        worker.backends = []  # they have left; their process ids may be others' by now
    return Resumed(
        folder=run.path,
        plan=plan,
        users=killed.users,
        mix=mix,
        profile=last.profile,
        paused_by=(pause.reason, pause.by) if pause else None,
        position=RunPosition(
            s=s,
            elapsed=position.elapsed + s - position.s,
            changes=last.changes,
            processes=processes,
            checkpoints=checkpoints,
            resumptions=position.resumed + 1,
            paused=pause is not None,
        ),
        latencies={
            name: (Histogram.load(list(service)), Histogram.load(list(intended)))
            for name, (service, intended) in position.latencies.items()
        },
        unbalanced=position.unbalanced,
        rows_before=run.rows_before,
        saved_at=position.at,
        saved_s=position.s,
    )


@dataclass(slots=True)
class _Replayed:
    """A run's last rates and profile, all changes of them, and the pause that it is in."""

    mix: Mix
    profile: ProfileName
    changes: list[NewRates] = field(default_factory=list)
    pause: PauseBegun | None = None


def _replayed(run: Run, plan: Plan, known: Container[str]) -> _Replayed:
    """Return where the run's journal leaves its plan. Raises ValueError."""
    last = _Replayed(plan.mix, _profile(plan.profile, known))
    for event in run.journal:
        if event.kind == "rate_change":
            change = RateChange.model_validate(event.details)
            new = {name: rate.to for name, rate in change.rates_per_hour.items()}
            last.mix = Mix({**last.mix.rates_per_hour, **new})
            if change.profile:
                last.profile = _profile(change.profile.to, known)
            last.changes.append(NewRates(change.schedule_seconds, last.mix, last.profile))
        elif event.kind == "pause":
            last.pause = PauseBegun.model_validate(event.details)
        elif event.kind == "resume":
            last.pause = None
    return last


def _profile(name: str, known: Container[str]) -> ProfileName:
    if name not in known:
        raise ValueError(f"there is no profile {name}")
    return cast("ProfileName", name)


def _continues_at(position: Position, duration: float, paused_at: float | None) -> float:
    """Return the schedule time before which the killed processes may have performed arrivals."""
    s, elapsed = position.s, position.elapsed
    silence = _SILENCE_SECONDS if position.workers else 0.0
    until = s + sampling_interval(elapsed) + _LATE_SECONDS + silence
    if paused_at is not None:
        until = max(s, min(until, paused_at))
    return min(until, s + duration - elapsed)


def _checkpoints(processes: Iterable[WorkerState]) -> dict[str, Checkpoint]:
    """Return places that lie before all that is still to do; empty unless all of them are known."""
    by_process = [worker.places for worker in processes if not worker.lost]
    if not all(by_process):
        return {}
    names = by_process[0] if by_process else ()
    return {name: min(places[name] for places in by_process) for name in names}


def latencies_position(latencies: Latencies) -> dict[str, tuple[HistogramState, HistogramState]]:
    """Return a run's latencies as position.json holds them."""
    return {
        name: (_histogram_state(service), _histogram_state(intended))
        for name, (service, intended) in latencies.items()
    }


def _histogram_state(histogram: Histogram) -> HistogramState:
    return tuple(histogram.counts.items()), histogram.total, histogram.maximum


def fill_in_resumed(
    options: argparse.Namespace, operations: Mapping[str, Operation], resumed: Resumed
) -> None:
    """Set Locust's form and timer to the run's rates and profile, and the time that is left."""
    fill_in(options, operations, resumed.mix, resumed.profile)
    options.run_time = max(1, ceil(resumed.left()))


def ignored_settings(
    options: argparse.Namespace,
    model: WorkloadModel,
    resumed: Resumed,
    settings: Settings,
) -> list[str]:
    """Return what the command line or the settings set, and the resumed run has otherwise.

    `settings` are without the command line. Call it before `fill_in_resumed`.
    """
    origin, plan = origins(), resumed.plan
    rates = {
        model.operations[name].option: rate for name, rate in resumed.mix.rates_per_hour.items()
    }
    values_of_run = {
        "seed": plan.seed,
        "arrivals": plan.arrivals,
        "lateness_limit_seconds": plan.lateness_limit,
        **plan.settings,
        "pipeline_depth": plan.pipeline_depth,
        "load_loop": plan.load_loop,
        "profile": resumed.profile,
        **rates,
    }
    of_command_line = {
        "profile": options.load_profile,
        **{name: getattr(options, name) for name in rates},
    }
    lines = []
    for name, own in values_of_run.items():
        setting = getattr(settings, name) if name != "profile" else profile_of(settings, model)
        wanted = of_command_line.get(name, setting)
        if wanted not in {own, setting} or (wanted != own and origin[name] != "default"):
            lines.append(f"{name.upper()}={text.value(wanted)} (it has {text.value(own)})")
    seconds, default = float(options.run_time), round(settings.test_duration_hours * 3600)
    if seconds not in {default, plan.duration}:
        lines.append(f"a run time of {seconds:g} s (it has {plan.duration:g} s)")
    return lines


def fence_killed_run(connection: psycopg.Connection, resumed: Resumed) -> None:
    """Make sure that the killed run's processes can't write any more; the load's lock is ours.

    The source gets a run token that left-over processes don't know, which turns away all that
    connect from now on; older sessions are ended. Raises SourceError if this is another database,
    or its sessions don't leave.
    """
    with postgres.plain_errors("resuming the run"):
        last = current_run_token(connection) or "none"
        if run_id_of_token(last) != resumed.plan.run_id:
            raise SourceError(
                f"run {resumed.plan.run_id} can't be resumed here: the last run in this database "
                f"is {run_id_of_token(last)}; start a new one"
                + ("" if postgres.is_embedded(connection) else ", or correct DATABASE_URL")
            )
        with first_write(connection, "resuming the run"):
            set_run_token(connection, resumed.plan.run_token)
        since = connection.execute(_SQL["server_time"]).fetchone()
        deadline = time.monotonic() + _LEAVE_SECONDS
        while connection.execute(_SQL["terminate_older"], since).fetchall():
            if time.monotonic() > deadline:
                raise SourceError(
                    f"sessions of the killed run {resumed.plan.run_id} are still in the database "
                    "after a minute: look for them in pg_stat_activity, then resume again"
                )
            time.sleep(0.2)
