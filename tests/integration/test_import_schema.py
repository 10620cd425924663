"""schema.sql of an import: it makes the same tables, and holds nothing that they don't need."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.source.importing.catalogue import read_tables
from loadgen.source.importing.catalogue_ddl import catalogue_ddl
from loadgen.source.importing.dependencies import needed_objects
from loadgen.source.importing.pg_dump import ddl_statements, dumped_ddl
from loadgen.source.importing.read import ReadOptions, read_database
from loadgen.source.importing.selection import select_tables
from loadgen.source.importing.session import snapshot
from loadgen.source.postgres import connect
from loadgen.workload.importing.facts import DatabaseFacts, TableFacts
from loadgen.workload.read_sql import schema_tables
from tests.conftest import Cluster
from tests.granting import ignore

SOURCE = (Path(__file__).parents[1] / "importing.sql").read_text(encoding="utf-8")


def definitions(dsn: str) -> tuple[set[str], set[str], dict[str, TableFacts]]:
    """Return the tables of a database: as pg_dump, the catalogues and the facts describe them."""
    with snapshot(dsn) as conn:
        selection = select_tables(conn)
        needed = needed_objects(conn, selection)
        tables = read_tables(conn, selection)
        from_catalogues = catalogue_ddl(conn, selection, needed)
        dumped = dumped_ddl(dsn, conn.info.server_version, needed, None)
    return (
        {without_names(statement) for statement in dumped},
        {without_names(statement) for statement in from_catalogues},
        {table.name: table for table in tables.values()},
    )


def without_names(statement: str) -> str:
    """Return DDL without the names of NOT NULL constraints, which only Postgres 18 has."""
    return re.sub(r"CONSTRAINT (?:\w+|\"[^\"]*\") NOT NULL", "NOT NULL", statement)


def load(dsn: str, ddl: str) -> None:
    """Run a schema.sql in an empty database, as a seeding does."""
    with connect(dsn) as conn, conn.transaction():
        conn.execute("SET LOCAL check_function_bodies = off")
        conn.execute(ddl.encode())


def read(dsn: str, **options: object) -> DatabaseFacts:
    """Return the facts of a database."""
    return read_database(dsn, ReadOptions(**options), ignore)  # type: ignore[arg-type]


@pytest.fixture
def source(each_empty_database: str) -> str:
    """Return the DSN of a database with everything in it, on each server in turn."""
    with connect(each_empty_database) as conn:
        conn.execute(SOURCE.encode())
    return each_empty_database


@pytest.fixture(params=["pg_dump", "catalogues"])
def schema_sql(request: pytest.FixtureRequest, source: str) -> str:
    """Return the schema.sql of that database, as pg_dump writes it and as the catalogues give it."""
    with snapshot(source) as conn:
        selection = select_tables(conn)
        needed = needed_objects(conn, selection)
        ddl = (
            dumped_ddl(source, conn.info.server_version, needed, None)
            if request.param == "pg_dump"
            else catalogue_ddl(conn, selection, needed)
        )
    return "".join(f"{statement};\n" for statement in ddl)


def test_a_loaded_schema_makes_the_same_tables(
    source: str, schema_sql: str, cluster: Cluster, each_cluster: Cluster
) -> None:
    """It does so on a server of the source's version and on the newest one."""
    before = definitions(source)
    for server in dict.fromkeys((each_cluster.info.port, cluster.info.port)):
        target = each_cluster if server == each_cluster.info.port else cluster
        with target.database("template1") as dsn:
            load(dsn, schema_sql)
            after = definitions(dsn)
        assert after[1] == before[1]
        assert after[2] == before[2]
        assert after[0] == before[0]
