"""Texts of statements: those of pg_stat_statements that write, and those of a script."""

import re
from collections.abc import Iterator
from typing import Final

from psycopg import errors, sql
from psycopg.rows import dict_row

from loadgen.source.importing.session import current_role, quoted
from loadgen.source.postgres import Connection
from loadgen.sql import statements
from loadgen.workload.importing.facts import Missing, StatementFacts

_SQL: Final = statements("loadgen.source.importing", "statistics.sql")
_WRITES: Final = re.compile(r"\(*(?:INSERT|UPDATE|DELETE|MERGE|WITH|PREPARE)\b", re.IGNORECASE)
_WHAT: Final = "the mix of statements"
_PIECE: Final = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/|^\\[^\n]*)
    |(?P<end>;)
    |\b[eE]'(?:[^'\\]|\\.|'')*'|'[^']*'|"[^"]*"
    |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    |.""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def read_statements(
    conn: Connection,
) -> tuple[tuple[StatementFacts, ...], bool, tuple[Missing, ...]]:
    """Return the statements, the most frequent first; whether they are readable; missing rights."""
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
            f"GRANT USAGE ON SCHEMA {quoted(conn, schema[0])} TO {role}; "
            f"GRANT pg_read_all_stats TO {role};"
        )
        return (), False, (Missing(_WHAT, remedy),)
    except errors.ObjectNotInPrerequisiteState:
        remedy = "add pg_stat_statements to shared_preload_libraries and restart the server"
        return (), False, (Missing(f"{_WHAT}: pg_stat_statements is not loaded", remedy),)
    except errors.UndefinedColumn:
        remedy = "ALTER EXTENSION pg_stat_statements UPDATE;"
        return (), False, (Missing(f"{_WHAT}: pg_stat_statements is outdated", remedy),)
    except errors.QueryCanceled:
        return (), False, (Missing(f"{_WHAT}: the server is too slow", "run the import again"),)
    hidden = [row for row in rows if row["sql"] is None]
    missing = (
        (Missing("statements of other users", f"GRANT pg_read_all_stats TO {role};"),)
        if hidden
        else ()
    )
    texts = [(without_comments(row["sql"] or ""), row["calls"], row["rows"]) for row in rows]
    return (
        tuple(StatementFacts(*row) for row in texts if _WRITES.match(row[0])),
        True,
        missing,
    )


def split_script(text: str) -> Iterator[str]:
    """Yield the statements of a script, without comments and psql's commands.

    The body of a function in standard SQL becomes several, which still make it when they are
    written one after the other.
    """
    pieces: list[str] = []
    for match in _PIECE.finditer(text):
        if match["end"]:
            yield "".join(pieces).strip()
            pieces.clear()
        elif not match["comment"]:
            pieces.append(match[0])
    if last := "".join(pieces).strip():
        yield last


def without_comments(statement: str) -> str:
    """Return a statement without comments, which may hold values."""
    return next(split_script(statement), "")
