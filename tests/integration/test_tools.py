"""The local tools: two runners on one source, and the changes that each of the two misses."""

import json
import os
import signal
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loadgen.config.settings import HARD_CASES, load_settings
from loadgen.errors import DestinationError
from loadgen.load.hard_cases import HardCases, take_turn
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.tools.columns import literal
from loadgen.tools.readers.duckdb import DuckdbReader
from loadgen.tools.tools_file import parse_tools
from loadgen.workload.read_model import read_model
from tests.bending import bend
from tests.conftest import Cluster, RunLoadgen, find_free_port
from tests.polling import wait_for

TOOLS = """
[tools.cdc]
kind = "postgres"
destination = "postgres"
runner = "replication"
slot = "cdc_slot"

[tools.cursor]
kind = "dlt"
destination = "duckdb"
schema = "playground"
runner = "dlt"
interval_seconds = 0.5

[tools.warehouse]
kind = "fivetran"
destination = "snowflake"
database = "D"
schema = "S"
"""
SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"


class Tools:
    """A project with two local tools, and its source."""

    def __init__(self, folder: Path, dsn: str, loadgen: RunLoadgen) -> None:
        self.folder = folder
        self.dsn = dsn
        self._loadgen = loadgen

    def run(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code and output of a command."""
        done = self._loadgen(*arguments, env={"DATABASE_URL": self.dsn}, cwd=self.folder)
        return done.returncode, done.stdout + done.stderr

    def status(self, name: str) -> dict[str, object]:
        """Return the status of a tool."""
        _, said = self.run("tools", "status", name, "--json")
        found: dict[str, object] = json.loads(said)[name]
        return found

    def verified(self) -> dict[str, dict[str, object]]:
        """Return the outcome of verification, by tool."""
        _, said = self.run("verify", "--json", "--tool", "cdc")
        _, more = self.run("verify", "--json", "--tool", "cursor")
        return {**json.loads(said)["tools"], **json.loads(more)["tools"]}

    def insert(self, word: str) -> None:
        """Commit a row that both tools see."""
        with connect(self.dsn) as conn:
            conn.execute("INSERT INTO hard_cases (case_name, word) VALUES ('plain', %s)", (word,))

    def arrived(self, word: str) -> None:
        """Wait until a row is in the cursor's copy."""

        def found() -> bool:
            # By the door, which takes the tool's lock: a reader that does not can break a sync,
            # and the next one then reads from an older mark, late rows and all.
            reader = DuckdbReader(self.copy)
            asked = f"SELECT count(*) FROM playground.hard_cases WHERE word = {literal(word)}"
            try:
                return list(reader.query(asked)) == [(1,)]
            except DestinationError:  # there is no table yet
                return False

        wait_for(found, f"{word} in the copy")

    @property
    def copy(self) -> Path:
        """The cursor's copy."""
        return self.folder / ".loadgen" / "tools" / "cursor" / "copy.duckdb"


@pytest.fixture
def tools(cluster: Cluster, project: Path, run_loadgen: RunLoadgen) -> Iterator[Tools]:
    """Yield two running tools whose first copy is complete; afterwards nothing is left."""
    (project / "tools.toml").write_text(TOOLS, encoding="utf-8")
    with cluster.database("migrated_template") as dsn:
        found = Tools(project, dsn, run_loadgen)
        bend(dsn)  # the tools' own connections are no worse for it
        found.insert("first")
        try:
            code, said = found.run("tools", "start", "--wait", "120")
            assert code == 0, said
            yield found
        finally:
            code, said = found.run("tools", "remove")
        assert code == 0, said
        with connect(dsn) as conn:
            assert conn.execute(SLOTS).fetchall() == []
        assert not found.copy.exists()


def test_they_answer_differently_on_deletes_and_late_commits(tools: Tools) -> None:
    """Replication is right; a cursor keeps deleted rows, and never sees late commits."""
    with connect(tools.dsn, autocommit=False) as late, connect(tools.dsn) as conn:
        take_turn(late, "late_commits", 1, age=0)
        tools.insert("later")
        tools.arrived("later")
        late.commit()
        conn.execute("DELETE FROM hard_cases WHERE word = 'first'")
    tools.insert("last")
    tools.arrived("last")
    # A second one, so that a sync has begun after the late commit.
    tools.insert("very last")
    tools.arrived("very last")
    wait_for(lambda: tools.verified()["cdc"]["verdict"] == "right", "the replica")
    found = tools.verified()["cursor"]
    assert found["totals"] == {"missing": 1, "not_deleted": 1}
    assert found["verdict"] == "wrong"
    cases = found["cases"]
    assert isinstance(cases, dict)
    late = cases["late_commits"]
    assert (late["verdict"], late["expected"], late["wrong"]) == ("wrong", "wrong", 1)
    assert late["example"]["kind"] == "missing"
    assert tools.verified()["cdc"]["cases"]["late_commits"]["verdict"] == "right"  # type: ignore[index]
    assert cases["odd_texts"]["verdict"] == "not tried"
    for name, outcome in tools.verified().items():
        sync = outcome["initial_sync"]
        assert isinstance(sync, dict)
        times = [sync[key] for key in ("began_at", "first_row_at", "caught_up_at")]
        assert times == sorted(times), name
        assert times[0] < times[1]
    # Their copies show which of the two they are.
    code, said = tools.run("tools", "probe", "cdc", "cursor")
    assert code == 0, said
    cdc, cursor = parse_tools(tomllib.loads(said), "printed")
    assert (cdc.kind, cdc.convention.deletes, cdc.runner) == ("postgres", "hard", "replication")
    assert (cursor.kind, cursor.schema_name) == ("dlt", "playground")
    assert "kind: by its columns: _dlt_load_id, _dlt_id" in said
    assert cursor.convention.ignored_columns == ("_dlt_*",)


def test_a_tool_is_stopped_killed_and_started_again(tools: Tools) -> None:
    """Writes made meanwhile arrive; each state is reported correctly."""
    note = tools.folder / ".loadgen" / "tools" / "cursor" / "runner.json"
    first = json.loads(note.read_text())["pid"]
    assert tools.run("tools", "start")[0] == 0  # runs already
    assert json.loads(note.read_text())["pid"] == first
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(first) or not tools.status("cursor")["running"], "death")
    assert tools.status("cursor")["running"] is False
    code, said = tools.run("tools", "stop")
    assert (code, "cdc: stopped; the copy stays, its slot keeps" in said) == (0, True)
    assert "cursor: did not run" in said
    assert tools.status("cdc")["running"] is False
    assert tools.run("tools", "status")[0] == 1
    tools.insert("meanwhile")
    with connect(tools.dsn) as conn:
        assert conn.execute(SLOTS).fetchall() == [("cdc_slot",)]
    assert tools.run("tools", "start")[0] == 0
    tools.arrived("meanwhile")
    wait_for(
        lambda: [one["verdict"] for one in tools.verified().values()] == ["right", "right"],
        "both copies",
    )
    assert tools.run("tools", "status")[0] == 0


def test_a_lost_slot_is_not_glossed_over(tools: Tools) -> None:
    """Changes are lost with it: the tool says so, and how to continue."""
    assert tools.run("tools", "stop", "cdc")[0] == 0
    with connect(tools.dsn) as conn:
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = 'cdc_slot'"
        wait_for(lambda: conn.execute(active).fetchone() == (False,), "the reader's end")
        conn.execute("SELECT pg_drop_replication_slot('cdc_slot')")
    code, said = tools.run("tools", "start", "cdc")
    assert code == 2
    assert "tool cdc: the source has no slot cdc_slot, so changes are lost" in said
    assert "loadgen tools remove cdc" in said


def test_a_slot_without_its_wal_is_refused(project: Path, run_loadgen: RunLoadgen) -> None:
    """The slot still exists but can't be read: to print that the tool runs would be wrong."""
    limits = {"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    info = server.start(project, port=find_free_port(), options=limits)
    (project / "tools.toml").write_text(TOOLS, encoding="utf-8")
    tools = Tools(project, info.dsn, run_loadgen)
    with connect(info.dsn) as conn:
        migrate(conn, read_model("shop"))
        assert tools.run("tools", "start", "cdc", "--wait", "60")[0] == 0
        assert tools.run("tools", "stop", "cdc")[0] == 0
        status = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'cdc_slot'"
        inactive = f"{status} AND NOT active"
        wait_for(lambda: conn.execute(inactive).fetchone(), "the reader's end")
        for _ in range(4):
            conn.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 9000000))")
            conn.execute("SELECT pg_switch_wal()")
        conn.execute("CHECKPOINT")
        wait_for(lambda: conn.execute(status).fetchone() == ("lost",), "the loss")
    code, said = tools.run("tools", "start", "cdc")
    assert code == 2
    assert "the source has lost the WAL of slot cdc_slot, so changes are lost" in said
    assert "`loadgen tools remove cdc`" in said
    assert tools.run("tools", "remove", "cdc")[0] == 0


def test_tools_that_run_elsewhere_are_said_to(project: Path, run_loadgen: RunLoadgen) -> None:
    """`list` names all; `start` advises on one without a runner."""
    (project / "tools.toml").write_text(TOOLS, encoding="utf-8")
    listed = run_loadgen("tools", "list")
    assert listed.returncode == 0
    row = next(line for line in listed.stdout.splitlines() if line.strip().startswith("warehouse"))
    assert row.split() == ["warehouse", "fivetran", "snowflake", "elsewhere"]
    assert [one["runner"] for one in json.loads(run_loadgen("tools", "list", "--json").stdout)] == [
        "replication",
        "dlt",
        None,
    ]
    refused = run_loadgen("tools", "start", "warehouse")
    assert refused.returncode == 2
    assert "warehouse has no runner here: set it up and start it with fivetran" in refused.stderr
    unknown = run_loadgen("tools", "stop", "cdd")
    assert "no tool 'cdd' in TOOLS_FILE: did you mean cdc?" in unknown.stderr
    (project / "tools.toml").unlink()
    none = run_loadgen("tools", "list")
    assert (none.returncode, "copy tools.example.toml" in none.stderr) == (2, True)


def test_every_hard_case_can_be_taken_again_and_again(each_database: str) -> None:
    """On Postgres 15 and 18; values arrive as written, and keys do what their case says."""
    with connect(each_database) as conn:
        for name in HARD_CASES:
            gone = [take_turn(conn, name, turn, age=-1) for turn in range(1, 15)]
            takes_away = name in {"hard_deletes", "key_changes"}
            assert all(key is not None for key in gone) if takes_away else not any(gone)
            keys = [key for key in gone if key is not None]
            left = conn.execute("SELECT FROM hard_cases WHERE id = ANY(%s)", (keys,)).fetchall()
            assert left == []
        counts: dict[str, int] = dict(
            conn.execute("SELECT case_name, count(*) FROM hard_cases GROUP BY 1").fetchall()
        )
        assert "hard_deletes" not in counts
        assert counts == dict.fromkeys(counts, 14)
        assert len(counts) == len(HARD_CASES) - 1
        wide = "SELECT min(length(wide)), max(length(wide)) FROM hard_cases WHERE wide IS NOT NULL"
        assert conn.execute(wide).fetchone() == (4096, 4096)


def test_they_run_beside_each_other_until_stopped(database: str) -> None:
    """A late commit that is held open is committed at the end; a pause holds all of them up."""
    rates = {f"{name}_per_hour": 36_000.0 for name in HARD_CASES}
    paused: list[bool] = []
    settings = load_settings({**rates, "hard_case_seconds": 60.0, "late_commits_per_hour": 3600})
    cases = HardCases(database, settings, HARD_CASES, lambda: bool(paused))
    cases.start()
    wait_for(lambda: cases.counts()["odd_texts"].committed > 3, "turns")
    time.sleep(1)
    paused.append(True)
    wait_for(lambda: cases.counts()["late_commits"].committed >= 1, "the commit at the pause")
    done = cases.stop()
    assert not any(one.failed for one in done.values())
    with connect(database) as conn:
        rows: dict[str, int] = dict(
            conn.execute("SELECT case_name, count(*) FROM hard_cases GROUP BY 1").fetchall()
        )
    assert rows["odd_texts"] == done["odd_texts"].committed
    assert rows["late_commits"] == done["late_commits"].committed


def test_a_late_commit_outlives_the_role_s_limits_and_a_failure_has_its_sqlstate(
    database: str,
) -> None:
    """A limit on idle transactions ends none that is held on purpose; what ends one is counted."""
    bend(database)
    settings = load_settings({"hard_case_seconds": 1.5, "late_commits_per_hour": 7200})
    cases = HardCases(database, settings, ("late_commits",), lambda: False)
    cases.start()
    try:
        wait_for(lambda: cases.counts()["late_commits"].committed, "a late commit")
        assert cases.counts()["late_commits"].failed == 0
        end = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = "
            "current_database() AND application_name = 'loadgen hard cases' AND xact_start < now()"
        )
        with connect(database) as conn:
            wait_for(lambda: conn.execute(end).fetchone() != (0,), "one that is held open")
        wait_for(lambda: cases.failures().get(("late_commits", "57P01")), "its failure")
    finally:
        cases.stop()
