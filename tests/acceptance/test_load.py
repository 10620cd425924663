"""`locust` as a user types it, on a real source: counts, rows, signals, refusals."""

import signal
from pathlib import Path

import pytest

from loadgen.record.run import Run
from loadgen.source.postgres import connect
from loadgen.workload.operations import operation_facts
from tests.acceptance.conftest import (
    OPERATION,
    RATES,
    Locust,
    check_record,
    counted,
    latest,
    rates,
    wait_for,
    wait_for_offers,
)
from tests.conftest import find_free_port
from tests.plans import SHOP

WAITS_FOR_A_LOCK = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
AND clock_timestamp() - query_start > %s::interval"""


@pytest.mark.parametrize("arrivals", ["even", "jitter", "poisson"])
def test_a_run_offers_what_was_asked_and_commits_what_the_tables_gained(
    arrivals: str, seeded: str, locust: Locust, project: Path
) -> None:
    """Offered equals rate times time, and rows gained equal the committed counters exactly."""
    before = counted(seeded)
    process = locust(seeded, "-u", "10", "-t", "5s", *rates(2), env={"ARRIVALS": arrivals})
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


@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "two workers"])
def test_a_run_has_its_time_however_late_it_begins(
    processes: tuple[str, ...], seeded: str, locust: Locust, project: Path
) -> None:
    """A run has its full time, though Locust's timer ended while the source was not ready."""
    before = counted(seeded)
    with connect(seeded, autocommit=False) as slow, connect(seeded) as watcher:
        slow.execute("LOCK TABLE loadgen_playground IN EXCLUSIVE MODE")
        process = locust(seeded, "-u", "2", "-t", "1s", *processes, *rates())
        wait_for(lambda: watcher.execute(WAITS_FOR_A_LOCK, ["2 s"]).rowcount, "the run's claim")
        slow.rollback()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    run = check_record(project, seeded, before)
    assert run["duration_seconds"] == pytest.approx(1, abs=0.01)


def test_a_small_rate_is_not_rounded_away(seeded: str, locust: Locust, project: Path) -> None:
    """1800 an hour for four seconds is two writes, evenly spread."""
    small = (*rates(0), "--orders-per-hour", "1800")
    process = locust(seeded, "-u", "2", "-t", "4s", *small, env={"ARRIVALS": "even"})
    assert process.wait(60) == 0
    run = Run.of(project / "reports" / "latest")
    assert run.workload == "shop"
    assert run.operations == operation_facts(SHOP)
    assert latest(project)["totals"]["insert_order"] == {
        "offered": 2,
        "committed": 2,
        "failed": 0,
        "skipped": 0,
        "unknown": 0,
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_drains_the_run(
    number: signal.Signals, seeded: str, locust: Locust, project: Path
) -> None:
    """SIGTERM and SIGHUP end a run like Ctrl-C: nothing is half-written or unknown."""
    before = counted(seeded)
    process = locust(seeded, "-t", "10m", *rates(4))
    wait_for_offers(project, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    run = check_record(project, seeded, before)
    assert run["ended_at"] is not None
    assert "Traceback" not in err


def test_another_writer_makes_the_run_invalid(seeded: str, locust: Locust, project: Path) -> None:
    """Rows that the load did not write make the run invalid: exit code 1 and the difference."""
    process = locust(seeded, "-t", "4s", *rates())
    wait_for_offers(project, process, 10)
    with connect(seeded) as other:
        other.execute("UPDATE users SET name = name WHERE id = 1")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert "INVALID: users: " in out
    run = latest(project)
    assert run["valid"] is False
    assert "users: " in run["invalid_reason"]


def test_one_load_a_database(seeded: str, locust: Locust, project: Path) -> None:
    """A second load on the same database, or on the same ports, is refused with the reason."""
    first = locust(seeded, "-t", "10m", *rates())
    wait_for_offers(project, first)
    second = locust(seeded, "-t", "5s", env={"METRICS_PORT": str(find_free_port())})
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "a load already runs against" in err
    third = locust(seeded, "-t", "5s")
    _, err = third.communicate(timeout=60)
    assert third.returncode == 2
    assert f"a load already runs here (run {latest(project)['run_id']}, 127.0.0.1:" in err
    assert "can't listen" not in err
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("--orders-per-hour", "-1"), {}, "ORDERS_PER_HOUR is '-1'"),
        (("--orders-per-hour", "nan"), {}, "ORDERS_PER_HOUR is 'nan'"),
        (("--events-per-hour", "abc"), {}, "EVENTS_PER_HOUR is 'abc'"),
        ((), {"EVENTS_PER_HOUR": "abc"}, "EVENTS_PER_HOUR is 'abc'"),
        (("--orders-per-hour", "1e9"), {}, "MAX_RATE_PER_HOUR"),
        (("-u", "0"), {}, "-u is 0"),
        ((), {"DATABASE_URL": "mysql://u:secret@h/d"}, "DATABASE_URL is 'mysql://"),
        ((), {"DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/d"}, "127.0.0.1"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    arguments: tuple[str, ...], env: dict[str, str], said: str, locust: Locust, project: Path
) -> None:
    """The load exits with 2 and names the setting; no secret is shown and no record begins."""
    process = locust("postgresql://u:secret@127.0.0.1:1/d", "-t", "5s", *arguments, env=env)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert said in err
    assert "secret" not in out + err
    assert "Traceback" not in err
    assert not (project / "reports").exists()


def test_an_unseeded_source_is_refused(database: str, locust: Locust) -> None:
    """With DATABASE_URL the load never seeds by itself; the error names `loadgen seed`."""
    process = locust(database, "-t", "5s")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "loadgen seed" in err


def test_more_busy_users_than_there_are_is_refused(
    seeded: str, locust: Locust, project: Path
) -> None:
    """More HOT_USERS than users: exit code 2 and no record; a misspelt setting is reported too."""
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
    ours = {"locustfile.py", "thresholds.toml", "__pycache__"}
    assert {path.name for path in project.iterdir()} <= ours
