"""The connections on a real server: waits overlap, commits count only when done, losses show.

Both kinds are held to the same: the one that speaks the protocol itself, and libpq's.
Everything runs in subprocesses, so that gevent's patch never reaches the other tests.
"""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadgen.source.postgres import connect
from tests.conftest import Cluster, clean_environment
from tests.tls import tls

# The beginning of each script: `new(statements)` makes a connection of the kind under test.
PRELUDE = """
import locust, sys, time, gevent
from loadgen.load.driver.libpq import ConnectionLost, GeventConnection
from loadgen.load.driver.plain import PlainConnection, connect
from loadgen.load.driver.wire import execution, transaction
from loadgen.source import postgres
compiled = PlainConnection  # lent to the compiled loop
new = lambda prepare: globals()[sys.argv[2]](postgres.connect(sys.argv[1]), prepare)
"""
KINDS = ("PlainConnection", "GeventConnection")
# How arrivals are sent: from gevent's hub by either kind, or by the compiled loop.
PATHS = (*KINDS, "compiled")
each_path = pytest.mark.parametrize("path", PATHS)
each_kind = pytest.mark.parametrize("kind", KINDS)


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=clean_environment(gevent=True),
        capture_output=True,
        text=True,
        timeout=300,  # the first time, the compiled loop is compiled
        check=False,
    )


def on_server(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` after the prelude."""
    return run_python(PRELUDE + textwrap.dedent(code), *arguments)


@each_kind
def test_fifty_users_asleep_in_the_server_overlap(database: str, kind: str) -> None:
    """While one user waits for the server the others continue: 50 sleeps of 1 s take about 1 s."""
    done = on_server(
        """
        nap = {"nap": "SELECT pg_sleep(1)"}
        connections = [new(nap) for _ in range(50)]
        ticks = []
        gevent.spawn(lambda: [ticks.append(gevent.sleep(0.05)) for _ in range(1000)])
        started = time.monotonic()
        naps = [gevent.spawn(c.execute, execution(b"nap", ())) for c in connections]
        gevent.joinall(naps, raise_error=True)
        print(time.monotonic() - started, len(ticks), {nap.value.sqlstate for nap in naps})
        """,
        database,
        kind,
    )
    assert done.returncode == 0, done.stderr
    seconds, ticks, states = done.stdout.split()
    assert 1 <= float(seconds) < 25  # one after the other they would take 50
    assert int(ticks) >= 5
    assert states == "{None}"


@each_kind
def test_an_answer_tells_rows_and_sqlstate(database: str, kind: str) -> None:
    """Rows touched, and the SQLSTATE of what the server refuses; the connection stays usable."""
    done = on_server(
        """
        c = new({
            "one": "INSERT INTO users(email, name, plan, country) VALUES ($1, 'n', 'p', 'DE')",
            "none": "UPDATE users SET name = 'x' WHERE id = $1",
            "bad": "SELECT 1 / $1::int",
            "many": "SELECT repeat('x', 100) FROM generate_series(1, $1::int)",
        })
        print(*c.execute(execution(b"one", (b"a@b",))))
        print(*c.execute(execution(b"none", (b"-1",))))
        print(*c.execute(execution(b"bad", (b"0",))))
        print(*c.execute(execution(b"many", (b"30000",))))
        print(*c.execute(execution(b"one", (b"c@d",))))
        """,
        database,
        kind,
    )
    assert done.returncode == 0, done.stderr
    told = ["None (1,)", "None (0,)", "22012 ()", "None (30000,)", "None (1,)"]
    assert done.stdout.splitlines() == told


@each_kind
def test_a_request_that_the_socket_has_no_room_for_is_sent_whole(database: str, kind: str) -> None:
    """Eight megabytes arrive byte by byte unchanged, and so does the next request."""
    done = on_server(
        """
        c = new({"wide": "INSERT INTO t VALUES ($1)", "short": "INSERT INTO t VALUES ($1)"})
        wide = b"".join(b"%07d," % n for n in range(1_000_000))
        print(*c.execute(execution(b"wide", (wide,))), *c.execute(execution(b"short", (b"x",))))
        """,
        database_with(database, "CREATE TABLE t (x text)"),
        kind,
    )
    assert done.stdout.split() == ["None", "(1,)", "None", "(1,)"], done.stderr
    with connect(database) as admin:
        found = admin.execute("SELECT length(x), md5(x) FROM t ORDER BY 1").fetchall()
        wide = "SELECT md5(string_agg(lpad(n::text, 7, '0') || ',', '' ORDER BY n)) "
        (md5,) = admin.execute(wide + "FROM generate_series(0, 999999) n").fetchone() or ("",)
    assert found[0][0] == 1
    assert found[1] == (8_000_000, md5)


@each_kind
def test_an_error_at_commit_is_an_error(database: str, kind: str) -> None:
    """A deferred constraint fails after the command is complete: that is no commit."""
    done = on_server(
        """
        c = new({"again": "INSERT INTO t VALUES ($1)"})
        print(c.execute(execution(b"again", (b"1",))))
        """,
        database_with(
            database,
            "CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
            "INSERT INTO t VALUES (1)",
        ),
        kind,
    )
    assert done.stdout.strip() == "Answer(sqlstate='23505', rows=())", done.stderr


@each_kind
def test_a_cut_connection_leaves_the_outcome_unknown(database: str, kind: str) -> None:
    """When the backend is terminated in the middle of a write the answer is lost, and says why."""
    done = on_server(
        """
        import psycopg
        c = new({"nap": "SELECT pg_sleep(30)"})
        nap = gevent.spawn(c.execute, execution(b"nap", ()))
        gevent.sleep(0.2)
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (c.backend_pid,))
        nap.join()
        assert isinstance(nap.exception, ConnectionLost), nap.exception
        print(nap.exception.sqlstate)
        c.close()
        c.close()
        """,
        database,
        kind,
    )
    assert done.stdout.strip() == "57P01", done.stderr


@each_kind
def test_a_connection_that_breaks_while_idle_is_lost(database: str, kind: str) -> None:
    """The loss is reported though no request is under way, and a later send raises an error."""
    done = on_server(
        """
        import psycopg
        c = new({"one": "SELECT 1"})
        lost = []
        c.on_loss = lost.append
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", (c.backend_pid,))
        while not lost:
            gevent.sleep(0.01)
        try:
            for _ in range(3):
                c.send(execution(b"one", ()))
                gevent.sleep(0.05)
        except psycopg.OperationalError:
            print("lost")
        """,
        database,
        kind,
    )
    assert done.stdout.strip() == "lost", done.stderr


@each_kind
def test_a_statement_that_can_not_be_prepared_is_said_at_once(database: str, kind: str) -> None:
    """A missing table is found when the user connects, not at the first write."""
    done = on_server('new({"lost": "SELECT * FROM nowhere"})', database, kind)
    line = 'preparing lost: relation "nowhere" does not exist (SQLSTATE 42P01)'
    assert f"OperationalError: {line}\n" in done.stderr


@each_kind
def test_several_statements_are_one_transaction(database: str, kind: str) -> None:
    """They commit together, with the rows that each touched, or not at all; NULL stays NULL."""
    done = on_server(
        """
        c = new({
            "put": "INSERT INTO t VALUES ($1, $2, pg_current_xact_id())",
            "mark": "UPDATE t SET label = $2 WHERE n >= $1", "drop": "DELETE FROM t WHERE n = $1",
        })
        put = lambda n, label=None: (b"put", (b"%d" % n, label))
        for executions in (
            [put(1), put(2, b""), put(3, b"c")],
            [put(4), put(1), put(5)],
            [(b"mark", (b"2", b"m")), (b"drop", (b"9",)), put(6)],
            [(b"mark", (b"8", b"m")), (b"drop", (b"9",))],
            [put(7)] * 2,
            [put(8, b"")],
        ):
            print(*c.execute(transaction(executions)))
        """,
        database_with(
            database,
            "CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED, label text, x xid8)",
            "CREATE UNIQUE INDEX ON t (n) WHERE n < 7",  # checked at once
        ),
        kind,
    )
    assert done.stdout.splitlines() == [
        "None (1, 1, 1)",
        "23505 ()",
        "None (2, 0, 1)",
        "None (0, 0)",
        "23505 ()",
        "None (1,)",
    ], done.stderr
    with connect(database) as admin:
        rows = admin.execute("SELECT n, label, dense_rank() OVER (ORDER BY x) FROM t").fetchall()
    assert sorted(rows) == [(1, None, 1), (2, "m", 1), (3, "m", 1), (6, None, 2), (8, "", 3)]


@each_kind
def test_a_connection_that_is_cut_inside_a_transaction_is_lost(database: str, kind: str) -> None:
    """No answer is given, though the first statement was complete; nothing of it stays."""
    done = on_server(
        """
        import psycopg
        c = new({"put": "INSERT INTO t VALUES ($1)", "nap": "SELECT pg_sleep(30)"})
        request = transaction([(b"put", (b"1",)), (b"nap", ()), (b"put", (b"2",))])
        nap = gevent.spawn(c.execute, request)
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            state = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
            while admin.execute(state, (c.backend_pid,)).fetchone() != ("PgSleep",):
                gevent.sleep(0.01)
            admin.execute("SELECT pg_terminate_backend(%s)", (c.backend_pid,))
        nap.join()
        assert isinstance(nap.exception, ConnectionLost), nap.exception
        print(nap.exception.sqlstate)
        """,
        database_with(database, "CREATE TABLE t (n int)"),
        kind,
    )
    assert done.stdout.strip() == "57P01", done.stderr
    with connect(database) as admin:
        assert admin.execute("SELECT count(*) FROM t").fetchone() == (0,)


@each_kind
def test_several_under_way_are_several_commits(database: str, kind: str) -> None:
    """In a pipeline each statement is answered on its own, in order, and commits on its own."""
    done = on_server(
        """
        import psycopg
        c = new({
            "put": "INSERT INTO t VALUES ($1, pg_current_xact_id())", "bad": "SELECT 1 / $1::int",
            "nap": "SELECT pg_sleep(30)",
        })
        answers = []
        c.on_answer = lambda sqlstate, rows: answers.append((sqlstate, rows))
        for n in (b"1", b"2", b"1", b"3"):
            c.send(execution(b"put", (n,)))
        c.send(execution(b"bad", (b"0",)))
        c.send(execution(b"put", (b"4",)))
        while len(answers) < 6:
            gevent.sleep(0.01)
        print(answers)
        with psycopg.connect(sys.argv[1]) as admin:
            found = admin.execute("SELECT array_agg(n ORDER BY n), count(DISTINCT x) FROM t")
            print(found.fetchone())
        lost = []
        c.on_loss = lost.append
        c.send(execution(b"nap", ()))
        c.send(execution(b"put", (b"5",)))
        gevent.sleep(0.2)
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (c.backend_pid,))
        while not lost:
            gevent.sleep(0.01)
        print(*lost)
        """,
        database_with(
            database, "CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED, x xid8)"
        ),
        kind,
    )
    assert done.stdout.splitlines() == [
        "[(None, (1,)), (None, (1,)), ('23505', ()), (None, (1,)), ('22012', ()), (None, (1,))]",
        "([1, 2, 3, 4], 4)",
        "57P01",
    ], done.stderr


def test_what_is_sent_while_answers_are_told_follows_in_order(database: str) -> None:
    """Twenty under way, each answer followed by another write at once: all of them arrive."""
    done = on_server(
        """
        c = new({"put": "INSERT INTO t VALUES ($1)"})
        told, sent = [], 20
        def answered(sqlstate, rows):
            global sent
            told.append((sqlstate, rows))
            if sent < 5000:
                c.send(execution(b"put", (b"%d" % sent,)))
                sent += 1
        c.on_answer = answered
        for n in range(20):
            c.send(execution(b"put", (b"%d" % n,)))
        while len(told) < 5000:
            gevent.sleep(0.01)
        print(set(told))
        """,
        database_with(
            database, "CREATE TABLE t (n int PRIMARY KEY, id int GENERATED ALWAYS AS IDENTITY)"
        ),
        "PlainConnection",
    )
    assert done.stdout.strip() == "{(None, (1,))}", done.stderr
    with connect(database) as admin:
        asked = "SELECT count(*), count(*) FILTER (WHERE n = id - 1) FROM t"
        assert admin.execute(asked).fetchone() == (5000, 5000)


@pytest.fixture
def encrypting(debian_cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """Let the server accept TLS for the length of a test."""
    with tls(debian_cluster, tmp_path):
        yield debian_cluster


@pytest.mark.parametrize(
    ("mode", "kind", "encrypted"),
    [("disable", "PlainConnection", "f"), ("require", "GeventConnection", "t")],
)
def test_what_is_encrypted_stays_with_libpq(
    encrypting: Cluster, mode: str, kind: str, encrypted: str
) -> None:
    """The server sees TLS if the address requires it, and writes are answered either way."""
    with encrypting.database("migrated_template") as dsn:
        done = on_server(
            """
            import psycopg
            c = connect(sys.argv[1], {
                "one": "INSERT INTO users(email, name, plan, country) VALUES ($1, 'n', 'p', 'DE')",
                "many": "UPDATE users SET name = coalesce($1, 'x') WHERE id > 0",
            })
            print(type(c).__name__, c.execute(execution(b"one", (b"a@b",))).rows)
            one = lambda email: (b"one", (email,))
            print(*c.execute(transaction([one(b"c@d"), (b"many", (None,)), one(b"e@f")])))
            print(*c.execute(transaction([one(b"g@h"), one(None), one(b"i@j")])))
            with psycopg.connect(sys.argv[1]) as admin:
                ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = %s"
                print(str(admin.execute(ssl, (c.backend_pid,)).fetchone()[0])[0].lower())
            """,
            f"{dsn}?sslmode={mode}",
        )
        with connect(dsn) as admin:
            users = admin.execute("SELECT email, name FROM users ORDER BY 1").fetchall()
    assert done.stdout.splitlines() == [
        f"{kind} (1,)",
        "None (1, 2, 1)",
        "23502 ()",
        encrypted,
    ], done.stderr
    assert users == [("a@b", "x"), ("c@d", "x"), ("e@f", "n")]


def database_with(dsn: str, *statements: str) -> str:
    """Run `statements` in a database, and return its DSN."""
    with connect(dsn) as admin:
        for statement in statements:
            admin.execute(statement.encode())
    return dsn


def test_psycopg_before_locust_is_refused() -> None:
    """That order would block the whole process at every query, without an error."""
    done = run_python("import psycopg, locust, loadgen.load.driver.libpq")
    assert "psycopg was imported before locust" in done.stderr
    done = run_python("import loadgen.load.driver.libpq")
    assert "import locust before loadgen.load.driver.libpq" in done.stderr


def test_every_entry_imports_in_the_right_order() -> None:
    """The locustfile and each module at Locust's rim can be imported first."""
    for module in ("load.user", "load.listeners", "load.run", "load.local_swarm", "load.web_ui"):
        done = run_python(f"import loadgen.{module}")
        assert done.returncode == 0, done.stderr
