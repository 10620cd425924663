"""Tells a database again without naming it, so that an import's model never loads its source."""

from contextlib import suppress
from hashlib import sha256
from typing import Final

from psycopg import errors

from loadgen.source.postgres import Connection
from loadgen.sql import statements

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
