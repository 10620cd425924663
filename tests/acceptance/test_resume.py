"""`locust --resume` continues a run whose processes were killed; its counters equal the rows."""

import json
import re
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadgen.record.position import Position
from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Mix
from tests.acceptance.conftest import (
    LENIENT,
    Locust,
    check_record,
    counted,
    latest,
    rates,
    wait_for,
    wait_for_offers,
)
from tests.conftest import RunLoadgen, kill_all


def kill(process: subprocess.Popen[str]) -> None:
    """Kill -9 the load with its workers."""
    kill_all(process)
    process.communicate(timeout=90)


def wait_until_it_writes_again(project: Path, dsn: str, process: subprocess.Popen[str]) -> None:
    """Wait until a resumed load has written, though its first sample may not be taken yet."""

    def resumed() -> bool:
        assert process.poll() is None, process.communicate()
        return any(entry["kind"] == "gap" for entry in latest(project)["journal"])

    wait_for(resumed, "the gap in the journal")
    before = counted(dsn)
    wait_for(lambda: counted(dsn) != before, "a write")


def committed_events(project: Path) -> int:
    """Return how many committed events the samples show."""
    samples = Sample.read(project / "reports" / "latest")
    return max(sample.committed for sample in samples if sample.operation == "insert_event")


def check_resumed(project: Path, seeded: str, before: dict[str, int], gaps: int) -> dict[str, Any]:
    """Check that the run is complete: one folder, the whole plan offered, no counter falls."""
    run = check_record(project, seeded, before)
    assert len([path for path in (project / "reports").iterdir() if not path.is_symlink()]) == 1
    assert Counter(entry["kind"] for entry in run["journal"])["gap"] == gaps
    plan = run["plan"]
    whole = Schedule(plan["seed"], plan["arrivals"], Mix(plan["mix"]), end=plan["duration"])
    offered = {name: totals["offered"] for name, totals in run["totals"].items()}
    assert offered == whole.offered(plan["duration"])
    rows = list(Sample.read(project / "reports" / "latest"))
    for operation in run["totals"]:
        mine = [row for row in rows if row.operation == operation]
        for counter in ("offered", "committed", "failed", "skipped"):
            assert all(getattr(a, counter) <= getattr(b, counter) for a, b in pairwise(mine))
    assert not (project / "reports" / run["run_id"] / "position.json").exists()
    return run


@pytest.mark.parametrize("loop", ["gevent", "compiled"])
def test_a_killed_run_goes_on_twice(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen, loop: str
) -> None:
    """Run id, seed and position stay; the gap is journaled; the plan is offered exactly once."""
    before = counted(seeded)
    env = {"LOAD_LOOP": loop}
    process = locust(seeded, "-u", "4", "-t", "10s", *rates(4), env=env)
    wait_for_offers(project, process, 100)
    kill(process)
    killed = latest(project)
    assert killed["ended_at"] is None
    assert run_loadgen("report").returncode == 0
    kept = Position.of(project / "reports" / "latest")
    committed = {name: counts[1] for name, counts in kept.processes[0].vector.counts.items()}
    assert committed == {
        name: sum(n for _, n in service[0]) for name, (service, _) in kept.latencies.items()
    }

    process = locust(seeded, "--resume", "latest")
    wait_until_it_writes_again(project, seeded, process)
    kill(process)  # before its first sample
    process = locust(seeded, "--resume", killed["run_id"])
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "resumed after" in out
    run = check_resumed(project, seeded, before, gaps=2)
    assert run["run_id"] == killed["run_id"]
    assert run["users"] == 4
    assert run["asked"]["insert_event"] == pytest.approx(80 * 10, abs=1)
    assert run["latency"]["insert_event"]["service"]["p50"] > 0
    assert not [entry for entry in run["journal"] if entry["kind"] == "fault"]
    assert run_loadgen("validate", env={"DATABASE_URL": seeded}).returncode == 0
    assert run_loadgen("report").returncode == 0
    report = (project / "reports" / "latest" / "report.md").read_text()
    headline = report.splitlines()[0]
    assert headline.startswith(("# The source took ", "# The source kept up with "))
    assert headline.endswith(" but the load was killed and resumed, 2 times")
    assert len(re.findall(r"\| Gap +\|", report)) == 2


def test_a_run_with_workers_goes_on_twice(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """A killed master's record is complete; the run resumes, with its workers killed or left."""
    before = counted(seeded)
    workers = ("--processes", "2")
    poisson = {"ARRIVALS": "poisson"}
    process = locust(seeded, "-u", "6", "-t", "18s", *workers, *rates(4), env=poisson)
    wait_for_offers(project, process, 150)
    kill(process)
    folder = project / "reports" / "latest"
    moments = {sample.time for sample in Sample.read(folder)}
    kept = json.loads((folder / "position.json").read_text())
    assert len(moments) >= int(kept["s"]) - 1
    assert run_loadgen("report").returncode == 0
    assert "The run has no end" in (folder / "report.md").read_text()

    process = locust(seeded, "-u", "6", "--resume", "latest", *workers)
    wait_for_offers(project, process, committed_events(project) + 60)
    left_over = psutil.Process(process.pid).children()
    process.kill()
    process.wait(30)
    resumed = locust(seeded, "-u", "6", "--resume", "latest", *workers)
    out, err = resumed.communicate(timeout=120)
    for worker in left_over:
        if worker.is_running():
            worker.kill()
    process.communicate(timeout=30)
    assert len(left_over) == 2
    assert resumed.returncode == 0, out + err
    run = check_resumed(project, seeded, before, gaps=2)
    assert run["totals"]["insert_event"]["committed"] > 150


def test_what_was_in_force_goes_on(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen, metrics_port: int
) -> None:
    """A changed rate and a pause survive the kill, whatever the command line says."""
    before = counted(seeded)
    (project / "thresholds.toml").write_text(f"failed_share = 0.5\n{LENIENT}")
    environment = {"METRICS_PORT": str(metrics_port)}
    process = locust(seeded, "-t", "25s", *rates(0))
    wait_for_offers(project, process, 0)
    for command in (("rates", "--set", "insert_order=36000"), ("pause", "--reason", "a while")):
        done = run_loadgen(*command, env=environment)
        assert done.returncode == 0, done.stderr
    kill(process)

    process = locust(seeded, "--resume", "latest", "--orders-per-hour", "1", env={"SEED": "9"})
    wait_for(lambda: not run_loadgen("resume", env=environment).returncode, "the control API")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "insert_order 36,000" in out
    assert "(a while): continue with `loadgen resume`" in out
    assert "not taken: SEED=9 (it has 1); ORDERS_PER_HOUR=1 (it has 36,000)" in err
    run = check_record(project, seeded, before)
    kinds = [entry["kind"] for entry in run["journal"]]
    assert kinds == ["rate_change", "pause", "gap", "resume"]
    assert run["asked"]["insert_order"] > 10
    assert run["totals"]["insert_order"]["offered"] == pytest.approx(
        run["asked"]["insert_order"], abs=1.01
    )
    assert {found["verdict"] for found in run["thresholds"]} == {"pass"}


def test_what_can_not_be_resumed(seeded: str, locust: Locust, project: Path) -> None:
    """An unknown run, an ended one and one of another database: exit code 2, a line, no change."""

    def refused(dsn: str) -> str:
        process = locust(dsn, "--resume", "latest")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        [line] = [line for line in err.splitlines() if "loadgen: error" in line]
        return line

    # The run is checked before the source: no server is started and nothing is seeded.
    assert "no run 'latest' in reports" in refused("postgresql://nobody@127.0.0.1:1/nowhere")
    assert not (project / "reports").exists()

    process = locust(seeded, "-t", "2s", *rates())
    wait_for_offers(project, process, 0)
    kill(process)
    with connect(seeded) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = 'another'")
    folder = project / "reports" / "latest"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "the last run in this database is another" in refused(seeded)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with connect(seeded) as connection:
        row = connection.execute("SELECT run_id FROM loadgen_playground").fetchone()
        assert row == ("another",)
        connection.execute("UPDATE loadgen_playground SET run_id = %s", [folder.resolve().name])
    process = locust(seeded, "--resume", "latest")  # its time is over: it only closes the run
    assert process.wait(60) == 0
    assert "has ended, so there is nothing to resume" in refused(seeded)
