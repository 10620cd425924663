"""How a run ended: its verdict and totals, as the terminal shows them and run.json holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from loadgen.record.run import (
    ImportedTableWrites,
    ImportedWrites,
    OperationLatency,
    Run,
    Totals,
)
from loadgen.record.verdict import Quantiles, RunVerdict
from loadgen.workload.ledger import Counts
from loadgen.workload.model import WorkloadModel
from loadgen.workload.row_growth import rows_written


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

    def write_into(self, run: Run) -> None:
        """Set the keys of run.json that hold the outcome."""
        verdict = self.verdict
        run.exit_code = verdict.exit_code
        run.valid = verdict.valid
        run.invalid_reason = "; ".join(verdict.reasons) or None
        run.failures = {name: dict(by_state) for name, by_state in self.failures.items()}
        run.totals = dict(self.totals)
        run.asked = dict(self.planned)
        run.latency = {
            name: OperationLatency.model_validate(latency) for name, latency in self.latency.items()
        }
        run.duration_seconds = round(self.seconds, 3)
        run.bottleneck_reason = verdict.judgement.bottleneck
        run.thresholds = [judged.plain() for judged in verdict.judgement.thresholds]


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


def imported_writes(
    model: WorkloadModel, statement_rows: Mapping[str, Sequence[int]], level: float
) -> ImportedWrites | None:
    """Return what a run wrote beside what its model's database writes; None if none was imported.

    The rates are the database's, scaled as the model's are; `level` is the mean level of the
    model's own profile in the run.
    """
    if model.imported is None:
        return None
    rows, scale = rows_written(model, statement_rows), model.imported.rate_scale
    return ImportedWrites(
        read_at=datetime.fromisoformat(model.imported.read_at),
        rate_scale=scale,
        level=level,
        tables={
            name: ImportedTableWrites(rows=rows[name], per_hour=table.writes * scale)
            for name, table in model.imported.tables.items()
            if name in model.tables and table.writes is not None
        },
    )
