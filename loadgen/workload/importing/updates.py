"""Chooses what updates set, and writes statements that find a row by all columns of its key."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from loadgen.workload.importing.facts import ColumnFacts
from loadgen.workload.importing.generators import TIMES, Generators, kind_of
from loadgen.workload.importing.statements import SetTo
from loadgen.workload.importing.table_plan import TablePlan
from loadgen.workload.importing.toml_text import Entry
from loadgen.workload.read_sql import PARAMETER_NAME, literal, quoted, quoted_table

SKEW: Final = 2  # of the rows that updates aim at
SKEWED: Final = (  # a guess, and how to correct it
    "some rows are updated more often",
    "give another `skew`; 1 for none",
)
_WHOLE: Final = ("integer", "bigint", "smallint")
_NUMBERS: Final = (*_WHOLE, "numeric", "real", "double precision")
# Columns that updates without a known statement are likely to set.
_LIKELY: Final = re.compile(
    r"status|state|balance|amount|count|total|quantity|price|score|note|descr|name|value|data"
)
_CHANGED: Final = re.compile(r"updat|modif|chang|touch|last_|seen")


@dataclass(slots=True)
class Transaction:
    """Statements of an operation in `sql`, with the parameters that they have."""

    statements: list[str] = field(default_factory=list)
    params: dict[str, object] = field(default_factory=dict)

    def add(self, name: str, value: object) -> str:
        """Add a parameter, named after a column if that is a name, and return it as SQL has it."""
        plain = re.sub(r"\W+", "_", name.lower()).strip("_")
        own = plain if PARAMETER_NAME.fullmatch(plain) else "p"
        unique, n = own, 2
        while unique in self.params:
            unique, n = f"{own}_{n}", n + 1
        self.params[unique] = value
        return f":{unique}"

    def entries(self) -> Entry:
        """Return the keys of an operation."""
        sql = "".join(f"{statement};\n" for statement in self.statements)
        if len(self.statements) == 1:
            sql = self.statements[0]
        return {"sql": sql, "params": self.params}

    def update(self, plan: TablePlan, sets: Mapping[str, object], skew: float) -> None:
        """Add an update of one row of the baseline, found by its key."""
        pairs = ", ".join(
            f"{quoted(column)} = {self._cell(column, value)}" for column, value in sets.items()
        )
        where = self._where(plan, skew)
        self.statements.append(f"UPDATE {quoted_table(plan.name)} SET {pairs} WHERE {where}")

    def delete(self, plan: TablePlan, skew: float) -> None:
        """Add a delete of one row of the baseline, found by its key."""
        where = self._where(plan, skew)
        self.statements.append(f"DELETE FROM {quoted_table(plan.name)} WHERE {where}")

    def insert(
        self, plan: TablePlan, sets: Mapping[str, object], names: Mapping[str, str]
    ) -> dict[str, str]:
        """Add an insert, and return its parameters by column; `names` are those it shares."""
        cells = dict(names)
        for column in dict.fromkeys((*plan.columns, *sets)):
            if column in cells:
                continue
            value = sets.get(column) or inserted_as_baseline(plan, column)
            if not isinstance(value, Mapping) or "default" not in value:
                cells[column] = self._cell(column, value)
        identity = any(plan.column(column).identity == "always" for column in cells)
        overriding = " OVERRIDING SYSTEM VALUE" if identity else ""
        self.statements.append(
            f"INSERT INTO {quoted_table(plan.name)} ({', '.join(map(quoted, cells))}){overriding} "
            f"VALUES ({', '.join(cells.values())})"
        )
        return {column: cell for column, cell in cells.items() if cell.startswith(":")}

    @property
    def target(self) -> str:
        """The first parameter that aims at a row."""
        rows = (n for n, value in self.params.items() if isinstance(value, dict) and "row" in value)
        return next(rows)

    def _where(self, plan: TablePlan, skew: float) -> str:
        parts = []
        for column in plan.identity:
            row = {"row": plan.name, "column": column, "skew": skew}
            if plan.key == (column,):
                del row["column"]
            parts.append(f"{quoted(column)} = {self.add(column, row)}")
        return " AND ".join(parts)

    def _cell(self, column: str, value: object) -> str:
        if not isinstance(value, Mapping):
            return literal(value)
        if "default" in value:
            return "DEFAULT"
        if "by" in value:  # itself, plus or minus a parameter
            change = self.add(f"{column}_change", value["by"])
            return f"{quoted(column)} {value['sign']} {change}"
        return str(value["sql"]) if "sql" in value else self.add(column, value)


def inserted_as_baseline(plan: TablePlan, column: str) -> Entry:
    """Return what an insert gives a column, as the engine's own insert of a table does."""
    entry = plan.columns[column]
    if "time" in entry or "after" in entry:
        return {"default": True} if plan.column(column).default else {"sql": "now()"}
    if column in plan.client_keys:
        return {"key": True}
    return {"like": f"{plan.name}.{column}"}


def declared(sets: Mapping[str, object]) -> Entry:
    """Return `set` and `params` of a declarative update."""
    entries: Entry = {}
    params: Entry = {}
    for column, value in sets.items():
        if isinstance(value, Mapping) and "by" in value:
            plain = re.sub(r"\W+", "_", f"{column}_change".lower()).strip("_")
            name = plain if PARAMETER_NAME.fullmatch(plain) else f"change_{len(params) + 1}"
            params[name] = value["by"]
            entries[column] = {"sql": f"{quoted(column)} {value['sign']} :{name}"}
        else:
            entries[column] = value
    return {"set": entries, "params": params} if params else {"set": entries}


def settable(plan: TablePlan, sets: Iterable[tuple[str, SetTo]]) -> dict[str, object]:
    """Return what an update can set, by column; keys and references that must hold are left."""
    values = {column: _set(plan, plan.column(column), to) for column, to in sets}
    return {column: value for column, value in values.items() if value is not None}


def likely_sets(plan: TablePlan) -> dict[str, object]:
    """Return what an update of a table may set if no statement tells."""
    names = [column.name for column in plan.facts.columns]
    values = settable(plan, ((name, "value") for name in names))
    times = [c for c in values if _CHANGED.search(c.lower()) and values[c] == {"sql": "now()"}]
    others = [c for c in values if c not in times and values[c] != {"sql": "now()"}]
    others.sort(key=lambda column: not _LIKELY.search(column.lower()))
    chosen = (*others[:1], *times[:1]) or tuple(values)[:1]
    return {column: values[column] for column in chosen}


def _set(plan: TablePlan, column: ColumnFacts, to: SetTo) -> object:  # noqa: PLR0911 - cases
    keys = {c for key in (plan.facts.primary_key, *plan.facts.unique_keys) for c in key}
    limits = plan.limits.of(column.name)
    ordered = limits.above or any(plan.limits.of(c).above == column.name for c in plan.columns)
    if column.name in keys or column.is_generated or column.identity or ordered:
        return None
    kind = kind_of(column.base_type or column.type).name
    if to == "null":
        return None if column.is_required else {"sql": "NULL"}
    if to == "default":
        return {"default": True}
    if kind in (*TIMES, "time without time zone", "time with time zone"):
        return {"sql": "now()"}
    is_free = limits.low is None and limits.high is None and not limits.texts
    if to in ("+", "-") and kind in _NUMBERS and is_free:
        by: Entry = {"number": [0, 9]} if kind in _WHOLE else {"decimal": [0, 9], "scale": 2}
        return {"by": by, "sign": to}
    if column.name in plan.columns:
        return {"like": f"{plan.name}.{column.name}"}
    if any(column.name in key.columns for key in plan.facts.foreign_keys):
        return None
    return Generators(column, limits, plan.rows).plain()
