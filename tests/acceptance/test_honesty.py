"""Verdicts: a generator that is the bottleneck, thresholds in a file, and refused loads."""

import json
from pathlib import Path

import pytest

from loadgen.record.rows import GeneratorSample, bottleneck_seconds
from loadgen.source.postgres import connect
from tests.acceptance.conftest import LENIENT, Locust, check_record, counted, latest, rates
from tests.conftest import RunLoadgen
from tests.granting import as_user

# A foreign greenlet in one process of the load: it blocks the processor for `seconds` at a time and
# sleeps for `rest` in between.
BURNING = """
import time

import gevent
from locust import events
from locust.runners import MasterRunner

from loadgen.load.user import PostgresUser
from loadgen.load import listeners

def burn():
    while True:
        ends = time.monotonic() + {seconds}
        while time.monotonic() < ends:
            pass
        gevent.sleep({rest})

@events.test_start.add_listener
def start(environment, **_):
    runner = environment.runner
    if not isinstance(runner, MasterRunner) and getattr(runner, "worker_index", 0) == 0:
        gevent.spawn_later(0.5, burn)
"""


def run_folder(project: Path) -> Path:
    """Return the newest run's folder."""
    return project / "reports" / "latest"


def test_a_stalling_generator_makes_the_run_invalid(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """If arrivals are late on idle connections, load and report exit with 4, though rows match."""
    before = counted(seeded)
    (project / "locustfile.py").write_text(BURNING.format(seconds=0.4, rest=0.05))
    (project / "thresholds.toml").write_text("intended_p95_seconds = 0.01\n")
    process = locust(seeded, "-t", "6s", *rates())
    out, err = process.communicate(timeout=90)
    assert process.returncode == 4, out + err
    assert "INVALID: the generator itself was the bottleneck in " in out
    assert "MISSED: intended_p95_seconds: limit 0.01, measured" in out
    run = latest(project)
    assert (run["valid"], run["exit_code"]) == (False, 4)
    assert run["invalid_reason"].startswith("the generator itself was the bottleneck in ")
    committed = {name: totals["committed"] for name, totals in run["totals"].items()}
    assert committed == {name: n - before[name] for name, n in counted(seeded).items()}
    assert (bottleneck_seconds(run_folder(project)) or 0) >= 2
    assert max(row.loop_lag_max for row in GeneratorSample.read(run_folder(project))) >= 0.3
    checked = run_loadgen("report", "--check")
    assert checked.returncode == 4, checked.stderr
    assert "The generator itself was the bottleneck" in checked.stdout
    assert run_loadgen("report").returncode == 0
    # The thresholds can allow a bottleneck.
    (project / "thresholds.toml").write_text(LENIENT)
    assert run_loadgen("report", "--check").returncode == 0


def test_one_busy_worker_is_enough(seeded: str, locust: Locust, project: Path) -> None:
    """A process that is always busy while arrivals wait is the bottleneck, even without a stall."""
    (project / "locustfile.py").write_text(BURNING.format(seconds=0.03, rest=0))
    (project / "thresholds.toml").write_text("skipped_share = 1.0\n")
    process = locust(seeded, "--processes", "2", "-u", "2", "-t", "6s", *rates(2))
    out, err = process.communicate(timeout=90)
    assert process.returncode == 4, out + err
    assert "INVALID: the generator itself was the bottleneck in " in out
    rows = list(GeneratorSample.read(run_folder(project)))
    assert max(row.busy_ratio for row in rows) > 0.95
    assert any(row.bottleneck_seconds for row in rows)


def test_a_slow_source_is_not_the_generators_fault(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Skips caused by a slow source keep the run valid, but above a twentieth the exit code is 3.

    Terminal, report and exit code agree, though the file sets no limit on skips.
    """
    before = counted(seeded)
    with connect(seeded) as source:
        source.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END$$"
        )
        source.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    limits = project / "limits.toml"
    limits.write_text("[operations.insert_order]\nfailed_share = 0\n")
    env = {"THRESHOLDS_FILE": str(limits)}
    process = locust(seeded, "-u", "1", "-t", "6s", *rates(), env=env)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 3, out + err
    assert "MISSED: skipped_share: limit 0.05, measured" in out
    assert "verdict: a threshold was missed (exit code 3)" in out
    assert "Thresholds passed: 1 of 2" in out
    run = check_record(project, seeded, before)
    assert run["totals"]["insert_event"]["skipped"] > 10
    assert [found["verdict"] for found in run["thresholds"]] == ["missed", "pass"]
    assert (bottleneck_seconds(run_folder(project)) or 0) <= 3  # on a crowded test machine
    checked = run_loadgen("report", "--check", "--json", env=env)
    assert checked.returncode == json.loads(checked.stdout)["exit_code"] == 3, checked.stderr
    report = (run_folder(project) / "report.md").read_text()
    assert report.startswith("# The generator did not keep up; 1 threshold missed")
    assert "a threshold was missed (exit code 3)" in report
    limits.write_text("skipped_share = 1\n")
    assert run_loadgen("report", "--check", env=env).returncode == 0


def test_a_run_in_which_nothing_was_written_is_invalid(
    seeded: str, locust: Locust, project: Path, run_loadgen: RunLoadgen
) -> None:
    """If every write is refused, 0 = 0 is no agreement: load, report and validate say so."""
    with connect(seeded) as source:
        source.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE insufficient_privilege; END$$"
        )
        for table in ("users", "orders", "events"):
            source.execute(
                f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
    process = locust(seeded, "-u", "2", "-t", "3s", *rates())
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert "INVALID: nothing was written: of " in out
    assert "verdict: invalid, or a check failed (exit code 1)" in out
    assert "Rows gained equal" not in out
    run = latest(project)
    assert (run["valid"], run["exit_code"]) == (False, 1)
    checked = run_loadgen("report", "--check", "--json")
    assert checked.returncode == json.loads(checked.stdout)["exit_code"] == 1, checked.stderr
    assert json.loads(checked.stdout)["headline"] == "Nothing was written"
    validated = json.loads(run_loadgen("validate", "--json", env={"DATABASE_URL": seeded}).stdout)
    told = {check["name"]: check for check in validated["checks"]}[
        "counters of the last run = rows"
    ]
    assert (told["ok"], told["detail"]) == (None, f"run {run['run_id']} committed nothing")


@pytest.mark.parametrize("right", ["INSERT ON events", "UPDATE ON users"])
def test_a_role_without_a_right_is_refused_before_a_run(
    right: str, seeded: str, locust: Locust, project: Path
) -> None:
    """The load exits with 2 and one line that names the table and the error; no run begins."""
    with connect(seeded) as source:
        source.execute(
            "CREATE ROLE a_writer LOGIN PASSWORD 'secret';"
            "GRANT CREATE ON SCHEMA public TO a_writer;"
            f"GRANT CREATE ON DATABASE {source.info.dbname} TO a_writer;"
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO a_writer;"
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO a_writer".encode()
        )
        try:
            source.execute(f"REVOKE {right} FROM a_writer".encode())
            process = locust(as_user(seeded, "a_writer", "secret"), "-t", "5s", *rates())
            out, err = process.communicate(timeout=60)
        finally:
            source.execute("DROP OWNED BY a_writer; DROP ROLE a_writer")
    assert process.returncode == 2, out + err
    [line] = [line for line in err.splitlines() if "loadgen: error" in line]
    assert f"permission denied for table {right.rpartition(' ')[2]} (SQLSTATE 42501)" in line
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("text", "env", "said"),
    [
        ("skiped_share = 0.1", {}, "thresholds.toml: skiped_share is no threshold: did you mean"),
        (
            None,
            {"THRESHOLDS_FILE": "gone.toml"},
            "THRESHOLDS_FILE is gone.toml, which does not exist",
        ),
    ],
)
def test_a_bad_file_is_refused_before_anything_starts(
    text: str | None, env: dict[str, str], said: str, locust: Locust, project: Path
) -> None:
    """The load exits with 2 and one line before it connects to the source."""
    if text is not None:
        (project / "thresholds.toml").write_text(text)
    process = locust("postgresql://u:p@127.0.0.1:1/d", "-t", "5s", env=env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert said in err
    assert "Traceback" not in err
    assert not (project / "reports").exists()
