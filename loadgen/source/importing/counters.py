"""Rows written by table: since the server began to count them, or over a measured window."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from psycopg import errors
from psycopg.rows import dict_row, scalar_row

from loadgen.errors import SourceError
from loadgen.source.importing.session import current_role, snapshot
from loadgen.source.postgres import Connection
from loadgen.sql import statements
from loadgen.text import duration, moment
from loadgen.workload.importing.facts import Missing, Window, WriteCounts

Report = Callable[[str], None]
_Shares = tuple[float, ...]

_SQL: Final = statements("loadgen.source.importing", "statistics.sql")
_LOOKS_TRIED: Final = 5
_PAUSE_SECONDS: Final = 10.0  # before a failed look is tried again
_SLEEP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Counters:
    """A look at the counters of all tables and partitions, by oid."""

    at: datetime
    writes: Mapping[int, WriteCounts]
    rows: Mapping[int, int]  # inserted and not deleted, since a VACUUM or ANALYZE if there was one
    verified: frozenset[int]  # tables of which a VACUUM or ANALYZE counted the rows


def read_counters(conn: Connection) -> tuple[Counters | None, tuple[Missing, ...]]:
    """Return the counters; None, and what would let us read them, if they can't be read."""
    try:
        with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            clock = cursor.execute(_SQL["now"]).fetchone() or {}
            if not clock["counts"]:
                remedy = "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();"
                return None, (Missing("rows written: the server does not count them", remedy),)
            rows = cursor.execute(_SQL["counters"]).fetchall()
    except errors.InsufficientPrivilege:
        role = current_role(conn)
        return None, (Missing("rows written by table", f"GRANT pg_monitor TO {role};"),)
    return (
        Counters(
            clock["now"],
            {row["oid"]: _counts(row) for row in rows},
            {row["oid"]: row["rows"] for row in rows},
            frozenset(row["oid"] for row in rows if row["is_verified"]),
        ),
        (),
    )


def add_up(counts: Iterable[WriteCounts]) -> WriteCounts:
    """Return the sum of counts, such as those of a table's partitions."""
    total = WriteCounts()
    for part in counts:
        total = WriteCounts(
            total.inserts + part.inserts,
            total.updates + part.updates,
            total.deletes + part.deletes,
            total.hot_updates + part.hot_updates,
        )
    return total


def window_since_reset(conn: Connection, ended_at: datetime) -> tuple[Window, tuple[Missing, ...]]:
    """Return the time since the counters were reset, and how certain it is.

    Postgres 15 and later don't note when a database began to count. Without a reset, that
    was when the server began to count, or when the database was made if that was later.
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        if reset_at := cursor.execute(_SQL["reset_at"]).fetchone():
            return Window(reset_at, ended_at), ()
        since = cursor.execute(_SQL["counting_since"]).fetchone()
        with suppress(errors.InsufficientPrivilege), conn.transaction():
            if created_at := cursor.execute(_SQL["created_at"]).fetchone():
                return Window(max(since or created_at, created_at), ended_at), ()
    what = "when the counters of writes began"
    if since is None:
        return Window(None, ended_at), (Missing(what, "--interval 1h measures the writes"),)
    what += f" (taken as {moment(since)}, when the server began to count; rates are too low if the "
    what += "database is younger)"
    return Window(since, ended_at), (Missing(what, "--interval 1h measures the writes"),)


def measure(url: str, interval: float, every: float | None, report: Report) -> tuple[Counters, ...]:
    """Return looks at the counters, now and after `interval` seconds, and every `every` between.

    Each look is a separate short session, so that none is open for hours. Raises SourceError if a
    look fails repeatedly.
    """
    looks = [_look(url)]
    parts = round(interval / every) if every else 1
    report(
        f"measuring the writes for {duration(interval)} from {moment(looks[0].at)}"
        + (f", in {parts} parts" if parts > 1 else "")
    )
    started = time.monotonic()
    for part in range(1, parts + 1):
        _sleep_until(started + interval * part / parts)
        looks.append(_look_again(url))
        if part < parts:
            report(f"part {part} of {parts} measured at {moment(looks[-1].at)}")
    return tuple(looks)


def measured_writes(
    looks: Sequence[Counters], oids: Collection[int], interval: float
) -> tuple[Window, dict[int, WriteCounts]]:
    """Return the window of looks in `interval` seconds, and the writes to tables in it."""
    growth = [_growth(before, after, oids) for before, after in pairwise(looks)]
    writes = {oid: add_up(counts[oid] for counts in growth if oid in counts) for oid in oids}
    began_at, ended_at = looks[0].at, looks[-1].at
    window = Window(
        began_at,
        ended_at,
        is_measured=True,
        shares=_shares(looks, growth),
        every=interval / len(growth),
    )
    return window, writes


def _shares(looks: Sequence[Counters], growth: Sequence[Mapping[int, WriteCounts]]) -> _Shares:
    """Return the rate of each part as a share of the window's; none if nothing was written."""
    rows = [sum(counts.total for counts in part.values()) for part in growth]
    if len(rows) == 1 or not any(rows):
        return ()
    seconds = [(after.at - before.at).total_seconds() for before, after in pairwise(looks)]
    mean = sum(rows) / sum(seconds)
    return tuple(n / length / mean for n, length in zip(rows, seconds, strict=True))


def _look(url: str) -> Counters:
    with snapshot(url) as conn:
        counters, missing = read_counters(conn)
    if counters is None:
        raise SourceError(f"can't measure {missing[0].what}: {missing[0].remedy}")
    return counters


def _sleep_until(at: float) -> None:
    """Sleep by the monotonic clock, in short parts: a Ctrl-C as one begins waits for its end."""
    while (left := at - time.monotonic()) > 0:
        time.sleep(min(left, _SLEEP_SECONDS))


def _look_again(url: str) -> Counters:
    """Look, and try again for a while: a window of a day must not be lost to a restart."""
    for _ in range(_LOOKS_TRIED - 1):
        try:
            return _look(url)
        except SourceError:
            time.sleep(_PAUSE_SECONDS)
    return _look(url)


def _growth(before: Counters, after: Counters, oids: Collection[int]) -> dict[int, WriteCounts]:
    """Return the writes between two looks; counters that were reset began at 0 again."""
    return {
        oid: _difference(counts, before.writes.get(oid, WriteCounts()))
        for oid, counts in after.writes.items()
        if oid in oids
    }


def _difference(counts: WriteCounts, earlier: WriteCounts) -> WriteCounts:
    if counts.total < earlier.total:
        return counts
    return WriteCounts(
        max(0, counts.inserts - earlier.inserts),
        max(0, counts.updates - earlier.updates),
        max(0, counts.deletes - earlier.deletes),
        max(0, counts.hot_updates - earlier.hot_updates),
    )


def _counts(row: Mapping[str, Any]) -> WriteCounts:
    return WriteCounts(row["inserts"], row["updates"], row["deletes"], row["hot_updates"])
