"""Chooses the baseline of each table: values of its columns that keep keys and references."""

from collections.abc import Iterable, Mapping
from datetime import date
from math import prod
from typing import Final

from loadgen.errors import printable
from loadgen.workload.importing.checks import table_limits
from loadgen.workload.importing.facts import ColumnFacts, ForeignKeyFacts, TableFacts
from loadgen.workload.importing.generators import TIMESTAMPS, Generators, kind_of, with_nulls
from loadgen.workload.importing.limits import TableLimits
from loadgen.workload.importing.ordering import order_numbers, order_times
from loadgen.workload.importing.table_plan import TablePlan
from loadgen.workload.importing.toml_text import Entry

_MOST_ROWS: Final = 3_000_000_000
_SMALL: Final = 1000  # rows of a table that is not scaled below
_SKEWED: Final = 0.5  # of the rows that could be referred to: fewer are, so some are busy
# Types by how well they make a key differ in each row.
_UNIQUE_TYPES: Final = (
    "uuid", "bigint", "integer", "text", "character varying", "numeric", "citext", "character",
    "double precision", "real", "timestamp with time zone", "timestamp without time zone",
)  # fmt: skip


def plan_tables(
    tables: Iterable[TableFacts], schema_sql: str, today: date, row_scale: float
) -> tuple[dict[str, TablePlan], dict[str, str]]:
    """Return the plans of tables by name, and why others are left out."""
    facts, left_out = dict[str, TableFacts](), dict[str, str]()
    for table in tables:
        if reason := _unfit(table):
            left_out[table.name] = reason
        else:
            facts[table.name] = table
    limits = {name: table_limits(table, schema_sql, today) for name, table in facts.items()}
    while True:
        planner = _Planner(facts, limits, row_scale)
        plans = planner.plans()
        if not planner.refused:
            return plans, left_out
        left_out |= planner.refused
        facts = {name: table for name, table in facts.items() if name not in planner.refused}


def _unfit(table: TableFacts) -> str:
    """Return why a model can't have the table; "" if it can."""
    if table.name.count(".") > 1 or not table.columns:
        return "its name has a dot, or it has no columns"
    if table.has_exclusion:
        return "made-up rows would break its exclusion constraint"
    for name in (table.name, *(column.name for column in table.columns)):
        if printable(name) != name:
            return f"the name {printable(name)} has a character that can't be shown"
    return ""


class _Planner:
    """Plans tables that may refer to each other; those that can't be made are `refused`."""

    def __init__(
        self, facts: Mapping[str, TableFacts], limits: Mapping[str, TableLimits], row_scale: float
    ) -> None:
        self._plans = {
            name: TablePlan(table, limits[name], _scaled(table.rows, row_scale))
            for name, table in facts.items()
        }
        # What a column refers to, and by which foreign key.
        self._references: dict[tuple[str, str], tuple[str, str]] = {}
        self._keys: dict[tuple[str, str], ForeignKeyFacts] = {}
        self._referred: set[tuple[str, str]] = set()
        # Tables with keys of references, and the tables that these refer to.
        self._pairs: list[tuple[TablePlan, list[TablePlan]]] = []
        self._omitted: set[tuple[str, str]] = set()
        self.refused: dict[str, str] = {}

    def plans(self) -> dict[str, TablePlan]:
        self._require_rows()
        for plan in self._plans.values():
            self._refer(plan)
        self._referred = set(self._references.values())
        for plan in self._plans.values():
            keys = (plan.facts.primary_key, *plan.facts.unique_keys, *plan.limits.unique)
            for key in filter(None, keys):
                self._make_unique(plan, key)
        self._fit_pairs()
        for plan in self._plans.values():
            self._prove_in_turn(plan)
            plan.key = _model_key(plan)
        for plan in self._plans.values():
            self._fill(plan)
        return self._plans

    def _require_rows(self) -> None:
        """Give a row to each table that others refer to, so that there is one to pick."""
        for plan in self._plans.values():
            for key in plan.facts.foreign_keys:
                if target := self._plans.get(key.table):
                    target.rows = max(1, target.rows)

    # References.

    def _refer(self, plan: TablePlan) -> None:
        """Decide what the columns of a table's foreign keys refer to."""

        def order(key: ForeignKeyFacts) -> tuple[bool, int]:
            may_be_empty = any(not plan.column(column).is_required for column in key.columns)
            return may_be_empty, -len(key.columns)

        for key in sorted(plan.facts.foreign_keys, key=order):
            if (key.table, key.referenced) == (plan.name, key.columns):
                continue
            if fault := self._fault(plan, key):
                empty = [
                    column
                    for column in key.columns
                    if not plan.column(column).is_required
                    and (plan.name, column) not in self._references
                ]
                if not empty:
                    self.refused[plan.name] = f"{', '.join(key.columns)} {fault}"
                    return
                self._omitted.add((plan.name, empty[0]))
                continue
            for column, referenced in zip(key.columns, key.referenced, strict=True):
                self._references.setdefault((plan.name, column), (key.table, referenced))
                self._keys.setdefault((plan.name, column), key)

    def _fault(self, plan: TablePlan, key: ForeignKeyFacts) -> str:
        """Return why rows can't refer by a foreign key; "" if they can."""
        if key.table not in self._plans:
            return f"refer to {key.table}, which is left out"
        pairs = list(zip(key.columns, key.referenced, strict=True))
        taken = [pair for pair in pairs if (plan.name, pair[0]) in self._references]
        if all(self._leads_to(plan.name, column, key.table, other) for column, other in taken):
            return "" if len(pairs) == 1 or not taken else "belong to several references"
        return "belong to several references"

    def _leads_to(self, table: str, column: str, target: str, referenced: str) -> bool:
        """Return whether a column refers to another one, perhaps by way of others."""
        place, visited = (table, column), set[tuple[str, str]]()
        while place not in visited:
            if place == (target, referenced):
                return True
            visited.add(place)
            next_places = [
                (key.table, other)
                for key in self._plans[place[0]].facts.foreign_keys
                for own, other in zip(key.columns, key.referenced, strict=True)
                if own == place[1] and key.table in self._plans
            ]
            if (target, referenced) in next_places:
                return place != (table, column) or self._references.get(place) == (
                    target,
                    referenced,
                )
            place = self._references.get(place, place)
        return False

    # Keys.

    def _make_unique(self, plan: TablePlan, key: tuple[str, ...]) -> None:
        """Let one column of a key differ in each row, or two references that it has."""
        columns = [plan.column(column) for column in key]
        is_primary = key == plan.facts.primary_key
        if any(column.name in plan.unique or column.is_generated for column in columns):
            return
        if not is_primary and any(
            (_is_numbered_by_postgres(column) and (plan.name, column.name) not in self._referred)
            or (plan.name, column.name) in self._omitted
            for column in columns
        ):
            return
        own = [column for column in columns if (plan.name, column.name) not in self._references]
        for column in sorted(own, key=_rank):
            kind = kind_of(column.base_type or column.type).name
            if kind in TIMESTAMPS:
                plan.unique[column.name] = "time"
                return
            if self._generators(plan, column).unique():
                plan.unique[column.name] = "own"
                return
        if not self._refer_in_turn(plan, columns) and not self._leave_empty(plan, columns):
            reason = f"no generator makes ({', '.join(key)}) differ in each of {plan.rows:,} rows"
            plan.notes.append(("rows", reason))
            plan.rows, plan.is_fixed = 1, True

    def _refer_in_turn(self, plan: TablePlan, columns: Iterable[ColumnFacts]) -> bool:
        """Let columns of a key refer to the rows of one or two other tables in turn."""
        keys = {
            foreign: column.name
            for column in columns
            if (foreign := self._keys.get((plan.name, column.name))) is not None
        }
        if not keys:
            return False
        first, *others = sorted(keys, key=lambda key: -self._plans[key.table].rows)
        targets = [first, *others[:1]]
        for foreign in targets:
            plan.in_turn |= set(foreign.columns)
            self._plans[foreign.table].is_needed = True
        if not others:
            plan.unique[keys[first]] = "each"
        self._pairs.append((plan, [self._plans[key.table] for key in targets]))
        return True

    def _fit_pairs(self) -> None:
        """Let no table have more rows than there are rows, or pairs of rows, to refer to."""
        for _ in self._pairs:  # a table may refer to one that has fewer rows by this
            for plan, targets in self._pairs:
                most = prod(target.rows for target in targets)
                if plan.rows > most:
                    names = " and ".join(dict.fromkeys(target.name for target in targets))
                    rows = f"{plan.facts.rows:,} there"
                    note = ("rows", f"{rows}; no more keys differ that refer to {names}")
                    plan.notes = [note, *(other for other in plan.notes if other[0] != "rows")]
                    plan.rows = most
        for plan, targets in self._pairs:
            left = prod(target.rows for target in targets) - plan.rows
            plan.left_in_turn = min(left, left if plan.left_in_turn is None else plan.left_in_turn)

    def _prove_in_turn(self, plan: TablePlan) -> None:
        """Let the columns differ that refer to each row once by a column that differs there."""
        for column, kind in list(plan.unique.items()):
            if kind != "each":
                continue
            del plan.unique[column]
            key = self._keys[plan.name, column]
            for own, other in zip(key.columns, key.referenced, strict=True):
                if other in self._plans[key.table].unique:
                    plan.unique[own] = "each"

    def _leave_empty(self, plan: TablePlan, columns: Iterable[ColumnFacts]) -> bool:
        """Leave a column of a unique key NULL; return whether the key now can't repeat."""
        for column in columns:
            if not column.is_required and column.name not in plan.facts.primary_key:
                self._omitted.add((plan.name, column.name))
                return True
        return plan.rows <= 1

    # Values.

    def _fill(self, plan: TablePlan) -> None:
        for column in plan.facts.columns:
            entry = self._value(plan, column)
            if entry is not None:
                plan.columns[column.name] = entry
            elif column.is_required and not (
                column.default or column.identity or column.is_generated
            ):
                self.refused.setdefault(
                    plan.name,
                    f"no generator makes {column.type}, and {column.name} is NOT NULL without a "
                    "default",
                )
        order_times(plan)
        order_numbers(plan)
        if not plan.unique:  # times of a growing table do not repeat
            plan.unique = {
                column: "time"
                for column, entry in plan.columns.items()
                if entry.get("time") == "growth"
                and kind_of(plan.column(column).type).name in TIMESTAMPS
            }
        plan.client_keys = tuple(
            column
            for column, kind in plan.unique.items()
            if kind == "own"
            and column in plan.columns
            and "generate" in plan.columns[column]
            and column not in plan.inserts
        )

    def _value(self, plan: TablePlan, column: ColumnFacts) -> Entry | None:
        place = plan.name, column.name
        if column.is_generated or place in self._omitted:
            return None
        if plan.unique.get(column.name) in ("own", "time"):
            return self._unique_value(plan, column)
        is_referred = place in self._referred
        if place in self._references:
            entry: Entry | None = self._reference(plan, column)
        elif not is_referred and _is_numbered_by_postgres(column):
            return None
        else:
            generators = self._generators(plan, column)
            if generators.default_stands() and not is_referred:
                return None
            entry = generators.plain()
        if entry is None or is_referred or column.name in plan.facts.primary_key:
            return entry
        return with_nulls(entry, column)

    def _unique_value(self, plan: TablePlan, column: ColumnFacts) -> Entry | None:
        generators = self._generators(plan, column)
        if plan.unique[column.name] == "time":
            return generators.growth()
        if generators.kind.name == "smallint" and plan.key != (column.name,):
            plan.unique[column.name] = "part"  # numbers made by the client would soon be too large
            plan.inserts[column.name] = generators.inserted()
        elif not generators.takes_client_keys():
            plan.inserts[column.name] = generators.inserted()
        entry = generators.unique()
        is_key = column.name in plan.facts.primary_key
        return entry if entry is None or is_key else with_nulls(entry, column)

    def _reference(self, plan: TablePlan, column: ColumnFacts) -> Entry:
        table, referenced = self._references[plan.name, column.name]
        target = self._plans[table]
        entry: Entry = {"row": table}
        if target.key != (referenced,):
            entry["column"] = referenced
        if column.name in plan.in_turn:
            return entry | {"each": True}
        is_alone = len(self._keys[plan.name, column.name].columns) == 1
        most = min(plan.facts.rows, target.facts.rows)
        if is_alone and column.distinct is not None and column.distinct < _SKEWED * most:
            entry["skew"] = 2
        return entry

    def _generators(self, plan: TablePlan, column: ColumnFacts) -> Generators:
        return Generators(column, plan.limits.of(column.name), plan.rows)


def _scaled(rows: int, scale: float) -> int:
    """Return a table's rows in the model, all of a small one, which others refer to."""
    return min(_MOST_ROWS, max(round(rows * scale), min(rows, _SMALL)))


def _rank(column: ColumnFacts) -> int:
    kind = kind_of(column.base_type or column.type).name
    return _UNIQUE_TYPES.index(kind) if kind in _UNIQUE_TYPES else len(_UNIQUE_TYPES)


def _is_numbered_by_postgres(column: ColumnFacts) -> bool:
    return bool(column.identity) or "nextval(" in column.default


def _model_key(plan: TablePlan) -> tuple[str, ...]:
    """Return the key of which the model's reader can tell that it does not repeat."""
    for key in filter(None, (plan.facts.primary_key, *plan.facts.unique_keys)):
        kinds = {plan.unique.get(c, "each" if c in plan.in_turn else "time") for c in key}
        required = all(plan.column(c).is_required for c in key) or key == plan.facts.primary_key
        if kinds - {"time"} and required:
            return key
    return ()
