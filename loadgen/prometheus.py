"""Builds the metric families that load and watch expose to Prometheus."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

Labelled = tuple[Sequence[str], float]  # label values, and the value of the series
# Label values, cumulative counts by upper edge (the last is +Inf), and the sum.
Distribution = tuple[Sequence[str], Sequence[tuple[str, float]], float]


def gauge(name: str, text: str, labels: Sequence[str], series: Iterable[Labelled]) -> Metric:
    """Return the gauge loadgen_<name>."""
    family = GaugeMetricFamily(f"loadgen_{name}", text, labels=labels)
    for label_values, number in series:
        family.add_metric(label_values, number)
    return family


def counter(name: str, text: str, labels: Sequence[str], series: Iterable[Labelled]) -> Metric:
    """Return the counter loadgen_<name>_total."""
    family = CounterMetricFamily(f"loadgen_{name}", text, labels=labels)
    for label_values, number in series:
        family.add_metric(label_values, number)
    return family


def histogram(
    name: str, text: str, labels: Sequence[str], series: Iterable[Distribution]
) -> Metric:
    """Return the histogram loadgen_<name>_seconds."""
    family = HistogramMetricFamily(f"loadgen_{name}", text, labels=labels, unit="seconds")
    for label_values, buckets, total in series:
        family.add_metric(label_values, list(buckets), total)
    return family
