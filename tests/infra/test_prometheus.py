"""The Prometheus configuration is valid by promtool and matches the metrics of the code."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from loadgen.load.metrics import LoadCollector
from loadgen.watch.metrics import WatchCollector
from tests.conftest import clean_environment, find_free_port
from tests.plans import OPERATIONS
from tests.polling import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def promtool() -> str:
    """Return the path of promtool; skip the test if it is not installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool (Debian's package prometheus)")
    return found


def run(*command: str) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported() -> set[str]:
    """Return every series name that load and watch expose."""
    families = [*LoadCollector(OPERATIONS, lambda: None).collect()]
    families += WatchCollector(lambda: None).collect()
    names: set[str] = set()
    for family in families:
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + end for end in ends.get(family.type, [""])}
    return names


def test_the_configuration_is_valid(promtool: str) -> None:
    """Prometheus accepts the configuration, including the alert rules."""
    run(promtool, "check", "config", "grafana/prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_before(promtool: str) -> None:
    """Each alert rule has a test case, and all cases pass."""
    run(promtool, "test", "rules", "tests/infra/alerts_test.yml")
    rules = set(re.findall(r"alert: (\w+)", (ROOT / "grafana/alerts.yml").read_text()))
    cases = set(re.findall(r"alertname: (\w+)", (ROOT / "tests/infra/alerts_test.yml").read_text()))
    assert rules == cases


def test_no_rule_names_a_metric_that_nobody_exports() -> None:
    """The code exports each of our metrics that a rule names."""
    named = set(re.findall(r"\bloadgen_\w+", (ROOT / "grafana/alerts.yml").read_text()))
    assert named
    assert named <= exported()


def test_the_page_of_metrics_is_the_code() -> None:
    """docs/metrics.md equals the output of scripts/metrics-page."""
    env = clean_environment({"PYTHONPATH": str(ROOT)})
    done = subprocess.run(
        [sys.executable, "scripts/metrics-page"], cwd=ROOT, env=env, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert (ROOT / "docs/metrics.md").read_text() == done.stdout


def test_observe_says_what_is_missing(tmp_path: Path) -> None:
    """If Prometheus is not installed, the error says so and asks to install it."""
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    done = subprocess.run(
        ["/bin/sh", "scripts/observe"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("observe: no prometheus here: install it")


def test_observe_scrapes_the_ports_of_the_settings(tmp_path: Path) -> None:
    """Prometheus scrapes METRICS_PORT and WATCH_PORT until Ctrl-C; links are printed."""
    if shutil.which("prometheus") is None:
        pytest.skip("no prometheus (Debian's package prometheus)")
    for name in (".venv", "loadgen"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("scripts", "grafana"):
        shutil.copytree(ROOT / name, tmp_path / name)
    load, watch, port = (str(find_free_port()) for _ in range(3))
    given = {"METRICS_PORT": load, "WATCH_PORT": watch, "PROMETHEUS_PORT": port}
    with subprocess.Popen(
        [tmp_path / "scripts/observe"], cwd="/", env=clean_environment(given), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            found = wait_for(lambda: targets(port), "Prometheus")
        finally:
            process.send_signal(signal.SIGINT)
            said, err = process.communicate(timeout=60)
    assert found == {"load": f"127.0.0.1:{load}", "watch": f"127.0.0.1:{watch}"}, err
    assert process.returncode == 0, err
    assert f"freshness of destinations: http://127.0.0.1:{port}/graph?" in said
    assert (tmp_path / ".loadgen/prometheus/data").is_dir()


def targets(port: str) -> dict[str, str]:
    """Return the targets of a Prometheus by job; empty while it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=5) as answer:
            active = json.loads(answer.read())["data"]["activeTargets"]
    except OSError:
        return {}
    return {one["labels"]["job"]: one["labels"]["instance"] for one in active}
