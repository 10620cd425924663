"""Settles the open writes of a lost process: a worker, or all processes of a killed run.

A lost process's last report is a cut: it accounts for every arrival before its places, except those
that it lists as unfinished. After the cut the process may have performed its own arrivals up to the
hand-over. All of these are unknown until a look-up, once its backends have left: inserts by key,
soft deletes by user, the updates that it listed by key and version. Updates after the cut aimed at
orders that only this process knew; they are settled at the end of the run from the sum of
`version`, when all writing has ended.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import psutil
import psycopg

from loadgen.errors import SourceError
from loadgen.load.driver.wire import execution
from loadgen.load.lookup import count_committed, is_committed, is_of_run
from loadgen.load.messages import UnfinishedWrite
from loadgen.load.operations import Write
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.workload.data.orders import Order
from loadgen.workload.data.users import user_to_delete
from loadgen.workload.keys import key_maker
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import Operation
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
    dsn: str,
    plan: Plan,
    operations: Mapping[str, Operation],
    worker: WorkerState,
    since: datetime | None = None,
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
                _look_up(connection, plan, operations, worker)
                return
        except (SourceError, psycopg.Error):
            time.sleep(1.0)


def account_for_killed(
    dsn: str,
    plan: Plan,
    operations: Mapping[str, Operation],
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
            settle(dsn, plan, operations, worker)
        if not worker.looked_up:
            raise SourceError(
                f"the unfinished writes of run {plan.run_id} can't be looked up: resume again once "
                "the source answers"
            )


def awaits_sums(workers: Iterable[WorkerState]) -> bool:
    """Tell whether writes are unknown, and only the tables' sums can settle them."""
    unknown = [
        worker for worker in workers if any(counts.unknown for counts in worker.counts.values())
    ]
    return bool(unknown) and all(worker.looked_up for worker in unknown)


def settle_from_sums(
    operations: Mapping[str, Operation], workers: Iterable[WorkerState], gained: Mapping[str, int]
) -> None:
    """Settle the unknown updates at the end of a run, when all writing has ended."""
    workers = list(workers)
    for operation in (name for name, op in operations.items() if op.proof == "version"):
        extra = gained[operation] - sum(worker.counts[operation].committed for worker in workers)
        for worker in workers:
            unknown = worker.counts[operation].unknown
            if worker.lost and unknown:
                committed = min(max(0, extra), unknown)
                extra -= committed
                worker.resolve(operation, committed=committed, skipped=unknown - committed)


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
    not_begun = [k for name, k in worker.left if name == operation]
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


def _look_up(
    connection: psycopg.Connection,
    plan: Plan,
    operations: Mapping[str, Operation],
    worker: WorkerState,
) -> None:
    """Look all of it up first, then change the counts in one step."""
    unfinished = [
        (write.operation, is_committed(connection, operations[write.operation], _as_write(write)))
        for write in worker.unfinished
    ]
    committed_after = {
        name: count_committed(connection, operation, [*map(_key_of(plan, operation), ks)])
        for name, ks in worker.after.items()
        if (operation := operations[name]).proof != "version"
    }
    for name, is_there in unfinished:
        worker.resolve(name, committed=int(is_there), failed=int(not is_there))
    for name, n in committed_after.items():
        worker.resolve(name, committed=n, skipped=len(worker.after[name]) - n)
    worker.looked_up = True


def _key_of(plan: Plan, operation: Operation) -> Callable[[int], str]:
    """Return a function from k to the key of the row that this arrival made or changed."""
    if operation.proof == "once":
        return lambda k: str(user_to_delete(k, plan.users, plan.lowest_deleted_rank) or 0)
    make = key_maker(plan.run_id, operation.name)
    return lambda k: make(k).decode()


def _as_write(write: UnfinishedWrite) -> Write:
    operation, k, key, version = write
    request = execution(operation.encode(), (key.encode(),))
    return Write(operation, k, request, Order(key.encode(), "", version))
