"""Verification of whole copies: while the source moves, at a million rows, and where it can't."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from loadgen.destination.conventions import SOURCE_SCHEMA
from loadgen.destination.copies import MarkerProbe
from loadgen.destination.door import BusyError
from loadgen.destination.duckdb_door import DuckdbDoor
from loadgen.destination.postgres_door import PostgresDoor
from loadgen.destination.snowflake_connection import refusal
from loadgen.destination.snowflake_door import SnowflakeDoor
from loadgen.errors import DestinationError, SourceError
from loadgen.record import RunRecord
from loadgen.record_rows import DeletedRow
from loadgen.settings import load_settings
from loadgen.source.postgres import connect
from loadgen.verify.drain import wait_for_sentinel, write_sentinel
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.reconcile import Asked, load_runs, published, reconcile
from loadgen.workload.markers import find_markers
from tests.conftest import Cluster, Fakesnow, RunLoadgen
from tests.copies import tool_of
from tests.polling import wait_for
from tests.records import Made, write_run
from tests.replication import Subscription

RUN = "run-1"


def postgres_tool(dsn: str, more: str = "") -> Any:
    """Return a tool whose copy is a Postgres database."""
    return tool_of(f'kind = "postgres"\ndestination = "postgres"\nurl = "{dsn}"\n{more}')


def verified(source: str, copy: str, asked: Asked | None = None) -> ToolOutcome:
    """Return what verification finds of a copy in Postgres."""
    ours, theirs = PostgresDoor(source, is_source=True), PostgresDoor(copy)
    try:
        return reconcile(postgres_tool(copy), ours, published(ours), theirs, asked or Asked())
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
    """Yield a source with rows, and a true copy of it."""
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
                while written[0] < (time.monotonic() - began) * rate:
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
    """At 500 writes a second a true copy has no finding; what is wrong is found all the same."""
    source, copy = filled
    with writing(source, 500) as written:
        wait_for(lambda: written[0] > 200, "the first writes")
        found = verified(source, copy, Asked(lag=3))
        assert not found.findings
        assert found.verdict == "right"
        carried.do("UPDATE orders SET currency = 'XX' WHERE id = 3")
        carried.do("DELETE FROM events WHERE id = 5")
        found = verified(source, copy, Asked(lag=3))
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
        found = verified(source, copy, Asked(lag=1))
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
        found = verified(database, copy, Asked(tell=lambda _, now: told.append(now.share)))
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


def test_questions_wait_for_a_connection_where_there_are_few(database: str) -> None:
    """A role with a limit of one gets its answers, one after the other."""
    with connect(database) as conn:
        conn.execute("CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1")
        try:
            place = database.partition("@")[2]
            with (
                closing(PostgresDoor(f"postgresql://narrow:narrow@{place}")) as door,
                ThreadPoolExecutor(3) as pool,
            ):
                asked = "SELECT pg_backend_pid() FROM pg_sleep(0.1)"
                found = list(pool.map(lambda _: list(door.ask(asked)), range(6)))
            assert len({pid for ((pid,),) in found}) == 1
        finally:
            wait_for(
                lambda: (
                    not conn.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE usename = 'narrow'"
                    ).fetchall()
                ),
                "the end of its session",
            )
            conn.execute("DROP ROLE narrow")


def test_a_connection_that_is_cut_is_said_and_made_anew(database: str) -> None:
    """The question fails, in one line; the next one is answered."""
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'loadgen verify' AND datname = current_database()"
    )
    with closing(PostgresDoor(database)) as door, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: list(door.ask("SELECT 1 FROM pg_sleep(60)")))
        with connect(database) as conn:
            wait_for(lambda: conn.execute(cut.encode()).fetchall() == [(True,)], "its session")
        with pytest.raises(DestinationError, match="57P01"):
            asked.result(30)
        assert list(door.ask("SELECT 1")) == [(1,)]


def test_what_may_be_null_is_known(empty_database: str) -> None:
    """A constraint that was never checked rules nothing out; before Postgres 18 there is none."""
    with connect(empty_database) as conn:
        conn.execute("CREATE TABLE t (free int, kept int NOT NULL, late int, checked int)")
        conn.execute("INSERT INTO t VALUES (NULL, 1, NULL, 1)")
        conn.execute("ALTER TABLE t ADD NOT NULL late NOT VALID, ADD NOT NULL checked NOT VALID")
        conn.execute("ALTER TABLE t VALIDATE CONSTRAINT t_checked_not_null")
    with closing(PostgresDoor(empty_database)) as door:
        found = {column.name: column.nullable for column in door.tables("public")["t"]}
    assert found == {"free": True, "kept": False, "late": True, "checked": False}


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
    source = PostgresDoor(database, is_source=True)
    with connect(database) as conn:
        conn.execute("SELECT pg_advisory_lock(hashtext('loadgen watch'))")
        assert not load_runs(source)
        conn.execute("SELECT pg_advisory_lock(hashtext('loadgen load'))")
        assert load_runs(source)
    source.close()


def test_a_writer_s_lock_is_waited_for_and_then_busy(tmp_path: Path) -> None:
    """DuckDB lets in one writer: its lock file says so, and is not left locked."""
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    lock = tmp_path / "copy.duckdb.lock"
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="busy: its tool writes to it"):
            DuckdbDoor(file, patience=0.2).schemas()
        threading.Timer(0.3, fcntl.flock, (held, fcntl.LOCK_UN)).start()
        assert DuckdbDoor(file, patience=30).schemas() == ["main"]
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_writer_without_a_lock_file_is_busy_too(tmp_path: Path) -> None:
    """DuckDB itself tells of another process."""
    file = tmp_path / "copy.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(file)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(BusyError, match="busy"):
            DuckdbDoor(file, patience=0.1).schemas()
        writer.communicate(b"\n")


def test_a_writer_has_its_turn_while_questions_go_on(tmp_path: Path) -> None:
    """However many there are: they keep its tool from writing for a few seconds at a time."""
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    door = DuckdbDoor(file)
    through = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        while not through.is_set():
            answers.extend(number for (number,) in door.ask("SELECT count(*) FROM range(100000)"))

    def write() -> None:
        with file.with_name("copy.duckdb.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            duckdb.connect(str(file)).close()

    with ThreadPoolExecutor(3) as pool, door.reading():
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            for _ in range(2):
                answers.clear()
                wait_for(lambda: len(answers) > 10, "answers")
                pool.submit(write).result(30)
        finally:
            through.set()
        for one in asking:
            one.result(30)


def test_each_question_is_asked_in_utc(tmp_path: Path) -> None:
    """Wherever the machine is: a time with a zone is compared as it is written."""
    code = (
        "import sys; from pathlib import Path; "
        "from loadgen.destination.duckdb_door import DuckdbDoor; "
        "asked = DuckdbDoor(Path(sys.argv[1])).ask; "
        "print(*next(asked(\"SELECT CAST(TIMESTAMPTZ '2026-01-01 12:00:00+00' AS VARCHAR)\")))"
    )
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    said = subprocess.check_output(
        [sys.executable, "-c", code, str(file)], env={**os.environ, "TZ": "Asia/Tokyo"}, text=True
    )
    assert said.strip() == "2026-01-01 12:00:00+00"


MARKERS = [
    ("'loadgen_marker'", '{"run_id": "run-1", "sequence": 4}'),
    ("'loadgen_marker'", '{"run_id": "run-1", "sequence": 12}'),
    ("'loadgen_marker'", '{"run_id": "run-2", "sequence": 99}'),
    ("'view'", '{"run_id": "run-1", "sequence": 98}'),
]


def test_each_destination_tells_its_newest_marker(
    cluster: Cluster, fakesnow: Fakesnow, tmp_path: Path
) -> None:
    """Of the run that is asked for; None where there is none."""
    file = tmp_path / "copy.duckdb"
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        conn.execute("CREATE TABLE events (event_type text, properties jsonb)")
        with duckdb.connect(str(file)) as local:
            local.execute("CREATE TABLE events (event_type VARCHAR, properties JSON)")
            for kind, doc in MARKERS:
                local.execute(f"INSERT INTO events VALUES ({kind}, '{doc}')")
                conn.execute(f"INSERT INTO events VALUES ({kind}, '{doc}')".encode())
        with fakesnow.connect("MARKS") as cloud, cloud.cursor() as cursor:
            cursor.execute("CREATE TABLE EVENTS (EVENT_TYPE VARCHAR, PROPERTIES VARIANT)")
            for kind, doc in MARKERS:
                cursor.execute(f"INSERT INTO EVENTS SELECT {kind}, PARSE_JSON('{doc}')")
        tools = [
            postgres_tool(dsn),
            tool_of(f'kind = "dlt"\ndestination = "duckdb"\nfile = "{file}"\nschema = "main"'),
            tool_of('kind = "generic"\ndestination = "snowflake"\ndatabase = "MARKS"'),
        ]
        for tool in tools:
            probe = MarkerProbe(tool, load_settings(fakesnow.settings))
            assert probe.newest_marker(RUN) == 12, tool.destination
            assert probe.newest_marker("run-3") is None
            probe.close()


def test_our_questions_are_not_on_a_tools_bill() -> None:
    """They are asked on the warehouse of ours, and on the tool's only where there is no other."""
    snowflake = 'kind = "generic"\ndestination = "snowflake"\ndatabase = "D"\nwarehouse = "ITS"'
    ours = {"snowflake_host": "127.0.0.1", "snowflake_warehouse": "OURS"}
    for given, warehouse in ((ours, "OURS"), ({"snowflake_host": "127.0.0.1"}, "ITS")):
        door = SnowflakeDoor(tool_of(snowflake), load_settings(given))
        assert door.login()["warehouse"] == warehouse


def test_snowflake_is_told_a_key_and_never_a_password(tmp_path: Path) -> None:
    """What is missing is named; only an emulator goes without a key."""
    tool = tool_of('kind = "generic"\ndestination = "snowflake"\ndatabase = "D"\nrole = "R"')
    with pytest.raises(DestinationError, match="SNOWFLAKE_ACCOUNT is not set"):
        SnowflakeDoor(tool, load_settings({})).login()
    given = {"snowflake_account": "a", "snowflake_user": "u"}
    with pytest.raises(DestinationError, match="SNOWFLAKE_PRIVATE_KEY_PATH is not set"):
        SnowflakeDoor(tool, load_settings(given)).login()
    key = {**given, "snowflake_private_key_path": tmp_path / "key.p8"}
    door = SnowflakeDoor(tool, load_settings(key))
    assert "password" not in door.login()
    assert door.login()["role"] == "R"
    with pytest.raises(DestinationError, match="the private key can't be read"):
        door.schemas()
    (tmp_path / "key.p8").write_text("no key")
    with pytest.raises(DestinationError, match="the private key can't be read"):
        door.schemas()


def test_a_refused_key_is_told_from_an_account_that_is_away() -> None:
    """By words that are the connector's as far as we know: none were heard from an account."""
    expired = "250001 (08001): Failed to connect to DB: a.snowflakecomputing.com:443. JWT token is"
    assert "refuses the key" in refusal("snowflake://a/D", expired)
    tool = tool_of('kind = "generic"\ndestination = "snowflake"\ndatabase = "D"')
    nowhere = {"snowflake_host": "127.0.0.1", "snowflake_port": 9, "snowflake_protocol": "http"}
    with pytest.raises(DestinationError, match=r"can't reach snowflake://127\.0\.0\.1/D"):
        SnowflakeDoor(tool, load_settings(nowhere)).schemas()


def test_a_sentinel_is_the_run_s_next_marker(
    filled: tuple[str, str], carried: Subscription
) -> None:
    """It is waited for, and who does not show it in time is named."""
    source, copy = filled
    with connect(source) as conn:
        assert write_sentinel(conn) == (RUN, 1)
        run_id, sequence = write_sentinel(conn)
        assert [one.sequence for one in find_markers(conn, RUN, 0)] == [1, 2]
    tool = postgres_tool(copy)
    probe = MarkerProbe(tool, load_settings({}))
    assert wait_for_sentinel([probe], run_id, sequence, 60) == []
    carried.do("ALTER SUBSCRIPTION copy DISABLE")
    with connect(source) as conn:
        run_id, sequence = write_sentinel(conn)
    assert wait_for_sentinel([probe], run_id, sequence, 0.3) == ["copy"]
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
    """One line each, with the tool's name and what to do, and never a password."""
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
        "tool good: events: there is no table public.events",
        "tool good: users: the copy has no column plan",
        "tool no_schema: there is no schema landing: correct schema in [tools.no_schema]",
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
    assert "good: wrong, 1,500 rows of 4 tables" in done.stdout
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
    RunRecord.open(path).append_deletes([DeletedRow(at, "hard_deletes", key) for key in (1, 2)])
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


def test_a_drain_without_a_load_waits_for_the_sentinel(
    filled: tuple[str, str], carried: Subscription, project: Path, run_loadgen: RunLoadgen
) -> None:
    """A tool that has stopped did not converge, and what it lacks is named."""
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
    assert "the sentinel did not arrive in 0.5 s" in done.stdout
    assert "1 missing" in done.stdout


def test_without_tools_there_is_nothing_to_verify(
    database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """What to do is said, as it is of a tool that is not there."""
    done = run_loadgen("verify", env={"DATABASE_URL": database})
    assert done.returncode == 2
    assert "there is no tool to verify: copy tools.example.toml to tools.toml" in done.stderr
    (project / "tools.toml").write_text(TOOLS.format(copy="postgresql:///x"))
    done = run_loadgen("verify", "--tool", "god", env={"DATABASE_URL": database})
    assert done.returncode == 2
    assert "did you mean good?" in done.stderr


def test_a_source_without_the_publication_is_said(empty_database: str) -> None:
    """It is not the playground's."""
    source = PostgresDoor(empty_database, is_source=True)
    with pytest.raises(SourceError, match="no publication `loadgen`"):
        published(source)
    assert source.tables(SOURCE_SCHEMA) == {}
    source.close()
