"""Which objects of a database its tables need, and which schema.sql leaves out."""

import re
from collections.abc import Iterable
from typing import Final

from psycopg.rows import dict_row, scalar_row

from loadgen.source.importing.selection import Selection
from loadgen.source.postgres import Connection
from loadgen.sql import statements

# A catalogue's oid, which is the same on every server, and the oid of an object in it.
Object = tuple[int, int]
PG_TYPE: Final = 1247
PG_PROC: Final = 1255
PG_CLASS: Final = 1259
PG_ATTRDEF: Final = 2604
PG_CONSTRAINT: Final = 2606
PG_NAMESPACE: Final = 2615
PG_EXTENSION: Final = 3079

_SQL: Final = statements("loadgen.source.importing", "schema.sql")
_WORD: Final = re.compile(r"\w+")


def needed_objects(conn: Connection, selection: Selection) -> frozenset[Object]:
    """Return the selected tables with all that they need, but nothing that an extension makes.

    Postgres does not know what a function's text needs: functions, sequences and types are taken if
    the text has their name.
    """
    objects = _closure(conn, conn.execute(_SQL["own_objects"], {"oids": selection.oids}).fetchall())
    members = frozenset(conn.execute(_SQL["members"]).fetchall())
    if any(class_ == PG_PROC for class_, _ in objects - members):
        objects = _with_used_names(conn, objects)
    return objects - members


def left_out(conn: Connection, selection: Selection, needed: frozenset[Object]) -> tuple[str, ...]:
    """Return a line for each object of the selected schemas that schema.sql lacks."""
    parameters = {"oids": selection.oids, "schemas": selection.schemas}
    members = frozenset(conn.execute(_SQL["members"]).fetchall())
    with conn.cursor(row_factory=dict_row) as cursor:
        candidates = cursor.execute(_SQL["candidates"], parameters).fetchall()
        attached = cursor.execute(_SQL["attached"], parameters).fetchall()
    lines = [
        row["description"]
        for row in candidates
        if (row["class"], row["oid"]) not in needed | members
    ]
    lines += [row["description"] for row in attached]
    with conn.cursor(row_factory=scalar_row) as cursor:
        lines += cursor.execute(_SQL["other_kinds"]).fetchall()
    return tuple(sorted(lines))


def without_ddl(conn: Connection, needed: frozenset[Object]) -> list[str]:
    """Return a line for each needed object whose DDL Postgres does not write, but pg_dump does."""
    written = (PG_TYPE, PG_PROC, PG_CLASS, PG_ATTRDEF, PG_CONSTRAINT, PG_NAMESPACE, PG_EXTENSION)
    with conn.cursor(row_factory=scalar_row) as cursor:
        aggregates = cursor.execute(_SQL["aggregates"], {"oids": oids_of(needed, PG_PROC)})
        others = [(PG_PROC, oid) for oid in aggregates.fetchall()]
        base_types = cursor.execute(_SQL["base_types"], {"oids": oids_of(needed, PG_TYPE)})
        others += [(PG_TYPE, oid) for oid in base_types.fetchall()]
        others += [each for each in needed if each[0] not in written]
        parameters = {
            "classes": [class_ for class_, _ in others],
            "oids": [oid for _, oid in others],
        }
        names = cursor.execute(_SQL["described"], parameters).fetchall()
    return [f"{name}, which the tables need and only pg_dump can copy" for name in sorted(names)]


def oids_of(objects: Iterable[Object], catalogue: int) -> list[int]:
    """Return the oids of those objects that are in a catalogue."""
    return [oid for class_, oid in objects if class_ == catalogue]


def _closure(conn: Connection, objects: Iterable[Object]) -> frozenset[Object]:
    pairs = list(objects)
    parameters = {"classes": [class_ for class_, _ in pairs], "oids": [oid for _, oid in pairs]}
    return frozenset(conn.execute(_SQL["needed_objects"], parameters).fetchall())


def _with_used_names(conn: Connection, objects: frozenset[Object]) -> frozenset[Object]:
    """Return the objects with those whose names are in the texts of functions among them."""
    with conn.cursor(row_factory=dict_row) as cursor:
        functions = cursor.execute(_SQL["bodies"]).fetchall()
        named = [*functions, *cursor.execute(_SQL["named_objects"]).fetchall()]
    words = {(f["class"], f["oid"]): set(_WORD.findall(f["body"])) for f in functions}
    while True:
        used = set[str]().union(*(words.get(each, ()) for each in objects))
        more = {(row["class"], row["oid"]) for row in named if row["name"] in used} - objects
        if not more:
            return objects
        objects = _closure(conn, objects | more)
