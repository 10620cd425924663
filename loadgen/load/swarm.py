"""What a controller asks of the processes that perform a run's arrivals, be it one or many."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import psycopg

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.operations import OPERATIONS
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName

# Gives a connection to the source for questions of the moment.
Session = Callable[[], AbstractContextManager[psycopg.Connection]]
Latencies = Mapping[str, tuple[Histogram, Histogram]]


def no_latencies() -> dict[str, tuple[Histogram, Histogram]]:
    """Return (service, intended) per operation with nothing in them."""
    return {name: (Histogram(), Histogram()) for name in OPERATIONS}


class Swarm(Protocol):
    """The processes that perform the arrivals, as one.

    `events` collects what the journal must hold of them: (kind, details).
    """

    distributed: bool  # whether the arrivals are performed by other processes
    events: list[tuple[str, dict[str, object]]]

    def begin(self, plan: Plan, past: RunPosition | None = None) -> None:
        """Get ready; the schedule starts once the first connection is open, or goes on there."""

    def processes(self) -> list[WorkerState]:
        """Return all that performed arrivals, as a resumed run has to know them."""

    def now(self) -> float:
        """Return the schedule time; negative before the start."""

    def counts(self) -> Mapping[str, Counts]:
        """Return the sum of the processes' vectors."""

    def latencies(self) -> Latencies:
        """Return (service, intended) per operation since the last call."""

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""

    def asked(self) -> Mapping[str, float]:
        """Return what the rates asked for from the start up to now."""

    def gather(self, s: float) -> None:
        """Wait a moment for every process's vector of schedule time `s`."""

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""

    def reconnects(self) -> int:
        """Return how often a connection that had broken was made again, from the start."""

    def workers(self) -> int:
        """Return how many processes perform arrivals."""

    def health(self) -> Mapping[int, GeneratorHealth]:
        """Return each process's latest health, by slot: the lowest number free when it came."""

    def take_vitals(self) -> Sequence[GeneratorHealth]:
        """Return all processes' health since the last call."""

    def ahead(self) -> float:
        """Return the earliest schedule time from which a change can hold in every process."""

    def change(self, at: float, mix: Mix, profile: ProfileName) -> str:
        """Put rates and profile in force; return who acknowledged it: `2 of 2` processes."""

    def pause(self, at: float) -> str:
        """Let schedule time stand still at `at`: nothing falls due; return who acknowledged it."""

    def resume(self) -> str:
        """Let schedule time go on; return who acknowledged it.

        The run's end stays where it is on the wall clock.
        """

    def stop_offering(self) -> float:
        """Let nothing more fall due; return the schedule time from which on that holds."""

    def desertion(self, seconds: float) -> list[str]:
        """Say so where the run ended after `seconds` since nobody was left to go on."""

    def awaits_sums(self) -> bool:
        """Tell whether all that is still unknown can be told by the tables' sums alone."""

    def settle_from_sums(self, gained: Mapping[str, int]) -> None:
        """Settle that, when nobody writes any more."""

    def close(self) -> None:
        """End what goes on beside the users."""
