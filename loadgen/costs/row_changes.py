"""Which rows each statement of a model changes, as far as prices depend on it. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from loadgen.workload.model import (
    Change,
    Email,
    InsertedParameter,
    KeyParameter,
    Number,
    OnceParameter,
    Operation,
    Parameter,
    Row,
    Sequence,
    Statement,
    StateParameter,
    Uuid,
    Value,
    WorkloadModel,
)
from loadgen.workload.read_sql import ParsedStatement, parse_statements
from loadgen.workload.references import ranks_of

_NUMBERED: Final = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows by rank: of `rows` in all, and with a skew above 1 some more often than others."""

    rows: int
    skew: float = 1.0


# How a statement picks its rows. `new`: an insert. `once`: no row twice. `moved`: as a life cycle
# goes on. `inserted`: those that the load inserted itself. `any`: it is not known which.
Target = Ranked | Literal["new", "once", "moved", "inserted", "any"]


@dataclass(frozen=True, slots=True)
class RowChange:
    """The rows that one statement changes: `each` of them for every write of its operation."""

    table: str
    change: Change
    target: Target
    each: float = 1.0

    @property
    def is_move(self) -> bool:
        """Tell whether it moves a row in its table's life cycle."""
        return self.target == "moved"


def row_changes(
    model: WorkloadModel,
    operation: Operation,
    rows: Mapping[str, int],
    settings: Mapping[str, int | None],
) -> tuple[RowChange, ...]:
    """Return the changes of an operation's statements, each of one row of a baseline of `rows`."""
    return tuple(
        RowChange(
            statement.table or operation.table,
            statement.change,
            _target(model, operation, statement, rows, settings),
        )
        for statement in operation.statements
    )


def inserted_columns(model: WorkloadModel, table: str) -> dict[str, tuple[str, str] | None]:
    """Return the columns that inserts into a table set: by which operation and parameter.

    None if SQL, or a parameter that has no generator, makes the column's value.
    """
    columns: dict[str, tuple[str, str] | None] = {}
    for operation in model.operations.values():
        for statement in operation.statements:
            if (statement.change, statement.table) != ("insert", table):
                continue
            parsed = _parsed(statement)
            columns = dict.fromkeys(parsed.columns) | columns
            for name, places in parsed.values.items():
                if isinstance(operation.parameters[name], Value):
                    columns |= dict.fromkeys(map(str, places), (operation.name, name))
    return columns


def _target(
    model: WorkloadModel,
    operation: Operation,
    statement: Statement,
    rows: Mapping[str, int],
    settings: Mapping[str, int | None],
) -> Target:
    if statement.change == "insert":
        return "new"
    for parameter, column in _aims(operation, statement):
        match parameter:
            case OnceParameter():
                return "once"
            case InsertedParameter() | KeyParameter():
                return "inserted"
            case StateParameter(part="key"):
                return "moved"
            case Value() if _finds_one(model, statement.table, column):
                return _drawn(model, parameter, rows, settings)
    return "any"


def _drawn(
    model: WorkloadModel,
    parameter: Value,
    rows: Mapping[str, int],
    settings: Mapping[str, int | None],
) -> Target:
    match parameter.generator:
        case Row() as row:
            ranks = ranks_of(model, model.tables[row.table], rows.get(row.table, 0))
            return Ranked(ranks.active(settings.get(row.hot_setting)), row.skew)
        case Number() as number:
            return Ranked(number.high - number.low + 1, number.skew)
    return "any"


def _aims(operation: Operation, statement: Statement) -> Iterator[tuple[Parameter, str]]:
    """Yield the parameters that the statement's WHERE compares with a column, and that column."""
    for name, column in _parsed(statement).aims.items():
        yield operation.parameters[name], column


def _finds_one(model: WorkloadModel, table: str, column: str) -> bool:
    """Tell whether at most one row of the table has a value of the column."""
    facts = model.tables.get(table)
    if facts is None:
        return False
    value = facts.columns.get(column)
    unique = value is not None and isinstance(value.generator, Uuid | Sequence | Email)
    return unique or column in facts.key


def _parsed(statement: Statement) -> ParsedStatement:
    """Return what sqlglot can tell about a statement of a model."""
    names = statement.parameters
    (parsed,) = parse_statements(
        _NUMBERED.sub(lambda at: f":{names[int(at[1]) - 1]}", statement.sql)
    )
    return parsed
