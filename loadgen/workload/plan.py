"""What a run is asked to be: the one value that every process of it is given."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from loadgen.workload.arrivals import ArrivalKind
from loadgen.workload.mix import Mix
from loadgen.workload.profiles import ProfileName


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a process needs to know to take its share of a run."""

    run_id: str
    seed: int
    arrivals: ArrivalKind
    profile: ProfileName
    mix: Mix
    duration: float
    lateness_limit: float
    event_bytes: int
    hot_users: int | None


def new_run_id() -> str:
    """Return a run id that sorts by time and does not repeat within a second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
