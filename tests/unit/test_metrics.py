"""The load's histograms as Prometheus gets them."""

from hypothesis import given
from hypothesis import strategies as st

from loadgen.load.metrics import BUCKETS, _buckets
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
