"""`loadgen demo`, as `make demo` runs it: from an empty folder to a report."""

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from csv import DictReader
from pathlib import Path

import psutil
import pytest

from loadgen.commands import demo
from loadgen.record.rows import ToolSample
from loadgen.source.postgres import connect
from tests.acceptance.conftest import LENIENT
from tests.conftest import RunLoadgen, clean_environment
from tests.polling import wait_for

ROOT = Path(__file__).parents[2]
USUAL_PORTS = (5432, 8089, 9646, 9647)


@pytest.fixture
def playground(project: Path) -> Path:
    """Return a project folder with a clone's locustfile and lenient thresholds."""
    shutil.copy(ROOT / "locustfile.py", project)
    # On a busy machine the load is the bottleneck and says so; test_honesty.py tests that.
    (project / "thresholds.toml").write_text(LENIENT)
    return project


@pytest.fixture
def taken_ports() -> Iterator[None]:
    """Take the default ports; one that is already taken is fine too."""
    with ExitStack() as stack:
        for port in USUAL_PORTS:
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.mark.usefixtures("taken_ports")
def test_from_nothing_to_a_report(playground: Path, run_loadgen: RunLoadgen) -> None:
    """The demo uses free ports, shows errors and costs of each tool, and leaves no slot.

    rivet runs with the other tools, since it was installed.
    """
    with_rivet = {"TOOLS_FILE": str(demo._TOOLS_AND_RIVET)}
    installed = run_loadgen("tools", "install", "demo-rivet", env=with_rivet)
    assert installed.returncode == 0, installed.stderr
    first = run_loadgen("demo", "--seconds", "20", measured=False)
    assert first.returncode == 0, first.stdout + first.stderr
    typed = [line for line in first.stdout.splitlines() if line.startswith("$ ")]
    commands = [line.rpartition("loadgen ")[2].split()[0] for line in typed if "-u 8" not in line]
    assert commands == [
        "db",
        "seed",
        "tools",
        "watch",
        "validate",
        "verify",
        "tools",
        "costs",
        "report",
    ]
    load = next(line for line in typed if "-u 8" in line)
    assert "locust --headless -u 8 -t 20s --orders-per-hour 36000 " in load
    assert "METRICS_PORT=" in load
    named = Path(first.stdout.splitlines()[-1].removeprefix("report: "))
    assert named.is_file()
    assert named.parent == (playground / "reports" / "latest").resolve()
    totals = json.loads((named.parent / "run.json").read_text())["totals"]
    assert totals["insert_order"]["committed"] == 200
    tools = json.loads((named.parent / "verify.json").read_text())["tools"]
    assert tools["demo-replication"]["verdict"] == "right"
    assert tools["demo-simplyload"]["verdict"] == "right"
    assert tools["demo-rivet"]["verdict"] == "right"
    found = tools["demo-dlt"]
    assert found["verdict"] == "wrong"
    assert "hard_cases" in {one["table"] for one in found["findings"]}
    *answer, matrix, _ = first.stdout.rpartition(" loadgen report\n")[2].splitlines()
    assert answer[0] == "Take demo-replication, demo-rivet or demo-simplyload"
    assert any(line.startswith("NO-GO") and "are wrong" in line for line in answer)
    assert len(answer) <= 5 + 3 * len(tools)
    assert matrix == f"matrix: {named.parent / 'RESULTS.md'}"
    assert "| go " in (named.parent / "RESULTS.md").read_text()
    assert "\ntook " in first.stdout
    assert ".venv" not in first.stdout
    with (named.parent / "freshness.csv").open(encoding="utf-8") as file:
        assert {row["tool"] for row in DictReader(file)} == set(tools)
    used = {sample.tool: sample for sample in ToolSample.read(named.parent)}
    assert used.keys() == set(tools)
    assert all(sample.cpu_seconds > 0 for sample in used.values())
    assert all(sample.resident_bytes > 2**20 for sample in used.values())
    assert "Processor and memory of local tools" in named.read_text(encoding="utf-8")
    assert _slots(run_loadgen) == []


def _slots(run_loadgen: RunLoadgen) -> list[str]:
    with connect(run_loadgen("db", "dsn").stdout.strip()) as conn:
        return [name for (name,) in conn.execute("SELECT slot_name FROM pg_replication_slots")]


def test_ctrl_c_ends_the_load_cleanly(playground: Path, run_loadgen: RunLoadgen) -> None:
    """The load drains, its record is closed, tools and slots are removed; exit code 130.

    A folder that was seeded with other sizes is neither refused nor seeded again.
    """
    seeded = run_loadgen("seed", "--users", "50", "--orders", "60", "--events", "70")
    assert seeded.returncode == 0, seeded.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", "demo", "--seconds", "200"],
        cwd=playground,
        env=clean_environment(measured=False),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        for line in process.stdout:
            assert not line.startswith("$ loadgen seed")
            if line.startswith("  record: "):
                break
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "$ loadgen validate" not in rest
    assert "Traceback" not in errors
    record = json.loads((playground / "reports" / "latest" / "run.json").read_text())
    assert record["ended_at"] is not None
    assert "demo-replication: removed" in rest
    assert _slots(run_loadgen) == []


def test_killed_it_leaves_nothing_behind(playground: Path, run_loadgen: RunLoadgen) -> None:
    """If the demo is killed, watch, load and tools still end, and the slots are removed.

    Only the user can read record, logs and copies.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", "demo", "--seconds", "200"],
        cwd=playground,
        env=clean_environment(measured=False),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("  record: "))
        left = psutil.Process(process.pid).children(recursive=True)
        assert len(left) >= 3  # the watch, the load, and their guard
        tools = playground / ".loadgen" / "tools"
        ours = [tools, *tools.glob("*"), *tools.glob("*/*.json"), *tools.glob("*/*.log")]
        ours += tools.glob("*/copy.duckdb")
        assert {file.stat().st_mode & 0o077 for file in ours} == {0}
        process.kill()
    wait_for(lambda: not any(one.is_running() for one in left), "its processes to end", 120)
    assert not list(tools.glob("*/runner.*"))
    assert _slots(run_loadgen) == []
    record = (playground / "reports" / "latest").resolve()
    assert {file.stat().st_mode & 0o077 for file in (record, *record.iterdir())} == {0}


def test_a_step_that_fails_is_the_last(
    playground: Path, run_loadgen: RunLoadgen, free_port: int
) -> None:
    """The demo ends with that step's exit code and names the step, but not the password."""
    unreachable = f"postgresql://somebody:hunter2@127.0.0.1:{free_port}/app"
    done = run_loadgen("demo", env={"DATABASE_URL": unreachable})
    assert done.returncode == 2
    shown = [line for line in done.stdout.splitlines() if line and not line.startswith("took ")]
    assert shown == ["$ loadgen db up"]
    assert done.stderr.endswith("demo: stopped: `loadgen db up` ended with exit code 2\n")
    assert "hunter2" not in done.stdout + done.stderr
    assert not (playground / "reports").exists()
