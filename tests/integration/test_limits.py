"""Limits that keep a load from connecting or its commits from ending, on real servers."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from loadgen.errors import SourceError
from loadgen.source.embedded import server
from loadgen.source.limits import (
    ConnectionLimit,
    connection_limits,
    first_write,
    missing_standby,
    too_many_users,
)
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.workload.read_model import read_model
from tests.conftest import Cluster, RunLoadgen, find_free_port, kill_all
from tests.granting import as_user
from tests.polling import wait_for
from tests.standbys import require_standbys

ROLE = "limited_by_tests"


@pytest.fixture
def limited(each_cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of an ordinary role, which owns the database and may have 10 connections."""
    with connect(each_cluster.info.dsn) as admin:
        admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'limited' CONNECTION LIMIT 10")
        try:
            with each_cluster.database("template1") as dsn:
                owner = sql.SQL("ALTER DATABASE {} OWNER TO {}")
                name = sql.Identifier(dsn.rpartition("/")[2])
                admin.execute(owner.format(name, sql.Identifier(ROLE)))
                yield as_user(dsn, ROLE, "limited")
        finally:
            admin.execute(f"DROP ROLE {ROLE}")


def narrowest(conn: psycopg.Connection) -> ConnectionLimit:
    """Return the limit that leaves least."""
    return min(connection_limits(conn), key=lambda limit: limit.most - limit.used)


def test_the_role_s_limit(limited: str) -> None:
    """What others of the role hold is taken, this session is not."""
    with connect(limited) as conn:
        found = narrowest(conn)
        assert (found.name, found.most) == (f"CONNECTION LIMIT of role {ROLE}", 10)
        assert found.used == 0
        with connect(limited), connect(limited):
            assert narrowest(conn).used == 2


def test_the_database_s_limit(limited: str, each_cluster: Cluster) -> None:
    """It is named if it is the narrowest."""
    with connect(each_cluster.info.dsn) as admin, connect(limited) as conn:
        name = str(conn.info.dbname)
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 4").format(sql.Identifier(name))
        admin.execute(limit)
        found = narrowest(conn)
        assert (found.name, found.most) == (f"CONNECTION LIMIT of database {name}", 4)


def test_the_server_s_limit(each_database: str) -> None:
    """A superuser has no other limit, and can use reserved connections too."""
    with connect(each_database) as conn:
        (found,) = connection_limits(conn)
        most = conn.execute("SHOW max_connections").fetchone()
        assert most == (str(found.most),)
        with connect(each_database):
            assert connection_limits(conn)[0].used >= 1


@pytest.mark.parametrize(
    ("users", "used", "said"),
    [
        (9, 0, None),
        (10, 0, "-u 10 needs 11 connections, and L is 10: use -u 9 at most, or raise the limit"),
        (8, 3, "-u 8 needs 9 connections, and L is 10, of which 3 are taken: use -u 6 at most"),
        (1, 9, "-u 1 needs 2 connections, and L is 10, of which 9 are taken: raise the limit"),
    ],
)
def test_users_that_do_not_fit(users: int, used: int, said: str | None) -> None:
    """The narrowest limit is named, and the highest number of users."""
    limits = [ConnectionLimit("wide", 100, 0), ConnectionLimit("L", 10, used)]
    found = too_many_users(limits, users, beside=1)
    assert (found or "").startswith(said or "")
    assert (found is None) is (said is None)


@pytest.fixture
def waiting(debian_bin: Path, project: Path) -> Iterator[str]:
    """Yield the DSN of a server of the test's own whose synchronous standby is away."""
    info = server.start(project, pg_bin=debian_bin, port=find_free_port())
    with connect(info.dsn) as admin:
        migrate(admin, read_model("shop"))
    require_standbys(info.dsn, "standby")
    yield info.dsn
    require_standbys(info.dsn, "")  # nothing waits any more


@contextmanager
def standby(dsn: str, pg_bin: Path, folder: Path) -> Iterator[None]:
    """Run pg_receivewal, which counts as a synchronous standby of its name."""
    folder.mkdir()
    command = [pg_bin / "pg_receivewal", "-D", folder, "--synchronous", "--no-loop"]
    dbname = f"{dsn}&application_name=standby"
    with subprocess.Popen(
        [*map(str, command), "-d", dbname], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with connect(dsn) as admin:
                query = "SELECT FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
                wait_for(lambda: admin.execute(query).rowcount, "the standby")
            yield
        finally:
            kill_all(process)


def test_a_standby_that_is_away(waiting: str, debian_bin: Path, project: Path) -> None:
    """It is found by the setting and who streams, however the setting is written."""
    written = {
        "standby": 1,
        "FIRST 1 (standby, other)": 1,
        "any 2 (standby, other)": 2,
        "2 (standby, other)": 2,
        "*": 1,
    }
    with connect(waiting) as conn:
        for names, needed in written.items():
            require_standbys(waiting, names)
            found = missing_standby(conn) or ""
            assert f"{names!r}, and 0 of {needed} such standbys are connected" in found
        conn.execute("SET synchronous_commit = local")
        assert missing_standby(conn) is None
        conn.execute("SET synchronous_commit = on")
        with standby(waiting, debian_bin, project / "received"):
            for names, needed in written.items():
                require_standbys(waiting, names)
                wait_for(partial(says, conn, "1 of 2" if needed == 2 else None), names)


def says(conn: psycopg.Connection, what: str | None) -> bool:
    """Tell whether `what` is in the message on missing standbys; None means no message."""
    found = missing_standby(conn)
    return found is None if what is None else what in (found or "")


def test_a_first_write_that_waits_for_a_standby(waiting: str) -> None:
    """It is called off, as no timeout of Postgres's does; the commit stands, the line says why."""
    with connect(waiting) as conn:
        conn.execute("SET statement_timeout = '100ms'")
        with (
            pytest.raises(SourceError, match=r"beginning: its commit waited 0\.5 s for a standby"),
            first_write(conn, "beginning", 0.5),
        ):
            conn.execute("UPDATE loadgen_playground SET run_id = 'a run'")
        row = conn.execute("SELECT run_id FROM loadgen_playground").fetchone()
        assert row == ("a run",)


def test_a_first_write_that_waits_for_a_lock(database: str) -> None:
    """It is called off too, and changes nothing."""
    with connect(database) as conn, connect(database, autocommit=False) as other:
        other.execute("LOCK TABLE loadgen_playground")
        with (
            pytest.raises(SourceError, match=r"beginning: not done after 0\.5 s"),
            first_write(conn, "beginning", 0.5),
        ):
            conn.execute("UPDATE loadgen_playground SET run_id = 'a run'")
        other.rollback()
        row = conn.execute("SELECT run_id FROM loadgen_playground").fetchone()
        assert row == (None,)


def test_a_first_write_in_time(database: str) -> None:
    """Nothing is printed, and the statement's own error is raised."""
    with connect(database) as conn:
        with first_write(conn, "beginning"):
            conn.execute("UPDATE loadgen_playground SET run_id = 'a run'")
        with pytest.raises(psycopg.errors.UndefinedTable), first_write(conn, "beginning"):
            conn.execute("UPDATE nothing SET run_id = 'a run'")


def test_commands_refuse_a_source_whose_standby_is_away(
    waiting: str, run_loadgen: RunLoadgen
) -> None:
    """One line that names the setting: the doctor finds it, seeding does not begin."""
    env = {"DATABASE_URL": waiting}
    done = run_loadgen("seed", "--users", "10", "--orders", "10", "--events", "10", env=env)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "synchronous_standby_names is 'standby', and 0 of 1" in done.stderr
    done = run_loadgen("doctor", env=env)
    assert done.returncode == 1
    assert "source: every commit would wait for ever" in done.stdout
