"""Indexes, foreign keys, unique constraints and triggers that a large COPY goes without.

Those that a model's schema made are recorded in the playground's table, so that an interrupted
baseline can rebuild them, and so that a missing one is noticed.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, Literal

from psycopg import sql
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from loadgen.source.model_schema import OWN_TABLES
from loadgen.source.postgres import Connection, plain_errors
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "bulk_indexes.sql")


@dataclass(frozen=True, slots=True)
class BulkObject:
    """An index, constraint or trigger, with the statement that makes or enables it."""

    kind: Literal["index", "unique", "foreign key", "trigger"]
    schema: str
    relation: str
    name: str
    definition: str

    @property
    def drop(self) -> sql.Composed:
        """The statement that drops it, or disables a trigger."""
        table, name = sql.Identifier(self.schema, self.relation), sql.Identifier(self.name)
        if self.kind == "index":
            return sql.SQL("DROP INDEX {}").format(sql.Identifier(self.schema, self.name))
        if self.kind == "trigger":
            return sql.SQL("ALTER TABLE ONLY {} DISABLE TRIGGER {}").format(table, name)
        return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, name)


def present_objects(conn: Connection) -> tuple[BulkObject, ...]:
    """Return those that the database has, in the order in which they can be made."""
    with conn.cursor(row_factory=class_row(BulkObject)) as cursor:
        return tuple(cursor.execute(_SQL["present"], {"ours": list(OWN_TABLES)}).fetchall())


def recorded_objects(conn: Connection) -> tuple[BulkObject, ...]:
    """Return those that the model's schema made, in the same order."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        recorded = cursor.execute(_SQL["recorded"]).fetchone() or []
    return tuple(BulkObject(**bulk_object) for bulk_object in recorded)


def missing_objects(conn: Connection) -> tuple[BulkObject, ...]:
    """Return those of the schema's that are dropped or disabled, in the same order."""
    present = set(map(_place, present_objects(conn)))
    return tuple(
        bulk_object for bulk_object in recorded_objects(conn) if _place(bulk_object) not in present
    )


def damaged_objects(conn: Connection) -> tuple[BulkObject, ...]:
    """Return those of the schema's that are missing, or not as they were, such as not valid."""
    present = set(present_objects(conn))
    return tuple(
        bulk_object for bulk_object in recorded_objects(conn) if bulk_object not in present
    )


def record_objects(conn: Connection) -> None:
    """Record what the schema has made."""
    objects = [asdict(bulk_object) for bulk_object in present_objects(conn)]
    conn.execute(_SQL["record"], {"indexes": Jsonb(objects)})


def drop_objects(conn: Connection, objects: Iterable[BulkObject]) -> None:
    """Drop them in one transaction, foreign keys before the keys that they refer to."""
    with plain_errors("dropping the indexes"), conn.transaction():
        for bulk_object in reversed(tuple(objects)):
            conn.execute(bulk_object.drop)


def make_objects(conn: Connection, objects: Iterable[BulkObject]) -> None:
    """Make them in their order, each in a separate transaction unless there is one already."""
    with plain_errors("building the indexes"):
        for bulk_object in objects:
            conn.execute(bulk_object.definition.encode())


def drop_bulk_indexes(conn: Connection) -> None:
    """Drop all that the schema made; later additions stay, and so do primary keys."""
    present = set(map(_place, present_objects(conn)))
    drop_objects(
        conn,
        [bulk_object for bulk_object in recorded_objects(conn) if _place(bulk_object) in present],
    )


def build_indexes(conn: Connection) -> None:
    """Make all that is missing of what the schema made."""
    make_objects(conn, missing_objects(conn))


def _place(bulk_object: BulkObject) -> tuple[str, str, str, str]:
    return bulk_object.kind, bulk_object.schema, bulk_object.relation, bulk_object.name
