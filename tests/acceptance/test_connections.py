"""Commands against databases with unusual session settings, and through PgBouncer."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadgen.source.postgres import connect
from tests.acceptance.conftest import Locust, check_record, counted, latest, rates
from tests.bending import bend
from tests.conftest import Cluster, RunLoadgen, find_free_port
from tests.pooler import pgbouncer
from tests.tls import tls

SIZE = ("--users", "1000", "--orders", "3000", "--events", "3000", "--end", "2026-11-01")
ENVIRONMENT = {
    "PGCLIENTENCODING": "LATIN1",
    "PGDATESTYLE": "German, DMY",
    "PGTZ": "Asia/Tokyo",
    "LATE_COMMITS_PER_HOUR": "7200",
    "ODD_TEXTS_PER_HOUR": "7200",
    "HARD_CASE_SECONDS": "1.5",
}
TOOLS = """
[tools.copy]
kind = "postgres"
destination = "postgres"
url_env = "COPY_URL"
"""
# One of the hard cases fails, and the report must show that.
REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no odd texts' USING ERRCODE = 'P0042'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON hard_cases FOR EACH ROW
WHEN (NEW.case_name = 'odd_texts') EXECUTE FUNCTION refuse()
"""
# Counts texts with accents, and texts garbled by a session's encoding.
TEXTS = """
SELECT count(*) FILTER (WHERE properties::text ~ '[éàü]'),
       count(*) FILTER (WHERE properties::text ~ 'Ã') FROM events
"""


@pytest.fixture(params=["plain", "TLS"])
def source_and_copy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Yield two databases with unusual session settings; for TLS they are on a server with TLS."""
    with ExitStack() as held:
        query = ""
        cluster: Cluster = request.getfixturevalue("cluster")
        if request.param == "TLS":
            cluster = request.getfixturevalue("debian_cluster")
            held.enter_context(tls(cluster, tmp_path))
            query = "?sslmode=require"
        pair = [held.enter_context(cluster.database("migrated_template")) for _ in range(2)]
        for dsn in pair:
            bend(dsn)
        yield pair[0] + query, pair[1] + query


def test_every_command_sees_and_writes_values_as_they_are(
    source_and_copy: tuple[str, str], locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Settings of database and environment do not affect seed, verify, doctor and the load.

    Late commits survive time limits on idle transactions. Summary, run.json and report show a
    failed hard case with its SQLSTATE.
    """
    source, copy = source_and_copy
    ports = {"METRICS_PORT": str(find_free_port()), "WATCH_PORT": str(find_free_port())}
    environment = ENVIRONMENT | ports | {"DATABASE_URL": source, "COPY_URL": copy}

    def loadgen(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = run_loadgen(*arguments, env=environment | env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    loadgen("seed", *SIZE)
    loadgen("seed", *SIZE, DATABASE_URL=copy)
    (project / "tools.toml").write_text(TOOLS)
    found = json.loads(loadgen("verify", "--json").stdout)["tools"]["copy"]
    assert (found["verdict"], found["tables"]["events"]["rows"]) == ("right", 3000)
    loadgen("doctor", "--hours", "0.1")
    with connect(source) as conn:
        accents, garbled = conn.execute(TEXTS).fetchone() or (0, 0)
        conn.execute(REFUSING.encode())
    assert (accents > 0, garbled) == (True, 0)

    before = counted(source)
    cases = "--hard-cases=late_commits,odd_texts"
    process = locust(source, "-t", "5s", "-u", "4", cases, *rates(0.5), env=environment)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    run = check_record(project, source, before)
    assert run["hard_cases"]["late_commits"]["failed"] == 0
    assert run["hard_cases"]["late_commits"]["committed"] > 0
    failed = run["hard_cases"]["odd_texts"]["failed"]
    assert failed > 0
    assert run["failures"] == {"odd_texts": {"P0042": failed}}
    assert f"failed: odd_texts: {failed} with SQLSTATE P0042" in out
    with connect(source) as conn:
        written, garbled = conn.execute(TEXTS).fetchone() or (0, 0)
    assert (written > accents, garbled) == (True, 0)
    loadgen("report")
    report = (project / "reports" / "latest" / "report.md").read_text()
    assert re.search(r"\| odd_texts *\| P0042 *\|", report)


@pytest.fixture
def through_pgbouncer(
    seeded: str, project: Path, metrics_port: int, run_loadgen: RunLoadgen
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `loadgen` with the given addresses of source and copy."""
    (project / "tools.toml").write_text(TOOLS)
    environment = {"METRICS_PORT": str(metrics_port), "WATCH_PORT": str(find_free_port())}

    def run(
        *arguments: str, source: str = seeded, copy: str = seeded
    ) -> subprocess.CompletedProcess[str]:
        given = environment | {"DATABASE_URL": source, "COPY_URL": copy}
        return run_loadgen(*arguments, env=given)

    return run


def test_pgbouncer(
    seeded: str,
    through_pgbouncer: Callable[..., subprocess.CompletedProcess[str]],
    locust: Locust,
    project: Path,
    tmp_path: Path,
) -> None:
    """Each command refuses PgBouncer's transaction mode in a line; session mode works.

    Nothing is left on the pooled connections, so a later load is not refused.
    """
    before = counted(seeded)
    with pgbouncer(seeded, "transaction", tmp_path) as pooled:
        for command in (("seed", *SIZE), ("watch",), ("verify",), ("validate",)):
            done = through_pgbouncer(*command, source=pooled)
            assert done.returncode == 2, done.stdout + done.stderr
            (line,) = done.stderr.splitlines()
            assert "transaction mode" in line
            assert "set DATABASE_URL to the database's direct address" in line
        done = through_pgbouncer("doctor", source=pooled)
        assert done.returncode == 1
        assert "source: Postgres at" in done.stdout
        assert "transaction mode" in done.stdout
        done = through_pgbouncer("verify", "--json", copy=pooled)
        assert done.returncode == 2
        (problem,) = json.loads(done.stdout)["tools"]["copy"]["problems"]
        assert "set COPY_URL to the database's direct address" in problem
        process = locust(pooled, "-t", "5s", *rates())
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2, out + err
        assert err.count("transaction mode") == 1
        assert not (project / "reports").exists()
        assert counted(seeded) == before
        # While the pooler still holds its connections:
        process = locust(seeded, "-t", "2s", "-u", "2", *rates(0.2))
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err

    before = counted(seeded)
    with pgbouncer(seeded, "session", tmp_path) as pooled:
        done = through_pgbouncer("seed", *SIZE[:-2], source=pooled)
        assert "already seeded" in done.stdout, done.stderr
        process = locust(pooled, "-t", "4s", "-u", "4", *rates(0.5))
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        check_record(project, seeded, before)
        assert latest(project)["failures"] == {}
