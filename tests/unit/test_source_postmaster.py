"""When postmaster.pid is believed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen.source.embedded import postmaster
from loadgen.source.embedded.postmaster import Postmaster, failure_cause, halt, running


def pid_file(data_dir: Path, pid: int, status: str = "ready   ") -> None:
    """Write a postmaster.pid as Postgres does."""
    lines = [
        str(pid),
        str(data_dir),
        "1795418203",
        "5433",
        "",
        "127.0.0.1",
        " 2148058  4",
        status,
        "",
    ]
    (data_dir / "postmaster.pid").write_text("\n".join(lines))


def test_no_file_no_server(tmp_path: Path) -> None:
    """Without postmaster.pid nothing runs."""
    assert running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "\n", "abc\n", "12", "1\n2\n3\nx\n5\n6\n7\nready\n"])
def test_torn_file_is_no_server(tmp_path: Path, text: str) -> None:
    """A file that a crash left half-written is not believed, and breaks nothing."""
    (tmp_path / "postmaster.pid").write_text(text)
    assert running(tmp_path) is None


def test_pid_of_another_process_is_no_server(tmp_path: Path) -> None:
    """After a reboot the pid may be anybody's: a process that works elsewhere is not ours."""
    pid_file(tmp_path, os.getpid())
    assert running(tmp_path) is None


def test_ended_process_is_no_server(tmp_path: Path) -> None:
    """A process that has ended is not running, even before its parent has waited for it."""
    child = subprocess.Popen([sys.executable, "-c", ""], cwd=tmp_path)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    pid_file(tmp_path, child.pid)
    assert running(tmp_path) is None
    child.wait()
    assert running(tmp_path) is None


@pytest.mark.parametrize(("status", "ready"), [("ready   ", True), ("starting", False)])
def test_process_in_the_folder_is_the_server(tmp_path: Path, status: str, *, ready: bool) -> None:
    """A living process that works in the data folder is the server; its status is passed on."""
    with subprocess.Popen(["/bin/cat"], cwd=tmp_path, stdin=subprocess.PIPE) as child:
        pid_file(tmp_path, child.pid, status)
        found = running(tmp_path)
    assert found
    assert (found.pid, found.port, found.ready) == (child.pid, 5433, ready)


def test_copied_file_is_no_server(tmp_path: Path) -> None:
    """A copy of a running server's folder is not that server's, though its file names its pid."""
    copy = tmp_path / "copy"
    copy.mkdir()
    with subprocess.Popen(["/bin/cat"], cwd=tmp_path, stdin=subprocess.PIPE) as child:
        pid_file(tmp_path, child.pid)
        (tmp_path / "postmaster.pid").rename(copy / "postmaster.pid")
        assert running(copy) is None


def refuse_to_look(*_: object) -> bool:
    """Stand in for /proc if root lacks CAP_SYS_PTRACE."""
    raise PermissionError


def not_there(*_: object) -> bool:
    """Stand in for /proc on systems that have none."""
    raise FileNotFoundError


@pytest.mark.parametrize(("name", "believed"), [("/usr/bin/postgres", True), ("cat", False)])
def test_where_looking_is_not_allowed_the_command_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, believed: bool
) -> None:
    """In a container that may not trace, the file's own path and the command line must do."""
    monkeypatch.setattr(Path, "samefile", refuse_to_look)
    with subprocess.Popen(
        [name],
        executable="/bin/cat",
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as cat:
        assert cat.stdin
        assert cat.stdout
        cat.stdin.write(b"there?\n")
        cat.stdin.flush()
        assert cat.stdout.readline() == b"there?\n"  # before, /proc may not have its command yet
        pid_file(tmp_path, cat.pid)
        assert (running(tmp_path) is not None) == believed
        copy = tmp_path / "copy"
        copy.mkdir()
        (tmp_path / "postmaster.pid").rename(copy / "postmaster.pid")
        assert running(copy) is None


def test_without_proc_the_recorded_folder_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A living process whose file names this very folder is the best that can be known."""
    monkeypatch.setattr(Path, "samefile", not_there)
    monkeypatch.setattr(postmaster, "_PROC", tmp_path / "no proc")
    pid_file(tmp_path, os.getpid())
    assert running(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "postmaster.pid").rename(tmp_path / "copy" / "postmaster.pid")
    assert running(tmp_path / "copy") is None


def test_ending_what_has_ended_is_no_error(tmp_path: Path) -> None:
    """The server may go by itself between the look and the signal."""
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    halt(tmp_path, Postmaster(child.pid, 5432, ready=True))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("LOG:  a\nFATAL:  b\nLOG:  c\n", "FATAL:  b"),
        ("initdb: error: no\nhint\n", "initdb: error: no"),
        ("FATAL:  b\nDETAIL:  why\n\tmore\nLOG:  c\n", "FATAL:  b DETAIL:  why more"),
        ("initdb: error: no\ninitdb: hint: do\n", "initdb: error: no initdb: hint: do"),
        ("only this\n\n", "only this"),
        ("", "its log is empty"),
    ],
)
def test_the_cause_is_shown_not_the_last_line(said: str, told: str) -> None:
    """Of a log the line that says why is shown, not the one that comes last."""
    assert failure_cause(said) == told
