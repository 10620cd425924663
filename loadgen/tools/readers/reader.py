"""What verification needs of a database, source or destination, whichever engine it is."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from loadgen.errors import DestinationError
from loadgen.tools.columns import Column, Engine

Tables = Mapping[str, tuple[Column, ...]]


class BusyError(DestinationError):
    """Another process writes to the database, and did not end in time."""


class TableReader(Protocol):
    """One database. Several threads may ask at once; only one may close it, when none asks."""

    @property
    def engine(self) -> Engine:
        """Whose SQL it speaks."""

    @property
    def where(self) -> str:
        """The place as messages name it, without a secret."""

    @property
    def database(self) -> str | None:
        """The database that names of tables begin with, if any. Raises DestinationError."""

    @property
    def clock(self) -> Callable[[], datetime] | None:
        """Tells its time, or raises DestinationError; None where it has no clock of its own."""

    def reading(self) -> AbstractContextManager[None]:
        """Keep it open between the questions within, once one was asked, where opening costs."""

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""

    def ask(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""

    def close(self) -> None:
        """Let go of what it holds."""


def tables_of(rows: Iterator[tuple[Any, ...]]) -> Tables:
    """Return tables from rows of table, column, type and, where known, whether it is nullable."""
    found: dict[str, tuple[Column, ...]] = {}
    for table, *column in rows:
        found[table] = (*found.get(table, ()), Column(*column))
    return found
