"""Operations of the model that an import writes, and the guesses in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loadgen.workload.importing.facts import Change
from loadgen.workload.importing.statements import WriteShape
from loadgen.workload.importing.table_plan import TablePlan
from loadgen.workload.importing.toml_text import Entry, SectionText


@dataclass(slots=True)
class PlannedOperation:
    """An operation of a table, and the guesses in it: by key, the reason and how to correct it."""

    plan: TablePlan
    change: Change
    name: str
    entries: Entry
    guesses: dict[str, tuple[str, str]] = field(default_factory=dict)
    shape: WriteShape | None = None
    sets: Mapping[str, object] = field(default_factory=dict)  # of an update

    @property
    def per_hour(self) -> float:
        """Its rate in the model."""
        rate = self.entries["per_hour"]
        return float(rate) if isinstance(rate, int | float) else 0.0

    def section(self) -> SectionText:
        """Return its section of the file; guesses are comments."""
        comments = {key: f"guess: {reason}" for key, (reason, _) in self.guesses.items()}
        return SectionText("operations", self.name, self.entries, comments)


@dataclass(slots=True)
class Operations:
    """All operations, and writes that none of them stands for, a line each."""

    planned: list[PlannedOperation] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    unexplained: set[str] = field(default_factory=set)  # tables whose inserts are a first load

    def guesses(self) -> Iterator[str]:
        """Yield each guess with how to correct it."""
        for operation in self.planned:
            for key, (reason, remedy) in operation.guesses.items():
                yield f"[operations.{operation.name}] {key}: {reason}: {remedy}"
