"""The settling of what a lost process left open: a worker, or all of a run that was killed.

A lost process's last vector is a cut: every arrival before its places is accounted for in it, but
for those it lists as unfinished. What it may have done after the cut are its own arrivals from
there to the hand-over. All of these are unknown until looked up, once its backends have left:
inserts by key, soft deletes by user, updates that it listed by key and version. Updates after the
cut aimed at orders that it alone knew; they are settled at the end of the run from the sum of
`version`, when nobody writes.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import psutil
import psycopg

from loadgen.errors import SourceError
from loadgen.load.driver.wire import execution
from loadgen.load.driver.writes import Write
from loadgen.load.lookup import count_committed, is_committed, is_of_run
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.workload.data.orders import Order
from loadgen.workload.data.users import user_to_delete
from loadgen.workload.keys import key_maker
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Plan

_SQL = statements("loadgen.load", "targets.sql")
_UPDATE = "update_order_status"
_PATIENCE_SECONDS = 60.0
LOST_SECONDS = 7.0  # without a report; a pause of four seconds ends nothing


def why_lost(worker: WorkerState, *, there: bool, ours: bool) -> str:
    """Return why a worker is given up; empty while it is there.

    `there` is whether Locust still knows it, `ours` whether it is a child process of this one.
    """
    if ours and not _runs(worker.pid):
        return f"its process {worker.pid} has died"
    if not there:
        return "it has left"
    silent = time.monotonic() - worker.heard_at > LOST_SECONDS
    return f"nothing was heard of it for {LOST_SECONDS:g} s" if silent else ""


def _runs(pid: int) -> bool:
    """Tell whether a process of this machine is there, and not only its entry."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_off(worker: WorkerState, schedule: Schedule, hand_over: float) -> None:
    """Count as unknown all that `worker` left open, up to schedule time `hand_over`."""
    worker.lost = True
    worker.after = {name: _after_cut(worker, schedule, name, hand_over) for name in OPERATIONS}
    for name in OPERATIONS:
        old = worker.counts[name]
        listed = sum(1 for operation, *_ in worker.unfinished if operation == name)
        unknown = listed + len(worker.after[name])
        offered = old.committed + old.failed + old.skipped + unknown
        worker.counts[name] = Counts(
            offered, old.committed, old.failed, old.skipped, unknown, in_flight=0
        )


def settle(dsn: str, plan: Plan, worker: WorkerState, since: datetime | None = None) -> None:
    """Look up what `write_off` left unknown; what can't be asked within a minute stays unknown.

    A worker may name any process as its backend: ended are only sessions that can be its own, which
    began after `since`, the server's time at the run's begin.
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
                _settle(connection, plan, worker)
                return
        except (SourceError, psycopg.Error):
            time.sleep(1.0)


def _has_backends(
    connection: psycopg.Connection, worker: WorkerState, since: datetime | None
) -> bool:
    """End what a lost worker left running; tell whether it may still commit something."""
    if not worker.backends:
        return False
    pids = worker.backends
    connection.execute(_SQL["terminate_backends"], {"pids": pids, "since": since})
    row = connection.execute(_SQL["backends_left"], (pids,)).fetchone()
    return row is not None and bool(row[0])


def take_up(dsn: str, plan: Plan, past: RunPosition, schedule: Schedule) -> None:
    """Account for all that the processes of a killed run left open; they are gone for good.

    Looked up before anything else is written, so that no later update is taken for theirs. Raises
    SourceError where that is impossible.
    """
    for worker in past.remotes:
        if not worker.after:
            write_off(worker, schedule, past.s)
        if not worker.looked_up:
            settle(dsn, plan, worker)
        if not worker.looked_up:
            raise SourceError(
                f"what run {plan.run_id} had under way can't be looked up: once the source "
                "answers, resume again"
            )


def awaits_sums(remotes: Iterable[WorkerState]) -> bool:
    """Tell whether something is unknown, and all of it can be told by the tables' sums alone."""
    unknown = [r for r in remotes if any(counts.unknown for counts in r.counts.values())]
    return bool(unknown) and all(worker.looked_up for worker in unknown)


def settle_from_sums(remotes: Iterable[WorkerState], gained: Mapping[str, int]) -> None:
    """Settle what only the tables' sums can tell, at the end of a run, when nobody writes."""
    remotes = list(remotes)
    extra = gained[_UPDATE] - sum(worker.counts[_UPDATE].committed for worker in remotes)
    for worker in remotes:
        unknown = worker.counts[_UPDATE].unknown
        if worker.lost and unknown:
            found = min(max(0, extra), unknown)
            extra -= found
            worker.resolve(_UPDATE, committed=found, skipped=unknown - found)


def _after_cut(worker: WorkerState, schedule: Schedule, operation: str, until: float) -> list[int]:
    """Return the k of `worker`'s arrivals that are due before `until` and that it had not begun.

    One that has never reported may have begun with the first of its share.
    """
    cursor = schedule.cursors[operation]
    place = worker.places.get(operation)
    if place is None:
        place = cursor.process.seek((0, 0), cursor.rate_curve.unit_time(worker.shares[0][0]))
    found = [k for name, k in worker.left if name == operation]
    until = min(until, schedule.end)
    while True:
        points, _, after = cursor.process.unit_times(place)
        for k, due in enumerate(cursor.rate_curve.due_times(points), start=place[0]):
            if due >= until:
                return found
            shard = worker.share_at(due)
            if k % shard.of == shard.part:
                found.append(k)
        place = (place[0] + len(points), after[-1])


def _settle(connection: psycopg.Connection, plan: Plan, worker: WorkerState) -> None:
    """Look all of it up first, then change the counts in one step."""
    listed = [
        (operation, is_committed(connection, _as_write(operation, k, key, version)))
        for operation, k, key, version in worker.unfinished
    ]
    found = {
        operation: count_committed(connection, operation, [*map(_key(plan, operation), ks)])
        for operation, ks in worker.after.items()
        if operation != _UPDATE
    }
    for operation, there in listed:
        worker.resolve(operation, committed=int(there), failed=int(not there))
    for operation, n in found.items():
        worker.resolve(operation, committed=n, skipped=len(worker.after[operation]) - n)
    worker.looked_up = True


def _key(plan: Plan, operation: str) -> Callable[[int], str]:
    """Return what tells the row that arrival k of `operation` made or changed."""
    if operation == "soft_delete_user":
        return lambda k: str(user_to_delete(k, plan.users, plan.lowest_deleted_rank) or 0)
    make = key_maker(plan.run_id, operation)
    return lambda k: make(k).decode()


def _as_write(operation: str, k: int, key: str, version: int) -> Write:
    finds = Order(key.encode(), "", version)
    return Write(operation, k, execution(operation.encode(), (key.encode(),)), finds)
