"""Drains a load before its copies are compared: pause it, wait for two sentinels, resume it.

After the pause the run's next marker, the sentinel, is the last write. A copy that shows it is
up to date in the markers' table, but the tool may have read other tables earlier in the same round.
So a second sentinel is written once the first has been seen: when that arrives, the round of the
first has ended. The load is resumed only if it was paused here.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg

from loadgen.control import ControlError, LoadControl
from loadgen.errors import DestinationError, SourceError
from loadgen.source.limits import first_write
from loadgen.source.markers import find_markers, write_marker
from loadgen.source.observe import current_run
from loadgen.source.postgres import plain_errors
from loadgen.tools.readers.marker_probe import MarkerDestination

REASON: Final = "verify --drain"

_LAST_WRITES: Final = 60.0  # seconds for writes that were sent before the pause
_POLL_SECONDS: Final = 0.2
_ATTEMPTS: Final = 10  # a watch may write a marker of the same sequence first


@contextmanager
def paused_load(control: LoadControl, report: Callable[[str], None]) -> Iterator[None]:
    """Pause a running load for the duration of the block. Raises ControlError."""
    pauses = control.ask("rates").get("state") == "running"
    if pauses:
        control.ask("pause", {"reason": REASON, "by": "verify"})
    try:
        if pauses:
            report(f"the load at {control.url} is paused")
        _wait_for_last_writes(control)
        yield
    finally:
        if pauses:
            load = control.ask("rates")
            if load.get("state") == "paused" and load.get("reason") == REASON:
                control.ask("resume", {"by": "verify"})
                report("the load is resumed")


def write_sentinel(conn: psycopg.Connection) -> tuple[str, int]:
    """Write the run's next marker; return the run's id and its sequence. Raises SourceError."""
    run_id = current_run(conn)
    if run_id is None:
        raise SourceError(
            "--drain needs a run, but this database has seen none: verify without --drain, or run "
            "`locust` first"
        )
    with plain_errors("writing the sentinel"), first_write(conn, "writing the sentinel"):
        last = 0
        for _ in range(_ATTEMPTS):
            last = max((m.sequence for m in find_markers(conn, run_id, last)), default=last)
            if write_marker(conn, run_id, last + 1, datetime.now(UTC)):
                return run_id, last + 1
    raise SourceError("the sentinel could not be written: another run has started; try again")


@dataclass(slots=True)
class _PendingCopy:
    """A copy that has to show two sentinels in turn before the deadline."""

    probe: MarkerDestination
    deadline: float
    run_id: str
    sequence: int  # of the sentinel to show next
    is_second: bool = False

    def shows_sentinel(self) -> bool:
        try:
            return (self.probe.newest_marker(self.run_id) or 0) >= self.sequence
        except DestinationError:  # tried again; the comparison reports the error
            return False


def wait_for_sentinels(
    copies: Iterable[tuple[MarkerDestination, float]], write: Callable[[], tuple[str, int]]
) -> list[str]:
    """Return the names of the copies that did not show two sentinels within their time limits.

    `write` writes a sentinel and returns the run's id and the sequence. A copy gets its second
    sentinel as soon as it has shown the first, so fast tools do not wait for slow ones.
    """
    run_id, sequence = write()
    now = time.monotonic()
    waiting = [_PendingCopy(probe, now + seconds, run_id, sequence) for probe, seconds in copies]
    overdue: list[str] = []
    while waiting:
        shown = [copy for copy in waiting if copy.shows_sentinel()]
        waiting = [copy for copy in waiting if copy not in shown or not copy.is_second]
        if first := [copy for copy in shown if not copy.is_second]:
            _, sequence = write()
            for copy in first:
                copy.sequence, copy.is_second = sequence, True
        now = time.monotonic()
        overdue += [copy.probe.name for copy in waiting if copy.deadline <= now]
        waiting = [copy for copy in waiting if copy.deadline > now]
        if waiting:
            polls = (min(copy.probe.poll_seconds, copy.deadline - now) for copy in waiting)
            time.sleep(min(polls))
    return overdue


def _wait_for_last_writes(control: LoadControl) -> None:
    """Wait until no write of the load is in flight. Raises ControlError after a minute."""
    deadline = time.monotonic() + _LAST_WRITES
    while time.monotonic() < deadline:
        operations = control.ask("rates").get("operations") or {}
        if not any(counters["in_flight"] for counters in operations.values()):
            return
        time.sleep(_POLL_SECONDS)
    raise ControlError(
        f"the load at {control.url} still has writes in flight {_LAST_WRITES:g} s after its pause: "
        "check the source, then verify again"
    )
