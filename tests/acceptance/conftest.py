"""Fixtures of the acceptance tests: a seeded source, and `locust` as a user types it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from tests.conftest import Cluster, clean_environment, find_free_port, kill_all, spawning
from tests.polling import wait_for

__all__ = ["wait_for"]  # for the tests of this folder

ROOT = Path(__file__).parents[2]
RATES = {"orders": 36_000, "events": 72_000, "status-updates": 18_000, "soft-deletes": 720}
OPERATION = {
    "orders": "insert_order",
    "events": "insert_event",
    "status-updates": "update_order_status",
    "soft-deletes": "soft_delete_user",
}
GAINED = {
    "insert_order": "SELECT count(*) FROM orders",
    "insert_event": "SELECT count(*) FROM events",
    "update_order_status": "SELECT coalesce(sum(version), 0) FROM orders",
    "soft_delete_user": "SELECT count(*) FROM users WHERE deleted_at IS NOT NULL",
}

Locust = Callable[..., subprocess.Popen[str]]
# Thresholds for a short run with faults, or on a busy machine: it may skip more than a twentieth,
# and the generator may be the bottleneck.
LENIENT = "generator_bottleneck_share = 1.0\nskipped_share = 1.0\n"


@pytest.fixture(scope="session")
def seeded_template(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of a small database, seeded once; no session may stay connected to it."""
    name = "seeded_template"
    with connect(cluster.info.dsn) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE migrated_template".encode())
    size = ("--users", "1000", "--orders", "3000", "--events", "3000")
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "seed", *size],
        cwd=tmp_path_factory.mktemp("seeded"),
        env=clean_environment({"DATABASE_URL": cluster.dsn(name)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
def seeded(cluster: Cluster, seeded_template: str) -> Iterator[str]:
    """Yield the DSN of a database with a small baseline."""
    with cluster.database(seeded_template) as dsn:
        yield dsn


@pytest.fixture
def metrics_port() -> int:
    """Return a free port for the load's metrics and control API."""
    return find_free_port()


@pytest.fixture
def locust(project: Path, metrics_port: int) -> Iterator[Locust]:
    """Return a function that starts `locust --headless` in the project; kill what still runs.

    The thresholds are LENIENT, unless a test writes its own.
    """
    shutil.copy(ROOT / "locustfile.py", project)
    (project / "thresholds.toml").write_text(LENIENT)
    # Gevent starts faster. Tests of faults, workers and resuming also run the compiled loop.
    given = {"PYTHONPATH": str(ROOT), "METRICS_PORT": str(metrics_port), "LOAD_LOOP": "gevent"}
    with spawning() as spawn:

        def start(
            dsn: str, *arguments: str, env: Mapping[str, str] | None = None
        ) -> subprocess.Popen[str]:
            if "--processes" in arguments:  # other tests or programs may have masters
                port = str(find_free_port())
                arguments = (*arguments, "--master-bind-port", port, "--master-port", port)
            environment = given | {"DATABASE_URL": dsn} | dict(env or {})
            return spawn("-m", "locust", "--headless", *arguments, cwd=project, env=environment)

        yield start


class Ask:
    """The page of a running `locust`: a call gets a path, or posts a form."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, path: str = "/", form: Mapping[str, str] | None = None) -> str:
        """Return the page's answer."""
        data = None if form is None else urlencode(form).encode()
        request = Request(self.address + path, data, self._headers)  # noqa: S310 - our own
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            text: str = answer.read().decode()
        return text


@pytest.fixture
def page(
    request: pytest.FixtureRequest, seeded: str, project: Path, metrics_port: int
) -> Iterator[Ask]:
    """Yield the page of a running `locust`, with the parameter's arguments if there is one."""
    shutil.copy(ROOT / "locustfile.py", project)
    (project / "thresholds.toml").write_text(LENIENT)
    port, master_port = find_free_port(), str(find_free_port())
    ask = Ask(f"http://127.0.0.1:{port}")
    arguments = getattr(request, "param", ())
    if arguments:
        arguments += ("--master-bind-port", master_port, "--master-port", master_port)

    def is_up() -> bool:
        assert process.poll() is None, "locust has ended"
        try:
            return bool(ask())
        except HTTPError:  # it asks for the token
            return True
        except URLError:
            return False

    with subprocess.Popen(
        [sys.executable, "-m", "locust", "--web-port", str(port), *arguments],
        cwd=project,
        env=clean_environment(
            {"DATABASE_URL": seeded, "PYTHONPATH": str(ROOT), "METRICS_PORT": str(metrics_port)},
            gevent=True,
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(is_up, "the page")
            yield ask
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            kill_all(process)


def rates(factor: float = 1.0) -> list[str]:
    """Return the four rate arguments."""
    return [t for name, rate in RATES.items() for t in (f"--{name}-per-hour", str(rate * factor))]


def counted(dsn: str) -> dict[str, int]:
    """Return the counts in the tables, read with the tests' own statements."""
    with connect(dsn) as connection:
        rows = {name: connection.execute(query).fetchone() for name, query in GAINED.items()}
    return {name: int(row[0]) for name, row in rows.items() if row is not None}


def latest(project: Path) -> dict[str, Any]:
    """Return run.json of the newest run."""
    run: dict[str, Any] = json.loads((project / "reports" / "latest" / "run.json").read_text())
    return run


def check_record(project: Path, dsn: str, before: Mapping[str, int]) -> dict[str, Any]:
    """Check that an ended run is valid, keeps the accounting law and has counters equal to rows."""
    run = latest(project)
    after = counted(dsn)
    committed = {name: totals["committed"] for name, totals in run["totals"].items()}
    assert committed == {name: after[name] - before[name] for name in after}
    assert run["statement_rows"] == {name: [n] for name, n in committed.items()}
    samples = list(Sample.read(project / "reports" / "latest"))
    assert samples
    assert all(sample.balanced() for sample in samples)
    assert all(totals["unknown"] == 0 for totals in run["totals"].values())
    assert run["valid"] is True, run["invalid_reason"]
    return run


def stopped(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C at a load, which must end with exit code 130; return its output."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err, err
    return out, err


def newest(project: Path) -> dict[str, Sample]:
    """Return the newest sample of each operation."""
    return {sample.operation: sample for sample in Sample.read(project / "reports" / "latest")}


def journaled(project: Path, kind: str) -> list[dict[str, Any]]:
    """Return the entries of that kind in the newest run's journal."""
    return [entry for entry in latest(project)["journal"] if entry["kind"] == kind]


def wait_for_offers(project: Path, process: subprocess.Popen[str], committed: int = 50) -> None:
    """Wait until a run has committed that many events."""
    deadline = time.monotonic() + 120
    path = project / "reports" / "latest"
    while time.monotonic() < deadline and process.poll() is None:
        if (path / "samples.csv").exists() and any(
            sample.committed >= committed for sample in Sample.read(path)
        ):
            return
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    raise AssertionError(f"no run began: {process.communicate()}")
