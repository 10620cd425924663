"""The reference pipe: each message of pgoutput, and a copy that is right after every change."""

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import SourceError
from loadgen.source.postgres import connect
from loadgen.tools.readers.factory import open_copy
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.runners.simplyload import batch, bucket, runner, sync
from loadgen.tools.runners.simplyload.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Insert,
    Other,
    Relation,
    Truncate,
    Update,
)
from loadgen.tools.runners.simplyload.pipe import open_pipe
from loadgen.tools.runners.simplyload.slot import Source
from loadgen.tools.source_tables import published_tables
from loadgen.tools.tools_file import parse_tools
from loadgen.verify.outcome import ToolOutcome
from loadgen.verify.reconcile import VerifyOptions, reconcile
from tests.any_source import CHANGES, TABLES, make_source, run_sql
from tests.conftest import Cluster
from tests.polling import wait_for

ROOT = Path(__file__).parents[2]
TOOLS = """
[tools.pipe]
kind = "simplyload"
destination = "duckdb"
runner = "simplyload"
slot = "pipe_slot"
"""
# Types whose text differs between the two databases, and a value that is stored out of line.
_WIDE = """
CREATE TABLE wide (
    a integer, b text, doc text, n numeric(12,3), loose numeric, ratio real, day date,
    at timestamptz, wall timestamp, clock time, raw bytea, bits bit(4), cash money,
    flag boolean, list integer[], j jsonb, mail inet, PRIMARY KEY (a, b));
ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
INSERT INTO wide SELECT k, 'k' || k, repeat('x', 9000) || k, k * 1.5, k * 1.50, k / 3.0,
    date '2026-01-01' + k, timestamptz '2026-01-01 00:00:00.123456+00' + k * interval '1 s',
    timestamp '2026-01-01' + k * interval '1 s', time '10:00' + k * interval '1 s',
    decode(md5(k::text), 'hex'), 5::bit(4), k::text::money, k % 2 = 0, ARRAY[k, NULL],
    jsonb_build_object('k', k, 'a', 'it''s "x"\\n'), '10.0.0.1/8' FROM generate_series(1, 9) k;
INSERT INTO wide (a, b, day, at, wall, ratio, clock) VALUES
    (50, '', 'infinity', '-infinity', 'infinity', 'NaN', '24:00'),
    (51, 'null', '0044-03-15 BC', '0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00 BC',
     'Infinity', '00:00'), (52, '\\N', NULL, NULL, NULL, '-0', NULL);
ALTER PUBLICATION loadgen ADD TABLE wide;
"""


class Project:
    """A tool whose syncs run in this process, and its source."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        (self.tool,) = parse_tools(tomllib.loads(TOOLS), "tools.toml")
        self.tool.folder.mkdir(parents=True, exist_ok=True)

    def run(self, *statements: str) -> None:
        """Commit each text at the source."""
        run_sql(self.dsn, *statements)

    def sync(self) -> dict[str, int]:
        """Sync until the slot has no more; return the rows of the first sync."""
        first, more = open_pipe(self.tool, load_settings({})).sync(self.dsn)
        while more:
            _, more = open_pipe(self.tool, load_settings({})).sync(self.dsn)
        return first

    def verified(self) -> ToolOutcome:
        """Return the outcome of verifying the copy."""
        source = PostgresReader(self.dsn, is_source=True)
        reader = open_copy(self.tool, load_settings({}))
        try:
            tables = published_tables(source)
            return reconcile(self.tool, source, tables, reader, VerifyOptions(lag=0))
        finally:
            source.close()
            reader.close()

    def require_right(self) -> None:
        """Sync, then fail with the findings if there are any."""
        self.sync()
        outcome = self.verified()
        findings = [
            (f.table, f.key, f.column, f.kind, f.source, f.destination) for f in outcome.findings
        ]
        assert (findings, outcome.problems, outcome.verdict) == ([], [], "right")


@pytest.fixture
def pipe(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Yield a tool and its source with tables of every kind; it is removed in the end."""
    monkeypatch.chdir(tmp_path)
    with cluster.database("migrated_template") as dsn:
        make_source(dsn)
        project = Project(dsn)
        yield project
        runner.remove(project.tool, load_settings({"database_url": dsn}))
        with connect(dsn) as conn:
            slots = "SELECT FROM pg_replication_slots WHERE slot_name = 'pipe_slot'"
            assert conn.execute(slots).fetchall() == []
        assert list(project.tool.folder.iterdir()) == []


def test_every_table_is_copied_and_changes_arrive(pipe: Project) -> None:
    """Keys of each kind or none, names that need quotes, partitions, hard deletes."""
    pipe.run(_WIDE)
    assert set(pipe.sync()) == TABLES | {"wide"}
    pipe.require_right()
    pipe.run(CHANGES)
    pipe.require_right()


def test_a_commit_right_after_the_snapshot_arrives(pipe: Project) -> None:
    """Its record begins at the end of the slot's first position: it is in no snapshot.

    The slot waits for the transactions that it finds, and again for those that have begun
    meanwhile. One that begins during the second wait is still open at the snapshot, and its commit
    is the next record of the WAL.
    """
    waits = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' "
        "AND transactionid = %s::text::xid)"
    )
    pipe.run(_WIDE)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        first, second, third = (
            stack.enter_context(connect(pipe.dsn, autocommit=False)) for _ in range(3)
        )
        look = stack.enter_context(connect(pipe.dsn))

        def begin(connection: psycopg.Connection[Any]) -> str:
            row = connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
            assert row is not None
            return str(row[0])

        def waited_for(xid: str) -> bool:
            row = look.execute(waits, (xid,)).fetchone()
            return bool(row and row[0])

        def reached(point: str) -> None:
            if point == "snapshot":
                third.commit()

        one = begin(first)
        copying = pool.submit(open_pipe(pipe.tool, load_settings({}), reached).sync, pipe.dsn)
        wait_for(lambda: waited_for(one), "the slot to wait for the first")
        two = begin(second)
        first.commit()
        wait_for(lambda: waited_for(two), "the slot to wait for the second")
        third.execute("UPDATE wide SET n = 77 WHERE a = 1")
        second.commit()
        copying.result()
    pipe.require_right()


def test_a_transaction_that_truncates_while_the_slot_waits_for_it_goes_on(pipe: Project) -> None:
    """It waits for the pipe's lock, and the pipe for its end: the lock is given up."""
    pipe.run(_WIDE)
    with ThreadPoolExecutor() as pool, connect(pipe.dsn, autocommit=False) as writer:
        writer.execute("UPDATE wide SET n = 1 WHERE a = 1")
        copying = pool.submit(open_pipe(pipe.tool, load_settings({})).sync, pipe.dsn)
        with connect(pipe.dsn) as look:
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
            wait_for(lambda: look.execute(waits).fetchone() == (1,), "the slot to wait")
        writer.execute("TRUNCATE wide")
        writer.commit()
        copying.result()
    pipe.require_right()


def test_values_that_the_wal_does_not_repeat_stay(pipe: Project) -> None:
    """Unchanged TOAST: from an earlier change of the batch or the copy, and with a moved key."""
    pipe.run(_WIDE)
    pipe.sync()
    pipe.run(
        # From the copy, twice in a batch; then from an earlier change.
        "UPDATE wide SET flag = NOT flag WHERE a = 1; UPDATE wide SET n = 7 WHERE a = 1",
        "UPDATE wide SET doc = repeat('y', 9000) WHERE a = 2; UPDATE wide SET n = 7 WHERE a = 2",
        # A moved key carries the value from the old key's row, which another row takes.
        "UPDATE wide SET a = 103 WHERE a = 3; UPDATE wide SET a = 3 WHERE a = 4",
        "UPDATE wide SET b = 'moved' WHERE a = 103; UPDATE wide SET n = 8 WHERE a = 103",
        # Two rows change places by a third key.
        "UPDATE wide SET a = 200 WHERE a = 5; UPDATE wide SET a = 5 WHERE a = 6;"
        "UPDATE wide SET a = 6 WHERE a = 200",
        # Deleted, and back under the same key; deleted after a change.
        "DELETE FROM wide WHERE a = 7; INSERT INTO wide (a, b, doc) VALUES (7, 'k7', 'new')",
        "UPDATE wide SET n = 9 WHERE a = 8; DELETE FROM wide WHERE a = 8",
        "INSERT INTO wide (a, b) VALUES (300, 'short'); DELETE FROM wide WHERE a = 300",
    )
    pipe.require_right()
    pipe.run(
        "UPDATE wide SET a = 104 WHERE a = 103; UPDATE wide SET n = -1",
        # Keys that are stored out of line themselves.
        "CREATE TABLE long_keys (k text PRIMARY KEY, n integer);"
        "ALTER TABLE long_keys ALTER k SET STORAGE EXTERNAL;"
        "ALTER PUBLICATION loadgen ADD TABLE long_keys;"
        "INSERT INTO long_keys SELECT repeat('k', 2300) || k, k FROM generate_series(1, 3) k",
        "UPDATE long_keys SET n = -n WHERE n = 1; DELETE FROM long_keys WHERE n = 2",
    )
    pipe.require_right()
    pipe.run("ALTER TABLE wide REPLICA IDENTITY FULL", "UPDATE wide SET a = a + 1000, n = 0")
    pipe.require_right()


def test_a_large_transaction_is_merged_in_pieces(
    pipe: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk sees the ones before it, and a peek's limit never cuts a transaction."""
    monkeypatch.setattr(batch, "_CHUNK_CHANGES", 7)
    monkeypatch.setattr(sync, "_BATCH_CHANGES", 5)
    monkeypatch.setattr(bucket, "_FILE_ROWS", 4)
    pipe.run(_WIDE)
    pipe.sync()
    pipe.run(
        "BEGIN; UPDATE wide SET n = 1; UPDATE wide SET a = a + 100; UPDATE wide SET n = 2;"
        "DELETE FROM wide WHERE a = 101; INSERT INTO log SELECT 'same', 1 FROM "
        "generate_series(1, 20); DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE level = "
        "'same' LIMIT 3); COMMIT"
    )
    pipe.run(CHANGES, "UPDATE wide SET n = 3 WHERE a = 102")
    pipe.require_right()
    pipe.run("DELETE FROM log WHERE ctid IN (SELECT ctid FROM log WHERE level = 'same' LIMIT 15)")
    pipe.require_right()


def test_truncate_empties_tables_with_a_key_and_without(pipe: Project) -> None:
    """Several at once; what follows in the batch stays."""
    pipe.sync()
    pipe.run(
        """INSERT INTO accounts VALUES (md5('new')::uuid, 'a@b');
        TRUNCATE accounts, log, sales."Readings";
        INSERT INTO accounts VALUES (md5('2')::uuid, 'again@b');
        INSERT INTO log VALUES ('l1', 1)"""
    )
    pipe.require_right()
    pipe.run("TRUNCATE log")
    pipe.require_right()
    pipe.run("TRUNCATE accounts")
    pipe.require_right()


def test_columns_and_tables_that_are_added_are_filled(pipe: Project) -> None:
    """Their older values are not in the WAL, whatever their default and whenever it was set."""
    pipe.run(_WIDE)
    pipe.sync()
    pipe.run(
        "ALTER TABLE wide ADD plain text, ADD constant text DEFAULT 'd', ADD number serial",
        "UPDATE wide SET plain = repeat('p', 9000) WHERE a = 1",
        "ALTER TABLE wide ALTER n TYPE numeric(14,5) USING n * 2, DROP cash",
        "ALTER TABLE wide RENAME flag TO has_flag",
        "ALTER TABLE log ADD note text",
        "INSERT INTO log VALUES ('l9', 9, 'noted')",
        "UPDATE log SET note = 'late' WHERE size = 3",
        "CREATE TABLE later (id text PRIMARY KEY, n integer)",
        "INSERT INTO later SELECT k, k FROM generate_series(1, 9) k",
        "ALTER PUBLICATION loadgen ADD TABLE later",
        "UPDATE later SET n = 0 WHERE id = '1'; DELETE FROM later WHERE id = '2'",
        "UPDATE wide SET a = 101 WHERE a = 1; DELETE FROM wide WHERE a = 2",
    )
    pipe.require_right()


@pytest.mark.parametrize(
    ("statements", "refusal"),
    [
        (
            ("ALTER TABLE log ADD at date DEFAULT '2026-01-01'", "INSERT INTO log VALUES ('x', 1)"),
            "public.log has no key and has other columns now",
        ),
        (
            (
                "CREATE TABLE keyless (n integer)",
                "ALTER PUBLICATION loadgen ADD TABLE keyless",
                "INSERT INTO keyless VALUES (1)",
            ),
            "public.keyless has no key and was published after the first copy",
        ),
    ],
)
def test_what_a_table_without_a_key_can_not_have_is_refused_by_name(
    pipe: Project, statements: tuple[str, ...], refusal: str
) -> None:
    """Its older rows can't be known again; the copy stays as it was."""
    pipe.sync()
    pipe.run(*statements)
    with pytest.raises(SourceError, match=refusal):
        pipe.sync()


def test_a_slot_that_is_another_tools_or_gone_is_not_glossed_over(pipe: Project) -> None:
    """Changes are lost with a slot: the tool says so, and how to continue."""
    pipe.run("SELECT pg_create_logical_replication_slot('pipe_slot', 'pgoutput')")
    with pytest.raises(SourceError, match="has a slot pipe_slot already"):
        pipe.sync()
    pipe.run("SELECT pg_drop_replication_slot('pipe_slot')")
    (pipe.tool.folder / "first_copy").unlink(missing_ok=True)
    pipe.sync()
    pipe.run("SELECT pg_drop_replication_slot('pipe_slot')")
    with pytest.raises(SourceError, match="has no slot pipe_slot, so changes are lost"):
        pipe.sync()


def test_a_slot_that_is_behind_sends_nothing_twice(pipe: Project) -> None:
    """After a crash of the source a slot may be at an earlier position than the copy."""
    pipe.sync()
    pipe.run("INSERT INTO log VALUES ('once', 1)")
    with connect(pipe.dsn) as conn:
        conn.execute("SELECT pg_copy_logical_replication_slot('pipe_slot', 'behind')")
        pipe.sync()
        conn.execute("SELECT pg_drop_replication_slot('pipe_slot')")
        conn.execute("SELECT pg_copy_logical_replication_slot('behind', 'pipe_slot')")
        conn.execute("SELECT pg_drop_replication_slot('behind')")
    assert pipe.sync() == {}
    pipe.require_right()
    pipe.run("INSERT INTO log VALUES ('once', 1)")
    assert pipe.sync() == {"log": 1}
    pipe.require_right()


def test_an_idle_publication_does_not_hold_the_wal(pipe: Project) -> None:
    """The slot moves on though no published table is written."""
    pipe.sync()
    pipe.run("CREATE TABLE unpublished AS SELECT 1")
    with connect(pipe.dsn) as conn:
        before = conn.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        pipe.sync()
        query = (
            "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots "
            "WHERE slot_name = 'pipe_slot'"
        )
        assert conn.execute(query, before).fetchone() == (True,)


def test_each_message_is_decoded(pipe: Project) -> None:
    """Begin, commit, relation, insert, update with and without an old key, delete, the rest."""
    pipe.run(_WIDE)
    pipe.sync()
    pipe.run(
        "BEGIN; INSERT INTO wide (a, b, list) VALUES (1000, 'ä', '{}');"
        "UPDATE wide SET n = 1 WHERE a = 1; UPDATE wide SET a = 99 WHERE a = 2;"
        "DELETE FROM wide WHERE a = 3; TRUNCATE log, notes;"
        "SELECT pg_logical_emit_message(true, 'x', 'y'); COMMIT",
        "INSERT INTO accounts (account_no, owner, feeling) VALUES (md5('x')::uuid, 'a@b', 'sad')",
        "UPDATE log SET size = 1",
        "INSERT INTO log VALUES ('a', 1)",
        "UPDATE log SET size = 2",
    )
    with Source.connected(pipe.dsn, "pipe_slot") as source:
        messages = list(source.peek(1_000_000))
    begin, wide, insert, update, moved, delete, log, notes, truncate, commit, *rest = messages
    assert isinstance(begin, Begin)
    assert isinstance(commit, Commit)
    assert begin.lsn == commit.lsn < commit.end_lsn
    assert isinstance(wide, Relation)
    assert (wide.schema, wide.name, wide.identity) == ("public", "wide", "d")
    assert [column.name for column in wide.columns if column.in_identity] == ["a", "b"]
    assert (wide.columns[3].type_oid, wide.columns[3].type_modifier) == (1700, (12 << 16) + 3 + 4)
    assert isinstance(insert, Insert)
    assert insert.row[:3] + insert.row[14:15] == ("1000", "ä", None, "{}")
    assert isinstance(update, Update)
    assert (update.old, update.row[2:4]) == (None, (UNCHANGED, "1.000"))
    assert isinstance(moved, Update)
    assert moved.old is not None
    assert (moved.old[:3], moved.row[0]) == (("2", "k2", None), "99")
    assert isinstance(delete, Delete)
    assert delete.old[:3] == ("3", "k3", None)
    assert isinstance(log, Relation)
    assert isinstance(notes, Relation)
    assert (log.identity, notes.identity) == ("f", "d")
    assert truncate == Truncate((log.oid, notes.oid))
    assert [message for message in rest if isinstance(message, Other)][:1] == [Other("Y")]
    (full,) = (message for message in rest if isinstance(message, Update))
    assert (full.old, full.row) == (("a", "1"), ("a", "2"))
    pipe.require_right()


def killed_at(pipe: Project, point: str) -> None:
    """Run the tool's process until it reaches a point of a sync, and kill it there."""
    command = [sys.executable, "-m", runner.MODULE, "pipe", "--pause-at", point]
    environment = {**os.environ, "DATABASE_URL": pipe.dsn, "PYTHONPATH": str(ROOT)}
    Path("tools.toml").write_text(TOOLS, encoding="utf-8")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == point:
                break
        else:
            pytest.fail(f"the process ended before {point}")
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_kill_anywhere_leaves_the_copy_right(pipe: Project) -> None:
    """In the first copy, which starts again, and on each side of both commits of a batch."""
    for point in ("snapshot", "first copy written", "before commit"):
        killed_at(pipe, point)
    pipe.run("INSERT INTO log VALUES ('after the snapshot', 1)")
    killed_at(pipe, "after commit")
    pipe.run(CHANGES)
    pipe.require_right()
    for number, point in enumerate(
        ("batch written", "before commit", "after commit", "after advance")
    ):
        pipe.run(
            f"INSERT INTO log VALUES ('same', 1); UPDATE log SET size = {number} WHERE level = 'l2'"
        )
        killed_at(pipe, point)
    pipe.run("DELETE FROM log WHERE ctid = (SELECT max(ctid) FROM log WHERE level = 'same')")
    pipe.require_right()
