"""Signals end a load, whichever process gets them and when; nothing stays open or running."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from bench.project import environment
from bench.signals import LOADS, SIGNALS, interrupt
from tests.acceptance.conftest import (
    ROOT,
    Locust,
    check_record,
    counted,
    latest,
    rates,
    wait_for,
    wait_for_offers,
)
from tests.conftest import find_free_port, spawning


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that a load has started."""
    return psutil.Process(process.pid).children()


def seeds(process: psutil.Process) -> bool:
    """Tell whether a process is `loadgen seed`; one that has just ended has no command line."""
    try:
        return "seed" in process.cmdline()
    except psutil.NoSuchProcess:  # a zombie too
        return False


def require_gone(processes: list[psutil.Process]) -> None:
    """Wait until processes have ended; kill them if they do not."""
    try:
        wait_for(lambda: not any(map(runs, processes)), "the workers to leave", 30)
    finally:
        for process in processes:
            if runs(process):
                process.kill()


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs and is not a zombie."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_signal_to_the_group_at_any_moment(seeded: str, project: Path) -> None:
    """The load exits with 130 and a settled record, or ends by itself; no process or lock stays."""
    shutil.copy(ROOT / "locustfile.py", project)
    draw = random.Random(20261128)
    for load in LOADS:
        signals = [draw.choice(SIGNALS)] * draw.choice((1, 2))
        found = interrupt(project, environment(seeded), load, signals, draw.uniform(0, 6))
        assert not found.faults, found


def test_a_signal_at_the_very_end_changes_nothing() -> None:
    """Python removes its signal handlers before the process ends; the exit code stays the same."""
    code = """
import os
from loadgen.load import forked

class Last:
    def __del__(self, kill=os.kill, me=os.getpid(), numbers=forked.ENDING, write=os.write):
        for number in numbers:
            kill(me, number)
        write(1, b"reached")

forked.listen()
forked.ready(print)
last = Last()
raise SystemExit(3)
"""
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert (process.returncode, process.stdout) == (3, b"reached"), process.stderr


def test_workers_hear_no_signals(seeded: str, locust: Locust, project: Path) -> None:
    """If the whole group gets SIGTERM, SIGHUP and SIGINT, only the master acts, and drains once."""
    before = counted(seeded)
    process = locust(seeded, "-u", "6", "-t", "10m", "--processes", "2", *rates(5))
    wait_for_offers(project, process, committed=100)
    workers = children_of(process)
    for number in SIGNALS:
        for pid in (process.pid, *(worker.pid for worker in workers)):
            os.kill(pid, number)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 130, out + err
    run = check_record(project, seeded, before)
    assert run["journal"] == []
    assert "Traceback" not in err
    require_gone(workers)


def test_a_worker_that_stands_still_does_not_hold_up_the_end(
    seeded: str, locust: Locust, project: Path
) -> None:
    """The master gives the worker up, looks up its unfinished writes and ends the run."""
    before = counted(seeded)
    process = locust(seeded, "-u", "4", "-t", "10m", "--processes", "2", *rates(2))
    wait_for_offers(project, process, committed=50)
    workers = children_of(process)
    workers[0].suspend()
    process.terminate()
    wait_for(lambda: latest(project)["ended_at"] or process.poll(), "the run's end")
    workers[0].kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    run = check_record(project, seeded, before)
    (lost,) = run["journal"]
    assert lost["kind"] == "worker_lost"
    assert "handed_over_at" not in lost
    require_gone(workers)


def test_workers_leave_with_a_master_that_is_killed(
    seeded: str, locust: Locust, project: Path
) -> None:
    """After SIGKILL to the master, its forked workers end at once and not after a minute."""
    process = locust(seeded, "-u", "4", "-t", "10m", "--processes", "2", *rates())
    wait_for_offers(project, process)
    workers = children_of(process)
    process.kill()
    require_gone(workers)


def test_workers_leave_where_a_run_can_not_begin(
    seeded: str, locust: Locust, metrics_port: int
) -> None:
    """If a setting is refused after the fork, the load exits with 2 and no worker stays behind."""
    with socket.create_server(("127.0.0.1", metrics_port)):
        process = locust(seeded, "-t", "10m", "--processes", "2", *rates())
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "METRICS_PORT" in err
    assert isinstance(process.args, list)
    port = process.args[-1]  # of this master; a forked worker has the same command line

    def left_over() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if port in (p.info["cmdline"] or ())]

    wait_for(lambda: not left_over(), "the workers to leave", 30)


def test_workers_of_another_master_leave_orderly(
    seeded: str, locust: Locust, project: Path
) -> None:
    """On Ctrl-C at `--worker --processes 2` the workers drain and leave, and the master settles."""
    before = counted(seeded)
    port = str(find_free_port())
    arguments = ("--master", "--expect-workers", "2", "--master-bind-port", port)
    master = locust(seeded, "-u", "4", "-t", "1h", *arguments, *rates())
    with spawning() as spawn:
        parent = spawn(
            *("-m", "locust", "--worker", "--processes", "2", "--master-port", port),
            cwd=project,
            env=environment(seeded),
            measured=False,
        )
        wait_for_offers(project, master)
        workers = children_of(parent)
        assert len(workers) == 2
        for pid in (parent.pid, *(worker.pid for worker in workers)):
            os.kill(pid, signal.SIGINT)
        _, err = parent.communicate(timeout=60)
        assert parent.returncode == 130, err
        assert "Traceback" not in err
        require_gone(workers)
    out, err = master.communicate(timeout=90)
    assert master.returncode == 1, out + err
    assert "its last worker was lost" in latest(project)["invalid_reason"]
    after = counted(seeded)
    committed = {name: totals["committed"] for name, totals in latest(project)["totals"].items()}
    assert committed == {name: after[name] - before[name] for name in after}


def test_seeding_ends_with_the_load_that_wanted_it(project: Path) -> None:
    """A load that ends while it seeds its own database leaves no seeding process behind."""
    shutil.copy(ROOT / "locustfile.py", project)
    with spawning() as spawn:
        process = spawn(
            *("-m", "locust", "--headless", "-t", "10m"),
            cwd=project,
            env={
                "PYTHONPATH": str(ROOT),
                "METRICS_PORT": str(find_free_port()),
                "INITIAL_EVENTS": "20000000",
            },
            measured=False,
        )
        seeding = wait_for(
            lambda: process.poll() or [c for c in children_of(process) if seeds(c)],
            "the seeding",
        )
        assert isinstance(seeding, list)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        require_gone(seeding)
