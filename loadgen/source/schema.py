"""The source schema: checks that a database can and may hold a workload, and makes its tables.

A database that is not the playground's and not empty is never written to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from psycopg import sql
from psycopg.rows import class_row, dict_row, scalar_row
from psycopg.types.json import Jsonb

from loadgen.errors import SourceError
from loadgen.source.bulk_indexes import build_indexes, record_objects
from loadgen.source.limits import missing_standby
from loadgen.source.model_schema import (
    HARD_CASES,
    MARKERS,
    PLAYGROUND,
    create_tables,
    existing_tables,
    identifiers,
    name_of,
)
from loadgen.source.postgres import Connection, is_embedded, plain_errors
from loadgen.sql import statements
from loadgen.text import first_few
from loadgen.workload.model import WorkloadModel

SCHEMA_VERSION: Final = 2
PUBLICATION: Final = "loadgen"
SUPPORTED_VERSIONS: Final = range(14, 19)

_PACKAGE: Final = "loadgen.source"
# Enough of each table of ours to tell it from another application's of the same name.
_COLUMNS: Final = {
    PLAYGROUND: {"only_row", "schema_version", "seed", "progress", "run_id"},
    HARD_CASES: {"id", "case_name", "word", "wide", "version"},
    MARKERS: {"id", "run_id", "sequence", "sent_at", "horizon"},
}
_PUBLISHED: Final = (HARD_CASES, MARKERS)


@dataclass(frozen=True, slots=True)
class BaselineParameters:
    """The parameters that determine every byte of a baseline, beside the model."""

    seed: int
    end: datetime
    rows: Mapping[str, int]  # by table
    settings: Mapping[str, int | None]  # those that the model's generators name

    def dump(self) -> dict[str, Any]:
        """Return them as JSON has them."""
        return {
            "seed": self.seed,
            "end": self.end.isoformat(),
            "rows": dict(self.rows),
            "settings": dict(self.settings),
        }

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        """Return the parameters that `dump` made JSON of."""
        end = datetime.fromisoformat(stored["end"])
        return cls(stored["seed"], end, stored["rows"], stored["settings"])


@dataclass(frozen=True, slots=True)
class SeedState:
    """The parameters of the baseline, and the rows copied so far by table."""

    parameters: BaselineParameters
    copied: Mapping[str, int]
    complete: bool  # with indexes and statistics


@dataclass(frozen=True, slots=True)
class StoredWorkload:
    """The workload whose tables a database has: all that its schema made, listed or not."""

    workload: str
    digest: str
    tables: tuple[str, ...]


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


def require_ownership(conn: Connection, model: WorkloadModel | None = None) -> None:
    """Raise SourceError unless the database is the playground's or empty; writes nothing.

    If `model` is given, it must be the one whose tables the database has.
    """
    columns = _columns(conn)
    if PLAYGROUND in columns:
        _require_ours(conn, columns)
        if model is not None:
            for problem in workload_problems(conn, model):
                raise SourceError(problem)
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
            f"{first_few(relations)}); nothing was written: {remedy}"
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
    if PLAYGROUND not in _columns(conn):
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


def workload_problems(conn: Connection, model: WorkloadModel) -> Iterator[str]:
    """Yield that the database has the tables of another workload, or of other files of this one."""
    stored = stored_workload(conn)
    if stored is None or stored.digest == model.digest:
        return
    difference = (
        f"workload {model.name} as it was before its files were changed"
        if stored.workload == model.name
        else f"workload {stored.workload}, and this is {model.name}"
    )
    remedy = "`loadgen db reset`, which removes all workloads here, then `loadgen seed`"
    if not is_embedded(conn):
        remedy += " on the embedded server; at DATABASE_URL use an empty database"
    yield f"database {conn.info.dbname!r} holds {difference}; nothing was written: {remedy}"


def stored_workload(conn: Connection) -> StoredWorkload | None:
    """Return the workload whose tables the database has; None if it is no playground."""
    if not is_playground(conn):
        return None
    with conn.cursor(row_factory=class_row(StoredWorkload)) as cursor:
        return cursor.execute(statements(_PACKAGE, "playground.sql")["workload"]).fetchone()


def is_playground(conn: Connection) -> bool:
    """Return whether the database has the playground's tables, in this version."""
    columns = _columns(conn)
    return set(_COLUMNS) <= set(columns) and "workload" in columns[PLAYGROUND]


def require_playground(conn: Connection) -> StoredWorkload:
    """Return the database's workload. Raises SourceError if it is no playground of this version."""
    require_version(conn)
    stored = stored_workload(conn)
    if stored is None:
        remedy = "" if is_embedded(conn) else ", or correct DATABASE_URL"
        raise SourceError(
            f"there is no playground in database {conn.info.dbname!r}: make one with "
            f"`loadgen seed`{remedy}"
        )
    return stored


def published_tables(conn: Connection) -> tuple[str, ...]:
    """Return the tables that tools copy: the workload's and ours."""
    stored = stored_workload(conn)
    return (*(stored.tables if stored else ()), *_PUBLISHED)


def migrate(conn: Connection, model: WorkloadModel, *, indexes: bool = True) -> None:
    """Make our tables and those of the model; if they exist, no table is locked.

    One transaction under an advisory lock. `indexes=False` leaves missing indexes and foreign keys
    alone, for a baseline that goes on without them. Raises SourceError if the database is not ours
    or has another workload, or Postgres refuses.
    """
    with plain_errors("making the schema"), conn.transaction():
        conn.execute(statements(_PACKAGE, "playground.sql")["lock"])
        require_ownership(conn, model)
        if not is_playground(conn):
            for statement in statements(_PACKAGE, "schema.sql").values():
                conn.execute(statement)
        if stored_workload(conn) is None:
            create_tables(conn, model)
            parameters = {
                "version": SCHEMA_VERSION,
                "workload": model.name,
                "digest": model.digest,
                "tables": Jsonb(list(existing_tables(conn))),
            }
            conn.execute(statements(_PACKAGE, "playground.sql")["mark"], parameters)
            record_objects(conn)
        elif indexes:
            build_indexes(conn)
        _publish(conn)


def seed_state(conn: Connection) -> SeedState | None:
    """Return parameters and progress of the baseline; None if none was begun."""
    if not is_playground(conn):
        return None
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statements(_PACKAGE, "playground.sql")["seed_state"]).fetchone()
    if row is None:
        return None
    progress = row["progress"] or {}
    return SeedState(
        BaselineParameters.load(row["seed"]),
        progress.get("rows", {}),
        progress.get("complete") is True,
    )


def _publish(conn: Connection) -> None:
    """Make the publication, or add the missing tables to it."""
    with conn.cursor(row_factory=dict_row) as cursor:
        query = statements(_PACKAGE, "catalogue.sql")["published"]
        rows = cursor.execute(query, {"publication": PUBLICATION}).fetchall()
    if any(row["all_tables"] for row in rows):
        return
    present = {name_of(row["schema"], row["relation"]) for row in rows if row["relation"]}
    missing = [table for table in published_tables(conn) if table not in present]
    if not missing:
        return
    change = (
        "ALTER PUBLICATION {} ADD TABLE {}"
        if rows
        # Partitions are published as the table that they belong to.
        else "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)"
    )
    conn.execute(sql.SQL(change).format(sql.Identifier(PUBLICATION), identifiers(missing)))


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
