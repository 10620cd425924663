"""What an import knows of a database: its catalogue and statistics, but no value of a row."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Change = Literal["insert", "update", "delete"]


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column: its type as format_type() writes it, and the shape of its values.

    What the role may not read, or was never analyzed, is None.
    """

    name: str
    type: str
    base_type: str = ""  # of a domain; of all others the same as `type`
    is_required: bool = False  # NOT NULL
    default: str = ""  # SQL
    identity: Literal["", "always", "by default"] = ""
    is_generated: bool = False
    labels: tuple[str, ...] = ()  # of an enum
    null_share: float | None = None
    distinct: float | None = None  # different values; estimated
    width: float | None = None  # bytes, on average
    correlation: float | None = None  # of values and places on disk, -1 to 1
    # Values of rows: read only if the user asks for it.
    common: tuple[tuple[str, float], ...] = ()  # the most common values and their shares
    bounds: tuple[str, ...] = ()  # of a histogram, from lowest to highest


@dataclass(frozen=True, slots=True)
class ForeignKeyFacts:
    """A foreign key: its columns, and the table and columns that they refer to."""

    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """Rows that were written to a table in the window; `hot_updates` are among the updates."""

    inserts: int = 0
    updates: int = 0
    deletes: int = 0
    hot_updates: int = 0

    @property
    def total(self) -> int:
        """All rows written."""
        return self.inserts + self.updates + self.deletes


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table, or the root of a partitioned one with the sums of its partitions.

    The name is that of the model: `orders` for schema public, `sales.orders` for another one.
    """

    name: str
    columns: tuple[ColumnFacts, ...]
    rows: int = 0  # estimated by Postgres
    heap_bytes: int = 0
    toast_bytes: int = 0
    index_bytes: int = 0
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()  # without the primary key
    foreign_keys: tuple[ForeignKeyFacts, ...] = ()
    checks: tuple[str, ...] = ()  # SQL
    has_replica_identity: bool = True
    is_partitioned: bool = False
    has_triggers: bool = False  # which the model leaves out
    has_exclusion: bool = False  # rows may exclude each other by more than equal values
    writes: WriteCounts | None = None  # None if the role may not read them

    @property
    def bytes(self) -> int:
        """Heap and TOAST, without indexes."""
        return self.heap_bytes + self.toast_bytes


@dataclass(frozen=True, slots=True)
class StatementFacts:
    """A statement of pg_stat_statements, normalized by Postgres: `$1` in place of constants."""

    sql: str
    calls: int
    rows: int


@dataclass(frozen=True, slots=True)
class Window:
    """The time that the writes were counted in: since the statistics were reset, or measured."""

    began_at: datetime | None  # None if Postgres does not know when they were reset
    ended_at: datetime
    is_measured: bool = False
    # The rate of each part of a measured window, as a share of the mean: the profile of the model.
    shares: tuple[float, ...] = ()
    every: float = 0.0  # seconds of each part

    @property
    def seconds(self) -> float | None:
        """Its length; None if it is not known."""
        return None if self.began_at is None else (self.ended_at - self.began_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that could not be read, and the SQL or step that would let us read it."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """All that an import read; `digests` tell the database again without naming it."""

    digests: tuple[str, ...]  # sha256 of its address, and of its server's identity; 64 hex digits
    server_version: int  # such as 150008
    read_at: datetime
    window: Window
    tables: tuple[TableFacts, ...]
    statements: tuple[StatementFacts, ...] = ()
    has_statements: bool = False  # pg_stat_statements is there and readable
    missing: tuple[Missing, ...] = ()
    schema_sql: str = ""
    left_out: tuple[str, ...] = field(default=())  # a line for each object that schema.sql lacks
    with_values: bool = False
