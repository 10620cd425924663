"""`locust` as a user types it, on a real source: counts, rows, signals, faults."""

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from loadgen.record_reader import read_samples
from loadgen.source import server
from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    OPERATION,
    RATES,
    Locust,
    check_record,
    counted,
    latest,
    rates,
    wait_for_offers,
)
from tests.conftest import RunLoadgen, find_free_port


@pytest.mark.parametrize("arrivals", ["even", "jitter", "poisson"])
def test_a_run_offers_what_was_asked_and_commits_what_the_tables_gained(
    arrivals: str, seeded: str, locust: Locust, project: Path
) -> None:
    """Offered is the rate times the time, rows gained equal the committed counters exactly."""
    before = counted(seeded)
    process = locust(seeded, "-u", "10", "-t", "10s", *rates(), env={"ARRIVALS": arrivals})
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    run = check_record(project, seeded, before)
    for name, rate in RATES.items():
        totals, asked = run["totals"][OPERATION[name]], rate / 360
        slack = 3 * asked**0.5 if arrivals == "poisson" else 1
        assert abs(totals["offered"] - asked) <= slack
        assert totals["failed"] == 0
    assert "Rows gained equal the committed counters" in out
    assert "Traceback" not in err


def test_a_small_rate_is_not_rounded_away(seeded: str, locust: Locust, project: Path) -> None:
    """1200 an hour for nine seconds is three writes, evenly spread."""
    process = locust(
        seeded,
        "-u",
        "2",
        "-t",
        "9s",
        *rates(0),
        "--orders-per-hour",
        "1200",
        env={"ARRIVALS": "even"},
    )
    assert process.wait(60) == 0
    assert latest(project)["totals"]["insert_order"] == {
        "offered": 3,
        "committed": 3,
        "failed": 0,
        "skipped": 0,
        "unknown": 0,
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_run(
    number: signal.Signals, seeded: str, locust: Locust, project: Path
) -> None:
    """Ctrl-C and SIGTERM end a run early, with nothing half-written and nothing unknown."""
    before = counted(seeded)
    process = locust(seeded, "-t", "10m", *rates(4))
    wait_for_offers(project, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    run = check_record(project, seeded, before)
    assert run["ended_at"] is not None
    assert "Traceback" not in err


def test_cut_connections_are_settled_and_made_again(
    seeded: str, locust: Locust, project: Path
) -> None:
    """Writes that lose their answer are looked up; users connect again; the law holds."""
    before = counted(seeded)
    process = locust(seeded, "-u", "8", "-t", "12s", *rates(20))
    wait_for_offers(project, process)
    with connect(seeded) as admin:
        for _ in range(5):
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'loadgen' AND datname = current_database() "
                "AND pid <> pg_backend_pid() AND query NOT LIKE '%pg_try_advisory_lock%'"
            )
            time.sleep(0.3)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    run = check_record(project, seeded, before)
    total = sum(totals["committed"] for totals in run["totals"].values())
    assert total > 0.7 * sum(totals["offered"] for totals in run["totals"].values())


def test_a_server_that_dies_and_comes_back_costs_skips_and_nothing_else(
    project: Path, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """Kill -9 of Postgres: users connect again, lost writes are settled, counters equal rows."""
    info = server.start(project, port=find_free_port())
    seed = run_loadgen("seed", env={"DATABASE_URL": info.dsn})
    assert seed.returncode == 0, seed.stderr
    before = counted(info.dsn)
    process = locust(info.dsn, "-u", "8", "-t", "14s", *rates(10))
    wait_for_offers(project, process)
    os.kill(info.pid, signal.SIGKILL)
    time.sleep(1)
    assert server.start(project).port == info.port
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    run = check_record(project, info.dsn, before)
    event = run["totals"]["insert_event"]
    assert event["offered"] == pytest.approx(2800, abs=1)
    assert 0 < event["skipped"] < 0.6 * event["offered"]
    offered = [
        sample.offered
        for sample in read_samples(project / "reports" / "latest")
        if sample.operation == "insert_event"
    ]
    assert all(0 < b - a <= 2 * 200 + 1 for a, b in pairwise(offered[:-2]))  # no gap, no burst


def test_another_writer_makes_the_run_invalid(seeded: str, locust: Locust, project: Path) -> None:
    """Rows that the load did not write are noticed: exit code 1, and the difference is said."""
    process = locust(seeded, "-t", "6s", *rates())
    wait_for_offers(project, process)
    with connect(seeded) as other:
        other.execute("UPDATE users SET name = name WHERE id = 1")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert "INVALID: soft_delete_user" in out
    run = latest(project)
    assert run["valid"] is False
    assert "soft_delete_user" in run["invalid_reason"]


def test_one_load_a_database(seeded: str, locust: Locust, project: Path) -> None:
    """A second load on the same database is refused and says so."""
    first = locust(seeded, "-t", "10m", *rates())
    wait_for_offers(project, first)
    second = locust(seeded, "-t", "5s")
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another load runs against" in err
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("--orders-per-hour", "-1"), {}, "ORDERS_PER_HOUR is '-1'"),
        (("--orders-per-hour", "nan"), {}, "ORDERS_PER_HOUR is 'nan'"),
        (("--events-per-hour", "abc"), {}, "EVENTS_PER_HOUR is 'abc'"),
        ((), {"EVENTS_PER_HOUR": "abc"}, "EVENTS_PER_HOUR is 'abc'"),
        (("--orders-per-hour", "1e12"), {}, "MAX_RATE_PER_HOUR"),
        (("-u", "0"), {}, "-u is 0"),
        ((), {"DATABASE_URL": "mysql://u:secret@h/d"}, "DATABASE_URL is 'mysql://"),
        ((), {"DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/d"}, "127.0.0.1"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    arguments: tuple[str, ...], env: dict[str, str], said: str, locust: Locust, project: Path
) -> None:
    """Exit code 2, the setting named, no secret shown, no record begun."""
    process = locust("postgresql://u:secret@127.0.0.1:1/d", "-t", "5s", *arguments, env=env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert said in err
    assert "secret" not in out + err
    assert "Traceback" not in err
    assert not (project / "reports").exists()


def test_an_unseeded_source_is_refused(database: str, locust: Locust) -> None:
    """With DATABASE_URL nothing is seeded behind one's back: the command to do so is named."""
    process = locust(database, "-t", "5s")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "loadgen seed" in err


def test_more_busy_users_than_there_are_is_refused(
    seeded: str, locust: Locust, project: Path
) -> None:
    """HOT_USERS beyond the baseline's users: exit 2, no record; a misspelt name is pointed out."""
    (project / ".env").write_text("SEEED=3\n")
    process = locust(seeded, "-t", "5s", env={"HOT_USERS": "1001"})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "HOT_USERS is 1001, but the source has 1000 users" in err
    assert "SEEED, which is no setting: did you mean SEED?" in err
    assert not (project / "reports").exists()


def test_help_starts_nothing(locust: Locust, project: Path) -> None:
    """`locust --help` touches no database and begins no record."""
    process = locust("postgresql://u:p@127.0.0.1:1/d", "--help")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.startswith("Usage: locust")
    assert {path.name for path in project.iterdir()} <= {"locustfile.py", "__pycache__"}
