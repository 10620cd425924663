"""A table of the model that an import writes, while its parts are chosen."""

from dataclasses import dataclass, field

from loadgen.workload.importing.facts import ColumnFacts, TableFacts
from loadgen.workload.importing.limits import TableLimits
from loadgen.workload.importing.toml_text import Entry


@dataclass(slots=True)
class TablePlan:
    """A table of the model: its rows, and the values of its columns in the file's order."""

    facts: TableFacts
    limits: TableLimits
    rows: int
    columns: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, ...] = ()  # by which `row` finds a row
    # Columns that differ in each row: by a value of their "own", as a "time" in the order of rows,
    # or since they refer to "each" row of another table once; "part": only in the baseline.
    unique: dict[str, str] = field(default_factory=dict)
    in_turn: set[str] = field(default_factory=set)  # columns that refer to the rows in turn
    inserts: dict[str, object] = field(default_factory=dict)  # what an insert sets otherwise
    client_keys: tuple[str, ...] = ()  # columns that an insert gives keys made by the client
    left_in_turn: int | None = None  # rows, or pairs of them, that these may refer to still
    is_fixed: bool = False  # no generator makes the key of another row
    is_needed: bool = False  # each of its rows, since another table refers to them in turn
    notes: list[tuple[str, str]] = field(default_factory=list)  # guesses: a key of the file, why

    @property
    def name(self) -> str:
        """Its name in the model."""
        return self.facts.name

    @property
    def key_is_written(self) -> bool:
        """Whether the file has to name the key, since the schema has none or another."""
        return self.key != self.facts.primary_key or not self.key

    @property
    def identity(self) -> tuple[str, ...]:
        """The columns whose values together belong to one row; () if none do."""
        keys = (self.facts.primary_key, self.key)
        return next((key for key in keys if key and set(key) <= self.columns.keys()), ())

    @property
    def single(self) -> str:
        """A column that alone finds one row; "" if none does."""
        unique = (c for c in (*self.identity, *self.unique) if self.unique.get(c, "part") != "part")
        return next((c for c in unique if "null" not in self.columns.get(c, {"null": 1})), "")

    def column(self, name: str) -> ColumnFacts:
        """Return a column by its name."""
        return next(column for column in self.facts.columns if column.name == name)
