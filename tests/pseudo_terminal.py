"""A terminal of a given width in place of stdout and stderr."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadgen.terminal import guarded_output

_QUIET_SECONDS = 0.3


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Iterator[int]:
    """Make stderr and stdout a terminal of that width; yield its other end."""
    theirs, ours = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
    with os.fdopen(ours, "w", encoding="utf-8") as stream, monkeypatch.context() as context:
        context.setattr(sys, "stdout", stream)
        context.setattr(sys, "stderr", stream)
        with guarded_output():
            yield theirs
    os.close(theirs)


def shown_in(theirs: int) -> str:
    """Return what the terminal got."""
    sys.stderr.flush()
    shown = b""
    while select.select([theirs], [], [], _QUIET_SECONDS)[0]:  # it arrives in pieces
        shown += os.read(theirs, 65_536)
    return shown.decode().replace("\r\n", "\n")
