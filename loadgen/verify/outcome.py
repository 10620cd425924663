"""The outcome of a tool's verification: its verdict, and its entry of verify.json."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from loadgen.record.verify import (
    KINDS,
    CaseOutcome,
    ClockOffset,
    Finding,
    InitialSync,
    Kind,
    LookedForDeletes,
    TableOutcome,
    ToolVerification,
    Verdict,
    Verification,
)
from loadgen.verify.deletes import Deletes
from loadgen.verify.findings import FindingTally


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The outcome for one tool.

    `late` are differences that are not proven to be due. `problems` are lines on tables and columns
    that could not be compared.
    """

    tables: Mapping[str, TableOutcome] = field(default_factory=dict)
    totals: Mapping[Kind, int] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    problems: Sequence[str] = ()
    late: FindingTally = field(default_factory=FindingTally)
    unconverged_seconds: float | None = None  # the time limit, if the sentinels missed it
    overdue_seconds: float | None = None  # the age of a missing marker, if that is too old
    seconds: float = 0.0
    cases: Mapping[str, CaseOutcome] = field(default_factory=dict)  # hard cases by name
    initial_sync: InitialSync | None = None  # of a local tool
    clocks: Mapping[str, ClockOffset] = field(default_factory=dict)  # of source, destination
    deletes: Deletes | None = None  # None if the hard cases could not be compared

    @property
    def verdict(self) -> Verdict:
        """The verdict on the copy."""
        if self.unconverged_seconds is not None or self.overdue_seconds is not None:
            return "did not converge"
        kinds = {kind for kind, count in self.totals.items() if count}
        if kinds:
            return "lossy" if kinds == {"lossy"} else "wrong"
        # Two empty sides do not prove agreement.
        if self.problems or not any(t.rows or t.destination_rows for t in self.tables.values()):
            return "not checked"
        return "late" if self.late.totals else "right"

    def overdue(self, seconds: float) -> "ToolOutcome":
        """Return the outcome with late findings as due, since the copy lacks a marker this old."""
        tally = FindingTally(Counter(self.totals), list(self.findings))
        tally.merge(self.late)
        return replace(
            self,
            totals=tally.totals,
            findings=tally.findings,
            late=FindingTally(),
            overdue_seconds=seconds,
        )

    @property
    def rows(self) -> int:
        """The source's rows that were compared."""
        return sum(table.rows for table in self.tables.values())

    @property
    def in_flight(self) -> int:
        """The compared rows that were in flight."""
        return sum(table.in_flight for table in self.tables.values())

    def recorded(self, at: str, deletes: LookedForDeletes | None = None) -> ToolVerification:
        """Return the entry of verify.json.

        `deletes` are an earlier verification's, for an outcome without its own.
        """
        if self.deletes is not None:
            deletes = self.deletes.recorded()
        return ToolVerification(
            at=at,
            verdict=self.verdict,
            totals={kind: self.totals[kind] for kind in KINDS if self.totals.get(kind)},
            late={kind: self.late.totals[kind] for kind in KINDS if self.late.totals[kind]},
            in_flight=self.in_flight,
            overdue_seconds=self.overdue_seconds,
            unconverged_seconds=self.unconverged_seconds,
            seconds=round(self.seconds, 2),
            tables=dict(self.tables),
            cases=dict(self.cases),
            deletes=deletes,
            initial_sync=self.initial_sync,
            clocks=dict(self.clocks),
            problems=tuple(self.problems),
            findings=tuple(self.findings),
        )


def verification(
    outcomes: Mapping[str, ToolOutcome], before: Verification | None = None
) -> Verification:
    """Return verify.json's content, including tools that were verified only `before`."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    tools = dict(before.tools) if before else {}
    for name, outcome in outcomes.items():
        earlier = tools.get(name)
        tools[name] = outcome.recorded(at, earlier.deletes if earlier else None)
    return Verification(tools=tools)


def exit_code(outcomes: Mapping[str, ToolOutcome]) -> int:
    """Return 1 if a copy is wrong, 2 if one could not be checked in full, else 0 (also if late)."""
    verdicts = {outcome.verdict for outcome in outcomes.values()}
    if verdicts & {"wrong", "lossy", "did not converge"}:
        return 1
    return 2 if "not checked" in verdicts else 0
