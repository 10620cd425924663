"""Checks of runs with a fault, and functions that cause faults."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
import pytest
from psycopg import sql

from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    OPERATION,
    RATES,
    check_record,
    latest,
    newest,
    wait_for,
)

USERS = 8
WITH_USERS = ("-u", str(USERS))
LATENESS_LIMIT = 1.0  # seconds, the default


def check_faulted(
    project: Path,
    dsn: str,
    before: Mapping[str, int],
    asked: Mapping[str, float],
    *,
    users: int = USERS,
) -> dict[str, Any]:
    """Check law, rows and the schedule of `asked` per hour, and that no burst followed."""
    run = check_record(project, dsn, before)
    check_schedule(project, asked)
    check_no_burst(project, asked, users)
    return run


def check_law_and_schedule(project: Path, asked: Mapping[str, float]) -> None:
    """Check law and schedule, which hold even if a run has lost its source for good."""
    assert all(sample.balanced() for sample in Sample.read(project / "reports" / "latest"))
    check_schedule(project, asked)
    check_no_burst(project, asked, USERS)


def per_hour(factor: float) -> dict[str, float]:
    """Return the hourly rates of `rates(factor)`, by operation."""
    return {OPERATION[name]: rate * factor for name, rate in RATES.items()}


def check_schedule(project: Path, asked: Mapping[str, float]) -> None:
    """Check that offered follows the clock through every fault, at each sample and at the end."""
    run = latest(project)
    started = datetime.fromisoformat(run["schedule_started_at"]).timestamp()
    for sample in Sample.read(project / "reports" / "latest"):
        seconds = min(sample.time.timestamp() - started, run["duration_seconds"])
        rate = asked[sample.operation] / 3600
        assert rate * (seconds - 0.5) - 1 <= sample.offered <= rate * (seconds + 0.1) + 1, sample
    for name, totals in run["totals"].items():
        rate = asked[name] / 3600
        due = rate * run["duration_seconds"]  # which is rounded to milliseconds
        assert totals["offered"] == pytest.approx(due, abs=1 + rate / 1000)


def check_no_burst(project: Path, asked: Mapping[str, float], users: int) -> None:
    """Check that an interval sends its target, arrivals within the limit and one a user at most."""
    target = sum(asked.values()) / 3600
    for (then, sent_before), (now, sent) in pairwise(sent_over_time(project)):
        most = target * (now - then + 0.2 + LATENESS_LIMIT) + users
        assert sent - sent_before <= most, (now, sent - sent_before, most)


def sent_over_time(project: Path) -> list[tuple[float, int]]:
    """Return (time, writes that were sent and have ended or are unknown) at each sample."""
    return [
        (at, sum(s.committed + s.failed + s.unknown for s in samples))
        for at, samples in by_time(project)
    ]


def by_time(project: Path) -> list[tuple[float, list[Sample]]]:
    """Return the samples by time."""
    samples = Sample.read(project / "reports" / "latest")
    groups = groupby(samples, key=lambda sample: sample.time.timestamp())
    return [(at, list(group)) for at, group in groups]


def wait_until_it_writes(project: Path, accepting_at: float) -> None:
    """Wait until users write again, after the server accepts them again."""

    def writes() -> bool:
        committed = [(at, sum(s.committed for s in samples)) for at, samples in by_time(project)]
        stalled = max(n for at, n in committed if at <= accepting_at)
        # More than the writes that were sent before the fault and are only now found committed.
        return any(at > accepting_at and n > stalled + USERS for at, n in committed)

    wait_for(writes, "users to write again")


def wait_for_commits(project: Path, operation: str = "insert_event", more: int = USERS) -> None:
    """Wait until an operation has committed more than `more` further writes."""
    before = newest(project)[operation].committed
    wait_for(lambda: newest(project)[operation].committed > before + more, "commits to go on")


def failed_by(run: Mapping[str, Any]) -> set[str]:
    """Return the SQLSTATEs of a run's failed writes."""
    return {sqlstate for found in run["failures"].values() for sqlstate in found}


def total(run: Mapping[str, Any], outcome: str) -> int:
    """Return how many arrivals of all operations had this outcome."""
    return sum(totals[outcome] for totals in run["totals"].values())


def faults(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the run's journal, which must have only faults."""
    assert {entry["kind"] for entry in run["journal"]} <= {"fault"}
    return list(run["journal"])


def outages(run: Mapping[str, Any]) -> list[float]:
    """Return how long the source was away each time, in seconds; each loss must have an end."""
    told = [fault for fault in faults(run) if fault["what"].startswith("source_")]
    for worker in {fault.get("worker") for fault in told}:
        ours = [fault["what"] for fault in told if fault.get("worker") == worker]
        assert ours == ["source_lost", "source_back"] * (len(ours) // 2)
    return [fault["seconds"] for fault in told if fault["what"] == "source_back"]


def cut(dsn: str, most: int | None = None) -> int:
    """Terminate the load's backends, at most `most`, but never the one with the load's lock."""
    with connect(dsn) as admin:
        done = admin.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity "
            "WHERE application_name = 'loadgen' AND datname = current_database() "
            "AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory') "
            "AND pid <> pg_backend_pid() "
            "LIMIT %s) AS found",
            (most,),
        ).fetchone()
    assert done is not None
    return int(done[0])


def wait_for_waiting(admin: psycopg.Connection, condition: LiteralString) -> None:
    """Wait until a session waits for a lock that meets the SQL `condition` on pg_locks."""
    query = sql.SQL("SELECT FROM pg_locks AS l WHERE NOT granted AND {} LIMIT 1")
    asked = query.format(sql.SQL(condition))
    wait_for(lambda: admin.execute(asked).rowcount, f"a lock to be waited for: {condition}")


@contextmanager
def frozen(postmaster: int) -> Iterator[None]:
    """Stop all processes of a server for a while."""
    server = psutil.Process(postmaster)
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        with suppress(ProcessLookupError):  # an autovacuum worker may end by itself meanwhile
            os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
