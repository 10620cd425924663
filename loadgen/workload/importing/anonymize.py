"""Replaces the names of a database's tables, columns and other objects, everywhere alike."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, NamedTuple

from loadgen.workload.importing.facts import (
    ColumnFacts,
    DatabaseFacts,
    ForeignKeyFacts,
    TableFacts,
)

_NAME: Final = r'(?:"(?:[^"]|"")+"|[^\W\d]\w*)'
_QUALIFIED: Final = rf"({_NAME}(?:\s*\.\s*{_NAME})*)"
_TOKEN: Final = re.compile(
    r"""
    (?P<comment>--[^\n]*\n?|/\*.*?\*/)
    | (?P<dollars>(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag))
    | (?P<text>[eE]?'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<word>[^\W\d][\w$]*)
    | (?P<space>\s+)
    | (?P<other>::|\d+|.)
    """,
    re.DOTALL | re.VERBOSE,
)
# What gives an object a name, so that the name is replaced wherever it is used.
_OBJECTS: Final = re.compile(
    rf"\b(?:CREATE\s+SCHEMA|SEQUENCE\s+NAME|CREATE\s+SEQUENCE|CREATE\s+(?:UNIQUE\s+)?INDEX|"
    rf"CONSTRAINT|CREATE\s+FUNCTION|CREATE\s+PROCEDURE|CREATE\s+COLLATION|CREATE\s+TABLE|"
    rf"CREATE\s+STATISTICS)\s+{_QUALIFIED}",
    re.IGNORECASE,
)
_TYPES: Final = re.compile(rf"\bCREATE\s+(?:TYPE|DOMAIN)\s+{_QUALIFIED}", re.IGNORECASE)
# Words of DDL, and types: a column may have them as its name, and then only its place tells.
_VOCABULARY: Final = frozenset(
    """
always array as attach bigint bit boolean box btree by bytea cache character char check cidr circle
collate column concurrently constraint create current_date cycle date decimal default deferrable
deferred domain double enum exclude exists extension false float for foreign from function
generated gin gist hash identity immutable in include increment index inet inherits initially
insert int integer interval into is json jsonb key language like line list local logged macaddr
maxvalue minvalue money name no not null numeric of on only operator owned partition path plpgsql
point polygon precision primary procedure public range real references replica returns row rule
schema select sequence serial set smallint sql stable start storage stored table temp text time
timestamp timestamptz to true type unique update using uuid valid value values varchar varying
volatile with without xml zone
""".split()  # noqa: SIM905 - a list to read
)
_BEFORE_A_COLUMN: Final = frozenset(
    ["and", "or", "not", "when", "then", "else", "case", "where", "select", "column", "set", "by"]
)


def anonymized(facts: DatabaseFacts) -> DatabaseFacts:
    """Return the facts with made-up names of schemas, tables, columns and what belongs to them."""
    names = _Names.of(facts)
    return replace(
        facts,
        tables=tuple(names.table(table) for table in facts.tables),
        statements=tuple(replace(s, sql=names.sql(s.sql)) for s in facts.statements),
        schema_sql=names.sql(facts.schema_sql),
        left_out=tuple(map(names.sql, facts.left_out)),
    )


class _Token(NamedTuple):
    kind: str
    text: str


@dataclass(slots=True)
class _Names:
    """The replacement of each name; `types` are those that a value may be cast to."""

    made_up: dict[str, str] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, facts: DatabaseFacts) -> "_Names":
        """Choose the replacements."""
        names = cls()
        parts = [table.name.rpartition(".") for table in facts.tables]
        schemas = [schema for schema, _, _ in parts if schema]
        columns = [column.name for table in facts.tables for column in table.columns]
        names._number("schema", schemas)
        names._number("table", (relation for _, _, relation in parts))
        names._number("column", columns)
        types = list(_named(_TYPES, facts.schema_sql))
        names._number("type", types)
        names._number("object", _named(_OBJECTS, facts.schema_sql))
        names.types = set(types)
        return names

    def _number(self, kind: str, names: Iterable[str]) -> None:
        numbers = count(1)
        for name in names:
            if name not in self.made_up and name != "public":
                self.made_up[name] = f"{kind}_{next(numbers)}"

    def name(self, name: str) -> str:
        """Return what replaces a name."""
        return self.made_up.get(name, name)

    def table(self, table: TableFacts) -> TableFacts:
        """Return a table with other names."""
        return replace(
            table,
            name=self._table_name(table.name),
            columns=tuple(map(self._column, table.columns)),
            primary_key=self._all(table.primary_key),
            unique_keys=tuple(map(self._all, table.unique_keys)),
            foreign_keys=tuple(
                ForeignKeyFacts(
                    self._all(key.columns), self._table_name(key.table), self._all(key.referenced)
                )
                for key in table.foreign_keys
            ),
            checks=tuple(map(self.sql, table.checks)),
        )

    def sql(self, sql: str) -> str:
        """Return SQL with other names and without comments."""
        tokens = [
            _Token(match.lastgroup or "", match[0])
            for match in _TOKEN.finditer(sql)
            if match.lastgroup != "comment"
        ]
        return "".join(self._replaced(tokens, i) for i in range(len(tokens)))

    def _table_name(self, name: str) -> str:
        return ".".join(map(self.name, name.rsplit(".", 1)))

    def _all(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self.name, names))

    def _column(self, column: ColumnFacts) -> ColumnFacts:
        return replace(
            column,
            name=self.name(column.name),
            type=self._type(column.type),
            base_type=self._type(column.base_type),
            default=self.sql(column.default),
        )

    def _type(self, type_: str) -> str:
        """Return a type's name; a built-in one may be called like a column."""
        names = re.findall(_NAME, type_)
        is_own = any(_plain(name) in self.types for name in names)
        return re.sub(_NAME, lambda name: self.name(_plain(name[0])), type_) if is_own else type_

    def _replaced(self, tokens: list[_Token], i: int) -> str:
        kind, text = tokens[i]
        if kind in ("tag", "dollars"):
            tag = text[: text.index("$", 1) + 1]
            return f"{tag}{self.sql(text[len(tag) : -len(tag)])}{tag}"
        if kind == "text":
            is_name = _next(tokens, i) == "::" and "regclass" in _following(tokens, i)
            return f"'{self.sql(text[1:-1])}'" if is_name else text
        if kind == "quoted":
            return self.made_up.get(_plain(text), text)
        if kind != "word" or text.lower() not in self.made_up:
            return text
        return self.made_up[text.lower()] if self._is_name(tokens, i) else text

    def _is_name(self, tokens: list[_Token], i: int) -> bool:
        """Tell whether a word is a name of the database's, and no keyword, type or function."""
        word, before = tokens[i].text.lower(), _before(tokens, i)
        if before == "::":
            return word in self.types or _next(tokens, i) == "."
        if word not in _VOCABULARY or word in self.types:
            return True
        if _next(tokens, i) == "(":
            return False
        is_operator = not re.match(r"\w|$|\)|\]|'|\"|;", before)
        return is_operator or before.lower() in _BEFORE_A_COLUMN


def _named(pattern: re.Pattern[str], sql: str) -> Iterator[str]:
    """Yield the names that the statements of a schema give."""
    for match in pattern.finditer(sql):
        *_, name = re.findall(_NAME, match[1])
        if _plain(name).lower() not in ("if", "on", "concurrently"):
            yield _plain(name)


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _before(tokens: list[_Token], i: int) -> str:
    return next((t.text for t in reversed(tokens[:i]) if t.kind != "space"), "")


def _next(tokens: list[_Token], i: int) -> str:
    return next((t.text for t in tokens[i + 1 : i + 3] if t.kind != "space"), "")


def _following(tokens: list[_Token], i: int) -> str:
    return "".join(t.text for t in tokens[i + 1 : i + 6]).lower()
