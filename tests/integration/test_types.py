"""Golden vectors of the types that other engines lack: one value, one text on both sides.

Snowflake's were run on fakesnow, not on Snowflake.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg
import pytest

from loadgen.source.postgres import connect
from loadgen.tools.columns import CatalogColumn, Engine
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.verify.canonical import ColumnPair, column_pair, same_value
from tests.conftest import Cluster, Fakesnow

TEXT = ("VARCHAR", "VARCHAR")


@dataclass(frozen=True)
class Vector:
    """A value of a type at the source, its text, and how it lands: type and SQL by engine."""

    type: str
    value: str
    text: str
    duckdb: tuple[str, str] | None = None
    snowflake: tuple[str, str] | None = None
    catalogue: str = ""  # the type as the catalogue names it
    arrays: Any = "text"


def printed(kind: str, value: str, text: str = "", catalogue: str = "") -> Vector:
    """Return the vector of a value that lands as the text that Postgres prints."""
    literal = "'" + (text or value).replace("'", "''") + "'"
    escaped = literal.replace("\\", "\\\\")
    landed = ("VARCHAR", literal), ("VARCHAR", escaped)
    return Vector(kind, value, text or value, *landed, catalogue)


def listed(kind: str, value: str, text: str, native: str, catalogue: str = "") -> Vector:
    """Return the vector of an array that lands as a list in DuckDB, as JSON in Snowflake."""
    escaped = text.replace("\\", "\\\\")
    return Vector(kind, value, text, (native, value_in(native, text)),
                  ("VARIANT", f"PARSE_JSON('{escaped}')"), catalogue)  # fmt: skip


def value_in(native: str, text: str) -> str:
    """Return SQL for a list in DuckDB."""
    return f"CAST(from_json('{text}', '{from_json(native)}') AS {native})"


def from_json(native: str) -> str:
    """Return from_json's structure of a type of lists."""
    depth = native.count("[]")
    kind = native.partition("[")[0]
    return "[" * depth + f'"{kind}"' + "]" * depth


VECTORS = [
    printed("mood", "it's ok", catalogue="enum"),
    Vector("mood", "sad", "sad", ("ENUM('sad', 'ok')", "'sad'"), ("VARCHAR", "'sad'"), "enum"),
    printed("character(5)", "ab   ", "ab"),
    Vector("character(5)", "ab", "ab", ("VARCHAR", "'ab   '"), ("VARCHAR", "'ab   '")),
    printed("name", "a, b"),
    printed('"char"', "x"),
    Vector("positive", "12", "12", ("INTEGER", "'12'"), ("NUMBER(38,0)", "'12'"), "integer"),
    Vector("time", "15:29:55.12", "15:29:55.12", ("TIME", "'15:29:55.120'"),
           ("TIME", "'15:29:55.120'")),
    Vector("time", "15:29:50", "15:29:50", ("TIME", "'15:29:50'"), ("TIME", "'15:29:50'")),
    printed("time", "24:00:00"),
    printed("time with time zone", "15:29:55.12+02"),
    Vector("interval", "1 year 2 mons 40 days 100:00:01.5", "14 40 360001500000",
           ("INTERVAL", "'14 months 40 days 100 hours 1.5 seconds'")),
    Vector("interval", "-1 year -2 mons +3 days -04:05:06.000007", "-14 3 -14706000007",
           ("INTERVAL", "'-14 months 3 days -4 hours -5 minutes -6.000007 seconds'")),
    printed("interval", "1 year 2 mons -3 days +04:05:06.5"),
    printed("inet", "10.1.2.3"),
    printed("inet", "10.1.2.3/24"),
    printed("inet", "::ffff:1.2.3.4"),
    printed("cidr", "10.1.0.0/16"),
    printed("macaddr", "08:00:2b:01:02:03"),
    printed("macaddr8", "08:00:2b:01:02:03:04:05"),
    Vector("bit(3)", "101", "101", ("BIT", "'101'"), ("VARCHAR", "'101'")),
    printed("bit varying(9)", "0011"),
    printed("money", "-$1,234.50", "-1234.50"),
    Vector("money", "1234.50", "1234.5", ("DECIMAL(18,4)", "'1234.5'"),
           ("NUMBER(18,4)", "'1234.5'")),
    Vector("money", "-$1,234.50", "-1234.50", ("VARCHAR", "'-$1,234.50'"),
           ("VARCHAR", "'-$1,234.50'")),
    printed("int4range", "[1,6)"),
    printed("int4range", "empty"),
    printed("tstzrange", '["2026-01-01 00:00:00+00",)'),
    printed("floatrange", "(1.5,2.5)", catalogue="range"),
    printed("int4multirange", "{[1,2),[5,9)}"),
    printed("point", "(1,2.5)"),
    printed("polygon", "((0,0),(1,1),(1,0))"),
    printed("tsvector", "'a':1 'b':2A"),
    printed("tsquery", "'a' & 'b'"),
    printed("jsonpath", '$."a"[*]'),
    printed("pg_lsn", "16/B374D848"),
    printed("xid8", "7"),
    printed("regclass", "pg_class"),
    Vector("oid", "4294967295", "4294967295", ("BIGINT", "'4294967295'"),
           ("NUMBER(38,0)", "'4294967295'")),
    printed("pair", '(1,"a, b")', catalogue="composite"),
    Vector("bytea", "\\x00ff", "00ff", ("BLOB", "unhex('00ff')"),
           ("BINARY", "TO_BINARY('00FF', 'HEX')")),
    # Arrays: as text, as JSON in text, as lists, as documents.
    printed("integer[]", "{1,NULL,3}"),
    printed("text[]", '{NULL,"NULL","",a,"b, \\"c"}'),
    Vector("integer[]", "{1,2}", "[1,2]", ("VARCHAR", "'[1, 2]'"),
           ("VARCHAR", "'[1,2]'"), arrays="json"),
    Vector("text[]", '{NULL,"NULL",""}', '[null,"NULL",""]', ("JSON", """'[null, "NULL", ""]'"""),
           ("VARIANT", """PARSE_JSON('[null,"NULL",""]')""")),
    listed("integer[]", "{1,2}", "[1,2]", "INTEGER[]"),
    listed("integer[]", "{}", "[]", "INTEGER[]"),
    listed("integer[]", "{{1,2},{3,NULL}}", "[[1,2],[3,null]]", "INTEGER[][]"),
    listed("integer[]", "[5:6]={1,2}", "[1,2]", "INTEGER[]"),
    listed("text[]", '{NULL,"NULL","a, b"}', '[null,"NULL","a, b"]', "VARCHAR[]"),
    listed("boolean[]", "{t,f}", "[true,false]", "BOOLEAN[]"),
    listed("numeric(8,2)[]", "{1.50,-2.25}", "[1.50,-2.25]", "DECIMAL(8,2)[]"),
    listed("uuid[]", "{c4ca4238-a0b9-2382-0dcc-509a6f75849b}",
           '["c4ca4238-a0b9-2382-0dcc-509a6f75849b"]', "VARCHAR[]"),
    listed("date[]", "{2026-01-01}", '["2026-01-01"]', "DATE[]"),
    listed("mood[]", "{ok,sad}", '["ok","sad"]', "VARCHAR[]", "enum[]"),
]  # fmt: skip
UNDECLARED = [
    ("vector(3)", "FLOAT[3]"), ("integer[]", "INTEGER"), ("int4range", "JSON"),
    ("text", "MAP(INTEGER, INTEGER)"),
    ("text", "INTEGER[]"), ("bytea[]", "BLOB[]"), ("interval", "BIGINT"), ("inet", "UINTEGER"),
    ("public.geometry", "VARCHAR"), ("jsonb", "STRUCT(a INTEGER)"),
]  # fmt: skip
# Types that no table's column should have.
INTERNAL = {
    "gtsvector", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list",
    "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary",
}  # fmt: skip
DDL = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s ok')",
    "CREATE DOMAIN whole AS integer",
    "CREATE DOMAIN positive AS whole CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (a integer, b text)",
    "CREATE TYPE floatrange AS RANGE (subtype = float8)",
)


@dataclass(frozen=True)
class Source:
    """A database with the types of the vectors."""

    conn: psycopg.Connection[Any]
    dsn: str


@pytest.fixture(scope="module")
def types(cluster: Cluster) -> Iterator[Source]:
    """Yield the database."""
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        for statement in DDL:
            conn.execute(statement.encode())
        yield Source(conn, dsn)


def pair_of(vector: Vector, engine: Engine) -> ColumnPair:
    """Return the pair of a vector's column and its copy."""
    landed = {"duckdb": vector.duckdb, "snowflake": vector.snowflake}[engine]
    assert landed is not None
    source = CatalogColumn("c", vector.catalogue or vector.type)
    pair = column_pair(source, CatalogColumn("c", landed[0]), engine, vector.arrays)
    assert pair is not None, vector
    return pair


def at_source(types: Source, vector: Vector, pair: ColumnPair) -> str:
    """Return the canonical text of a vector's value at the source."""
    value = vector.value.replace("'", "''")
    expression = pair.expression("postgres", "c", of_copy=False)
    query = f"SELECT {expression} FROM (SELECT '{value}'::{vector.type} AS c) t"
    row = types.conn.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.duckdb], ids=repr)
def test_duckdb_writes_what_the_source_writes(types: Source, vector: Vector) -> None:
    """And NULL stays NULL."""
    assert vector.duckdb is not None
    pair = pair_of(vector, "duckdb")
    text = at_source(types, vector, pair)
    assert text == (vector.value if is_printed_interval(vector) else vector.text)
    kind, value = vector.duckdb
    expression = pair.expression("duckdb", "c", of_copy=True)
    query = (
        f"SELECT {expression} FROM (VALUES (CAST({value} AS {kind})), (CAST(NULL AS {kind}))) v(c)"
    )
    with duckdb.connect() as conn:
        ((landed,), (null,)) = conn.execute(query).fetchall()
    assert null is None
    assert same_value(pair.form, text, landed)
    if not vector.type.startswith("numeric"):  # whose trailing zeros DuckDB's JSON may lack
        assert landed == text


def is_printed_interval(vector: Vector) -> bool:
    """Tell whether an interval lands as text."""
    return vector.type == "interval" and vector.text == vector.value


def test_snowflake_writes_what_the_source_writes(types: Source, fakesnow: Fakesnow) -> None:
    """On an emulator, through the real connector."""
    with fakesnow.connect("TYPES") as conn, conn.cursor() as cursor:
        for vector in VECTORS:
            if vector.snowflake is None:
                continue
            pair = pair_of(vector, "snowflake")
            kind, value = vector.snowflake
            cast = value if kind in {"VARIANT", "BINARY"} else f"CAST({value} AS {kind})"
            expression = pair.expression("snowflake", "c", of_copy=True)
            cursor.execute(f"SELECT {expression} FROM (SELECT {cast} AS c) t")
            row = cursor.fetchone()
            assert row is not None
            text = at_source(types, vector, pair)
            assert same_value(pair.form, text, str(row[0])), (vector, text, row)


def test_xml_is_what_postgres_prints(debian_cluster: Cluster) -> None:
    """On a server that was built with libxml, unlike the embedded one."""
    column, text = CatalogColumn("c", "xml"), '<a b="\'">ä</a>'
    pair = column_pair(column, CatalogColumn("c", "VARCHAR"), "duckdb")
    assert pair is not None
    expression = pair.expression("postgres", "c", of_copy=False)
    with connect(debian_cluster.info.dsn) as conn:
        row = conn.execute(
            f"SELECT {expression} FROM (SELECT %s::xml AS c) t".encode(), (text,)
        ).fetchone()
    assert row == (text,)


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        ('["2026-01-01T10:00:00+00:00", null]', '["2026-01-01 10:00:00+00", null]'),
        ('["2026-01-01T10:00:00.5"]', '["2026-01-01 10:00:00.500"]'),
    ],
)
def test_times_in_an_array_have_several_notations(source: str, copy: str) -> None:
    """Of which a text has but one."""
    assert same_value("array_of_times", source, copy)
    assert not same_value("array", source, copy)
    assert not same_value("array_of_times", source, copy.replace("10:00", "10:01"))


@pytest.mark.parametrize(
    ("source", "copy"),
    [('["NaN",1]', "[NaN,1.0]"), ("[1.50]", "[15e-1]"), ('["Infinity"]', "[Infinity]")],
)
def test_numbers_in_an_array_have_several_notations(source: str, copy: str) -> None:
    """NaN included, which is not JSON."""
    assert same_value("array", source, copy)


@pytest.mark.parametrize(
    ("source", "copy"),
    [("[null]", '["NULL"]'), ("[1]", '["1"]'), ("[[1]]", "[1]"), ("[]", "[null]")],
)
def test_arrays_that_differ_do(source: str, copy: str) -> None:
    """NULL is not its name, and nesting counts."""
    assert not same_value("array", source, copy)


@pytest.mark.parametrize(("source", "copy"), UNDECLARED)
def test_a_pair_of_types_without_a_common_text_is_none(source: str, copy: str) -> None:
    """It is reported as not compared."""
    assert column_pair(CatalogColumn("c", source), CatalogColumn("c", copy), "duckdb") is None


def test_a_type_of_an_extension_is_compared_between_two_postgres() -> None:
    """By its text, if it is the same type on both sides."""
    column, other = CatalogColumn("c", "geometry"), CatalogColumn("c", "geography")
    pair = column_pair(column, column, "postgres")
    assert pair is not None
    assert pair.form == "text"
    assert column_pair(column, other, "postgres") is None


def test_every_type_that_postgres_ships_has_a_canonical_text(each_cluster: Cluster) -> None:
    """In 15 and in 18."""
    with connect(each_cluster.info.dsn) as conn:
        rows = conn.execute(
            "SELECT format_type(oid, NULL) FROM pg_type "
            "WHERE typnamespace = 'pg_catalog'::regnamespace "
            "AND typtype IN ('b', 'r', 'm') AND typelem = 0 ORDER BY 1"
        ).fetchall()
    names = {str(name) for (name,) in rows} - INTERNAL
    unknown = [name for name in names if CatalogColumn("c", name).family == "other"]
    assert not unknown


def test_the_catalogue_resolves_domains_and_enums(types: Source) -> None:
    """Of columns and of arrays; extensions if they are there."""
    columns = {
        "positive": "integer", "mood": "enum", "mood[]": "enum[]", "positive[]": "integer[]",
        "pair": "composite", "floatrange": "range", "floatmultirange": "multirange",
        "numeric(8,2)[]": "numeric(8,2)[]", "whole": "integer",
    }  # fmt: skip
    extensions = {
        str(name)
        for (name,) in types.conn.execute(
            "SELECT name FROM pg_available_extensions WHERE name IN ('hstore', 'citext')"
        )
    }
    for name in extensions:
        types.conn.execute(f"CREATE EXTENSION IF NOT EXISTS {name}".encode())
        columns[name] = name
    listing = ", ".join(f"c{number} {kind}" for number, kind in enumerate(columns))
    types.conn.execute(f"CREATE TABLE resolved ({listing})".encode())
    reader = PostgresReader(types.dsn)
    try:
        found = [column.type for column in reader.tables("public")["resolved"]]
    finally:
        reader.close()
    assert found == list(columns.values())
    families = {name: CatalogColumn("c", name).family for name in extensions}
    assert families == {name: {"hstore": "hstore", "citext": "text"}[name] for name in extensions}
