"""Ends a command's child processes if the command itself is killed, which runs no `finally`.

Another process reads a pipe whose other end only the command holds: when the command ends in any
way, the pipe closes, on macOS as on Linux.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import psutil

_DONE: Final = "done"
_ENDS_WITHIN_SECONDS: Final = 60.0  # a load drains, a sync ends


class Children:
    """Informs the other process which children live; if that is gone, nothing happens."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def began(self, process: "subprocess.Popen[bytes]") -> None:
        """Have the child ended if this process is killed."""
        self.send(f"+{process.pid}")

    def ended(self, process: "subprocess.Popen[bytes]") -> None:
        """Forget its process id, which another process may get."""
        self.send(f"-{process.pid}")

    def send(self, word: str) -> None:
        """Write a word to the pipe."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(f"{word}\n")
                self._process.stdin.flush()


@contextmanager
def ended_with_us(
    command: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Children]:
    """If this process is killed meanwhile, end its children, and then run `command`."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-W", "ignore", "-m", "loadgen.orphans", *command],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = Children(process)
    try:
        yield children
    finally:
        children.send(_DONE)
        with suppress(OSError):
            process.communicate()


def main(command: Sequence[str]) -> int:
    """Wait for the end of the pipe; then end the children that live, and run the command."""
    living: dict[int, psutil.Process] = {}
    for line in sys.stdin:
        word = line.strip()
        if word == _DONE:
            return 0
        with suppress(psutil.Error):
            if word.startswith("+"):
                living[int(word[1:])] = psutil.Process(int(word[1:]))
        if word.startswith("-"):
            living.pop(int(word[1:]), None)
    _end([process for process in living.values() if process.is_running()])
    if command:
        # The reader of its output may be gone too; that does not stop it.
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own command
    return 0


def _end(processes: list[psutil.Process]) -> None:
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.Error):
                send(process)
        _, processes = psutil.wait_procs(processes, _ENDS_WITHIN_SECONDS)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # this process acts only if the command can't
    sys.exit(main(sys.argv[1:]))
