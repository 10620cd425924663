"""The interface by which verification reads the source and every kind of destination."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from loadgen.errors import DestinationError
from loadgen.tools.columns import CatalogColumn, Engine

Tables = Mapping[str, tuple[CatalogColumn, ...]]
ResultRow = tuple[Any, ...]


class BusyError(DestinationError):
    """Another process writes to the database, and did not finish in time."""


class TableReader(Protocol):
    """One database. Several threads may query it at once; close it when none does."""

    @property
    def engine(self) -> Engine:
        """The SQL dialect."""

    @property
    def where(self) -> str:
        """The address for messages, without secrets."""

    @property
    def database(self) -> str | None:
        """The database that qualifies the names of tables, if any. Raises DestinationError."""

    @property
    def clock(self) -> Callable[[], datetime] | None:
        """Returns the server's time, or raises DestinationError; None if it has no clock."""

    def reading(self) -> AbstractContextManager[None]:
        """Keep it open between queries, if opening is expensive; the first query opens it."""

    def schemas(self) -> list[str]:
        """Return the names of its schemas. Raises DestinationError."""

    def tables(self, schema: str) -> Tables:
        """Return the columns of each table of a schema. Raises DestinationError."""

    def query(self, statement: str) -> Iterator[ResultRow]:
        """Yield the rows of a statement, a block at a time. Raises DestinationError."""

    def close(self) -> None:
        """Disconnect."""


def tables_of(rows: Iterator[ResultRow]) -> Tables:
    """Return tables from rows of table, column, type and, if known, whether it is nullable."""
    tables: dict[str, tuple[CatalogColumn, ...]] = {}
    for table, *column in rows:
        tables[table] = (*tables.get(table, ()), CatalogColumn(*column))
    return tables
