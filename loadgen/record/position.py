"""position.json of the run record: the state that a killed run is continued from.

The load replaces the file with each sample and removes it when the run ends.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from loadgen.record.model import Count, RecordModel, read_model

_YEAR = 366 * 86_400  # seconds
_LAST_SECOND = 7_000_000_000  # in the year 2191
_MOST_USERS = 1_000_000

Seconds = Annotated[float, Field(ge=0, le=10 * _YEAR, allow_inf_nan=False)]
Place = tuple[Count, Count]  # in an operation's stream of arrivals
# Counts by bucket, the sum of all times and the longest one.
HistogramState = tuple[tuple[tuple[int, Count], ...], Seconds, Seconds]


class ProcessReport(RecordModel):
    """A process's latest report; arrivals are given by operation and number."""

    s: float  # schedule time
    counts: dict[str, Annotated[tuple[Count, ...], Field(min_length=6, max_length=6)]]
    failures: tuple[tuple[str, str, Count], ...]  # operation, SQLSTATE, number
    extra_rows: tuple[tuple[str, Count, int], ...] = ()  # operation, statement's index, number
    next: dict[str, Place]
    unfinished: tuple[tuple[str, Count, str, int], ...]  # with its key and version
    left: dict[str, tuple[Count, ...]]  # before `next`, not begun
    backends: tuple[int, ...]
    reconnects: Count


class ProcessPosition(RecordModel):
    """One process that performed arrivals, and the shards it had from which schedule times."""

    shares: Annotated[tuple[tuple[float, tuple[Count, Count]], ...], Field(min_length=1)]
    lost: bool
    looked_up: bool
    after: dict[str, tuple[int, ...]]
    vector: ProcessReport


class Position(RecordModel):
    """The content of position.json."""

    FILE: ClassVar = "position.json"

    at: Annotated[float, Field(ge=0, le=_LAST_SECOND)]
    s: Seconds
    elapsed: Seconds
    workers: bool
    resumed: Count
    unbalanced: Count
    processes: tuple[ProcessPosition, ...]
    latencies: dict[str, tuple[HistogramState, HistogramState]]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read the folder's position.json. Raises RecordError, FileNotFoundError."""
        return read_model(cls, folder / cls.FILE, "start a new run")


class KilledPlan(RecordModel):
    """The plan of a killed run, from its run.json."""

    run_id: str
    seed: Count
    arrivals: str
    profile: str
    mix: dict[str, Annotated[float, Field(ge=0)]]
    duration: Seconds
    lateness_limit: Seconds
    pipeline_depth: int = 1
    load_loop: Literal["auto", "compiled", "gevent"] = "gevent"
    workload: str
    settings: dict[str, int | None]
    baseline_seed: int
    baseline_end: str
    baseline_rows: dict[str, Count]
    key_types: dict[str, str]
    first_keys: dict[str, int]
    once_used: dict[str, str]
    resumption: str = ""


class RateChange(RecordModel):
    """The details of a journal event `rate_change`."""

    class Rate(RecordModel):
        """An operation's new rate per hour."""

        to: Annotated[float, Field(ge=0)]

    class Profile(RecordModel):
        """The new profile."""

        to: str

    schedule_seconds: Seconds
    rates_per_hour: dict[str, Rate] = Field(default_factory=dict)
    profile: Profile | None = None


class PauseBegun(RecordModel):
    """The details of a journal event `pause`."""

    schedule_seconds: Seconds
    reason: str
    by: str


class KilledRun(RecordModel):
    """The part of run.json that a killed run is continued from."""

    plan: KilledPlan
    users: Annotated[int, Field(ge=1, le=_MOST_USERS)]
