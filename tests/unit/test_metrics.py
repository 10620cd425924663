"""The load's histograms as Prometheus gets them."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CollectorRegistry

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.metrics import BUCKETS, LoadCollector, LoadState, _buckets
from loadgen.workload.histogram import Histogram, upper_edge

LATENCIES = st.lists(st.floats(1e-5, 100.0), max_size=50)


@given(LATENCIES, LATENCIES)
def test_buckets_are_cumulative_and_miss_nothing(one: list[float], other: list[float]) -> None:
    """Each edge counts what lies at or below it, by the upper edge of our finer buckets."""
    parts = [Histogram(), Histogram()]
    parts[0].add(one)
    parts[1].add(other)
    fine = [(i, n) for part in parts for i, n in part.counts.items()]
    expected = {str(edge): sum(n for i, n in fine if upper_edge(i) <= edge) for edge in BUCKETS}
    assert dict(_buckets(parts)) == {**expected, "+Inf": len(one) + len(other)}


def test_only_a_process_that_made_arrivals_late_is_a_bottleneck() -> None:
    """A late timer and a processor in use are no fault by themselves."""
    busy = GeneratorHealth(
        1, 2, 0.3, 0.4, cpu_ratio=1.6, busy_ratio=1.0, late_wakes=0, overdue=False
    )
    health = {0: busy, 1: busy._replace(late_wakes=1), 2: busy._replace(overdue=True)}
    state = LoadState("run", 1, "steady", {}, {}, {}, {}, 0, 0, len(health), {}, health)
    registry = CollectorRegistry()
    registry.register(LoadCollector((), lambda: state))
    found = [
        registry.get_sample_value("loadgen_generator_bottleneck", {"worker": str(slot)})
        for slot in health
    ]
    assert found == [0, 1, 1]
