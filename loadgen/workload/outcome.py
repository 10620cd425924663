"""How a run ended, and whether its numbers can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadgen.thresholds import Judgement
from loadgen.workload.ledger import Counts
from loadgen.workload.settle import gained

Rows = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: what the terminal says and the process answers."""

    run_id: str
    exit_code: int
    problems: tuple[str, ...]
    totals: Mapping[str, Counts]
    asked: Mapping[str, float]
    latency: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    seconds: float
    bottleneck_seconds: int | None
    judgement: Judgement
    failures: Mapping[str, Mapping[str, int]]  # by operation or hard case, then SQLSTATE


def recorded(outcome: Outcome) -> dict[str, Any]:
    """Return what the record holds of an outcome, by run.json's keys."""
    return {
        "exit_code": outcome.exit_code,
        "failures": outcome.failures,
        "totals": {name: plain_totals(counts) for name, counts in outcome.totals.items()},
        "asked": dict(outcome.asked),
        "latency": outcome.latency,
        "duration_seconds": round(outcome.seconds, 3),
        "bottleneck_reason": outcome.judgement.bottleneck,
        "thresholds": [found.plain() for found in outcome.judgement.results],
    }


def problems_of(
    totals: Mapping[str, Counts],
    unbalanced: int,
    rows_before: Rows,
    rows_after: Rows | None,
    why_not: str = "",
) -> list[str]:
    """Say, a line each, why this run's numbers can't be trusted; empty when they can.

    `why_not` tells why there is no `rows_after`.
    """
    problems = []
    if unbalanced:
        problems.append(f"the accounting law was broken in {unbalanced} samples")
    unknown = sum(counts.unknown for counts in totals.values())
    if unknown:
        problems.append(f"{unknown} writes could not be looked up and stay unknown")
    in_flight = sum(counts.in_flight for counts in totals.values())
    if in_flight:
        problems.append(f"{in_flight} writes had no answer when the run was closed")
    if rows_after is None:
        why = f" ({why_not})" if why_not else ""
        problems.append(f"the source could not be read at the end{why}: rows are not compared")
        return problems
    rows = gained(rows_before, rows_after)
    problems += [
        f"{name}: {counts.committed} committed, but the tables gained {rows[name]}"
        for name, counts in totals.items()
        if counts.committed != rows[name]
    ]
    return problems


def plain_totals(counts: Counts) -> dict[str, int]:
    """Return an operation's totals as the record holds them."""
    return {
        "offered": counts.offered,
        "committed": counts.committed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "unknown": counts.unknown,
    }


def by_operation(failures: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Return {operation: {SQLSTATE: failed writes}}."""
    nested: dict[str, dict[str, int]] = {}
    for (operation, sqlstate), n in sorted(failures.items()):
        nested.setdefault(operation, {})[sqlstate] = n
    return nested
