"""Settles the open writes of a lost process: a worker, or all processes of a killed run.

A lost process's last report is a cut: it accounts for every arrival before its places, except those
that it lists as unfinished. After the cut the process may have performed its own arrivals up to the
hand-over. All of these are unknown until a look-up by their proof, once its backends have left.
Moves after the cut aimed at rows that only this process knew; they are settled at the end of the
run from the sum of the rows' versions, when all writing has ended. Writes without a proof stay
unknown.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime

import psutil
import psycopg

from loadgen.errors import SourceError
from loadgen.load.lookup import is_of_run
from loadgen.load.proofs import Proofs
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.workload.ledger import Counts
from loadgen.workload.model import WorkloadModel
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Plan

_SQL = statements("loadgen.load", "targets.sql")
_PATIENCE_SECONDS = 60.0
LOST_SECONDS = 7.0  # without a report; a pause of four seconds ends nothing


def lost_reason(worker: WorkerState, *, connected: bool, is_child: bool) -> str:
    """Return why a worker has to be given up; empty while it is there.

    `connected` is whether Locust still knows it, `is_child` whether it is a child of this process.
    """
    if is_child and not is_running(worker.pid):
        return f"its process {worker.pid} has died"
    if not connected:
        return "it has left"
    silent = time.monotonic() - worker.heard_at > LOST_SECONDS
    return f"nothing was heard of it for {LOST_SECONDS:g} s" if silent else ""


def is_running(pid: int) -> bool:
    """Tell whether a process of this machine runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_off(worker: WorkerState, schedule: Schedule, hand_over: float) -> None:
    """Count as unknown all open arrivals of `worker`, up to schedule time `hand_over`."""
    worker.lost = True
    worker.after = {
        name: _after_cut(worker, schedule, name, hand_over) for name in schedule.cursors
    }
    for name in schedule.cursors:
        old = worker.counts.get(name, Counts())  # none if it has never reported
        listed = sum(1 for operation, *_ in worker.unfinished if operation == name)
        unknown = listed + len(worker.after[name])
        offered = old.committed + old.failed + old.skipped + unknown
        worker.counts[name] = Counts(
            offered, old.committed, old.failed, old.skipped, unknown, in_flight=0
        )


def settle(
    dsn: str, plan: Plan, proofs: Proofs, worker: WorkerState, since: datetime | None = None
) -> None:
    """Look up the writes of `write_off`; without an answer for a minute they stay unknown.

    A worker may name any process as its backend. Only sessions that can be its own are ended: those
    that began after `since`, the server's time at the run's begin.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with postgres.connect(dsn) as connection:
                if not is_of_run(connection, plan.run_token):
                    time.sleep(1.0)
                    continue
                if _has_backends(connection, worker, since):
                    time.sleep(0.2)
                    continue
                _look_up(connection, proofs, worker)
                return
        except (SourceError, psycopg.Error):
            time.sleep(1.0)


def account_for_killed(
    dsn: str,
    plan: Plan,
    proofs: Proofs,
    position: RunPosition,
    schedule: Schedule,
) -> None:
    """Account for all that the processes of a killed run left open; they are gone for good.

    The look-up comes before the first new write, so that no later update is taken for theirs.
    Raises SourceError if that is impossible.
    """
    for worker in position.processes:
        if not worker.after:
            write_off(worker, schedule, position.s)
        if not worker.looked_up:
            settle(dsn, plan, proofs, worker)
        if not worker.looked_up:
            raise SourceError(
                f"the unfinished writes of run {plan.run_id} can't be looked up: resume again once "
                "the source answers"
            )


def awaits_sums(proofs: Proofs, workers: Iterable[WorkerState]) -> bool:
    """Tell whether writes that have a proof are unknown, and only the tables' sums settle them."""
    unknown = [
        worker
        for worker in workers
        if any(
            counts.unknown and name not in proofs.unproved for name, counts in worker.counts.items()
        )
    ]
    return bool(unknown) and all(worker.looked_up for worker in unknown)


def settle_from_sums(
    model: WorkloadModel, workers: Iterable[WorkerState], updates: Mapping[str, int]
) -> None:
    """Settle the unknown moves at the end of a run, when all writing has ended.

    `updates` are, by table, the updates that its versions show and no committed write explains.
    What two operations share stays unknown, unless all of it was committed, or nothing.
    """
    workers = list(workers)
    for table, extra in updates.items():
        unknown = {
            name: n
            for name, operation in model.operations.items()
            if (operation.proof.kind, operation.proof.table) == ("version", table)
            and (n := sum(worker.counts[name].unknown for worker in workers))
        }
        left = min(max(0, extra), sum(unknown.values()))
        if len(unknown) > 1 and left not in (0, sum(unknown.values())):
            continue
        for name in unknown:
            for worker in workers:
                n = worker.counts[name].unknown
                if worker.lost and n:
                    committed = min(left, n)
                    left -= committed
                    worker.resolve(name, committed=committed, skipped=n - committed)


def _has_backends(
    connection: psycopg.Connection, worker: WorkerState, since: datetime | None
) -> bool:
    """End a lost worker's sessions; tell whether it may still commit something."""
    if not worker.backends:
        return False
    pids = worker.backends
    connection.execute(_SQL["terminate_backends"], {"pids": pids, "since": since})
    row = connection.execute(_SQL["backends_left"], (pids,)).fetchone()
    return row is not None and bool(row[0])


def _after_cut(worker: WorkerState, schedule: Schedule, operation: str, until: float) -> list[int]:
    """Return the k of `worker`'s arrivals that are due before `until` and that it had not begun.

    One that has never reported may have begun with the first of its shard.
    """
    cursor = schedule.cursors[operation]
    place = worker.places.get(operation)
    if place is None:
        place = cursor.process.seek((0, 0), cursor.rate_curve.unit_time(worker.shards[0][0]))
    not_begun = [*worker.left.get(operation, ())]
    until = min(until, schedule.end)
    while True:
        points, _, after = cursor.process.unit_times(place)
        for k, due in enumerate(cursor.rate_curve.due_times(points), start=place[0]):
            if due >= until:
                return not_begun
            shard = worker.shard_at(due)
            if k % shard.of == shard.part:
                not_begun.append(k)
        place = (place[0] + len(points), after[-1])


def _look_up(connection: psycopg.Connection, proofs: Proofs, worker: WorkerState) -> None:
    """Look all of it up first, then change the counts in one step."""
    unfinished = [
        (operation, proofs.is_committed(connection, operation, key, version))
        for operation, _, key, version in worker.unfinished
        if operation not in proofs.unproved
    ]
    committed_after = {
        operation: proofs.count_committed(connection, operation, ks)
        for operation, ks in worker.after.items()
        if proofs.kinds[operation] in ("key", "once")
    }
    for operation, is_there in unfinished:
        worker.resolve(operation, committed=int(is_there), failed=int(not is_there))
    for operation, n in committed_after.items():
        worker.resolve(operation, committed=n, skipped=len(worker.after[operation]) - n)
    worker.looked_up = True
