"""Verification during a running load: in motion, and drained."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadgen.record.run import Run
from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    Locust,
    check_record,
    counted,
    rates,
    wait_for,
    wait_for_offers,
)
from tests.conftest import Cluster, RunLoadgen
from tests.replication import Subscription

# Whether verify has read the copy and waits until it reads again.
WAITS = """
SELECT bool_and(state = 'idle' AND clock_timestamp() - state_change > '0.5 s')
FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'loadgen%'
"""
TOOLS = """
[tools.copy]
kind = "postgres"
destination = "postgres"
url = "{copy}"
"""


@pytest.fixture
def copy(cluster: Cluster, seeded: str, project: Path) -> Iterator[str]:
    """Yield the DSN of a replicated copy that tools.toml names."""
    with cluster.database(seeded.rpartition("/")[2]) as dsn:
        with connect(dsn) as conn:
            conn.execute("DROP PUBLICATION loadgen")
        subscription = Subscription(seeded, dsn)
        (project / "tools.toml").write_text(TOOLS.format(copy=dsn))
        yield dsn
        subscription.drop()


def test_a_load_is_verified_in_motion_and_drained(
    seeded: str, copy: str, locust: Locust, project: Path, metrics_port: int,
    run_loadgen: RunLoadgen,
) -> None:  # fmt: skip
    """A true copy is right at 500 writes a second and after a drain; then the load continues.

    A load that is already paused is verified too, and stays paused.
    """
    before = counted(seeded)
    process = locust(seeded, "-t", "10m", "-u", "8", *rates(14))
    wait_for_offers(project, process)
    environment = {"DATABASE_URL": seeded, "METRICS_PORT": str(metrics_port)}

    def verified(*arguments: str) -> str:
        done = run_loadgen("verify", "--json", *arguments, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)["tools"]["copy"]
        assert found["verdict"] == "right"
        assert found["tables"]["orders"]["rows"] > 3000
        return done.stderr

    verified("--lag", "3")
    said = verified("--drain", "--lag", "2")
    assert f"the load at http://127.0.0.1:{metrics_port} is paused" in said
    assert said.rstrip().endswith("the load is resumed")
    assert run_loadgen("pause", env=environment).returncode == 0
    assert "paused" not in verified("--drain", "--lag", "0.1")
    assert "paused: asked for" in run_loadgen("rates", env=environment).stdout
    process.terminate()
    process.communicate(timeout=60)
    check_record(project, seeded, before)
    path = project / "reports" / "latest"
    journal = [(one.kind, one.details.get("by")) for one in Run.of(path).journal]
    assert [kind for kind in journal if kind[1]] == [
        ("pause", "verify"), ("resume", "verify"), ("pause", "cli"),
    ]  # fmt: skip
    assert json.loads((path / "verify.json").read_text())["tools"]["copy"]["verdict"] == "right"


def test_what_a_tool_has_still_to_carry_after_a_run_is_in_flight(
    seeded: str, copy: str, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """Just after a run, rows that arrive within --lag are in flight, not missing."""

    def switched(state: str) -> None:
        with connect(copy) as subscriber:
            subscriber.execute(f"ALTER SUBSCRIPTION copy {state}".encode())

    def verified(lag: str) -> tuple[int, str]:
        done = run_loadgen("verify", "--lag", lag, env={"DATABASE_URL": seeded})
        return done.returncode, done.stdout

    switched("DISABLE")
    load = locust(seeded, "-t", "2s", "-u", "4", *rates(20))
    assert load.wait(60) == 0

    def enable_while_verify_waits() -> None:
        with connect(copy, application_name="test") as watcher:
            wait_for(lambda: watcher.execute(WAITS).fetchone() == (True,), "verify's second look")
        switched("ENABLE")

    thread = threading.Thread(target=enable_while_verify_waits)
    thread.start()
    code, said = verified("8")
    thread.join()
    assert code == 0, said
    assert "copy: right" in said
    assert " in flight" in said
    switched("DISABLE")
    load = locust(seeded, "-t", "2s", "-u", "4", *rates(20))
    assert load.wait(60) == 0
    code, said = verified("0.1")
    assert code == 1
    assert " missing" in said


def test_rows_of_an_earlier_run_are_no_hard_cases_of_this_one(
    seeded: str, copy: str, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Verify compares these rows like all others, but its cases are those of the last run."""

    def verified() -> dict[str, Any]:
        done = run_loadgen("verify", "--lag", "2", env={"DATABASE_URL": seeded})
        assert done.returncode == 1, done.stdout + done.stderr
        kept = (project / "reports" / "latest" / "verify.json").read_text()
        found: dict[str, Any] = json.loads(kept)["tools"]["copy"]
        return found

    often = {
        f"{name}_PER_HOUR": "36000" for name in ("ODD_NUMBERS", "KEY_CHANGES", "HARD_DELETES")
    } | {"HARD_CASE_SECONDS": "1"}
    every = "--hard-cases=odd_numbers,key_changes,hard_deletes"
    assert locust(seeded, "-t", "3s", "-u", "1", *rates(0.1), every, env=often).wait(60) == 0
    with connect(copy) as conn:
        conn.execute("UPDATE hard_cases SET amount = 7 WHERE case_name = 'odd_numbers'")
    first = verified()
    cases = first["cases"]
    assert (cases["odd_numbers"]["verdict"], cases["key_changes"]["verdict"]) == ("wrong", "right")
    assert cases["key_changes"]["checked"]
    # The second run's first turns change rows that the first run left.
    assert locust(
        seeded, "-t", "3s", "-u", "1", *rates(0.1), "--hard-cases=key_changes", env=often
    ).wait(60) == 0  # fmt: skip
    found = verified()
    assert found["totals"] == first["totals"]
    assert not [one for one in found["findings"] if "case" in one]
    of = {name: case["verdict"] for name, case in found["cases"].items()}
    assert of.pop("key_changes") == "right"
    assert set(of.values()) == {"not tried"}
    turns = Run.of(project / "reports" / "latest").hard_cases["key_changes"].committed
    assert 0 < found["cases"]["key_changes"]["checked"] <= turns
