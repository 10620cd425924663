"""Says what the statements of pg_stat_statements write, without any text of theirs.

A statement becomes its table, the columns that it sets and those by which it finds its rows: names
that the catalogue knows. Comments, literals and all else of its text are left behind.

The types of parameters are those of the columns. PREPARE at the source would tell them too, but
parsing a write locks its tables ROW EXCLUSIVE to the transaction's end, in a read-only session as
well: CREATE INDEX would wait for the import, and the import for it. It would also log an error for
each text that pg_stat_statements has normalized into no valid SQL, such as INTERVAL $1.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from loadgen.workload.importing.facts import Change, StatementFacts, TableFacts
from loadgen.workload.read_sql import model_name, plain_name, syntax_tree

if TYPE_CHECKING:
    from sqlglot import exp

# What an update sets a column to: a given value, the time, NULL, its default, or itself plus or
# minus a given number.
SetTo = Literal["value", "now", "null", "default", "+", "-"]

_WRITES: Final = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE | re.DOTALL
)
_PREPARE: Final = re.compile(
    r'^\s*PREPARE\s+(?:"(?:[^"]|"")+"|\w+)\s*(?:\([^)]*\)\s*)?AS\s+', re.IGNORECASE
)
_WORDS_OF_WRITES: Final = re.compile(
    r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class WriteShape:
    """Statements that write alike: a table, columns, and how often they ran."""

    change: Change
    table: str
    calls: int
    rows: int
    columns: tuple[str, ...] = ()  # that an insert names; none if it names none
    sets: tuple[tuple[str, SetTo], ...] = ()  # of an update, by column
    aims: tuple[str, ...] = ()  # columns that a condition compares with a given value


@dataclass(frozen=True, slots=True)
class Statements:
    """What all statements write, the most frequent first, and how many could not be read."""

    shapes: tuple[WriteShape, ...] = ()
    unread: int = 0

    def of(self, table: str, change: Change) -> tuple[WriteShape, ...]:
        """Return those that change a table in a way."""
        return tuple(s for s in self.shapes if (s.table, s.change) == (table, change))


def read_statements(
    statements: Iterable[StatementFacts], tables: Mapping[str, TableFacts]
) -> Statements:
    """Return what statements write to the tables; those that only read are passed over."""
    shapes: dict[tuple[object, ...], WriteShape] = {}
    unread = 0
    for statement in statements:
        sql = _PREPARE.sub("", statement.sql)
        if not _WRITES.match(sql) or not _WORDS_OF_WRITES.search(sql):
            continue
        tree = syntax_tree(sql)
        if tree is None:
            unread += 1
            continue
        for shape in _shapes(tree, statement, tables):
            place = (shape.change, shape.table, shape.columns, shape.sets, shape.aims)
            same = shapes.get(place, replace(shape, calls=0, rows=0))
            shapes[place] = replace(
                same, calls=same.calls + shape.calls, rows=same.rows + shape.rows
            )
    return Statements(tuple(sorted(shapes.values(), key=lambda shape: -shape.calls)), unread)


def _shapes(
    tree: "exp.Expr", statement: StatementFacts, tables: Mapping[str, TableFacts]
) -> Iterator[WriteShape]:
    """Yield what the parts of a statement write: of a WITH there may be several."""
    from sqlglot import exp  # noqa: PLC0415 - takes 0.3 s

    for part in tree.find_all(exp.Insert, exp.Update, exp.Delete):
        if part.find_ancestor(exp.Merge):
            continue
        target = part.this if isinstance(part.this, exp.Table) else part.find(exp.Table)
        table = _known_table(target, tables) if target else None
        if table is None:
            continue
        known = {column.name for column in table.columns}
        calls, rows = statement.calls, statement.rows
        if isinstance(part, exp.Insert):
            schema = part.this
            named = map(plain_name, schema.expressions) if isinstance(schema, exp.Schema) else ()
            columns = tuple(sorted(known & set(named)))
            yield WriteShape("insert", table.name, calls, rows, columns)
            conflict = part.args.get("conflict")
            if conflict is not None and (sets := _sets(conflict.expressions, known)):
                yield WriteShape("update", table.name, calls, rows, sets=sets)
        elif isinstance(part, exp.Update):
            sets = _sets(part.expressions, known)
            yield WriteShape("update", table.name, calls, rows, sets=sets, aims=_aims(part, known))
        else:
            yield WriteShape("delete", table.name, calls, rows, aims=_aims(part, known))


def _known_table(table: "exp.Table", tables: Mapping[str, TableFacts]) -> TableFacts | None:
    """Return the table that a statement names; without a schema, the only one of that name."""
    name = model_name(table)
    if name in tables:
        return tables[name]
    if table.args.get("db"):
        return None
    same = [other for other in tables if other.rpartition(".")[2] == name]
    return tables[same[0]] if len(same) == 1 else None


def _sets(pairs: Iterable["exp.Expr"], known: set[str]) -> tuple[tuple[str, SetTo], ...]:
    """Return what an update sets, by column."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    sets: dict[str, SetTo] = {}
    for pair in pairs:
        if not isinstance(pair, exp.EQ):
            continue
        if isinstance(pair.this, exp.Tuple):
            sets.update(dict.fromkeys(map(plain_name, pair.this.expressions), "value"))
        elif isinstance(pair.this, exp.Column):
            column = plain_name(pair.this)
            sets[column] = _set_to(pair.expression, column)
    return tuple(sorted((column, to) for column, to in sets.items() if column in known))


def _set_to(node: "exp.Expr", column: str) -> SetTo:
    from sqlglot import exp  # noqa: PLC0415 - as above

    node = _bare(node)
    if isinstance(node, exp.CurrentTimestamp | exp.CurrentDate | exp.CurrentTime):
        return "now"
    if isinstance(node, exp.Anonymous) and node.name.lower().endswith("_timestamp"):
        return "now"
    if isinstance(node, exp.Null):
        return "null"
    if isinstance(node, exp.Column) and node.name == "DEFAULT":
        return "default"
    if isinstance(node, exp.Add | exp.Sub):
        left, right = _bare(node.this), _bare(node.expression)
        is_own = isinstance(left, exp.Column) and plain_name(left) == column
        if is_own and isinstance(right, exp.Parameter | exp.Literal):
            return "+" if isinstance(node, exp.Add) else "-"
    return "value"


def _aims(part: "exp.Expr", known: set[str]) -> tuple[str, ...]:
    """Return the columns that all have to equal a given value, or one of several."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    where = part.args.get("where")
    if where is None:
        return ()
    aims: set[str] = set()
    for condition in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        bare = _bare(condition)
        if isinstance(bare, exp.EQ | exp.In):
            left = _bare(bare.this)
            columns = left.expressions if isinstance(left, exp.Tuple) else [left]
            aims |= {plain_name(c) for c in columns if isinstance(c, exp.Column)}
    return tuple(sorted(aims & known))


def _bare(node: "exp.Expr") -> "exp.Expr":
    """Return a node without parentheses and casts around it."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return node
