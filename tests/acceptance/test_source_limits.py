"""If a source allows few connections, users that fit run well, and more are refused in a line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from tests.acceptance.conftest import Locust, check_record, counted, rates, wait_for_offers
from tests.acceptance.faulted import cut, total
from tests.conftest import Cluster, RunLoadgen, find_free_port
from tests.granting import as_user
from tests.standbys import require_standbys

ROLE = "ten_connections"


@pytest.fixture
def narrow(cluster: Cluster, run_loadgen: RunLoadgen) -> Iterator[str]:
    """Yield the DSN of a seeded database whose owner may have 10 connections."""
    with connect(cluster.info.dsn) as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'ten' CONNECTION LIMIT 10")
        try:
            with cluster.database("template1") as dsn:
                owner = sql.SQL("ALTER DATABASE {} OWNER TO {}")
                name = sql.Identifier(dsn.rpartition("/")[2])
                admin.execute(owner.format(name, sql.Identifier(ROLE)))
                theirs = as_user(dsn, ROLE, "ten")
                size = ("--users", "1000", "--orders", "3000", "--events", "3000")
                done = run_loadgen("seed", *size, env={"DATABASE_URL": theirs})
                assert done.returncode == 0, done.stderr
                yield theirs
        finally:
            admin.execute(f"DROP ROLE {ROLE}")


def test_users_and_the_lock_are_all_that_is_needed(
    narrow: str, cluster: Cluster, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """The load counts rows and looks up lost writes while the users hold all other connections."""
    as_admin = cluster.dsn(narrow.rpartition("/")[2])
    env = {"DATABASE_URL": narrow}
    assert "connections:" not in run_loadgen("doctor", "-u", "9", env=env).stdout
    said = (
        "-u 10 needs 11 connections, and CONNECTION LIMIT of role ten_connections is 10: use -u 9"
    )
    assert f"connections: {said}" in run_loadgen("doctor", "-u", "10", env=env).stdout
    process = locust(narrow, "-t", "1m", "-u", "10", *rates())
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert err.count("loadgen: error: ") == 1
    assert f"loadgen: error: {said} at most" in err
    assert "Traceback" not in err
    assert not list((project / "reports").glob("*/run.json"))

    before = counted(narrow)
    process = locust(narrow, "-t", "8s", "-u", "9", *rates(10))
    wait_for_offers(project, process)
    for _ in range(3):
        cut(as_admin)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    run = check_record(project, narrow, before)
    assert total(run, "committed") > 0


@pytest.fixture
def waiting(tmp_path: Path, debian_bin: Path, run_loadgen: RunLoadgen) -> Iterator[str]:
    """Yield the DSN of a seeded server of the test's own whose synchronous standby is away."""
    folder = tmp_path / "server"
    folder.mkdir()
    try:
        dsn = server.start(folder, pg_bin=debian_bin, port=find_free_port()).dsn
        size = ("--users", "10", "--orders", "10", "--events", "10")
        done = run_loadgen("seed", *size, env={"DATABASE_URL": dsn})
        assert done.returncode == 0, done.stderr
        require_standbys(dsn, "standby")
        yield dsn
        require_standbys(dsn, "")  # nothing waits any more
    finally:
        server.reset(folder)


def test_a_load_whose_commits_would_wait_for_ever_is_refused(
    waiting: str, locust: Locust, project: Path
) -> None:
    """At once, in one line that names the setting; it is no run, and no success."""
    process = locust(waiting, "-t", "10s", "-u", "2", *rates())
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert err.count("loadgen: error: ") == 1
    assert "synchronous_standby_names is 'standby', and 0 of 1" in err
    assert not list((project / "reports").glob("*/run.json"))
