"""Marker rows: the watch writes them into the source, and finds those of an earlier watch.

A marker is an event of type `loadgen_marker` with the run's id and a sequence from 1; row counts
leave it out. Its key is a function of both, so none is written twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final
from uuid import UUID

from psycopg.rows import class_row

from loadgen.source.postgres import Connection
from loadgen.sql import statements
from loadgen.workload.keys import key_maker

MARKER_TYPE: Final = "loadgen_marker"

_BLOCK: Final = 1000  # keys looked up at once
_SQL: Final = statements("loadgen.source", "markers.sql")


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker and when it was written: its commit's answer, by the watch's clock.

    Every transaction with an id below `horizon` had ended before; None if the row has none.
    `age_seconds` is its age by the source's clock when it was read.
    """

    sequence: int
    written_at: datetime
    horizon: int | None = None
    age_seconds: float = 0.0


def write_marker(conn: Connection, run_id: str, sequence: int, sent_at: datetime) -> bool:
    """Write a marker and commit it; False if it exists already, or the run is not the current one.

    Raises psycopg.Error; the marker may have been written nevertheless.
    """
    parameters = {
        "event_id": _key(run_id, sequence),
        "run_id": run_id,
        "sequence": sequence,
        "sent_at": sent_at,
    }
    return conn.execute(_SQL["write_marker"], parameters).rowcount == 1


def find_markers(conn: Connection, run_id: str, after: int) -> Iterator[Marker]:
    """Yield the run's markers from sequence `after` + 1 on, up to the first gap.

    `written_at` is the time of sending, the only one in the row. Raises psycopg.Error.
    """
    expected = after + 1
    for start in count(expected, _BLOCK):
        keys = [_key(run_id, sequence) for sequence in range(start, start + _BLOCK)]
        with conn.cursor(row_factory=class_row(Marker)) as cursor:
            markers = cursor.execute(_SQL["find_markers"], {"event_ids": keys}).fetchall()
        for marker in markers:
            if marker.sequence != expected:
                return
            yield marker
            expected += 1
        if len(markers) < _BLOCK:
            return


def _key(run_id: str, sequence: int) -> UUID:
    return UUID(key_maker(run_id, MARKER_TYPE)(sequence).decode())
