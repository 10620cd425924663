"""Folds the changes of a batch by key, in the order of their commits, into rows to be staged.

A chunk is as much as fits in memory. A larger batch, such as one transaction of a million rows, is
several chunks, which the destination merges one after the other in one transaction.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from loadgen.errors import SourceError
from loadgen.tools.runners.simplyload.pgoutput import (
    UNCHANGED,
    Delete,
    Insert,
    Relation,
    Row,
    Update,
)

DELETED: Final = "_simplyload_deleted"
LOADED_AT: Final = "_simplyload_loaded_at"
# Of a table without a key: a digest of the row, and the number of this one among equal rows.
ROW: Final = "_simplyload_row"
COPY_NUMBER: Final = "_simplyload_copy"
# In staging only: which columns are to be taken from the copy ("0" or "1" for each), from the row
# with this key; and how many copies of a row without a key to add.
UNCHANGED_COLUMNS: Final = "_simplyload_unchanged"
ORIGIN: Final = "_simplyload_origin_"
COPIES: Final = "_simplyload_copies"

Key = tuple[object, ...]
Text = str | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A table as the pipe reads it: its published columns, and the positions of its key.

    `signatures` change whenever a column's type does.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    signatures: tuple[str, ...]
    key: tuple[int, ...]

    @classmethod
    def of(cls, relation: Relation, primary_key: tuple[str, ...]) -> "Layout":
        """Return the layout of a relation: its identity is its key; if that is FULL, it may differ.

        A table without both has no key. Postgres refuses its updates and deletes if it has no
        identity either.
        """
        names = tuple(column.name for column in relation.columns)
        key = tuple(place for place, column in enumerate(relation.columns) if column.in_identity)
        if relation.identity in {"f", "n"}:
            key = tuple(names.index(name) for name in primary_key if name in names)
            if len(key) < len(primary_key):
                key = ()
        signatures = tuple(f"{c.type_oid}/{c.type_modifier}" for c in relation.columns)
        return cls(relation.schema, relation.name, names, signatures, key)

    @property
    def label(self) -> str:
        """The table's name with its schema."""
        return f"{self.schema}.{self.name}"

    @property
    def control_columns(self) -> tuple[str, ...]:
        """The columns of a staged change beside the table's own."""
        if not self.key:
            return (ROW, COPIES)
        origins = (f"{ORIGIN}{place}" for place in range(len(self.key)))
        return (DELETED, UNCHANGED_COLUMNS, *origins)


@dataclass(frozen=True, slots=True)
class RowChange:
    """What becomes of the row with a key; UNCHANGED values are those of the copy's row `origin`."""

    row: Row
    origin: Key
    is_deleted: bool = False


@dataclass(slots=True)
class TableChanges:
    """The net effect of a series of changes on one table.

    `is_truncated` is whether it was emptied before them.
    """

    layout: Layout
    is_truncated: bool = False
    _by_key: dict[Key, RowChange] = field(default_factory=dict)
    _copies: Counter[Row] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._by_key) + len(self._copies)

    def add(self, change: Insert | Update | Delete) -> None:
        """Apply one change. Raises SourceError if the table has neither key nor identity FULL."""
        if not self.layout.key:
            self._count(change)
        elif isinstance(change, Insert):
            key = self._key(change.row)
            self._by_key[key] = RowChange(change.row, key)
        elif isinstance(change, Delete):
            self._delete(self._key(change.old))
        else:
            self._update(change)

    def truncate(self) -> None:
        """Apply a TRUNCATE: of what came before in this series nothing remains."""
        self.is_truncated = True
        self._by_key.clear()
        self._copies.clear()

    def staged_rows(self) -> Iterator[tuple[Text, ...]]:
        """Yield the rows to be staged: the table's columns, then the control columns."""
        for key, change in self._by_key.items():
            flags = "".join("01"[value is UNCHANGED] for value in change.row)
            row = (None if value is UNCHANGED else value for value in change.row)
            control = ("t" if change.is_deleted else "f", flags, *map(str, change.origin))
            yield (*self._with_key(tuple(row), key), *control)
        for full_row, copies in self._copies.items():
            texts = tuple(None if value is UNCHANGED else value for value in full_row)
            digest = row_digest(self.layout.columns, texts)
            if copies < 0:
                yield (*texts, digest, str(copies))
            for _ in range(copies):
                yield (*texts, digest, "1")

    def _update(self, change: Update) -> None:
        old_key = self._key(change.row if change.old is None else change.old)
        # A key that is stored out of line is sent as the old one only.
        key = tuple(
            old if new is UNCHANGED else new
            for new, old in zip(self._key(change.row), old_key, strict=True)
        )
        before = self._by_key.get(old_key)
        # With the identity FULL the old row has the values; else an earlier change may have them.
        known = before.row if before is not None else change.old if self._is_full(change) else None
        row = change.row
        if known is not None and UNCHANGED in row:
            pairs = zip(row, known, strict=True)
            row = tuple(old if value is UNCHANGED else value for value, old in pairs)
        if old_key != key:
            self._delete(old_key)
        self._by_key[key] = RowChange(row, old_key if before is None else before.origin)

    def _delete(self, key: Key) -> None:
        """Mark a row as deleted; it keeps its last values."""
        before = self._by_key.get(key)
        if before is None:
            unknown: Row = (UNCHANGED,) * len(self.layout.columns)
            before = RowChange(unknown, key)
        self._by_key[key] = RowChange(before.row, before.origin, is_deleted=True)

    def _count(self, change: Insert | Update | Delete) -> None:
        """Count equal rows of a table without a key, whose old rows are whole."""
        if isinstance(change, Insert):
            self._copies[change.row] += 1
            return
        if change.old is None:
            raise SourceError(
                f"table {self.layout.label} has no key, and its old rows are "
                "not in the WAL: run ALTER TABLE … REPLICA IDENTITY FULL on it"
            )
        self._copies[change.old] -= 1
        if isinstance(change, Update):
            pairs = zip(change.row, change.old, strict=True)
            row = tuple(old if value is UNCHANGED else value for value, old in pairs)
            self._copies[row] += 1

    def _is_full(self, change: Update) -> bool:
        """Return whether the old row is whole: a key alone has None everywhere else."""
        key = self.layout.key
        return change.old is not None and any(
            value is not None for place, value in enumerate(change.old) if place not in key
        )

    def _key(self, row: Row) -> Key:
        return tuple(row[place] for place in self.layout.key)

    def _with_key(self, row: tuple[Text, ...], key: Key) -> tuple[Text, ...]:
        """Return the row with its key, which a delete's row does not have."""
        places = dict(zip(self.layout.key, key, strict=True))
        return tuple(
            str(places[place]) if place in places else value for place, value in enumerate(row)
        )


def row_digest(columns: tuple[str, ...], row: tuple[Text, ...]) -> str:
    """Return a digest of a whole row, by which equal rows of a table without a key are known.

    A column that is added later is NULL in older rows, and changes nothing.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for part in (pair for pair in zip(columns, row, strict=True) if pair[1] is not None):
        for text in map(str, part):
            content = text.encode()
            digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()
