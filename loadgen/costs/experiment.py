"""What the experiment itself adds to a run: freshness markers, and rows of the hard cases.

A vendor counts them like any change, so they are paid for; a month at the run's rate has none.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NamedTuple

from loadgen.costs.usage import Usage
from loadgen.record.reader import read_deletes, read_deliveries
from loadgen.record.run import Run

_ROW_BYTES: Final = 350  # an event of type loadgen_marker as JSON; a plain row of a hard case
_WIDE_BYTES: Final = 4_450
_DELETES: Final = "hard_deletes"


class _Turn(NamedTuple):
    """What one turn of a hard case changes; `rows` are those that were not touched before."""

    inserts: int = 1
    updates: int = 0
    deletes: int = 0
    rows: int = 1
    bytes: int = _ROW_BYTES


_PLAIN: Final = _Turn()
_TURNS: Final[Mapping[str, _Turn]] = {
    # A row is deleted that an earlier turn inserted: it counts once in a month.
    _DELETES: _Turn(deletes=1, bytes=2 * _ROW_BYTES),
    "key_changes": _Turn(updates=1, rows=2, bytes=2 * _ROW_BYTES),
    "key_reuses": _Turn(inserts=2, deletes=1, bytes=3 * _ROW_BYTES),
    "wide_updates": _Turn(updates=1, bytes=_WIDE_BYTES + _ROW_BYTES),
}


@dataclass(frozen=True, slots=True)
class Added:
    """Changes of one kind, as a cost line calls them, and the usage with them."""

    category: str
    unit: str
    changes: int
    usage: Usage
    note: str


def added(run: Run, usage: Usage) -> list[Added]:
    """Return what the experiment adds to a run's usage, each on top of the one before."""
    found: list[Added] = []
    markers = markers_of(run)
    usage = with_markers(usage, markers)
    if markers:
        note = "rows that the watch writes, more of the same charges"
        found.append(Added("freshness markers", "marker", markers, usage, note))
    if cases := _cases(run, usage):
        found.append(cases)
    return found


def markers_of(run: Run) -> int:
    """Return how many freshness markers the run's record knows."""
    return len({row.sequence for row in read_deliveries(run.path)})


def with_markers(usage: Usage, markers: int) -> Usage:
    """Return the usage with so many markers, each a row of its own."""
    return usage.with_rows(Decimal(markers), Decimal(markers * _ROW_BYTES))


def _cases(run: Run, usage: Usage) -> Added | None:
    turns = Counter(run.hard_cases)
    # While the run goes on, only what was deleted is on record.
    deleted = sum(row.case_name == _DELETES for row in read_deletes(run.path))
    turns[_DELETES] = max(turns[_DELETES], deleted)
    sums = [0] * len(_PLAIN)
    for name, number in turns.items():
        sums = [so_far + number * one for so_far, one in zip(sums, _of(name), strict=True)]
    total = _Turn(*sums)
    changes = total.inserts + total.updates + total.deletes
    if not changes:
        return None
    more = replace(
        usage,
        inserts=usage.inserts + total.inserts,
        updates=usage.updates + total.updates,
        deletes=usage.deletes + total.deletes,
        distinct_rows=usage.distinct_rows + total.rows,
        bytes=usage.bytes + total.bytes,
    )
    note = f"rows of the hard cases, {total.deletes} of them deleted, more of the same charges"
    return Added("hard cases", "change", changes, more, note)


def _of(name: str) -> _Turn:
    return _TURNS.get(name, _PLAIN)
