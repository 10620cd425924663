"""The interface to the processes that perform a run's arrivals, be it one or many."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import psycopg

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.messages import NewRates
from loadgen.load.worker_state import RunPosition, WorkerState
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.schedule.plan import Plan

# Gives a connection to the source for a short query.
Session = Callable[[], AbstractContextManager[psycopg.Connection]]
Latencies = Mapping[str, tuple[Histogram, Histogram]]


def no_latencies(operations: Iterable[str]) -> dict[str, tuple[Histogram, Histogram]]:
    """Return empty (service, intended) histograms per operation."""
    return {name: (Histogram(), Histogram()) for name in operations}


class Swarm(Protocol):
    """The processes that perform the arrivals, as one.

    `events` collects their entries for the journal: (kind, details).
    """

    distributed: bool  # whether other processes perform the arrivals
    events: list[tuple[str, dict[str, object]]]

    def begin(self, plan: Plan, position: RunPosition | None = None) -> None:
        """Get ready; the schedule starts, or continues at a position, once a connection is open."""

    def processes(self) -> list[WorkerState]:
        """Return all that performed arrivals, as a resumed run has to know them."""

    def now(self) -> float:
        """Return the schedule time; negative before the start."""

    def counts(self) -> Mapping[str, Counts]:
        """Return the sum of the processes' counts."""

    def take_latencies(self) -> Latencies:
        """Return (service, intended) per operation since the last call."""

    def failures(self) -> Mapping[tuple[str, str], int]:
        """Return failed writes by (operation, SQLSTATE) from the start."""

    def extra_rows(self) -> Mapping[tuple[str, int], int]:
        """Return the rows touched beyond one per committed transaction, by (operation, index)."""

    def target_rates(self) -> Mapping[str, float]:
        """Return the target per operation at this moment, per second; 0 during a pause."""

    def planned(self) -> Mapping[str, float]:
        """Return how many arrivals the rates amount to from the start up to now."""

    def await_reports(self, s: float) -> None:
        """Wait a moment for every process's report of schedule time `s`."""

    def elapsed(self) -> float:
        """Return the seconds since the schedule's start, pauses included."""

    def moment(self) -> tuple[float, float]:
        """Return `now` and `elapsed` of one moment, however busy the machine is."""

    def reconnects(self) -> int:
        """Return how often a broken connection was made again, from the start."""

    def process_count(self) -> int:
        """Return how many processes perform arrivals."""

    def health(self) -> Mapping[int, GeneratorHealth]:
        """Return each process's latest health, by slot: the lowest number free when it joined."""

    def take_health(self) -> Sequence[GeneratorHealth]:
        """Return all processes' health since the last call."""

    def earliest_change(self) -> float:
        """Return the earliest schedule time at which a change can reach every process in time."""

    def change_rates(self, change: NewRates) -> str:
        """Apply rates and profile; return how many acknowledged it: `2 of 2` processes."""

    def pause(self, at: float) -> str:
        """Stop schedule time at `at`: nothing falls due; return how many acknowledged it."""

    def resume(self) -> str:
        """Let schedule time run again; return how many acknowledged it.

        The run's end stays where it is on the wall clock.
        """

    def stop_offering(self) -> float:
        """Let nothing more fall due; return the schedule time from which on that holds."""

    def ended_early_reason(self, seconds: float) -> str:
        """Return why the run ended early, after `seconds`; empty unless its processes were lost."""

    def awaits_sums(self) -> bool:
        """Tell whether only the tables' sums can settle the unknown writes."""

    def settle_from_sums(self, updates: Mapping[str, int]) -> None:
        """Settle these, when all writing has ended.

        `updates` are, by table, those that its versions show and no committed write explains.
        """

    def close(self) -> None:
        """End what runs beside the users."""
