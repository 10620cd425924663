"""Brings a moving source to rest before it is compared: pause, two sentinels, go on.

The load is paused through its control door. A sentinel, the next marker of the run, is then the
last thing written. A copy that shows it holds its table as of then; other tables may have been read
earlier in the same round, or come later. So a second sentinel is written once the first was seen:
it comes with a later round, and by then the round that brought the first has ended. Only what was
paused here is resumed.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from loadgen.control import ControlError, LoadControl
from loadgen.errors import DestinationError, SourceError
from loadgen.source.limits import first_write
from loadgen.source.markers import find_markers, write_marker
from loadgen.source.observe import current_run
from loadgen.source.postgres import plain_errors
from loadgen.tools.readers.marker_probe import Destination

REASON: Final = "verify --drain"

_LAST_WRITES: Final = 60.0  # seconds for what was sent before the pause
_PAUSE: Final = 0.2  # seconds between two looks at the load
_TRIES: Final = 10  # where a watch writes markers too, it may be first


@dataclass(frozen=True, slots=True)
class Load:
    """Where a load's control API would be, and whether one holds the source's lock."""

    control: LoadControl
    runs: bool


@contextmanager
def rested(load: Load, say: Callable[[str], None]) -> Iterator[None]:
    """Keep the load paused within. Raises DoorError, SourceError."""
    paused = load.runs and _pause(load.control)
    try:
        if paused:
            say(f"the load at {load.control.url} is paused")
        if load.runs:
            _settle(load.control)
        yield
    finally:
        if paused and _is_ours(load.control):
            load.control.ask("resume", {"by": "verify"})
            say("the load goes on")


def write_sentinel(conn: psycopg.Connection[Any]) -> tuple[str, int]:
    """Write the run's next marker; return the run's id and its sequence. Raises SourceError."""
    run_id = current_run(conn)
    if run_id is None:
        raise SourceError(
            "--drain needs a run, whose id its sentinel carries: this database has seen none; "
            "verify without --drain, or run `locust` first"
        )
    with plain_errors("writing the sentinel"), first_write(conn, "writing the sentinel"):
        last = 0
        for _ in range(_TRIES):
            last = max((m.sequence for m in find_markers(conn, run_id, last)), default=last)
            if write_marker(conn, run_id, last + 1, datetime.now(UTC)):
                return run_id, last + 1
    raise SourceError("the sentinel could not be written: another load has begun a run; try again")


@dataclass(slots=True)
class _Waiting:
    """A copy that has to show two sentinels, one after the other, before the deadline."""

    probe: Destination
    deadline: float
    run_id: str
    sequence: int  # of the sentinel that it has to show next
    is_second: bool = False

    def shows_it(self) -> bool:
        try:
            return (self.probe.newest_marker(self.run_id) or 0) >= self.sequence
        except DestinationError:  # asked again; the comparison says why
            return False


def wait_for_sentinels(
    copies: Iterable[tuple[Destination, float]], write: Callable[[], tuple[str, int]]
) -> list[str]:
    """Return the names of the copies that did not show two sentinels in their seconds.

    `write` writes a sentinel and returns the run's id and its sequence. Each copy gets its second
    one when it has shown the first, so a fast tool does not wait for a slow one.
    """
    run_id, sequence = write()
    now = time.monotonic()
    waiting = [_Waiting(probe, now + seconds, run_id, sequence) for probe, seconds in copies]
    overdue: list[str] = []
    while waiting:
        shown = [copy for copy in waiting if copy.shows_it()]
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


def _pause(control: LoadControl) -> bool:
    """Pause a load that runs; False where there is nothing to pause."""
    if control.ask("rates").get("state") != "running":
        return False
    control.ask("pause", {"reason": REASON, "by": "verify"})
    return True


def _settle(control: LoadControl) -> None:
    """Wait for what the load had sent before. Raises DoorError where it does not end."""
    deadline = time.monotonic() + _LAST_WRITES
    while time.monotonic() < deadline:
        operations = control.ask("rates").get("operations") or {}
        if not any(now["in_flight"] for now in operations.values()):
            return
        time.sleep(_PAUSE)
    raise ControlError(
        f"the load at {control.url} still has writes under way {_LAST_WRITES:g} s after its pause: "
        "look at the source, then verify again"
    )


def _is_ours(control: LoadControl) -> bool:
    found = control.ask("rates")
    return found.get("state") == "paused" and found.get("reason") == REASON
