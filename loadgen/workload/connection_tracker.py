"""What one process knows of its connections to a run's source, and what it tells of their loss.

The users open and close them; here is only which are open, and when none is: an outage, told when
it begins and when it ends.
"""

import time
from collections.abc import Callable

Tell = Callable[[str, dict[str, object]], None]

# A refusal is told while other connections are open, once it has gone on for some seconds.
_REFUSED_SECONDS, _REFUSAL_INTERVAL = 5.0, 60.0


class Connections:
    """The connections of one process to `dsn`, all for the run whose claim the source holds.

    `tell` is given entries for the run's journal; `monotonic` is a clock in seconds.
    """

    def __init__(
        self, dsn: str, claim: str, tell: Tell, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.dsn = dsn
        self.claim = claim
        self.open: set[int] = set()  # the backends' process ids, on the server
        self.remade = 0  # how often one that had broken was made again
        self._tell = tell
        self._monotonic = monotonic
        self._lost_at: float | None = None
        self._refused_since: float | None = None
        self._told_at = float("-inf")
        self._refusal = ""

    def opened(self, backend_pid: int, *, again: bool) -> None:
        """Take note of an open connection, made `again` by a user who has lost one."""
        self.open.add(backend_pid)
        self.remade += again
        self._refused_since = None
        if self._lost_at is not None:
            seconds = round(self._monotonic() - self._lost_at, 3)
            why = {"why": self._refusal} if self._refusal else {}
            self._lost_at = None
            self._tell("fault", {"what": "source_back", "seconds": seconds, **why})

    def lost(self, backend_pid: int, sqlstate: str) -> None:
        """Take note of a connection that broke; `sqlstate` is the server's last word."""
        self.open.discard(backend_pid)
        if not self.open and self._lost_at is None:
            self._lost_at, self._refused_since = self._monotonic(), None
            self._refusal = ""
            self._tell("fault", {"what": "source_lost", "why": sqlstate})

    def refused(self, why: str) -> None:
        """Take note of an attempt that failed; `why` is a line without a password."""
        self._refusal = why
        if self._lost_at is not None:
            return
        now = self._monotonic()
        if self._refused_since is None:
            self._refused_since = now
        lasting = now - self._refused_since >= _REFUSED_SECONDS
        if lasting and now - self._told_at >= _REFUSAL_INTERVAL:
            self._told_at = now
            told = {"what": "connection_refused", "why": why, "connections": len(self.open)}
            self._tell("fault", told)

    def closed(self, backend_pid: int) -> None:
        """Take note of a connection that its user closed."""
        self.open.discard(backend_pid)
