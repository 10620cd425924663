"""Locust's own master and worker over their real sockets, in a separate interpreter.

A stranger connects to the same port. The master's state after each step is printed as JSON.
"""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from loadgen.config.settings import Settings
from loadgen.errors import SettingsError
from loadgen.load.worker_token import require_worker_token
from tests.conftest import clean_environment, find_free_port

SCRIPT = """
    import json, sys, time
    import locust, gevent, msgpack
    from loadgen.config.settings import load_settings
    import zmq.green as zmq
    from locust import constant, task
    from locust.env import Environment
    from locust.rpc import Message
    from loadgen.record import steady_clock
    from loadgen.load import locust_patches, worker_token

    def end(exc):
        raise SystemExit(f"refused: {exc}")

    class Idle(locust.User):
        wait_time = constant(60)

        @task
        def wait(self):
            gevent.sleep(60)

    locust_patches.patch_workers(end, load_settings)
    locust.runners.FALLBACK_INTERVAL = 0.2  # seconds until a broken socket is opened anew
    port, facts = int(sys.argv[1]), {}
    master = Environment(user_classes=[Idle]).create_master_runner("127.0.0.1", port)

    def wait_for(found):
        with gevent.Timeout(20):
            while not found():
                gevent.sleep(0.01)

    def stranger(name):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, name)
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    def say(socket, kind, data, name):
        socket.send(msgpack.dumps((kind, data, name)))

    def hear(socket):
        with gevent.Timeout(20):
            return msgpack.loads(socket.recv())

    # What nobody can decode, and a frame after it: the listener still hears.
    somebody = stranger(b"somebody")
    for frame in (b"", b"\\xc1", b"garbage", msgpack.dumps(1), msgpack.dumps((1, 2)),
                  msgpack.dumps({"__ObjectId__": 1}), msgpack.dumps(({"__datetime__": 1}, 2, 3)),
                  b"\\x93" + b"\\xa1\\xff" * 3, b"\\xdd\\xff\\xff\\xff\\xff"):
        somebody.send(frame)
        somebody.send_multipart([frame, frame])
    unnamed = stranger(b"\\xff\\xfe")
    unnamed.send(b"")
    say(somebody, "client_ready", locust.__version__, "somebody")
    kind, nonce, _ = hear(somebody)
    facts["asked for the token"] = kind
    facts["known before its proof"] = list(master.clients)

    # A worker, with the token that this process made.
    worker = Environment(user_classes=[Idle]).create_worker_runner("127.0.0.1", port)
    facts["ready"] = [name == worker.client_id for name in master.clients]
    facts["ready to start"] = len(master.clients.ready)

    # What the stranger claims, for itself and for the worker.
    for message in (
        ("heartbeat", {"state": "ready", "current_cpu_usage": 1}, "somebody"),
        ("client_ready", locust.__version__, worker.client_id),
        ("quit", None, worker.client_id),
        ("client_stopped", None, worker.client_id),
        ("spawning_complete", {"user_classes_count": {"Idle": 9}}, worker.client_id),
        ("stats", None, worker.client_id),
        ("exception", None, "somebody"),
        ([1], {}, None),
        ("loadgen_proof", {"a": 1}, "somebody"),
        ("client_ready", locust.__version__, "somebody"),
    ):
        say(somebody, *message)
    heard = [hear(somebody) for _ in range(10)]
    facts["answered"] = sorted({kind for kind, _, _ in heard})
    nonce = heard[-1][1]
    forged = worker_token.proof("another token", nonce, "somebody")
    say(somebody, "loadgen_proof", [forged, forged, worker_token.proof(
        worker_token.token_of_master(load_settings()), nonce, "somebody"
    )], "somebody")  # no more than two are looked at
    facts["answer to a wrong proof"] = hear(somebody)[0]
    say(somebody, "locustfile", {"version": locust.__version__}, "somebody")
    facts["asked for the locustfile"] = list(hear(somebody)[1])
    facts["known in the end"] = [name == worker.client_id for name in master.clients]
    facts["users"] = master.user_count

    # A worker speaks for itself only; what the master can't handle ends nothing.
    worker.client.send(Message("client_ready", locust.__version__, "another"))
    worker.client.send(Message("heartbeat", None, worker.client_id))
    worker.client.send(Message("spawning_complete", {"user_classes_count": {"Idle": 3}},
                               worker.client_id))
    wait_for(lambda: master.user_count == 3)
    facts["after a message that nobody can handle"] = len(master.clients)

    # What the master sends is decoded with as much care.
    master.server.socket.send_multipart([worker.client_id.encode(), b"\\xc1"])

    # Spawn messages count in their order, whatever clock has stamped them.
    def spawn(users, timestamp):
        data = {"timestamp": timestamp, "user_classes_count": {"Idle": users}, "host": None,
                "stop_timeout": 0, "parsed_options": {}}
        master.server.send_to_client(Message("spawn", data, worker.client_id))
        wait_for(lambda: worker.user_count == users)

    spawn(1, 9e9)
    spawn(2, 1.0)
    facts["users after the clock was set back"] = worker.user_count

    # Both ends may open their sockets anew.
    def reset_until_heard(runner):
        heard_at = worker._heard_at
        with gevent.Timeout(60):
            while worker._heard_at == heard_at:
                # ZMQ ignores a socket until it has seen the former one of the same name close.
                runner.reset_connection()
                for _ in range(500):
                    gevent.sleep(0.01)
                    if worker._heard_at != heard_at:
                        break

    reset_until_heard(worker)
    reset_until_heard(master)
    facts["after new sockets"] = [name == worker.client_id for name in master.clients]

    # The machine sleeps for an hour: the worker holds until it hears its master again, and stays.
    locust_patches.passed = lambda: steady_clock.passed() + 3600
    facts["silent in its sleep"] = worker.silence() > 3000
    wait_for(lambda: worker.silence() < 5)
    facts["after it"] = len(master.clients.ready + master.clients.running)
    locust.runners.MASTER_HEARTBEAT_TIMEOUT = -1  # nobody waits a minute for the master to be lost
    wait_for(lambda: not len(worker.greenlet))

    path = worker_token.token_file(port)
    facts["mode"] = oct(path.stat().st_mode)
    print(json.dumps(facts))
    """


def played(
    folder: Path, script: str, *arguments: object, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a script in the folder and return it once it has ended."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        cwd=folder,
        env=clean_environment(env, gevent=True),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_master_hears_admitted_workers_and_nobody_else(tmp_path: Path) -> None:
    """A stranger's frames and claims change nothing and are reported once; a worker is heard."""
    port = find_free_port()
    done = played(tmp_path, SCRIPT, port)
    assert done.returncode == 0, done.stdout + done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    assert facts == {
        "asked for the token": "loadgen_challenge",
        "known before its proof": [],
        "ready": [True],
        "ready to start": 1,
        "answered": ["loadgen_challenge", "loadgen_refused"],
        "answer to a wrong proof": "loadgen_refused",
        "asked for the locustfile": ["error"],
        "known in the end": [True],
        "users": 0,
        "after a message that nobody can handle": 1,
        "users after the clock was set back": 2,
        "after new sockets": [True],
        "silent in its sleep": True,
        "after it": 1,
        "mode": "0o100600",
    }
    assert not (tmp_path / ".loadgen" / f"worker-{port}.token").exists()
    for said in (
        "A frame that is no message was dropped",
        "'somebody' has another token",
        "A worker's message in another one's name was dropped",
        "A message 'heartbeat' of a worker was dropped",
    ):
        assert said in done.stderr
    assert done.stderr.count("another program than the workers may use port") == 2  # each kind once


WORKER = """
    import sys
    import locust
    from loadgen.config.settings import load_settings
    from locust.env import Environment
    from loadgen.load import locust_patches

    def end(exc):
        raise SystemExit(f"refused: {exc}")

    locust_patches.patch_workers(end, load_settings)
    Environment(user_classes=[]).create_worker_runner("127.0.0.1", int(sys.argv[1]))
    print("admitted")
    """
MASTER = """
    import sys
    import locust, gevent
    from loadgen.config.settings import load_settings
    from locust.env import Environment
    from loadgen.load import locust_patches

    def end(exc):
        raise SystemExit(f"refused: {exc}")

    locust_patches.patch_workers(end, load_settings)
    master = Environment(user_classes=[]).create_master_runner(sys.argv[2], int(sys.argv[1]))
    print("listens", flush=True)
    gevent.sleep(120)
    """


@pytest.mark.parametrize(
    ("of_master", "of_worker", "beside", "admitted"),
    [
        ("", "", True, True),
        ("secret", "", True, True),
        ("secret", "secret", False, True),
        ("", "", False, False),
        ("secret", "another", True, False),
    ],
)
def test_a_worker_finds_its_token_in_the_file_or_the_setting(
    tmp_path: Path, of_master: str, of_worker: str, beside: bool, admitted: bool
) -> None:
    """A worker in the master's folder needs nothing; elsewhere it needs the same setting."""
    port = find_free_port()
    for name in ("master", "elsewhere"):
        (tmp_path / name).mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(MASTER), str(port), "127.0.0.1"],
        cwd=tmp_path / "master",
        env=clean_environment({"LOADGEN_WORKER_TOKEN": of_master}, gevent=True, measured=False),
        stdout=subprocess.PIPE,
        text=True,
    ) as master:
        try:
            assert master.stdout is not None
            assert master.stdout.readline() == "listens\n"
            folder = tmp_path / ("master" if beside else "elsewhere")
            worker = played(folder, WORKER, port, env={"LOADGEN_WORKER_TOKEN": of_worker})
        finally:
            master.kill()
    if admitted:
        assert (worker.returncode, worker.stdout) == (0, "admitted\n"), worker.stderr
    else:
        assert worker.returncode == 1
        assert f"the master at 127.0.0.1:{port} does not know this worker: set" in worker.stderr
        assert "Traceback" not in worker.stderr


@pytest.mark.parametrize("host", ["*", "", "0.0.0.0", "eth0", "[::]", "192.0.2.7"])  # noqa: S104
def test_an_address_that_others_can_reach_needs_a_token(host: str) -> None:
    """A file's token could admit no worker of theirs: that is refused in one line."""
    with pytest.raises(SettingsError, match=r"^--master-bind-host is .*: set LOADGEN_WORKER_TOKEN"):
        require_worker_token(Settings(), host)
    require_worker_token(Settings(loadgen_worker_token=SecretStr("secret")), host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"])
def test_workers_of_this_machine_need_none(host: str) -> None:
    """They read the file, or were forked by the master."""
    require_worker_token(Settings(), host)


def test_a_master_ends_before_it_listens_to_others(tmp_path: Path) -> None:
    """Without a token its port is never open."""
    done = played(tmp_path, MASTER, find_free_port(), "*")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "refused: --master-bind-host is '*'" in done.stderr
    assert "Traceback" not in done.stderr
