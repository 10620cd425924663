"""Which tables are imported: all of a database, or those of some schemas, or some by name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from psycopg.rows import class_row

from loadgen.errors import SourceError, suggest
from loadgen.source.model_schema import OWN_TABLES, name_of
from loadgen.source.postgres import Connection
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source.importing", "catalogue.sql")


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a partition; `root` is the partitioned table above it, or itself."""

    oid: int
    schema: str
    relation: str
    kind: str  # p of a partitioned one, else r
    is_partition: bool
    root: int
    is_readable: bool  # by SELECT
    hides_rows: bool  # by row-level security, and its statistics with them
    has_replica_identity: bool
    has_triggers: bool

    @property
    def name(self) -> str:
        """Its name in a model."""
        return name_of(self.schema, self.relation)


@dataclass(frozen=True)
class Selection:
    """The imported tables and, by the root's oid, all relations that they consist of."""

    tables: tuple[Relation, ...]
    parts: Mapping[int, tuple[Relation, ...]]
    is_all: bool  # no table of the database was left out

    @cached_property
    def oids(self) -> list[int]:
        """The oids of all tables and partitions."""
        return [part.oid for parts in self.parts.values() for part in parts]

    @cached_property
    def leaves(self) -> dict[int, list[int]]:
        """The oids of what has rows: a table itself, or its partitions that have none."""
        return {
            oid: [part.oid for part in parts if part.kind == "r"]
            for oid, parts in self.parts.items()
        }

    @cached_property
    def roots(self) -> list[int]:
        """The oids of the tables, without partitions."""
        return [table.oid for table in self.tables]

    @cached_property
    def schemas(self) -> list[str]:
        """The schemas of all tables and partitions."""
        return sorted({part.schema for parts in self.parts.values() for part in parts})

    @cached_property
    def names(self) -> dict[int, str]:
        """The names of the tables in a model, by oid."""
        return {table.oid: table.name for table in self.tables}


def select_tables(
    conn: Connection, schemas: Sequence[str] = (), tables: Sequence[str] = ()
) -> Selection:
    """Return the tables of `schemas` and those named in `tables`; all if neither is given.

    What a selected table inherits from is selected too. Raises SourceError for an unknown name, or
    if there is no table.
    """
    with conn.cursor(row_factory=class_row(Relation)) as cursor:
        relations = cursor.execute(_SQL["relations"], {"ours": list(OWN_TABLES)}).fetchall()
    by_oid = {relation.oid: relation for relation in relations}
    roots = [relation for relation in relations if not relation.is_partition]
    _require_known(conn, relations, schemas, tables)
    selected = {
        root.oid
        for root in roots
        if root.schema in schemas or root.name in tables or not (schemas or tables)
    }
    parents = conn.execute(_SQL["parents"]).fetchall()
    while further := {p for child, p in parents if child in selected} & by_oid.keys() - selected:
        selected |= further
    parts: dict[int, list[Relation]] = {oid: [by_oid[oid]] for oid in selected}
    for relation in relations:
        if relation.is_partition and relation.root in selected:
            parts[relation.root].append(relation)
    return Selection(
        tuple(root for root in roots if root.oid in selected),
        {root.oid: tuple(parts[root.oid]) for root in roots if root.oid in selected},
        is_all=len(selected) == len(roots),
    )


def _require_known(
    conn: Connection,
    relations: Sequence[Relation],
    schemas: Iterable[str],
    tables: Iterable[str],
) -> None:
    where = f"database {conn.info.dbname!r}"
    if not relations:
        raise SourceError(
            f"{where} has no tables of its own: name the right database at the end of the URL"
        )
    by_name = {relation.name: relation for relation in relations}
    names = {relation.oid: relation.name for relation in relations}
    _require_all(where, "schema", schemas, {relation.schema for relation in relations})
    _require_all(where, "table", tables, by_name.keys())
    for name in tables:
        if by_name[name].is_partition:
            raise SourceError(f"{name} is a partition: name its table, {names[by_name[name].root]}")


def _require_all(where: str, kind: str, wanted: Iterable[str], present: Collection[str]) -> None:
    for name in wanted:
        if name not in present:
            raise SourceError(f"{where} has no {kind} {name}: {suggest(name, sorted(present))}")
