"""Going on with a run whose processes were killed: where it stood, and whether it may go on.

The run's folder holds its plan, its journal and `position.json`: every process's last vector. What
the killed processes may have done after that, up to the instant from which the run goes on, is
looked up like the arrivals of a lost worker.
"""

import argparse
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import cast, get_args

import psycopg

from loadgen.config.settings import load_settings, origins
from loadgen.errors import RecordError, SourceError
from loadgen.load.lookup import claim, claimed_by
from loadgen.load.options import show
from loadgen.load.swarm import Latencies
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.record.position import HistogramState, KilledRun, PauseBegun, Position, RateChange
from loadgen.record.reader import find_run
from loadgen.record.run import Run, TableRows
from loadgen.source import postgres
from loadgen.source.limits import first_write
from loadgen.sql import statements
from loadgen.untrusted import reading
from loadgen.workload.histogram import Histogram
from loadgen.workload.operations import OPERATIONS, RATE_SETTINGS
from loadgen.workload.schedule.arrival_process import ArrivalKind, Checkpoint
from loadgen.workload.schedule.clock import sampling_interval
from loadgen.workload.schedule.plan import Mix, Plan, run_id_of_token
from loadgen.workload.schedule.rate_curve import ProfileName

_SQL = statements("loadgen.load", "targets.sql")
# Workers whose master was killed take arrivals until they have not heard it for five seconds.
_SILENCE_SECONDS = 5.0
# A position is written after the workers were waited for; then it has to reach the disk.
_LATE_SECONDS = 2.5
_LEAVE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run to go on with."""

    folder: Path
    plan: Plan
    users: int
    mix: Mix  # in force at its end
    profile: ProfileName
    paused_by: tuple[str, str] | None  # reason and by whom, where a pause was in force
    past: RunPosition
    latencies: Latencies
    unbalanced: int
    rows_before: dict[str, TableRows]
    kept_at: float  # wall-clock time of its position
    kept_s: float  # and schedule time

    def left(self) -> float:
        """Return how many seconds of the run are left."""
        return self.plan.duration - self.past.elapsed

    def gap(self, now: datetime) -> dict[str, object]:
        """Return what the journal has to hold of the time in which nothing was offered.

        It goes on at `schedule_seconds`; the last `settled_seconds` before that were looked up.
        """
        since = datetime.fromtimestamp(self.kept_at, UTC)
        return {
            "from": since.isoformat(timespec="milliseconds"),
            "to": now.isoformat(timespec="milliseconds"),
            "seconds": round((now - since).total_seconds(), 3),
            "schedule_seconds": self.past.s,
            "settled_seconds": round(max(0.0, self.past.s - self.kept_s), 3),
        }


def find_resumable(reports_dir: Path, name: str) -> Resumed:
    """Return the run called `name` (an id, a folder, or `latest`).

    Raises RecordError where there is none, it has ended, or it left nothing to go on from.
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
        return resumed_of(run, position)


def resumed_of(run: Run, position: Position) -> Resumed:
    """Return what run.json and position.json tell. Raises ValueError."""
    killed = KilledRun.model_validate({"plan": run.plan, "users": run.users})
    plan = replace(Plan.load(killed.plan.model_dump()), resumption=secrets.token_hex(4))
    mix, profile = plan.mix, _profile(plan.profile)
    changes: list[tuple[float, Mapping[str, float], ProfileName]] = []
    pause: PauseBegun | None = None
    for event in run.journal:
        if event.kind == "rate_change":
            change = RateChange.model_validate(event.details)
            new = {name: rate.to for name, rate in change.rates_per_hour.items()}
            mix = Mix({**mix.rates_per_hour, **new})
            profile = _profile(change.profile.to) if change.profile else profile
            changes.append((change.schedule_seconds, mix.rates_per_hour, profile))
        elif event.kind == "pause":
            pause = PauseBegun.model_validate(event.details)
        elif event.kind == "resume":
            pause = None
    if plan.arrivals not in get_args(ArrivalKind):
        raise ValueError(f"there are no arrivals {plan.arrivals}")
    if missing := [name for name in OPERATIONS if name not in mix.rates_per_hour]:
        raise ValueError(f"its plan has no rate of {missing[0]}")
    s = _goes_on_at(position, plan.duration, pause.schedule_seconds if pause else None)
    remotes = [WorkerState.of(process) for process in position.processes]
    passed = _passed(remotes)
    for worker in remotes:
        worker.backends = []  # seen to leave; their process ids may be others' by now
    past = RunPosition(
        s=s,
        elapsed=position.elapsed + s - position.s,
        changes=changes,
        remotes=remotes,
        passed=passed,
        resumed=position.resumed + 1,
        paused=pause is not None,
    )
    return Resumed(
        folder=run.path,
        plan=plan,
        users=killed.users,
        mix=mix,
        profile=profile,
        paused_by=(pause.reason, pause.by) if pause else None,
        past=past,
        latencies={
            name: (Histogram.load(list(service)), Histogram.load(list(intended)))
            for name, (service, intended) in position.latencies.items()
        },
        unbalanced=position.unbalanced,
        rows_before=run.rows_before,
        kept_at=position.at,
        kept_s=position.s,
    )


def _goes_on_at(position: Position, duration: float, paused_at: float | None) -> float:
    """Return the schedule time before which the killed processes may have performed arrivals."""
    s, elapsed = position.s, position.elapsed
    silence = _SILENCE_SECONDS if position.workers else 0.0
    until = s + sampling_interval(elapsed) + _LATE_SECONDS + silence
    if paused_at is not None:
        until = max(s, min(until, paused_at))
    return min(until, s + duration - elapsed)


def _passed(remotes: Iterable[WorkerState]) -> dict[str, Checkpoint]:
    """Return places that lie before all that is still to do; empty where one is not known."""
    found = [worker.places for worker in remotes if not worker.lost]
    if not all(found):
        return {}
    return {name: min(places[name] for places in found) for name in OPERATIONS if found}


def latencies_position(latencies: Latencies) -> dict[str, tuple[HistogramState, HistogramState]]:
    """Return what position.json holds of a run's latencies."""
    return {
        name: (_histogram(service), _histogram(intended))
        for name, (service, intended) in latencies.items()
    }


def _histogram(histogram: Histogram) -> HistogramState:
    return tuple(histogram.counts.items()), histogram.total, histogram.maximum


def _profile(name: str) -> ProfileName:
    if name not in get_args(ProfileName):
        raise ValueError(f"there is no profile {name}")
    return cast("ProfileName", name)


def show_in_force(options: argparse.Namespace, resumed: Resumed) -> None:
    """Let Locust's form and timer have what is in force and what is left."""
    show(options, resumed.mix, resumed.profile)
    options.run_time = max(1, ceil(resumed.left()))


def not_taken(options: argparse.Namespace, resumed: Resumed) -> list[str]:
    """Return what was given, here or in the settings, and differs from what the run goes on with.

    Call it before `show_in_force`.
    """
    settings, origin, plan = load_settings(), origins(), resumed.plan
    rates = {RATE_SETTINGS[name]: rate for name, rate in resumed.mix.rates_per_hour.items()}
    kept = {
        "seed": plan.seed,
        "arrivals": plan.arrivals,
        "lateness_limit_seconds": plan.lateness_limit,
        "event_bytes": plan.event_bytes,
        "hot_users": plan.hot_users,
        "pipeline_depth": plan.pipeline_depth,
        "profile": resumed.profile,
        **rates,
    }
    line = {"profile": options.load_profile, **{name: getattr(options, name) for name in rates}}
    words = []
    for name, own in kept.items():
        setting = getattr(settings, name)
        asked = line.get(name, setting)
        if asked not in {own, setting} or (asked != own and origin[name] != "default"):
            words.append(f"{name.upper()}={_plain(asked)} (it has {_plain(own)})")
    seconds, default = float(options.run_time), round(settings.test_duration_hours * 3600)
    if seconds not in {default, plan.duration}:
        words.append(f"a run time of {seconds:g} s (it has {plan.duration:g} s)")
    return words


def _plain(value: object) -> str:
    return f"{value:,.15g}" if isinstance(value, float) else str(value)


def take_possession(connection: psycopg.Connection, resumed: Resumed) -> None:
    """See to it that nothing of the killed run can write any more; the load's lock is ours.

    The source's marker gets a claim that left-over processes don't know, so that whoever connects
    from now on is turned away; sessions from before are ended. Raises SourceError where this is
    another database, or its sessions don't leave.
    """
    with postgres.plain_errors("resuming the run"):
        last = claimed_by(connection) or "none"
        if run_id_of_token(last) != resumed.plan.run_id:
            raise SourceError(
                f"run {resumed.plan.run_id} can't go on here: the last run in this database is "
                f"{run_id_of_token(last)}; start a new one"
                + ("" if postgres.is_embedded(connection) else ", or correct DATABASE_URL")
            )
        with first_write(connection, "resuming the run"):
            claim(connection, resumed.plan.run_token)
        since = connection.execute(_SQL["server_time"]).fetchone()
        deadline = time.monotonic() + _LEAVE_SECONDS
        while connection.execute(_SQL["terminate_older"], since).fetchall():
            if time.monotonic() > deadline:
                raise SourceError(
                    f"sessions of the killed run {resumed.plan.run_id} are still in the database "
                    "after a minute: look for them in pg_stat_activity, then resume again"
                )
            time.sleep(0.2)
