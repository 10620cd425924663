"""Verification of whole copies: while the source moves, at a million rows, and if it can't run."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import SourceError
from loadgen.record.folder import RunRecord
from loadgen.record.rows import DeletedRow
from loadgen.source.markers import find_markers
from loadgen.source.postgres import connect
from loadgen.tools.conventions import SOURCE_SCHEMA
from loadgen.tools.readers.marker_probe import MarkerProbe
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.source_tables import published_tables
from loadgen.verify.drain import wait_for_sentinels, write_sentinel
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.reconcile import VerifyOptions, is_load_running, reconcile
from tests.conftest import Cluster, RunLoadgen
from tests.copies import postgres_tool
from tests.polling import wait_for
from tests.records import Made, write_run
from tests.replication import Subscription

RUN = "run-1"


def verified(source: str, copy: str, asked: VerifyOptions | None = None) -> ToolOutcome:
    """Return the outcome of verifying a copy in Postgres."""
    ours, theirs = PostgresReader(source, is_source=True), PostgresReader(copy)
    try:
        return reconcile(
            postgres_tool(copy), ours, published_tables(ours), theirs, asked or VerifyOptions()
        )
    finally:
        ours.close()
        theirs.close()


def fill(dsn: str, rows: int) -> None:
    """Write some rows into each table."""
    with connect(dsn) as conn:
        for table, columns, values in (
            ("users", "email, name, plan, country", "'e' || k, 'n', 'p', 'DE'"),
            ("orders", "order_number, user_id, status, quantity, amount, currency",
             "md5(k::text)::uuid, k, 'pending', 1, k, 'EUR'"),
            ("events", "event_id, user_id, event_type, properties",
             "md5(k::text)::uuid, k, 'view', jsonb_build_object('k', k)"),
        ):  # fmt: skip
            insert = f"INSERT INTO {table} ({columns}) SELECT {values}"
            conn.execute(f"{insert} FROM generate_series(1, {rows}) k".encode())


@pytest.fixture
def filled(cluster: Cluster, database: str) -> Iterator[tuple[str, str]]:
    """Yield a source with rows, and its true copy."""
    fill(database, 500)
    with connect(database) as conn:
        conn.execute("UPDATE loadgen_playground SET run_id = %s", (RUN,))
    with cluster.database(database.rpartition("/")[2]) as copy:
        with connect(copy) as conn:
            conn.execute("DROP PUBLICATION loadgen")
        yield database, copy


@pytest.fixture
def carried(filled: tuple[str, str]) -> Iterator[Subscription]:
    """Yield the replication from source to copy."""
    subscription = Subscription(*filled)
    yield subscription
    subscription.drop()


@contextmanager
def writing(dsn: str, rate: int) -> Iterator[list[int]]:
    """Write about so often a second, meanwhile committing some writes late; yield how many."""
    stopped, written = threading.Event(), [0]

    def write() -> None:
        with connect(dsn) as conn, connect(dsn, autocommit=False) as slow:
            conn.execute("SET synchronous_commit = off")
            began = time.monotonic()
            while not stopped.is_set():
                while not stopped.is_set() and written[0] < (time.monotonic() - began) * rate:
                    written[0] += 1
                    _write(conn, written[0])
                slow.execute("UPDATE orders SET quantity = quantity + 1 WHERE id = 7")
                stopped.wait(0.05)
                slow.commit()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        stopped.set()
        thread.join(30)


def _write(conn: psycopg.Connection[Any], k: int) -> None:
    if k % 3:
        conn.execute(
            "INSERT INTO events (event_id, event_type, properties) "
            "VALUES (gen_random_uuid(), 'view', '{}')"
        )
    else:
        conn.execute("UPDATE orders SET status = 'paid' WHERE id = %s", (k % 400 + 100,))


def test_a_moving_source_has_nothing_wrong(filled: tuple[str, str], carried: Subscription) -> None:
    """At 500 writes a second a true copy has no finding; faults are found all the same."""
    source, copy = filled
    with writing(source, 500) as written:
        wait_for(lambda: written[0] > 200, "the first writes")
        found = verified(source, copy, VerifyOptions(lag=3))
        assert not found.findings
        assert found.verdict == "right"
        carried.do("UPDATE orders SET currency = 'XX' WHERE id = 3")
        carried.do("DELETE FROM events WHERE id = 5")
        found = verified(source, copy, VerifyOptions(lag=3))
    places = [(one.table, one.key, one.kind) for one in found.findings]
    assert places[0] == ("events", "5", "missing")
    assert set(places[1:]) == {("orders", "3", "differs")}
    assert written[0] > 300


def test_what_does_not_arrive_while_the_source_moves_is_in_flight(
    filled: tuple[str, str], carried: Subscription
) -> None:
    """A tool that has stopped is not called wrong on rows that are touched again and again."""
    source, copy = filled
    carried.do("ALTER SUBSCRIPTION copy DISABLE")
    with connect(source) as conn:
        conn.execute("UPDATE users SET plan = 'new' WHERE id = 9")
    stopped = threading.Event()

    def touch() -> None:
        with connect(source) as conn:
            while not stopped.wait(0.02):
                conn.execute("UPDATE orders SET quantity = quantity + 1 WHERE id = 8")

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        wait_for(lambda: len(version(source, 8)) > 0, "the first write")
        found = verified(source, copy, VerifyOptions(lag=1))
    finally:
        stopped.set()
        thread.join(30)
    assert [(one.table, one.key, one.kind) for one in found.findings] == [("users", "9", "stale")]
    assert found.tables["orders"].in_flight == 1


def version(dsn: str, key: int) -> list[Any]:
    """Return an order's version, if it has been touched."""
    with connect(dsn) as conn:
        return conn.execute(
            "SELECT version FROM orders WHERE id = %s AND version > 0", (key,)
        ).fetchall()


def test_one_row_in_a_million_is_found(cluster: Cluster, database: str) -> None:
    """And little more than it is fetched."""
    with connect(database) as conn:
        conn.execute("DROP INDEX IF EXISTS users_updated_at_idx")
        conn.execute(
            "INSERT INTO users (email, name, plan, country) "
            "SELECT 'e' || k, 'n', 'p', 'DE' FROM generate_series(1, 1000000) k"
        )
        conn.execute("ALTER PUBLICATION loadgen SET TABLE users")
    with cluster.database(database.rpartition("/")[2]) as copy:
        with connect(copy) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.execute("UPDATE users SET plan = 'q' WHERE id = 654321")
        told: list[float] = []
        found = verified(
            database, copy, VerifyOptions(on_progress=lambda _, now: told.append(now.share))
        )
    assert [(one.key, one.column) for one in found.findings] == [("654321", "plan")]
    assert found.tables["users"].rows == 1_000_000
    assert told[-1] == 1.0
    assert len(told) >= 2


def test_rows_without_a_key_are_found(filled: tuple[str, str]) -> None:
    """No range of keys holds them."""
    source, copy = filled
    with connect(copy) as conn:
        conn.execute("ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE")
        conn.execute("ALTER TABLE users ALTER id DROP IDENTITY, ALTER id DROP NOT NULL")
        conn.execute("INSERT INTO users (email, name, plan, country) VALUES ('e', 'n', 'p', 'DE')")
    (found,) = verified(source, copy).findings
    assert (found.table, found.key, found.kind) == ("users", "None", "extra")


@pytest.mark.parametrize("estimate", [-1, 3, 500, 5_000_000])
def test_an_empty_copy_lacks_every_row(filled: tuple[str, str], estimate: int) -> None:
    """All are counted, some are shown, whatever the planner takes the source's rows to be."""
    source, copy = filled
    with connect(copy) as conn:
        conn.execute("TRUNCATE users, orders, events")
    with connect(source) as conn:
        tables = "('users', 'orders', 'events')"
        change = f"UPDATE pg_class SET reltuples = {estimate} WHERE relname IN {tables}"
        conn.execute(change.encode())
    found = verified(source, copy)
    assert found.totals == {"missing": 1500}
    assert len(found.findings) == 300


def test_a_load_s_lock_tells_that_the_source_moves(database: str) -> None:
    """And nothing else does."""
    source = PostgresReader(database, is_source=True)
    with connect(database) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext('loadgen watch'))")
        assert not is_load_running(source)
        conn.execute("SELECT pg_advisory_lock(hashtext('loadgen load'))")
        assert is_load_running(source)
    source.close()


def test_sentinels_are_the_run_s_next_markers(
    filled: tuple[str, str], carried: Subscription
) -> None:
    """Two are waited for, one after the other; who does not show them in time is named."""
    source, copy = filled
    with connect(source) as conn:

        def write() -> tuple[str, int]:
            return write_sentinel(conn)

        probe = MarkerProbe(postgres_tool(copy), load_settings({}))
        assert wait_for_sentinels([(probe, 60)], write) == []
        assert [one.sequence for one in find_markers(conn, RUN, 0)] == [1, 2]
        carried.do("ALTER SUBSCRIPTION copy DISABLE")
        assert wait_for_sentinels([(probe, 0.3)], write) == ["copy"]
        assert [one.sequence for one in find_markers(conn, RUN, 0)] == [1, 2, 3]
    probe.close()


TOOLS = """
[tools.good]
kind = "postgres"
destination = "postgres"
url = "{copy}"

[tools.no_schema]
kind = "postgres"
destination = "postgres"
url = "{copy}"
schema = "landing"

[tools.no_rights]
kind = "postgres"
destination = "postgres"
url_env = "STRANGER_URL"

[tools.away]
kind = "postgres"
destination = "postgres"
url = "postgresql://u:hunter2@127.0.0.1:9/none"

[tools.unset]
kind = "postgres"
destination = "postgres"
url_env = "NO_SUCH_URL"

[tools.no_file]
kind = "dlt"
destination = "duckdb"
file = "none.duckdb"
schema = "s"

[tools.stopped]
kind = "postgres"
destination = "postgres"
runner = "replication"

[tools.no_key]
kind = "fivetran"
destination = "snowflake"
database = "D"
schema = "S"
"""


def test_what_can_t_be_checked_is_said_and_the_rest_is_checked(
    filled: tuple[str, str], project: Path, run_loadgen: RunLoadgen
) -> None:
    """One line each, with the tool's name and advice, and never a password."""
    source, copy = filled
    with connect(copy) as conn:
        conn.execute("DROP TABLE IF EXISTS events")
        conn.execute("ALTER TABLE users DROP COLUMN plan")
        conn.execute("DROP ROLE IF EXISTS stranger")
        conn.execute("CREATE ROLE stranger LOGIN PASSWORD 'hunter2'")
    address = copy.partition("@")[2]
    env = {
        "DATABASE_URL": source,
        "STRANGER_URL": f"postgresql://stranger:hunter2@{address}",
    }
    write_run(project / "reports", Made(seconds=2), RUN)
    (project / "tools.toml").write_text(TOOLS.format(copy=copy))
    done = run_loadgen("verify", env=env)
    with connect(copy) as conn:
        conn.execute("DROP ROLE stranger")
    assert done.returncode == 2, done.stderr
    for line in (
        "tool good: events: no table events in public; there are ",
        "tool good: users: the copy has no column plan",
        "tool no_schema: no schema landing at postgresql://",
        "tool no_rights: orders: permission denied for table orders: GRANT SELECT on it",
        "tool away: can't reach Postgres at 127.0.0.1:9",
        "tool unset: url_env is NO_SUCH_URL, which is not set",
        "tool no_file: none.duckdb is not there",
        "tool stopped: no Postgres runs in .loadgen/tools/stopped: start it with `loadgen tools",
        "tool no_key: SNOWFLAKE_ACCOUNT is not set",
    ):
        assert line in done.stdout, line
    assert "hunter2" not in done.stdout + done.stderr
    kept = json.loads((project / "reports" / RUN / "verify.json").read_text())
    assert set(kept["tools"]) == {
        "good", "no_schema", "no_rights", "away", "unset", "no_file", "stopped", "no_key",
    }  # fmt: skip
    assert kept["tools"]["good"]["tables"]["orders"] == {
        "rows": 500, "destination_rows": 500, "in_flight": 0,
    }  # fmt: skip


def test_findings_are_shown_kept_and_hidden(
    filled: tuple[str, str], project: Path, run_loadgen: RunLoadgen
) -> None:
    """A table for people, JSON for programs, verify.json in the run's folder; exit code 1."""
    source, copy = filled
    with connect(copy) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("UPDATE users SET email = 'who@example' WHERE id = 77")
    (project / "tools.toml").write_text(TOOLS.partition("[tools.no_schema]")[0].format(copy=copy))
    done = run_loadgen("verify", env={"DATABASE_URL": source})
    assert done.returncode == 1, done.stderr
    assert "; 1,500 rows of 5 tables compared (" in done.stdout
    assert "who@example" in done.stdout
    assert not (project / "reports").exists()
    write_run(project / "reports", Made(seconds=2), RUN)
    done = run_loadgen("verify", "--json", "--mask", env={"DATABASE_URL": source})
    assert done.returncode == 1
    printed = json.loads(done.stdout)["tools"]["good"]
    kept = json.loads((project / "reports" / RUN / "verify.json").read_text())
    assert kept["tools"]["good"] == printed
    assert printed["totals"] == {"differs": 1}
    assert printed["findings"] == [
        {
            "table": "users", "key": "77", "column": "email", "kind": "differs",
            "source": "*** (3 characters)", "destination": "*** (11 characters)",
        }
    ]  # fmt: skip


def test_a_row_that_is_there_again_after_being_gone_is_resurrected(
    filled: tuple[str, str], project: Path, run_loadgen: RunLoadgen
) -> None:
    """Seen by two verifications, of the keys that the record holds; the report says so too."""
    source, copy = filled
    with connect(source) as conn:
        conn.execute(
            "INSERT INTO hard_cases (case_name) SELECT 'hard_deletes' FROM generate_series(1, 2)"
        )
        conn.execute("DELETE FROM hard_cases")
    path = write_run(project / "reports", Made(seconds=2), RUN)
    at = datetime.now(UTC)
    RunRecord.open(path).append([DeletedRow(at, "hard_deletes", key) for key in (1, 2)])
    (project / "tools.toml").write_text(TOOLS.partition("[tools.no_schema]")[0].format(copy=copy))
    plant = "INSERT INTO hard_cases (id, case_name) VALUES (%s, 'hard_deletes')"

    def found() -> dict[str, Any]:
        run_loadgen("verify", env={"DATABASE_URL": source})
        tool: dict[str, Any] = json.loads((path / "verify.json").read_text())["tools"]["good"]
        return tool

    with connect(copy) as conn:
        conn.execute(plant, (1,))
        first = found()  # the second row is gone by now
        assert first["totals"] == {"not_deleted": 1}
        conn.execute(plant, (2,))
        second = found()
        assert second["totals"] == {"not_deleted": 1, "resurrected": 1}
        assert {one["key"]: one["kind"] for one in second["findings"]} == {
            "1": "not_deleted", "2": "resurrected",
        }  # fmt: skip
    done = run_loadgen("verify", env={"DATABASE_URL": source})
    assert "1 not_deleted, 1 resurrected" in done.stdout
    assert "wrong (2 of 2), NOT EXPECTED" in done.stdout
    assert run_loadgen("report", env={"DATABASE_URL": source}).returncode == 0
    assert "wrong (2 of 2), NOT EXPECTED" in (path / "report.html").read_text()
    assert "wrong (2 of 2), NOT EXPECTED" in (path / "report.md").read_text()
    # The run may be named, but only that whose rows the source has now.
    write_run(project / "reports", Made(seconds=2), "another")
    for arguments in ((RUN,), ("--run", RUN)):
        done = run_loadgen("verify", *arguments, env={"DATABASE_URL": source})
        assert f"{RUN}/verify.json" in done.stdout, done.stderr
    done = run_loadgen("verify", "another", env={"DATABASE_URL": source})
    assert done.returncode == 2
    assert f"run another is not the last one on this database, which is {RUN}" in done.stderr


def test_a_drain_without_a_load_waits_for_the_sentinel(
    filled: tuple[str, str], carried: Subscription, project: Path, run_loadgen: RunLoadgen
) -> None:
    """A tool that has stopped did not converge, and its missing rows are reported."""
    source, copy = filled
    (project / "tools.toml").write_text(TOOLS.partition("[tools.no_schema]")[0].format(copy=copy))
    arguments = ("verify", "--drain", "--lag", "0.2", "--drain-seconds")
    done = run_loadgen(*arguments, "60", env={"DATABASE_URL": source})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sentinel 1 is written" in done.stderr
    carried.do("ALTER SUBSCRIPTION copy DISABLE")
    done = run_loadgen(*arguments, "0.5", env={"DATABASE_URL": source})
    assert done.returncode == 1
    assert "good: did not converge" in done.stdout
    assert "the sentinels did not arrive in 0.5 s" in done.stdout
    assert "1 missing" in done.stdout


def test_without_tools_there_is_nothing_to_verify(
    database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """The error says how to continue, also for a tool that does not exist."""
    done = run_loadgen("verify", env={"DATABASE_URL": database})
    assert done.returncode == 2
    assert "there is no tool to verify: copy tools.example.toml to tools.toml" in done.stderr
    (project / "tools.toml").write_text(TOOLS.format(copy="postgresql:///x"))
    done = run_loadgen("verify", "--tool", "god", env={"DATABASE_URL": database})
    assert done.returncode == 2
    assert "did you mean good?" in done.stderr


def test_a_source_without_the_publication_is_said(empty_database: str) -> None:
    """It is not the playground's."""
    source = PostgresReader(empty_database, is_source=True)
    with pytest.raises(SourceError, match="no publication `loadgen`"):
        published_tables(source)
    assert source.tables(SOURCE_SCHEMA) == {}
    source.close()
