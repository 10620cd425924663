"""Ends what a command has begun where the command itself is killed, which runs no `finally`.

A process of its own reads a pipe whose other end only the command holds: however that ends, the
pipe does. Pipes do so on macOS as on Linux.
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
    """Tells the other process which children live; that it is gone itself is no fault of theirs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def began(self, process: "subprocess.Popen[bytes]") -> None:
        """Have the child ended if we are killed."""
        self.tell(f"+{process.pid}")

    def ended(self, process: "subprocess.Popen[bytes]") -> None:
        """Leave its number alone, which may be another's by then."""
        self.tell(f"-{process.pid}")

    def tell(self, word: str) -> None:
        """Write a word to the pipe."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(f"{word}\n")
                self._process.stdin.flush()


@contextmanager
def ended_with_us(
    command: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Children]:
    """Have children, and then `command` run, by another process if this one is killed meanwhile."""
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
        children.tell(_DONE)
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
        # Whoever read what we say may be gone too, and that is no reason to stop.
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
        signal.signal(number, signal.SIG_IGN)  # the command cleans up; this is for when it can't
    sys.exit(main(sys.argv[1:]))
