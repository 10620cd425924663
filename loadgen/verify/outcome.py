"""What verification found of a tool: verdict, totals, findings, and how the record holds them."""

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
    """One tool: `problems` are lines on what could not be compared, and why.

    `late` are differences that no marker proves to be due.
    """

    tables: Mapping[str, TableOutcome] = field(default_factory=dict)
    totals: Mapping[Kind, int] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    problems: Sequence[str] = ()
    late: FindingTally = field(default_factory=FindingTally)
    unconverged_seconds: float | None = None  # how long the sentinel was waited for in vain
    overdue_seconds: float | None = (
        None  # the age of a marker that the copy lacks, if it is too old
    )
    seconds: float = 0.0
    cases: Mapping[str, CaseOutcome] = field(default_factory=dict)  # the hard ones, by name
    initial_sync: InitialSync | None = None  # of a local tool
    clocks: Mapping[str, ClockOffset] = field(default_factory=dict)  # of source, destination
    deletes: Deletes | None = None  # None where this verification could not look for them

    @property
    def verdict(self) -> Verdict:
        """What to think of the copy."""
        if self.unconverged_seconds is not None or self.overdue_seconds is not None:
            return "did not converge"
        found = {kind for kind, count in self.totals.items() if count}
        if found:
            return "lossy" if found == {"lossy"} else "wrong"
        if self.problems or not self._compared:
            return "not checked"
        return "late" if self.late.totals else "right"

    def overdue(self, seconds: float) -> "ToolOutcome":
        """Return it with what was late as findings, since the copy lacks a marker of that age."""
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
    def _compared(self) -> bool:
        """Whether there was a row to compare: nothing on both sides is no agreement."""
        return any(table.rows or table.destination_rows for table in self.tables.values())

    @property
    def in_flight(self) -> int:
        """Rows that were under way."""
        return sum(table.in_flight for table in self.tables.values())

    def recorded(self, at: str, deletes: LookedForDeletes | None = None) -> ToolVerification:
        """Return what verify.json holds of it.

        `deletes` is what is known of them if this verification could not look for them.
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
    """Return verify.json's content; tools that were checked `before`, and not now, are kept."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    tools = dict(before.tools) if before else {}
    for name, outcome in outcomes.items():
        earlier = tools.get(name)
        tools[name] = outcome.recorded(at, earlier.deletes if earlier else None)
    return Verification(tools=tools)


def exit_code(outcomes: Mapping[str, ToolOutcome]) -> int:
    """Return 1 if something is wrong, 2 if a copy could not be checked in full, else 0.

    What is only late has still its time, so it is no failure.
    """
    verdicts = {outcome.verdict for outcome in outcomes.values()}
    if verdicts & {"wrong", "lossy", "did not converge"}:
        return 1
    return 2 if "not checked" in verdicts else 0
