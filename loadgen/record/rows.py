"""The rows of the run record's CSV files, and how they are written."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from math import isfinite
from typing import ClassVar

from loadgen.record.model import iso

_DECIMALS = 9  # nanoseconds, and rates down to one in 30 years: nothing real is lost


@dataclass(frozen=True, slots=True)
class Sample:
    """One operation at the end of one interval; counters run from the start of the run.

    target_rate is per second. Latencies are seconds, of the interval alone; None where nothing
    finished in it.
    """

    FILE: ClassVar = "samples.csv"

    time: datetime
    operation: str
    target_rate: float
    offered: int
    committed: int
    failed: int
    skipped: int
    unknown: int
    in_flight: int
    service_p50: float | None = None
    service_p95: float | None = None
    service_p99: float | None = None
    intended_p50: float | None = None
    intended_p95: float | None = None
    intended_p99: float | None = None


@dataclass(frozen=True, slots=True)
class GeneratorSample:
    """The load's own processes in one interval, the worst of them for each figure.

    Lags are seconds, ratios shares of a processor; busy_ratio adds the time of waiting for one.
    bottleneck_seconds of the interval were late through the generator and not through the source.
    """

    FILE: ClassVar = "generator.csv"

    time: datetime
    loop_lag_p99: float
    loop_lag_max: float
    cpu_ratio: float
    busy_ratio: float
    bottleneck_seconds: int


@dataclass(frozen=True, slots=True)
class SlotSample:
    """One replication slot at one moment; None where Postgres itself has no value."""

    FILE: ClassVar = "slots.csv"

    time: datetime
    slot: str
    active: bool
    wal_status: str
    retained_bytes: int | None
    confirmed_lag_bytes: int | None
    safe_wal_bytes: int | None
    wal_bytes_total: int


@dataclass(frozen=True, slots=True)
class MarkerSample:
    """One marker row at one tool's destination; seen_at is None if it was never seen."""

    FILE: ClassVar = "freshness.csv"

    tool: str
    sequence: int
    written_at: datetime
    seen_at: datetime | None
    delivery_seconds: float | None
    poll_seconds: float | None


@dataclass(frozen=True, slots=True)
class ExpectedMarker:
    """One marker row that was written, and a tool that is to deliver it."""

    FILE: ClassVar = "markers.csv"

    tool: str
    sequence: int
    written_at: datetime


@dataclass(frozen=True, slots=True)
class DeletedRow:
    """A key of `hard_cases` that a hard case has taken away for good, and when."""

    FILE: ClassVar = "deletes.csv"

    time: datetime
    case_name: str
    key: int


Row = Sample | GeneratorSample | SlotSample | MarkerSample | ExpectedMarker | DeletedRow


def law_holds(sample: Sample) -> bool:
    """Say whether every offered arrival is accounted for, exactly once."""
    finished = sample.committed + sample.failed + sample.skipped
    return sample.offered == finished + sample.unknown + sample.in_flight


def columns_of(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns of the CSV file that holds rows of this kind."""
    return tuple(field.name for field in fields(kind))


def csv_line(cells: Iterable[object]) -> str:
    """Return one CSV line of the cells, ready to be appended."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return iso(value)
        case float() if not isfinite(value):
            raise ValueError(f"a cell of the record can't hold {value}")
        case float():
            return repr(round(value, _DECIMALS))
        case str() if "\n" in value or "\r" in value:
            raise ValueError(f"a cell of the record can't hold a line break: {value!r}")
    return str(value)
