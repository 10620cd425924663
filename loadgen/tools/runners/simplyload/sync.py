"""The order of commits, on which the pipe's correctness rests.

1. A batch of whole transactions is read from the slot, which does not move, and written as Parquet.
2. Its rows and the LSN of its last commit reach the destination in one transaction.
3. Only then is the slot advanced. A kill in between makes the slot send the batch again; what is at
   or below the destination's LSN is skipped. The same holds if a crash of the source puts the slot
   back to an earlier position.

The first copy is read at the snapshot that the slot's creation exports. If it is killed, slot and
staged files are dropped, and it starts again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from loadgen.errors import SourceError
from loadgen.record.files import replace_file
from loadgen.tools.columns import CatalogColumn
from loadgen.tools.runners.simplyload.batch import Batch, BatchReader
from loadgen.tools.runners.simplyload.bucket import Bucket, blocks
from loadgen.tools.runners.simplyload.changes import COPIES, ROW, Layout, row_digest
from loadgen.tools.runners.simplyload.destination import (
    Destination,
    Position,
    Session,
    StagedFile,
    load,
    prepare,
)
from loadgen.tools.runners.simplyload.merge import Target
from loadgen.tools.runners.simplyload.slot import FIRST_COPY, POSITION, Source, lsn_text
from loadgen.tools.source_tables import SourceTable, SourceTables
from loadgen.tools.tools_file import Tool

# A peek ends after the transaction that reaches it; begin and commit count as changes too.
_BATCH_CHANGES: Final = 60_000


@dataclass(slots=True)
class Pipe:
    """One tool's way from slot to destination.

    `reached` is called with the name of each point at which a kill is interesting.
    """

    tool: Tool
    bucket: Bucket
    destination: Destination
    reached: Callable[[str], None]
    _position: Position | None = None  # of the last sync: reading it would wake a warehouse

    def sync(self, source_dsn: str) -> tuple[dict[str, int], bool]:
        """Make the first copy, or load one batch; return rows by table, and if more is waiting.

        Raises PlaygroundError; the next call continues correctly.
        """
        with Source.connected(source_dsn, self.tool.runner_slot) as source:
            position, self._position = self._position, None  # an error leaves it unknown
            if position is None:
                self.bucket.clear()
            # A file costs nothing to read; a warehouse would wake for it.
            if position is None or self.destination.engine == "duckdb":
                with self.destination.opened() as session:
                    position = session.position()
            tables = source.tables()
            if position is None:
                rows, more = self._first_copy(source, tables), False
            else:
                rows, more = self._batch(source, tables, position)
            self.bucket.clear()
            return rows, more

    def _first_copy(self, source: Source, tables: SourceTables) -> dict[str, int]:
        note = self.tool.folder / FIRST_COPY
        if note.exists():
            source.drop_slot()
        elif source.slot() is not None:
            raise SourceError(
                f"the source has a slot {self.tool.runner_slot} already, which another tool may "
                f"read: name another as `slot` in [tools.{self.tool.name}], or drop it with "
                f"`loadgen tools remove {self.tool.name}`"
            )
        note.touch()
        layouts = source.layouts(tables)
        files: list[StagedFile] = []
        rows: Counter[str] = Counter()
        with source.snapshot() as lsn:
            self.reached("snapshot")
            for label, layout in layouts.items():
                target = self._target(tables, layout)
                for file in self._copy_files(source, target):
                    files.append(file.staged)
                    rows[label] += file.rows
        self.reached("first copy written")
        targets = {label: self._target(tables, layout) for label, layout in layouts.items()}
        signatures = {t.layout.label: t.signatures for t in targets.values()}
        # A commit whose record begins at the slot's first position is not in the snapshot.
        position = Position(lsn - 1, signatures, tuple(t.table for t in targets.values()))
        with self.destination.opened() as session:
            for target in targets.values():
                prepare(session, target, None)
            self._commit(session, files, position)
        self._position = position
        self._note_position(lsn)
        note.unlink()
        return {label: rows[label] for label in layouts}

    def _batch(
        self, source: Source, tables: SourceTables, position: Position
    ) -> tuple[dict[str, int], bool]:
        (self.tool.folder / FIRST_COPY).unlink(missing_ok=True)
        self._require_slot(source)
        flushed = source.flushed()
        reader = BatchReader(tables, self.bucket.write, position.lsn)
        batch = reader.read(source.peek(_BATCH_CHANGES), _BATCH_CHANGES)
        self.reached("batch written")
        if batch.parts:
            with self.destination.opened() as session:
                files, position = self._prepared(source, tables, session, batch, position)
                self._commit(session, files, position)
        # Without a limit, everything that was committed before the peek has been read.
        confirmed = batch.end_lsn if batch.is_limited else max(batch.end_lsn, flushed)
        source.advance(confirmed)
        self.reached("after advance")
        self._note_position(confirmed)
        self._position = position
        return dict(batch.changes), batch.is_limited

    def _note_position(self, lsn: int) -> None:
        """Let `loadgen tools status` know without opening the copy."""
        replace_file(self.tool.folder / POSITION, lsn_text(lsn).encode(), synced=False)

    def _commit(self, session: Session, files: list[StagedFile], position: Position) -> None:
        load(session, files, position)
        self.reached("before commit")
        session.execute("COMMIT")
        self.reached("after commit")

    def _require_slot(self, source: Source) -> None:
        slot = source.slot()
        if slot is None or slot.is_lost:
            state = "has no slot" if slot is None else "has lost the WAL of slot"
            raise SourceError(
                f"the source {state} {self.tool.runner_slot}, so changes are lost: run "
                f"`loadgen tools remove {self.tool.name}`, then start it again"
            )

    def _prepared(
        self,
        source: Source,
        tables: SourceTables,
        session: Session,
        batch: Batch,
        position: Position,
    ) -> tuple[list[StagedFile], Position]:
        """Make new tables and columns; return the files to load, and the position after them.

        Rows of a new table and values of a new column are read as they are now. Later changes come
        through the slot, and are merged over them in their order.
        """
        columns, places = dict(position.columns), dict.fromkeys(position.tables)
        files: list[StagedFile] = []
        for part in batch.parts:
            if find_table(tables, part.layout) is None:
                continue  # it is not published any more
            target = self._target(tables, part.layout)
            name = part.layout.label
            if columns.get(name) != target.signatures:
                files += self._filled(source, tables, session, target, columns.get(name))
                columns[name] = target.signatures
                places[target.table] = None
            files.append(StagedFile(target, "changes", part.path, truncates=part.truncates))
        return files, Position(batch.lsn, columns, tuple(places))

    def _filled(
        self,
        source: Source,
        tables: SourceTables,
        session: Session,
        target: Target,
        known: Mapping[str, str] | None,
    ) -> Iterator[StagedFile]:
        """Make the table or its new columns, and yield the files that fill them.

        A column that has been dropped or renamed since can't be read; its values do not matter.
        """
        layout = target.layout
        if not layout.key:
            self._require_same_rows(source, layout, known)
        places = prepare(session, target, known)
        if places is None:
            yield from (file.staged for file in self._copy_files(source, target))
            return
        table = find_table(tables, layout)
        present = {column.name for column in table.columns} if table is not None else set()
        places = tuple(place for place in places if layout.columns[place] in present)
        if places and layout.key:
            names = tuple(layout.columns[place] for place in (*layout.key, *places))
            for rows in blocks(source.rows(layout, names)):
                path = self.bucket.write(layout.label, names, rows)
                yield StagedFile(target, "columns", path, filled=places)

    def _require_same_rows(
        self, source: Source, layout: Layout, known: Mapping[str, str] | None
    ) -> None:
        """Raise SourceError if rows of a table without a key can't be known again."""
        added = [] if known is None else [c for c in layout.columns if c not in known]
        is_same = known is not None and known.keys() <= set(layout.columns)
        if is_same and not any(source.has_default(layout, column) for column in added):
            return
        change = "was published after the first copy" if known is None else "has other columns now"
        raise SourceError(
            f"table {layout.label} has no key and {change}: run "
            f"`loadgen tools remove {self.tool.name}`, then start it, to copy everything again"
        )

    def _copy_files(self, source: Source, target: Target) -> Iterator["_CopiedFile"]:
        """Write all rows of a table as files."""
        layout = target.layout
        columns = layout.columns if layout.key else (*layout.columns, ROW, COPIES)
        for block in blocks(source.rows(layout, layout.columns)):
            rows = block
            if not layout.key:
                rows = [(*row, row_digest(layout.columns, row), "1") for row in block]
            path = self.bucket.write(layout.label, columns, rows)
            yield _CopiedFile(StagedFile(target, "rows", path), len(rows))

    def _target(self, tables: SourceTables, layout: Layout) -> Target:
        table = find_table(tables, layout)
        catalogue: tuple[CatalogColumn, ...] = () if table is None else table.columns
        return Target.of(self.tool, self.destination.engine, layout, catalogue)


def find_table(tables: SourceTables, layout: Layout) -> SourceTable | None:
    """Return the published table of a layout; None if it is not published any more."""
    names = (layout.schema, layout.name)
    return next((table for table in tables.values() if (table.schema, table.name) == names), None)


@dataclass(frozen=True, slots=True)
class _CopiedFile:
    staged: StagedFile
    rows: int
