"""Histograms: quantiles at most 2.2% too high, sums that add up, a size that never grows."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.histogram import Histogram, merged, summary, upper_edge

latencies = st.lists(st.floats(1e-5, 1000), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    """Return a histogram of `values`."""
    histogram = Histogram()
    histogram.add(values)
    return histogram


@given(values=latencies, share=st.floats(0.01, 1))
def test_a_quantile_is_a_little_high_and_never_low(values: list[float], share: float) -> None:
    """A quantile lies between the true one and 2.2% above it."""
    true = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    (found,) = filled(values).quantiles([share])
    assert found is not None
    assert true * 0.9999999 <= found <= true * 2 ** (1 / 32) * 1.0000001


@given(a=latencies, b=latencies)
def test_merging_is_the_same_as_counting_together(a: list[float], b: list[float]) -> None:
    """Two processes' histograms add up to one of both."""
    together, apart = filled(a + b), merged([filled(a), filled(b)])
    assert together.counts == apart.counts
    assert together.maximum == apart.maximum
    assert together.total == pytest.approx(apart.total)


@given(values=latencies)
def test_a_dump_survives_a_message(values: list[float]) -> None:
    """The master reads back a worker's dump."""
    histogram = filled(values)
    again = Histogram.load(json.loads(json.dumps(histogram.dump())))
    assert (again.counts, again.total, again.maximum) == (
        histogram.counts,
        histogram.total,
        histogram.maximum,
    )


def test_extremes_stay_in_the_first_and_last_bucket() -> None:
    """Zero, a negative clock step and a day all have a bucket."""
    histogram = filled([0.0, -1.0, 86_400.0])
    assert histogram.count() == 3
    assert histogram.counts[0] == 2
    assert upper_edge(max(histogram.counts)) > 1000


def test_an_empty_histogram_has_no_quantiles() -> None:
    """No observation is None, not zero."""
    assert summary(Histogram()) == {"p50": None, "p95": None, "p99": None, "max": None}


def test_the_maximum_is_exact() -> None:
    """The top quantile is never above the largest value."""
    assert summary(filled([0.0101]))["p99"] == 0.0101
