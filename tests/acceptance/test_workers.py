"""Any number of processes performs the same arrivals, and no arrival is lost with a worker."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgpack  # type: ignore[import-untyped]  # it has no types
import psutil
import pytest
import zmq

from loadgen.load.messages import ProgressReport, WorkerReport, encode
from loadgen.record.rows import Sample
from loadgen.source.postgres import connect
from loadgen.workload.keys import key_maker
from loadgen.workload.ledger import Counts
from tests.acceptance.conftest import (
    Locust,
    check_record,
    counted,
    journaled,
    latest,
    rates,
    stopped,
    wait_for,
    wait_for_offers,
)
from tests.acceptance.test_record_faults import MachineClock, machine_clock
from tests.conftest import find_free_port
from tests.plans import OPERATIONS

__all__ = ["machine_clock"]


def orders_by_k(dsn: str, run_id: str) -> dict[int, tuple[object, ...]]:
    """Return the values of a run's orders by the k of their arrival."""
    key = key_maker(run_id, "insert_order")
    k_of = {key(k).decode(): k for k in range(1000)}
    with connect(dsn) as connection:
        rows = connection.execute(
            "SELECT replace(order_number::text, '-', ''), user_id, quantity, amount, currency "
            "FROM orders"
        ).fetchall()
    return {k_of[row[0]]: row[1:] for row in rows if row[0] in k_of}


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the worker processes of a master."""
    return psutil.Process(process.pid).children()


@pytest.mark.parametrize(("arrivals", "workers"), [("jitter", "28"), ("poisson", "3")])
def test_any_number_of_workers_performs_the_same_arrivals(
    arrivals: str, workers: str, seeded: str, locust: Locust, project: Path
) -> None:
    """One process, two workers and more write the same orders for a seed, each exactly once."""
    written = []
    env = {"ARRIVALS": arrivals, "LATENESS_LIMIT_SECONDS": "60"}  # a busy machine skips none
    for processes in ((), *(("--processes", number) for number in workers)):
        before = counted(seeded)
        process = locust(seeded, "-u", "8", "-t", "3s", *processes, *rates(4), env=env)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        run = check_record(project, seeded, before)
        orders = orders_by_k(seeded, run["run_id"])
        totals = run["totals"]["insert_order"]
        assert set(orders) == set(range(totals["offered"]))
        assert totals["offered"] == totals["committed"] > 30
        assert "Traceback" not in err
        written.append(orders)
    assert all(orders == written[0] for orders in written)


def committed_over_time(project: Path) -> list[tuple[float, int]]:
    """Return (time, events committed) at each sample."""
    samples = Sample.read(project / "reports" / "latest")
    return [(s.time.timestamp(), s.committed) for s in samples if s.operation == "insert_event"]


def test_a_killed_worker_s_share_goes_to_the_others(
    seeded: str, locust: Locust, project: Path
) -> None:
    """After kill -9 the others write the whole rate, and counters still equal rows."""
    before = counted(seeded)
    process = locust(seeded, "-u", "9", "-t", "10m", "--processes", "3", *rates(10))
    wait_for_offers(project, process, committed=400)
    killed = workers_of(process)[0]
    killed.kill()
    wait_for(lambda: journaled(project, "worker_lost"), "the loss to be noticed")
    lost_at = time.time()

    def whole_rate() -> bool:
        late = [(at, n) for at, n in committed_over_time(project) if at > lost_at]
        return any(
            n - earlier >= 0.98 * 200 * (at - then)
            for (then, earlier), (at, n) in zip(late, late[2:], strict=False)
        )

    wait_for(whole_rate, "the whole rate")
    _, err = stopped(process)
    run = check_record(project, seeded, before)
    (lost,) = run["journal"]
    assert (lost["kind"], lost["why"]) == ("worker_lost", f"its process {killed.pid} has died")
    assert f"is lost (its process {killed.pid} has died): the others take over" in err


@pytest.mark.parametrize("loop", ["gevent", "compiled"])
def test_a_worker_that_pauses_is_not_lost_and_one_that_was_lost_may_come_back(
    seeded: str, locust: Locust, project: Path, loop: str
) -> None:
    """A pause of four seconds has no effect; a worker that was lost rejoins, without duplicates."""
    before = counted(seeded)
    env = {"LOAD_LOOP": loop}
    process = locust(seeded, "-u", "6", "-t", "10m", "--processes", "2", *rates(5), env=env)
    wait_for_offers(project, process, committed=200)
    worker = workers_of(process)[0]
    worker.suspend()
    time.sleep(4)
    worker.resume()
    time.sleep(3)
    assert journaled(project, "worker_lost") == []
    worker.suspend()
    wait_for(lambda: journaled(project, "worker_lost"), "the loss to be noticed")
    worker.resume()
    wait_for(lambda: journaled(project, "worker_joined"), "the worker to come back")
    time.sleep(3)
    stopped(process)
    run = check_record(project, seeded, before)
    # The worker may also notice that its connections were cut before it hears why.
    kinds = [event["kind"] for event in run["journal"] if event["kind"] != "fault"]
    assert kinds == ["worker_lost", "worker_joined"]


def test_a_run_whose_last_worker_is_lost_is_not_the_run_that_was_asked_for(
    seeded: str, locust: Locust, project: Path
) -> None:
    """The run's counters equal the rows, but the run is invalid, says why, and ends at once."""
    before = counted(seeded)
    process = locust(seeded, "-u", "4", "-t", "1h", "--processes", "1", *rates())
    wait_for_offers(project, process)
    (worker,) = workers_of(process)
    worker.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    run, after = latest(project), counted(seeded)
    assert run["valid"] is False
    why = r"last worker was lost after \d+ s of the 3600 s asked for"
    assert re.search(why, run["invalid_reason"])
    assert {name: totals["committed"] for name, totals in run["totals"].items()} == {
        name: after[name] - before[name] for name in after
    }


def test_a_worker_without_the_source_stops_the_run_before_it_begins(
    seeded: str, locust: Locust, project: Path
) -> None:
    """A worker that can't reach the source is named on the master, and nothing is recorded."""
    port = str(find_free_port())
    master = locust(
        seeded, "-t", "5s", "--master", "--expect-workers", "1", "--master-bind-port", port
    )
    worker = locust("postgresql://u:secret@127.0.0.1:1/d", "--worker", "--master-port", port)
    _, err = master.communicate(timeout=60)
    assert master.returncode == 2
    assert "127.0.0.1" in err
    assert "secret" not in err
    assert not (project / "reports").exists()
    worker.communicate(timeout=30)
    with pytest.raises(FileNotFoundError):
        latest(project)


# A worker that stands still between its acknowledgement and its next read, as if it were busy.
STALLING = """
from gevent import monkey
from locust.runners import WorkerRunner
handle = WorkerRunner.handle_message
def stall(self, msg):
    handle(self, msg)
    if msg.type == "ack":
        monkey.get_original("time", "sleep")(1.5)
WorkerRunner.handle_message = stall
"""


def test_what_a_worker_is_told_before_it_is_ready_is_not_lost(
    seeded: str, locust: Locust, project: Path
) -> None:
    """A worker that Locust knows gets its share only when it is ready to receive it."""
    before = counted(seeded)
    port = str(find_free_port())
    (project / "stalling.py").write_text(STALLING + (project / "locustfile.py").read_text())
    arguments = ("--master", "--expect-workers", "1", "--master-bind-port", port)
    master = locust(seeded, "-u", "2", "-t", "10m", *arguments, *rates())
    worker = locust(seeded, "-f", "stalling.py", "--worker", "--master-port", port)
    wait_for_offers(project, master, 10)
    stopped(master)
    check_record(project, seeded, before)
    _, err = worker.communicate(timeout=30)
    assert "Traceback" not in err
    assert "Unknown message" not in err


class Stranger:
    """A stranger that connects to a master's port and speaks the protocol of Locust's workers."""

    name = "stranger"

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket

    def send(self, frame: bytes) -> None:
        """Send any frame."""
        self._socket.send(frame)

    def say(self, kind: str, data: object = None) -> None:
        """Send a message, as a worker would."""
        self.send(msgpack.dumps((kind, data, self.name)))

    def hear(self) -> str:
        """Return the kind of the master's next message."""
        assert self._socket.poll(20_000), "the master says nothing"
        kind: str = msgpack.loads(self._socket.recv())[0]
        return kind


@contextmanager
def stranger(port: str) -> Iterator[Stranger]:
    """Connect to a master's port."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IDENTITY, Stranger.name.encode())
        socket.connect(f"tcp://127.0.0.1:{port}")
        yield Stranger(socket)


def forged_report(claim: str, backend: int) -> dict[str, object]:
    """Return the report of a worker that has done nothing, with a backend that is not its own."""
    process = ProgressReport(
        s=1e6,
        counts=dict.fromkeys(OPERATIONS, Counts()),
        failures={},
        extra_rows={},
        places={},
        left={},
        unfinished=[],
        backends=[backend],
        reconnects=0,
    )
    return encode(claim, WorkerReport(process, latencies={}, health=[]))


def test_a_stranger_at_the_master_s_port_gets_no_share_and_ends_nothing(
    seeded: str, locust: Locust, project: Path
) -> None:
    """Despite a forged worker, a forged backend and broken frames every arrival is performed."""
    before = counted(seeded)
    env = {"LATENESS_LIMIT_SECONDS": "60"}  # a busy machine skips none
    process = locust(seeded, "-u", "4", "-t", "10m", "--processes", "2", *rates(), env=env)
    wait_for_offers(project, process)
    assert isinstance(process.args, list)
    with connect(seeded) as bystander, stranger(str(process.args[-1])) as somebody:
        row = bystander.execute("SELECT run_id FROM loadgen_playground").fetchone()
        assert row is not None
        for kind, data in (
            ("client_ready", version("locust")),
            ("heartbeat", {"state": "running", "current_cpu_usage": 1.0}),
            ("loadgen", forged_report(row[0], bystander.server_pid)),
            ("spawning_complete", {"user_classes_count": {"PostgresUser": 100}}),
        ):
            somebody.say(kind, data)
            assert somebody.hear() == "loadgen_challenge"
        wait_for_offers(project, process, 120)
        somebody.say("loadgen_proof", ["0" * 64])
        assert somebody.hear() == "loadgen_refused"
        for frame in (b"", b"\xc1", b"garbage", msgpack.dumps(1), msgpack.dumps({"a": 1})):
            somebody.send(frame)
        somebody.say("quit")
        assert somebody.hear() == "loadgen_challenge"
        wait_for_offers(project, process, 200)
        assert bystander.execute("SELECT 1").fetchone() == (1,)
    _, err = stopped(process)
    run = check_record(project, seeded, before)
    assert run["journal"] == []
    assert all(totals["offered"] == totals["committed"] for totals in run["totals"].values())
    assert "'stranger' has another token: it was not admitted" in err
    assert err.count("A frame that is no message was dropped") == 1
    assert not (project / ".loadgen" / f"worker-{process.args[-1]}.token").exists()


def test_workers_outlive_a_clock_that_is_set(
    seeded: str, locust: Locust, project: Path, machine_clock: MachineClock
) -> None:
    """The clock is set an hour forward and two back; master and workers do not lose each other."""
    before = counted(seeded)
    env = machine_clock.environment | {"LATENESS_LIMIT_SECONDS": "60"}
    process = locust(seeded, "-u", "4", "-t", "10m", "--processes", "2", *rates(), env=env)
    wait_for_offers(project, process)
    for committed, clock in ((120, 3600), (190, -3600)):
        machine_clock.set(clock)
        wait_for_offers(project, process, committed)
    _, err = stopped(process)
    run = check_record(project, seeded, before)
    assert {event["kind"] for event in run["journal"]} == {"clock_stepped"}
    assert all(totals["offered"] == totals["committed"] for totals in run["totals"].values())
    assert "this worker quits" not in err
