"""The postmaster of a data folder: whether it runs, its start and its end.

postmaster.pid counts only if it names a living process that works in that folder: the file outlives
kill -9 and reboots, and another process may get the pid. That is also why pg_ctl is not used:
`pg_ctl stop` signals any process with that pid, and `pg_ctl start` fails if the process has the
server's account.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from loadgen.errors import SourceError, one_line
from loadgen.source.embedded.account import SystemAccount

START_SECONDS: Final = 120.0
# A fast stop waits until replication connections have received all WAL, up to wal_sender_timeout.
STOP_SECONDS: Final = 75.0

_POLL_SECONDS: Final = 0.02
_PROC: Final = Path("/proc/self")
_PID_LINES: Final = 8
# No system assigns this pid; see `_clear_stale_pid`.
_NO_PID: Final = 2_147_483_646
# Postgres' message, in C locale, for a condition that ends by itself.
_LEFTOVERS: Final = "is still in use"
# Messages that tell a cause, and the lines that continue a message, which are indented.
_CAUSE: Final = re.compile("FATAL|PANIC|rror:")
_DETAIL: Final = re.compile(r"^\s|(?i:detail|hint):")
# A shell starts the server in the background and prints its pid. So the server is not our child and
# leaves no zombie to us; its arguments need no quoting.
_IN_BACKGROUND: Final = '"$@" >&2 & echo $!'


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server, as its postmaster.pid describes it."""

    pid: int
    port: int
    ready: bool


def running(data_dir: Path) -> Postmaster | None:
    """Return the server that runs on `data_dir`, or None."""
    lines = _pid_file(data_dir)
    if len(lines) < _PID_LINES or not lines[0].isdecimal() or not lines[3].isdecimal():
        return None
    pid = int(lines[0])
    return Postmaster(pid, int(lines[3]), lines[7] == "ready") if _runs_in(pid, data_dir) else None


def launch(
    program: Path, data_dir: Path, log: Path, account: SystemAccount, options: Sequence[str]
) -> Postmaster | None:
    """Start a server on `data_dir`, wait until it accepts connections; None if its port is taken.

    Raises SourceError with the cause from the server's log if it does not start.
    """
    _clear_stale_pid(data_dir)
    deadline = time.monotonic() + START_SECONDS
    while True:
        before = log.stat().st_size if log.exists() else 0
        pid = _spawn(program, data_dir, log, account, options)
        server = wait_until_ready(data_dir, pid, log)
        if server:
            return server
        log_text = log.read_bytes()[before:].decode(errors="replace")
        if "Address already in use" in log_text:
            return None
        if _LEFTOVERS not in log_text or time.monotonic() > deadline:
            raise SourceError(
                f"Postgres did not start: {failure_cause(log_text)} (whole log: {log})"
            )
        # Children of a killed postmaster still use its shared memory; they end by themselves.
        time.sleep(10 * _POLL_SECONDS)


def halt(data_dir: Path, server: Postmaster) -> None:
    """End the server and its connections; if that takes too long, without a checkpoint."""
    for stop_signal in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(server.pid, stop_signal)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while _runs_in(server.pid, data_dir):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise SourceError(
        f"Postgres, process {server.pid} on {data_dir}, does not end: end it yourself"
    )


def failure_cause(log_text: str) -> str:
    """Return the last message of a log that tells a cause, with its details; else the last line."""
    lines = [line for line in log_text.splitlines() if line.strip()]
    causes = [number for number, line in enumerate(lines) if _CAUSE.search(line)]
    if not causes:
        return lines[-1].strip() if lines else "its log is empty"
    details = takewhile(_DETAIL.search, lines[causes[-1] + 1 :])
    return one_line("\n".join([lines[causes[-1]], *details]))


def wait_until_ready(data_dir: Path, pid: int, log: Path) -> Postmaster | None:
    """Return the server once it accepts connections; None if process `pid` ended and none runs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        alive = _is_alive(pid)
        server = running(data_dir)
        if server and server.ready:
            return server
        if not server and not alive:
            return None
        time.sleep(_POLL_SECONDS)
    raise SourceError(
        f"Postgres, process {pid}, is not ready after {START_SECONDS:.0f} s: see {log}, and try "
        "again if it is still recovering"
    )


def _spawn(
    program: Path, data_dir: Path, log: Path, account: SystemAccount, options: Sequence[str]
) -> int:
    command = ["/bin/sh", "-c", _IN_BACKGROUND, "sh", str(program), "-D", str(data_dir), *options]
    # The log holds statements, and with them data, so only its owner may read it.
    log.touch(mode=0o600)
    with log.open("ab") as file:
        shell = subprocess.run(  # noqa: S603 - the command is built here, not given by a user
            command,
            cwd=data_dir.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            check=True,
            **account.child_options(),
        )
    return int(shell.stdout)


def _clear_stale_pid(data_dir: Path) -> None:
    """Replace a pid in postmaster.pid that another process has now.

    Postgres refuses to start if that process has its own account. The rest of the file stays:
    Postgres reads there which shared memory a child of the old server may still use.
    """
    lines = _pid_file(data_dir)
    if lines and lines[0].isdecimal() and not _runs_in(int(lines[0]), data_dir):
        path = data_dir / "postmaster.pid"
        path.write_text("\n".join([str(_NO_PID), *lines[1:], ""]), encoding="utf-8")


def _pid_file(data_dir: Path) -> list[str]:
    try:
        text = (data_dir / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [line.strip() for line in text.split("\n")]


def _runs_in(pid: int, data_dir: Path) -> bool:
    """Return whether a living process has `data_dir` as its working folder, as a postmaster has."""
    if not _is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data_dir)
    except PermissionError:
        # In a container without CAP_SYS_PTRACE, root may read only the command of other accounts.
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return _names_folder(data_dir) and b"postgres" in command
    except FileNotFoundError:
        return not _PROC.exists() and _names_folder(data_dir)


def _names_folder(data_dir: Path) -> bool:
    """Return whether postmaster.pid names this folder, not one that it was copied from."""
    return [os.path.realpath(line) for line in _pid_file(data_dir)[1:2]] == [
        os.path.realpath(data_dir)
    ]


def _is_alive(pid: int) -> bool:
    """Return whether the process exists, may be signalled by us, and is not a zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (ProcessLookupError, PermissionError):
        return False
    except FileNotFoundError:
        return not _PROC.exists()
    return state.rpartition(")")[2].split()[0] != "Z"
