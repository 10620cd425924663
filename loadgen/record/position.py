"""position.json of the run record: what a run whose processes are killed now needs to go on.

The load replaces it with each sample and removes it when the run ends.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Self

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
    next: dict[str, Place]
    unfinished: tuple[tuple[str, Count, str, int], ...]  # with its key and version
    left: tuple[tuple[str, Count], ...]  # before `next`, not begun
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
    """What position.json holds."""

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
        """Return what the folder's file holds. Raises RecordError, FileNotFoundError."""
        return read_model(cls, folder / cls.FILE, "start a new run")


class KilledPlan(RecordModel):
    """The plan in run.json of a run that is to go on."""

    run_id: str
    seed: Count
    arrivals: str
    profile: str
    mix: dict[str, Annotated[float, Field(ge=0)]]
    duration: Seconds
    lateness_limit: Seconds
    event_bytes: Count
    hot_users: Count | None
    pipeline_depth: int = 1
    users: Count = 0
    lowest_deleted_rank: int = 0
    resumption: str = ""


class RateChange(RecordModel):
    """Details of the journal's event of that kind."""

    class Rate(RecordModel):
        """An operation's rate per hour from then on."""

        to: Annotated[float, Field(ge=0)]

    class Profile(RecordModel):
        """The profile from then on."""

        to: str

    schedule_seconds: Seconds
    rates_per_hour: dict[str, Rate] = Field(default_factory=dict)
    profile: Profile | None = None


class PauseBegun(RecordModel):
    """Details of the journal's event `pause`."""

    schedule_seconds: Seconds
    reason: str
    by: str


class KilledRun(RecordModel):
    """What of run.json a run needs to go on."""

    plan: KilledPlan
    users: Annotated[int, Field(ge=1, le=_MOST_USERS)]
