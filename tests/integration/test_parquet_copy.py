"""A copy in Parquet files: base files, files of changes, and what of them counts."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest

from loadgen.config.settings import load_settings
from loadgen.source.postgres import connect
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.tools_file import parse_tools
from loadgen.untrusted import parse_toml
from tests.conftest import RunLoadgen
from tests.emulated import aws_server
from tests.polling import wait_for

TOOLS = '[tools.copy]\nkind = "generic"\ndestination = "parquet"\npath = "files"\n'
SOURCE = """
CREATE TABLE pairs (a integer, b text, amount numeric(10, 2), PRIMARY KEY (a, b));
INSERT INTO pairs VALUES (1, 'x', 11), (3, 'z', 3.5), (4, 'same', 4);
CREATE TABLE lonely (n integer PRIMARY KEY);
INSERT INTO lonely VALUES (7);
ALTER PUBLICATION loadgen SET TABLE pairs, lonely;
"""
BASE = "(1, 'x', 1.00), (2, 'y', 2.00), (3, 'z', 3.00), (4, 'same', 4.00)"
# Operation, LSN, place in the transaction, key, amount.
CHANGES = (
    ("update", "0/FFFFFFF0", 0, 1, "x", "10.00"),
    ("delete", "0/9", 0, 2, "y", None),
    ("update", "1/0", 10, 1, "x", "11.00"),
    ("update", "1/0", 9, 1, "x", "10.50"),
    ("delete", "0/1A", 0, 3, "z", None),
    ("insert", "0/1A", 1, 3, "z", "3.50"),
)
_Change = tuple[str, str, int, int, str, str | None]


def write(file: Path, rows: str, columns: str) -> None:
    """Write a Parquet file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    duckdb.sql(f"COPY (SELECT * FROM (VALUES {rows}) AS t ({columns})) TO '{file}'")


def write_changes(file: Path, changes: tuple[_Change, ...]) -> None:
    """Write a file of changes."""
    rows = ", ".join(
        f"('{op}', '{{\"lsn\":\"{lsn}\"}}', {seq}, {a}, '{b}', CAST({amount or 'NULL'} AS "
        "DECIMAL(10, 2)))"
        for op, lsn, seq, a, b, amount in changes
    )
    write(file, rows, "__op, __pos, __seq, a, b, amount")


def name_files(folder: Path, manifest: str, *files: str) -> None:
    """Write a manifest that names files."""
    content = {"parts": [{"path": file, "status": "committed"} for file in files]}
    (folder / f"manifest-{manifest}.json").write_text(json.dumps(content))


def make_source(dsn: str) -> None:
    """Make the tables that the files are a copy of."""
    with connect(dsn) as conn:
        for statement in SOURCE.split(";\n")[:-1]:
            conn.execute(statement.encode())


@pytest.fixture
def files(project: Path) -> Path:
    """Return the folder of a copy; one table has manifests, the other one has none."""
    (project / "tools.toml").write_text(TOOLS)
    table = project / "files" / "pairs"
    write(table / "snapshot" / "base.parquet", BASE, "a, b, amount")
    write_changes(table / "1.parquet", CHANGES)
    write_changes(table / "2.parquet", CHANGES[2:])  # delivered again
    (table / "3.parquet").write_bytes(b"half-writ")
    name_files(table, "first", "1.parquet")
    name_files(table, "second", "2.parquet")
    name_files(table, "idle")
    write(project / "files" / "lonely" / "snapshot" / "base.parquet", "(7)", "n")
    return project / "files"


def verified(run_loadgen: RunLoadgen, dsn: str, **env: str) -> dict[str, Any]:
    """Return the outcome of verifying the copy."""
    done = run_loadgen("verify", "--json", "--lag", "0", env={"DATABASE_URL": dsn, **env})
    outcome: dict[str, Any] = json.loads(done.stdout)["tools"]["copy"]
    return outcome


def test_the_newest_version_of_each_key_counts(
    files: Path, database: str, run_loadgen: RunLoadgen
) -> None:
    """By LSN and place in the transaction, whatever the order and number of deliveries."""
    make_source(database)
    outcome = verified(run_loadgen, database)
    assert (outcome["verdict"], outcome["totals"], outcome["problems"]) == ("right", {}, [])
    assert {name: table["destination_rows"] for name, table in outcome["tables"].items()} == {
        "pairs": 3,
        "lonely": 1,
    }

    pairs = files / "pairs"
    write_changes(
        pairs / "3.parquet",
        (("insert", "2/0", 0, 9, "extra", "1.00"), ("delete", "2/0", 1, 4, "same", None)),
    )
    assert verified(run_loadgen, database)["verdict"] == "right"  # no manifest names it
    name_files(pairs, "third", "3.parquet")
    outcome = verified(run_loadgen, database)
    assert outcome["verdict"] == "wrong"
    assert outcome["totals"] == {"missing": 1, "extra": 1}

    (pairs / "1.parquet").unlink()
    outcome = verified(run_loadgen, database)
    assert outcome["verdict"] == "not checked"
    (problem,) = outcome["problems"]
    assert "files can't be read" in problem
    assert "1.parquet" in problem
    (pairs / "manifest-first.json").write_text('{"parts": [{"pa')
    outcome = verified(run_loadgen, database)
    (problem,) = outcome["problems"]
    assert "manifest-first.json can't be read" in problem


def in_s3(address: str) -> dict[str, str]:
    """Return the variables by which boto3 and rivet find the emulator."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }


def test_a_bucket_is_read_like_a_folder(
    files: Path,
    project: Path,
    database: str,
    run_loadgen: RunLoadgen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only new objects are fetched, and files that are no longer there do not count."""
    make_source(database)
    tools = (
        '[tools.copy]\nkind = "generic"\ndestination = "parquet"\nbucket = "s3://lake/pg/copy"\n'
    )
    (project / "tools.toml").write_text(tools)
    with aws_server() as address:
        env = in_s3(address)
        (problem,) = verified(run_loadgen, database, **env)["problems"]
        assert problem.startswith("S3 bucket lake: ")
        assert "NoSuchBucket" in problem
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="lake")

        def upload(*paths: Path) -> None:
            for file in paths:
                s3.upload_file(str(file), "lake", f"pg/copy/{file.relative_to(files)}")

        upload(*files.rglob("*.*"))
        s3.put_object(Bucket="lake", Key="pg/copy-of-another/pairs/9.parquet", Body=b"other")
        s3.put_object(Bucket="lake", Key="pg/copy/../evil.parquet", Body=b"outside")
        s3.put_object(Bucket="lake", Key="pg/copy/other/1.parquet", Body=b"of no table of ours")
        s3.put_object(Bucket="lake", Key="pg/copy/pairs/notes.txt", Body=b"none of ours either")
        assert verified(run_loadgen, database, **env)["verdict"] == "right"
        fetched = project / ".loadgen" / "tools" / "copy" / "s3"
        assert not (fetched.parent / "evil.parquet").exists()
        assert {path.name for path in fetched.iterdir()} == {"pairs", "lonely"}
        assert not list(fetched.rglob("*.txt"))
        before = {file: file.stat().st_ino for file in fetched.rglob("*.parquet")}
        pairs = files / "pairs"
        write_changes(pairs / "3.parquet", (("insert", "2/0", 0, 9, "extra", "1.00"),))
        name_files(pairs, "third", "3.parquet")
        upload(pairs / "3.parquet", pairs / "manifest-third.json")
        outcome = verified(run_loadgen, database, **env)
        assert (outcome["verdict"], outcome["totals"]) == ("wrong", {"extra": 1})
        for name in ("3.parquet", "manifest-third.json"):
            s3.delete_object(Bucket="lake", Key=f"pg/copy/pairs/{name}")
        assert verified(run_loadgen, database, **env)["verdict"] == "right"
        assert not (fetched / "pairs" / "3.parquet").exists()
        base = fetched / "lonely" / "snapshot" / "base.parquet"
        assert base.stat().st_ino == before[base]
    (problem,) = verified(run_loadgen, database, **env)["problems"]
    assert problem.startswith("S3 bucket lake: Could not connect to the endpoint URL")


def test_a_bucket_is_read_by_several_at_once(
    files: Path, project: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the watch does, by threads; objects come and go meanwhile."""
    make_source(database)
    text = '[tools.copy]\nkind = "generic"\ndestination = "parquet"\nbucket = "s3://lake"\n'
    (tool,) = parse_tools(parse_toml(text, "tools.toml"), "tools.toml")
    monkeypatch.chdir(project)
    monkeypatch.setenv("DATABASE_URL", database)
    with aws_server() as address:
        for name, value in in_s3(address).items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="lake")
        for file in files.rglob("*.*"):
            s3.upload_file(str(file), "lake", str(file.relative_to(files)))
        ended, counts = threading.Event(), list[int]()

        def read() -> int:
            reader, number = open_copy(tool, load_settings()), 0
            while not ended.is_set() or not number:
                counts.extend(row[0] for row in reader.query("SELECT count(*) FROM public.pairs"))
                number += 1
            return number

        with ThreadPoolExecutor() as pool:
            readers = [pool.submit(read) for _ in range(3)]
            for number in range(10):
                key = f"pairs/extra-{number}.parquet"  # no manifest names it
                s3.upload_file(str(files / "pairs" / "2.parquet"), "lake", key)
                s3.delete_object(Bucket="lake", Key=f"pairs/extra-{number - 1}.parquet")
            ended.set()
            assert all(reader.result() for reader in readers)
    assert set(counts) == {3}


def test_rivet_writes_to_a_bucket(
    project: Path, database: str, run_loadgen: RunLoadgen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the tool's name; the first copy, then changes; nothing is left once it is removed."""
    make_source(database)
    runner = 'runner = "rivet"\nbucket = "s3://lake/cdc"\ninterval_seconds = 0.5\n'
    tools = f'[tools.copy]\nkind = "generic"\ndestination = "parquet"\n{runner}'
    (project / "tools.toml").write_text(tools)
    with aws_server() as address:
        env = in_s3(address)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="lake")
        s3.put_object(Bucket="lake", Key="cdc/copyright", Body=b"another's")

        def run(*command: str) -> None:
            done = run_loadgen(*command, env={"DATABASE_URL": database, **env})
            assert done.returncode == 0, done.stdout + done.stderr

        def keys() -> set[str]:
            return {each["Key"] for each in s3.list_objects_v2(Bucket="lake")["Contents"]}

        run("tools", "install")
        try:
            run("tools", "start", "--wait", "120")
            assert verified(run_loadgen, database, **env)["verdict"] == "right"
            with connect(database) as conn:
                conn.execute("UPDATE pairs SET amount = 12 WHERE a = 1")
                conn.execute("DELETE FROM pairs WHERE a = 3")
                conn.execute("INSERT INTO lonely VALUES (8)")
            wait_for(
                lambda: verified(run_loadgen, database, **env)["verdict"] == "right", "the changes"
            )
            assert any(key.startswith("cdc/copy/pairs/") for key in keys())
            run("tools", "stop")
            (project / "tools.toml").write_text(tools.replace("s3://lake/cdc", "s3://lake/new"))
            moved = run_loadgen("tools", "start", env={"DATABASE_URL": database, **env})
            assert moved.returncode != 0
            assert "its files are at another place than tools.toml says now" in moved.stderr
            (project / "tools.toml").write_text(tools)
        finally:
            run("tools", "remove")
        assert keys() == {"cdc/copyright"}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("", "path is missing (or bucket)"),
        ('path = "files"\nbucket = "s3://lake"\n', "there are both path and bucket"),
    ],
)
def test_a_copy_has_one_place(
    more: str, problem: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """A folder or a bucket."""
    tools = f'[tools.copy]\nkind = "generic"\ndestination = "parquet"\n{more}'
    (project / "tools.toml").write_text(tools)
    done = run_loadgen("tools", "probe", "copy")
    assert done.returncode == 2
    assert problem in done.stderr
