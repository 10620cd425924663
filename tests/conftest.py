"""What every ring shares: one embedded server a session, a database a test, commands as typed.

`database` is migrated, `empty_database` is not; `each_database` and `each_empty_database` run a
test once on the embedded server and once on Debian's Postgres 15 (skipped by name without it).
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psutil
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.workload.read_model import read_model
from tests.polling import wait_for
from tests.stack import Image

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what the tests start would ignore their Ctrl-C too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The same examples each time, at any speed; `--hypothesis-profile default` draws others.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

DEBIAN_BIN = Path("/usr/lib/postgresql/15/bin")
EMULATORS = Path(__file__).parents[1] / ".tools" / "emulators" / "bin"
COMMAND_SECONDS = 300
# Tests of half a minute and more; most of it they wait.
_LONG = (
    "test_what_a_page_says_to_type_works",
    "test_demo.py",
    "test_the_check_passes[mypy]",
    "test_four_tools_are_compared",
    "test_ten_tables_are_loaded",
    "test_any_number_of_workers",
    "test_one_load_a_database",
    "test_what_prometheus_knows",
    "test_watch.py",
)
_PORTS_OF_A_WORKER = 2000
_FIRST_PORT = 12_000 + _PORTS_OF_A_WORKER * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_PORT_NUMBERS = count(secrets.randbelow(_PORTS_OF_A_WORKER))
_COVERAGE = "COVERAGE_PROCESS_CONFIG"  # its configuration, for subprocesses
# Loads of these tests trace greenlets for coverage, which doubles the cost of a load.
_LOADS_MEASURED = ("test_load.", "test_page.", "test_workers.", "test_faults.", "test_gevent_")


def find_free_port() -> int:
    """Return a free loopback port that no other worker's test gets.

    It is below those that the system gives to connections, one of which could take it meanwhile.
    """
    for number in _PORT_NUMBERS:
        port = _FIRST_PORT + number % _PORTS_OF_A_WORKER
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the numbers have no end")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server of the tests' own, and its migrated template database."""

    info: server.RunningServer
    numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """Yield the DSN of a new database, dropped afterwards with whatever still uses it."""
        name = f"test_{next(self.numbers)}"
        with connect(self.info.dsn) as admin:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield self.dsn(name)
        finally:
            self._drop(name)

    def dsn(self, name: str) -> str:
        """Return the DSN of database `name`."""
        return f"{self.info.dsn.rpartition('/')[0]}/{name}"

    def _drop(self, name: str) -> None:
        with connect(self.info.dsn) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            admin.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                "WHERE database = %s",
                (name,),
            )
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            admin.execute(drop.format(sql.Identifier(name)))


@contextmanager
def running_cluster(project: Path, pg_bin: Path | None = None) -> Iterator[Cluster]:
    """Run a server of the playground's own code in `project`, removed in the end."""
    project.mkdir(parents=True, exist_ok=True)
    try:
        # Tests of durability start their own; without fsync the others take half the time.
        info = server.start(project, pg_bin=pg_bin, port=find_free_port(), options={"fsync": "off"})
        cluster = Cluster(info)
        with connect(info.dsn) as admin:
            admin.execute("CREATE DATABASE migrated_template")
        with connect(cluster.dsn("migrated_template")) as template:
            migrate(template, read_model("shop"))
        yield cluster
    finally:
        server.reset(project)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its part of the longest tests, so that none of them is the last.

    xdist gives its workers parts of the list, of equal size, and later moves tests from the ends.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if any(name in item.nodeid for name in _LONG)]
    rest = iter([item for item in items if item not in set(long)])
    left, ordered = len(items), list[pytest.Item]()
    for worker in range(workers):
        size = left // (workers - worker)
        first = long[worker::workers][:size]
        ordered += [*first, *islice(rest, size - len(first))]
        left -= size
    assert len(set(ordered)) == len(items)
    items[:] = ordered


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run the embedded server of the session."""
    with running_cluster(tmp_path_factory.mktemp("embedded")) as running:
        yield running


@pytest.fixture(scope="session")
def debian_bin() -> Path:
    """Return the folder of Debian's Postgres 15."""
    if not (DEBIAN_BIN / "initdb").exists():
        pytest.skip(f"no Debian Postgres 15 in {DEBIAN_BIN}")
    return DEBIAN_BIN


@pytest.fixture(scope="session")
def debian_cluster(debian_bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run Debian's Postgres 15, started by the playground's own code."""
    with running_cluster(tmp_path_factory.mktemp("debian15"), debian_bin) as running:
        yield running


@pytest.fixture(params=["cluster", "debian_cluster"], ids=["embedded", "debian15"])
def each_cluster(request: pytest.FixtureRequest) -> Cluster:
    """Return each server in turn."""
    found: Cluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def database(cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of a fresh migrated database on the embedded server."""
    with cluster.database("migrated_template") as dsn:
        yield dsn


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of a fresh database with nothing in it."""
    with cluster.database("template1") as dsn:
        yield dsn


@pytest.fixture
def each_database(each_cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of a fresh migrated database, on each server in turn."""
    with each_cluster.database("migrated_template") as dsn:
        yield dsn


@pytest.fixture
def each_empty_database(each_cluster: Cluster) -> Iterator[str]:
    """Yield the DSN of a fresh database with nothing in it, on each server in turn."""
    with each_cluster.database("template1") as dsn:
        yield dsn


@dataclass(frozen=True, slots=True)
class Fakesnow:
    """An emulator of Snowflake in a separate process; its data is lost when it ends."""

    port: int

    @property
    def settings(self) -> dict[str, object]:
        """Return the settings that lead to it."""
        return {
            "snowflake_host": "127.0.0.1",
            "snowflake_port": self.port,
            "snowflake_protocol": "http",
        }

    def connect(self, database: str) -> "SnowflakeConnection":
        """Return a connection of the real connector's; database and schema are made."""
        from snowflake.connector import connect as to_snowflake  # noqa: PLC0415 - slow

        connection = to_snowflake(
            user="fake", password="snow", account="fakesnow",  # noqa: S106 - it checks none
            host="127.0.0.1", port=self.port, protocol="http",
        )  # fmt: skip
        for statement in (
            f"CREATE DATABASE IF NOT EXISTS {database}",
            f"CREATE SCHEMA IF NOT EXISTS {database}.PUBLIC",
            f"USE SCHEMA {database}.PUBLIC",
        ):
            connection.cursor().execute(statement)
        return connection


@pytest.fixture(scope="session")
def fakesnow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fakesnow]:
    """Run fakesnow's server, in the environment of the emulators."""
    program = EMULATORS / "python"
    if not program.exists():
        pytest.skip(f"no {program}: make setup-dev")
    port = find_free_port()
    log = tmp_path_factory.mktemp("fakesnow") / "log"
    script = Path(__file__).parent / "emulators/fakesnow_merging.py"
    command = [str(program), str(script), "-s", "-p", str(port), "--host", "127.0.0.1"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=clean_environment(measured=False)
        )
    try:
        wait_for(lambda: "Uvicorn running" in log.read_text(), "fakesnow", 60)
        yield Fakesnow(port)
    finally:
        kill_all(process)
        process.wait()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the image that the Dockerfile's lines make, in a temporary folder."""
    return Image(tmp_path_factory.mktemp("image"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Yield a project folder with spaces and unicode; its server is gone after the test."""
    folder = tmp_path / "my pröject ☃"
    folder.mkdir()
    yield folder
    server.reset(folder)


@pytest.fixture
def free_port() -> int:
    """Return a free loopback port."""
    return find_free_port()


class RunLoadgen(Protocol):
    """Runs `loadgen ARGUMENTS…` as a person would."""

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        measured: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Return the ended command with its captured output; `stdin` is typed into it.

        One that starts many others need not be `measured`: it takes twice as long.
        """


def clean_environment(
    extra: Mapping[str, str] | None = None, *, measured: bool = True, gevent: bool = False
) -> dict[str, str]:
    """Return an environment without anybody's settings, but with what coverage needs.

    A process to be interrupted must not be `measured`: a KeyboardInterrupt inside coverage's own
    lock leaves it locked, and the process waits for ever. What runs greenlets says `gevent`, and is
    measured in some modules only.
    """
    if gevent:
        module = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]
        measured = measured and any(name in module for name in _LOADS_MEASURED)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PATH" or (measured and name.startswith("COV"))
    }
    if gevent and _COVERAGE in kept:
        config = json.loads(b64decode(kept[_COVERAGE])) | {"concurrency": ["gevent", "thread"]}
        kept[_COVERAGE] = b64encode(json.dumps(config).encode()).decode()
    return kept | {"HOME": "/nonexistent", "LANG": "C.UTF-8"} | dict(extra or {})


@contextmanager
def spawning() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Yield a starter of `python ARGUMENTS…`; what still runs in the end is killed, children too.

    It takes `cwd`, `env` (added to a clean environment) and `measured`.
    """
    started: list[subprocess.Popen[str]] = []

    def start(
        *arguments: str, cwd: Path, env: Mapping[str, str], measured: bool = True
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env=clean_environment(env, measured=measured, gevent="locust" in arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            kill_all(process)
            process.communicate()


def kill_all(process: subprocess.Popen[Any]) -> None:
    """Kill what still runs of a process and its children."""
    if process.poll() is None:
        with suppress(psutil.NoSuchProcess):  # it, or a child, may end by itself meanwhile
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()


@pytest.fixture
def run_loadgen(project: Path) -> RunLoadgen:
    """Return a runner of the command line in the test's project, with a clean environment."""

    def run(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        measured: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "loadgen", *arguments],
            cwd=cwd or project,
            env=clean_environment(env, measured=measured),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def start_python(project: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a starter of Python code in the project, as a process in a new process group."""

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=project,
            env=clean_environment(measured=False),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    return start
