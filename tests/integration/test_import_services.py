"""An import with the rights of hosted services' administrators, who are no superusers.

Each role has the attributes and memberships that its service's documentation states, and owns a
table of two. What only the services themselves hide is not imitated; docs/workload.md names it.
"""

import os
from pathlib import Path

import pytest

from loadgen.errors import SourceError
from loadgen.source.importing.read import ReadOptions, read_database
from loadgen.source.postgres import connect
from loadgen.workload.importing.facts import ColumnFacts, DatabaseFacts
from tests.granting import as_user
from tests.pooler import pgbouncer

TABLES = """
CREATE TABLE own (id int PRIMARY KEY, note text);
INSERT INTO own SELECT n, 'x' FROM generate_series(1, 500) n;
CREATE SCHEMA auth;
CREATE TABLE auth.users (id int PRIMARY KEY, mail text);
INSERT INTO auth.users SELECT n, 'x' FROM generate_series(1, 300) n;
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC;
"""
# By service: its role's rights, and the right it lacks on the table that another role owns.
SERVICES = {
    "rds_or_cloud_sql": ("CREATEDB CREATEROLE", ("pg_monitor",), "GRANT pg_read_all_data"),
    "reader_of_rds": ("", ("pg_monitor", "pg_read_all_data"), "BYPASSRLS"),
    "supabase": (
        "CREATEDB CREATEROLE REPLICATION BYPASSRLS",
        ("pg_monitor", "pg_read_all_data"),
        "",
    ),
    "neon": (
        "CREATEDB CREATEROLE REPLICATION BYPASSRLS",
        ("pg_monitor", "pg_read_all_data", "pg_write_all_data"),
        "",
    ),
}


@pytest.mark.parametrize("service", SERVICES)
def test_the_administrator_of_a_service(empty_database: str, service: str) -> None:
    """Tables, writes and the schema are there; shapes of another role's table need a right."""
    attributes, memberships, remedy = SERVICES[service]
    name = f"{service}_{os.getpid()}"
    with connect(empty_database) as conn:
        conn.execute(TABLES.encode())
    with connect(empty_database) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER {attributes} PASSWORD 'x'".encode())
        try:
            for role in memberships:
                conn.execute(f"GRANT {role} TO {name}".encode())
            conn.execute(f"ALTER TABLE own OWNER TO {name}".encode())
            conn.execute("ANALYZE")
            lines: list[str] = []
            dsn = as_user(empty_database, name, "x")
            facts = read_database(dsn, ReadOptions(), lines.append)
        finally:
            conn.execute(f"DROP OWNED BY {name}".encode())
            conn.execute(f"DROP ROLE {name}".encode())
    assert {table.name: table.rows for table in facts.tables} == {"auth.users": 300, "own": 500}
    assert all(table.writes and table.writes.inserts for table in facts.tables)
    assert len(facts.digests) == 1
    assert facts.schema_sql.count("CREATE TABLE") == 2
    assert column(facts, "own", "note").width == 2
    remedies = [m.remedy for m in facts.missing if "auth.users" in m.what]
    if remedy:
        assert [remedy in each for each in remedies] == [True]
        assert column(facts, "auth.users", "mail").width is None
    else:
        assert remedies == []
        assert column(facts, "auth.users", "mail").width == 2
    reason = "schema from the catalogues, since pg_dump needs SELECT on every table, such as "
    assert [line for line in lines if "from the catalogues" in line] == (
        [] if "pg_read_all_data" in memberships else [f"{reason}auth.users"]
    )


def column(facts: DatabaseFacts, table: str, name: str) -> ColumnFacts:
    """Return a column of the facts."""
    return next(c for t in facts.tables if t.name == table for c in t.columns if c.name == name)


def test_through_a_pooler(empty_database: str, tmp_path: Path) -> None:
    """One that keeps sessions serves, but for pg_dump; one that does not is refused."""
    with connect(empty_database) as conn:
        conn.execute(TABLES.encode())
    lines: list[str] = []
    with pgbouncer(empty_database, "session", tmp_path) as dsn:
        facts = read_database(dsn, ReadOptions(), lines.append)
    assert facts.schema_sql.count("CREATE TABLE") == 2
    assert "from the catalogues, since pg_dump" in lines[-1]
    with (
        pgbouncer(empty_database, "transaction", tmp_path) as dsn,
        pytest.raises(SourceError, match="pool"),
    ):
        read_database(dsn, ReadOptions(), lines.append)
