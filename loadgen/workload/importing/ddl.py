"""Reads more of a schema.sql than its tables: domains, partitions and unique indexes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from loadgen.workload.importing.facts import TableFacts
from loadgen.workload.importing.limits import Limits
from loadgen.workload.read_sql import quoted

_NAME: Final = r'(?:"(?:[^"]|"")+"|\w+)'
_TABLE: Final = rf"((?:{_NAME}\.)?{_NAME})"
_DOMAIN: Final = re.compile(rf"\bCREATE\s+DOMAIN\s+{_TABLE}\s(.*?);", re.IGNORECASE | re.DOTALL)
_CHECK: Final = re.compile(r"\bCHECK\s*\(", re.IGNORECASE)
_PARTITIONED: Final = re.compile(
    rf"\bCREATE\s+TABLE\s+{_TABLE}\s[^;]*?\)\s*PARTITION\s+BY\s+(LIST|RANGE)\s*\(\s*({_NAME})\s*\)",
    re.IGNORECASE,
)
_PARTITION: Final = re.compile(
    rf"\b(?:PARTITION\s+OF\s+{_TABLE}|ALTER\s+TABLE\s+(?:ONLY\s+)?{_TABLE}\s+ATTACH\s+PARTITION\s+"
    rf"{_TABLE})\s+(?:DEFAULT|FOR\s+VALUES\s+(?:IN\s*\((.*?)\)|FROM\s*\((.*?)\)\s*TO\s*\((.*?)\)))"
    r"\s*(?:;|PARTITION\b)",
    re.IGNORECASE | re.DOTALL,
)
_UNIQUE_INDEX: Final = re.compile(
    rf"\bCREATE\s+UNIQUE\s+INDEX\s+(?:{_NAME}\s+)?ON\s+(?:ONLY\s+)?{_TABLE}\s*(?:USING\s+\w+\s*)?\(",
    re.IGNORECASE,
)
_LITERAL: Final = re.compile(r"'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?)")


@lru_cache(maxsize=1)  # asked for each table
def domain_checks(schema_sql: str) -> dict[str, list[str]]:
    """Return the conditions of each domain's checks."""
    checks: dict[str, list[str]] = {}
    for domain in _DOMAIN.finditer(schema_sql):
        name = domain[1].removeprefix("public.")
        checks[name] = [
            _parenthesis(domain[2], check.end() - 1) for check in _CHECK.finditer(domain[2])
        ]
    return checks


def _parenthesis(sql: str, start: int) -> str:
    """Return the text from an opening parenthesis to the one that closes it."""
    depth = 0
    for i in range(start, len(sql)):
        depth += (sql[i] == "(") - (sql[i] == ")")
        if not depth:
            return sql[start : i + 1]
    return sql[start:]


def partition_limits(
    table: TableFacts, schema_sql: str, today: date
) -> Iterator[tuple[str, Limits]]:
    """Yield the column that a table is partitioned by, and the values that have a partition."""
    if not table.is_partitioned:
        return
    keys = {
        _model_name(match[1]): (match[2].upper(), _unquoted(match[3]))
        for match in _PARTITIONED.finditer(schema_sql)
    }
    method, column = keys.get(table.name, ("", ""))
    bounds = [p for p in _PARTITION.finditer(schema_sql) if _model_name(p[1] or p[2]) == table.name]
    if not method or not all(bound[4] or bound[5] for bound in bounds):  # one is the default
        return
    if method == "LIST":
        texts = [text for bound in bounds for text in _literals(bound[4] or "")]
        yield column, Limits(texts=tuple(texts))
        return
    low, high = ([_literals(bound[i] or "") for bound in bounds] for i in (5, 6))
    yield column, _range([values[0] if values else "" for values in low], high, today)


def _range(low: list[str], high: Iterable[list[str]], today: date) -> Limits:
    """Return the limits of partitions by range; "" is MINVALUE."""
    high_texts = [values[0] if values else "" for values in high]
    try:
        return Limits(
            low=min(map(float, low)) if all(low) else None,
            high=max(map(float, high_texts)) if all(high_texts) else None,
            excludes_high=True,
        )
    except ValueError:
        pass
    try:
        since = min(datetime.fromisoformat(text).date() for text in low)
        return Limits(days=max(1, (today - since).days - 1))
    except ValueError:
        return Limits()


def _literals(sql: str) -> list[str]:
    return [
        match[1].replace("''", "'") if match[1] is not None else match[2]
        for match in _LITERAL.finditer(sql)
    ]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def unique_indexes(table: TableFacts, schema_sql: str) -> Iterator[tuple[str, ...]]:
    """Yield the columns of each unique index that has an expression or a condition."""
    for keys in _unique_indexes(schema_sql).get(table.name, ()):
        columns = tuple(column.name for column in table.columns if names_column(keys, column.name))
        if columns:
            yield columns


@lru_cache(maxsize=1)  # as above
def _unique_indexes(schema_sql: str) -> dict[str, list[str]]:
    """Return the keys of such indexes by table."""
    indexes = defaultdict[str, list[str]](list)
    for index in _UNIQUE_INDEX.finditer(schema_sql):
        keys = _parenthesis(schema_sql, index.end() - 1)
        end = index.end() - 1 + len(keys)
        rest = schema_sql[end : schema_sql.find(";", end)]
        if "(" in keys[1:] or "WHERE" in rest.upper():
            indexes[_model_name(index[1])].append(keys)
    return indexes


def _model_name(name: str) -> str:
    """Return a table's name as the model has it."""
    return ".".join(map(_unquoted, re.findall(_NAME, name))).removeprefix("public.")


def names_column(sql: str, column: str) -> bool:
    """Tell whether SQL names a column."""
    return bool(re.search(rf"(?<![\w.']){re.escape(quoted(column))}(?![\w'])", sql))
