"""The tables of a replica, made from the catalogue of Postgres 15 and 18."""

import pytest

from loadgen.errors import SourceError
from loadgen.source.postgres import connect
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners.replica import make_tables
from loadgen.tools.source_tables import published_tables
from tests.any_source import TABLES, make_source, run_sql
from tests.conftest import Cluster

_MORE = """
CREATE EXTENSION citext SCHEMA sales;
CREATE TYPE sales.span AS RANGE (subtype = float8);
CREATE DOMAIN sales.spans AS sales.span[];
CREATE FUNCTION twice(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n * 2';
CREATE TABLE more (
    name sales.citext, of sales.spans, many sales.span_multirange, a integer NOT NULL,
    hidden integer, plus integer GENERATED ALWAYS AS (a + 1) STORED,
    by_function integer GENERATED ALWAYS AS (twice(a)) STORED,
    by_hidden integer GENERATED ALWAYS AS (hidden + 1) STORED);
CREATE UNIQUE INDEX more_a ON more (a) INCLUDE (name);
ALTER TABLE more REPLICA IDENTITY USING INDEX more_a;
ALTER PUBLICATION loadgen ADD TABLE more (name, of, many, a);
"""


def test_a_replica_has_the_columns_types_and_keys_of_the_source(each_cluster: Cluster) -> None:
    """It can be made again; unpublished columns and those that need them are left out."""
    with (
        each_cluster.database("migrated_template") as source,
        each_cluster.database("template1") as copy,
    ):
        make_source(source)
        run_sql(source, _MORE)
        with connect(source) as publisher, connect(copy) as conn:
            make_tables(conn, publisher)
            make_tables(conn, publisher)
            keys = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
            rows = conn.execute(f"{keys} WHERE contype = 'p' AND oid >= 16384").fetchall()
            constraints: dict[str, str] = dict(rows)
            tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = ANY (%s)"
            schemas = conn.execute(tables, (["order", "Readings", "more"],)).fetchall()
            generated = "SELECT attname FROM pg_attribute WHERE attgenerated = 's' ORDER BY 1"
            assert conn.execute(generated).fetchall() == [("doubled",), ("plus",)]
        assert constraints == {
            "accounts": "PRIMARY KEY (account_no)",
            'sales."order"': 'PRIMARY KEY (placed, "Line No")',
            'sales."Readings"': "PRIMARY KEY (id, day)",
            'sales."orderItems"': 'PRIMARY KEY ("itemId")',
            "loadgen_markers": "PRIMARY KEY (id)",
            "more": "PRIMARY KEY (a)",
        }
        assert sorted(schemas) == [("public",), ("sales",)]
        reader, replica = PostgresReader(source, is_source=True), PostgresReader(copy)
        published = published_tables(reader)
        for label in TABLES | {"more"}:
            table = published[label]
            landed = {
                column.name: column.type for column in replica.tables(table.schema)[table.name]
            }
            missing = {c.name for c in table.columns} - landed.keys()
            assert missing == ({"hidden", "by_function", "by_hidden"} if label == "more" else set())
            assert landed.items() <= {c.name: c.type for c in table.columns}.items()
        assert {label for label, table in published.items() if not table.has_identity} == {"notes"}
        reader.close()
        replica.close()


def test_a_type_of_an_extension_that_the_copy_lacks_is_one_line(
    cluster: Cluster, debian_cluster: Cluster
) -> None:
    """Nothing is made; the message names the type, the extension and what to do."""
    with (
        cluster.database("template1") as source,
        debian_cluster.database("template1") as copy,
        connect(source) as publisher,
        connect(copy) as conn,
    ):
        run_sql(
            source,
            "CREATE EXTENSION vector",
            "CREATE TABLE points (id integer PRIMARY KEY, place vector(3))",
            "CREATE PUBLICATION loadgen FOR TABLE points",
        )
        with pytest.raises(SourceError, match="type vector is part of the extension vector, which"):
            make_tables(conn, publisher)
        assert conn.execute("SELECT to_regclass('points')").fetchone() == (None,)
