"""Markers: the watch writes them into the source, and finds those of an earlier watch.

A marker is a row of `loadgen_markers` with the run's id and a sequence from 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from loadgen.source.postgres import Connection
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "markers.sql")


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker and when it was written: its commit's answer, by the watch's clock.

    Every transaction with an id below `horizon` had ended before; None if it was not read.
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
    parameters = {"run_id": run_id, "sequence": sequence, "sent_at": sent_at}
    return conn.execute(_SQL["write_marker"], parameters).rowcount == 1


def find_markers(conn: Connection, run_id: str, after: int) -> Iterator[Marker]:
    """Yield the run's markers from sequence `after` + 1 on, up to the first gap.

    `written_at` is the time of sending, the only one in the row. Raises psycopg.Error.
    """
    with conn.cursor(row_factory=class_row(Marker)) as cursor:
        markers = cursor.execute(_SQL["find_markers"], {"run_id": run_id, "after": after})
        for expected, marker in enumerate(markers.fetchall(), after + 1):
            if marker.sequence != expected:
                return
            yield marker
