"""The reference pipe in Snowflake and S3, as far as emulators of both go."""

import tomllib
from pathlib import Path

import boto3
import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import DestinationError
from loadgen.source.postgres import connect
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners.simplyload.pipe import open_pipe
from loadgen.tools.source_tables import published_tables
from loadgen.tools.tools_file import Tool, parse_tools
from loadgen.verify.reconcile import VerifyOptions, reconcile
from tests.conftest import Cluster, Fakesnow
from tests.emulated import aws_server
from tests.snowflake_server import snowflake_server

SOURCE = """
CREATE TABLE things (id integer PRIMARY KEY, "Full Name" text, doc text, j jsonb, n numeric(9,2),
                     at timestamptz, raw bytea, ratio float8);
ALTER TABLE things ALTER doc SET STORAGE EXTERNAL;
INSERT INTO things SELECT k, 'it''s ' || k, repeat('x', 3000), '{"a": 1}', k * 1.5,
    timestamptz '2026-01-01' + k * interval '1.5 s', decode(md5(k::text), 'hex'), k / 8.0
    FROM generate_series(1, 9) k;
CREATE TABLE log (word text, n integer);
ALTER TABLE log REPLICA IDENTITY FULL;
INSERT INTO log SELECT 'w' || k % 2, 1 FROM generate_series(1, 9) k;
ALTER PUBLICATION loadgen SET TABLE things, log;
"""
CHANGES = """
UPDATE things SET n = 0 WHERE id = 1; UPDATE things SET id = 102 WHERE id = 2;
DELETE FROM things WHERE id = 3; INSERT INTO things (id) VALUES (50);
DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE word = 'w0' LIMIT 2);
INSERT INTO log VALUES ('w1', 1), ('new', 2);
"""


def tool_of(more: str) -> Tool:
    """Return a tool with the runner."""
    text = f'[tools.pipe]\nkind = "simplyload"\nrunner = "simplyload"\n{more}'
    (tool,) = parse_tools(tomllib.loads(text), "tools.toml")
    return tool


def findings(tool: Tool, dsn: str, settings: dict[str, object]) -> list[object]:
    """Return the findings of verifying the copy."""
    source = PostgresReader(dsn, is_source=True)
    reader = open_copy(tool, load_settings(settings))
    try:
        outcome = reconcile(tool, source, published_tables(source), reader, VerifyOptions())
    finally:
        source.close()
        reader.close()
    assert outcome.verdict != "not checked"
    return [*outcome.findings, *outcome.problems]


def test_a_copy_in_snowflake_is_right(
    cluster: Cluster, fakesnow: Fakesnow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First copy, changes, TRUNCATE and an added column, through the real connector."""
    monkeypatch.chdir(tmp_path)
    tool = tool_of('destination = "snowflake"\ndatabase = "PIPE"\nschema = "PUBLIC"\n')
    tool.folder.mkdir(parents=True)
    with fakesnow.connect("PIPE"), cluster.database("migrated_template") as dsn:
        with connect(dsn) as conn:
            conn.execute(SOURCE.encode())
            pipe = open_pipe(tool, load_settings(fakesnow.settings))
            pipe.sync(dsn)
            assert findings(tool, dsn, fakesnow.settings) == []
            conn.execute(CHANGES.encode())
            pipe.sync(dsn)
            assert findings(tool, dsn, fakesnow.settings) == []
            conn.execute(b"TRUNCATE log; ALTER TABLE things ADD extra text DEFAULT 'e'")
            conn.execute(b"UPDATE things SET n = 5 WHERE id = 4")
            pipe.sync(dsn)
            assert findings(tool, dsn, fakesnow.settings) == []
            conn.execute("SELECT pg_drop_replication_slot('loadgen_pipe')")
        pipe.destination.remove()


def test_batches_pass_through_the_bucket(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are below the tool's prefix while a batch is loaded, and gone afterwards."""
    monkeypatch.chdir(tmp_path)
    tool = tool_of('destination = "duckdb"\nbucket = "s3://staging/some/where"\n')
    tool.folder.mkdir(parents=True)
    with aws_server() as address, cluster.database("migrated_template") as dsn:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3 = boto3.client("s3")
        with pytest.raises(DestinationError, match="S3 bucket staging"):
            open_pipe(tool, load_settings({})).bucket.clear()
        s3.create_bucket(Bucket="staging")
        seen: dict[str, list[str]] = {}

        def reached(point: str) -> None:
            page = s3.list_objects_v2(Bucket="staging")
            seen[point] = [entry["Key"] for entry in page.get("Contents", ())]

        with connect(dsn) as conn:
            conn.execute(SOURCE.encode())
            pipe = open_pipe(tool, load_settings({}), reached)
            pipe.sync(dsn)
            assert [key.rpartition("/")[0] for key in seen["first copy written"]] == [
                "some/where/pipe/public.log",
                "some/where/pipe/public.things",
            ]
            conn.execute(CHANGES.encode())
            pipe.sync(dsn)
            assert len(seen["batch written"]) == 2
            assert findings(tool, dsn, {}) == []
            reached("end")
            assert seen["end"] == []
            conn.execute("SELECT pg_drop_replication_slot('loadgen_pipe')")


def test_its_statements_are_tagged_and_load_from_the_external_stage(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag lets `loadgen costs` find their cost; nothing is uploaded to Snowflake itself."""
    monkeypatch.chdir(tmp_path)
    entry = 'destination = "snowflake"\ndatabase = "PIPE"\nschema = "PUBLIC"\nwarehouse = "WH"\n'
    tool = tool_of(f'{entry}bucket = "s3://staging/where"\nstage = "PIPE.PUBLIC.LAKE"\n')
    tool.folder.mkdir(parents=True)
    with (
        aws_server() as address,
        cluster.database("migrated_template") as dsn,
        snowflake_server() as server,
    ):
        server.answers[""] = (("answer",), [])  # to every statement
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fake")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "fake")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="staging")
        with connect(dsn) as conn:
            conn.execute(SOURCE.encode())
            open_pipe(tool, load_settings(server.settings)).sync(dsn)
            conn.execute("SELECT pg_drop_replication_slot('loadgen_pipe')")
    assert {each["SESSION_PARAMETERS"]["QUERY_TAG"] for each in server.logins} == {"tool=pipe"}
    begins = [statement.split()[0] for statement in server.asked]
    assert "PUT" not in begins
    copies = [statement for statement in server.asked if statement.startswith("COPY INTO")]
    places = [copy.partition("FROM '@")[2] or copy.partition("FROM @")[2] for copy in copies]
    assert [place.rpartition("/")[0] for place in places] == [
        "PIPE.PUBLIC.LAKE/where/pipe/public.log",
        "PIPE.PUBLIC.LAKE/where/pipe/public.things",
    ]
    # Rows and position are one transaction, and the files are staged before it.
    assert begins.index("BEGIN") > max(i for i, word in enumerate(begins) if word == "COPY")
    assert begins.index("COMMIT") > begins.index("BEGIN")
