"""schema.sql of an import: it makes the same tables, and holds nothing that they don't need."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadgen.errors import SourceError
from loadgen.source.importing import pg_dump, schema_text
from loadgen.source.importing.catalogue import read_tables
from loadgen.source.importing.catalogue_ddl import catalogue_ddl
from loadgen.source.importing.dependencies import needed_objects
from loadgen.source.importing.pg_dump import dumped_ddl
from loadgen.source.importing.read import ReadOptions, read_database
from loadgen.source.importing.selection import select_tables
from loadgen.source.importing.session import snapshot
from loadgen.source.model_schema import create_tables
from loadgen.source.postgres import connect
from loadgen.workload.importing.facts import DatabaseFacts, TableFacts
from loadgen.workload.read_model import read_model
from loadgen.workload.read_sql import schema_tables
from tests.conftest import Cluster
from tests.granting import ignore

SOURCE = (Path(__file__).parents[1] / "importing.sql").read_text(encoding="utf-8")
TABLES = {
    'Odd schema.Odd " table', "customers", "events", "sales.archived", "sales.keyless",
    "sales.orders", "select",
}  # fmt: skip


def read(dsn: str, options: ReadOptions = ReadOptions()) -> DatabaseFacts:  # noqa: B008 - frozen
    """Return the facts of a database."""
    return read_database(dsn, options, ignore)


def run(dsn: str, *statements: str) -> None:
    """Run statements in a database."""
    with connect(dsn) as conn:
        for statement in statements:
            conn.execute(statement.encode())


def load(dsn: str, schema_sql: str) -> None:
    """Make the tables of a schema.sql in an empty database, as a seeding does."""
    model = replace(read_model("shop"), schema_sql=schema_sql)
    with connect(dsn) as conn, conn.transaction():
        create_tables(conn, model)


def definitions(dsn: str) -> tuple[set[str], set[str], Mapping[str, TableFacts]]:
    """Return the tables of a database: as pg_dump, the catalogues and the facts describe them."""
    with snapshot(dsn) as conn:
        selection = select_tables(conn)
        needed = needed_objects(conn, selection)
        tables = read_tables(conn, selection).values()
        from_catalogues = catalogue_ddl(conn, selection, needed)
        dumped = dumped_ddl(dsn, conn.info.server_version, needed, None)
    return (
        # In the catalogues' DDL, heirs define their columns again, with the same names.
        {without_names(statement) for statement in dumped if "INHERITS" not in statement},
        {without_names(statement) for statement in from_catalogues},
        {table.name: replace(table, has_triggers=False) for table in tables},
    )


def without_names(statement: str) -> str:
    """Return DDL without the names of NOT NULL constraints, which only Postgres 18 has."""
    return re.sub(r"CONSTRAINT (?:\w+|\"[^\"]*\") NOT NULL", "NOT NULL", statement)


@pytest.fixture
def source(each_empty_database: str) -> str:
    """Return the DSN of a database with everything in it, on each server in turn."""
    run(each_empty_database, SOURCE)
    return each_empty_database


@pytest.fixture(params=["pg_dump", "catalogues"])
def schema_sql(request: pytest.FixtureRequest, source: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the schema.sql of that database, by pg_dump and from the catalogues."""
    lines: list[str] = []
    if request.param == "catalogues":
        monkeypatch.setattr(schema_text, "_MOST_LOCKED", 3)
    facts = read_database(source, ReadOptions(), lines.append)
    assert any("from the catalogues" in line for line in lines) == (request.param == "catalogues")
    return facts.schema_sql


def test_a_loaded_schema_makes_the_same_tables(
    source: str, schema_sql: str, cluster: Cluster, each_cluster: Cluster
) -> None:
    """It does so on a server of the source's version and on the newest one."""
    dumped, from_catalogues, tables = definitions(source)
    for server in {each_cluster.info.port: each_cluster, cluster.info.port: cluster}.values():
        with server.database("template1") as dsn:
            load(dsn, schema_sql)
            again = definitions(dsn)
        assert again[2] == tables
        assert again[1] == from_catalogues
        assert again[0] == dumped


def test_it_holds_ddl_only(schema_sql: str) -> None:
    """No comments, settings, owners, rights, views, rules, triggers or what nothing needs."""
    assert "CANARY" not in schema_sql
    assert not re.search(
        r"^(SET|SELECT|GRANT|REVOKE|COMMENT|--|\\)|OWNER TO|set_config|CREATE (\w+ )?"
        r"(VIEW|RULE|TRIGGER|POLICY|PUBLICATION|STATISTICS)|ROW LEVEL|unused|not_needed",
        schema_sql,
        re.MULTILINE,
    )
    assert set(re.findall(r"FUNCTION (\S+)\(", schema_sql)) == {
        "sales.new_code", "sales.prefix", "public.doubled", "public.is_short", "public.lowered",
    }  # fmt: skip


def test_a_model_reads_its_tables(schema_sql: str) -> None:
    """Partitions are no tables of the model; keys are known."""
    tables = schema_tables(schema_sql)
    assert set(tables) == TABLES
    assert tables["events"].key == ("event_id", "at")
    assert tables["select"].key == ("order",)


def test_what_it_leaves_out_is_listed(source: str) -> None:
    """A line for each object, by the words of Postgres."""
    run(source, "CREATE UNLOGGED TABLE sales.scratch (a int)")
    assert set(read(source).left_out) == {
        "unlogged table sales.scratch, which has no changes to copy",
        "function not_needed(text)",
        "function touch()",
        "materialized view totals",
        "policy own on table sales.orders",
        "publication everything",
        'rule quiet on table "select"',
        "statistics object customers_shape",
        "trigger touched on table customers",
        "type unused",
        "view happy",
    }


def test_a_selected_table_comes_with_what_it_needs(source: str, each_cluster: Cluster) -> None:
    """It has no foreign key to a table that is left out; the table it inherits from is included."""
    facts = read(source, ReadOptions(tables=("sales.orders", "sales.archived")))
    assert [table.name for table in facts.tables] == [
        "sales.archived", "sales.keyless", "sales.orders",
    ]  # fmt: skip
    assert not facts.tables[2].foreign_keys
    assert "sales.span" in facts.schema_sql
    assert "mood" not in facts.schema_sql
    assert (
        "constraint orders_customer_id_fkey on table sales.orders, which refers to customers"
        in facts.left_out
    )
    with each_cluster.database("template1") as dsn:
        load(dsn, facts.schema_sql)
        assert definitions(dsn)[2].keys() == {"sales.archived", "sales.keyless", "sales.orders"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(tables=("sales.order",)), "no table sales.order to import: did you mean"),
        (ReadOptions(schemas=("sale",)), "no schema sale to import: did you mean sales"),
        (ReadOptions(tables=("events_2025",)), "a partition: name its table, events"),
        (ReadOptions(every=5), "give --interval too"),
    ],
)
def test_a_wrong_name_is_refused(options: ReadOptions, message: str, empty_database: str) -> None:
    """One line names the nearest one."""
    run(empty_database, SOURCE)
    with pytest.raises(SourceError, match=message):
        read(empty_database, options)


def test_an_empty_database_is_refused(empty_database: str) -> None:
    """It is most likely the wrong one."""
    with pytest.raises(SourceError, match="has no tables of its own"):
        read(empty_database)


def test_an_extension_comes_with_its_types(each_empty_database: str, each_cluster: Cluster) -> None:
    """But not with the functions that it makes, nor if nothing needs it."""
    run(
        each_empty_database,
        "CREATE SCHEMA ext",
        "CREATE EXTENSION citext SCHEMA ext",
        "CREATE EXTENSION pg_trgm SCHEMA ext",
        "CREATE EXTENSION hstore SCHEMA ext",
        "CREATE TABLE t (name ext.citext DEFAULT 'a' CHECK (name <> ''))",
        "CREATE INDEX ON t USING gin ((name::text) ext.gin_trgm_ops)",
    )
    facts = read(each_empty_database)
    assert sorted(re.findall(r"EXTENSION IF NOT EXISTS (\w+)", facts.schema_sql)) == [
        "citext", "pg_trgm",
    ]  # fmt: skip
    assert not re.search("FUNCTION|OPERATOR|CREATE TYPE", facts.schema_sql)
    assert not facts.left_out
    with each_cluster.database("template1") as dsn:
        run(dsn, facts.schema_sql)


def test_a_function_that_reads_a_table_loads(
    each_empty_database: str, each_cluster: Cluster
) -> None:
    """It comes before the table in schema.sql, as in a dump."""
    run(
        each_empty_database,
        "CREATE TABLE rates (rate int)",
        "CREATE FUNCTION rate() RETURNS int LANGUAGE sql AS 'SELECT max(rate) FROM rates'",
        "CREATE TABLE sales (rate int DEFAULT rate())",
    )
    facts = read(each_empty_database)
    with each_cluster.database("template1") as dsn:
        load(dsn, facts.schema_sql)
        assert definitions(dsn)[2].keys() == {"rates", "sales"}


def test_without_pg_dump_the_catalogues_give_it(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is reported."""
    run(empty_database, "CREATE TABLE t (a int)")
    lines: list[str] = []
    for folders, reason in (
        ([], "there is no pg_dump"),
        ([Path("/usr/lib/postgresql/15/bin")], "pg_dump is version 15, the server 18"),
    ):
        monkeypatch.setattr(pg_dump, "client_folders", lambda _, folders=folders: folders)
        facts = read_database(empty_database, ReadOptions(), lines.append)
        assert facts.schema_sql == "CREATE TABLE public.t (\n    a integer\n);\n\n"
        assert lines[-1] == f"schema from the catalogues, since {reason}"


def test_no_password_is_in_the_arguments_of_pg_dump(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user of a machine can read arguments."""
    run(empty_database, "CREATE TABLE t (a int)")
    arguments: list[str] = []
    original = pg_dump._run

    def record(program: Path, options: list[str], environment: dict[str, str] | None) -> str:
        arguments.extend(options)
        return original(program, options, environment)

    monkeypatch.setattr(pg_dump, "_run", record)
    read(empty_database)
    password = urlsplit(empty_database).password or ""
    assert any("--dbname=" in argument for argument in arguments)
    assert password
    assert not any(password in argument for argument in arguments)


def test_what_only_pg_dump_copies(
    each_empty_database: str,
    each_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The catalogues have no DDL of a collation or an aggregate: it is listed."""
    run(
        each_empty_database,
        "CREATE COLLATION mine (locale = 'C')",
        "CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
        "CREATE FUNCTION summed() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT total(1)'",
        "CREATE TABLE t (name text COLLATE mine, number int DEFAULT summed())",
    )
    facts = read(each_empty_database)
    assert not facts.left_out
    with each_cluster.database("template1") as dsn:
        load(dsn, facts.schema_sql)
    monkeypatch.setattr(schema_text, "_MOST_LOCKED", 0)
    assert read(each_empty_database).left_out == (
        "collation mine, which the tables need and only pg_dump can copy",
        "function total(integer), which the tables need and only pg_dump can copy",
    )


def test_tables_that_are_not_imported(each_empty_database: str, each_cluster: Cluster) -> None:
    """Foreign tables, also as partitions, and those of this program."""
    run(
        each_empty_database,
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw",
        "CREATE TABLE t (a int PRIMARY KEY) PARTITION BY RANGE (a)",
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (1) TO (9)",
        "CREATE TABLE loadgen_markers (a int)",
        "CREATE UNLOGGED TABLE scratch (a int)",
        "CREATE TEMP TABLE mine (a int)",
    )
    run(each_empty_database, "CREATE TABLE u (a int) PARTITION BY RANGE (a)")
    run(
        each_empty_database,
        "CREATE FOREIGN TABLE u_1 PARTITION OF u FOR VALUES FROM (1) TO (9) SERVER elsewhere",
    )
    facts = read(each_empty_database)
    assert [table.name for table in facts.tables] == ["t", "u"]
    assert facts.left_out == (
        "unlogged table scratch, which has no changes to copy", "foreign table u_1",
    )  # fmt: skip
    with each_cluster.database("template1") as dsn:
        run(dsn, facts.schema_sql)


@pytest.mark.parametrize("by", ["pg_dump", "catalogues"])
def test_what_is_new_in_postgres_18(
    empty_database: str, cluster: Cluster, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Virtual columns, periods in keys and constraints that are not enforced."""
    run(
        empty_database,
        "CREATE EXTENSION btree_gist",
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, period daterange,"
        " c int CONSTRAINT named NOT NULL, UNIQUE NULLS NOT DISTINCT (c),"
        " PRIMARY KEY (a, period WITHOUT OVERLAPS), CHECK (c > 0) NOT ENFORCED)",
        "CREATE TABLE u (a int, period daterange,"
        " FOREIGN KEY (a, PERIOD period) REFERENCES t (a, PERIOD period))",
    )
    if by == "catalogues":
        monkeypatch.setattr(schema_text, "_MOST_LOCKED", 0)
    facts = read(empty_database)
    with cluster.database("template1") as dsn:
        load(dsn, facts.schema_sql)
        assert definitions(dsn) == definitions(empty_database)
