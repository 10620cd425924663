"""Going on with a run whose processes were killed: where it stood, and whether it may go on.

The run's folder holds its plan, its journal and `position.json`: every process's last vector. What
the killed processes may have done after that, up to the instant from which the run goes on, is
looked up like the arrivals of a lost worker.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from loadgen.engine.process import Past, Remote
from loadgen.engine.protocol import Latencies
from loadgen.errors import RecordError, SourceError
from loadgen.record import POSITION_FILE, RUN_FILE
from loadgen.record_reader import find_run, load_run
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.workload.histogram import Histogram
from loadgen.workload.mix import OPERATIONS, Mix
from loadgen.workload.plan import Plan
from loadgen.workload.profiles import ProfileName

_SQL = statements("loadgen.workload", "targets.sql")
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
    mix: Mix  # in force at its end
    profile: ProfileName
    past: Past
    latencies: Latencies
    unbalanced: int
    rows_before: Mapping[str, Mapping[str, int]]
    kept_at: float  # wall-clock time of its position
    quiet_at: float  # wall-clock time from which none of its processes takes an arrival

    def left(self) -> float:
        """Return how many seconds of the run are left."""
        return self.plan.duration - self.past.elapsed

    def gap(self) -> dict[str, object]:
        """Return what the journal has to hold of the time in which nothing was offered."""
        now = datetime.now(UTC)
        since = datetime.fromtimestamp(self.kept_at, UTC)
        return {
            "from": since.isoformat(timespec="milliseconds"),
            "to": now.isoformat(timespec="milliseconds"),
            "seconds": round((now - since).total_seconds(), 3),
            "schedule_seconds": self.past.s,
        }


def find_resumable(reports_dir: Path, name: str) -> Resumed:
    """Return the run called `name` (an id, a folder, or `latest`).

    Raises RecordError where there is none, it has ended, or it left nothing to go on from.
    """
    folder = find_run(reports_dir, name)
    run = load_run(folder)
    if run.ended_at is not None:
        raise RecordError(f"run {run.run_id} has ended, so there is nothing to resume")
    file = folder / POSITION_FILE
    try:
        raw = json.loads((folder / RUN_FILE).read_bytes())
        return _resumed(folder, raw, json.loads(file.read_bytes()))
    except FileNotFoundError as exc:
        raise RecordError(
            f"run {run.run_id} was killed before its first sample: start a new one"
        ) from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise RecordError(f"{file} can't be read ({exc!r}): start a new run") from exc


def _resumed(folder: Path, run: Mapping[str, Any], position: Mapping[str, Any]) -> Resumed:
    plan = Plan.load(run["plan"])
    mix, profile = plan.mix, plan.profile
    changes: list[tuple[float, Mapping[str, float], ProfileName]] = []
    paused_at: float | None = None
    for entry in run["journal"]:
        if entry["kind"] == "rate_change":
            new = {name: change["to"] for name, change in entry.get("rates_per_hour", {}).items()}
            mix = Mix({**mix.rates_per_hour, **new})
            profile = entry["profile"]["to"] if "profile" in entry else profile
            changes.append((entry["schedule_seconds"], mix.rates_per_hour, profile))
        elif entry["kind"] in {"pause", "resume", "gap"}:
            paused_at = entry["schedule_seconds"] if entry["kind"] == "pause" else None
    tail = position["interval"] + _LATE_SECONDS + (_SILENCE_SECONDS if position["workers"] else 0)
    s = position["s"] + tail
    if paused_at is not None:
        s = max(position["s"], min(s, paused_at))
    past = Past(
        s=s,
        elapsed=position["elapsed"] + s - position["s"],
        changes=changes,
        remotes=[Remote.load(dumped) for dumped in position["processes"]],
        resumed=position["resumed"] + 1,
    )
    return Resumed(
        folder=folder,
        plan=plan,
        mix=mix,
        profile=profile,
        past=past,
        latencies={
            name: (Histogram.load(service), Histogram.load(intended))
            for name, (service, intended) in position["latencies"].items()
        },
        unbalanced=position["unbalanced"],
        rows_before=run["rows_before"],
        kept_at=position["at"],
        quiet_at=position["at"] + tail,
    )


def position_of(
    processes: list[Remote], latencies: Latencies, **state: object
) -> dict[str, object]:
    """Return what a run that is killed now needs to go on, as plain values for JSON."""
    return {
        "at": time.time(),
        **state,
        "processes": [remote.dump() for remote in processes],
        "latencies": {name: [h.dump() for h in latencies[name]] for name in OPERATIONS},
    }


def take_possession(connection: psycopg.Connection, resumed: Resumed) -> None:
    """Wait until nothing of the killed run can write any more; the load's lock is ours.

    Raises SourceError where this is another database, or its sessions don't leave.
    """
    with postgres.plain_errors("resuming the run"):
        row = connection.execute("SELECT run_id FROM public.loadgen_playground").fetchone()
        last = row[0] if row else None
        if last != resumed.plan.run_id:
            raise SourceError(
                f"run {resumed.plan.run_id} can't go on here: the last run in this database is "
                f"{last}; start a new one, or correct DATABASE_URL"
            )
        time.sleep(max(0.0, resumed.quiet_at - time.time()))
        deadline = time.monotonic() + _LEAVE_SECONDS
        while connection.execute(_SQL["terminate_all"]).fetchall():
            if time.monotonic() > deadline:
                raise SourceError(
                    f"sessions of the killed run {resumed.plan.run_id} are still in the database "
                    "after a minute: end its workers, then resume again"
                )
            time.sleep(0.2)
