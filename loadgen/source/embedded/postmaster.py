"""One postmaster process: is it running on this data folder, start it, end it.

What postmaster.pid says is believed only of a living process that works in that folder: the file
outlives kill -9 and reboots, and pids are given out again.
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
from loadgen.source.embedded.account import Account

START_SECONDS: Final = 120.0
# A fast stop waits for replication connections to take what is left, up to wal_sender_timeout.
STOP_SECONDS: Final = 75.0

_POLL_SECONDS: Final = 0.02
_PROC: Final = Path("/proc/self")
_PID_LINES: Final = 8
# No system gives out this pid; see `_disown`.
_NO_PID: Final = 2_147_483_646
# Postgres' own words, in C locale, for what passes by itself.
_LEFTOVERS: Final = "is still in use"
# A message that tells why, and what belongs to the message above: further lines are indented.
_TELLING: Final = re.compile("FATAL|PANIC|rror:")
_DETAIL: Final = re.compile(r"^\s|(?i:detail|hint):")
# A shell puts the server into the background and names its pid: then it is nobody's child, and
# ends without leaving a zombie to us. Arguments pass as they are, whatever is in the path.
_BACKGROUND: Final = '"$@" >&2 & echo $!'


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server, as its postmaster.pid describes it."""

    pid: int
    port: int
    ready: bool


def running(data: Path) -> Postmaster | None:
    """Return the server that runs on `data`, or None."""
    lines = _pid_file(data)
    if len(lines) < _PID_LINES or not lines[0].isdecimal() or not lines[3].isdecimal():
        return None
    pid = int(lines[0])
    return Postmaster(pid, int(lines[3]), lines[7] == "ready") if _works_in(pid, data) else None


def launch(
    program: Path, data: Path, log: Path, account: Account, options: Sequence[str]
) -> Postmaster | None:
    """Start a server on `data`, wait until it takes connections; None where its port is taken.

    Raises SourceError with the server's own last words where it can't start.
    """
    _disown(data)
    deadline = time.monotonic() + START_SECONDS
    while True:
        before = log.stat().st_size if log.exists() else 0
        pid = _spawn(program, data, log, account, options)
        found = wait_until_ready(data, pid, log)
        if found:
            return found
        said = log.read_bytes()[before:].decode(errors="replace")
        if "Address already in use" in said:
            return None
        if _LEFTOVERS not in said or time.monotonic() > deadline:
            raise SourceError(f"Postgres did not start: {last_words(said)} (whole log: {log})")
        # Children of a postmaster that was killed still hold its memory; they end by themselves.
        time.sleep(10 * _POLL_SECONDS)


def halt(data: Path, server: Postmaster) -> None:
    """End the server: connections are cut, and if that takes too long, without a checkpoint."""
    for stop_signal in (signal.SIGINT, signal.SIGQUIT):
        try:
            os.kill(server.pid, stop_signal)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while _works_in(server.pid, data):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise SourceError(f"Postgres, process {server.pid} on {data}, does not end: end it yourself")


def last_words(said: str) -> str:
    """Return the last message of a log that tells why, with its details; else the last line."""
    lines = [line for line in said.splitlines() if line.strip()]
    telling = [number for number, line in enumerate(lines) if _TELLING.search(line)]
    if not telling:
        return lines[-1].strip() if lines else "it said nothing"
    details = takewhile(_DETAIL.search, lines[telling[-1] + 1 :])
    return one_line("\n".join([lines[telling[-1]], *details]))


def wait_until_ready(data: Path, pid: int, log: Path) -> Postmaster | None:
    """Return the server once it takes connections; None if process `pid` ended and none runs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lives = _lives(pid)
        found = running(data)
        if found and found.ready:
            return found
        if not found and not lives:
            return None
        time.sleep(_POLL_SECONDS)
    raise SourceError(
        f"Postgres, process {pid}, is not ready after {START_SECONDS:.0f} s: see {log}, and try "
        "again if it is still recovering"
    )


def _spawn(program: Path, data: Path, log: Path, account: Account, options: Sequence[str]) -> int:
    command = ["/bin/sh", "-c", _BACKGROUND, "sh", str(program), "-D", str(data), *options]
    # It shows statements, and with them data: for its owner's eyes only.
    log.touch(mode=0o600)
    with log.open("ab") as file:
        shell = subprocess.run(  # noqa: S603 - the command is built here, not given by a user
            command,
            cwd=data.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            check=True,
            **account.child_options(),
        )
    return int(shell.stdout)


def _disown(data: Path) -> None:
    """Take a pid that is somebody else's by now out of postmaster.pid, as Postgres would balk.

    The rest of the file stays: by it Postgres makes sure that no child of the old server is left.
    """
    lines = _pid_file(data)
    if lines and lines[0].isdecimal() and not _works_in(int(lines[0]), data):
        path = data / "postmaster.pid"
        path.write_text("\n".join([str(_NO_PID), *lines[1:], ""]), encoding="utf-8")


def _pid_file(data: Path) -> list[str]:
    try:
        text = (data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    return [line.strip() for line in text.split("\n")]


def _works_in(pid: int, data: Path) -> bool:
    """Return whether a living process has `data` as its working folder, as postmasters do."""
    if not _lives(pid):
        return False
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except PermissionError:
        # Root in a container without CAP_SYS_PTRACE may see the command of another account only.
        return _recorded(data) and b"postgres" in _command(pid)
    except FileNotFoundError:
        return not _PROC.exists() and _recorded(data)


def _recorded(data: Path) -> bool:
    """Return whether postmaster.pid names this folder, and not the one that it was copied from."""
    return [os.path.realpath(line) for line in _pid_file(data)[1:2]] == [os.path.realpath(data)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _lives(pid: int) -> bool:
    """Return whether the process exists, is ours to signal, and has not ended (a zombie has)."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (ProcessLookupError, PermissionError):
        return False
    except FileNotFoundError:
        return not _PROC.exists()
    return state.rpartition(")")[2].split()[0] != "Z"
