"""Rates, profile and pauses of a running load change from outside, and are journaled."""

import json
import os
import re
import signal
import socket
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from loadgen.record.rows import Sample
from loadgen.workload.schedule.rate_curve import PROFILES
from tests.acceptance.conftest import (
    Locust,
    check_record,
    counted,
    journaled,
    newest,
    rates,
    stopped,
    wait_for,
    wait_for_offers,
)
from tests.conftest import RunLoadgen, find_free_port, spawning

TOTAL = "loadgen_operations_total"
BURST = PROFILES["burst"].level(0)


class ControlApi:
    """The control API of this test's load, as a person, Prometheus and a program use it."""

    def __init__(self, run_loadgen: RunLoadgen, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._run = run_loadgen
        self._environment = {"METRICS_PORT": str(port)}

    def command(self, *arguments: str, expect: int = 0) -> str:
        """Run `loadgen …`, which must exit with `expect`; return its output."""
        done = self._run(*arguments, env=self._environment)
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def scrape(self) -> dict[str, float]:
        """Return the value of each series, as Prometheus reads it."""
        with urlopen(f"{self.address}/metrics", timeout=10) as answer:  # noqa: S310 - our own
            lines = answer.read().decode().splitlines()
        series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in series}

    def state(self) -> dict[str, Any]:
        """Return the state that the load reports."""
        with urlopen(f"{self.address}/loadgen/rates", timeout=10) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Post like any other program; return status and answer."""
        headers = {"Content-Type": "application/json", **(headers or {})}
        request = Request(f"{self.address}/loadgen/{path}", body, headers)  # noqa: S310 - our own
        try:
            with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own
                text = answer.read()
                return answer.status, json.loads(text) if text else {}
        except HTTPError as exc:
            return exc.code, json.loads(exc.read())


@pytest.fixture
def control(run_loadgen: RunLoadgen, metrics_port: int) -> ControlApi:
    """Return the control API of this test's load."""
    return ControlApi(run_loadgen, metrics_port)


def offered(scraped: Mapping[str, float]) -> dict[str, float]:
    """Return the series of offered arrivals."""
    return {k: v for k, v in scraped.items() if k.startswith("loadgen_offered_total")}


def offered_events(project: Path) -> list[int]:
    """Return the events offered by each sample."""
    samples = Sample.read(project / "reports" / "latest")
    return [sample.offered for sample in samples if sample.operation == "insert_event"]


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "two workers"])
def test_rates_and_profile_change_without_a_stop(
    processes: tuple[str, ...], seeded: str, locust: Locust, project: Path, control: ControlApi
) -> None:
    """Every process applies a change; journal, samples.csv and offered writes show it."""
    before = counted(seeded)
    process = locust(seeded, "-u", "4", "-t", "10m", *processes, *rates(0.5))
    wait_for_offers(project, process, 20)
    of = "2 of 2" if processes else "1 of 1"
    sets = ("--set", "insert_order=72000", "--set", "insert_event=0")
    now = json.loads(control.command("rates", *sets, "--json"))
    assert now["applied_by"] == of
    assert now["rates_per_hour"]["insert_order"] == 72_000
    assert f"applied by {of}" in control.command("rates", "--profile", "burst")
    assert "MAX_RATE_PER_HOUR" in control.command("rates", "--set", "insert_order=1e9", expect=2)
    assert "did you mean insert_order?" in control.command(
        "rates", "--set", "insert_ordr=1", expect=2
    )
    assert "PROFILE is 'flat' (request)" in control.command("rates", "--profile", "flat", expect=2)
    target = 'loadgen_target_rate{operation="insert_order"}'  # changes half a second later
    wait_for(lambda: control.scrape()[target] == pytest.approx(20 * BURST), "the profile's rate")
    during = control.scrape()
    assert during["loadgen_workers"] == (2 if processes else 1)
    assert during["loadgen_users"] == 4
    orders = newest(project)["insert_order"].offered
    wait_for(
        lambda: newest(project)["insert_order"].offered > orders + 60, "orders at burst's rate"
    )

    stopped(process)
    run = check_record(project, seeded, before)
    changes = [entry for entry in run["journal"] if entry["kind"] == "rate_change"]
    assert [entry["by"] for entry in changes] == ["cli", "cli"]
    assert [entry["applied_by"] for entry in changes] == [of, of]
    assert changes[0]["rates_per_hour"] == {
        "insert_order": {"from": 18_000, "to": 72_000},
        "insert_event": {"from": 36_000, "to": 0},
    }
    assert changes[1]["profile"] == {"from": "steady", "to": "burst"}
    first, second = (entry["schedule_seconds"] for entry in changes)
    asked = 5 * first + 20 * (second - first) + 20 * BURST * (run["duration_seconds"] - second)
    assert run["asked"]["insert_order"] == pytest.approx(asked, rel=0.01)
    assert run["totals"]["insert_order"]["offered"] == pytest.approx(asked, abs=2)
    assert run["totals"]["insert_event"]["offered"] == pytest.approx(10 * first, abs=2)
    samples = list(Sample.read(project / "reports" / "latest"))
    targets = {s.target_rate for s in samples if s.operation == "insert_order"}
    assert {5.0, round(20 * BURST, 6)} <= {round(target, 6) for target in targets}


def test_a_pause_offers_nothing_and_makes_nothing_up(
    seeded: str, locust: Locust, project: Path, control: ControlApi
) -> None:
    """A pause has target 0 and offers nothing; then the planned rate returns without a burst."""
    before, seconds = counted(seeded), 20
    workers = ("--processes", "2")
    process = locust(seeded, "-u", "4", "-t", f"{seconds}s", *workers, *rates(0.5))
    wait_for_offers(project, process, 20)
    assert "paused: the tool is upgraded" in control.command(
        "pause", "--reason", "the tool is upgraded"
    )
    deadline = time.monotonic() + 8
    earlier: dict[str, float] = {}
    later = control.scrape()
    while offered(earlier) != offered(later):  # a worker's vector is up to a second old
        assert time.monotonic() < deadline, "it is still offering"
        time.sleep(1.5)  # 25 arrivals, if any were due
        earlier, later = later, control.scrape()
    assert later['loadgen_target_rate{operation="insert_event"}'] == 0
    assert json.loads(control.command("rates", "--json"))["state"] == "paused"
    control.command("pause")  # a second one changes nothing
    status, _ = control.post("journal", b'{"kind": "slot_lost", "slot": "s1"}')
    assert status == 200
    assert "running" in control.command("resume")

    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    run = check_record(project, seeded, before)
    journal = [e for e in run["journal"] if e["kind"] in {"pause", "resume", "slot_lost"}]
    assert [entry["kind"] for entry in journal] == ["pause", "slot_lost", "resume"]
    assert (journal[0]["reason"], journal[0]["by"]) == ("the tool is upgraded", "cli")
    assert run["duration_seconds"] == pytest.approx(seconds, abs=0.2)  # the end did not move
    paused = seconds - run["asked"]["insert_event"] / 10
    assert paused > 1.5
    event = run["totals"]["insert_event"]
    assert event["offered"] == pytest.approx(run["asked"]["insert_event"], abs=1)
    assert max(b - a for a, b in pairwise(offered_events(project))) <= 2 * 10 + 4


def test_what_happens_to_a_tool_is_journaled(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen, metrics_port: int
) -> None:
    """Start, crash and stop of a tool are journaled once; starting a running tool adds no entry."""
    (project / "tools.toml").write_text(
        '[tools.cursor]\nkind = "dlt"\ndestination = "duckdb"\nschema = "playground"\n'
        'runner = "dlt"\ninterval_seconds = 60\n'
    )
    env = {"METRICS_PORT": str(metrics_port), "DATABASE_URL": seeded}
    process = locust(seeded, "-u", "4", "-t", "10m", *rates(0.5))
    wait_for_offers(project, process, 20)

    def entries() -> list[tuple[str, str, str]]:
        run = json.loads((project / "reports" / "latest" / "run.json").read_text())
        return [(e["kind"], e["tool"], e["by"]) for e in run["journal"] if "tool" in e]

    def tools(action: str) -> None:
        done = run_loadgen("tools", action, env=env)
        assert done.returncode == 0, done.stdout + done.stderr

    start, stop = ((f"tool_{event}", "cursor", "loadgen tools") for event in ("started", "stopped"))
    crash = ("tool_crashed", "cursor", "watch")
    watching = ("-m", "loadgen", "watch", "--interval", "0.2")
    with spawning() as spawn:
        try:
            tools("start")
            tools("start")
            watch = spawn(*watching, cwd=project, env={**env, "WATCH_PORT": str(find_free_port())})
            note = project / ".loadgen" / "tools" / "cursor" / "runner.json"
            os.kill(json.loads(note.read_text())["pid"], signal.SIGKILL)
            wait_for(lambda: crash in entries(), "the crash in the journal")
            tools("start")
            tools("stop")
            tools("stop")
        finally:
            run_loadgen("tools", "remove", env=env)
        watch.terminate()
        _, warnings = watch.communicate(timeout=60)
    assert warnings.count("tool cursor has crashed or was killed") == 1, warnings
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert entries() == [start, crash, start, stop]
    assert run_loadgen("report", env=env).returncode == 0
    report = (project / "reports" / "latest" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"Tool crashed +\| .*cursor", report), report


def test_a_run_that_the_watch_has_paused_ends_with_5(
    seeded: str, locust: Locust, project: Path, control: ControlApi
) -> None:
    """Exit code 5 says that the watch paused the run to its end, to protect the source.

    The reason is printed as one line without control characters.
    """
    before = counted(seeded)
    process = locust(seeded, "-t", "10s", *rates())
    wait_for_offers(project, process, 5)
    # The sampler must not wait again and again for the full second that is about to come.
    wait_for(lambda: control.state()["seconds"] % 1 > 0.8, "a second's end")
    body = rb'{"reason": "slot s1 retains 2 GiB\u001b[2J\nverdict: passed", "by": "watch"}'
    assert control.post("pause", body)[0] == 200
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5, out + err
    assert "paused by watch to the end: slot s1 retains 2 GiB" in out
    assert "\x1b" not in out
    assert "verdict: passed" not in out.splitlines()
    assert check_record(project, seeded, before)["exit_code"] == 5
    assert len(offered_events(project)) <= 14
    assert "no load answers at" in control.command("rates", expect=2)


def test_the_metrics_equal_the_rows(
    seeded: str, locust: Locust, project: Path, control: ControlApi
) -> None:
    """The port stays open for a last scrape, whose counters equal the rows gained."""
    before = counted(seeded)
    process = locust(seeded, "-u", "4", "-t", "4s", *rates(2))
    wait_for_offers(project, process, 20)
    last: dict[str, float] = {}
    while process.poll() is None:
        try:
            last = control.scrape()
        except OSError:
            continue
        time.sleep(0.5)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    run = check_record(project, seeded, before)
    for name, totals in run["totals"].items():
        assert last[f'loadgen_offered_total{{operation="{name}"}}'] == totals["offered"]
        for outcome in ("committed", "failed", "skipped"):
            series = f'{TOTAL}{{operation="{name}",outcome="{outcome}"}}'
            assert last[series] == totals[outcome]
        for latency in ("service", "intended"):
            count = last[f'loadgen_{latency}_seconds_count{{operation="{name}"}}']
            assert count == totals["committed"]
            assert last[
                f'loadgen_{latency}_seconds_bucket{{le="+Inf",operation="{name}"}}'
            ] == count  # fmt: skip
    info = next(name for name in last if name.startswith("loadgen_run_info"))
    assert re.search(f'run_id="{run["run_id"]}"', info)


def test_what_the_control_api_refuses(
    seeded: str, locust: Locust, project: Path, control: ControlApi
) -> None:
    """The API refuses other sites, non-JSON bodies, reserved kinds and too many entries."""
    process = locust(seeded, "-t", "10m", *rates(0.1))
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            if control.scrape().get('loadgen_offered_total{operation="insert_event"}'):
                break
        except OSError:
            time.sleep(0.1)
    refused: list[tuple[str, bytes, dict[str, str], int, str]] = [
        ("pause", b"{}", {"Origin": "https://example.org"}, 403, "may not use this load"),
        ("pause", b"reason=x", {"Content-Type": "text/plain"}, 400, "post a JSON object"),
        ("pause", b'{"reason": ""}', {}, 400, "reason has to be a text"),
        ("pause", b'{"by": "a b"}', {}, 400, "by has to be a word"),
        ("rates", b'{"rates_per_hour": [1]}', {}, 400, "has to be an object"),
        ("rates", b'{"rates_per_hour": {"insert_order": null}}', {}, 400, "ORDERS_PER_HOUR is"),
        ("rates", b'{"rates_per_hour": {"insert_order": NaN}}', {}, 400, "post a JSON object"),
        ("pause", b'{"reason": ' + b"[" * 20_000, {}, 400, "post a JSON object"),
        ("rates", b'{"rates_per_hour": {"insert_order": true}}', {}, 400, "ORDERS_PER_HOUR is"),
        ("journal", b'{"kind": "x", "at": 1}', {}, 400, "written by the journal itself"),
        ("journal", b"{}", {}, 400, "kind has to be a word"),
        ("journal", b'{"kind": "%s"}' % (b"x" * 65), {}, 400, "kind has to be a word"),
        *(
            ("journal", b'{"kind": "%s"}' % kind, {}, 400, "that the load alone writes")
            for kind in (b"pause", b"resume", b"rate_change", b"gap", b"fault", b"worker_lost")
        ),
        ("journal", b'{"kind": "note", "n": [1]}', {}, 400, "'n' has to be a text, a number"),
        ("journal", b'{"kind": "note", "n": NaN}', {}, 400, "post a JSON object"),
        ("journal", b'{"kind": "n", "n": "%s"}' % (b"x" * 4096), {}, 413, "at most 4,096 bytes"),
        ("journal", b"[" * 30_000, {}, 400, "post a JSON object"),
        ("pause", b'{"reason": "%s"}' % (b"x" * 4096), {}, 413, "at most 4,096 bytes"),
    ]
    for path, body, headers, status, said in refused:
        found = control.post(path, body, headers)
        assert found[0] == status, (path, body, found)
        assert said in found[1]["error"]

    file = project / "reports" / "latest" / "run.json"
    answers, versions = [], set()
    for _ in range(1_010):
        answers.append(control.post("journal", b'{"kind": "note", "self": "\\ud800"}'))
        versions.add(file.stat().st_mtime_ns)
    assert [status for status, _ in answers] == [200] * 1_000 + [429] * 10
    assert "1,000 entries were posted" in answers[-1][1]["error"]
    assert len(versions) < 200  # it is not written again for each
    assert control.scrape()['loadgen_journal_events_total{kind="other"}'] == 1_000
    stopped(process)
    assert len(journaled(project, "note")) == 1_000


def test_a_taken_metrics_port_is_refused(seeded: str, locust: Locust, metrics_port: int) -> None:
    """The load exits with 2 and names the setting before anything starts."""
    with socket.create_server(("127.0.0.1", metrics_port)):
        process = locust(seeded, "-t", "5s")
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "set METRICS_PORT to a free port" in err
