"""Golden vectors: one value, one canonical text, on every engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.source.postgres import connect
from loadgen.tools.columns import CatalogColumn
from loadgen.verify.canonical import Form, same_value, text_expression
from tests.conftest import Cluster, Fakesnow

Answer = Any


@dataclass(frozen=True)
class Vector:
    """A value, as text that each engine casts to its type; None if it has no such type."""

    form: Form
    value: str
    text: str
    postgres: str
    duckdb: str | None
    snowflake: str | None


FRACTIONS = [
    ("55.123456", "55.123456"),
    ("55.120000", "55.12"),
    ("50", "50"),
    ("00.000001", "00.000001"),
]
VECTORS = [
    Vector("plain", "42", "42", "bigint", "BIGINT", "NUMBER(38,0)"),
    Vector("plain", "-9223372036854775808", "-9223372036854775808", "bigint", "BIGINT", None),
    Vector("plain", "12.30", "12.30", "numeric(12,2)", "DECIMAL(12,2)", "NUMBER(12,2)"),
    Vector("plain", "-0.05", "-0.05", "numeric(12,2)", "DECIMAL(12,2)", "NUMBER(12,2)"),
    Vector("number", "12.30", "12.3", "numeric", "DECIMAL(38,9)", "NUMBER(38,9)"),
    Vector("number", "100", "100", "numeric", "DECIMAL(38,9)", "NUMBER(38,9)"),
    Vector("number", "0", "0", "numeric", "DECIMAL(38,9)", "NUMBER(38,9)"),
    Vector("number", "-0.000000001", "-0.000000001", "numeric", "DECIMAL(38,9)", "NUMBER(38,9)"),
    Vector("number", "12.25", "12.25", "double precision", "DOUBLE", "FLOAT"),
    Vector("number", "100", "100", "double precision", "DOUBLE", "FLOAT"),
    Vector("number", "0.1", "0.1", "double precision", "DOUBLE", "FLOAT"),
    *(
        Vector("number", value, text, kind, local, "FLOAT")
        for value, text in (
            ("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity"), ("-0", "0"),
            ("0.1", "0.1"), ("-2.5", "-2.5"),
        )
        for kind, local in (("double precision", "DOUBLE"), ("real", "FLOAT"))
    ),
    *(
        Vector("number", value, value, "numeric", None, None)
        for value in ("NaN", "Infinity", "-Infinity")
    ),
    Vector("plain", "NaN", "NaN", "numeric(12,2)", None, None),
    Vector("plain", "true", "true", "boolean", "BOOLEAN", "BOOLEAN"),
    Vector("plain", "false", "false", "boolean", "BOOLEAN", "BOOLEAN"),
    Vector("plain", "2026-02-28", "2026-02-28", "date", "DATE", "DATE"),
    Vector("plain", "0001-01-01", "0001-01-01", "date", "DATE", "DATE"),
    Vector("plain", "0044-03-15 BC", "0044-03-15 BC", "date", "DATE", None),
    *(
        Vector("instant", f"2026-11-23 15:29:{value}+00", f"2026-11-23 15:29:{text}+00",
               "timestamptz", "TIMESTAMPTZ", "TIMESTAMP_TZ")
        for value, text in FRACTIONS
    ),
    *(
        Vector("clock", f"2026-11-23 15:29:{value}", f"2026-11-23 15:29:{text}",
               "timestamp", "TIMESTAMP", "TIMESTAMP_NTZ")
        for value, text in FRACTIONS
    ),
    Vector(
        "instant", "2026-11-23 15:29:50", "2026-11-23 15:29:50+00", "timestamp", "TIMESTAMP",
        "TIMESTAMP_NTZ",
    ),
    Vector(
        "instant", "2026-11-23 17:29:50+02", "2026-11-23 15:29:50+00", "timestamptz",
        "TIMESTAMPTZ", "TIMESTAMP_TZ",
    ),
    Vector("instant", "1900-01-01 00:00:00+00", "1900-01-01 00:00:00+00", "timestamptz",
           "TIMESTAMPTZ", "TIMESTAMP_TZ"),
    Vector("instant", "9999-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999+00",
           "timestamptz", "TIMESTAMPTZ", None),
    *(
        Vector("instant", value, value, "timestamptz", "TIMESTAMPTZ", None)
        for value in ("290000-01-01 00:00:00.5+00", "infinity", "-infinity")
    ),
    Vector("clock", "2026-11-23 17:29:50.5+02", "2026-11-23 15:29:50.5", "timestamptz",
           "TIMESTAMPTZ", None),
    Vector("clock", "infinity", "infinity", "timestamptz", "TIMESTAMPTZ", None),
    Vector("uuid", "E692A657-E8AB-469F-A402-BAB702DB1E02", "e692a657-e8ab-469f-a402-bab702db1e02",
           "uuid", "UUID", "VARCHAR"),
    Vector("text", "it's <null>, ä ☃ 😀", "it's <null>, ä ☃ 😀", "text", "VARCHAR", "VARCHAR"),
    Vector("text", "", "", "text", "VARCHAR", "VARCHAR"),
    Vector("json", '{"bb": 1, "a": [1, "x, \\" y: {"]}', '{"a": [1, "x, \\" y: {"], "bb": 1}',
           "jsonb", None, None),
    Vector("json", '{"a":[1,"x, \\" y:{"],"bb":{"c":null}}',
           '{"a": [1, "x, \\" y:{"], "bb": {"c": null}}', "jsonb", "JSON", None),
    Vector("json", "[]", "[]", "jsonb", "JSON", None),
    Vector("json_sorted", '{"bb": 1, "a": "x, y: 1"}', '{"a":"x, y: 1","bb":1}', "jsonb", None,
           None),
    Vector("json_sorted", "{}", "{}", "jsonb", None, None),
    Vector("json_sorted", '{"a":"x","bb":1}', '{"a":"x","bb":1}', "jsonb", None, "VARIANT"),
]  # fmt: skip


def asked(vector: Vector, kind: str, engine: Any) -> str:
    """Return the question for a vector's canonical text in an engine."""
    value = vector.value.replace("'", "''")
    if engine == "duckdb":
        value = value.replace(" BC", " (BC)")  # as it reads it
    cast = f"PARSE_JSON('{value}')" if kind == "VARIANT" else f"CAST('{value}' AS {kind})"
    family = CatalogColumn("c", {"UUID": "uuid"}.get(kind, kind)).family
    expression = text_expression(engine, family, vector.form).format(c="c")
    return f"SELECT {expression} FROM (SELECT {cast} AS c) t"


@pytest.fixture(scope="module")
def file() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB in memory."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def test_postgres_writes_each_vector(each_cluster: Cluster) -> None:
    """On Postgres 15 and 18."""
    with connect(each_cluster.info.dsn) as conn:
        for vector in VECTORS:
            row = conn.execute(asked(vector, vector.postgres, "postgres").encode()).fetchone()
            assert row == (vector.text,), vector


def test_duckdb_writes_each_vector(file: duckdb.DuckDBPyConnection) -> None:
    """The same texts."""
    for vector in VECTORS:
        if vector.duckdb is not None:
            found = file.execute(asked(vector, vector.duckdb, "duckdb")).fetchone()
            assert found == (vector.text,), vector


def test_snowflake_writes_each_vector(fakesnow: Fakesnow) -> None:
    """The same texts from an emulator, through the real connector."""
    with fakesnow.connect("GOLDEN") as conn, conn.cursor() as cursor:
        for vector in VECTORS:
            if vector.snowflake is not None:
                cursor.execute(asked(vector, vector.snowflake, "snowflake"))
                found = cursor.fetchone()
                assert found == (vector.text,), vector


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**20) | st.text(alphabet='a ,:"\\{}[]ä\n'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(alphabet='a ,:"\\{}', max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def answers(
    cluster: Cluster, file: duckdb.DuckDBPyConnection
) -> Iterator[tuple[psycopg.Connection[Any], duckdb.DuckDBPyConnection]]:
    """Yield both engines."""
    with connect(cluster.info.dsn) as conn:
        yield conn, file


@given(found=_JSON)
def test_json_that_was_written_tightly_gets_postgres_s_spaces(
    answers: tuple[psycopg.Connection[Any], duckdb.DuckDBPyConnection], found: Any
) -> None:
    """Only between values: no text within a string changes, so nothing can hide there."""
    import json  # noqa: PLC0415 - the test's own

    conn, file = answers
    row = conn.execute("SELECT %s::jsonb::text", (json.dumps(found),)).fetchone()
    assert row is not None
    tight = json.dumps(json.loads(row[0]), separators=(",", ":"), ensure_ascii=False)
    expression = text_expression("duckdb", "json", "json").format(c="c")
    question = f"SELECT {expression} FROM (SELECT CAST(? AS JSON) AS c) t"
    answer = file.execute(question, [tight]).fetchone()
    assert answer is not None
    assert same_value("json", row[0], answer[0])
    assert json.loads(answer[0]) == json.loads(tight)
