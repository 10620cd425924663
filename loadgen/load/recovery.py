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
from loadgen.load.worker_state import Past, Remote
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.workload.keys import key_maker
from loadgen.workload.ledger import Counts
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.mix import OPERATIONS
from loadgen.workload.schedule.plan import Plan
from loadgen.workload.targets import Order, user_to_delete

_SQL = statements("loadgen.load", "targets.sql")
_UPDATE = "update_order_status"
_PATIENCE_SECONDS = 60.0
LOST_SECONDS = 7.0  # without a report; a pause of four seconds ends nothing


def why_lost(remote: Remote, *, there: bool, ours: bool) -> str:
    """Return why a worker is given up; empty while it is there.

    `there` is whether Locust still knows it, `ours` whether it is a child process of this one.
    """
    if ours and not _runs(remote.pid):
        return f"its process {remote.pid} has died"
    if not there:
        return "it has left"
    silent = time.monotonic() - remote.heard_at > LOST_SECONDS
    return f"nothing was heard of it for {LOST_SECONDS:g} s" if silent else ""


def _runs(pid: int) -> bool:
    """Tell whether a process of this machine is there, and not only its entry."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_off(remote: Remote, schedule: Schedule, hand_over: float) -> None:
    """Count as unknown all that `remote` left open, up to schedule time `hand_over`."""
    remote.lost = True
    remote.after = {name: _after_cut(remote, schedule, name, hand_over) for name in OPERATIONS}
    for name in OPERATIONS:
        old = remote.counts[name]
        listed = sum(1 for operation, *_ in remote.unfinished if operation == name)
        unknown = listed + len(remote.after[name])
        offered = old.committed + old.failed + old.skipped + unknown
        remote.counts[name] = Counts(
            offered, old.committed, old.failed, old.skipped, unknown, in_flight=0
        )


def settle(dsn: str, plan: Plan, remote: Remote, since: datetime | None = None) -> None:
    """Look up what `write_off` left unknown; what can't be asked within a minute stays unknown.

    A worker may name any process as its backend: ended are only sessions that can be its own, which
    began after `since`, the server's time at the run's begin.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with postgres.connect(dsn) as connection:
                if not is_of_run(connection, plan.claim):
                    time.sleep(1.0)
                    continue
                if _has_backends(connection, remote, since):
                    time.sleep(0.2)
                    continue
                _settle(connection, plan, remote)
                return
        except (SourceError, psycopg.Error):
            time.sleep(1.0)


def _has_backends(connection: psycopg.Connection, remote: Remote, since: datetime | None) -> bool:
    """End what a lost worker left running; tell whether it may still commit something."""
    if not remote.backends:
        return False
    pids = remote.backends
    connection.execute(_SQL["terminate_backends"], {"pids": pids, "since": since})
    row = connection.execute(_SQL["backends_left"], (pids,)).fetchone()
    return row is not None and bool(row[0])


def take_up(dsn: str, plan: Plan, past: Past, schedule: Schedule) -> None:
    """Account for all that the processes of a killed run left open; they are gone for good.

    Looked up before anything else is written, so that no later update is taken for theirs. Raises
    SourceError where that is impossible.
    """
    for remote in past.remotes:
        if not remote.after:
            write_off(remote, schedule, past.s)
        if not remote.looked_up:
            settle(dsn, plan, remote)
        if not remote.looked_up:
            raise SourceError(
                f"what run {plan.run_id} had under way can't be looked up: once the source "
                "answers, resume again"
            )


def awaits_sums(remotes: Iterable[Remote]) -> bool:
    """Tell whether something is unknown, and all of it can be told by the tables' sums alone."""
    unknown = [r for r in remotes if any(counts.unknown for counts in r.counts.values())]
    return bool(unknown) and all(remote.looked_up for remote in unknown)


def settle_from_sums(remotes: Iterable[Remote], gained: Mapping[str, int]) -> None:
    """Settle what only the tables' sums can tell, at the end of a run, when nobody writes."""
    remotes = list(remotes)
    extra = gained[_UPDATE] - sum(remote.counts[_UPDATE].committed for remote in remotes)
    for remote in remotes:
        unknown = remote.counts[_UPDATE].unknown
        if remote.lost and unknown:
            found = min(max(0, extra), unknown)
            extra -= found
            remote.resolve(_UPDATE, committed=found, skipped=unknown - found)


def _after_cut(remote: Remote, schedule: Schedule, operation: str, until: float) -> list[int]:
    """Return the k of `remote`'s arrivals that are due before `until` and that it had not begun.

    One that has never reported may have begun with the first of its share.
    """
    walk = next(walk for walk in schedule.walks if walk.stream.operation == operation)
    place = remote.places.get(operation)
    if place is None:
        place = walk.stream.first_from((0, 0), walk.timeline.units(remote.shares[0][0]))
    found = [k for name, k in remote.left if name == operation]
    until = min(until, schedule.end)
    while True:
        points, _, after = walk.stream.points(place)
        for k, due in enumerate(walk.timeline.whens(points), start=place[0]):
            if due >= until:
                return found
            share = remote.share_at(due)
            if k % share.of == share.part:
                found.append(k)
        place = (place[0] + len(points), after[-1])


def _settle(connection: psycopg.Connection, plan: Plan, remote: Remote) -> None:
    """Look all of it up first, then change the counts in one step."""
    listed = [
        (operation, is_committed(connection, _as_write(operation, k, key, version)))
        for operation, k, key, version in remote.unfinished
    ]
    found = {
        operation: count_committed(connection, operation, [*map(_key(plan, operation), ks)])
        for operation, ks in remote.after.items()
        if operation != _UPDATE
    }
    for operation, there in listed:
        remote.resolve(operation, committed=int(there), failed=int(not there))
    for operation, n in found.items():
        remote.resolve(operation, committed=n, skipped=len(remote.after[operation]) - n)
    remote.looked_up = True


def _key(plan: Plan, operation: str) -> Callable[[int], str]:
    """Return what tells the row that arrival k of `operation` made or changed."""
    if operation == "soft_delete_user":
        return lambda k: str(user_to_delete(k, plan.users, plan.lowest_deleted_rank) or 0)
    make = key_maker(plan.run_id, operation)
    return lambda k: make(k).decode()


def _as_write(operation: str, k: int, key: str, version: int) -> Write:
    finds = Order(key.encode(), "", version)
    return Write(operation, k, execution(operation.encode(), (key.encode(),)), finds)
