"""Where Locust's own parts do not fit a recorded run of days: replaced here, and nowhere else.

Keys: Locust sets the terminal's mode and reads from it also in the background, where the kernel
stops the process for it, and a stopped load keeps its lock. CSV: Locust closes its files without
what happened since it wrote them last, up to a second before.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import csv
import os
import select
import signal
import sys
import termios
import time
import tty
from contextlib import suppress
from typing import Any

from locust import input_events, stats


class ForegroundKeys:
    """Locust's keys (w, W, s, S, Enter), read while this process is in the foreground.

    In the background nothing of the terminal is touched: it is somebody else's then.
    """

    def __init__(self) -> None:
        if not sys.stdin.isatty():
            raise input_events.InitError("stdin is no terminal: no keys")
        self._terminal = sys.stdin.fileno()
        self._mode_before: list[Any] | None = None  # if this process has changed it
        # A job may be moved between the look and the deed: then that fails, and stops nothing.
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)

    def poll(self) -> str | None:
        """Return a key that was pressed, or None."""
        with suppress(OSError, termios.error):
            if self._in_foreground():
                self._give_keys_at_once()
                if select.select([self._terminal], [], [], 0)[0]:
                    return os.read(self._terminal, 1).decode(errors="replace") or None
        return None

    def cleanup(self) -> None:
        """Give the terminal its mode back."""
        with suppress(OSError, termios.error):
            if self._mode_before is not None and self._in_foreground():
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._mode_before)

    def _in_foreground(self) -> bool:
        return os.tcgetpgrp(self._terminal) == os.getpgrp()

    def _give_keys_at_once(self) -> None:
        """Set the mode in which a key needs no Enter; a shell resets it when a job comes back."""
        mode = termios.tcgetattr(self._terminal)
        if mode[3] & termios.ICANON:
            self._mode_before = mode
            tty.setcbreak(self._terminal, termios.TCSANOW)


def _write_and_remember(writer: stats.StatsCSVFileWriter) -> None:
    _writers.append(writer)
    _stats_writer(writer)


def complete_csv() -> None:
    """Write the CSV files once more, now that the last writes are in the statistics.

    Before Locust prints these as JSON, which empties them.
    """
    for writer in _writers:
        for file, write in (
            (writer.requests_csv_filehandle, writer.requests_csv),
            (writer.failures_csv_filehandle, writer.failures_csv),
            (writer.exceptions_csv_filehandle, writer.exceptions_csv),
        ):
            file.seek(0)
            file.truncate()
            write(csv.writer(file))
            file.flush()
        now = time.time()
        writer._stats_history_data_rows(writer.stats_history_csv_writer, now)  # noqa: SLF001
        writer.stats_history_flush()


def apply() -> None:
    """Replace Locust's parts."""
    input_events.get_poller = ForegroundKeys
    stats.StatsCSVFileWriter.stats_writer = _write_and_remember  # type: ignore[method-assign,assignment]


_stats_writer = stats.StatsCSVFileWriter.stats_writer
_writers: list[stats.StatsCSVFileWriter] = []
