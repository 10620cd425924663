"""Late or wrong: what markers prove of a copy that is synced every so often, and what a drain does.

The tool is a copier of whole tables, so each test decides which table it has copied, and when.
"""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadgen.source.embedded import server
from loadgen.source.embedded.home import home_of
from loadgen.source.markers import find_markers, write_marker
from loadgen.source.model_schema import MARKERS
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.source_tables import published_tables
from loadgen.verify.reconcile import VerifyOptions, reconcile
from loadgen.workload.read_model import read_model
from tests.conftest import Cluster, RunLoadgen, find_free_port
from tests.copier import Copier
from tests.copies import postgres_tool
from tests.polling import wait_for
from tests.records import Made, write_run

RUN = "run-1"
INTERVAL = 900
TOOL = f"""
[tools.copy]
kind = "postgres"
destination = "postgres"
url = "{{copy}}"
interval_seconds = {INTERVAL}
"""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A source, its copy, and `loadgen verify` between them."""

    source: psycopg.Connection[Any]
    dsn: str
    copy: str
    run_loadgen: RunLoadgen

    def sync(self, *tables: str) -> None:
        """Copy some tables, or all."""
        Copier(self.dsn, self.copy).sync(*tables)

    def marker(self, sequence: int, age: float = 0.0) -> None:
        """Write a marker, so many seconds ago by the source's clock."""
        assert write_marker(self.source, RUN, sequence, datetime.now(UTC))
        self.source.execute(
            "UPDATE loadgen_markers SET created_at = now() - %s * interval '1 s' "
            "WHERE sequence = %s",
            (age, sequence),
        )

    def at_copy(self, statement: str) -> None:
        """Spoil the copy."""
        with connect(self.copy) as conn:
            conn.execute("SET session_replication_role = replica")
            conn.execute(statement.encode())

    def verify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `loadgen verify`."""
        return self.run_loadgen("verify", *arguments, env={"DATABASE_URL": self.dsn})

    def verified(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code of `loadgen verify --json` and its result for the tool."""
        done = self.verify("--json", *arguments)
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)["tools"]["copy"]
        return done.returncode, found


@pytest.fixture
def summary(
    cluster: Cluster, database: str, project: Path, run_loadgen: RunLoadgen
) -> Iterator[RunSummary]:
    """Yield a source under load with a few rows, and its true copy."""
    with (
        cluster.database(database.rpartition("/")[2]) as copy,
        connect(database) as conn,
    ):
        conn.execute("UPDATE loadgen_playground SET run_id = %s", (RUN,))
        conn.execute(
            "INSERT INTO users (email, name, plan, country) "
            "SELECT 'e' || k, 'n', 'p', 'DE' FROM generate_series(1, 20) k"
        )
        conn.execute(
            "INSERT INTO hard_cases (case_name, amount) "
            "SELECT 'odd_numbers', 1.5 FROM generate_series(1, 5)"
        )
        conn.execute("SELECT pg_advisory_lock(hashtext('loadgen load'))")  # a load is running
        (project / "tools.toml").write_text(TOOL.format(copy=copy))
        write_run(project / "reports", Made(seconds=2, ended=False), RUN)
        summary = RunSummary(conn, database, copy, run_loadgen)
        summary.sync()
        yield summary


def test_what_the_next_sync_may_still_bring_is_late_and_no_failure(summary: RunSummary) -> None:
    """Whatever it is: new, changed or deleted since the marker that proves the copy."""
    summary.marker(1, age=2000)
    summary.marker(2, age=100)
    summary.sync()
    conn = summary.source
    conn.execute("INSERT INTO users (email, name, plan, country) VALUES ('new', 'n', 'p', 'DE')")
    conn.execute("UPDATE users SET plan = 'new' WHERE id = 3")
    conn.execute("DELETE FROM users WHERE id = 4")
    summary.marker(3, age=50)
    code, found = summary.verified()
    assert (code, found["verdict"], found["totals"]) == (0, "late", {})
    assert found["late"] == {"missing": 2, "not_deleted": 1, "stale": 1}
    summary.sync()
    code, found = summary.verified()
    assert (code, found["verdict"], found["late"]) == (0, "right", {})


def test_what_a_marker_proves_to_be_due_is_wrong(summary: RunSummary) -> None:
    """Beside rows that are late; and only a drain tells that it was not to be expected."""
    summary.marker(1, age=2000)
    summary.marker(2, age=100)
    summary.sync()
    summary.at_copy("UPDATE users SET plan = 'spoilt' WHERE id = 7")
    summary.at_copy("UPDATE hard_cases SET amount = 2 WHERE id = 2")
    summary.source.execute("UPDATE users SET plan = 'new' WHERE id = 3")
    done = summary.verify()
    assert done.returncode == 1
    assert "copy: wrong" in done.stdout
    assert "2 differs; not due yet: 1 stale" in done.stdout
    assert "wrong (1 of 5), confirm by --drain" in done.stdout
    assert "NOT EXPECTED" not in done.stdout


def test_a_marker_of_the_same_round_proves_its_own_table_only(summary: RunSummary) -> None:
    """Of a tool that copies markers first, users may be as of the round before."""
    summary.marker(1, age=2000)
    summary.sync()
    summary.source.execute("UPDATE users SET plan = 'new' WHERE id = 3")
    summary.marker(2, age=1300)  # in the round before, after its look at users
    summary.marker(3)
    summary.sync(MARKERS)
    code, found = summary.verified()
    assert (code, found["verdict"], found["late"]) == (0, "late", {"stale": 1})
    summary.source.execute("UPDATE loadgen_markers SET created_at = created_at - interval '900 s'")
    summary.marker(4)
    summary.sync(MARKERS)  # and users are left out of yet another round
    code, found = summary.verified()
    assert (code, found["verdict"], found["totals"]) == (1, "wrong", {"stale": 1})


def test_a_copy_that_lacks_a_marker_for_too_long_did_not_converge(summary: RunSummary) -> None:
    """One and a half intervals: one until the sync, half of one to finish it."""
    summary.marker(1, age=3000)
    summary.sync()
    summary.source.execute("UPDATE users SET plan = 'new' WHERE id = 3")
    summary.marker(2, age=0.5 * INTERVAL)
    assert summary.verified()[1]["verdict"] == "late"
    summary.marker(3, age=1.6 * INTERVAL)
    done = summary.verify()
    assert done.returncode == 1
    assert "copy: did not converge" in done.stdout
    assert re.search(r"a marker has not arrived in 1\d{3} s", done.stdout)
    assert "2 missing, 1 stale" in done.stdout


def test_without_markers_the_lag_decides(summary: RunSummary) -> None:
    """Also if none was written for long while the load continued."""
    summary.source.execute("UPDATE users SET plan = 'new' WHERE id = 3")
    code, found = summary.verified("--lag", "0.2")
    assert (code, found["verdict"], found["totals"]) == (1, "wrong", {"stale": 1})
    summary.marker(1, age=10_000)
    summary.sync(MARKERS)
    code, found = summary.verified("--lag", "0.2")
    assert (code, found["verdict"], found["totals"]) == (1, "wrong", {"stale": 1})


def test_the_interval_is_that_of_the_tool_s_plan(summary: RunSummary, project: Path) -> None:
    """Of the rate card that its price names, unless tools.toml has one."""
    plan = 'price = { card = "airbyte", plan = "standard" }'  # every hour
    text = (project / "tools.toml").read_text()
    (project / "tools.toml").write_text(text.replace(f"interval_seconds = {INTERVAL}", plan))
    summary.marker(1, age=0.5 * 3600)  # a copy that has none yet
    assert summary.verified()[1]["verdict"] == "late"
    summary.marker(2, age=1.6 * 3600)
    assert summary.verified()[1]["verdict"] == "did not converge"


@pytest.mark.parametrize(
    "rounds",
    [
        [(MARKERS, 1), ("users", 2), (MARKERS, 2), ("users", 2)],
        [(MARKERS, 1), ("users", 2), (MARKERS, 2)],  # users had their turn before the change
    ],
    ids=["markers first", "markers last"],
)
def test_a_drain_ends_with_a_round_that_began_after_the_pause(
    summary: RunSummary, rounds: list[tuple[str, int]]
) -> None:
    """Whether the marker's table is the first or the last that a round copies.

    When the first sentinel arrives, the other table is as it was before the drain; each copy of a
    table waits for the sentinel beside its name.
    """
    summary.source.execute("SELECT pg_advisory_unlock_all()")

    def is_written(sentinel: int) -> bool:
        with connect(summary.dsn) as conn:
            return len(list(find_markers(conn, RUN, 0))) >= sentinel

    def copy() -> None:
        for table, sentinel in rounds:
            wait_for(partial(is_written, sentinel), f"sentinel {sentinel}")
            summary.sync(table)

    summary.source.execute("UPDATE users SET plan = 'new' WHERE id = 3")
    thread = threading.Thread(target=copy)
    thread.start()
    code, found = summary.verified("--drain", "--drain-seconds", "60", "--lag", "0.2")
    thread.join(60)
    assert (code, found["verdict"]) == (0, "right")
    assert found["tables"][MARKERS]["rows"] == 2


def test_a_row_that_is_gone_at_the_source_is_wrong_after_a_drain(summary: RunSummary) -> None:
    """Beside the load it was late."""
    summary.source.execute("SELECT pg_advisory_unlock_all()")
    stopped = threading.Event()

    def run() -> None:  # a tool that never copies hard cases again
        while not stopped.wait(0.1):
            Copier(summary.dsn, summary.copy).sync("users", MARKERS)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        summary.source.execute("DELETE FROM hard_cases WHERE id = 5")
        summary.at_copy("UPDATE hard_cases SET amount = 2 WHERE id = 2")
        done = summary.verify("--drain", "--drain-seconds", "60", "--lag", "0.2")
    finally:
        stopped.set()
        thread.join(60)
    assert done.returncode == 1
    assert "1 not_deleted, 1 differs" in done.stdout
    assert "wrong (2 of 4), NOT EXPECTED" in done.stdout


def test_transaction_ids_are_compared_beyond_their_four_bytes(
    project: Path, debian_bin: Path
) -> None:
    """After 2^32 transactions new rows have small ids again; frozen rows keep the ids they had."""
    quick = {"fsync": "off"}
    info = server.start(project, pg_bin=debian_bin, port=find_free_port(), options=quick)
    there = f"{info.dsn.rpartition('/')[0]}/copy"
    add = "INSERT INTO users (email, name, plan, country) VALUES (%s, '', '', '')"
    with connect(info.dsn) as conn:
        migrate(conn, read_model("shop"))
        conn.execute("CREATE DATABASE copy")
        conn.execute("UPDATE loadgen_playground SET run_id = %s", (RUN,))
        conn.execute(add, ("frozen",))
        conn.execute(add, ("old",))
    server.stop(project)
    home = home_of(project)
    reset = home.account.run([debian_bin / "pg_resetwal", "-e", "1", home.data_dir], home.folder)
    assert reset.returncode == 0, reset.stderr
    server.start(project, pg_bin=debian_bin, options=quick)
    with connect(info.dsn) as conn, connect(there) as copy:
        migrate(copy, read_model("shop"))
        conn.execute("VACUUM (FREEZE) users")
        conn.execute("UPDATE users SET plan = 'due' WHERE email = 'old'")
        assert write_marker(conn, RUN, 1, datetime.now(UTC))
        conn.execute(add, ("late",))
        (marker,) = find_markers(conn, RUN, 0)
    assert (marker.horizon or 0) > 2**32
    source, reader = PostgresReader(info.dsn, is_source=True), PostgresReader(there)
    asked = VerifyOptions(horizon=marker.horizon)
    found = reconcile(postgres_tool(there), source, published_tables(source), reader, asked)
    source.close()
    reader.close()
    assert [(one.table, one.key) for one in found.findings] == [("users", "1"), ("users", "2")]
    assert found.late.totals == {"missing": 2}  # the marker and the last row
