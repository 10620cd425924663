"""Reads the SQL of a model: statements with :name parameters, and the tables of a schema.sql.

sqlglot says what a statement changes. Postgres has the last word: `loadgen workload check`
prepares each statement there, so SQL that sqlglot can't parse is passed on.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final

from loadgen.errors import one_line, suggest
from loadgen.workload.model import Change, Statement

if TYPE_CHECKING:
    from sqlglot import Dialect, Token, exp

_CHANGES: Final[Mapping[str, Change]] = {
    "INSERT": "insert",
    "UPDATE": "update",
    "DELETE": "delete",
    "MERGE": "other",
    "WITH": "other",
}
_READS: Final = ("SELECT", "TABLE", "VALUES", "FETCH", "SHOW", "EXPLAIN")
_TRANSACTIONS: Final = (
    "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE",
)  # fmt: skip
PARAMETER_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
_WORD: Final = re.compile(r"\w+")
_PARAGRAPH_END: Final = re.compile(r"(?<=;\n)(?=\n)")
_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
_OVERRIDING: Final = re.compile(r"\bOVERRIDING\s+(?:SYSTEM|USER)\s+VALUE\b", re.IGNORECASE)
_ADJACENT: Final = re.compile(r"\$\d+(?=[^\s$]*\$)")  # sqlglot reads $1,$2 as quotes of dollars
_DRIVER_PARAMETER: Final = re.compile(r"%(s\b|\(\w+\)s\b)")  # of Python's drivers
_BEFORE_A_VALUE: Final = ("(", ",", "=", "<", ">", "<=", ">=", "<>", "+", "-", "*", "/", "||")
_BEFORE_A_NAME: Final = (
    "INSERT", "INTO", "UPDATE", "DELETE", "FROM", "ONLY", "MERGE", "CREATE", "GLOBAL", "LOCAL",
    "TEMP", "TEMPORARY", "UNLOGGED", "TABLE", "IF", "NOT", "EXISTS",
)  # fmt: skip
# Postgres' reserved words, appendix C of its manual.
_RESERVED: Final = frozenset(
    """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check
collate collation column concurrently constraint create cross current_catalog current_date
current_role current_schema current_time current_timestamp current_user default deferrable
desc distinct do else end except false fetch for foreign freeze from full grant group having
ilike in initially inner intersect into is isnull join lateral leading left like limit
localtime localtimestamp natural not notnull null offset on only or order outer overlaps
placing primary references returning right select session_user similar some symmetric
system_user table tablesample then to trailing true union unique user using variadic verbose
when where window with
""".split()  # noqa: SIM905 - a list that is read against the manual
)


class SqlFault(ValueError):  # noqa: N818 - a finding; the caller adds the place
    """A statement's fault."""


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """A statement, and what sqlglot could tell about it; names are as in the model."""

    statement: Statement
    columns: tuple[str, ...] = ()  # that an INSERT or an UPDATE sets
    looked_at: tuple[str, ...] = ()  # columns of its table that its WHERE names
    values: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    # By parameter, the columns that get it in an INSERT … VALUES without ON CONFLICT; the column's
    # number from 0 if the statement names no columns.
    aims: Mapping[str, str] = field(default_factory=dict)  # parameter of WHERE column = :parameter
    condition: str = ""  # the rest of that WHERE
    has_other_parameters: bool = False  # the rest has parameters


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """A column of a CREATE TABLE."""

    type: str
    has_default: bool  # a default, an identity or a generation expression


@dataclass(frozen=True, slots=True)
class SchemaTable:
    """A table of schema.sql; without columns if sqlglot can't tell them."""

    name: str
    columns: Mapping[str, SchemaColumn] = field(default_factory=dict)
    key: tuple[str, ...] = ()


def quoted(name: str) -> str:
    """Return a name as SQL has it, in quotes if it needs them."""
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def quoted_table(table: str) -> str:
    """Return a table's name of the model with its schema."""
    schema, _, relation = table.rpartition(".")
    return f"{quoted(schema or 'public')}.{quoted(relation)}"


def literal(constant: object) -> str:
    """Return a text, a number or a truth value of TOML as SQL has it."""
    if isinstance(constant, bool):
        return "true" if constant else "false"
    if isinstance(constant, int | float):
        return str(constant)
    return "'" + str(constant).replace("'", "''") + "'"


def parse_statements(sql: str) -> list[ParsedStatement]:
    """Return the statements of an operation. Raises SqlFault."""
    return [_parsed(text, tokens) for text, tokens in _split(sql)]


def check_expression(sql: str) -> None:
    """Refuse a part of a statement that would change how the rest is read. Raises SqlFault."""
    depth = 0
    for text, tokens in _split(sql):
        _numbered(text, tokens)
        for token in tokens:
            depth += (token.kind == "L_PAREN") - (token.kind == "R_PAREN")
            if depth < 0:
                raise SqlFault("a parenthesis is closed that is not open")
    if depth:
        raise SqlFault("a parenthesis is not closed")


def numbered_length(sql: str) -> int:
    """Return the length that the start of a statement has with $1 … for its parameters."""
    return sum(len(_numbered(text, tokens)[0]) for text, tokens in _split(sql))


@cache
def schema_tables(sql: str) -> Mapping[str, SchemaTable]:
    """Return the tables that a schema.sql makes, without partitions. Raises SqlFault."""
    tables: dict[str, SchemaTable] = {}
    keys: dict[str, tuple[str, ...]] = {}
    for text, tokens in _split(sql):
        if tokens[0].text == "\\":
            command, *_ = text.splitlines()
            raise SqlFault(f"{one_line(command, 30)} is a command of psql's: remove it")
        words = [token.text.upper() for token in tokens[:4]]
        if words[0] == "CREATE" and "TABLE" in words:
            if table := _created_table(text, tokens):
                tables[table.name] = table
        elif partition := _attached_partition(tokens):
            tables.pop(partition, None)
        elif words[:2] == ["ALTER", "TABLE"] and " PRIMARY KEY" in text.upper():
            keys.update(_added_key(text))
    return {
        name: SchemaTable(name, table.columns, keys.get(name, table.key))
        for name, table in tables.items()
    }


@dataclass(frozen=True, slots=True)
class _Token:
    """A token: its kind as sqlglot names it, and its place in the statement."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def is_name(self) -> bool:
        return self.kind == "IDENTIFIER" or bool(_WORD.fullmatch(self.text))


@cache
def _postgres() -> "Dialect":
    from sqlglot.dialects import Postgres  # noqa: PLC0415 - takes 0.3 s

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of what it can't parse
    postgres: Dialect = Postgres()
    return postgres


def _split(sql: str) -> Iterator[tuple[str, list[_Token]]]:
    """Yield each statement's text and tokens."""
    for text, tokens in _tokenized(sql):
        statements = groupby(tokens, lambda token: token.token_type.name == "SEMICOLON")
        for is_end, statement in statements:
            if is_end:
                continue
            first, *rest = statement
            start, last = first.start, (rest or [first])[-1]
            yield (
                text[start : last.end + 1],
                [
                    _Token(t.token_type.name, t.text, t.start - start, t.end + 1 - start)
                    for t in (first, *rest)
                ],
            )


def _tokenized(sql: str) -> Iterator[tuple[str, "list[Token]"]]:
    """Yield a script's paragraphs with their tokens: all at once take 45 times its memory.

    One that ends within quotes is read with the next.
    """
    from sqlglot.errors import TokenError  # noqa: PLC0415 - as above

    paragraphs, text = _PARAGRAPH_END.split(sql), ""
    for i, paragraph in enumerate(paragraphs, 1):
        text += paragraph
        try:
            tokens = _postgres().tokenize(text)
        except TokenError as exc:
            if i < len(paragraphs):
                continue
            if str(exc.__cause__).startswith("Missing "):
                raise SqlFault("a quote is not closed") from exc
            raise SqlFault(f"it can't be read as SQL: {one_line(exc, 100)}") from exc
        yield text, tokens
        text = ""


def _parsed(text: str, tokens: list[_Token]) -> ParsedStatement:
    first = tokens[0].text.upper()
    if first in _READS:
        raise SqlFault(f"{first} is a read: an operation only writes")
    if first in _TRANSACTIONS:
        raise SqlFault(f"{first}: leave it out, the statements of an operation are one transaction")
    if first not in _CHANGES:
        raise SqlFault(f"it begins with {one_line(first, 30)}: {suggest(first, _CHANGES)}")
    sql, parameters = _numbered(text, tokens)
    tree = syntax_tree(sql)
    if tree is None:
        table = _table_after(tokens)
        return ParsedStatement(Statement(sql, parameters, _CHANGES[first], table))
    return _described(tree, sql, parameters)


def _numbered(text: str, tokens: list[_Token]) -> tuple[str, tuple[str, ...]]:
    """Return the SQL with $1 … in the place of :name, and the names in that order."""
    parts, names, end = [], list[str](), 0
    for i, (token, following) in enumerate(pairwise(tokens)):
        before = tokens[i - 1].text if i else ""
        if _DRIVER_PARAMETER.match(text, token.start) and before in _BEFORE_A_VALUE:
            raise SqlFault("%s: name the parameter, as in :amount")
        if token.kind == "PARAMETER" and following.text.isdigit():
            raise SqlFault(f"${following.text}: name the parameter, such as :amount")
        if token.kind != "COLON" or following.start != token.end or not following.is_name:
            continue
        name = text[following.start : following.end]
        if not PARAMETER_NAME.fullmatch(name):
            raise SqlFault(f":{name} is no name of a parameter: use a-z, 0-9 and _")
        if name not in names:
            names.append(name)
        parts += [text[end : token.start], f"${names.index(name) + 1}"]
        end = following.end
    return "".join([*parts, text[end:]]), tuple(names)


def syntax_tree(sql: str) -> "exp.Expr | None":
    """Return sqlglot's tree of a statement; None if it can't parse it."""
    from sqlglot import exp, parse_one  # noqa: PLC0415 - as above
    from sqlglot.errors import SqlglotError  # noqa: PLC0415 - as above

    try:
        spaced = _ADJACENT.sub(r"\g<0> ", _OVERRIDING.sub(" ", sql))
        tree = parse_one(spaced, read=_postgres())
    except (SqlglotError, RecursionError):
        return None
    return None if isinstance(tree, exp.Command) else tree


def _described(tree: "exp.Expr", sql: str, parameters: tuple[str, ...]) -> ParsedStatement:
    from sqlglot import exp  # noqa: PLC0415 - as above

    changing = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
    root = tree if isinstance(tree, changing) else tree.find(*changing)
    if root is None:
        raise SqlFault("it is a read: an operation only writes")
    target = root.find(exp.Table)
    table = model_name(target) if target else ""
    change: Change = "other"
    if root is tree and not tree.args.get("with_"):
        change = (
            _CHANGES[type(root).__name__.upper()] if not isinstance(root, exp.Merge) else "other"
        )
    statement = Statement(sql, parameters, change, table)
    if isinstance(root, exp.Insert):
        return _insert(root, statement)
    if isinstance(root, exp.Update | exp.Delete):
        return _filtered(root, statement)
    return ParsedStatement(statement)


def _insert(root: "exp.Insert", statement: Statement) -> ParsedStatement:
    from sqlglot import exp  # noqa: PLC0415 - as above

    schema = root.this
    columns = tuple(map(plain_name, schema.expressions)) if isinstance(schema, exp.Schema) else ()
    values: dict[str, tuple[str | int, ...]] = {}
    if isinstance(root.expression, exp.Values) and not root.args.get("conflict"):
        for row in root.expression.expressions:
            for i, cell in enumerate(row.expressions if isinstance(row, exp.Tuple) else [row]):
                if name := _parameter(cell, statement):
                    column = columns[i] if i < len(columns) else i
                    values[name] = (*values.get(name, ()), column)
    return ParsedStatement(statement, columns, values=values)


def _filtered(root: "exp.Update | exp.Delete", statement: Statement) -> ParsedStatement:
    from sqlglot import exp  # noqa: PLC0415 - as above

    columns = tuple(
        plain_name(pair.this)
        for pair in (root.expressions if isinstance(root, exp.Update) else ())
        if isinstance(pair, exp.EQ) and isinstance(pair.this, exp.Column)
    )
    where = root.args.get("where")
    alone = not (root.args.get("from_") or root.args.get("using") or root.args.get("with_"))
    if where is None or not alone or where.find(exp.Query):
        return ParsedStatement(statement, columns)
    aims: dict[str, str] = {}
    rest: list[exp.Expr] = []
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    for condition in conditions:
        name = ""
        if isinstance(condition, exp.EQ) and isinstance(condition.this, exp.Column):
            name = _parameter(condition.expression, statement)
        if name:
            aims[name] = plain_name(condition.this)
        else:
            rest.append(condition)
    return ParsedStatement(
        statement,
        columns,
        looked_at=tuple(dict.fromkeys(map(plain_name, where.find_all(exp.Column)))),
        aims=aims,
        condition=" AND ".join(part.sql(_postgres()) for part in rest),
        has_other_parameters=any(part.find(exp.Parameter) for part in rest),
    )


def _parameter(node: "exp.Expr", statement: Statement) -> str:
    """Return the name of the parameter that a node is, perhaps with a cast; "" if it is none."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    node = node.this if isinstance(node, exp.Cast) else node
    if not isinstance(node, exp.Parameter):
        return ""
    return statement.parameters[int(node.this.name) - 1]


def plain_name(node: "exp.Expr") -> str:
    """Return the name of a tree's identifier or column: in lower case unless it is in quotes."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    identifier = node.find(exp.Identifier) if not isinstance(node, exp.Identifier) else node
    if isinstance(node, exp.Column | exp.ColumnDef):
        identifier = node.this
    if not isinstance(identifier, exp.Identifier):
        return node.name
    return identifier.name if identifier.args.get("quoted") else identifier.name.lower()


def model_name(table: "exp.Table") -> str:
    """Return the name that the model has for a table."""
    relation, schema = plain_name(table.this), table.args.get("db")
    schema = plain_name(schema) if schema else "public"
    return relation if schema == "public" else f"{schema}.{relation}"


def _table_after(tokens: list[_Token]) -> str:
    """Return the table's name that follows INSERT INTO, UPDATE, DELETE FROM or CREATE TABLE."""
    words = [token.text.upper() for token in tokens]
    i = 0
    while i < len(words) and words[i] in _BEFORE_A_NAME:
        i += 1
    parts: list[str] = []
    for token in tokens[i:]:
        if token.text == "." and token.kind != "IDENTIFIER":
            continue
        if not token.is_name or (parts and tokens[tokens.index(token) - 1].text != "."):
            break
        parts.append(token.text if token.kind == "IDENTIFIER" else token.text.lower())
    return ".".join(parts[-2:]).removeprefix("public.")


def _created_table(text: str, tokens: list[_Token]) -> SchemaTable | None:
    """Return the table of a CREATE TABLE; None for a partition of another one."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    words = [token.text.upper() for token in tokens]
    if ("PARTITION", "OF") in pairwise(words):
        return None
    name, tree = _table_after(tokens), syntax_tree(text)
    definition = tree.this if isinstance(tree, exp.Create) else None
    if not isinstance(definition, exp.Schema) or "INHERITS" in words:
        return SchemaTable(name)
    columns: dict[str, SchemaColumn] = {}
    key: tuple[str, ...] = ()
    for part in definition.expressions:
        if isinstance(part, exp.ColumnDef):
            kinds = [constraint.kind for constraint in part.constraints]
            columns[plain_name(part)] = SchemaColumn(
                part.kind.sql(_postgres()).lower() if part.kind else "",
                "serial" in str(part.kind).lower()
                or any(isinstance(kind, _default_kinds()) for kind in kinds),
            )
            if any(isinstance(kind, exp.PrimaryKeyColumnConstraint) for kind in kinds):
                key = (plain_name(part),)
        elif isinstance(part, exp.LikeProperty):
            return SchemaTable(name)
        elif primary := part.find(exp.PrimaryKey):
            key = tuple(map(plain_name, primary.expressions))
    return SchemaTable(name, columns, key)


@cache
def _default_kinds() -> "tuple[type[exp.Expr], ...]":
    from sqlglot import exp  # noqa: PLC0415 - as above

    return (
        exp.DefaultColumnConstraint,
        exp.GeneratedAsIdentityColumnConstraint,
        exp.ComputedColumnConstraint,
    )


def _attached_partition(tokens: list[_Token]) -> str:
    """Return the table that ALTER TABLE … ATTACH PARTITION makes a partition; "" for all else."""
    words = [token.text.upper() for token in tokens]
    pairs = list(pairwise(words))
    if words[:2] != ["ALTER", "TABLE"] or ("ATTACH", "PARTITION") not in pairs:
        return ""
    return _table_after(tokens[pairs.index(("ATTACH", "PARTITION")) + 2 :])


def _added_key(text: str) -> dict[str, tuple[str, ...]]:
    """Return the primary key that an ALTER TABLE adds, by table."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    tree = syntax_tree(text)
    table = tree.find(exp.Table) if tree else None
    primary = tree.find(exp.PrimaryKey) if tree else None
    if table is None or primary is None:
        return {}
    return {model_name(table): tuple(map(plain_name, primary.expressions))}
