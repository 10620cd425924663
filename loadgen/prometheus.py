"""Metric families as Prometheus reads them, each with its values: what load and watch expose."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

Labelled = tuple[Sequence[str], float]  # the labels' values, and the series' own
# The labels' values, cumulative counts by upper edge (the last is +Inf), and the sum.
Distribution = tuple[Sequence[str], Sequence[tuple[str, float]], float]


def gauge(name: str, text: str, labels: Sequence[str], values: Iterable[Labelled]) -> Metric:
    """Return the gauge loadgen_<name>."""
    family = GaugeMetricFamily(f"loadgen_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def counter(name: str, text: str, labels: Sequence[str], values: Iterable[Labelled]) -> Metric:
    """Return the counter loadgen_<name>_total."""
    family = CounterMetricFamily(f"loadgen_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def histogram(
    name: str, text: str, labels: Sequence[str], values: Iterable[Distribution]
) -> Metric:
    """Return the histogram loadgen_<name>, whose name ends in its unit, seconds."""
    family = HistogramMetricFamily(f"loadgen_{name}", text, labels=labels, unit="seconds")
    for key, buckets, total in values:
        family.add_metric(key, list(buckets), total)
    return family
