"""Compares a tool's copy with the source: catalogues first, then all tables.

A table that can't be compared is a problem in the outcome, and does not stop the others.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from loadgen.errors import DestinationError
from loadgen.record.verify import CaseOutcome, ClockOffset, Finding, TableOutcome
from loadgen.source.environment import clock_offset
from loadgen.source.model_schema import HARD_CASES
from loadgen.sql import statements
from loadgen.tools.columns import literal
from loadgen.tools.readers.factory import resolve_schema
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.source_tables import SourceTable, SourceTables, name_conflicts
from loadgen.tools.tools_file import Tool
from loadgen.verify.buckets import BucketComparison, SqlBuckets
from loadgen.verify.cases import CaseFindings, judge_cases
from loadgen.verify.compare import Comparison, prefetched
from loadgen.verify.deletes import Deletes
from loadgen.verify.findings import ADDED, FindingTally, TableContext
from loadgen.verify.mapping import TableMapping, TablePair, map_tables
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.scan import SqlSide
from loadgen.verify.second_look import Progress

_SQL: Final = statements("loadgen.verify", "source.sql")
_CONCURRENT_QUERIES: Final = 2  # one of each side, or two of the slower one
OnProgress = Callable[[str, Progress], None]  # called with a table's name and progress


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How to verify one tool.

    The copy must hold the changes of transactions below `horizon`, None without markers. It is
    `settled` if the source rests and all has been delivered, so that no difference will disappear.
    """

    lag: float = 0.0  # seconds until the second look
    horizon: int | None = None
    settled: bool = True
    masked: bool = False  # hide texts and JSON
    deletes: Deletes = field(default_factory=Deletes)
    since: datetime | None = None  # the run's start by the source's clock; None if unknown
    on_progress: OnProgress = lambda *_: None


def is_load_running(source: TableReader) -> bool:
    """Return whether a load, running or paused, holds its lock. Raises SourceError."""
    ((is_running,),) = source.query(_SQL["load_runs"])
    return bool(is_running)


class Segment(Protocol):
    """A part of a table, with its pending queries."""

    @property
    def table(self) -> str:
        """The table's label."""

    def cancel(self) -> None:
        """Cancel the queries that have not started."""


class TableComparison(Protocol):
    """The comparison of one table: by ranges of keys, or by buckets."""

    @property
    def progress(self) -> Progress:
        """How far it is."""

    def begin(self) -> Iterator[Finding]:
        """Query what the segments depend on. Raises DestinationError."""

    def segments(self) -> Iterator[Segment]:
        """Yield the table's segments; taking one starts its queries. Raises DestinationError."""

    def first_look(self, segment: Any) -> Iterator[Finding]:
        """Yield the findings of one of its segments. Raises DestinationError."""

    def second_look(self) -> Iterator[Finding]:
        """Yield the suspects that still differ. Raises DestinationError."""


@dataclass(slots=True)
class _ToolFindings:
    """The findings of a tool so far, and the problems that kept tables from being compared."""

    tally: FindingTally = field(default_factory=FindingTally)
    late: FindingTally = field(default_factory=FindingTally)
    problems: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)  # tables that could not be compared
    cases: dict[str, CaseFindings] = field(default_factory=dict)
    undeleted: set[int] = field(default_factory=set)  # keys of hard cases that the copy still has

    @contextmanager
    def errors_of(self, table: str) -> Iterator[None]:
        """Record an error in a table's comparison instead of raising it."""
        try:
            yield
        except DestinationError as exc:
            self.failed.add(table)
            self.problems.append(f"{table}: {exc}")

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            (self.late if finding.late else self.tally).add(finding)
            if finding.case is not None:
                self.cases.setdefault(finding.case, CaseFindings()).add(finding)
            if finding.table == HARD_CASES and finding.kind in {"not_deleted", "resurrected"}:
                self.undeleted.add(int(finding.key))


def reconcile(
    tool: Tool, source: TableReader, tables: SourceTables, copy: TableReader, options: VerifyOptions
) -> ToolOutcome:
    """Compare a tool's copy with the source. Raises SourceError."""
    started = time.monotonic()
    findings, clocks = _ToolFindings(), {}
    tried = _tried_cases(source, options) if HARD_CASES in tables else {}
    with ExitStack() as stack:
        stack.enter_context(copy.reading())
        pool = ThreadPoolExecutor(_CONCURRENT_QUERIES)
        stack.callback(pool.shutdown, cancel_futures=True)
        try:
            clocks = _clock_offsets(source, copy)
            mapping = _map_tables(tool, source, tables.values(), copy)
        except DestinationError as exc:
            mapping = TableMapping(problems=(str(exc),))
        findings.problems += mapping.problems
        comparisons: dict[str, TableComparison] = {}
        compare = partial(_comparison, tool, source, copy, options, pool)
        for segment in prefetched(_segments(mapping.pairs, compare, comparisons, findings)):
            if segment.table in findings.failed:
                segment.cancel()
                continue
            with findings.errors_of(segment.table):
                findings.add(comparisons[segment.table].first_look(segment))
    compared = _second_looks(comparisons, findings)
    cases: dict[str, CaseOutcome] = {}
    if HARD_CASES in tables:
        cases = judge_cases(
            tried,
            findings.cases if HARD_CASES in compared else None,
            tool.convention.reads,
            ["added_columns"] if _lacks_added_column(mapping) else [],
            settled=options.settled,
        )
    return ToolOutcome(
        compared,
        findings.tally.totals,
        findings.tally.findings,
        findings.problems,
        late=findings.late,
        seconds=time.monotonic() - started,
        cases=cases,
        deletes=options.deletes.after(findings.undeleted) if HARD_CASES in compared else None,
        clocks=clocks,
    )


def _segments(
    pairs: Iterable[TablePair],
    compare: Callable[[TablePair], TableComparison],
    comparisons: dict[str, TableComparison],
    findings: _ToolFindings,
) -> Iterator[Segment]:
    """Begin the comparison of one table after the other, and yield its segments until it fails."""
    for pair in pairs:
        with findings.errors_of(pair.table):
            comparison = comparisons[pair.table] = compare(pair)
            findings.add(comparison.begin())
            for segment in comparison.segments():
                yield segment
                if pair.table in findings.failed:
                    break


def _second_looks(
    comparisons: Mapping[str, TableComparison], findings: _ToolFindings
) -> dict[str, TableOutcome]:
    """Finish the comparisons that have not failed, and return the outcomes by table."""
    outcomes = {}
    for table, comparison in comparisons.items():
        if table in findings.failed:
            continue
        with findings.errors_of(table):
            findings.add(comparison.second_look())
            progress = comparison.progress
            outcomes[table] = TableOutcome(progress.rows, progress.copy_rows, progress.in_flight)
    return outcomes


def _clock_offsets(source: TableReader, copy: TableReader) -> dict[str, ClockOffset]:
    """Return the offsets of both ends' clocks from ours; none for an end without a clock."""
    clocks = {"source": source.clock, "destination": copy.clock}
    return {name: clock_offset(clock) for name, clock in clocks.items() if clock is not None}


def _tried_cases(source: TableReader, options: VerifyOptions) -> dict[str, int]:
    """Return for each hard case the number of rows to which it has happened in the run."""
    since = literal("-infinity" if options.since is None else options.since.isoformat())
    counts = source.query(_SQL["cases"].format(since=since))
    rows = {str(name): (int(count), int(tried)) for name, count, tried in counts}
    tried = {name: happened for name, (_, happened) in rows.items()}
    tried["hard_deletes"] = sum(row.case_name == "hard_deletes" for row in options.deletes.rows)
    if "added_columns" in rows:  # rows of all cases have the column
        tried["added_columns"] = sum(count for count, _ in rows.values())
    return tried


def _lacks_added_column(mapping: TableMapping) -> bool:
    return any(p.table == HARD_CASES and p.position(ADDED) is None for p in mapping.pairs)


def _map_tables(
    tool: Tool, source: TableReader, tables: Iterable[SourceTable], copy: TableReader
) -> TableMapping:
    """Map the tables, but ignore empty ones that the tool has not created yet.

    Raises DestinationError if the copy has none of the schemas.
    """
    tables = tuple(tables)
    conflicts = name_conflicts(tool, tables)
    pairs: list[TablePair] = []
    problems = [f"not compared: {line}" for line in dict.fromkeys(conflicts.values())]
    by_schema: dict[str, list[SourceTable]] = {}
    for table in tables:
        if table.label not in conflicts:
            by_schema.setdefault(table.schema, []).append(table)
    for schema, of_schema in by_schema.items():
        try:
            there = resolve_schema(tool.for_schema(schema), copy)
        except DestinationError as exc:
            if len(by_schema) == 1:
                raise
            lacking = [table.label for table in of_schema if _has_rows(source, table)]
            problems += [f"{label}: {exc}" for label in lacking]
            continue
        landed = copy.tables(there.schema_name)
        expected = [
            t for t in of_schema if there.find_table(t.name, landed) or _has_rows(source, t)
        ]
        mapping = map_tables(there, expected, landed)
        pairs += mapping.pairs
        problems += mapping.problems
    return TableMapping(tuple(pairs), tuple(problems))


def _has_rows(source: TableReader, table: SourceTable) -> bool:
    ((has_rows,),) = source.query(_SQL["has_rows"].format(table=table.quoted))
    return bool(has_rows)


def _comparison(
    tool: Tool,
    source: TableReader,
    copy: TableReader,
    options: VerifyOptions,
    pool: Executor,
    pair: TablePair,
) -> TableComparison:
    context = TableContext(
        last_key=_last_key(source, pair),
        gone=options.deletes.gone if pair.table == HARD_CASES else frozenset(),
        since=options.since,
        deleted=options.deletes.keys,
        horizon=options.horizon,
        lossy=tool.convention.lossy,
        masked=options.masked,
    )
    comparison: TableComparison
    if pair.has_integer_key:
        ranges = SqlSide(source, pair, of_copy=False), SqlSide(copy, pair, of_copy=True)
        comparison = Comparison(pair, ranges, context, pool, options.lag)
    else:
        buckets = SqlBuckets(source, pair, of_copy=False), SqlBuckets(copy, pair, of_copy=True)
        comparison = BucketComparison(
            pair, buckets, context, pool, options.lag, settled=options.settled
        )
    comparison.progress.on_change = partial(options.on_progress, pair.table)
    return comparison


def _last_key(source: TableReader, pair: TablePair) -> int | None:
    """Return the last key of the table's sequence; None if it has no sequence."""
    if not pair.has_integer_key:
        return None
    names = {"table": literal(pair.source_name), "key": literal(pair.columns[0].source.name)}
    rows = list(source.query(_SQL["last_key"].format(**names)))
    return int(rows[0][0]) if rows and rows[0][0] is not None else None
