"""A tool's copy against the source: doors, catalogues, then all tables; what fails is said.

Nothing that is wrong with one table or one tool keeps the others from being checked.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from loadgen.errors import DestinationError, SourceError
from loadgen.record.verify import CaseOutcome, ClockOffset, Finding, TableOutcome
from loadgen.source.clock_offset import clock_offset
from loadgen.source.schema import HARD_CASES
from loadgen.sql import statements
from loadgen.tools.columns import literal, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA
from loadgen.tools.readers.factory import located
from loadgen.tools.readers.reader import TableReader, Tables
from loadgen.tools.tools_file import Tool
from loadgen.verify.cases import CaseFindings, judged_cases
from loadgen.verify.compare import Comparison, Part, Progress, ahead
from loadgen.verify.deletes import Deletes
from loadgen.verify.findings import ADDED, Known, Tally
from loadgen.verify.mapping import Mapped, TablePair, mapped
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.scan import Side

_SQL: Final = statements("loadgen.verify", "source.sql")
_AT_ONCE: Final = 2  # questions: one of each side, or two of that which has more to do
Tell = Callable[[str, Progress], None]  # a table's name, and how far it is


@dataclass(frozen=True, slots=True)
class Asked:
    """How to verify: seconds until the second look while a load writes, and what to hide.

    The copy must hold what transactions below `horizon` wrote; None if no marker tells. `settled`:
    the source rests and all was delivered, so that what differs will never come.
    """

    lag: float = 0.0
    horizon: int | None = None
    settled: bool = True
    masked: bool = False
    deletes: Deletes = field(default_factory=Deletes)
    since: datetime | None = None  # when the run began, by the source's clock; None if unknown
    tell: Tell = lambda *_: None


def published(source: TableReader) -> Tables:
    """Return the tables that a tool is to carry. Raises SourceError."""
    names = [str(row[0]) for row in source.ask(_SQL["published"])]
    tables = source.tables(SOURCE_SCHEMA)
    if not names:
        raise SourceError(
            f"the source at {source.where} has no publication `loadgen`: run `loadgen seed` there, "
            "or verify against the playground's database"
        )
    return {name: tables[name] for name in names if name in tables}


def load_runs(source: TableReader) -> bool:
    """Return whether a load writes to the source now, be it paused. Raises SourceError."""
    ((runs,),) = source.ask(_SQL["load_runs"])
    return bool(runs)


@dataclass(slots=True)
class _Found:
    """What was found of a tool so far; `cases` is None until the hard cases' turn."""

    settled: bool
    tally: Tally = field(default_factory=Tally)
    late: Tally = field(default_factory=Tally)
    problems: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # tables whose copy can't be compared
    cases: dict[str, CaseFindings] | None = None
    still_there: set[int] = field(default_factory=set)  # of the hard cases' keys

    @contextmanager
    def said(self, table: str) -> Iterator[None]:
        """Note that a table's copy can't be compared, instead of raising."""
        try:
            yield
        except DestinationError as exc:
            self.refused.add(table)
            self.problems.append(f"{table}: {exc}")

    def take_in(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._add(finding)

    def _add(self, finding: Finding) -> None:
        (self.late if finding.late else self.tally).add(finding)
        if finding.case is not None and self.cases is not None:
            self.cases.setdefault(finding.case, CaseFindings()).add(finding)
        if finding.table == HARD_CASES and finding.kind in {"not_deleted", "resurrected"}:
            self.still_there.add(int(finding.key))


def reconcile(
    tool: Tool, source: TableReader, tables: Tables, copy: TableReader, asked: Asked
) -> ToolOutcome:
    """Return what is wrong with a tool's copy. Raises SourceError."""
    began = time.monotonic()
    found, clocks = _Found(asked.settled), {}
    tried = _tried(source, tables, asked)
    with ExitStack() as held:
        held.enter_context(copy.reading())
        pool = ThreadPoolExecutor(_AT_ONCE)
        held.callback(pool.shutdown, cancel_futures=True)
        try:
            clocks = _clocks(source, copy)
            there = _mapped(tool, source, tables, copy)
        except DestinationError as exc:
            there = Mapped(problems=(str(exc),))
        found.problems += there.problems
        begun: dict[str, Comparison] = {}
        compare = partial(_comparison, tool, (source, copy), asked, pool)
        for part in ahead(_parts(there.pairs, compare, begun, found)):
            if part.table in found.refused:
                part.drop()
                continue
            with found.said(part.table):
                found.take_in(begun[part.table].first_look(part))
    done = _second_looks(begun, found)
    compared = HARD_CASES in done
    return ToolOutcome(
        done,
        found.tally.totals,
        found.tally.kept,
        found.problems,
        late=found.late,
        seconds=time.monotonic() - began,
        cases=_cases(tool, tables, there, found if compared else _Found(asked.settled), tried),
        deletes=asked.deletes.after(found.still_there) if compared else None,
        clocks=clocks,
    )


def _parts(
    pairs: Iterable[TablePair],
    compare: Callable[[TablePair], Comparison],
    begun: dict[str, Comparison],
    found: _Found,
) -> Iterator[Part]:
    """Begin with one table after the other and yield its parts, as long as it can be compared."""
    for pair in pairs:
        if pair.table == HARD_CASES:
            found.cases = {}
        with found.said(pair.table):
            comparison = begun[pair.table] = compare(pair)
            found.take_in(comparison.begin())
            for part in comparison.parts():
                yield part
                if pair.table in found.refused:
                    break


def _second_looks(begun: Mapping[str, Comparison], found: _Found) -> dict[str, TableOutcome]:
    """Return what became of the tables that could be compared."""
    done = {}
    for table in [table for table in begun if table not in found.refused]:
        comparison = begun[table]
        with found.said(table):
            found.take_in(comparison.second_look())
            progress = comparison.progress
            done[table] = TableOutcome(progress.rows, progress.copy_rows, progress.in_flight)
    return done


def _clocks(source: TableReader, copy: TableReader) -> dict[str, ClockOffset]:
    """Return how far the clocks of both ends are from ours; nothing of an end that has none."""
    clocks = {"source": source.clock, "destination": copy.clock}
    return {name: clock_offset(clock) for name, clock in clocks.items() if clock is not None}


def _tried(source: TableReader, tables: Tables, asked: Asked) -> dict[str, int]:
    """Return how many rows there are, or were, to which each hard case has happened in the run."""
    if HARD_CASES not in tables:
        return {}
    since = literal("-infinity" if asked.since is None else asked.since.isoformat())
    counted = source.ask(_SQL["cases"].format(since=since))
    rows = {str(name): (int(n), int(tried)) for name, n, tried in counted}
    found = {name: tried for name, (_, tried) in rows.items()}
    found["hard_deletes"] = sum(row.case_name == "hard_deletes" for row in asked.deletes.rows)
    if "added_columns" in rows:  # rows of all cases have the column
        found["added_columns"] = sum(n for n, _ in rows.values())
    return found


def _cases(
    tool: Tool, tables: Tables, there: Mapped, found: _Found, tried: dict[str, int]
) -> dict[str, CaseOutcome]:
    """Return what became of each hard case, where the tool is to carry their table."""
    if HARD_CASES not in tables:
        return {}
    lacking = [
        pair for pair in there.pairs if pair.table == HARD_CASES and pair.position(ADDED) is None
    ]
    return judged_cases(
        tried,
        found.cases,
        tool.convention.reads,
        ["added_columns"] if lacking else [],
        settled=found.settled,
    )


def _mapped(tool: Tool, source: TableReader, tables: Tables, copy: TableReader) -> Mapped:
    tool = located(tool, copy)
    found = copy.tables(tool.schema_name)
    return mapped(tool, _to_be_there(tool, source, tables, found), found)


def _to_be_there(tool: Tool, source: TableReader, tables: Tables, found: Tables) -> Tables:
    """Return the tables without the empty ones that a tool has not made for want of a row."""
    return {
        name: columns
        for name, columns in tables.items()
        if tool.find_table(name, found) or _has_rows(source, name)
    }


def _has_rows(source: TableReader, table: str) -> bool:
    ((there,),) = source.ask(_SQL["has_rows"].format(table=quoted(SOURCE_SCHEMA, table)))
    return bool(there)


def _comparison(
    tool: Tool,
    doors: tuple[TableReader, TableReader],
    asked: Asked,
    pool: Executor,
    pair: TablePair,
) -> Comparison:
    source, copy = doors
    known = Known(
        last_key=_last_key(source, pair.table),
        gone=asked.deletes.gone if pair.table == HARD_CASES else frozenset(),
        since=asked.since,
        deleted=asked.deletes.keys,
        horizon=asked.horizon,
        lossy=tool.convention.lossy,
        masked=asked.masked,
    )
    comparison = Comparison(
        pair,
        (Side(source, pair, of_copy=False), Side(copy, pair, of_copy=True)),
        known,
        pool,
        asked.lag,
    )
    comparison.progress.tell = lambda progress: asked.tell(pair.table, progress)
    return comparison


def _last_key(source: TableReader, table: str) -> int | None:
    """Return the highest key that the source has given out; None where it counts none."""
    name = literal(quoted(SOURCE_SCHEMA, table))
    rows = list(source.ask(_SQL["last_key"].format(table=name)))
    return int(rows[0][0]) if rows and rows[0][0] is not None else None
