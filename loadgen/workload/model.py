"""The workload model: the tables, operations and values that a folder's files describe.

Facts only. `read_model` reads them from workload.toml and schema.sql, `values` turns generators
into values, `load.compile` turns operations into requests, and `source` makes tables and rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Final, Literal, TypeVar

Change = Literal["insert", "update", "delete", "other"]  # what a statement does to its table
ProofKind = Literal["key", "version", "once", "unproved"]
MOST_LEVELS: Final = 1440  # of a profile: a day of minutes
_Kind = TypeVar("_Kind")

# --- Values -------------------------------------------------------------------------------------
# A generator makes the text of a value, in Postgres' input syntax, as a pure function of a stream
# (seed, owner, name) and an index: the number of a baseline row, or k of an arrival.


@dataclass(frozen=True, slots=True)
class Constant:
    """The same text for every row."""

    text: str


@dataclass(frozen=True, slots=True)
class SqlDefault:
    """The column is left to its default, its identity or its generation expression."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """`start`, `start` + 1, …; `pattern` has one {} for the number, such as "ACC-{:06}"."""

    start: int = 1
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Uuid:
    """A uuid of version 4."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `texts`, each as often as its weight says."""

    texts: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `low` to `high`; with `skew` above 1 low ones are more frequent."""

    low: int
    high: int
    skew: float = 1.0


@dataclass(frozen=True, slots=True)
class Decimal:
    """A number from `low` to `high` with `scale` digits after the point; see Number for skew."""

    low: float
    high: float
    scale: int
    skew: float = 1.0


@dataclass(frozen=True, slots=True)
class Boolean:
    """True in `share` of the rows."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Text:
    """Words of `shortest` to `longest` characters."""

    shortest: int
    longest: int


@dataclass(frozen=True, slots=True)
class Bytes:
    """Random bytes, for bytea."""

    shortest: int
    longest: int


@dataclass(frozen=True, slots=True)
class PersonName:
    """A person's name of one of some countries; of `by`, a column with ISO country codes."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Email:
    """An address at a domain that can't exist, unique by its index; of the name in column `by`."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Time:
    """An instant in the `days` before the baseline's end.

    `growth`: rows come in time order, as many an hour as a growing business with weekdays and
    nights has. `even`: at random. `date` drops the time of day.
    """

    days: int = 182
    spread: Literal["growth", "even"] = "even"
    form: Literal["timestamptz", "timestamp", "date"] = "timestamptz"


@dataclass(frozen=True, slots=True)
class TimeAfter:
    """An instant after the time in column `column`, up to the baseline's end, in `share` of rows.

    Other rows have the time of `column` itself.
    """

    column: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON document: `template` has generators in the place of values, at any depth.

    With `by`, a column or parameter that is a Choice, `templates` has one template for each of its
    texts, "" for the others. `pad_to` is the size in bytes that a last key "padding" fills up;
    `pad_setting` is the setting that overrides it.
    """

    templates: Mapping[str, object]
    by: str = ""
    pad_to: int = 0
    pad_setting: str = ""


@dataclass(frozen=True, slots=True)
class Array:
    """An array literal of `fewest` to `most` elements."""

    element: "Generator"
    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class Row:
    """`column` of a baseline row of `table`; with `skew` above 1 busy rows are more frequent.

    Rank int(n * u**skew) of uniform u is busy if it is low; rows that an operation may remove once
    (`OnceParameter`) are never picked. A baseline row refers to rows that existed at its time.
    `hot_setting` is the setting that limits it to so many of the busiest rows. `each`: the rows of
    `table` in turn, so that no two rows refer to the same one, or to the same pair of rows.
    """

    table: str
    column: str
    skew: float = 1.0
    hot_setting: str = ""
    each: bool = False


Generator = (
    Constant
    | SqlDefault
    | Sequence
    | Uuid
    | Choice
    | Number
    | Decimal
    | Boolean
    | Text
    | Bytes
    | PersonName
    | Email
    | Time
    | TimeAfter
    | Json
    | Array
    | Row
)


@dataclass(frozen=True, slots=True)
class Value:
    """How a column or a parameter gets its values; `null_share` of them are NULL."""

    generator: Generator
    null_share: float = 0.0


# --- Tables -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NextState:
    """A state that may follow another: how often, and after how many minutes in the baseline."""

    state: str
    weight: float
    minutes: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class States:
    """The life cycle of a table's rows: a state machine over one column.

    A state in `next_states` may have "" among its followers: the row stays as it is for good.
    The load moves rows of states that always have a follower. `version` counts the moves; it is 0
    at first, and each update of the row adds 1 (by a trigger of the schema or by the statement).
    """

    column: str
    version: str
    key: str  # the column that a move finds its row by
    first: str
    next_states: Mapping[str, tuple[NextState, ...]]
    created_at: str = ""  # columns of times that the baseline fills by the same life cycle
    changed_at: str = ""

    @property
    def open_states(self) -> tuple[str, ...]:
        """The states from which the load moves a row on."""
        return tuple(
            state
            for state, followers in self.next_states.items()
            if followers and all(following.state for following in followers)
        )


@dataclass(frozen=True, slots=True)
class Gone:
    """The quietest `share` of a table's baseline rows is gone already: softly, by a time in it."""

    column: str
    share: float


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its baseline: `rows` rows, the columns that get generated values, the key.

    The name is that of the model: `orders` for schema public, `sales.orders` for another one.
    """

    name: str
    rows: int = 0
    rows_setting: str = ""  # the setting that overrides `rows`, such as initial_orders
    key: tuple[str, ...] = ()
    columns: Mapping[str, Value] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)  # for a table that has no schema.sql
    version: str = ""  # a column that each update of a row raises by one
    states: States | None = None
    gone: Gone | None = None

    @property
    def version_column(self) -> str:
        """The column that each update of a row raises by one; "" if there is none."""
        return self.version or (self.states.version if self.states else "")

    @property
    def schema(self) -> str:
        """Its schema in the database."""
        return self.name.rpartition(".")[0] or "public"

    @property
    def relation(self) -> str:
        """Its name in that schema."""
        return self.name.rpartition(".")[2]


# --- Operations ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyParameter:
    """A client-made key for `column` of `table`, into which the transaction inserts."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class OnceParameter:
    """The key of a baseline row that no other arrival of the run aims at, the quietest first.

    At most the quietest `share` of the rows are used, without those that don't meet `condition`
    (SQL; "" if there is none) when the run begins; after that an arrival fails with 02000.
    """

    table: str
    column: str
    share: float = 0.2
    condition: str = ""


@dataclass(frozen=True, slots=True)
class InsertedParameter:
    """The key that arrival k of the insert `operation` made, in its parameter `parameter`.

    `oldest`: arrival k aims at insert k. `newest`: at a drawn one among the inserts that were due
    at least twice the lateness limit earlier, new ones more often.
    """

    operation: str
    parameter: str
    order: Literal["oldest", "newest"]


@dataclass(frozen=True, slots=True)
class StateParameter:
    """A part of a move in a table's life cycle: the row's key, its next state, its version now."""

    table: str
    part: Literal["key", "state", "version"]


Parameter = Value | KeyParameter | OnceParameter | InsertedParameter | StateParameter


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a transaction, with $1 … in the place of `parameters`."""

    sql: str
    parameters: tuple[str, ...]
    change: Change
    table: str  # as in the model; "" if sqlglot can't tell


@dataclass(frozen=True, slots=True)
class Proof:
    """How to find out whether a write whose answer was lost is in the database.

    `key`: the row with this client-made key is there. `version`: the row's version went past the
    one that the write expected. `once`: `condition` (SQL) no longer holds for the row, or the row
    is gone; no other arrival aims at it. `unproved`: there is no way.
    """

    kind: ProofKind
    parameter: str = ""  # the parameter that holds the row's key
    table: str = ""
    column: str = ""  # of the key
    version: str = ""  # the version's column
    condition: str = ""  # of `once`: what holds for a row that was not written yet; "" for deletes


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of write: a rate, and a transaction of one or more statements.

    `option` is the name of its rate as setting, argument (with dashes) and form field. The name
    matches [a-z][a-z0-9_]*, and is a label of metrics and a key of the run record.
    """

    name: str
    label: str  # in reports
    option: str
    per_hour: float
    statements: tuple[Statement, ...]
    parameters: Mapping[str, Parameter]
    proof: Proof
    recent: str = ""  # SQL: how many of its writes the tables show for the last hour
    light: str = "#1a3ac5"  # its colour on light paper, as #rrggbb
    dark: str = "#6e93ed"  # and on dark paper
    # Where in the first statement what a key of the file says begins: ("set.paid_at", 31).
    places: tuple[tuple[str, int], ...] = ()

    @property
    def table(self) -> str:
        """The table of its first statement that names one."""
        return next((s.table for s in self.statements if s.table), "")

    @property
    def change(self) -> Change:
        """What its first statement does, as vendors count it: a soft delete is an update."""
        return self.statements[0].change


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant of the data: SQL that counts violations, and what holds if there are none."""

    name: str
    title: str
    violations: str
    noun: str = "violations"


@dataclass(frozen=True, slots=True)
class Conserved:
    """Sums of columns that every transaction changes by the same amount; a lone one never changes.

    `columns` are pairs of a table and its column.
    """

    name: str
    title: str
    columns: tuple[tuple[str, str], ...]


# Colours of operations in their order, on light and on dark paper.
COLOURS: Final = (
    ("#1a3ac5", "#6e93ed"),
    ("#9a6016", "#d88c30"),
    ("#1d7572", "#35d88c"),
    ("#8f188c", "#f2b4d4"),
    ("#b3261e", "#ff8a80"),
    ("#4b5d00", "#b7cf3f"),
    ("#5b4bc4", "#b3a8ff"),
    ("#7a3b00", "#ffb074"),
)


@dataclass(frozen=True, slots=True)
class ProfileLevels:
    """The profile of a workload: a level for each `every` seconds, in proportion to the rates.

    After the last one they start again. `schedule.rate_curve` scales them so that their mean is 1.
    """

    every: float
    levels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """A table of the database that a model was imported from; writes are rows per hour there."""

    rows: int
    bytes: int  # heap and TOAST
    index_bytes: int = 0
    inserts: float | None = None  # None if they could not be read
    updates: float | None = None
    deletes: float | None = None

    @property
    def writes(self) -> float | None:
        """All rows written per hour; None if they could not be read."""
        known = [part for part in (self.inserts, self.updates, self.deletes) if part is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class Imported:
    """The database that a model was imported from, and what its statistics said.

    `row_scale` and `rate_scale` are the model's rows and rates by those of the database.
    """

    read_at: str  # ISO 8601
    digests: tuple[str, ...]  # of the database: no load may write to it
    window_seconds: float | None = None  # that the writes were counted in; None if unknown
    row_scale: float = 1.0
    rate_scale: float = 1.0
    tables: Mapping[str, ImportedTable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkloadModel:
    """A workload: its writes, and the tables that they go to."""

    name: str
    title: str  # one line
    tables: Mapping[str, Table]
    operations: Mapping[str, Operation]
    checks: tuple[Check, ...] = ()
    conserved: tuple[Conserved, ...] = ()
    schema_sql: str = ""  # DDL; "" if the tables' `types` make it
    digest: str = ""  # sha256 of the files, 64 hex digits
    source: str = ""  # the folder of its files, for messages
    imported: Imported | None = None  # None if a person wrote it
    profile: ProfileLevels | None = None  # how all rates rise and fall; None if they are steady


def parts_of(part: object, kind: type[_Kind]) -> Iterator[_Kind]:
    """Yield all of a kind in a part of a model, at any depth."""
    if isinstance(part, kind):
        yield part
    if is_dataclass(part):
        children: Iterable[object] = [getattr(part, field.name) for field in fields(part)]
    elif isinstance(part, Mapping):
        children = part.values()
    else:
        children = part if isinstance(part, list | tuple) else ()
    for child in children:
        yield from parts_of(child, kind)


def generator_settings(model: WorkloadModel) -> dict[str, int | None]:
    """Return the settings that the model's generators name, each with the model's own value."""
    sizes = {document.pad_setting: document.pad_to for document in parts_of(model, Json)}
    named = {**dict.fromkeys(row.hot_setting for row in parts_of(model, Row)), **sizes}
    return {name: own for name, own in named.items() if name}
