"""Removes everything of ours from a database that stays: grants, slots, publication and tables."""

from collections.abc import Callable, Iterable
from typing import Final

from psycopg import sql
from psycopg.rows import dict_row, scalar_row

from loadgen.errors import SourceError
from loadgen.source.grant import list_grants, revoke_grant
from loadgen.source.limits import first_write
from loadgen.source.model_schema import OWN_TABLES, identifiers, qualified
from loadgen.source.postgres import Connection, plain_errors
from loadgen.source.schema import PUBLICATION, require_playground
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "clean.sql")


def clean(
    conn: Connection, slots: Iterable[str], show: Callable[[str], None], *, tables: bool = False
) -> None:
    """Remove all of ours; with `tables`, those of the workload too. `show` gets each statement.

    `slots` are those of the tools in TOOLS_FILE; what `db grant` made is known without it. Raises
    SourceError, with nothing changed, if the database is no playground, or a load, a watch, a
    seeding or the reader of a slot still works with it.
    """
    doing = "cleaning the database"

    def run(statement: sql.Composed) -> None:
        show(statement.as_string(conn))
        conn.execute(statement)

    with plain_errors(doing):
        workload = require_playground(conn)
        _require_idle(conn)
        grants = [grant for grant in list_grants(conn) if grant.database == conn.info.dbname]
        ours = {*slots, *(grant.slot for grant in grants if grant.slot)}
        with conn.cursor(row_factory=dict_row) as cursor:
            present = cursor.execute(_SQL["slots"], {"slots": list(ours)}).fetchall()
        if read := [row for row in present if row["active_pid"] is not None]:
            raise SourceError(
                f"slot {read[0]['slot']} is being read by process {read[0]['active_pid']}: stop "
                "that tool first; nothing was changed"
            )
        for grant in grants:
            revoke_grant(conn, grant.tool, show)
        for row in present:
            if row["slot"] not in {grant.slot for grant in grants}:
                run(sql.SQL("SELECT pg_drop_replication_slot({})").format(sql.Literal(row["slot"])))
        with first_write(conn, doing), conn.transaction():
            publication = sql.Identifier(PUBLICATION)
            run(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(publication))
            if tables:
                # Types and functions of its schema.sql stay: nothing tells them from others'.
                run(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(identifiers(workload.tables)))
                _drop_schemas(conn, workload.tables, run)
            run(sql.SQL("DROP TABLE IF EXISTS {}").format(identifiers(OWN_TABLES)))
            function = sql.Identifier("public", "loadgen_touch_hard_case")
            run(sql.SQL("DROP FUNCTION IF EXISTS {}()").format(function))


def _require_idle(conn: Connection) -> None:
    with conn.transaction(), conn.cursor(row_factory=scalar_row) as cursor:
        if cursor.execute(_SQL["running"]).fetchone():
            raise SourceError(
                f"a load, a watch or a seeding works with database {conn.info.dbname!r}: stop it "
                "first; nothing was changed"
            )


def _drop_schemas(
    conn: Connection, tables: Iterable[str], run: Callable[[sql.Composed], None]
) -> None:
    schemas = list({schema for schema, _ in map(qualified, tables)})
    with conn.cursor(row_factory=scalar_row) as cursor:
        for schema in cursor.execute(_SQL["schemas"], {"schemas": schemas}).fetchall():
            run(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
