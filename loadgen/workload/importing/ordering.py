"""Lets columns of a table follow each other: later times, and larger numbers."""

import re
from typing import Final

from loadgen.workload.importing.generators import TIMES, kind_of
from loadgen.workload.importing.table_plan import TablePlan
from loadgen.workload.importing.toml_text import Entry

_CREATED: Final = re.compile(r"creat|insert|added|joined|occurred|received")
_CHANGED: Final = re.compile(r"updat|modif|chang|touch")
_CHANGED_SHARE: Final = 0.2  # of the rows


def order_times(plan: TablePlan) -> None:
    """Let one time grow with the rows, and the others of its type follow it if they have to."""
    kinds = {c.name: kind_of(c.base_type or c.type).name for c in plan.facts.columns}
    times = {c: e for c, e in plan.columns.items() if "time" in e and kinds[c] in TIMES}
    growing = [column for column, entry in times.items() if entry["time"] == "growth"]
    growing.sort(key=lambda c: (plan.unique.get(c) != "time", not _CREATED.search(c.lower())))
    first = growing[0] if growing else ""
    for column, entry in times.items():
        lower = plan.limits.of(column).above
        if lower in times and kinds[lower] == kinds[column] and plan.unique.get(column) != "time":
            unit = "current_date + 1" if kinds[column] == "date" else "now() + interval '1 hour'"
            plan.inserts[column] = {"sql": unit}
            plan.columns[column] = _after(lower, entry)
        elif first and column != first and kinds[column] == kinds[first]:
            if _CHANGED.search(column.lower()):
                plan.columns[column] = _after(first, entry) | {"share": _CHANGED_SHARE}
            elif entry["time"] == "growth" and plan.unique.get(column) != "time":
                plan.columns[column] = _after(first, entry)


def _after(column: str, entry: Entry) -> Entry:
    return {"after": column} | ({"null": entry["null"]} if "null" in entry else {})


def order_numbers(plan: TablePlan) -> None:
    """Move the numbers of a column above those of the one that has to be lower."""
    for column, entry in plan.columns.items():
        lower = plan.columns.get(plan.limits.of(column).above, {})
        for kind in ("number", "decimal"):
            if kind in entry and kind in lower:
                _, most = _span(lower[kind])
                least, highest = _span(entry[kind])
                if least <= most:
                    entry[kind] = [most + 1, most + 1 + highest - least]


def _span(value: object) -> tuple[float, float]:
    assert isinstance(value, list)  # noqa: S101 - as generators write it
    least, most = value
    return least, most
