"""Statements that write, from pg_stat_statements if it is installed and may be read."""

from typing import Final

import psycopg
from psycopg import errors, sql
from psycopg.rows import dict_row

from loadgen.source.importing.counters import current_role
from loadgen.source.postgres import Connection
from loadgen.sql import statements
from loadgen.workload.importing.facts import Missing, StatementFacts

_SQL: Final = statements("loadgen.source.importing", "statistics.sql")
_FIRST_WORDS: Final = ("INSERT", "UPDATE", "DELETE", "MERGE", "WITH")
_WHAT: Final = "the mix of statements"


def read_statements(
    conn: Connection,
) -> tuple[tuple[StatementFacts, ...], bool, tuple[Missing, ...]]:
    """Return the statements, the most frequent first; whether they can be read; what is missing."""
    role = current_role(conn)
    schema = conn.execute(_SQL["statements_schema"]).fetchone()
    if schema is None:
        remedy = (
            "add pg_stat_statements to shared_preload_libraries, restart the server, and "
            "CREATE EXTENSION pg_stat_statements;"
        )
        return (), False, (Missing(f"{_WHAT}: pg_stat_statements is not installed", remedy),)
    query = sql.SQL(_SQL["statements"]).format(sql.Identifier(schema[0]))
    try:
        with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query).fetchall()
    except errors.InsufficientPrivilege:
        remedy = (
            f"GRANT USAGE ON SCHEMA {sql.Identifier(schema[0]).as_string(conn)} TO {role}; "
            f"GRANT pg_read_all_stats TO {role};"
        )
        return (), False, (Missing(_WHAT, remedy),)
    except errors.ObjectNotInPrerequisiteState:
        remedy = "add pg_stat_statements to shared_preload_libraries and restart the server"
        return (), False, (Missing(f"{_WHAT}: pg_stat_statements is not loaded", remedy),)
    except errors.UndefinedColumn:
        remedy = "ALTER EXTENSION pg_stat_statements UPDATE;"
        return (), False, (Missing(f"{_WHAT}: pg_stat_statements is outdated", remedy),)
    except psycopg.errors.QueryCanceled:
        return (), False, (Missing(f"{_WHAT}: the server is too slow", "run the import again"),)
    hidden = [row for row in rows if row["sql"] is None]
    missing = (
        (Missing("statements of other users", f"GRANT pg_read_all_stats TO {role};"),)
        if hidden
        else ()
    )
    return (
        tuple(
            StatementFacts(row["sql"], row["calls"], row["rows"])
            for row in rows
            if row["sql"] is not None and _first_word(row["sql"]) in _FIRST_WORDS
        ),
        True,
        missing,
    )


def _first_word(text: str) -> str:
    """Return the first word of a statement in upper case, behind comments and brackets."""
    rest = text.lstrip(" \t\r\n(")
    while rest.startswith(("--", "/*")):
        end = "\n" if rest.startswith("--") else "*/"
        rest = rest.partition(end)[2].lstrip(" \t\r\n(")
    return rest[:6].upper().split("(")[0].split()[0] if rest.strip() else ""
