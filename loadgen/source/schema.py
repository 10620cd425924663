"""The source schema: checks that a database can and may hold it, and creates it.

A database that is not the playground's and not empty is never written to. Indexes and foreign keys
can be dropped for a large COPY and rebuilt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql
from psycopg.rows import dict_row, scalar_row

from loadgen.errors import SourceError
from loadgen.source.limits import missing_standby
from loadgen.source.postgres import Connection, is_embedded, plain_errors
from loadgen.sql import statements

SCHEMA_VERSION: Final = 2
PUBLICATION: Final = "loadgen"
TABLES: Final = ("users", "orders", "events")
HARD_CASES: Final = "hard_cases"  # filled by a load with --hard-cases alone
MARKERS: Final = "loadgen_markers"  # filled by the watch
PUBLISHED: Final = (*TABLES, HARD_CASES, MARKERS)
SUPPORTED_VERSIONS: Final = range(14, 19)

_PACKAGE: Final = "loadgen.source"
_PLAYGROUND: Final = "loadgen_playground"
_TRIGGERS: Final = ("users_touch", "orders_touch", "events_touch", "hard_cases_touch")
# Enough of each table to tell ours from another application's of the same name.
_COLUMNS: Final = {
    "users": {"id", "email", "plan", "deleted_at", "version"},
    "orders": {"id", "order_number", "user_id", "status", "version"},
    "events": {"id", "event_id", "user_id", "event_type", "properties"},
    MARKERS: {"id", "run_id", "sequence", "sent_at", "horizon"},
    _PLAYGROUND: {"only_row", "schema_version", "seed", "progress", "run_id"},
}
_NAMED_AT_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class SeedState:
    """The parameters of the baseline, and the rows copied so far by table."""

    parameters: Mapping[str, Any]
    progress: Mapping[str, Any]


def check_source(conn: Connection) -> None:
    """Raise SourceError, with a remedy, if this server or role can't hold the playground."""
    for problem in (*source_problems(conn), *encoding_problems(_fitness(conn)["encoding"])):
        raise SourceError(problem)


def encoding_problems(encoding: str) -> Iterator[str]:
    """Yield why a database of that encoding can't hold the baseline, with a remedy."""
    if encoding != "UTF8":
        yield (
            f"the database is encoded in {encoding}, which can't hold every text of ours, and "
            "which tools such as Fivetran refuse: make one that is UTF8, with CREATE DATABASE "
            "playground ENCODING 'UTF8' TEMPLATE template0, and seed that"
        )


def source_problems(conn: Connection) -> Iterator[str]:
    """Yield why this server or role can't hold the playground, each with a remedy."""
    facts = _fitness(conn)
    where = f"database {facts['database']!r}"
    if facts["version"] // 10000 not in SUPPORTED_VERSIONS:
        yield (
            f"Postgres is version {facts['version_text']}; the playground works with "
            f"{SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}: point DATABASE_URL at one"
        )
    if facts["in_recovery"]:
        yield f"{where} is a standby in recovery: point DATABASE_URL at the primary"
    elif facts["read_only"]:
        yield (
            f"{where} is read-only for {facts['role']!r}: set default_transaction_read_only = off "
            "for the database, the role or the server, or choose another database"
        )
    if facts["wal_level"] != "logical":
        yield (
            f"wal_level is {facts['wal_level']!r}, logical replication needs 'logical': run "
            "ALTER SYSTEM SET wal_level = logical and restart Postgres (RDS: set "
            "rds.logical_replication = 1 in the parameter group and reboot)"
        )
    yield from _lacking_rights(facts, where)
    if problem := missing_standby(conn):
        yield problem
    if problem := _version_problem(conn):
        yield problem


def _lacking_rights(facts: Mapping[str, Any], where: str) -> Iterator[str]:
    role = sql.Identifier(facts["role"]).as_string()
    if not facts["has_public"]:
        yield f"{where} has no schema public: run CREATE SCHEMA public there"
    elif not facts["creates_in_public"]:
        yield (
            f"{facts['role']!r} may not create tables in schema public of {where}: "
            f"run GRANT CREATE ON SCHEMA public TO {role} there as its owner"
        )
    if not facts["creates_in_database"]:
        name = sql.Identifier(facts["database"]).as_string()
        yield (
            f"{facts['role']!r} may not create a publication in {where}: "
            f"run GRANT CREATE ON DATABASE {name} TO {role} as its owner"
        )


def require_ownership(conn: Connection) -> None:
    """Raise SourceError unless the database is the playground's or empty; writes nothing."""
    columns = _columns(conn)
    if _PLAYGROUND in columns:
        _require_ours(conn, columns)
        return
    relations = _names(conn, "relations")
    if relations:
        remedy = (
            "drop them, or all with `loadgen db reset`"
            if is_embedded(conn)
            else "point DATABASE_URL at an empty one, made with CREATE DATABASE playground"
        )
        raise SourceError(
            f"database {conn.info.dbname!r} is not the playground's and not empty (it has "
            f"{_listed(relations)}); nothing was written: {remedy}"
        )


def _require_ours(conn: Connection, columns: Mapping[str, set[str]]) -> None:
    where = f"database {conn.info.dbname!r}"
    remedy = (
        "`loadgen db reset`" if is_embedded(conn) else "point DATABASE_URL at an empty database"
    )
    for table, present in columns.items():
        if not _COLUMNS[table] <= present:
            raise SourceError(
                f"{where} has a table public.{table} that is not the playground's (it lacks "
                f"{', '.join(sorted(_COLUMNS[table] - present))}); nothing was written: rename "
                f"that table, or {remedy}"
            )
    require_version(conn)


def require_version(conn: Connection) -> None:
    """Raise SourceError if another version of this program made the playground, if there is one."""
    if problem := _version_problem(conn):
        raise SourceError(problem)


def _version_problem(conn: Connection) -> str | None:
    if _PLAYGROUND not in _columns(conn):
        return None
    version = _scalar(conn, "playground.sql", "schema_version")
    if version is None or version == SCHEMA_VERSION:
        return None
    remedy = (
        "run `loadgen db reset`, then `loadgen seed`"
        if is_embedded(conn)
        else "point DATABASE_URL at an empty database and run `loadgen seed`"
    )
    return (
        f"database {conn.info.dbname!r} has the playground's schema in version {version}, this "
        f"program works with {SCHEMA_VERSION}: {remedy}, or use the program that made it"
    )


def is_playground(conn: Connection) -> bool:
    """Return whether the database has all tables of the playground."""
    return set(_COLUMNS) <= set(_columns(conn))


def require_playground(conn: Connection) -> None:
    """Raise SourceError unless the database has the playground's tables, in this version."""
    require_version(conn)
    if not is_playground(conn):
        remedy = "" if is_embedded(conn) else ", or correct DATABASE_URL"
        raise SourceError(
            f"there is no playground in database {conn.info.dbname!r}: make one with "
            f"`loadgen seed`{remedy}"
        )


def migrate(conn: Connection, *, indexes: bool = True) -> None:
    """Create the playground's schema; if the database has it already, no table is locked.

    One transaction under an advisory lock. `indexes=False` leaves indexes and foreign keys alone,
    for a baseline that will drop them anyway. Raises SourceError if the database is not ours, or
    Postgres refuses.
    """
    with plain_errors("making the schema"), conn.transaction():
        conn.execute(statements(_PACKAGE, "playground.sql")["lock"])
        require_ownership(conn)
        if not {*_COLUMNS, HARD_CASES, *_TRIGGERS} <= set(_names(conn, "named_objects")):
            for statement in statements(_PACKAGE, "schema.sql").values():
                conn.execute(statement)
        if indexes:
            build_indexes(conn)
        _publish(conn)


def build_indexes(conn: Connection) -> None:
    """Make the missing secondary indexes, then the missing foreign keys."""
    present = set(_names(conn, "named_objects"))
    with plain_errors("building the indexes"):
        for file in ("indexes.sql", "foreign_keys.sql"):
            for name, statement in statements(_PACKAGE, file).items():
                if name not in present:
                    conn.execute(statement)


def drop_bulk_indexes(conn: Connection) -> None:
    """Drop all that `build_indexes` makes, in one transaction; primary keys stay."""
    with plain_errors("dropping the indexes"), conn.transaction():
        for name in statements(_PACKAGE, "foreign_keys.sql"):
            table = sql.Identifier("public", name.partition("_")[0])
            drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}")
            conn.execute(drop.format(table, sql.Identifier(name)))
        for name in statements(_PACKAGE, "indexes.sql"):
            conn.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier("public", name)))


def seed_state(conn: Connection) -> SeedState | None:
    """Return parameters and progress of the baseline; None if none was begun."""
    if _PLAYGROUND not in _columns(conn):
        return None
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statements(_PACKAGE, "playground.sql")["seed_state"]).fetchone()
    return SeedState(row["seed"], row["progress"] or {}) if row else None


def _publish(conn: Connection) -> None:
    """Make the publication, or add the missing tables to it."""
    published = _names(conn, "published")
    missing = [sql.Identifier("public", table) for table in PUBLISHED if table not in published]
    if not missing:
        return
    change = (
        "ALTER PUBLICATION {} ADD TABLE {}" if published else "CREATE PUBLICATION {} FOR TABLE {}"
    )
    tables = sql.SQL(", ").join(missing)
    conn.execute(sql.SQL(change).format(sql.Identifier(PUBLICATION), tables))


def _fitness(conn: Connection) -> dict[str, Any]:
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statements(_PACKAGE, "catalogue.sql")["fitness"]).fetchone()
    return row or {}


def _columns(conn: Connection) -> dict[str, set[str]]:
    query = statements(_PACKAGE, "catalogue.sql")["columns"]
    return {table: set(names) for table, names in conn.execute(query, {"tables": list(_COLUMNS)})}


def _names(conn: Connection, statement: str) -> list[str]:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(statements(_PACKAGE, "catalogue.sql")[statement]).fetchall()


def _scalar(conn: Connection, file: str, statement: str) -> Any:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(statements(_PACKAGE, file)[statement]).fetchone()


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
