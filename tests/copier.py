"""A small tool under test: it copies whole tables, one after the other, between two Postgres."""

from psycopg import sql

from loadgen.source.postgres import connect

TABLES = ("users", "orders", "hard_cases", "events", "loadgen_markers")


class Copier:
    """Copies from a source to a copy."""

    def __init__(self, source: str, copy: str) -> None:
        self._source, self._copy = source, copy

    def sync(self, *tables: str) -> None:
        """Copy these tables in this order, each in one transaction; all if none is named."""
        for table in tables or TABLES:
            name = sql.Identifier(table)
            out = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(name)
            into = sql.SQL("COPY {} FROM STDIN").format(name)
            with connect(self._source) as source, connect(self._copy, autocommit=False) as copy:
                copy.execute("SET session_replication_role = replica")
                copy.execute(sql.SQL("DELETE FROM {}").format(name))
                with source.cursor().copy(out) as rows, copy.cursor().copy(into) as written:
                    for data in rows:
                        written.write(data)
                copy.commit()
