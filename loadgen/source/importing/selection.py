"""Which tables are imported: all of a database, or those of some schemas, or some by name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from psycopg.rows import class_row

from loadgen.errors import SourceError, suggest
from loadgen.source.model_schema import OWN_TABLES, name_of
from loadgen.source.postgres import Connection
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source.importing", "catalogue.sql")
_LEFT_OUT: Final = {
    "unlogged": "unlogged table {}, which has no changes to copy",
    "dotted": "table {}, since a model can't have a dot in a name",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a partition; `root` is the partitioned table above it, or itself."""

    oid: int
    schema: str
    relation: str
    kind: str  # p of a partitioned one, else r
    obstacle: Literal["", "ours", "foreign", "unlogged", "dotted"]  # why it can't be imported
    is_partition: bool
    root: int
    is_readable: bool  # by SELECT
    hides_rows: bool  # by row-level security, and its statistics with them
    has_replica_identity: bool
    has_triggers: bool
    has_exclusion: bool  # an exclusion constraint, or a key WITHOUT OVERLAPS

    @property
    def name(self) -> str:
        """Its name in a model."""
        return name_of(self.schema, self.relation)


@dataclass(frozen=True)
class Selection:
    """The imported tables and, by the root's oid, all relations that they consist of.

    It `is_all` if no table of the database is left out.
    """

    tables: tuple[Relation, ...]
    parts: Mapping[int, tuple[Relation, ...]]
    left_out: tuple[str, ...]  # a line for each table that is no use to import
    is_all: bool

    @cached_property
    def oids(self) -> list[int]:
        """The oids of all tables and partitions."""
        return [part.oid for parts in self.parts.values() for part in parts]

    @cached_property
    def leaves(self) -> dict[int, list[int]]:
        """The oids of tables with rows: a table itself, or its partitions that have none."""
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
    possible = {relation.oid: relation for relation in relations if not relation.obstacle}
    _require_known(conn, list(possible.values()), schemas, tables)
    selected = {
        oid
        for oid, table in possible.items()
        if not table.is_partition
        and (table.schema in schemas or table.name in tables or not (schemas or tables))
    }
    parents = conn.execute(_SQL["parents"]).fetchall()
    while further := {p for child, p in parents if child in selected} & possible.keys() - selected:
        selected |= further
    parts = {oid: [possible[oid]] for oid in possible if oid in selected}
    for relation in possible.values():
        if relation.is_partition and relation.root in selected:
            parts[relation.root].append(relation)
    return Selection(
        tuple(possible[oid] for oid in parts),
        {oid: tuple(relations) for oid, relations in parts.items()},
        tuple(
            _LEFT_OUT[relation.obstacle].format(relation.name)
            for relation in relations
            if relation.obstacle in _LEFT_OUT
            and (relation.root in selected or not (schemas or tables) or relation.schema in schemas)
        ),
        is_all=sum(map(len, parts.values())) == len(relations),
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
            raise SourceError(
                f"{where} has no {kind} {name} to import: {suggest(name, sorted(present))}"
            )
