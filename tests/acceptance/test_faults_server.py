"""Faults of the server itself, its disk and its network, under load."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadgen.source.embedded import server
from loadgen.source.embedded.account import server_account
from loadgen.source.embedded.home import home_of, write_private
from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    ROOT,
    Locust,
    counted,
    journaled,
    latest,
    newest,
    rates,
    stopped,
    wait_for,
    wait_for_offers,
)
from tests.acceptance.faulted import (
    WITH_USERS,
    check_faulted,
    check_law_and_schedule,
    failed_by,
    faults,
    frozen,
    outages,
    per_hour,
    total,
    wait_for_commits,
    wait_until_it_writes,
)
from tests.conftest import Cluster, RunLoadgen, clean_environment, find_free_port

# Short by default; FREEZE_SECONDS=30 is the full test, which takes a minute.
FREEZE_SECONDS = float(os.environ.get("FREEZE_SECONDS", "4"))
STATEMENT_TIMEOUT = 30.0  # seconds, of the load's connections

HELD = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted"


@pytest.fixture
def own(project: Path, run_loadgen: RunLoadgen) -> server.RunningServer:
    """Return a seeded server for this test alone, with default durability."""
    info = server.start(project, port=find_free_port())
    size = ("--users", "1000", "--orders", "3000", "--events", "3000")
    seed = run_loadgen("seed", *size, env={"DATABASE_URL": info.dsn})
    assert seed.returncode == 0, seed.stderr
    return info


def killed(project: Path, info: server.RunningServer) -> None:
    """End a server as the kernel does when memory runs out."""
    os.kill(info.pid, signal.SIGKILL)


def came_back(project: Path) -> list[dict[str, Any]]:
    """Return the journal's entries on a source that is back."""
    return [fault for fault in journaled(project, "fault") if fault["what"] == "source_back"]


def shut_down(project: Path, info: server.RunningServer) -> None:
    """End a server as an administrator does."""
    server.stop(project)


@pytest.mark.parametrize(("end", "processes"), [(killed, 1), (shut_down, 2)])
def test_a_restart_costs_skips_and_what_was_under_way(
    end: Callable[[Path, server.RunningServer], None],
    processes: int,
    own: server.RunningServer,
    project: Path,
    locust: Locust,
) -> None:
    """Users reconnect and look up lost writes; the journal has the length of the outage."""
    before = counted(own.dsn)
    several = ("--processes", str(processes)) if processes > 1 else ()
    process = locust(own.dsn, *WITH_USERS, "-t", "10m", *rates(10), *several)
    wait_for_offers(project, process)
    end(project, own)
    time.sleep(2)
    assert server.start(project).port == own.port
    accepting_at = time.time()
    wait_until_it_writes(project, accepting_at)
    with connect(own.dsn) as admin:  # no second load can begin
        wait_for(lambda: admin.execute(HELD).fetchone() == (True,), "the load's lock again")
    wait_for(lambda: len(came_back(project)) == processes, "each process to be back")
    _, err = stopped(process)
    run = check_faulted(project, own.dsn, before, per_hour(10))
    away = outages(run)  # as each process saw it
    assert len(away) == processes
    assert all(seconds >= 2 for seconds in away)
    assert failed_by(run) <= {"57P01", "57P02", "08006"}
    assert total(run, "skipped") > 0
    assert re.search(r"the source is back after [\d.]+ s", err)


def test_another_server_at_the_same_address_is_not_written_to(
    own: server.RunningServer, project: Path, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """If a server without the run's data takes over the address, the run is invalid, exit 1."""
    other = project.with_name("other")
    other.mkdir()
    elsewhere = server.start(other, port=find_free_port())
    try:
        assert run_loadgen("seed", env={"DATABASE_URL": elsewhere.dsn}).returncode == 0
        there = counted(elsewhere.dsn)
        password = str(urlsplit(own.dsn).password)
        with connect(elsewhere.dsn) as admin:
            admin.execute(f"ALTER ROLE playground PASSWORD '{password}'")
        server.stop(other)
        write_private(home_of(other).password_file, password)
        write_private(home_of(other).folder / "port", str(own.port))

        process = locust(own.dsn, *WITH_USERS, "-t", "7s", *rates(10))
        wait_for_offers(project, process)
        os.kill(own.pid, signal.SIGKILL)
        assert server.start(other, port=own.port).dsn == own.dsn
        out, err = process.communicate(timeout=60)
        assert process.returncode == 1, out + err
        run = latest(project)
        assert run["valid"] is False
        assert f"is not the one that run {run['run_id']} began on" in run["invalid_reason"]
        assert "INVALID: the source could not be read at the end" in out
        check_law_and_schedule(project, per_hour(10))
        assert [fault["what"] for fault in faults(run)] == ["source_lost"]
        assert counted(own.dsn) == there
    finally:
        server.reset(other)


def test_a_frozen_server_makes_writes_late_and_loses_none(
    seeded: str, cluster: Cluster, locust: Locust, project: Path
) -> None:
    """Sent writes wait for their answers, other arrivals are skipped, and no burst follows."""
    before = counted(seeded)
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    with frozen(cluster.info.pid):
        time.sleep(FREEZE_SECONDS)
    wait_until_it_writes(project, time.time())
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(10))
    assert faults(run) == []
    assert failed_by(run) <= ({"57014"} if FREEZE_SECONDS >= STATEMENT_TIMEOUT else set())
    assert total(run, "skipped") > 0.8 * (FREEZE_SECONDS - 1.5) * 350
    slowest = max(run["latency"][name]["service"]["max"] for name in run["latency"])
    assert slowest > FREEZE_SECONDS - 1


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Mount a disk of 8 MiB that a server may write to."""
    folder = Path(tempfile.mkdtemp(prefix="playground disk "))
    folder.chmod(0o755)
    disk = folder / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False
        ).returncode
    )
    try:
        if not mounted:
            pytest.skip("needs to mount a small disk, as root")
        server_account().own(disk)
        yield disk
    finally:
        if mounted:
            subprocess.run(["umount", disk], check=True)
        shutil.rmtree(folder)


def test_a_full_disk_fails_what_needs_room_and_nothing_else(
    own: server.RunningServer, small_disk: Path, locust: Locust, project: Path
) -> None:
    """While their disk is full, events fail with 53100 and orders work; afterwards both work."""
    with connect(own.dsn) as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
        admin.execute("TRUNCATE events")
        admin.execute("ALTER TABLE events SET TABLESPACE small")
    before = counted(own.dsn)
    process = locust(own.dsn, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    fill = small_disk / "fill"
    with pytest.raises(OSError, match="No space left"):
        fill.write_bytes(bytes(8 << 20))
    wait_for(lambda: newest(project)["insert_event"].failed, "a write to fail")
    wait_for_commits(project, "insert_order")
    fill.unlink()
    wait_for_commits(project, "insert_event")
    stopped(process)
    run = check_faulted(project, own.dsn, before, per_hour(10))
    assert faults(run) == []
    assert set(run["failures"]) == {"insert_event"}
    assert set(run["failures"]["insert_event"]) == {"53100"}


@pytest.fixture
def far_away(seeded: str) -> Iterator[str]:
    """Yield the DSN of the seeded database over a network with a round trip of 50 ms."""
    port, parts = find_free_port(), urlsplit(seeded)
    command = [sys.executable, "-m", "tests.slow_proxy", str(port), str(parts.port), "0.025"]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True
    ) as proxy:
        assert proxy.stdout
        assert proxy.stdout.readline() == "listening\n"
        yield f"postgresql://playground:{parts.password}@127.0.0.1:{port}{parts.path}"
        proxy.kill()


@pytest.mark.parametrize("users", [16, 4])
def test_a_slow_network_takes_connections_not_rate(
    users: int, seeded: str, far_away: str, locust: Locust, project: Path
) -> None:
    """A connection does 20 writes a second; with too few connections the rest is skipped."""
    before = counted(seeded)
    process = locust(far_away, "-u", str(users), "-t", "5s", *rates(4))
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, out + err
    run = check_faulted(project, seeded, before, per_hour(4), users=users)
    assert faults(run) == []
    assert total(run, "failed") == 0
    assert run["latency"]["insert_event"]["service"]["p50"] >= 0.05
    if users == 16:  # 320 a second are possible, 141 are planned
        assert total(run, "skipped") <= 0.1 * total(run, "offered")
    else:  # 80 a second
        assert total(run, "committed") <= (5 + 1.5) * 80
        assert total(run, "skipped") > 0.2 * total(run, "offered")
