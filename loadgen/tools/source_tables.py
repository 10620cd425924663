"""The published tables of the source: their schema, key and columns, by its catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loadgen.errors import SourceError
from loadgen.sql import statements
from loadgen.tools.columns import CatalogColumn, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA
from loadgen.tools.readers.reader import TableReader

_SQL: Final = statements("loadgen.tools", "postgres.sql")


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A published table; a partitioned one is known by its root.

    `key` are the columns of its primary key in order, else of its replica identity; without either
    there are none. A copy may lack `unpublished` columns, such as generated ones.
    """

    schema: str
    name: str
    columns: tuple[CatalogColumn, ...]
    key: tuple[str, ...] = ()
    unpublished: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The name in findings: with its schema, unless that is `public`."""
        return self.name if self.schema == SOURCE_SCHEMA else f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """The qualified name for SQL."""
        return quoted(self.schema, self.name)


SourceTables = Mapping[str, SourceTable]  # by label


def published_tables(source: TableReader) -> SourceTables:
    """Return the tables of the publication `loadgen`. Raises SourceError."""
    rows = list(source.query(_SQL["published"]))
    if not rows:
        raise SourceError(
            f"the source at {source.where} has no publication `loadgen`: run `loadgen seed` there, "
            "or verify against the playground's database"
        )
    columns = {schema: source.tables(schema) for schema in {str(row[0]) for row in rows}}
    tables = (
        SourceTable(schema, name, columns[schema][name], tuple(key), frozenset(unpublished))
        for schema, name, key, unpublished in rows
    )
    return {table.label: table for table in tables}
