"""The published tables of the source: their schema, key and columns, by its catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from loadgen.errors import SourceError
from loadgen.sql import statements
from loadgen.text import first_few
from loadgen.tools.columns import CatalogColumn, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA
from loadgen.tools.readers.reader import TableReader
from loadgen.tools.tools_file import Tool

_SQL: Final = statements("loadgen.tools", "postgres.sql")


@dataclass(frozen=True, slots=True)
class SourceTable:
    """A published table; a partitioned one is known by its root.

    `key` are the columns of its primary key in order, else of its replica identity; without either
    there are none. A copy may lack `unpublished` columns, such as generated ones. Without a replica
    identity Postgres refuses updates and deletes.
    """

    schema: str
    name: str
    columns: tuple[CatalogColumn, ...]
    key: tuple[str, ...] = ()
    unpublished: frozenset[str] = frozenset()
    has_identity: bool = True

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
        SourceTable(
            schema, name, columns[schema][name], tuple(key), frozenset(unpublished), has_identity
        )
        for schema, name, key, unpublished, has_identity in rows
    )
    return {table.label: table for table in tables}


def identity_problem(tables: Iterable[SourceTable]) -> str | None:
    """Return a line on tables without a replica identity; None if all have one."""
    labels = [table.label for table in tables if not table.has_identity]
    if not labels:
        return None
    return (
        f"without a replica identity, so that Postgres refuses their updates and deletes: "
        f"{first_few(labels)}. If the load has any, run ALTER TABLE … REPLICA IDENTITY FULL"
    )


def name_conflicts(tool: Tool, tables: Iterable[SourceTable]) -> dict[str, str]:
    """Return, by label, a line on each table whose copy would have the name of another one's."""
    places: dict[tuple[str, str], list[str]] = {}
    for table in tables:
        there = tool.for_schema(table.schema)
        name = tool.convention.table_name(table.name, folds_to=tool.folds_to)
        place = (there.schema_name, name)
        if tool.engine == "duckdb":
            place = (place[0].lower(), place[1].lower())
        places.setdefault(place, []).append(table.label)
    return {
        label: f"{' and '.join(labels)} have one name at the copy, {schema}.{name}: take all but "
        "one out of the publication `loadgen`, or rename them"
        for (schema, name), labels in places.items()
        for label in labels
        if len(labels) > 1
    }
