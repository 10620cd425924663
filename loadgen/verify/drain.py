"""Brings a moving source to rest before it is compared: pause, sentinel, wait, go on.

The load is paused through its control door. A sentinel, the next marker of the run, is then the
last thing written; where it is seen, what was written before it has been delivered, table for table
as the tool goes. Only what was paused here is resumed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from loadgen.destination.probe import Destination
from loadgen.door_client import DoorError, ask
from loadgen.errors import DestinationError, SourceError
from loadgen.source.limits import first_write
from loadgen.source.observe import current_run
from loadgen.source.postgres import plain_errors
from loadgen.workload.markers import find_markers, write_marker

REASON: Final = "verify --drain"

_LAST_WRITES: Final = 60.0  # seconds for what was sent before the pause
_PAUSE: Final = 0.2  # seconds between two looks at the load
_TRIES: Final = 10  # where a watch writes markers too, it may be first


@dataclass(frozen=True, slots=True)
class Load:
    """Where a load's control door would be, and whether one holds the source's lock."""

    url: str
    runs: bool


@contextmanager
def rested(load: Load, say: Callable[[str], None]) -> Iterator[None]:
    """Keep the load paused within. Raises DoorError, SourceError."""
    paused = load.runs and _pause(load.url)
    try:
        if paused:
            say(f"the load at {load.url} is paused")
        if load.runs:
            _settle(load.url)
        yield
    finally:
        if paused and _is_ours(load.url):
            ask(load.url, "resume", {"by": "verify"})
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


def wait_for_sentinel(
    probes: Sequence[Destination], run_id: str, sequence: int, seconds: float
) -> list[str]:
    """Return the names of those that did not show the sentinel within so many seconds.

    One that can't be asked is asked again; the comparison says why.
    """
    deadline = time.monotonic() + seconds
    waiting = list(probes)
    while waiting:
        waiting = [probe for probe in waiting if not _shows(probe, run_id, sequence)]
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            break
        time.sleep(min(left, *(probe.poll_seconds for probe in waiting)))
    return [probe.name for probe in waiting]


def _shows(probe: Destination, run_id: str, sequence: int) -> bool:
    try:
        return (probe.newest_marker(run_id) or 0) >= sequence
    except DestinationError:
        return False


def _pause(url: str) -> bool:
    """Pause a load that runs; False where there is nothing to pause."""
    if ask(url, "rates").get("state") != "running":
        return False
    ask(url, "pause", {"reason": REASON, "by": "verify"})
    return True


def _settle(url: str) -> None:
    """Wait for what the load had sent before. Raises DoorError where it does not end."""
    deadline = time.monotonic() + _LAST_WRITES
    while time.monotonic() < deadline:
        operations = ask(url, "rates").get("operations") or {}
        if not any(now["in_flight"] for now in operations.values()):
            return
        time.sleep(_PAUSE)
    raise DoorError(
        f"the load at {url} still has writes under way {_LAST_WRITES:g} s after its pause: "
        "look at the source, then verify again"
    )


def _is_ours(url: str) -> bool:
    found = ask(url, "rates")
    return found.get("state") == "paused" and found.get("reason") == REASON
