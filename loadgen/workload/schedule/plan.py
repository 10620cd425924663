"""The plan of a run: the one value that all of its processes share."""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from zlib import compress, decompress

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.model import ProfileLevels
from loadgen.workload.schedule.arrival_process import ArrivalKind
from loadgen.workload.schedule.rate_curve import ProfileName

_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Mix:
    """Arrival rates by operation, per hour, of all processes together."""

    rates_per_hour: Mapping[str, float]

    def rate(self, operation: str) -> float:
        """Return the arrival rate of `operation` per second."""
        return self.rates_per_hour[operation] / _HOUR

    def weights(self) -> dict[str, float]:
        """Return each operation's share of the sum of the rates; all 0 if the sum is 0."""
        total = sum(self.rates_per_hour.values())
        return {name: rate / total if total else 0.0 for name, rate in self.rates_per_hour.items()}


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
    pipeline_depth: int = 1
    load_loop: str = "gevent"
    workload: str = ""  # the model's digest
    own_profile: ProfileLevels | None = None  # the model's
    settings: Mapping[str, int | None] = field(default_factory=dict)  # that the model's values use
    # The baseline's seed and end, and its rows by table.
    baseline_seed: int = 0
    baseline_end: str = ""
    baseline_rows: Mapping[str, int] = field(default_factory=dict)
    # Read once at the start, so that all processes agree: by "table.column" the type of client-made
    # keys and the first one that is a number; by table which rows can't be taken once any more, as
    # packed_bits() writes it.
    key_types: Mapping[str, str] = field(default_factory=dict)
    first_keys: Mapping[str, int] = field(default_factory=dict)
    once_used: Mapping[str, str] = field(default_factory=dict)
    # A secret that processes of this run from before its resumption don't have.
    resumption: str = ""

    @property
    def run_token(self) -> str:
        """The token that the source holds as long as the processes of this plan may write."""
        return f"{self.run_id}/{self.resumption}" if self.resumption else self.run_id

    def dump(self) -> dict[str, object]:
        """Return plain values for a message between processes; `load` reads them."""
        return {**asdict(self), "mix": dict(self.mix.rates_per_hour)}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> "Plan":
        """Return the plan that `dump` wrote, without the model's own profile."""
        return cls(**{**dumped, "mix": Mix(dumped["mix"]), "own_profile": None})


def packed_bits(used: NDArray[np.bool_]) -> str:
    """Return which indexes of the sequence are used up as text: zlib, base64."""
    return b64encode(compress(np.packbits(used).tobytes(), 9)).decode()


def unused_indexes(packed: str, limit: int) -> NDArray[np.int64]:
    """Return the indexes below `limit` that were not used up, in their order; "" means all.

    Raises ValueError if the text is not one that `packed_bits` returned.
    """
    if not packed:
        return np.arange(limit, dtype=np.int64)
    bits = np.frombuffer(decompress(b64decode(packed)), np.uint8)
    used = np.zeros(limit, np.bool_)
    known = np.unpackbits(bits, count=min(limit, 8 * len(bits)))
    used[: len(known)] = known
    return np.flatnonzero(~used)


def run_id_of_token(run_token: str) -> str:
    """Return the id of the run that has this token."""
    return run_token.partition("/")[0]


def new_run_id() -> str:
    """Return a run id that sorts by time and does not repeat within a second."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
