"""The connection class on a real server: waits overlap, commits count only when done, losses show.

Everything runs in subprocesses, so that gevent's patch never reaches the other tests.
"""

import subprocess
import sys
import textwrap

from tests.conftest import clean_environment


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_fifty_users_asleep_in_the_server_overlap(database: str) -> None:
    """While one user waits for the server the others go on: 50 sleeps of 1 s take about 1 s."""
    done = run_python(
        """
        import locust, sys, time, gevent
        from loadgen.gevent_connection import GeventConnection
        nap = {"nap": "SELECT pg_sleep(1)"}
        connections = [GeventConnection(sys.argv[1], nap) for _ in range(50)]
        ticks = []
        gevent.spawn(lambda: [ticks.append(gevent.sleep(0.05)) for _ in range(1000)])
        started = time.monotonic()
        naps = [gevent.spawn(c.execute, b"nap", ()) for c in connections]
        gevent.joinall(naps, raise_error=True)
        print(time.monotonic() - started, len(ticks), {nap.value.sqlstate for nap in naps})
        """,
        database,
    )
    assert done.returncode == 0, done.stderr
    seconds, ticks, states = done.stdout.split()
    assert 1 <= float(seconds) < 25  # one after the other they would take 50
    assert int(ticks) >= 5
    assert states == "{None}"


def test_an_answer_tells_rows_and_sqlstate(database: str) -> None:
    """Rows touched, and the SQLSTATE of what the server refuses; the connection stays usable."""
    done = run_python(
        """
        import locust, sys
        from loadgen.gevent_connection import GeventConnection
        c = GeventConnection(sys.argv[1], {
            "one": "INSERT INTO users(email, name, plan, country) VALUES ($1, 'n', 'p', 'DE')",
            "none": "UPDATE users SET name = 'x' WHERE id = $1",
            "bad": "SELECT 1 / $1::int",
        })
        print(*c.execute(b"one", (b"a@b",)))
        print(*c.execute(b"none", (b"-1",)))
        print(*c.execute(b"bad", (b"0",)))
        print(*c.execute(b"one", (b"c@d",)))
        """,
        database,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["None 1", "None 0", "22012 0", "None 1"]


def test_an_error_at_commit_is_an_error(database: str) -> None:
    """A deferred constraint fails after the command is complete: that is no commit."""
    done = run_python(
        """
        import locust, sys, psycopg
        from loadgen.gevent_connection import GeventConnection
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            admin.execute("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            admin.execute("INSERT INTO t VALUES (1)")
        c = GeventConnection(sys.argv[1], {"again": "INSERT INTO t VALUES ($1)"})
        print(c.execute(b"again", (b"1",)))
        """,
        database,
    )
    assert done.stdout.strip() == "Answer(sqlstate='23505', rows=1)", done.stderr


def test_a_cut_connection_leaves_the_outcome_unknown(database: str) -> None:
    """When the backend is terminated in the middle of a write the answer is lost, and says why."""
    done = run_python(
        """
        import locust, sys, gevent, psycopg
        from loadgen.gevent_connection import ConnectionLost, GeventConnection
        c = GeventConnection(sys.argv[1], {"nap": "SELECT pg_sleep(30)"})
        nap = gevent.spawn(c.execute, b"nap", ())
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
    )
    assert done.stdout.strip() == "57P01", done.stderr


def test_a_statement_that_can_not_be_prepared_is_said_at_once(database: str) -> None:
    """A missing table is found when the user connects, not at the first write."""
    done = run_python(
        """
        import locust, sys
        from loadgen.gevent_connection import GeventConnection
        GeventConnection(sys.argv[1], {"lost": "SELECT * FROM nowhere"})
        """,
        database,
    )
    assert "OperationalError: preparing lost: SQLSTATE 42P01" in done.stderr


def test_several_under_way_are_several_commits(database: str) -> None:
    """In a pipeline each statement is answered on its own, in order, and commits on its own."""
    done = run_python(
        """
        import locust, sys, gevent, psycopg
        from loadgen.gevent_connection import PipelinedConnection
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            admin.execute("CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED, x xid8)")
        c = PipelinedConnection(sys.argv[1], {
            "put": "INSERT INTO t VALUES ($1, pg_current_xact_id())", "bad": "SELECT 1 / $1::int",
            "nap": "SELECT pg_sleep(30)",
        })
        answers = []
        c.on_answer = lambda sqlstate, rows: answers.append((sqlstate, rows))
        for n in (b"1", b"2", b"1", b"3"):
            c.send(b"put", (n,))
        c.send(b"bad", (b"0",))
        c.send(b"put", (b"4",))
        while len(answers) < 6:
            gevent.sleep(0.01)
        print(answers)
        with psycopg.connect(sys.argv[1]) as admin:
            found = admin.execute("SELECT array_agg(n ORDER BY n), count(DISTINCT x) FROM t")
            print(found.fetchone())
        lost = []
        c.on_loss = lost.append
        c.send(b"nap", ())
        c.send(b"put", (b"5",))
        gevent.sleep(0.2)
        with psycopg.connect(sys.argv[1], autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (c.backend_pid,))
        while not lost:
            gevent.sleep(0.01)
        print(*lost)
        """,
        database,
    )
    assert done.stdout.splitlines() == [
        "[(None, 1), (None, 1), ('23505', 1), (None, 1), ('22012', 0), (None, 1)]",
        "([1, 2, 3, 4], 4)",
        "57P01",
    ], done.stderr


def test_psycopg_before_locust_is_refused() -> None:
    """That order would block the whole process at every query, without an error."""
    done = run_python("import psycopg, locust, loadgen.gevent_connection")
    assert "psycopg was imported before locust" in done.stderr
    done = run_python("import loadgen.gevent_connection")
    assert "import locust before loadgen.gevent_connection" in done.stderr


def test_every_entry_imports_in_the_right_order() -> None:
    """The locustfile and each module at Locust's rim can be imported first."""
    for module in ("users", "listeners", "engine.run", "engine.swarm", "page.locust_page"):
        done = run_python(f"import loadgen.{module}")
        assert done.returncode == 0, done.stderr
