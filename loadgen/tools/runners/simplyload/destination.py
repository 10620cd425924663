"""Loads staged files: rows and position reach the destination in one transaction.

DDL comes before it, since Snowflake commits with each DDL; a killed attempt is repeated.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from loadgen.errors import DestinationError
from loadgen.tools.runners.simplyload.landing import WarehouseEngine
from loadgen.tools.runners.simplyload.merge import (
    Target,
    fill_columns,
    insert_rows,
    merge_changes,
    truncate_rows,
)


@dataclass(frozen=True, slots=True)
class Position:
    """What the copy holds: all transactions up to `lsn`, and each table's columns.

    `columns` has by table ("schema.name"), and by column of the source, its types on both sides.
    """

    lsn: int
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tables: tuple[str, ...] = ()  # of the copy, quoted

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps({"lsn": self.lsn, "columns": self.columns, "tables": self.tables})

    @classmethod
    def load(cls, text: str) -> "Position":
        """Return the position that `dump` wrote."""
        parsed: dict[str, Any] = json.loads(text)
        return cls(int(parsed["lsn"]), parsed["columns"], tuple(parsed["tables"]))


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of the bucket, and what is to be done with it; no rows if `path` is None.

    `rows` are a table's own (the first copy), `changes` folded by key, `columns` the values of
    added columns by key.
    """

    target: Target
    content: Literal["rows", "changes", "columns"]
    path: Path | None = None  # in the bucket's folder
    filled: tuple[int, ...] = ()  # of `columns`: their places
    truncates: bool = False  # before the rows


class Session(Protocol):
    """A connection to the destination while one batch is loaded."""

    engine: WarehouseEngine

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows. Raises DestinationError."""

    def position(self) -> Position | None:
        """Return the stored position; None before the first copy is complete."""

    def store(self, position: Position) -> None:
        """Store the position, in the transaction that is open."""

    def stage(self, file: StagedFile) -> str:
        """Return what a FROM clause names to read the file's rows; it is called before BEGIN."""


class Destination(Protocol):
    """A destination that is opened for a batch, and closed in between."""

    engine: WarehouseEngine

    def opened(self) -> AbstractContextManager[Session]:
        """Open a session for the block. Raises DestinationError."""

    def remove(self) -> None:
        """Remove the copy and the position."""


def prepare(
    session: Session, target: Target, known: Mapping[str, str] | None
) -> tuple[int, ...] | None:
    """Make the target's table, or its new columns; return the places of those to be filled.

    `known` are the table's columns in the position. None stands for a new table. Columns of another
    type are made anew. Raises DestinationError.
    """
    layout = target.layout
    if known is None:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {target.schema}")
        session.execute(target.create())
        return None
    signatures = target.signatures
    changed = [p for p, c in enumerate(layout.columns) if known.get(c) != signatures[c]]
    for place in changed:
        name = layout.columns[place]
        is_same = known.get(name, "").endswith(f" {target.landings[place].type}")
        if place in layout.key and not is_same:
            raise DestinationError(
                f"column {name} of {layout.label} is a new part of its key, or has another "
                "type: remove the tool and start it, to copy everything again"
            )
        if name in known and not is_same:
            session.execute(target.drop_column(place))
        session.execute(target.add_column(place))
    return tuple(place for place in changed if place not in layout.key)


def load(session: Session, files: Sequence[StagedFile], position: Position) -> None:
    """Load files in their order, and store the position with them. Raises DestinationError."""
    staged = [session.stage(file) if file.path is not None else "" for file in files]
    session.execute("BEGIN")
    for file, source in zip(files, staged, strict=True):
        for statement in _statements(file, source):
            session.execute(statement)
    session.store(position)


def _statements(file: StagedFile, source: str) -> list[str]:
    statements = truncate_rows(file.target) if file.truncates else []
    if not source:
        return statements
    if file.content == "rows":
        return statements + insert_rows(file.target, source)
    if file.content == "columns":
        return statements + fill_columns(file.target, source, file.filled)
    return statements + merge_changes(file.target, source)
