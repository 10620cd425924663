"""Replacements for Locust's parts that do not fit a recorded run of days; all of them are here.

Keys: Locust sets the terminal's mode and reads from it even in the background, where the kernel
stops the process for it, and a stopped load keeps its lock. CSV: Locust closes its files without
the last second or so. Workers: Locust takes every connection for one (`locust_rpc`), a message that
its master can't handle ends the run, and when the machine's clock is set, master and worker take
each other for lost.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import csv
import logging
import os
import select
import signal
import sys
import termios
import time
import tty
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import gevent
from locust import env, input_events, runners, stats
from locust.rpc import Message, zmqrpc

from loadgen.errors import one_line
from loadgen.load import locust_rpc
from loadgen.record.steady_clock import passed

logger = logging.getLogger(__name__)


class ForegroundKeys:
    """Locust's keys (w, W, s, S, Enter), read while this process is in the foreground.

    In the background the terminal belongs to another process and is not touched.
    """

    def __init__(self) -> None:
        if not sys.stdin.isatty():
            raise input_events.InitError("stdin is no terminal: no keys")
        self._terminal = sys.stdin.fileno()
        self._mode_before: list[Any] | None = None  # if this process has changed it
        # A job may move to the background between the check and the read: then that only fails.
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
    """Write the CSV files again, now that the last writes are in the statistics.

    Call it before Locust prints these as JSON, which empties them.
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


class LoadMasterRunner(runners.MasterRunner):
    """Locust's master, whose listener survives the messages of a worker of another version."""

    def handle_message(self, client_id: str, msg: Message) -> None:
        """Act on one message of an admitted worker."""
        try:
            super().handle_message(client_id, msg)
        except Exception as exc:  # noqa: BLE001 - else Locust's listener ends
            kind = f"A message {str(msg.type)[:20]!r} of a worker was dropped"
            _once.log(kind, f"{kind} ({type(exc).__name__}: {one_line(exc, 200)}): {client_id}")


class LoadWorkerRunner(runners.WorkerRunner):
    """Locust's worker, which measures its master's silence on clocks that can't be set."""

    _heard_at: tuple[float, float] | None = None  # without this machine's sleep, and with it

    def silence(self) -> float:
        """Return the seconds since the master's last heartbeat; 0 before the first.

        Time in which this machine slept counts: its master may be on another one.
        """
        return 0.0 if self._heard_at is None else passed() - self._heard_at[1]

    def handle_message(self, msg: Message) -> None:
        """Act on one message of the master."""
        if msg.type == "heartbeat":
            self._heard_at = time.monotonic(), passed()
        elif msg.type == "spawn":
            # Locust ignores one that is older than the last by the master's clock. They come in
            # the order in which they were sent.
            msg.data["timestamp"] = time.monotonic()
        super().handle_message(msg)

    def heartbeat_timeout_checker(self) -> NoReturn:
        """Quit once the master has been silent for a minute in which this machine was awake."""
        while True:
            gevent.sleep(1)
            limit = runners.MASTER_HEARTBEAT_TIMEOUT
            if self._heard_at is not None and time.monotonic() - self._heard_at[0] > limit:
                logger.error("Nothing was heard of the master for %s s: this worker quits", limit)
                self.quit()


def patch_workers(fail: locust_rpc.Fail, read_settings: locust_rpc.ReadSettings) -> None:
    """Replace master and worker, before Locust makes one; `fail` ends the process with an error."""
    for name, end in (("Server", locust_rpc.GuardedServer), ("Client", locust_rpc.ProvingClient)):
        setattr(zmqrpc, name, partial(end, read_settings=read_settings, fail=fail))
    env.MasterRunner = LoadMasterRunner  # type: ignore[attr-defined]
    env.WorkerRunner = LoadWorkerRunner  # type: ignore[attr-defined]


def apply() -> None:
    """Replace Locust's parts."""
    input_events.get_poller = ForegroundKeys
    stats.StatsCSVFileWriter.stats_writer = _write_and_remember  # type: ignore[method-assign,assignment]


_once = locust_rpc.OnceLogger()
_stats_writer = stats.StatsCSVFileWriter.stats_writer
_writers: list[stats.StatsCSVFileWriter] = []
