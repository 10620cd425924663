"""Puts statements into one transaction that seem to share it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from loadgen.workload.importing.facts import ForeignKeyFacts
from loadgen.workload.importing.planned import PlannedOperation
from loadgen.workload.importing.toml_text import rounded
from loadgen.workload.importing.updates import SKEW, SKEWED, Transaction

_LEAST_CALLS: Final = 1000
_SAME_CALLS: Final = (64, 0.001)  # difference between statements of one transaction
_SAME_RATE: Final = 0.01


def insert_together(
    planned: list[PlannedOperation], inserts: Mapping[str, PlannedOperation]
) -> None:
    """Insert rows that extend another table's in the transaction that inserts that one."""
    children: dict[str, list[tuple[PlannedOperation, ForeignKeyFacts]]] = {}
    for child in inserts.values():
        plan = child.plan
        for key in plan.facts.foreign_keys:
            if any(plan.unique.get(column) == "each" for column in key.columns):
                children.setdefault(key.table, []).append((child, key))
                break
    extended = {child.plan.name for pairs in children.values() for child, _ in pairs}
    for table, extending in children.items():
        columns = {column for _, key in extending for column in key.referenced}
        if table not in inserts or table in extended:
            continue
        if columns & set(inserts[table].plan.client_keys):
            extending.sort(key=lambda pair: pair[0].per_hour)
            _nest(planned, inserts[table], extending)


def _nest(
    planned: list[PlannedOperation],
    parent: PlannedOperation,
    extending: Sequence[tuple[PlannedOperation, ForeignKeyFacts]],
) -> None:
    """Write a transaction for each step of the rates: with fewer and fewer of the tables."""
    done, busiest, own = 0.0, 0.0, _sets(parent)
    for i, (operation, _) in enumerate(extending):
        rate = min(operation.per_hour, parent.per_hour + done) - done
        if i and rate <= _SAME_RATE * done:
            planned.remove(operation)
            continue
        transaction = Transaction()
        cells = {parent.plan.name: transaction.insert(parent.plan, own, {})}
        for child, key in extending[i:]:
            names = {
                column: cells[parent.plan.name][other]
                for column, other in zip(key.columns, key.referenced, strict=True)
                if other in cells[parent.plan.name]
            }
            cells[child.plan.name] = transaction.insert(child.plan, _sets(child), names)
        if rate > busiest:
            busiest = rate
            aims = (parent, *(child for child, _ in extending[i:]))
            _aim_at(planned, aims, operation, cells)
        reason = f"each row belongs to one of {parent.plan.name}, so both are inserted together"
        operation.guesses = {"sql": (reason, "write an operation for each if they are not")}
        operation.entries = {"per_hour": rounded(rate), **transaction.entries()}
        parent.entries["per_hour"] = rounded(max(0.0, parent.per_hour - rate))
        done += rate
    if parent.per_hour <= _SAME_RATE * done:
        planned.remove(parent)


def _aim_at(
    planned: list[PlannedOperation],
    inserts: Iterable[PlannedOperation],
    new: PlannedOperation,
    cells: Mapping[str, Mapping[str, str]],
) -> None:
    """Let operations that aim at the rows of some inserts aim at them in another operation."""
    tables = {insert.plan.name: insert.plan for insert in inserts}
    for operation in planned:
        row, plan = operation.entries.get("row"), tables.get(operation.plan.name)
        if plan and plan.client_keys and isinstance(row, dict) and "inserted" in row:
            parameter = cells[plan.name][plan.client_keys[0]].removeprefix(":")
            operation.entries["row"] = {
                "inserted": new.name,
                "parameter": parameter,
                "order": row["order"],
            }


def update_together(planned: list[PlannedOperation], unique_name: Callable[[str], str]) -> None:
    """Put updates of several tables that run equally often into one transaction."""
    candidates = [
        operation
        for operation in planned
        if operation.change == "update" and _aims_at_one_row(operation)
    ]
    candidates.sort(key=lambda operation: operation.shape.calls if operation.shape else 0)
    while candidates:
        leader = candidates.pop(0)
        group = [leader, *(other for other in candidates if _alike(leader, other))]
        candidates = [other for other in candidates if other not in group]
        if len({operation.plan.name for operation in group}) < max(2, len(group)):
            continue
        group.sort(key=planned.index)
        transaction = Transaction()
        for operation in group:
            transaction.update(operation.plan, operation.sets, SKEW)
        rate = rounded(sum(operation.per_hour for operation in group) / len(group))
        first_of = group[0]
        for operation in group[1:]:
            planned.remove(operation)
        first_of.name = unique_name("transaction")
        first_of.entries = {"per_hour": rate, **transaction.entries()}
        reason = "these statements ran equally often, so they share a transaction"
        first_of.guesses = {
            "per_hour": (reason, "write an operation for each if they don't"),
            f"params.{transaction.target}": SKEWED,
        }


def _sets(operation: PlannedOperation) -> Mapping[str, object]:
    sets = operation.entries.get("set", {})
    return sets if isinstance(sets, dict) else {}


def _aims_at_one_row(operation: PlannedOperation) -> bool:
    shape, plan = operation.shape, operation.plan
    if shape is None or "row" not in operation.entries or not plan.rows or not plan.identity:
        return False
    calls = shape.calls
    is_single = set(plan.identity) <= set(shape.aims) and abs(shape.rows - calls) <= calls * 0.001
    return is_single and calls >= _LEAST_CALLS


def _alike(operation: PlannedOperation, other: PlannedOperation) -> bool:
    """Tell whether two updates ran equally often, by statements and by rows."""
    assert operation.shape is not None and other.shape is not None  # noqa: S101, PT018 - candidates
    few, share = _SAME_CALLS
    calls = operation.shape.calls, other.shape.calls
    rates = operation.per_hour, other.per_hour
    return (
        abs(calls[0] - calls[1]) <= max(few, share * max(calls))
        and abs(rates[0] - rates[1]) <= _SAME_RATE * max(rates)
        and operation.plan.name != other.plan.name
    )
