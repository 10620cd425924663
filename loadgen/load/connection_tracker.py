"""The connections of one process to the source, and the faults that the journal gets.

An outage is reported when the last connection is lost and when the first one is open again.
"""

import time
from collections.abc import Callable

# Takes an entry for the run's journal: its kind and its details.
OnEvent = Callable[[str, dict[str, object]], None]

# While other connections are open, a refusal is reported if it lasts for some seconds.
_REFUSED_SECONDS, _REFUSAL_INTERVAL = 5.0, 60.0


class ConnectionTracker:
    """The open connections of one process to `dsn`, for the run that has `run_token`.

    `on_event` takes entries for the run's journal; `monotonic` is a clock in seconds.
    """

    def __init__(
        self,
        dsn: str,
        run_token: str,
        on_event: OnEvent,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dsn = dsn
        self.run_token = run_token
        self.open: set[int] = set()  # process ids of the backends on the server
        self.reconnects = 0
        self._on_event = on_event
        self._monotonic = monotonic
        self._lost_at: float | None = None
        self._refused_since: float | None = None
        self._reported_at = float("-inf")
        self._refusal = ""

    def opened(self, backend_pid: int, *, again: bool) -> None:
        """Note an open connection; `again` if its user had lost one before."""
        self.open.add(backend_pid)
        self.reconnects += again
        self._refused_since = None
        if self._lost_at is not None:
            seconds = round(self._monotonic() - self._lost_at, 3)
            why = {"why": self._refusal} if self._refusal else {}
            self._lost_at = None
            self._on_event("fault", {"what": "source_back", "seconds": seconds, **why})

    def lost(self, backend_pid: int, sqlstate: str) -> None:
        """Note a connection that broke; `sqlstate` is the last one that the server sent."""
        self.open.discard(backend_pid)
        if not self.open and self._lost_at is None:
            self._lost_at, self._refused_since = self._monotonic(), None
            self._refusal = ""
            self._on_event("fault", {"what": "source_lost", "why": sqlstate})

    def refused(self, why: str) -> None:
        """Note a failed attempt to connect; `why` is a line without a password."""
        self._refusal = why
        if self._lost_at is not None:
            return
        now = self._monotonic()
        if self._refused_since is None:
            self._refused_since = now
        lasting = now - self._refused_since >= _REFUSED_SECONDS
        if lasting and now - self._reported_at >= _REFUSAL_INTERVAL:
            self._reported_at = now
            refusal = {"what": "connection_refused", "why": why, "connections": len(self.open)}
            self._on_event("fault", refusal)

    def closed(self, backend_pid: int) -> None:
        """Note a connection that its user closed."""
        self.open.discard(backend_pid)
