"""Sessions are alike whatever the role, the database, the environment or the address say."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from loadgen.errors import SourceError
from loadgen.source.postgres import Session, connect, subscription_dsn
from loadgen.source.schema import migrate
from loadgen.workload.read_model import read_model
from tests.bending import BENDING, TIMEOUTS, bend
from tests.conftest import Cluster, RunLoadgen, clean_environment
from tests.pooler import pgbouncer

# What libpq reads from the environment, each with a value that would lead astray or be refused.
VARIABLES = {
    "PGHOST": "nowhere.invalid", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "nowhere",
    "PGUSER": "nobody", "PGPASSWORD": "wrong", "PGPASSFILE": "/nonexistent",
    "PGCHANNELBINDING": "require", "PGCONNECT_TIMEOUT": "soon", "PGCLIENTENCODING": "nonsense",
    "PGOPTIONS": "-c nonsense=1", "PGAPPNAME": "another", "PGSSLMODE": "verify-full",
    "PGSSLNEGOTIATION": "direct", "PGSSLCERTMODE": "require", "PGSSLROOTCERT": "system",
    "PGSSLCERT": "/nonexistent", "PGSSLKEY": "/nonexistent", "PGSSLCRL": "/nonexistent",
    "PGSSLMINPROTOCOLVERSION": "nonsense", "PGREQUIRESSL": "1", "PGREQUIREPEER": "another",
    "PGREQUIREAUTH": "none", "PGGSSENCMODE": "require", "PGMINPROTOCOLVERSION": "3.2",
    "PGTARGETSESSIONATTRS": "standby", "PGLOADBALANCEHOSTS": "nonsense", "PGSERVICE": "nowhere",
    "PGSERVICEFILE": "/nonexistent", "PGDATESTYLE": "nonsense", "PGTZ": "nonsense",
    "PGGEQO": "nonsense",
}  # fmt: skip
LOAD = """
import locust, sys
from loadgen.load.driver.plain import connect
from loadgen.load.driver.wire import execution
from loadgen.workload.read_model import read_model
text = "SELECT FROM pg_settings WHERE name = $1 AND setting = $2"
connection = connect(sys.argv[1], {"holds": text})
for name, value in (pair.split("=") for pair in sys.argv[2:]):
    holds = connection.execute(execution(b"holds", (name.encode(), value.encode()))).rows
    print(name, holds == (1,))
print({o.keyword: o.val for o in connection._pgconn.info}[b"keepalives_idle"].decode())
"""


@pytest.fixture
def bent(each_database: str) -> str:
    """Return the DSN of a database that bends each session."""
    bend(each_database)
    return each_database


def require_straight(conn: Session) -> None:
    """Check that values are read as they are, and that nothing ends the session."""
    row = conn.execute(
        r"SELECT 'Fauteuil à bascule', '2026-02-01'::date, '2026-02-01 00:00+00'::timestamptz, "
        r"'1 day 2 hours'::interval, '\x00ff'::bytea, 0.1::float8 + 0.2::float8, '\n'"
    ).fetchone()
    assert row == (
        "Fauteuil à bascule",
        dt.date(2026, 2, 1),
        dt.datetime(2026, 2, 1, tzinfo=dt.UTC),
        dt.timedelta(days=1, hours=2),
        b"\x00\xff",
        0.30000000000000004,
        r"\n",
    )
    assert conn.execute("SHOW search_path").fetchone() == ("public",)
    for name in (*TIMEOUTS, "transaction_timeout"):
        assert conn.execute("SELECT current_setting(%s, true)", (name,)).fetchone() in {
            ("0",),
            (None,),  # a version without it
        }


def test_settings_of_a_database_do_not_reach_a_session(bent: str) -> None:
    """Text, dates, bytes and numbers are read as they are; nothing ends the session."""
    with connect(bent) as conn:
        require_straight(conn)


def test_settings_of_a_role_do_not_reach_a_session(database: str) -> None:
    """ALTER ROLE is as powerless as ALTER DATABASE, also with the role's own password."""
    with connect(database) as admin:
        admin.execute("CREATE ROLE bent LOGIN PASSWORD 'bent'")
        try:
            for setting, value in BENDING.items():
                alter = sql.SQL("ALTER ROLE bent SET {} = {}")
                admin.execute(alter.format(sql.Identifier(setting), sql.Literal(value)))
            place = database.rpartition("@")[2]
            with connect(f"postgresql://bent:bent@{place}") as conn:
                require_straight(conn)
        finally:
            admin.execute("DROP ROLE bent")


def test_the_environment_does_not_reach_a_session(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PG* variables add parameters that DATABASE_URL leaves out, but change no value."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "German, DMY")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    options = "-c bytea_output=escape -c intervalstyle=iso_8601 -c work_mem=5MB"
    monkeypatch.setenv("PGOPTIONS", options)
    with connect(database) as conn:
        require_straight(conn)
        assert conn.execute("SHOW work_mem").fetchone() == ("5MB",)


@pytest.mark.parametrize("name", VARIABLES)
def test_an_embedded_server_s_address_is_complete(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No variable of libpq's changes where or how it is connected to; they are all there again."""
    monkeypatch.setenv(name, VARIABLES[name])
    with connect(cluster.info.dsn) as conn:
        require_straight(conn)
        assert conn.execute("SHOW application_name").fetchone() == ("loadgen",)
    assert os.environ[name] == VARIABLES[name]


def test_a_variable_fills_in_what_database_url_leaves_out(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password from PGPASSWORD serves, also after an embedded server was connected to."""
    login, _, place = database.rpartition("@")
    name, _, password = login.rpartition(":")
    monkeypatch.setenv("PGPASSWORD", password)
    with connect(cluster.info.dsn), connect(f"{name}@{place}") as conn:
        require_straight(conn)


def test_a_subscription_has_no_time_limit_but_its_address_s_own(bent: str) -> None:
    """The copy's server connects by itself, so the address overrides the database's limits."""
    with connect(bent) as publisher:
        address = subscription_dsn(f"{bent}?options=-c%20lock_timeout%3D7s", publisher)
        newer = ["transaction_timeout"] if publisher.info.server_version >= 170_000 else []
    with psycopg.connect(address) as conn:
        for name in (*TIMEOUTS, *newer):
            shown = conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert shown == ("7s" if name == "lock_timeout" else "0",)


def run_load(dsn: str, *settings: str) -> list[str]:
    """Return what a connection of the load's says of settings, and its keepalives_idle."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, dsn, *settings],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_parameters_of_the_address_are_honoured_by_all(database: str) -> None:
    """Its parameters apply, to the load's connections too; the others have their defaults.

    Values keep their form whatever `options` say; a time limit in `options` applies.
    """
    options = "-c synchronous_commit=off -c statement_timeout=7s --datestyle=German"
    given = f"application_name=mine&keepalives_idle=77&connect_timeout=9&options={quote(options)}"
    dsn = f"{database}?{given}"
    with connect(dsn) as conn:
        for name, value in (
            ("synchronous_commit", "off"),
            ("statement_timeout", "7s"),
            ("lock_timeout", "0"),
            ("datestyle", "ISO, MDY"),
            ("application_name", "mine"),
        ):
            shown = conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert shown == (value,)
        parameters = conn.info.get_parameters()
    assert (parameters["keepalives_idle"], parameters["connect_timeout"]) == ("77", "9")
    asked = ("synchronous_commit=off", "statement_timeout=7000", "application_name=mine")
    said = run_load(dsn, *asked, "DateStyle=ISO, MDY")
    assert said == [f"{pair.partition('=')[0]} True" for pair in asked] + ["DateStyle True", "77"]
    assert run_load(database, "statement_timeout=30000")[-1] == "10"


@pytest.fixture
def latin(cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of an empty database that is not UTF-8."""
    with connect(cluster.info.dsn) as admin:
        admin.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc "
            "LOCALE 'C'"
        )
        try:
            yield cluster.dsn("latin")
        finally:
            admin.execute("DROP DATABASE latin WITH (FORCE)")


def test_seed_refuses_an_encoding_that_can_not_hold_the_data(
    latin: str, run_loadgen: RunLoadgen
) -> None:
    """One line names the encoding and the remedy, and nothing is written."""
    done = run_loadgen("seed", env={"DATABASE_URL": latin})
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "encoded in LATIN1" in line
    assert "ENCODING 'UTF8'" in line
    with connect(latin) as conn:
        assert conn.execute("SELECT to_regclass('public.users')").fetchone() == (None,)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_transaction_pooler_is_refused_and_left_as_it_was(
    database: str, tmp_path: Path, mode: str
) -> None:
    """It is found before anything is set, locked or prepared on a backend that others use."""
    with pgbouncer(database, mode, tmp_path) as pooled:
        with pytest.raises(SourceError, match="transaction mode") as caught:
            connect(pooled)
        assert "set DATABASE_URL to the database's direct address" in str(caught.value)
        with pytest.raises(SourceError, match=r"set url in \[tools.copy\] to"):
            connect(pooled, setting="url in [tools.copy]")
        # The next user of that backend finds its settings unchanged, and no statement.
        with psycopg.connect(pooled, autocommit=True) as other:
            sets = "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name <> ALL (%s)"
            kept = ["application_name", "client_encoding"]  # the pooler's own business
            assert other.execute(sets, (kept,), prepare=False).fetchone() == (0,)
            prepared = "SELECT count(*) FROM pg_prepared_statements"
            assert other.execute(prepared, prepare=False).fetchone() == (0,)


def test_a_session_pooler_is_as_good_as_none(database: str, tmp_path: Path) -> None:
    """The session holds, and is known by its backend, not by the number that the pooler tells."""
    bend(database)
    with pgbouncer(database, "session", tmp_path) as pooled, connect(pooled) as conn:
        require_straight(conn)
        assert conn.execute("SELECT pg_backend_pid()").fetchone() == (conn.server_pid,)
        assert conn.server_pid != conn.info.backend_pid


def test_a_pooler_refuses_options(database: str, tmp_path: Path) -> None:
    """If the pooler refuses a parameter of the address, the error is one line."""
    with (
        pgbouncer(database, "session", tmp_path) as pooled,
        pytest.raises(SourceError, match=r"refuses a parameter .*options.*; check DATABASE_URL"),
    ):
        connect(f"{pooled}?options=-c%20work_mem%3D5MB")


def test_advice_names_no_setting_that_is_not_there(cluster: Cluster) -> None:
    """An embedded server has no DATABASE_URL, so no error asks to correct it."""
    wrong = cluster.info.dsn.replace(f":{cluster.info.port}/", ":1/")
    for dsn in (wrong, cluster.info.dsn.replace("/playground?", "/nowhere?")):
        with pytest.raises(SourceError) as caught:
            connect(dsn)
        assert "DATABASE_URL" not in str(caught.value)
        assert "loadgen db" in str(caught.value)
    with connect(cluster.info.dsn) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS foreign_to_us ()")
        try:
            with pytest.raises(SourceError, match="`loadgen db reset`") as caught:
                migrate(conn, read_model("shop"))
        finally:
            conn.execute("DROP TABLE foreign_to_us")
    assert "DATABASE_URL" not in str(caught.value)
