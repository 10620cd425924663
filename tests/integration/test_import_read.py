"""An import's reading of a database: statistics and shapes, as far as the role's rights reach."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadgen.errors import SourceError
from loadgen.source.embedded import server
from loadgen.source.embedded.account import server_account
from loadgen.source.embedded.binaries import find_binaries
from loadgen.source.imported import database_digests
from loadgen.source.importing.catalogue_ddl import catalogue_ddl
from loadgen.source.importing.dependencies import needed_objects
from loadgen.source.importing.read import ReadOptions, read_database
from loadgen.source.importing.selection import select_tables
from loadgen.source.importing.session import APPLICATION, snapshot
from loadgen.source.postgres import connect
from loadgen.workload.importing.facts import (
    ColumnFacts,
    DatabaseFacts,
    TableFacts,
    WriteCounts,
)
from loadgen.workload.importing.write import WriteOptions, write_model
from tests.conftest import Cluster, find_free_port
from tests.granting import as_user, ignore
from tests.polling import wait_for

SOURCE = (Path(__file__).parents[1] / "importing.sql").read_text(encoding="utf-8")


def read(dsn: str, **options: object) -> DatabaseFacts:
    """Return the facts of a database."""
    return read_database(dsn, ReadOptions(**options), ignore)  # type: ignore[arg-type]


def table(facts: DatabaseFacts, name: str) -> TableFacts:
    """Return a table of the facts."""
    return next(table for table in facts.tables if table.name == name)


def column(facts: DatabaseFacts, table_name: str, name: str) -> ColumnFacts:
    """Return a column of a table."""
    return next(column for column in table(facts, table_name).columns if column.name == name)


def run(dsn: str, *statements: str) -> None:
    """Run statements in a database."""
    with connect(dsn) as conn:
        for statement in statements:
            conn.execute(statement.encode())


@pytest.fixture
def source(each_empty_database: str) -> str:
    """Return the DSN of a database with everything in it, analyzed, on each server in turn."""
    run(each_empty_database, SOURCE)
    run(each_empty_database, "ANALYZE")
    return each_empty_database


@contextmanager
def role(dsn: str, *grants: str) -> Iterator[str]:
    """Yield the DSN of a user who has some rights; it is gone afterwards."""
    name = f"importer_{os.getpid()}"
    run(dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'secret'", *(g.format(name) for g in grants))
    try:
        yield as_user(dsn, name, "secret")
    finally:
        run(dsn, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@contextmanager
def locked(dsn: str, lock: str) -> Iterator[None]:
    """Hold a lock in another session."""
    with psycopg.connect(dsn) as conn:
        conn.execute(lock.encode())
        yield
        conn.rollback()


def sessions(conn: psycopg.Connection[Any]) -> int:
    """Return how many sessions of imports a database has."""
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s "
        "AND datname = current_database()",
        (APPLICATION,),
    ).fetchone()
    return int(row[0]) if row else 0


def test_tables_and_columns(source: str) -> None:
    """Types, keys and what the model has to know, also of odd names and domains."""
    facts = read(source)
    total = column(facts, "sales.orders", "total")
    assert (total.type, total.base_type) == ("sales.price", "numeric(12,2)")
    assert (total.is_required, total.default) == (True, "0")
    feeling = column(facts, "customers", "feeling")
    assert (feeling.type, feeling.labels) == ("mood", ("sad", "it's fine", "happy"))
    assert column(facts, "customers", "feelings").labels == feeling.labels
    assert column(facts, "customers", "twice").is_generated
    assert column(facts, "select", "order").identity == "by default"
    assert column(facts, "sales.orders", "order_id").identity == "always"
    odd = table(facts, 'Odd schema.Odd " table')
    assert [(key.columns, key.table, key.referenced) for key in odd.foreign_keys] == [
        (("select",), "select", ("order",))
    ]
    assert not odd.has_replica_identity
    assert table(facts, "select").unique_keys == (("from",), ("order", "user's"))
    assert table(facts, "customers").has_triggers
    assert "CHECK (is_short(name))" in table(facts, "customers").checks
    events = table(facts, "events")
    assert (events.is_partitioned, events.primary_key) == (True, ("event_id", "at"))
    assert "events_2025" not in {table.name for table in facts.tables}


def test_sizes_and_shapes(source: str) -> None:
    """Rows, bytes and null shares are those of the tables; those of partitions are summed."""
    run(source, "DELETE FROM pg_statistic WHERE stainherit")  # as if only autovacuum had been there
    parts = {
        "customers": ["customers"],
        "events": ["events_2025", "sales.events 2026 a", "sales.events 2026 b"],
    }

    def size(relation: str) -> int:
        schema, _, name = relation.rpartition(".")
        statement = "SELECT pg_table_size(format('%%I.%%I', %s::text, %s::text)::regclass)"
        with connect(source) as conn:
            row = conn.execute(statement, (schema or "public", name)).fetchone()
        return int(row[0]) if row else 0

    before = {name: sum(map(size, relations)) for name, relations in parts.items()}
    facts = read(source)
    assert {name: table(facts, name).rows for name in ("customers", "events", "sales.orders")} == {
        "customers": 1000, "events": 2000, "sales.orders": 2950,
    }  # fmt: skip
    for name, relations in parts.items():
        # Autovacuum may add to a table meanwhile.
        after = sum(map(size, relations)) + 32768 * len(relations)
        assert before[name] <= table(facts, name).bytes <= after
    feeling = column(facts, "customers", "feeling")
    assert (feeling.null_share, feeling.distinct, feeling.width) == (0.25, 1, 4)
    event_id = column(facts, "events", "event_id")
    assert event_id.null_share == 0
    assert event_id.distinct == pytest.approx(2000, rel=0.01)
    assert column(facts, "events", "kind").distinct == 1


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        (["ANALYZE t"], 2000),
        (["ANALYZE t", *["UPDATE t SET a = a + 1"] * 3], 2000),  # pages are added, rows are not
        (["ANALYZE t", "INSERT INTO t SELECT 1 FROM generate_series(1, 400)"], 2400),
        (["ANALYZE t", "DELETE FROM t WHERE a <= 500"], 1500),
        ([], 2000),
    ],
)
def test_rows_after_the_last_analyze(
    each_empty_database: str, changes: list[str], rows: int
) -> None:
    """They are counted on, whether a table grows, shrinks or is only updated."""
    run(
        each_empty_database,
        "CREATE TABLE t (a int) WITH (autovacuum_enabled = off)",
        "INSERT INTO t SELECT generate_series(1, 2000)",
    )
    for change in changes:
        run(each_empty_database, change)
    wait_for(lambda: read(each_empty_database).tables[0].rows == rows, f"{rows} rows")


def test_rows_that_are_counted_twice(each_empty_database: str) -> None:
    """One session that writes and analyzes makes Postgres count its rows twice."""
    run(
        each_empty_database,
        "CREATE TABLE t (a int) WITH (autovacuum_enabled = off)",
        "INSERT INTO t SELECT generate_series(1, 2000)",
        "ANALYZE t",
    )
    wait_for(
        lambda: (read(each_empty_database).tables[0].writes or WriteCounts()).inserts, "the counts"
    )
    assert read(each_empty_database).tables[0].rows == 2000


def test_writes_since_the_reset(source: str) -> None:
    """Counted by table, with partitions summed; the window begins with the database."""
    facts = read(source)
    assert (
        table(facts, "customers").writes == WriteCounts(1000, 300, 0, 0)
        or (table(facts, "customers").writes or WriteCounts()).updates == 300
    )
    assert table(facts, "sales.orders").writes == WriteCounts(3000, 0, 50, 0)
    assert table(facts, "events").writes == WriteCounts(2000, 0, 0, 0)
    assert facts.window.seconds is not None
    assert not facts.window.is_measured
    run(source, "SELECT pg_stat_reset()")
    with connect(source) as conn:
        row = conn.execute("SELECT clock_timestamp()").fetchone()
    facts = wait_for(
        lambda: (f := read(source)).window.seconds is not None and f.window.seconds < 30 and f,
        "the reset to be known",
    )
    assert row
    assert facts.window.began_at <= row[0]


def test_a_measured_window(source: str) -> None:
    """Only writes in the window count, and each part has its share."""
    stop = threading.Event()

    def write() -> None:
        with connect(source) as conn:
            while not stop.is_set():
                conn.execute("INSERT INTO sales.keyless VALUES (1)")
                conn.execute("SELECT pg_stat_force_next_flush()" if flushes else "SELECT 1")
                time.sleep(0.01)

    with connect(source) as conn:
        flushes = conn.info.server_version >= 150000
    writer = threading.Thread(target=write)
    writer.start()
    try:
        lines: list[str] = []
        facts = read_database(source, ReadOptions(interval=6, every=2), lines.append)
    finally:
        stop.set()
        writer.join()
    writes = table(facts, "sales.keyless").writes
    assert writes
    assert writes.inserts > 0
    assert table(facts, "customers").writes == WriteCounts()
    assert facts.window.is_measured
    assert facts.window.seconds == pytest.approx(6, abs=5)
    assert len(facts.window.shares) == 3
    assert facts.window.every == 2
    assert 'profile = { every = "2s", levels = [' in write_model(facts, WriteOptions()).toml
    assert sum(facts.window.shares) / 3 == pytest.approx(1, abs=0.5)
    assert "in 3 parts" in lines[0]


def test_no_value_of_a_row_is_read(source: str) -> None:
    """Neither from statistics nor comments, unless the user asks for values."""
    run(source, "GRANT SELECT ON customers TO PUBLIC")
    assert "CANARY" not in repr(read(source))
    with_values = read(source, with_values=True)
    name = column(with_values, "customers", "name")
    assert "CANARY-row 0" in dict(name.common)
    assert any(bound.startswith("n") for bound in name.bounds)
    assert column(with_values, "events", "kind").common == (("CANARY-kind", 1.0),)


def test_connect_alone(source: str) -> None:
    """Tables, sizes and writes can be read by everybody; shapes need SELECT."""
    with role(source) as dsn:
        facts = read(dsn)
    assert table(facts, "customers").rows == 1000
    assert table(facts, "sales.orders").writes == WriteCounts(3000, 0, 50, 0)
    assert column(facts, "customers", "name").null_share is None
    with snapshot(source) as conn:
        selection = select_tables(conn)
        ddl = catalogue_ddl(conn, selection, needed_objects(conn, selection))
    assert facts.schema_sql == "".join(f"{statement};\n\n" for statement in ddl)
    remedies = {missing.what: missing.remedy for missing in facts.missing}
    shapes = next(what for what in remedies if what.startswith("shapes of columns"))
    assert remedies[shapes] == f"GRANT pg_read_all_data TO importer_{os.getpid()};"
    assert any("when the counters of writes began" in what for what in remedies)


def test_select_on_some_tables(source: str) -> None:
    """Those have shapes, but for rows that a policy hides; the others are named."""
    run(source, "ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY")
    grants = (
        "GRANT SELECT ON customers, sales.orders TO {}",
        "GRANT USAGE ON SCHEMA sales TO {}",
        "GRANT pg_monitor TO {}",
    )
    with role(source, *grants) as dsn:
        facts = read(dsn)
    assert column(facts, "customers", "feeling").null_share == 0.25
    assert column(facts, "select", "from").null_share is None
    missing = {missing.remedy: missing.what for missing in facts.missing}
    role_name = f"importer_{os.getpid()}"
    assert "customers" not in missing[f"GRANT pg_read_all_data TO {role_name};"]
    assert "select" in missing[f"GRANT pg_read_all_data TO {role_name};"]
    assert "sales.orders" in missing[f"ALTER ROLE {role_name} BYPASSRLS;"]


def test_the_remedies_help(source: str) -> None:
    """With the GRANT that is named, nothing of shapes is missing."""
    with role(source) as dsn:
        (remedy,) = {m.remedy for m in read(dsn).missing if "shapes" in m.what}
        run(source, remedy)
        facts = read(dsn)
    assert not [missing for missing in facts.missing if "shapes" in missing.what]
    assert column(facts, "select", "from").null_share == 0


def test_a_table_that_was_never_analyzed(each_empty_database: str) -> None:
    """It is named with the statement that analyzes it."""
    run(
        each_empty_database,
        'CREATE TABLE "My Table" (a int) WITH (autovacuum_enabled = off)',
        'INSERT INTO "My Table" SELECT generate_series(1, 5000)',
    )
    facts = wait_for(
        lambda: (f := read(each_empty_database)).tables[0].rows == 5000 and f, "the statistics"
    )
    remedies = [missing.remedy for missing in facts.missing]
    assert 'ANALYZE public."My Table";' in remedies


def test_a_server_that_does_not_count(each_empty_database: str) -> None:
    """Writes are unknown then, not 0."""
    run(each_empty_database, "CREATE TABLE t (a int)")
    name = each_empty_database.rpartition("/")[2]
    run(each_empty_database, f"ALTER DATABASE {name} SET track_counts = off")
    facts = read(each_empty_database)
    assert facts.tables[0].writes is None
    assert any("track_counts = on" in missing.remedy for missing in facts.missing)


def test_a_locked_table_costs_its_exact_size_only(source: str) -> None:
    """The sizes of the last ANALYZE serve, and the catalogues give the schema.

    It fails if Postgres has to read the table's columns to write one of its expressions.
    """
    with locked(source, "LOCK TABLE ONLY sales.keyless IN ACCESS EXCLUSIVE MODE"):
        facts = read(source)
    with (
        locked(source, "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE"),
        pytest.raises(SourceError, match="another session locks customers for more than 2 s"),
    ):
        read(source)
    assert table(facts, "customers").rows == 1000
    assert table(facts, "customers").heap_bytes > 0
    assert any("a table is locked" in missing.what for missing in facts.missing)
    assert "CREATE TABLE public.customers" in facts.schema_sql


def test_a_locked_catalogue_ends_it(source: str) -> None:
    """In one line, by its own time limit, and no session stays."""
    with (
        locked(source, "LOCK TABLE pg_catalog.pg_trigger IN ACCESS EXCLUSIVE MODE"),
        pytest.raises(
            SourceError, match=r"another session locks pg_trigger for more than 2 s.*run the same"
        ),
    ):
        read(source)
    with connect(source) as conn:
        assert sessions(conn) == 0


def test_a_slow_query_ends_it(source: str) -> None:
    """By the statement's time limit."""
    slow = f"{source}?options=-c%20statement_timeout%3D300"
    with (
        pytest.raises(SourceError, match="took more than"),
        snapshot(slow) as conn,
    ):
        conn.execute("SELECT pg_sleep(20)")


def test_a_server_that_does_not_answer_ends_it(source: str) -> None:
    """By the limit of the whole session."""

    def freeze_and_read() -> None:
        backend = 0
        try:
            with snapshot(source, seconds=1) as conn:
                backend = conn.info.backend_pid
                os.kill(backend, signal.SIGSTOP)
                conn.execute("SELECT 1")
        finally:
            os.kill(backend, signal.SIGCONT)

    with pytest.raises(SourceError, match="did not answer within 1 s"):
        freeze_and_read()


def test_it_can_write_nothing(source: str) -> None:
    """The session is read-only, in its transaction and after it."""
    with pytest.raises(SourceError, match="read-only"), snapshot(source) as conn:
        conn.execute("DELETE FROM customers")
    with snapshot(source) as conn:
        row = conn.execute("SHOW default_transaction_read_only").fetchone()
    assert row == ("on",)


def test_no_lock_but_access_share(source: str) -> None:
    """Nor one on a table that the user reads and writes."""
    held: set[tuple[str, str]] = set()

    def look(line: str) -> None:
        with connect(source) as conn:
            held.update(
                conn.execute(
                    "SELECT l.mode, l.relation::regclass::text FROM pg_locks l "
                    "JOIN pg_stat_activity a USING (pid) "
                    "WHERE a.application_name = %s AND l.locktype = 'relation'",
                    (APPLICATION,),
                ).fetchall()
            )

    with locked(source, "LOCK TABLE ONLY sales.keyless IN ACCESS EXCLUSIVE MODE"):
        read_database(source, ReadOptions(), look)
    assert {mode for mode, _ in held} == {"AccessShareLock"}
    assert not {name for _, name in held} & {"customers", "sales.orders", "sales.keyless"}


def waits_or_ended(process: "subprocess.Popen[str]", conn: psycopg.Connection[Any], n: int) -> int:
    """Return 1 once there are n sessions of imports, 2 if the import has ended, else 0."""
    if process.poll() is not None:
        return 2
    return int(sessions(conn) == n)


@pytest.mark.parametrize(("lock", "waiting"), [("pg_trigger", 1), ("pg_ts_dict", 2)])
def test_a_killed_import_leaves_nothing(
    source: str, start_python: Callable[..., subprocess.Popen[str]], lock: str, waiting: int
) -> None:
    """Even if it, or pg_dump, waits for a lock: the limits of its session end that."""
    code = (
        "import sys; from loadgen.source.importing.read import *;"
        "read_database(sys.argv[1], ReadOptions(), print)"
    )
    lock = f"LOCK TABLE pg_catalog.{lock} IN ACCESS EXCLUSIVE MODE"
    # A session that begins while the catalogue is locked may have to wait for it: if autovacuum has
    # just made Postgres forget what its sessions begin with. Each try starts with a new one.
    for _ in range(3):  # on a busy machine a limit may end it before it waits
        with connect(source) as conn, locked(source, lock):
            process = start_python(code, source)
            has_waited = (
                wait_for(partial(waits_or_ended, process, conn, waiting), "it to wait") == 1
            )
            process.kill()
            output = process.communicate()
            wait_for(lambda: not sessions(conn), "its session to end")
        if has_waited:
            break
    assert has_waited, output


def test_a_replica_is_refused(cluster: Cluster) -> None:
    """Write statistics live on the primary."""
    folder = cluster.info.data_dir.parent
    account = server_account()
    programs = find_binaries(None, account, folder).folder
    port = find_free_port()
    base = folder / "replica"
    base.mkdir()
    account.own(base)
    standby = base / "data"
    commands: tuple[list[str | Path], ...] = (
        [programs / "pg_basebackup", "-D", standby, "-d", cluster.info.dsn, "-R", "-c", "fast"],
        [programs / "pg_ctl", "start", "-w", "-D", standby, "-l", base / "log", "-o",
         f"-p {port} -c fsync=off"],
    )  # fmt: skip
    try:
        for command in commands:
            process = account.run(command, Path("/"))
            assert process.returncode == 0, process.stderr
        dsn = cluster.info.dsn.replace(f":{cluster.info.port}/", f":{port}/")
        with pytest.raises(SourceError, match="a replica, and only the primary counts"):
            read(dsn)
        with connect(dsn) as replica, connect(cluster.info.dsn) as primary:
            assert set(database_digests(replica)) & set(database_digests(primary))
    finally:
        account.run([programs / "pg_ctl", "stop", "-m", "immediate", "-D", standby], Path("/"))


def test_digests_tell_databases_apart(cluster: Cluster) -> None:
    """Two addresses of a database share one; two databases of a server share none."""
    with cluster.database("template1") as dsn, cluster.database("template1") as other:
        run(dsn, "CREATE TABLE t (a int)")
        digests = set(read(dsn).digests)
        with connect(dsn.replace("127.0.0.1", "localhost")) as conn:
            assert len(digests & set(database_digests(conn))) == 1
        with connect(other) as conn:
            assert not digests & set(database_digests(conn))
        with role(dsn) as weak, connect(weak) as conn:
            assert digests & set(database_digests(conn))
            run(dsn, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
            assert len(database_digests(conn)) == 1
            assert digests & set(database_digests(conn))


@pytest.fixture(scope="module", params=["embedded", "debian15"])
def statements_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Run a server that has pg_stat_statements loaded."""
    pg_bin = request.getfixturevalue("debian_bin") if request.param == "debian15" else None
    project = tmp_path_factory.mktemp("statements")
    options = {"fsync": "off", "shared_preload_libraries": "pg_stat_statements"}
    try:
        yield Cluster(server.start(project, pg_bin=pg_bin, port=find_free_port(), options=options))
    finally:
        server.reset(project)


def test_statements(statements_server: Cluster) -> None:
    """Those of this database that write, without comments; those of others need a right."""
    with statements_server.database("template1") as dsn:
        run(
            dsn,
            "CREATE SCHEMA monitoring",
            "CREATE EXTENSION pg_stat_statements SCHEMA monitoring",
            "CREATE TABLE t (id int, note text)",
            "SELECT monitoring.pg_stat_statements_reset()",
            *["/* CANARY user 7 */ INSERT INTO t VALUES (1, 'CANARY')"] * 3,
            "UPDATE t SET note = 'CANARY' -- CANARY\n WHERE id = 1",
            "WITH old AS (DELETE FROM t RETURNING id) SELECT * FROM old",
            "SELECT 'CANARY delete'",
            "TRUNCATE t",
        )
        facts = read(dsn)
        assert facts.has_statements
        assert [(s.calls, s.rows) for s in facts.statements if s.sql.startswith("INSERT")] == [
            (3, 3)
        ]
        assert {statement.sql.split()[0] for statement in facts.statements} == {
            "INSERT", "UPDATE", "WITH",
        }  # fmt: skip
        assert "CANARY" not in repr(facts)
        with role(dsn) as weak:
            (missing,) = [m for m in read(weak).missing if "statements" in m.what]
            assert "GRANT USAGE ON SCHEMA monitoring" in missing.remedy
            run(dsn, f"GRANT USAGE ON SCHEMA monitoring TO importer_{os.getpid()}")
            facts = read(weak)
            assert not facts.statements
            (missing,) = [m for m in facts.missing if "statements" in m.what]
            run(dsn, missing.remedy)
            assert len(read(weak).statements) == 3


def test_statements_that_are_not_loaded(each_empty_database: str) -> None:
    """The remedy names the setting, or the extension too."""
    run(each_empty_database, "CREATE TABLE t (a int)")
    facts = read(each_empty_database)
    assert not facts.has_statements
    assert any("CREATE EXTENSION pg_stat_statements;" in m.remedy for m in facts.missing)
    run(each_empty_database, "CREATE EXTENSION pg_stat_statements")
    assert any(
        "pg_stat_statements is not loaded" in m.what for m in read(each_empty_database).missing
    )


def test_many_tables(each_empty_database: str) -> None:
    """One query per kind of fact: the number of queries does not grow with the tables."""
    run(
        each_empty_database,
        "DO $$ BEGIN FOR i IN 1..300 LOOP EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY,"
        " name text DEFAULT ''x'' UNIQUE, other int REFERENCES t%s)', i, greatest(1, i - 1));"
        " END LOOP; END $$",
    )
    facts = read(each_empty_database)
    assert len(facts.tables) == 300
    assert facts.schema_sql.count("CREATE TABLE") == 300
    assert all(table.foreign_keys for table in facts.tables)


def test_preparing_a_write_would_lock_as_the_write_does(each_empty_database: str) -> None:
    """In a read-only session too, so an import takes the types of parameters from the columns."""
    run(each_empty_database, "CREATE TABLE t (id int PRIMARY KEY, a text)")
    with connect(each_empty_database) as other, snapshot(each_empty_database) as conn:
        conn.execute("SELECT a FROM t")
        with other.transaction(force_rollback=True):
            other.execute("CREATE INDEX ON t (a)")
        conn.execute("PREPARE change AS UPDATE t SET a = $1 WHERE id = $2")
        modes = "SELECT mode FROM pg_locks WHERE pid = %s AND relation = 't'::regclass"
        held = other.execute(modes, [conn.info.backend_pid]).fetchall()
        assert ("RowExclusiveLock",) in held
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("CREATE INDEX ON t (a)")
        with pytest.raises(psycopg.errors.SyntaxError):
            conn.execute("PREPARE other AS UPDATE t SET a = INTERVAL $1")
