"""The verdict on a run from its record, and the limits of thresholds.toml as the report shows them.

Judging is `workload.outcome`'s; here a run's facts are handed to it, and its answers put in words.
Pure.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from loadgen import text
from loadgen.config.thresholds import Judged, Judgement, Measured, Quantiles, Threshold
from loadgen.record.reader import JournalEvent, OperationLatency, Totals
from loadgen.report.analysis.generator import Stretch
from loadgen.report.analysis.run import Facts
from loadgen.text import Column, Table
from loadgen.workload.operations import label
from loadgen.workload.outcome import Evidence, RunVerdict, verdict_of

_RESULTS = {"pass": "passed", "missed": "MISSED", "not judged": "not judged"}
_MOST_STRETCHES = 3
_INTERRUPTED: Final = 130
_LEVERS: Final = ("pause", "resume")


def verdict_on(facts: Facts, limits: tuple[Threshold, ...]) -> RunVerdict:
    """Return the verdict on a run, by its record; a limit may have changed since it ended."""
    generator, run = facts.generator, facts.run
    names = ("offered", "committed", "failed", "skipped", "unknown")
    measured = Measured(
        seconds=facts.seconds,
        bottleneck_seconds=generator.bottleneck_seconds if generator else None,
        total=Totals(*(facts.total(name) for name in names)),
        totals={done.operation: done.totals for done in facts.operations},
        latency_all=_quantiles(run.latency_all),
        latency={name: _quantiles(latency) for name, latency in run.latency.items()},
    )
    gained = {done.operation: done.gained for done in facts.operations if done.gained is not None}
    counted = bool(gained) and len(gained) == len(facts.operations)
    evidence = Evidence(
        measured,
        {done.operation: done.asked for done in facts.operations if done.asked is not None},
        gained=gained if counted else None,
        samples=facts.samples,
        broken_samples=facts.broken,
        in_flight=sum(done.in_flight for done in facts.operations),
        hard_cases=sum(run.hard_cases.values()),
        poisson=run.settings.get("arrivals") == "poisson",
        interrupted=run.exit_code == _INTERRUPTED,
        paused_by=_paused_by(run.journal),
    )
    verdict = verdict_of(evidence, limits)
    judged_anew = generator is not None and run.bottleneck_reason is not None
    if run.valid is not False or verdict.problems:
        return verdict
    if judged_anew and run.invalid_reason == run.bottleneck_reason:
        return verdict
    why = run.invalid_reason or "the load itself judged the run invalid"
    return verdict_of(replace(evidence, seen_by_load=(why,)), limits)


def _paused_by(journal: Sequence[JournalEvent]) -> str | None:
    """Return who had the load paused when it ended."""
    last = next((event for event in reversed(journal) if event.kind in _LEVERS), None)
    return str(last.details.get("by")) if last is not None and last.kind == "pause" else None


def table(judgement: Judgement) -> Table:
    """Return the limits, what was measured, and how that compares."""
    rows = [
        (
            found.threshold.name,
            "All" if (name := found.threshold.operation) is None else label(name),
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
    more = f" and {text.plural(len(missed) - 1, 'other')}" if len(missed) > 1 else ""
    return f"{first.threshold}: {found}, limit {limit}{more}"


def stretches_words(stretches: tuple[Stretch, ...]) -> str:
    """Return when the generator was the bottleneck, by the samples' times."""
    shown = [
        f"{stretch.first:%H:%M:%S}"
        + (f" to {stretch.last:%H:%M:%S}" if stretch.last > stretch.first else "")
        for stretch in stretches[:_MOST_STRETCHES]
    ]
    if len(stretches) > _MOST_STRETCHES:
        shown.append(f"{text.count(len(stretches) - _MOST_STRETCHES)} times more")
    return text.listed(shown)


def _quantiles(found: OperationLatency) -> Quantiles:
    return {
        kind: {name: getattr(getattr(found, kind), name) for name in ("p50", "p95", "p99", "max")}
        for kind in ("service", "intended")
    }


def _value(name: str, value: float) -> str:
    if name.endswith("_share"):
        return text.share(value, 1)
    return f"${value:,.2f}" if name.endswith("_dollars") else text.latency(value)
