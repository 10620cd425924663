"""run.json of the run record: settings and environment of a run, its outcome and its journal.

A run that has not ended, or was killed, lacks some keys; these are None or empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr

from loadgen.errors import RecordError
from loadgen.record.model import Exact, Finite, Moment, RecordFile, RecordModel, moment
from loadgen.untrusted import short

Color = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
OperationName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]


class Totals(RecordModel):
    """The outcomes of one operation's arrivals over the whole run."""

    offered: int = 0
    committed: int = 0
    failed: int = 0
    skipped: int = 0
    unknown: int = 0


RowCounter = Literal["rows", "version_sum"]


class TableRows(RecordModel):
    """One table of the source at one moment; version_sum is None if it has no version.

    `sums` are those of its columns in conserved sums.
    """

    rows: int = 0
    version_sum: int | None = None
    sums: dict[str, Exact] = Field(default_factory=dict)

    def count(self, counter: RowCounter) -> int:
        """Return one of the two; 0 for the versions of a table without."""
        return self.rows if counter == "rows" else self.version_sum or 0


class TableGrowth(RecordModel):
    """What a table gained over a run, and what the committed writes add up to.

    These are None if the workload can't tell, and versions also if the table has none.
    """

    rows: int
    rows_written: int | None
    versions: int | None = None
    versions_written: int | None = None

    @property
    def changes(self) -> int:
        """How many rows and updates were compared."""
        rows = abs(self.rows) if self.rows_written is not None else 0
        return rows + (self.versions or 0 if self.versions_written is not None else 0)

    @property
    def differences(self) -> list[tuple[str, int, int]]:
        """Rows and updates written and gained, if these differ."""
        pairs = (
            ("rows", self.rows_written, self.rows),
            ("updates", self.versions_written, self.versions or 0),
        )
        return [
            (noun, written, gained)
            for noun, written, gained in pairs
            if written is not None and written != gained
        ]


class ImportedTableWrites(RecordModel):
    """Rows that a run wrote to a table, and per hour those that the import's statistics ask for."""

    rows: int
    per_hour: Finite


class ImportedWrites(RecordModel):
    """The writes of a run of an imported model, by table; one without statistics is left out."""

    read_at: Moment
    tables: dict[str, ImportedTableWrites] = Field(default_factory=dict)
    rate_scale: Finite = 1.0  # the model's rates by those of the database
    level: Finite = 1.0  # mean level of the model's own profile while the run followed it, else 1


class OperationFacts(RecordModel):
    """One operation of the workload: how it is counted, proved and shown."""

    label: str
    table: str
    change: Literal["insert", "update", "delete", "other"]
    # The figure of its table that each of its commits raises by one, if there is one.
    counter: RowCounter | None
    proof: Literal["key", "version", "once", "unproved"]
    option: str  # the setting of its rate per hour
    light: Color
    dark: Color


class Spent(RecordModel):
    """The resources that the source's server had used at one moment; None if not known."""

    wal_bytes: int | None = None
    cpu_seconds: Finite | None = None
    server_started_at: Moment | None = None


class Latency(RecordModel):
    """Quantiles over the whole run, in seconds; None if nothing finished."""

    p50: Finite | None = None
    p95: Finite | None = None
    p99: Finite | None = None
    max: Finite | None = None


class OperationLatency(RecordModel):
    """The same operation timed twice: from sending, and from the moment it was due."""

    service: Latency = Field(default_factory=Latency)
    intended: Latency = Field(default_factory=Latency)


class HardCaseTurns(RecordModel):
    """How many turns of a hard case were committed, and how many failed."""

    committed: int = 0
    failed: int = 0


class SampleCoverage(RecordModel):
    """How many samples a run has, and for how many seconds it had none when one was due."""

    samples: int = 0
    seconds_without: Finite | None = None


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """An event of the run; its details depend on its kind."""

    at: datetime
    kind: str
    details: Mapping[str, Any]


def _event(entry: object) -> JournalEvent:
    if not isinstance(entry, dict):
        raise ValueError(f"{short(entry)} is not an event")  # noqa: TRY004 - pydantic's
    if not isinstance(entry.get("kind"), str) or "at" not in entry:
        raise ValueError(f"{short(entry)} is an event without its time or kind")
    details = {key: value for key, value in entry.items() if key not in {"at", "kind"}}
    return JournalEvent(moment(entry["at"]), entry["kind"], details)


class Run(RecordFile):
    """The content of run.json, in its order. The load changes it during the run.

    A key that this version does not know stays.
    """

    model_config = ConfigDict(extra="allow", frozen=False, validate_assignment=True)

    FILE: ClassVar = "run.json"
    REMEDY: ClassVar = "it was changed after loadgen wrote it"

    run_id: str = ""
    workload: str = "shop"  # the only one of older records, which don't name it
    seed: int | None = None
    profile: str | None = None
    settings: dict[str, object] = Field(default_factory=dict)
    versions: dict[str, object] = Field(default_factory=dict)
    machine: dict[str, object] = Field(default_factory=dict)
    source: dict[str, object] = Field(default_factory=dict)
    started_at: Moment | None = None
    ended_at: Moment | None = None
    # `RunRecord` writes it, and encodes each event once.
    journal: Annotated[
        tuple[Annotated[JournalEvent, BeforeValidator(_event)], ...], Field(exclude=True)
    ] = ()
    totals: dict[str, Totals] = Field(default_factory=dict)
    operations: dict[OperationName, OperationFacts] = Field(default_factory=dict)
    rows_before: dict[str, TableRows] = Field(default_factory=dict)
    rows_after: dict[str, TableRows] | None = None
    # Rows that each statement of an operation touched in committed transactions, in their order.
    statement_rows: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    growth: dict[str, TableGrowth] = Field(default_factory=dict)
    # The look-up of each operation's lost writes.
    proof: dict[str, Literal["key", "version", "once", "unproved"]] = Field(default_factory=dict)
    spent_before: Spent = Field(default_factory=Spent)
    spent_after: Spent | None = None
    valid: bool | None = None
    invalid_reason: str | None = None
    plan: dict[str, object] | None = None
    source_time: Moment | None = None  # by the source's clock, before the first write
    users: int | None = None
    duration_seconds: Finite | None = None
    schedule_started_at: Moment | None = None
    journal_left_out: int = 0  # events that the journal had no room for
    marker_table: Literal["events", "loadgen_markers"] = "events"  # of records before schema 2
    hard_cases: dict[str, HardCaseTurns] = Field(default_factory=dict)
    exit_code: int | None = None
    failures: dict[str, dict[str, int]] = Field(default_factory=dict)  # then by SQLSTATE
    asked: dict[str, Finite] = Field(default_factory=dict)
    latency: dict[str, OperationLatency] = Field(default_factory=dict)
    bottleneck_reason: str | None = None
    thresholds: list[dict[str, object]] = Field(default_factory=list)
    sampled: SampleCoverage = Field(default_factory=SampleCoverage)
    latency_all: OperationLatency = Field(default_factory=OperationLatency)
    imported: ImportedWrites | None = None  # of an imported workload, once the run has ended

    _path: Path = PrivateAttr(default=Path())

    @property
    def path(self) -> Path:
        """The folder that it was read from."""
        return self._path

    @classmethod
    def of(cls, folder: Path) -> "Run":
        """Read the folder's run.json. Raises RecordError."""
        try:
            run = cls.read(folder)
        except FileNotFoundError as exc:
            raise RecordError(f"{folder / cls.FILE} is not there: name a run's folder") from exc
        run._path = folder  # noqa: SLF001 - its own
        if not run.run_id:
            run.run_id = folder.resolve().name
        return run
