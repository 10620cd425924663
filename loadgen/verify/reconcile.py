"""A tool's copy against the source: doors, catalogues and tables in turn; what fails is said.

Nothing that is wrong with one table or one tool keeps the others from being checked.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from loadgen.destination.columns import literal, quoted
from loadgen.destination.conventions import SOURCE_SCHEMA
from loadgen.destination.door import Door, Tables
from loadgen.destination.tools_file import Tool
from loadgen.errors import DestinationError, SourceError
from loadgen.record_run import JournalEvent
from loadgen.sql import statements
from loadgen.verify.compare import Comparison, Progress
from loadgen.verify.findings import Known, Tally
from loadgen.verify.mapping import Mapped, TablePair, mapped, missing_schema
from loadgen.verify.outcome import TableOutcome, ToolOutcome
from loadgen.verify.scan import Side

DELETED: Final = "hard_delete"  # the journal's word for a row that was deleted, by table and key

_SQL: Final = statements("loadgen.verify", "source.sql")
Tell = Callable[[str, Progress], None]  # a table's name, and how far it is


@dataclass(frozen=True, slots=True)
class Asked:
    """How to verify: seconds that a delivery may take while a load writes, and what to hide."""

    lag: float = 0.0
    masked: bool = False
    deleted: Mapping[str, Mapping[int, datetime]] = field(default_factory=dict)
    tell: Tell = lambda *_: None


def published(source: Door) -> Tables:
    """Return the tables that a tool is to carry. Raises SourceError."""
    names = [str(row[0]) for row in source.ask(_SQL["published"])]
    tables = source.tables(SOURCE_SCHEMA)
    if not names:
        raise SourceError(
            "the source has no publication `loadgen`: run `loadgen seed`, or point DATABASE_URL at "
            "the playground's database"
        )
    return {name: tables[name] for name in names if name in tables}


def load_runs(source: Door) -> bool:
    """Return whether a load writes to the source now, be it paused. Raises SourceError."""
    ((runs,),) = source.ask(_SQL["load_runs"])
    return bool(runs)


def deletes_of(journal: Iterable[JournalEvent]) -> dict[str, dict[int, datetime]]:
    """Return when rows were deleted by the journal, by table and key."""
    found: dict[str, dict[int, datetime]] = {}
    for event in journal:
        table, key = event.details.get("table"), event.details.get("key")
        if event.kind == DELETED and isinstance(table, str) and isinstance(key, int):
            found.setdefault(table, {})[key] = event.at
    return found


def reconcile(tool: Tool, source: Door, tables: Tables, copy: Door, asked: Asked) -> ToolOutcome:
    """Return what is wrong with a tool's copy. Raises SourceError."""
    began = time.monotonic()
    tally, done = Tally(), {}
    try:
        found = _mapped(tool, source, tables, copy)
    except DestinationError as exc:
        return ToolOutcome(problems=[str(exc)], seconds=time.monotonic() - began)
    problems = list(found.problems)
    for pair in found.pairs:
        try:
            done[pair.table] = _table(tool, (source, copy), pair, asked, tally)
        except DestinationError as exc:
            problems.append(f"{pair.table}: {exc}")
    return ToolOutcome(done, tally.totals, tally.kept, problems, seconds=time.monotonic() - began)


def _mapped(tool: Tool, source: Door, tables: Tables, copy: Door) -> Mapped:
    with copy.reading():
        schemas = copy.schemas()
        if tool.schema_name not in schemas:
            return Mapped(problems=(missing_schema(tool, schemas),))
        found = copy.tables(tool.schema_name)
        return mapped(tool, _to_be_there(tool, source, tables, found), found)


def _to_be_there(tool: Tool, source: Door, tables: Tables, found: Tables) -> Tables:
    """Return the tables without the empty ones that a tool has not made for want of a row."""
    return {
        name: columns
        for name, columns in tables.items()
        if tool.convention.table_name(name, folds_to=tool.folds_to) in found
        or _has_rows(source, name)
    }


def _has_rows(source: Door, table: str) -> bool:
    ((there,),) = source.ask(_SQL["has_rows"].format(table=quoted(SOURCE_SCHEMA, table)))
    return bool(there)


def _table(
    tool: Tool, doors: tuple[Door, Door], pair: TablePair, asked: Asked, tally: Tally
) -> TableOutcome:
    source, copy = doors
    known = Known(
        last_key=_last_key(source, pair.table),
        deleted=asked.deleted.get(pair.table, {}),
        lossy=tool.convention.lossy,
        masked=asked.masked,
    )
    comparison = Comparison(
        pair,
        Side(source, pair, of_copy=False),
        Side(copy, pair, of_copy=True),
        known,
        asked.lag,
    )
    comparison.progress.tell = lambda progress: asked.tell(pair.table, progress)
    for finding in comparison.findings():
        tally.add(finding)
    progress = comparison.progress
    return TableOutcome(progress.rows, progress.copy_rows, progress.in_flight)


def _last_key(source: Door, table: str) -> int | None:
    """Return the highest key that the source has given out; None where it counts none."""
    name = literal(quoted(SOURCE_SCHEMA, table))
    rows = list(source.ask(_SQL["last_key"].format(table=name)))
    return int(rows[0][0]) if rows and rows[0][0] is not None else None
