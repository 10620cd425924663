"""The load's metrics for Prometheus, made from the run's own counters at each scrape.

Names, types and labels are a contract (docs/metrics.md). Counters run from the start of the
process: those of ended runs are added, and nothing that Locust resets is read. Labels are bounded:
operations, outcomes, SQLSTATEs, journal kinds and worker slots.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.swarm import Latencies, no_latencies
from loadgen.prometheus import counter, gauge, histogram
from loadgen.workload.histogram import Histogram, upper_edge
from loadgen.workload.ledger import Counts

# Upper edges of the published buckets, in seconds. Our own buckets are finer: a latency counts by
# the upper edge of its fine bucket, so at most 2.2% too high and never too low.
BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_EDGES: Final = (*map(str, BUCKETS), "+Inf")
OUTCOMES: Final = ("committed", "failed", "skipped")
_OPERATION: Final = ("operation",)


@dataclass(frozen=True, slots=True)
class LoadState:
    """One run, as of one moment; counters from its start."""

    run_id: str
    seed: int
    profile: str
    targets: Mapping[str, float]  # per second
    counts: Mapping[str, Counts]
    failures: Mapping[tuple[str, str], int]  # by operation and SQLSTATE
    latencies: Latencies
    reconnects: int
    users: int
    workers: int
    journaled: Mapping[str, int]  # entries by kind
    health: Mapping[int, GeneratorHealth]  # of each process that performs arrivals, by slot


@dataclass(slots=True)
class _Ended:
    """The counters of the runs that have ended, summed."""

    counts: dict[str, Counts]
    latencies: dict[str, tuple[Histogram, Histogram]]
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    reconnects: int = 0
    journaled: Counter[str] = field(default_factory=Counter)

    def add(self, state: LoadState) -> None:
        for name in self.counts:
            self.counts[name] += state.counts[name]
            for whole, part in zip(self.latencies[name], state.latencies[name], strict=True):
                whole.merge(part)
        self.failures.update(state.failures)
        self.reconnects += state.reconnects
        self.journaled.update(state.journaled)


class LoadCollector(Collector):
    """Reads the current run's state at each scrape; `read` returns None before the first run."""

    def __init__(self, operations: Collection[str], read: Callable[[], LoadState | None]) -> None:
        self._read = read
        self._ended = _Ended(dict.fromkeys(operations, Counts()), no_latencies(operations))

    def keep(self, state: LoadState) -> None:
        """Add a run that has ended; `read` returns another one from now on."""
        self._ended.add(state)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, also those without a sample yet."""
        state, ended = self._read(), self._ended
        yield from _gauges(state, ended.counts)
        counts = {
            name: counts + (state.counts[name] if state else Counts())
            for name, counts in ended.counts.items()
        }
        yield from _counters(counts)
        failures = ended.failures + Counter(state.failures if state else {})
        text = "writes refused, by SQLSTATE"
        yield counter("failures", text, ("operation", "sqlstate"), sorted(failures.items()))
        for i, (kind, since) in enumerate(
            (("service", "sending to the commit's answer"), ("intended", "the due time"))
        ):
            text = f"latency of committed writes, from {since}"
            distributions = []
            for name, latencies in ended.latencies.items():
                parts = [latencies[i]] + ([state.latencies[name][i]] if state else [])
                total = sum(part.total for part in parts)
                distributions.append(((name,), _buckets(parts), total))
            yield histogram(f"{kind}_seconds", text, _OPERATION, distributions)
        reconnects = ended.reconnects + (state.reconnects if state else 0)
        text = "connections made again after they had broken"
        yield counter("reconnects", text, (), [((), reconnects)])
        journaled = ended.journaled + Counter(state.journaled if state else {})
        kinds = [((kind,), n) for kind, n in sorted(journaled.items())]
        yield counter("journal_events", "entries of the run's journal", ("kind",), kinds)


def _counters(counts: Mapping[str, Counts]) -> Iterator[Metric]:
    offered = [((name,), c.offered) for name, c in counts.items()]
    yield counter("offered", "arrivals that fell due", _OPERATION, offered)
    done = [((name, o), int(getattr(c, o))) for name, c in counts.items() for o in OUTCOMES]
    text = "arrivals that came to an end, by outcome"
    yield counter("operations", text, ("operation", "outcome"), done)
    unknown = [((name,), c.unknown) for name, c in counts.items()]
    yield gauge("unknown", "writes whose answer was lost, not looked up yet", _OPERATION, unknown)
    in_flight = [((name,), c.in_flight) for name, c in counts.items()]
    yield gauge("in_flight", "arrivals due and unfinished, waiting included", _OPERATION, in_flight)


def _gauges(state: LoadState | None, operations: Iterable[str]) -> Iterator[Metric]:
    targets = [((name,), state.targets[name] if state else 0.0) for name in operations]
    yield gauge("target_rate", "arrivals asked for, per second", _OPERATION, targets)
    yield gauge("users", "users, each one connection", (), [((), state.users if state else 0)])
    text = "processes that perform arrivals"
    yield gauge("workers", text, (), [((), state.workers if state else 0)])
    health = state.health if state else {}
    lag = max((health.lag_max for health in health.values()), default=0.0)
    text = "how late a short timer of the load fired at most, in the latest second"
    yield gauge("loop_lag_seconds", text, (), [((), lag)])
    ratios = [((str(slot),), health.cpu_ratio) for slot, health in sorted(health.items())]
    text = "CPU time of a process that performs arrivals, over the time passed"
    yield gauge("process_cpu_ratio", text, ("worker",), ratios)
    marked = [((str(slot),), int(health.bottleneck())) for slot, health in sorted(health.items())]
    text = "1 if arrivals of the latest second were late because of this process, not of the source"
    yield gauge("generator_bottleneck", text, ("worker",), marked)
    labels = [((state.run_id, str(state.seed), state.profile), 1)] if state else []
    yield gauge(
        "run_info", "the current run, or the last one", ("run_id", "seed", "profile"), labels
    )


def _buckets(parts: Sequence[Histogram]) -> list[tuple[str, float]]:
    """Return the cumulative counts by upper edge, as in Prometheus' format."""
    counts = [0.0] * (len(BUCKETS) + 1)
    for part in parts:
        for i, n in part.counts.items():
            counts[bisect_left(BUCKETS, upper_edge(i))] += n
    return list(zip(_EDGES, accumulate(counts), strict=True))
