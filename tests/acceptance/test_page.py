"""Locust's page: its form has the rates, a bad form starts nothing, an Edit changes the run."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from tests.acceptance.conftest import ROOT, Ask, latest, wait_for
from tests.conftest import clean_environment, find_free_port

FORM = {
    "user_count": "4",
    "spawn_rate": "100",
    "orders_per_hour": "36000",
    "events_per_hour": "0",
    "status_updates_per_hour": "0",
    "soft_deletes_per_hour": "0.5",
}


def form_of(page: Ask) -> dict[str, Any]:
    """Return the additional fields that the page's form shows."""
    found = re.search(r"templateArgs = (\{.*\})", page())
    assert found
    fields: dict[str, Any] = json.loads(found[1])["extra_options"]
    return fields


def test_the_form_has_rates_and_profile(page: Ask) -> None:
    """The form has only rates and profile, and each field begins with the setting's value."""
    assert {name: field["default_value"] for name, field in form_of(page).items()} == {
        "orders_per_hour": 50,
        "events_per_hour": 200,
        "status_updates_per_hour": 40,
        "soft_deletes_per_hour": 1,
        "load_profile": "steady",
    }


def test_a_bad_form_is_refused_whole(page: Ask, project: Path) -> None:
    """One bad field refuses the whole form: the setting is named and no run starts."""
    for bad in ("abc", "-1", "nan", "", "1e99"):
        answer = json.loads(page("/swarm", FORM | {"events_per_hour": bad}))
        assert answer["success"] is False
        assert answer["message"].startswith(f"EVENTS_PER_HOUR is {bad!r} ")
    answer = json.loads(page("/swarm", FORM | {"user_count": "0"}))
    assert answer["message"].startswith("Number of users is '0': it must be a whole number from 1")
    assert not (project / "reports").exists()


def test_a_run_from_the_page(page: Ask, project: Path) -> None:
    """Start offers the form's rates, Edit changes the rates at once, and Stop drains the run."""
    assert json.loads(page("/swarm", FORM))["success"] is True
    wait_for(lambda: json.loads(page("/loadgen/tab"))["state"] == "running", "the run on the tab")
    assert latest(project)["settings"]["orders_per_hour"] == 36_000

    assert json.loads(page("/swarm", FORM | {"orders_per_hour": "72000"}))["success"] is True
    changes = wait_for(lambda: latest(project)["journal"], "the change of rates")
    assert [change["kind"] for change in changes] == ["rate_change"]
    assert changes[0]["rates_per_hour"] == {"insert_order": {"from": 36_000, "to": 72_000}}

    folder = project / "reports" / "latest"
    wait_for(lambda: any(sample.committed for sample in Sample.read(folder)), "a commit")
    tab = json.loads(page("/loadgen/tab"))
    assert tab["state"] == "running"
    assert tab["operations"][0]["target"] == "20"
    page("/stop", {})
    wait_for(lambda: latest(project)["ended_at"], "the end")
    run = latest(project)
    wait_for(lambda: json.loads(page("/loadgen/tab"))["state"] == "ended", "the tab's last state")
    tab = json.loads(page("/loadgen/tab"))
    assert tab["run_id"] == run["run_id"]
    assert tab["verdict"] == "passed (exit code 0)"
    committed = {row["operation"]: row["committed"] for row in tab["operations"]}
    assert committed == {name: totals["committed"] for name, totals in run["totals"].items()}
    assert tab["rates"]
    assert run["valid"] is True
    assert run["totals"]["insert_order"]["committed"] > 0
    assert run["totals"]["insert_event"]["offered"] == 0


def test_the_page_stays_with_a_run_that_takes_time_to_begin(page: Ask, seeded: str) -> None:
    """A run that is being opened is "spawning"; at "ready" the page would return to its form."""

    def state() -> str:
        return str(json.loads(page("/stats/requests"))["state"])

    with connect(seeded, autocommit=False) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        page("/swarm", FORM)
        wait_for(lambda: state() == "spawning", "the start")
    wait_for(lambda: state() == "running", "the run")


def test_a_second_load_at_the_same_page_is_refused(page: Ask, project: Path, seeded: str) -> None:
    """The error says that a load already runs, not that a port is taken."""
    port = page.address.rpartition(":")[2]
    second = subprocess.run(
        [sys.executable, "-m", "locust", "--web-port", port],
        cwd=project,
        env=clean_environment(
            {
                "DATABASE_URL": seeded,
                "PYTHONPATH": str(ROOT),
                "METRICS_PORT": str(find_free_port()),
            }
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    refusal = f"a load already runs here (no run at the moment, 127.0.0.1:{port}): stop it"
    assert refusal in second.stderr


def status_of(page: Ask, path: str) -> int:
    """Return the HTTP status of a path."""
    try:
        page(path)
    except HTTPError as exc:
        return exc.code
    return 200


def test_the_page_serves_the_record_of_its_run(page: Ask, project: Path) -> None:
    """The page serves the run's files and, once written, the report; no other file on disk."""
    assert json.loads(page("/loadgen/tab")) == {"state": "idle"}
    page("/swarm", FORM)
    wait_for(lambda: json.loads(page("/loadgen/tab"))["state"] == "running", "the run on the tab")
    run_id = latest(project)["run_id"]
    record = f"/loadgen/record/{run_id}/"
    assert json.loads(page(f"{record}run.json"))["run_id"] == run_id
    assert 'href="run.json"' in page(record)
    assert json.loads(page("/loadgen/tab"))["report"] is False
    assert status_of(page, f"{record}report.html") == 404
    (project / "reports" / run_id / "report.html").write_text("<p>the report</p>")
    assert json.loads(page("/loadgen/tab"))["report"] is True
    assert page(f"{record}report.html") == "<p>the report</p>"

    (project / "reports" / "another").mkdir()
    (project / "reports" / "another" / "run.json").write_text("{}")
    (project / "reports" / run_id / "link.txt").symlink_to(project / "locustfile.py")
    for path in ("/loadgen/record/another/run.json", f"{record}link.txt", f"{record}..%2fanother"):
        assert status_of(page, path) == 404
    page("/stop", {})
    wait_for(lambda: latest(project)["ended_at"], "the end")
