"""Hard cases: changes that copying tools stumble over, on a separate table beside the operations.

Each case has its rate, its thread and its connection. Inside Locust a thread is a greenlet, so none
holds up an arrival. A turn that fails is counted and not repeated. A row names its case; the keys
of deleted rows are recorded for verification.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import psycopg

from loadgen.config.settings import Settings
from loadgen.errors import SourceError
from loadgen.record.rows import DeletedRow
from loadgen.record.run import HardCaseTurns
from loadgen.source import postgres
from loadgen.sql import statements

_SQL: Final = statements("loadgen.load", "hard_cases.sql")
_FIRST_ROWS: Final = {"wide_updates": "insert_wide"}  # unless it is a plain row
_INSERTS_FIRST: Final = frozenset({"hard_deletes", "key_changes", "key_reuses", "wide_updates"})
_REMOVES_KEYS: Final = frozenset({"hard_deletes", "key_changes"})  # which never come back
_LATE_COMMITS: Final = "late_commits"
_OPEN_AT_ONCE: Final = 20  # late commits
# SQLSTATEs of failures without a server's answer: ours, no connection, a broken connection.
_TOO_MANY_OPEN, _NO_CONNECTION, _CONNECTION_FAILURE = "53000", "08001", "08006"
_LONGEST_TURN: Final = 30.0  # seconds
_LAST_WAIT: Final = 10.0
_POLL_SECONDS: Final = 0.2


class HardCases:
    """The cases `names` with a rate above 0, from `start` to `stop`; none while `paused`."""

    def __init__(
        self,
        dsn: str,
        settings: Settings,
        names: Iterable[str],
        paused: Callable[[], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._dsn = dsn
        self._rates = {name: float(getattr(settings, f"{name}_per_hour")) for name in names}
        self._age = settings.hard_case_seconds
        self._paused = paused
        self._now = now
        self._stopped = threading.Event()
        self._done: Counter[str] = Counter()
        self._failed: Counter[tuple[str, str]] = Counter()  # (case, SQLSTATE)
        self._deleted: list[DeletedRow] = []
        self._threads = [
            threading.Thread(target=self._repeat, args=(name, 3600 / rate), daemon=True)
            for name, rate in self._rates.items()
            if rate > 0
        ]
        self._open_commits: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, in the background."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> dict[str, HardCaseTurns]:
        """End, and commit open transactions. Returns how many turns of each case there were."""
        self._stopped.set()
        for thread in (*self._threads, *self._open_commits):
            thread.join(_LAST_WAIT)
        return self.counts()

    def counts(self) -> dict[str, HardCaseTurns]:
        """Return how many turns of each case were committed, and how many failed."""
        failed: Counter[str] = Counter()
        for (name, _), n in list(self._failed.items()):
            failed[name] += n
        return {
            name: HardCaseTurns(committed=self._done[name], failed=failed[name])
            for name, rate in self._rates.items()
            if rate > 0
        }

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed turns by (case, SQLSTATE)."""
        return dict(self._failed)

    def take_deleted(self) -> list[DeletedRow]:
        """Return the rows whose deletion was committed since the last call."""
        deleted, self._deleted = self._deleted, []
        return deleted

    def _repeat(self, name: str, interval: float) -> None:
        """Take the case's turns, one each `interval` seconds, until stopped."""
        connection: psycopg.Connection | None = None
        due, turn = time.monotonic(), 0
        while self._rest(due + interval):
            # Turns that were missed, in a pause or by a slow source, are not made up for.
            due = max(due + interval, time.monotonic() - interval)
            if self._paused():
                continue
            turn += 1
            if name == _LATE_COMMITS:
                self._commit_late(turn)
                continue
            try:
                if connection is None or connection.closed:
                    connection = postgres.connect(self._dsn, application_name="loadgen hard cases")
                with postgres.ended_after(connection, _LONGEST_TURN), connection.transaction():
                    key = take_turn(connection, name, turn, self._age)
                self._done[name] += 1
                if key is not None:
                    self._deleted.append(DeletedRow(self._now(), name, key))
            except (psycopg.Error, SourceError) as exc:
                self._failed[name, _sqlstate(exc)] += 1
        if connection is not None:
            connection.close()

    def _commit_late(self, turn: int) -> None:
        """Insert a row now and commit it later, beside the next turns."""
        self._open_commits = [thread for thread in self._open_commits if thread.is_alive()]
        if len(self._open_commits) >= _OPEN_AT_ONCE:
            self._failed[_LATE_COMMITS, _TOO_MANY_OPEN] += 1
            return
        thread = threading.Thread(target=self._hold, args=(turn,), daemon=True)
        self._open_commits.append(thread)
        thread.start()

    def _hold(self, turn: int) -> None:
        try:
            with (
                postgres.connect(self._dsn, application_name="loadgen hard cases") as connection,
                connection.transaction(),
            ):
                take_turn(connection, _LATE_COMMITS, turn, self._age)
                self._rest(time.monotonic() + self._age, unless_paused=True)
            self._done[_LATE_COMMITS] += 1
        except (psycopg.Error, SourceError) as exc:
            self._failed[_LATE_COMMITS, _sqlstate(exc)] += 1

    def _rest(self, until: float, *, unless_paused: bool = False) -> bool:
        """Wait until a moment; False if it was stopped before."""
        while (left := until - time.monotonic()) > 0:
            if self._stopped.wait(min(left, _POLL_SECONDS)):
                return False
            if unless_paused and self._paused():
                break
        return not self._stopped.is_set()


def _sqlstate(exc: psycopg.Error | SourceError) -> str:
    if isinstance(exc, SourceError):
        return _NO_CONNECTION
    return exc.sqlstate or _CONNECTION_FAILURE


def take_turn(connection: psycopg.Connection, name: str, turn: int, age: float) -> int | None:
    """Take one turn of a case, inside the caller's transaction. Raises psycopg.Error.

    Returns the key that it removed for good; None if it removed none.
    """
    parameters: dict[str, object] = {"case_name": name, "n": turn, "age": age}
    if name == _LATE_COMMITS:
        connection.execute(_SQL["insert_plain"], parameters)
        return None
    if name in _INSERTS_FIRST:
        connection.execute(_SQL[_FIRST_ROWS.get(name, "insert_plain")], parameters)
    cursor = connection.execute(_SQL[name], parameters)
    if name == "key_reuses" and (row := cursor.fetchone()):
        connection.execute(_SQL["insert_again"], parameters | {"id": row[0]})
    if name == "added_columns":
        connection.execute(_SQL["insert_plain"], parameters)
    if name in _REMOVES_KEYS and (row := cursor.fetchone()):
        return int(row[0])
    return None
