"""Tells the database of an import again without naming it, and keeps loads away."""

from contextlib import suppress
from hashlib import sha256
from typing import Final

from psycopg import errors

from loadgen.errors import SourceError
from loadgen.source.postgres import Connection, is_embedded, plain_errors
from loadgen.sql import statements
from loadgen.workload.model import WorkloadModel

_SQL: Final = statements("loadgen.source.importing", "session.sql")


def database_digests(conn: Connection) -> tuple[str, ...]:
    """Return SHA-256 of the database's address and, if it may be read, of its server's identity.

    Two connections lead to the same database if they share a digest. A physical copy of a server,
    such as a restored backup, has the identity of its origin.
    """
    info = conn.info
    identities = [f"{info.host.lower()}:{info.port}/{info.dbname}"]
    with suppress(errors.InsufficientPrivilege, errors.UndefinedFunction), conn.transaction():
        row = conn.execute(_SQL["system_identifier"]).fetchone()
        if row:
            identities.append(f"system {row[0]}/{info.dbname}")
    return tuple(sha256(identity.encode()).hexdigest() for identity in identities)


def require_other_database(conn: Connection, model: WorkloadModel) -> None:
    """Raise SourceError if the model was imported from this database; writes and locks nothing."""
    if model.imported is None:
        return
    with plain_errors("comparing the database with the imported one"):
        digests = database_digests(conn)
    if not set(digests).isdisjoint(model.imported.digests):
        remedy = (
            "rename the workload's folder, which names its database"
            if is_embedded(conn)
            else "point DATABASE_URL at an empty database of another name, or unset it to use the "
            "embedded Postgres"
        )
        raise SourceError(
            f"workload {model.name} was imported from database {conn.info.dbname!r}, which no load "
            f"may touch; nothing was written: {remedy}"
        )
