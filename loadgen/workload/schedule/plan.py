"""What a run is asked to be: the one value that every process of it is given."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from loadgen.workload.schedule.mix import Mix
from loadgen.workload.schedule.profiles import ProfileName
from loadgen.workload.schedule.streams import ArrivalKind


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
    pipeline_depth: int = 1
    # Read once at the start, so that all processes agree on whom to delete next.
    users: int = 0
    lowest_deleted_rank: int = 0
    # A word that the processes of this run from before it was resumed don't know.
    resumption: str = ""

    @property
    def claim(self) -> str:
        """Return what the source's marker says for as long as this plan's processes may write."""
        return f"{self.run_id}/{self.resumption}" if self.resumption else self.run_id

    def dump(self) -> dict[str, object]:
        """Return plain values for a message between processes; `load` reads them."""
        return {**asdict(self), "mix": dict(self.mix.rates_per_hour)}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> "Plan":
        """Return the plan that `dump` wrote."""
        return cls(**{**dumped, "mix": Mix(dumped["mix"])})


def run_of_claim(claim: str) -> str:
    """Return the id of the run that a marker's claim names."""
    return claim.partition("/")[0]


def new_run_id() -> str:
    """Return a run id that sorts by time and does not repeat within a second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
