"""Keeps a load away from the database that its workload was imported from."""

from loadgen.errors import SourceError
from loadgen.source.importing.digests import database_digests
from loadgen.source.postgres import Connection, is_embedded, plain_errors
from loadgen.workload.model import WorkloadModel


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
