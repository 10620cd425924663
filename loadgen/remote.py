"""A worker as the master knows it, and the settling of what a lost one left open.

A lost worker's last vector is a cut: every arrival before its places is accounted for in it, but
for those it lists as unfinished. What it may have done after the cut are its own arrivals from
there to the hand-over. All of these are unknown until looked up, once its backends have left:
inserts by key, soft deletes by user, updates that it listed by key and version. Updates after the
cut aimed at orders that it alone knew; they are settled at the end of the run from the sum of
`version`, when nobody writes.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

from loadgen.errors import SourceError
from loadgen.source import postgres
from loadgen.sql import statements
from loadgen.workload.arrivals import Schedule, Share
from loadgen.workload.ledger import Counts
from loadgen.workload.mix import OPERATIONS
from loadgen.workload.operations import Order, Write, key_maker, user_to_delete
from loadgen.workload.plan import Plan
from loadgen.workload.settle import backend_alive, is_committed, is_of_run

_TERMINATE = statements("loadgen.workload", "targets.sql")["terminate_backends"]
_UPDATE = "update_order_status"
_LOST_ANSWER = "08006"  # SQLSTATE of a write whose process died
_PATIENCE_SECONDS = 60.0
LOST_SECONDS = 7.0  # without a report; a pause of four seconds ends nothing


@dataclass(slots=True)
class Remote:
    """One worker, by its latest report."""

    shares: list[tuple[float, Share]]  # (from schedule time, share)
    heard_at: float  # on the monotonic clock
    ready: bool = False
    pid: int = 0  # on its own host
    applied: int = 0  # the newest change of rates that it acknowledged
    lost: bool = False
    looked_up: bool = False  # all that can be looked up by key has been
    reconnects: int = 0
    s: float = -1.0  # schedule time of its vector
    counts: dict[str, Counts] = field(default_factory=lambda: dict.fromkeys(OPERATIONS, Counts()))
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    unfinished: list[tuple[str, int, str, int]] = field(default_factory=list)
    backends: list[int] = field(default_factory=list)

    def share_at(self, s: float) -> Share:
        """Return the share in force at schedule time `s`."""
        return next(share for at, share in reversed(self.shares) if at <= s or at == 0.0)

    def take_in(self, vector: Mapping[str, Any]) -> None:
        """Keep what the worker's newest report says."""
        self.s = vector["s"]
        self.reconnects = vector["reconnects"]
        self.counts = {name: Counts(*values) for name, values in vector["counts"].items()}
        self.failures = {(name, state): n for name, state, n in vector["failures"]}
        self.places = {name: (place[0], place[1]) for name, place in vector["next"].items()}
        self.unfinished = [tuple(found) for found in vector["unfinished"]]
        self.backends = vector["backends"]

    def resolve(
        self, operation: str, *, committed: int = 0, failed: int = 0, skipped: int = 0
    ) -> None:
        """Turn unknown arrivals into what they were found to be."""
        old = self.counts[operation]
        self.counts[operation] = Counts(
            old.offered,
            old.committed + committed,
            old.failed + failed,
            old.skipped + skipped,
            old.unknown - committed - failed - skipped,
            0,
        )
        if failed:
            key = (operation, _LOST_ANSWER)
            self.failures[key] = self.failures.get(key, 0) + failed


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


def write_off(remote: Remote, schedule: Schedule, hand_over: float) -> dict[str, list[int]]:
    """Count as unknown all that `remote` left open; return the k after its cut, by operation."""
    after = {name: _after_cut(remote, schedule, name, hand_over) for name in OPERATIONS}
    for name in OPERATIONS:
        old = remote.counts[name]
        listed = sum(1 for operation, *_ in remote.unfinished if operation == name)
        unknown = listed + len(after[name])
        offered = old.committed + old.failed + old.skipped + unknown
        remote.counts[name] = Counts(
            offered, old.committed, old.failed, old.skipped, unknown, in_flight=0
        )
    return after


def settle(dsn: str, plan: Plan, remote: Remote, after: Mapping[str, list[int]]) -> None:
    """Look up what `write_off` left unknown; what can't be asked within a minute stays unknown."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with postgres.connect(dsn) as connection:
                if not is_of_run(connection, plan.run_id):
                    time.sleep(1.0)
                    continue
                if remote.backends:
                    connection.execute(_TERMINATE, (remote.backends,))
                if any(backend_alive(connection, pid) for pid in remote.backends):
                    time.sleep(0.2)
                    continue
                _settle(connection, plan, remote, after)
                return
        except (SourceError, psycopg.Error):
            time.sleep(1.0)


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
    """Return the k of `remote`'s arrivals from its place on that are due before `until`."""
    if not remote.places:
        return []
    walk = next(walk for walk in schedule.walks if walk.stream.operation == operation)
    place = remote.places[operation]
    found: list[int] = []
    while True:
        point, ticks = walk.stream.point(place, walk.stream.draws(place[0]))
        due = walk.timeline.when(point)
        if due >= min(until, schedule.end):
            return found
        share = remote.share_at(due)
        if place[0] % share.of == share.part:
            found.append(place[0])
        place = (place[0] + 1, ticks)


def _settle(
    connection: psycopg.Connection,
    plan: Plan,
    remote: Remote,
    after: Mapping[str, list[int]],
) -> None:
    """Look all of it up first, then change the counts in one step."""
    listed = [
        (operation, is_committed(connection, _as_write(operation, k, key, version)))
        for operation, k, key, version in remote.unfinished
    ]
    later = []
    for operation in OPERATIONS:
        if operation == _UPDATE:
            continue
        key = _key(plan, operation)
        for k in after[operation]:
            there = is_committed(connection, _as_write(operation, k, key(k), 0))
            later.append((operation, there))
    for operation, there in listed:
        remote.resolve(operation, committed=int(there), failed=int(not there))
    for operation, there in later:
        remote.resolve(operation, committed=int(there), skipped=int(not there))
    remote.looked_up = True


def _key(plan: Plan, operation: str) -> Callable[[int], str]:
    """Return what tells the row that arrival k of `operation` made or changed."""
    if operation == "soft_delete_user":
        return lambda k: str(user_to_delete(k, plan.users, plan.lowest_deleted_rank) or 0)
    make = key_maker(plan.run_id, operation)
    return lambda k: make(k).decode()


def _as_write(operation: str, k: int, key: str, version: int) -> Write:
    finds = Order(key.encode(), "", version)
    return Write(operation, k, (), key.encode(), finds=finds)
