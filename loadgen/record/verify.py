"""verify.json of the run record: the verdict on each tool's copy, and its findings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import Field

from loadgen.record.model import Count, Finite, PreciseMoment, RecordFile, RecordModel

Verdict = Literal["right", "late", "lossy", "wrong", "did not converge", "not checked"]
CaseVerdict = Literal["right", "late", "lossy", "wrong", "not tried", "not checked"]
Answer = Literal["right", "wrong"]
Kind = Literal[
    "duplicate", "missing", "extra", "not_deleted", "resurrected", "stale", "lossy", "differs"
]
# The kinds are part of the file's format: a record with another one can't be read.
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference between source and copy, with its key as text; None if a side has no value.

    `case` is the hard case that the row belongs to. A finding is `late` if nothing proves that the
    copy had to hold the change.
    """

    table: str
    key: str
    column: str | None
    kind: Kind
    source: str | None
    destination: str | None
    case: Annotated[str | None, Field(exclude_if=lambda case: case is None)] = None
    late: Annotated[bool, Field(exclude=True)] = False


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """The compared rows of a table; `in_flight` of them were under way."""

    rows: Count
    destination_rows: Count
    in_flight: Count = 0


@dataclass(frozen=True, slots=True)
class CaseExample:
    """The first finding of a hard case."""

    key: str
    column: str | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """A hard case in one copy: its checked rows, its wrong rows and the first of these.

    `expected` is None if it is not known how the tool reads changes. `late` rows may still become
    right. If `settled`, the source was at rest and everything had been delivered.
    """

    verdict: CaseVerdict
    checked: Count = 0
    wrong: Count = 0
    example: CaseExample | None = None
    expected: Answer | None = None
    late: Count = 0
    settled: bool = True


@dataclass(frozen=True, slots=True)
class LookedForDeletes:
    """The number of the run's deletes that were looked for, and the keys that were never gone."""

    looked_for: Count
    never_gone: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InitialSync:
    """The first copy of the source, by the tool's own count."""

    began_at: PreciseMoment
    first_row_at: PreciseMoment | None = field(default=None, kw_only=True)  # when one could be read
    caught_up_at: PreciseMoment
    rows: Count

    @property
    def seconds(self) -> float:
        """The seconds from start to end."""
        return (self.caught_up_at - self.began_at).total_seconds()

    @property
    def rows_per_second(self) -> float:
        """The rows per second, from start to end."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The seconds by which a clock is ahead of ours, and their uncertainty."""

    ahead_seconds: Finite
    within_seconds: Finite


class ToolVerification(RecordModel):
    """The result of verifying one tool's copy.

    `totals` count all findings, `late` those that no marker proves to be due.
    """

    at: str = ""
    verdict: Verdict
    totals: dict[Kind, Count]
    late: dict[Kind, Count] = Field(default_factory=dict)
    in_flight: Count
    overdue_seconds: Finite | None = None
    unconverged_seconds: Finite | None = None
    seconds: Finite = 0.0
    tables: dict[str, TableOutcome]
    cases: dict[str, CaseOutcome] = Field(default_factory=dict)
    deletes: Annotated[
        LookedForDeletes | None, Field(exclude_if=lambda deletes: deletes is None)
    ] = None
    initial_sync: InitialSync | None = None
    clocks: dict[str, ClockOffset] = Field(default_factory=dict)
    problems: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def rows(self) -> int:
        """The number of compared rows of the source."""
        return sum(table.rows for table in self.tables.values())


class Verification(RecordFile):
    """The content of verify.json."""

    FILE: ClassVar = "verify.json"
    REMEDY: ClassVar = "remove it, and run `loadgen verify` again"

    tools: dict[str, ToolVerification] = Field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Verification":
        """Read the folder's verify.json; without the file no tool was verified."""
        try:
            return cls.read(folder)
        except FileNotFoundError:
            return cls()
