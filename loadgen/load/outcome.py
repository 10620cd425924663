"""How a run ended: its verdict and totals, as the terminal shows them and run.json holds them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from loadgen.record.run import Totals
from loadgen.record.verdict import Quantiles, RunVerdict
from loadgen.workload.ledger import Counts


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `planned` is how many arrivals the rates called for."""

    run_id: str
    verdict: RunVerdict
    totals: Mapping[str, Totals]
    planned: Mapping[str, float]
    latency: Mapping[str, Quantiles]
    seconds: float
    bottleneck_seconds: int | None
    failures: Mapping[str, Mapping[str, int]]  # by operation or hard case, then SQLSTATE

    @property
    def exit_code(self) -> int:
        """The exit code of the run."""
        return self.verdict.exit_code

    def plain(self) -> dict[str, object]:
        """Return plain values, by the keys of run.json."""
        verdict = self.verdict
        return {
            "exit_code": verdict.exit_code,
            "valid": verdict.valid,
            "invalid_reason": "; ".join(verdict.reasons) or None,
            "failures": self.failures,
            "totals": {name: asdict(totals) for name, totals in self.totals.items()},
            "asked": dict(self.planned),
            "latency": self.latency,
            "duration_seconds": round(self.seconds, 3),
            "bottleneck_reason": verdict.judgement.bottleneck,
            "thresholds": [judged.plain() for judged in verdict.judgement.thresholds],
        }


def totals_of(counts: Counts) -> Totals:
    """Return the totals of a run from its counts at the end."""
    return Totals(
        offered=counts.offered,
        committed=counts.committed,
        failed=counts.failed,
        skipped=counts.skipped,
        unknown=counts.unknown,
    )


def failures_by_operation(
    failures: Mapping[tuple[str, str], int],
) -> dict[str, dict[str, int]]:
    """Return {operation: {SQLSTATE: failed writes}}."""
    by_operation: dict[str, dict[str, int]] = {}
    for (operation, sqlstate), n in sorted(failures.items()):
        by_operation.setdefault(operation, {})[sqlstate] = n
    return by_operation
