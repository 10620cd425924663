"""What a schema's checks allow for the values of a column, with its domains and partitions."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final

from loadgen.workload.importing.ddl import (
    domain_checks,
    names_column,
    partition_limits,
    unique_indexes,
)
from loadgen.workload.importing.facts import TableFacts
from loadgen.workload.importing.limits import Limits, TableLimits
from loadgen.workload.read_sql import plain_name, quoted, syntax_tree

if TYPE_CHECKING:
    from sqlglot import exp

_LENGTHS: Final = ("length", "char_length", "character_length", "octet_length")


def table_limits(table: TableFacts, schema_sql: str, today: date) -> TableLimits:
    """Return what checks, domains and partitions allow for a table's columns."""
    limits: dict[str, Limits] = defaultdict(Limits)
    unknown: list[tuple[str, ...]] = []
    domains = domain_checks(schema_sql)
    checks = [_condition(check) for check in table.checks]
    for column in table.columns:
        name = quoted(column.name)
        checks += [re.sub(r"\bVALUE\b", name, check) for check in domains.get(column.type, ())]
    for check in checks:
        tree = syntax_tree(f"SELECT 1 WHERE {check}")
        where = tree.args.get("where") if tree else None
        for part in _parts(where.this) if where else [None]:
            if part is None or not _understood(part, limits):
                columns = [
                    column.name for column in table.columns if names_column(check, column.name)
                ]
                unknown.append(tuple(columns))
    limits.update(partition_limits(table, schema_sql, today))
    return TableLimits(
        dict(limits), tuple(dict.fromkeys(unknown)), tuple(unique_indexes(table, schema_sql))
    )


def _condition(check: str) -> str:
    """Return the expression of CHECK (…), or the text if it is one already."""
    return re.sub(r"^\s*CHECK\b|\bNOT VALID\s*$|\bNO INHERIT\s*$", "", check, flags=re.IGNORECASE)


def _parts(condition: "exp.Expr") -> Iterator["exp.Expr"]:
    """Yield the conditions that all have to hold."""
    from sqlglot import exp  # noqa: PLC0415 - takes 0.3 s

    condition = _bare(condition)
    if isinstance(condition, exp.And):
        yield from _parts(condition.this)
        yield from _parts(condition.expression)
    else:
        yield condition


def _bare(node: "exp.Expr") -> "exp.Expr":
    """Return a node without parentheses and casts around it."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    while isinstance(node, exp.Paren | exp.Cast):
        node = node.this
    return node


def _understood(condition: "exp.Expr", limits: dict[str, Limits]) -> bool:
    """Add what a condition demands to `limits`; return whether it could be understood."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    if isinstance(condition, exp.Between):
        low, high = condition.args["low"], condition.args["high"]
        return _compared(exp.GTE(this=condition.this, expression=low), limits) and _compared(
            exp.LTE(this=condition.this, expression=high), limits
        )
    if isinstance(condition, exp.In | exp.Or):
        return _listed(condition, limits)
    if isinstance(condition, exp.EQ) and isinstance(condition.expression, exp.Any):
        return _listed(condition, limits)
    if isinstance(condition, exp.NEQ):  # made-up values are hardly ever that one
        column, value = _bare(condition.this), _bare(condition.expression)
        if isinstance(value, exp.Literal) and isinstance(column, exp.Column) and not value.name:
            name = plain_name(column)
            limits[name] = replace(limits[name], shortest=max(1, limits[name].shortest))
        return isinstance(column, exp.Column)
    if isinstance(condition, exp.Not) and isinstance(_bare(condition.this), exp.Is):
        return True  # IS NOT NULL: the share of NULL is as in the database
    return _compared(condition, limits)


def _listed(condition: "exp.Expr", limits: dict[str, Limits]) -> bool:
    from sqlglot import exp  # noqa: PLC0415 - as above

    if isinstance(condition, exp.Or):
        sides = [_bare(condition.this), _bare(condition.expression)]
        others = [side for side in sides if not isinstance(side, exp.Is)]
        if len(others) == 1:  # x IS NULL OR …
            return all(_understood(part, limits) for part in _parts(others[0]))
        options: dict[str, Limits] = defaultdict(Limits)
        if not all(_listed_or_equal(side, options) for side in others) or len(options) != 1:
            return False
        limits.update(options)
        return True
    column = _bare(condition.this)
    if isinstance(condition, exp.In):
        values = [_bare(value) for value in condition.expressions]
    else:
        array = condition.expression.find(exp.Array)
        values = [_bare(value) for value in array.expressions] if array else []
    if not isinstance(column, exp.Column) or not values:
        return False
    if not all(isinstance(value, exp.Literal) for value in values):
        return False
    name = plain_name(column)
    texts = (*limits[name].texts, *(value.name for value in values))
    limits[name] = replace(limits[name], texts=tuple(dict.fromkeys(texts)))
    return True


def _listed_or_equal(condition: "exp.Expr", options: dict[str, Limits]) -> bool:
    from sqlglot import exp  # noqa: PLC0415 - as above

    if isinstance(condition, exp.EQ) and not isinstance(condition.expression, exp.Any):
        literal = _bare(condition.expression)
        return _listed(exp.In(this=condition.this, expressions=[literal]), options)
    return isinstance(condition, exp.In | exp.Or | exp.EQ) and _listed(condition, options)


def _compared(condition: "exp.Expr", limits: dict[str, Limits]) -> bool:
    """Add a comparison of a column, or of its length, with a number or another column."""
    from sqlglot import exp  # noqa: PLC0415 - as above

    opposite = {exp.GT: exp.LT, exp.GTE: exp.LTE, exp.LT: exp.GT, exp.LTE: exp.GTE}
    kind = type(condition)
    if kind not in opposite:
        return False
    left, right = _bare(condition.this), _bare(condition.expression)
    if _number(left) is not None:
        left, right, kind = right, left, opposite[kind]
    if isinstance(left, exp.Column) and isinstance(right, exp.Column):
        lower, upper = (right, left) if kind in (exp.GT, exp.GTE) else (left, right)
        name = plain_name(upper)
        limits[name] = replace(limits[name], above=plain_name(lower))
        return True
    number = _number(right)
    if number is None:
        return False
    if isinstance(left, exp.Column):
        name = plain_name(left)
        limits[name] = _narrowed(limits[name], number, kind.__name__)
        return True
    is_length = isinstance(left, exp.Length) or left.name.lower() in _LENGTHS
    column = left.find(exp.Column)
    if not is_length or column is None:
        return False
    name = plain_name(column)
    exact = int(number)
    if kind in (exp.LT, exp.LTE):
        most = exact - (kind is exp.LT)
        limits[name] = replace(limits[name], longest=most)
    else:
        limits[name] = replace(limits[name], shortest=exact + (kind is exp.GT))
    return True


def _narrowed(limits: Limits, number: float, comparison: str) -> Limits:
    excludes = comparison in ("GT", "LT")
    if comparison in ("GT", "GTE"):
        if limits.low is not None and limits.low > number:
            return limits
        return replace(limits, low=number, excludes_low=excludes)
    if limits.high is not None and limits.high < number:
        return limits
    return replace(limits, high=number, excludes_high=excludes)


def _number(node: "exp.Expr") -> float | None:
    from sqlglot import exp  # noqa: PLC0415 - as above

    node = _bare(node)
    sign = 1
    if isinstance(node, exp.Neg):
        sign, node = -1, _bare(node.this)
    try:
        return sign * float(node.name) if isinstance(node, exp.Literal) else None
    except ValueError:
        return None
