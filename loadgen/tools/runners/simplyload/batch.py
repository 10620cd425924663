"""Reads a batch from the slot's messages: whole transactions, folded into files."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadgen.tools.runners.simplyload.changes import Layout, TableChanges
from loadgen.tools.runners.simplyload.pgoutput import (
    Begin,
    Commit,
    Delete,
    Insert,
    Message,
    Other,
    Relation,
    Truncate,
    Update,
)
from loadgen.tools.source_tables import SourceTables

_CHUNK_CHANGES: Final = 5_000
_CHUNK_BYTES: Final = 4 << 20

Write = Callable[[str, Sequence[str], Sequence[Sequence[str | None]]], Path]


@dataclass(frozen=True, slots=True)
class Part:
    """The changes of one table in a chunk of the batch; no file if it was only truncated."""

    layout: Layout
    truncates: bool
    path: Path | None


@dataclass(slots=True)
class Batch:
    """Whole transactions: the LSN of the last one's commit and end, and the files in order.

    `changes` counts the changes by table, before they were folded. `is_limited` is whether the
    slot may have more.
    """

    lsn: int
    end_lsn: int = 0
    is_limited: bool = False
    parts: list[Part] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)


class BatchReader:
    """Folds the messages of a peek; transactions up to the LSN `loaded` are skipped."""

    def __init__(self, tables: SourceTables, write: Write, loaded: int) -> None:
        self._labels = {(t.schema, t.name): t for t in tables.values()}
        self._write = write
        self._loaded = loaded
        self._layouts: dict[int, Layout] = {}
        self._chunk: dict[int, TableChanges] = {}
        self._pending = 0  # changes in the chunk
        self._bytes = 0
        self._batch = Batch(loaded)

    def read(self, messages: Iterable[Message], limit: int) -> Batch:
        """Read all messages of a peek with this limit. Raises SourceError."""
        count, skips = 0, False
        batch = self._batch
        for message in messages:
            count += 1
            if isinstance(message, Begin):
                skips = message.lsn <= self._loaded
            elif isinstance(message, Commit):
                batch.lsn = max(batch.lsn, message.lsn)
                batch.end_lsn = message.end_lsn
            elif isinstance(message, Relation):
                self._see(message)
            elif not isinstance(message, Other) and not skips:
                self._change(message)
        self._flush()
        batch.is_limited = count >= limit
        return batch

    def _see(self, relation: Relation) -> None:
        """Note a relation: it comes before its first change, and after it was altered."""
        table = self._labels.get((relation.schema, relation.name))
        layout = Layout.of(relation, () if table is None else table.key)
        if relation.oid in self._chunk and self._layouts[relation.oid] != layout:
            self._flush()
        self._layouts[relation.oid] = layout

    def _change(self, message: Insert | Update | Delete | Truncate) -> None:
        if isinstance(message, Truncate):
            for oid in message.relations:
                self._table(oid).truncate()
                self._count(oid)
            return
        self._table(message.relation).add(message)
        self._count(message.relation)
        row = message.old if isinstance(message, Delete) else message.row
        self._bytes += sum(len(value) for value in row if isinstance(value, str))
        self._pending += 1
        if self._pending >= _CHUNK_CHANGES or self._bytes >= _CHUNK_BYTES:
            self._flush()

    def _table(self, oid: int) -> TableChanges:
        return self._chunk.setdefault(oid, TableChanges(self._layouts[oid]))

    def _count(self, oid: int) -> None:
        layout = self._layouts[oid]
        table = self._labels.get((layout.schema, layout.name))
        label = layout.label if table is None else table.label
        self._batch.changes[label] += 1

    def _flush(self) -> None:
        """Write the chunk as one file for each table."""
        for changes in self._chunk.values():
            layout = changes.layout
            path = None
            if rows := list(changes.staged_rows()):
                columns = (*layout.columns, *layout.control_columns)
                path = self._write(layout.label, columns, rows)
            self._batch.parts.append(Part(layout, changes.is_truncated, path))
        self._chunk.clear()
        self._pending = self._bytes = 0
