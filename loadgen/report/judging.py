"""The limits of thresholds.toml and the generator's own part, as the report judges and shows them.

Judging is `thresholds`'; here a run's facts are handed to it, and its answers put in words. Pure.
"""

from loadgen import thresholds
from loadgen.record_reader import OperationLatency, Totals
from loadgen.report import words
from loadgen.report.facts import Facts
from loadgen.report.generator import Stretch
from loadgen.report.tables import Column, Table
from loadgen.thresholds import Judged, Judgement, Measured, Quantiles, Threshold

_RESULTS = {"pass": "passed", "missed": "MISSED", "not judged": "not judged"}
_MOST_STRETCHES = 3


def judgement_of(facts: Facts, limits: tuple[Threshold, ...]) -> Judgement:
    """Return what the limits say of a run; what it did not record is not judged."""
    generator = facts.generator
    names = ("offered", "committed", "failed", "skipped", "unknown")
    measured = Measured(
        seconds=facts.seconds,
        bottleneck_seconds=generator.bottleneck_seconds if generator else None,
        total=Totals(*(facts.total(name) for name in names)),
        totals={done.operation: done.totals for done in facts.operations},
        latency_all=_quantiles(facts.run.latency_all),
        latency={name: _quantiles(found) for name, found in facts.run.latency.items()},
    )
    return thresholds.judge(limits, measured)


def table(judgement: Judgement) -> Table:
    """Return the limits, what was measured, and how that compares."""
    rows = [
        (
            found.threshold.name,
            "All" if (name := found.threshold.operation) is None else words.operation_words(name),
            _value(found.threshold.name, found.threshold.limit),
            found.why if found.measured is None else _value(found.threshold.name, found.measured),
            _RESULTS[found.verdict],
        )
        for found in judgement.results
    ]
    columns = (Column("limit"), Column("operation"), Column("at most", number=True))
    return Table((*columns, Column("measured", number=True), Column("result")), tuple(rows))


def missed_words(missed: list[Judged]) -> str:
    """Return how many limits were missed, and the first of them with its figures."""
    first = missed[0]
    found, limit = (
        _value(first.threshold.name, v or 0.0) for v in (first.measured, first.threshold.limit)
    )
    more = f" and {words.plural(len(missed) - 1, 'other')}" if len(missed) > 1 else ""
    return f"{first.threshold}: {found}, limit {limit}{more}"


def stretches_words(stretches: tuple[Stretch, ...]) -> str:
    """Return when the generator was the bottleneck, by the samples' times."""
    shown = [
        f"{stretch.first:%H:%M:%S}"
        + (f" to {stretch.last:%H:%M:%S}" if stretch.last > stretch.first else "")
        for stretch in stretches[:_MOST_STRETCHES]
    ]
    if len(stretches) > _MOST_STRETCHES:
        shown.append(f"{words.count(len(stretches) - _MOST_STRETCHES)} times more")
    return words.listed(shown)


def _quantiles(found: OperationLatency) -> Quantiles:
    return {
        kind: {name: getattr(getattr(found, kind), name) for name in ("p50", "p95", "p99", "max")}
        for kind in ("service", "intended")
    }


def _value(name: str, value: float) -> str:
    if name.endswith("_share"):
        return words.share(value, 1)
    return f"${value:,.2f}" if name.endswith("_dollars") else words.latency(value)
