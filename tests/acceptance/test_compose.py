"""The services of docker-compose.yml work, with its commands, order and environment.

Here they are plain processes in the environment that the Dockerfile's lines make, against Debian's
Postgres 15 with the compose file's options. Only host names, ports and paths of containers are
replaced, by free ports and folders of this machine.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg.conninfo
import pytest

from bench.kills import COUNTERS, falls
from loadgen.source.embedded import server
from tests.acceptance.conftest import LENIENT, Ask, check_record, counted, wait_for
from tests.conftest import find_free_port
from tests.prometheus import Prometheus
from tests.stack import ROOT, Image, services

PROGRAMS = {"prometheus": "prometheus"}
WORKERS = 2
TOKEN = "of the test"  # noqa: S105 - not a real one
TOKENS = {"LOADGEN_WEB_TOKEN": TOKEN, "LOADGEN_WORKER_TOKEN": "of its workers"}
DOTENV = "METRICS_PORT=1\nINITIAL_USERS=500\nORDERS_PER_HOUR=36000\nEVENTS_PER_HOUR=72000\n"


class Stack:
    """The services of the compose file as processes of this machine."""

    def __init__(self, image: Image, source: server.RunningServer) -> None:
        password = str(psycopg.conninfo.conninfo_to_dict(source.dsn)["password"])
        self.services = services(POSTGRES_PASSWORD=password, **TOKENS)
        self.image = image
        self.page, self.prometheus = find_free_port(), find_free_port()
        self.master = str(find_free_port())
        self._here = {
            "postgres:5432": f"127.0.0.1:{source.port}",
            **{f"{host}:": "127.0.0.1:" for host in ("load", "watch")},
            "0.0.0.0": "127.0.0.1",  # noqa: S104 - the containers listen on it
            **{port: str(find_free_port()) for port in ("9646", "9647")},
        }
        self.running: list[tuple[str, subprocess.Popen[str]]] = []

    def here(self, text: str) -> str:
        """Return a text of the file with this machine's hosts, ports and folders."""
        theirs = "|".join(map(re.escape, self._here))
        return self.image.inside(re.sub(theirs, lambda found: self._here[found[0]], text))

    def environment(self, name: str) -> dict[str, str]:
        """Return a service's environment: the image's, then the file's, and Locust's ports."""
        given = self.services[name].get("environment", {})
        ours = {
            "LOCUST_WEB_PORT": str(self.page),
            "LOCUST_MASTER_BIND_PORT": self.master,
            "LOCUST_MASTER_NODE_PORT": self.master,
        }
        of_image = self.image.environment if "build" in self.services[name] else {}
        there = {key: self.here(value) for key, value in given.items()}
        return {"PATH": os.environ["PATH"], **of_image, **there, **ours}

    def command(self, name: str) -> list[str]:
        """Return a service's command; programs of other images come from Debian."""
        given = self.services[name].get("command", [])
        command = ["127.0.0.1" if word == "load" else self.here(word) for word in given]
        if name not in PROGRAMS:
            return command
        if shutil.which(PROGRAMS[name]) is None:
            pytest.skip(f"no {PROGRAMS[name]} (Debian's package)")
        return [PROGRAMS[name], *command, f"--web.listen-address=127.0.0.1:{self.prometheus}"]

    def start(self, name: str) -> "subprocess.Popen[str]":
        """Start a service with its mounted files."""
        for volume in self.services[name].get("volumes", []):
            source, target = volume.split(":")[:2]
            if Path(source).is_file():
                text = self.here(Path(source).read_text(encoding="utf-8"))
                place = Path(self.image.inside(target))
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text.replace("5s", "500ms"), encoding="utf-8")
        process = subprocess.Popen(
            self.command(name),
            cwd=self.image.root / "playground",
            env=self.environment(name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append((name, process))
        return process

    def stop(self, name: str) -> str:
        """Send a service SIGTERM, like Docker at a stop; return its output."""
        said = ""
        for other, process in self.running:
            if other == name:
                process.send_signal(signal.SIGTERM)
                said += process.communicate(timeout=60)[0]
        return said


@pytest.fixture
def source(debian_bin: Path, tmp_path: Path) -> Iterator[server.RunningServer]:
    """Run Debian's Postgres 15 with the options of the compose file's Postgres."""
    given = services(POSTGRES_PASSWORD=TOKEN, **TOKENS)["postgres"]["command"]
    assert given[0] == "postgres"
    options = dict(word.removeprefix("-c").split("=", 1) for word in given[1:])
    assert options["wal_level"] == "logical"
    try:
        port = find_free_port()
        yield server.start(tmp_path, pg_bin=debian_bin, port=port, options=options)
    finally:
        server.reset(tmp_path)


@contextmanager
def killed(stack: Stack) -> Iterator[None]:
    """Kill the processes that still run at the end."""
    try:
        yield
    finally:
        for _, process in stack.running:
            process.kill()
            process.communicate()


def targets(stack: Stack) -> dict[str, str]:
    """Return the health of Prometheus' targets by job; empty while it does not answer."""
    with suppress(URLError):
        url = f"http://127.0.0.1:{stack.prometheus}/api/v1/targets"
        with urlopen(url, timeout=5) as answer:
            active = json.loads(answer.read())["data"]["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in active}
    return {}


def scraped(prometheus: Prometheus) -> dict[str, int]:
    """Return the committed writes that Prometheus has, by operation."""
    found = prometheus.query('loadgen_operations_total{outcome="committed"}')
    return {one["metric"]["operation"]: int(one["value"][1]) for one in found}


def test_the_stack_runs(image: Image, source: server.RunningServer) -> None:
    """The stack seeds once, runs from the page, is scraped and stops; a dead worker is replaced."""
    stack = Stack(image, source)
    (image.root / "project").mkdir()
    (image.root / "project" / ".env").write_text(DOTENV)
    # A busy machine may be the bottleneck for a few seconds: allow that, as a user would.
    (image.root / "project" / "thresholds.toml").write_text(LENIENT)
    ask = Ask(f"http://127.0.0.1:{stack.page}", TOKEN)

    def workers() -> int:
        with suppress(URLError):
            found = json.loads(ask("/stats/requests"))["workers"]
            return sum(worker["state"] == "ready" for worker in found)
        return 0

    with killed(stack):
        for said in ("seeded: 500 users", "already seeded"):
            seed = stack.start("seed")
            out, _ = seed.communicate(timeout=60)
            assert seed.returncode == 0, out
            assert said in out
        before = counted(source.dsn)
        for name in ("worker",) * WORKERS:
            stack.start(name)
        for name in ("load", "watch", "prometheus"):
            stack.start(name)
        wait_for(lambda: workers() == WORKERS, "the page, and two workers")
        up = {"load": "up", "watch": "up"}
        wait_for(lambda: targets(stack) == up, "both targets to be up")
        form = {"user_count": "4", "spawn_rate": "100", "run_time": "14s"}
        assert json.loads(ask("/swarm", form))["success"] is True

        def is_running() -> bool:  # the watch asks the same, by LOAD_URL
            done = subprocess.run(
                [*stack.command("watch")[:1], "rates"], cwd=image.root / "playground",
                env=stack.environment("watch"), text=True, capture_output=True, check=False,
            )  # fmt: skip
            return "running" in done.stdout

        wait_for(is_running, "the run that the page was asked for")
        crashed = next(process for name, process in stack.running if name == "worker")
        crashed.kill()
        stack.start("worker")  # as compose does
        run = image.root / "playground" / "reports" / "latest" / "run.json"
        wait_for(lambda: run.exists() and json.loads(run.read_text())["ended_at"], "its end")
        record = check_record(image.root / "playground", source.dsn, before)
        committed = {name: totals["committed"] for name, totals in record["totals"].items()}
        assert committed["insert_event"] > 80
        assert [entry["kind"] for entry in record["journal"]].count("worker_lost") == 1
        assert [entry["kind"] for entry in record["journal"]].count("worker_joined") == 1
        prometheus = Prometheus(stack.prometheus)
        wait_for(lambda: scraped(prometheus) == committed, f"counters that say {committed}")
        series = prometheus.query(f"{COUNTERS}[10m]")
        assert len(series) > 100
        assert not falls(series)
        assert prometheus.value("loadgen_source_up") == 1

        said = stack.stop("load")
        assert "Rows gained equal the committed counters" in said
        assert "Traceback" not in said + stack.stop("worker") + stack.stop("watch")
        codes = {name: process.returncode for name, process in stack.running if name in "load"}
        assert codes == {"load": 0}


def test_what_is_replaced_is_in_the_file() -> None:
    """The compose file contains the host names and ports that the test above replaces."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for word in ("postgres:5432", "http://load:9646", '"9647"', "0.0.0.0", "--master-host, load"):  # noqa: S104
        assert word in text
