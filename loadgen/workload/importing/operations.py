"""Chooses the operations: rates from the counts of writes, their mix from the statements."""

import re
from collections.abc import Mapping
from itertools import count
from typing import Final

from loadgen.config.settings import HARD_CASES
from loadgen.text import plural
from loadgen.workload.importing.facts import Change, WriteCounts
from loadgen.workload.importing.planned import Operations, PlannedOperation
from loadgen.workload.importing.statements import Statements, WriteShape
from loadgen.workload.importing.table_plan import TablePlan
from loadgen.workload.importing.toml_text import Entry, rounded
from loadgen.workload.importing.transactions import insert_together, update_together
from loadgen.workload.importing.updates import (
    SKEW,
    SKEWED,
    Transaction,
    declared,
    likely_sets,
    settable,
)

_LONGEST_NAME: Final = 40
_MOST_PER_HOUR: Final = 3_600_000_000
_MOST_OPERATIONS: Final = 3  # of a table's updates
_LEAST_SHARE: Final = 0.02  # of a table's updates that an operation is worth
_ONCE_HOURS: Final = 24  # that the baseline's rows should last for deletes
_DELETED_HOURS: Final = 168
_MOST_ONCE: Final = 0.5  # of the rows; updates and references aim at the others
_GROWTH_HOURS: Final = 182 * 24  # in which the baseline's rows came
_LOADED: Final = 0.9  # of a table's rows, inserted by no known statement
_NOT_COMPARED: Final = ("json", "xml", "point", "line", "lseg", "path", "polygon", "circle")
_LONG_RUN_HOURS: Final = 48  # for which the free pairs of a table between others should last


def plan_operations(
    plans: Mapping[str, TablePlan],
    statements: Statements,
    hours: float,
    rate_scale: float,
    *,
    has_statements: bool,
    is_measured: bool,
) -> Operations:
    """Return the operations that write to each table what its counts say, in `hours`.

    Unless the window is measured, the counts may hold a table's first load.
    """
    planner = _Planner(plans, statements, rate_scale / hours)
    planner.has_statements, planner.may_hold_loads = has_statements, not is_measured
    return planner.plan()


class _Planner:
    def __init__(
        self,
        plans: Mapping[str, TablePlan],
        statements: Statements,
        per_row: float,
    ) -> None:
        self._plans, self._statements, self._per_row = plans, statements, per_row
        self.has_statements = self.may_hold_loads = False
        self._names: set[str] = set()
        self._operations = Operations()

    def plan(self) -> Operations:
        inserts = {
            name: operation
            for name, plan in self._plans.items()
            if (operation := self._insert(plan)) is not None
        }
        for plan in self._plans.values():
            if plan.name in inserts:
                self._operations.planned.append(inserts[plan.name])
            self._updates(plan, inserts.get(plan.name))
            self._delete(plan, inserts.get(plan.name))
        insert_together(self._operations.planned, inserts)
        update_together(self._operations.planned, self._unique_name)
        if not self._operations.planned and self._plans:
            self._idle()
        return self._operations

    def _rate(self, rows: float) -> float:
        """Return the rate per hour for rows written in the window."""
        return rounded(min(rows * self._per_row, _MOST_PER_HOUR))

    def _add(self, operation: PlannedOperation) -> None:
        self._operations.planned.append(operation)

    # Inserts.

    def _insert(self, plan: TablePlan) -> PlannedOperation | None:
        shapes = self._statements.of(plan.name, "insert")
        guesses: dict[str, tuple[str, str]] = {}
        writes = plan.facts.writes
        if writes is None:
            if not plan.rows or not any("time" in entry for entry in plan.columns.values()):
                return None
            rate = rounded(plan.rows / _GROWTH_HOURS)
            reason = "the statistics of writes can't be read: as if all rows came in 182 days"
            guesses["per_hour"] = (reason, "set the rate that you know")
        else:
            if not writes.inserts:
                return None
            if plan.is_fixed:
                self._leave_out(plan, writes.inserts, "inserts", "no generator makes its key")
                return None
            if self._is_first_load(plan, writes, shapes):
                return None
            rate = self._rate(writes.inserts)
            if self.has_statements and not shapes:
                reason = "no statement explains these inserts, perhaps COPY or a trigger"
                guesses["per_hour"] = (reason, "set the rate that you know, or remove it")
        left = plan.left_in_turn
        if left is not None and left < rate * _LONG_RUN_HOURS:
            lasts = f"{left:,} keys of rows it refers to are free, for {left / rate:,.3g} h"
            reason = f"{lasts}; then inserts fail with 23505"
            guesses["insert"] = (reason, "lower the table's `rows`, or raise those that it joins")
        sets = self._inserted(plan, shapes)
        entries: Entry = {"per_hour": rate, "insert": plan.name} | ({"set": sets} if sets else {})
        name = self._name("insert", plan)
        return PlannedOperation(plan, "insert", name, entries, guesses)

    def _is_first_load(
        self, plan: TablePlan, writes: WriteCounts, shapes: tuple[WriteShape, ...]
    ) -> bool:
        rows = plan.facts.rows
        if not (self.has_statements and self.may_hold_loads) or shapes or not rows:
            return False
        if writes.inserts < _LOADED * rows:
            return False
        if writes.inserts > (1 + _LOADED) * rows + writes.deletes:
            return False
        self._operations.unexplained.add(plan.name)
        self._operations.left_out.append(
            f"{writes.inserts:,} inserts into {plan.name}: no statement explains them, and the "
            "table has about as many rows, so they look like its first load: measure with "
            "--interval, or add an insert of your own"
        )
        return True

    def _inserted(self, plan: TablePlan, shapes: tuple[WriteShape, ...]) -> dict[str, object]:
        """Return what an insert sets otherwise than the baseline."""
        sets = dict(plan.inserts)
        named = {column for shape in shapes for column in shape.columns}
        all_named = bool(shapes) and all(shape.columns for shape in shapes)
        for column in plan.facts.columns:
            entry = plan.columns.get(column.name)
            may_be_left = not column.is_required or column.default
            if entry is None or not may_be_left or column.name in (*plan.identity, *plan.unique):
                continue
            is_time = "after" in entry or "time" in entry
            if is_time and column.default:  # which an insert takes anyway
                continue
            is_later = is_time and entry.get("time") != "growth"
            is_left = column.name not in named if all_named else is_later
            if is_left:
                sets[column.name] = {"default": True}
        return sets

    # Updates.

    def _updates(self, plan: TablePlan, insert: PlannedOperation | None) -> None:
        updates = plan.facts.writes.updates if plan.facts.writes else 0
        if not updates:
            return
        if not plan.facts.has_replica_identity:
            self._leave_out(plan, updates, "updates", "it has no replica identity")
            return
        mix = self._mix(plan)
        reason = ""
        if not mix:
            sets = likely_sets(plan)
            if not sets:
                self._leave_out(plan, updates, "updates", "it has no column besides its keys")
                return
            reason = "no statement says what updates set"
            mix = [(sets, 1.0, None)]
        for sets, share, shape in mix:
            target = self._target(plan, insert, sets)
            if target is None:
                self._leave_out(plan, updates, "updates", "no key finds its rows")
                return
            entries, reasons = target
            name = self._name("update", plan, next(iter(sets)) if len(mix) > 1 else "")
            entries = {"per_hour": self._rate(updates * share), **entries}
            operation = PlannedOperation(plan, "update", name, entries, reasons)
            operation.shape, operation.sets = shape, sets
            if reason:
                place = "update" if "update" in entries else "sql"
                operation.guesses[place] = (reason, "write the columns that they set")
            self._add(operation)

    def _mix(self, plan: TablePlan) -> list[tuple[dict[str, object], float, WriteShape | None]]:
        """Return what the known statements set, the share of each, and one that does so."""
        rows: dict[tuple[str, ...], float] = {}
        chosen: dict[tuple[str, ...], tuple[dict[str, object], WriteShape]] = {}
        for shape in self._statements.of(plan.name, "update"):
            if sets := settable(plan, shape.sets):
                place = tuple(sets)
                chosen.setdefault(place, (sets, shape))
                rows[place] = rows.get(place, 0) + (shape.rows or shape.calls * 0.01)
        total = sum(rows.values())
        busiest = sorted(rows, key=lambda place: -rows[place])[:_MOST_OPERATIONS]
        busiest = [place for place in busiest if rows[place] >= _LEAST_SHARE * total]
        total = sum(rows[place] for place in busiest)
        return [
            (chosen[place][0], rows[place] / total, chosen[place][1] if len(rows) == 1 else None)
            for place in busiest
            if total
        ]

    def _target(
        self, plan: TablePlan, insert: PlannedOperation | None, sets: Mapping[str, object]
    ) -> tuple[Entry, dict[str, tuple[str, str]]] | None:
        """Return an update's table, row and values, and the guesses in them."""
        if not plan.rows:
            if insert is None or not plan.client_keys:
                return None
            row: Entry = {"inserted": insert.name, "order": "newest"}
            reason = "the table has no rows yet: updates aim at new ones"
            return {"update": plan.name, "row": row, **declared(sets)}, {
                "row": (reason, "give the table `rows`")
            }
        skew = SKEWED
        if len(plan.identity) > 1:
            transaction = Transaction()
            transaction.update(plan, sets, SKEW)
            return transaction.entries(), {f"params.{transaction.target}": skew}
        column = plan.identity[0] if plan.identity else plan.single or self._widest(plan)
        if not column:
            return None
        row = {"skew": SKEW}
        if plan.key != (column,):
            row = {"column": column, "skew": SKEW}
        if not plan.identity and not plan.single:
            skew = ("the table has no key: several rows may have this value", "give it a key")
        return {"update": plan.name, "row": row, **declared(sets)}, {"row": skew}

    def _widest(self, plan: TablePlan) -> str:
        """Return the column of a table without a key that finds the fewest rows."""
        filled = [
            c
            for c in plan.facts.columns
            if "null" not in plan.columns.get(c.name, {"null": 1})
            and not c.type.startswith(_NOT_COMPARED)
        ]
        return max(filled, key=lambda c: c.distinct or 0).name if filled else ""

    # Deletes.

    def _delete(self, plan: TablePlan, insert: PlannedOperation | None) -> None:
        writes = plan.facts.writes
        if writes is None or not writes.deletes:
            return
        if not plan.facts.has_replica_identity:
            self._leave_out(plan, writes.deletes, "deletes", "it has no replica identity")
            return
        rate = self._rate(writes.deletes)
        row: Entry
        once = bool(plan.single) and plan.rows > 1 and not plan.is_needed
        inserted = insert is not None and bool(plan.client_keys) and insert.per_hour >= rate
        if once and (rate * _ONCE_HOURS <= plan.rows / 2 or not inserted):
            wanted = max(rate * _DELETED_HOURS / plan.rows, 0.05)
            row = {"once": True, "share": min(_MOST_ONCE, round(wanted, 2))}
            lasts = plan.rows * float(str(row["share"])) / rate if rate else 0
            reason = f"old rows, each once, those that nothing refers to; they last {lasts:,.3g} h"
            if plan.key != (plan.single,):
                row = {"column": plan.single, **row}
        elif inserted and insert is not None:
            row = {"inserted": insert.name, "order": "oldest"}
            reason = "inserts keep pace, so each delete takes the oldest row that the run inserted"
        elif plan.rows and len(plan.identity) > 1:
            transaction = Transaction()
            transaction.delete(plan, 1)
            reason = "rows of the baseline at random; the few that are gone already fail"
            self._add_delete(plan, rate, transaction.entries(), "sql", reason)
            return
        else:
            self._leave_out(plan, writes.deletes, "deletes", "no key finds rows to remove")
            return
        self._add_delete(plan, rate, {"delete": plan.name, "row": row}, "row", reason)

    def _add_delete(
        self, plan: TablePlan, rate: float, entries: Entry, place: str, reason: str
    ) -> None:
        name = self._name("delete", plan)
        guesses = {place: (reason, "give another `row`: docs/workload.md has them")}
        entries = {"per_hour": rate, **entries}
        self._add(PlannedOperation(plan, "delete", name, entries, guesses))

    def _idle(self) -> None:
        """Write one operation that never runs, since a workload has operations."""
        plan = next(iter(self._plans.values()))
        entries: Entry = {"per_hour": 0, "insert": plan.name}
        if sets := self._inserted(plan, ()):
            entries["set"] = sets
        reason = "no writes were counted"
        guesses = {"per_hour": (reason, "set the rate that you know, or measure with --interval")}
        name = self._name("insert", plan)
        self._add(PlannedOperation(plan, "insert", name, entries, guesses))

    # Names and missing parts.

    def _leave_out(self, plan: TablePlan, rows: int, writes: str, reason: str) -> None:
        counted = plural(rows, writes.removesuffix("s"))
        self._operations.left_out.append(f"{counted} of {plan.name}: {reason}")

    def _name(self, change: Change, plan: TablePlan, column: str = "") -> str:
        relation = plan.name.rpartition(".")[2]
        words = (change, relation, column)
        return self._unique_name("_".join(filter(None, map(_word, words))))

    def _unique_name(self, name: str) -> str:
        for n in count(1):
            suffix = "" if n == 1 else f"_{n}"
            unique = f"{name[: _LONGEST_NAME - len(suffix)].rstrip('_')}{suffix}"
            if unique not in self._names and unique not in HARD_CASES:
                break
        self._names.add(unique)
        return unique


def _word(name: str) -> str:
    """Return a name in the letters of an operation's name."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", words).strip("_")
