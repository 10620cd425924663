"""One background process for each tool, which outlives the command that starts it.

The process keeps its pid file locked as long as it lives. The file holds the pid and the time of
creation, so that another process with the same pid is not mistaken for it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import dropwhile
from pathlib import Path
from typing import Final

import psutil

from loadgen.errors import PlaygroundError, RecordError, one_line
from loadgen.record.files import lock_within
from loadgen.untrusted import read_json, reading

PID_FILE: Final = "runner.json"
LOG: Final = "runner.log"

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0  # for the current sync to finish
_POLL_SECONDS: Final = 0.05
_LAST_LINES: Final = 10  # of a log, in a message


@contextmanager
def hold_pid_file(folder: Path) -> Iterator[bool]:
    """Hold the folder's pid file for this process; yield False if another process holds it."""
    descriptor = os.open(folder / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not lock_within(descriptor, 0):
            yield False
            return
        me = psutil.Process()
        os.ftruncate(descriptor, 0)
        note = {"pid": me.pid, "began": me.create_time()}
        os.write(descriptor, json.dumps(note).encode())
        yield True
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def running(folder: Path) -> psutil.Process | None:
    """Return the folder's process; None if none runs."""
    file = folder / PID_FILE
    with suppress(RecordError, FileNotFoundError, psutil.NoSuchProcess):
        note = read_json(file, "")
        with reading(file, ""):
            process = psutil.Process(note["pid"])
            same = abs(process.create_time() - note["began"]) < 1
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    return None


def launch(folder: Path, module: str, *arguments: str) -> None:
    """Start `python -m module` in the background, unless it runs; its output goes to the log.

    Raises PlaygroundError if it ends at once.
    """
    if running(folder):
        return
    with (folder / LOG).open("ab") as log:
        before = log.tell()
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-W", "ignore", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while not running(folder):
        if process.poll() is not None or time.monotonic() > deadline:
            raise PlaygroundError(
                f"{folder.name}: its runner did not start: {_end_of_log(folder, before)} "
                f"(whole log: {folder / LOG})"
            )
        time.sleep(_POLL_SECONDS)


def stop(folder: Path) -> bool:
    """End the folder's process once its current sync is done; return whether one ran."""
    process = running(folder)
    if process is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return True
        while running(folder):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return True
    raise PlaygroundError(f"{folder.name}: process {process.pid} does not end: end it yourself")


def _end_of_log(folder: Path, before: int) -> str:
    """Return the end of the log from byte `before` in one line.

    For a traceback this is the exception's message, whose cause may be in any of its lines.
    """
    text = (folder / LOG).read_bytes()[before:].decode(errors="replace")
    _, traceback, message = text.rpartition("Traceback (most recent call last):\n")
    lines = [line for line in message.splitlines() if line.strip()]
    if traceback:
        lines = list(dropwhile(lambda line: line.startswith("  "), lines))
    return one_line("\n".join(lines[-_LAST_LINES:])) or "it wrote nothing to its log"
