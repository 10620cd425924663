"""`locust --resume`: a run whose processes were killed goes on, and its counters equal the rows."""

import json
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadgen.record_reader import read_samples
from loadgen.source.postgres import connect
from loadgen.workload.arrivals import Schedule
from loadgen.workload.mix import Mix
from tests.acceptance.conftest import (
    Locust,
    check_record,
    counted,
    kill_all,
    latest,
    rates,
    wait_for_offers,
)
from tests.conftest import RunLoadgen


def kill(process: subprocess.Popen[str], *, workers: bool = True) -> None:
    """Kill -9 the load, with its workers or without them."""
    if workers:
        kill_all(process)
    else:
        process.kill()
    process.communicate(timeout=90)


def check_resumed(project: Path, seeded: str, before: dict[str, int], gaps: int) -> dict[str, Any]:
    """Check that the run is whole: one folder, all that was asked offered, no counter falls."""
    run = check_record(project, seeded, before)
    assert len([path for path in (project / "reports").iterdir() if not path.is_symlink()]) == 1
    assert Counter(entry["kind"] for entry in run["journal"])["gap"] == gaps
    plan = run["plan"]
    whole = Schedule(plan["seed"], plan["arrivals"], Mix(plan["mix"]), end=plan["duration"])
    offered = {name: totals["offered"] for name, totals in run["totals"].items()}
    assert offered == whole.offered(plan["duration"])
    rows = list(read_samples(project / "reports" / "latest"))
    for operation in run["totals"]:
        mine = [row for row in rows if row.operation == operation]
        for counter in ("offered", "committed", "failed", "skipped"):
            assert all(getattr(a, counter) <= getattr(b, counter) for a, b in pairwise(mine))
    assert not (project / "reports" / run["run_id"] / "position.json").exists()
    return run


def test_a_killed_run_goes_on_twice(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Same run id, seed and position; the gap is journaled, nothing is offered twice or made up."""
    before = counted(seeded)
    process = locust(seeded, "-u", "4", "-t", "16s", *rates(4))
    wait_for_offers(project, process, 100)
    kill(process)
    killed = latest(project)
    assert killed["ended_at"] is None
    assert run_loadgen("report").returncode == 0

    process = locust(seeded, "-u", "4", "--resume", "latest")
    wait_for_offers(project, process, 500)
    kill(process)
    process = locust(seeded, "-u", "4", "--resume", killed["run_id"])
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "resumed after" in out
    run = check_resumed(project, seeded, before, gaps=2)
    assert run["run_id"] == killed["run_id"]
    assert run["asked"]["insert_event"] == pytest.approx(80 * 16, abs=1)
    committed = run["totals"]["insert_event"]["committed"]
    assert committed > 0.5 * 80 * 16  # two tails of 3.5 s may be skipped, and no more
    assert run["latency"]["insert_event"]["service"]["p50"] > 0
    assert run_loadgen("validate", env={"DATABASE_URL": seeded}).returncode == 0


@pytest.mark.parametrize(
    ("workers_too", "arrivals"),
    [(True, "poisson"), (False, "jitter")],
    ids=["all killed", "workers left over"],
)
def test_a_run_with_workers_goes_on(
    workers_too: bool, arrivals: str, seeded: str, locust: Locust, project: Path
) -> None:
    """The master is killed, its workers too or left behind: the run is whole at the end."""
    before = counted(seeded)
    process = locust(
        seeded, "-u", "6", "-t", "20s", "--processes", "2", *rates(4), env={"ARRIVALS": arrivals}
    )
    wait_for_offers(project, process, 200)
    left_over = psutil.Process(process.pid).children()
    if workers_too:
        kill_all(process)
    else:
        process.kill()
    process.wait(30)
    resumed = locust(seeded, "-u", "6", "--resume", "latest", "--processes", "2")
    out, err = resumed.communicate(timeout=120)
    for worker in left_over:
        if worker.is_running():
            worker.kill()
    process.communicate(timeout=30)
    assert resumed.returncode == 0, out + err
    check_resumed(project, seeded, before, gaps=1)


def test_rates_in_force_go_on(seeded: str, locust: Locust, project: Path) -> None:
    """What was changed before the kill stays changed, whatever the command line says."""
    before = counted(seeded)
    process = locust(seeded, "-u", "4", "-t", "12s", *rates(0))
    wait_for_offers(project, process, 0)
    kill(process)
    file = project / "reports" / "latest" / "run.json"
    run = json.loads(file.read_text())
    run["journal"].append(
        {
            "at": run["started_at"],
            "kind": "rate_change",
            "rates_per_hour": {"insert_order": {"from": 0, "to": 36_000}},
            "schedule_seconds": 1.0,
        }
    )
    file.write_text(json.dumps(run))
    process = locust(seeded, "-u", "4", "--resume", "latest", "--orders-per-hour", "1")
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    assert "insert_order 36,000" in out
    run = check_record(project, seeded, before)
    assert run["asked"]["insert_order"] == pytest.approx(110, abs=0.1)


def test_what_can_not_be_resumed(seeded: str, locust: Locust, project: Path, database: str) -> None:
    """No such run, one that has ended, one of another database: exit 2, a line, nothing changed."""
    nothing = locust(seeded, "--resume", "latest")
    _, err = nothing.communicate(timeout=60)
    assert nothing.returncode == 2
    assert "no run 'latest' in reports" in err

    process = locust(seeded, "-t", "10m", *rates())
    wait_for_offers(project, process, 5)
    kill(process)
    with connect(seeded) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = 'another'")
    run = (project / "reports" / "latest" / "run.json").read_bytes()
    process = locust(seeded, "--resume", "latest")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the last run in this database is another" in err
    assert (project / "reports" / "latest" / "run.json").read_bytes() == run

    process = locust(seeded, "-t", "1s", *rates())
    assert process.wait(60) == 0
    process = locust(seeded, "--resume", "latest")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "has ended, so there is nothing to resume" in err
