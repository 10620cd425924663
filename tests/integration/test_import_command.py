"""`loadgen workload import` against a real server: its output, its files and its leftovers."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen

import psutil
import psycopg
import pytest

from loadgen import cli
from loadgen.config.settings import load_settings
from loadgen.costs.expected_month import expected_month
from loadgen.source.postgres import connect
from loadgen.workload.read_model import read_model
from tests.conftest import Cluster, RunLoadgen, clean_environment
from tests.polling import wait_for
from tests.pseudo_terminal import shown_in, terminal

OWN = """
CREATE TABLE customers (
    id bigserial PRIMARY KEY, name text NOT NULL, state text DEFAULT 'new-literal' NOT NULL
);
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, total numeric(10, 2)
    CHECK (total >= 0.125)
);
INSERT INTO customers (name) SELECT 'CANARY-' || n FROM generate_series(1, 400) n;
INSERT INTO orders (customer, total) SELECT 1 + n % 400, n FROM generate_series(1, 5000) n;
UPDATE orders SET total = total + 1 WHERE id <= 500;
"""
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'loadgen workload import'
"""
PASSWORD = "secret-word"  # noqa: S105 - of a role of the test


@pytest.fixture
def own(each_empty_database: str) -> str:
    """Return the DSN of a database with two foreign tables, and writes in its counters."""
    with connect(each_empty_database) as conn:
        conn.execute(OWN)
        conn.execute("SELECT pg_stat_force_next_flush()" if _has_flush(conn) else "SELECT 1")
        conn.execute("ANALYZE")
    return each_empty_database


def _has_flush(conn: psycopg.Connection) -> bool:
    return conn.info.server_version >= 150_000


@pytest.fixture
def reader(own: str) -> Iterator[str]:
    """Yield the DSN of a role that may connect there, and nothing more."""
    with connect(own) as conn:
        conn.execute(f"CREATE ROLE import_reader LOGIN PASSWORD '{PASSWORD}'".encode())
    place = own.rpartition("@")[2]
    try:
        yield f"postgresql://import_reader:{PASSWORD}@{place}"
    finally:
        with connect(own) as conn:
            conn.execute("DROP ROLE import_reader")


def test_an_import_shows_and_writes_all_it_read(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 80 columns: the server, the window, the tables, literals, and the next commands."""
    monkeypatch.chdir(tmp_path)
    with terminal(monkeypatch, 80) as theirs:
        assert cli.main(["workload", "import", own, "--out", "mywork"]) == 0
        shown = shown_in(theirs)
    lines = shown.splitlines()
    plain = [_without_escapes(line) for line in lines]
    assert [line for line in plain if len(line) > 80] == []
    text = " ".join(" ".join(plain).split())
    for part in (
        "Postgres 1",
        "Writes were counted",
        "a quiet hour is wrong",
        "'new-literal'::text (customers.state)",
        "0.125",
        "export WORKLOAD=mywork",
        "loadgen costs --expected",
    ):
        assert part in text, part
    assert [path.name for path in tmp_path.iterdir()] == ["mywork"]
    model = read_model("mywork")
    assert set(model.tables) == {"customers", "orders"}
    assert model.imported is not None
    assert model.imported.tables["orders"].rows == pytest.approx(5000, rel=0.01)
    month = expected_month(load_settings({"workload": "mywork"}), datetime.now(UTC))
    assert month.tables["orders"].copied.rows == model.imported.tables["orders"].rows


def _without_escapes(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", line)


def test_no_password_or_value_gets_out(
    reader: str, own: str, tmp_path: Path, run_loadgen: RunLoadgen
) -> None:
    """Neither in a file nor in the output; a role without rights hears of the GRANTs."""
    done = run_loadgen("workload", "import", reader, "--out", "mywork", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = "".join(file.read_text() for file in (tmp_path / "mywork").iterdir())
    for word in (PASSWORD, "CANARY", "import_reader"):
        assert word not in files
    for word in (PASSWORD, "CANARY"):
        assert word not in done.stdout + done.stderr
    assert "127.0.0.1" not in files
    assert "GRANT pg_read_all_data TO import_reader" in done.stdout


def test_values_are_read_only_if_somebody_asks(
    own: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Then the output states it, and the model has them."""
    with connect(own) as conn:
        conn.execute("ALTER TABLE customers ADD kind text")
        conn.execute("UPDATE customers SET kind = 'CANARY-common' || id % 2")
        conn.execute("ANALYZE customers")
    for arguments, has_values in (((), False), (("--with-values",), True)):
        out = f"values_{has_values}"
        done = run_loadgen("workload", "import", own, "--out", out, *arguments)
        assert done.returncode == 0, done.stderr
        assert ("CANARY-common" in (project / out / "workload.toml").read_text()) == has_values
        assert ("The model has values of rows" in done.stdout) == has_values


def test_the_imported_database_is_refused_to_the_load(
    own: str, tmp_path: Path, run_loadgen: RunLoadgen, empty_database: str
) -> None:
    """`seed` with the URL that was imported ends with 2; the tables stay as they were."""
    done = run_loadgen("workload", "import", own, "--out", "mywork", "--rows", "10%", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    settings = {"DATABASE_URL": own, "WORKLOAD": "mywork"}
    seeded = run_loadgen("seed", env=settings, cwd=tmp_path)
    assert seeded.returncode == 2
    assert "was imported from database" in seeded.stderr
    seeded = run_loadgen("seed", env=settings | {"DATABASE_URL": empty_database}, cwd=tmp_path)
    assert seeded.returncode == 0, seeded.stderr


def test_a_model_that_can_t_be_made_leaves_nothing(
    empty_database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """A database without tables, and a table that is not there: exit code 2, no folder."""
    for arguments in ((), ("--tables", "missing"), ("--every", "1m")):
        command = ("workload", "import", empty_database, "--out", "mywork", *arguments)
        done = run_loadgen(*command)
        assert done.returncode == 2, done.stdout
        assert done.stderr.splitlines()[-1].startswith("loadgen: error: ")
        assert list(project.iterdir()) == []


def test_an_output_that_nobody_reads_leaves_nothing(own: str, project: Path) -> None:
    """As with `| head -1`: files are written only if the output was shown."""
    command = [sys.executable, "-m", "loadgen", "workload", "import", own, "--out", "mywork"]
    with Popen(
        command, cwd=project, env=clean_environment(), stdout=PIPE, stderr=PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 2, errors
    assert errors.splitlines()[-1].startswith("loadgen: error: the output was not read to its end")
    assert list(project.iterdir()) == []


def test_an_interrupted_import_leaves_nothing(
    cluster: Cluster, project: Path, start_python: Callable[..., Popen[str]]
) -> None:
    """Neither a folder here nor a session there; exit code 130."""
    code = "import sys; from loadgen.cli import main; sys.exit(main(sys.argv[1:]))"
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        conn.execute("CREATE TABLE items (id int PRIMARY KEY)")
        arguments = ("workload", "import", dsn, "--out", "mywork", "--interval", "1h")
        process = start_python(code, *arguments)
        try:
            assert process.stderr is not None
            assert process.stderr.readline()  # it has begun to measure
            status = psutil.Process(process.pid).status
            wait_for(lambda: status() == psutil.STATUS_SLEEPING, "the wait of an hour")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
            process.communicate()
        assert list(project.iterdir()) == []
        wait_for(lambda: conn.execute(SESSIONS).fetchone() == (0,), "the end of the session")
