"""The workers that Locust's `--processes` forks, and the signals that ask a load to end.

A terminal, systemd and `timeout` signal the whole process group. Only the parent acts on it: a
master then drains its workers, which must still be there. So forked workers ignore these signals,
and leave when a pipe closes whose write end the parent alone holds, even if it was killed.

Each worker reads the pipe in a thread of the system, not in gevent's hub. That works from the fork
on, while Locust still searches for the master or the hub is busy, and keeps the time limit.
(PR_SET_PDEATHSIG would be bound to the thread that forked, and be set too late for a parent that
is gone by then.)
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import atexit
import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import gevent
import psutil
from gevent import monkey

from loadgen.load.recovery import is_running

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED: Final = 130  # the exit code

_LEAVE_SECONDS: Final = 10.0  # for a worker whose parent has let go
_KILL_SECONDS: Final = 12.0  # a parent waits that long for it
_POLL_SECONDS: Final = 0.02

# Not gevent's: its close() waits for the hub, and it can't wait in a signal handler.
_start_thread: Final = monkey.get_original("_thread", "start_new_thread")
_sleep: Final = monkey.get_original("time", "sleep")
_close: Final = monkey.get_original("os", "close")


class _ForkState:
    """This process's signals, its parent and its workers."""

    signals: tuple[signal.Signals, ...] = ()  # those that end it
    watches_forks = False  # from `listen` to `ready`: what forks then is Locust's main
    pipe: tuple[int, int] | None = None  # its read end and its write end; a worker has no write end
    is_worker = False
    leave: Callable[[], object] | None = None  # called in a worker's hub
    former_mask: set[int]

    def __init__(self) -> None:
        self.watchers: list[object] = []


_process = _ForkState()


def listen() -> None:
    """Let a signal end this process at once, until it is `ready`; and watch its forks.

    Under nohup SIGHUP stays ignored.
    """
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    _process.signals = tuple(number for number in ENDING if number not in ignored)
    _process.watches_forks = True
    _handle_signals()
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
    atexit.register(_ignore_signals)


def ready(interrupt: Callable[[signal.Signals], object]) -> None:
    """Have `interrupt` called in a new greenlet at each signal; not in a forked worker.

    At SIGTERM Locust shuts down in another greenlet than its main one, which then does it too. But
    libev sets a signal's handler for its first watcher only: that is ours, so Locust's is idle.
    """
    _process.watches_forks = False

    def handle(number: int, _frame: FrameType | None = None) -> None:
        if not _process.is_worker:
            gevent.spawn(interrupt, signal.Signals(number))

    for number in ENDING if _process.is_worker else _process.signals:
        watcher = gevent.get_hub().loop.signal(number, ref=False)
        watcher.start(handle, number)
        _process.watchers.append(watcher)
        signal.signal(number, signal.SIG_IGN if _process.is_worker else handle)


def when_released(leave: Callable[[], object]) -> None:
    """Have `leave` called in the hub when the parent releases this worker, or has gone.

    Before this is called the worker has done nothing yet, and just ends.
    """
    _process.leave = leave


def release_workers() -> None:
    """Let the forked workers leave, and wait until they have; one that does not is killed."""
    if _process.is_worker or _process.pipe is None:
        return
    workers = psutil.Process().children()
    _close(_process.pipe[1])
    _process.pipe = None
    deadline = time.monotonic() + _KILL_SECONDS
    while (left := [worker for worker in workers if is_running(worker.pid)]) and (
        time.monotonic() < deadline
    ):
        _sleep(_POLL_SECONDS)
    for worker in left:
        worker.kill()


def end_within(seconds: float) -> None:
    """End this process after that time, even if it still waits; its workers leave too."""
    _start_thread(_end_after, (seconds,))


def _end_after(seconds: float) -> None:
    _sleep(seconds)
    os._exit(INTERRUPTED)


def _handle_signals() -> None:
    """Take the signals again: for a parent of workers only, Locust sets its own handler."""
    if _process.watches_forks:
        for number in _process.signals:
            signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    """End a process that holds nothing: its workers may have a master elsewhere."""
    release_workers()
    os._exit(INTERRUPTED)


def _ignore_signals() -> None:
    """Let nothing change the exit code any more: Python takes its handlers away when it ends."""
    for number in _process.signals:
        signal.signal(number, signal.SIG_IGN)


def _before_fork() -> None:
    if _process.watches_forks:
        if _process.pipe is None:
            _process.pipe = os.pipe()
            gevent.spawn(_handle_signals)  # runs once Locust's main waits for the first time
        _process.former_mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, ENDING))


def _in_parent() -> None:
    if _process.watches_forks:
        signal.pthread_sigmask(signal.SIG_SETMASK, _process.former_mask)


def _in_child() -> None:
    """Become a worker: ignore signals, those since the fork too."""
    if not _process.watches_forks or _process.pipe is None:
        return
    _process.watches_forks = False
    _process.is_worker = True
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    read_end, write_end = _process.pipe
    _close(write_end)
    _start_thread(_follow_parent, (read_end, gevent.get_hub().loop))
    signal.pthread_sigmask(signal.SIG_SETMASK, _process.former_mask)


def _follow_parent(read_end: int, loop: Any) -> None:
    os.read(read_end, 1)  # nothing is ever written: it returns when the pipe is closed
    if _process.leave is not None:
        loop.run_callback_threadsafe(gevent.spawn, _process.leave)
        _sleep(_LEAVE_SECONDS)
    os._exit(INTERRUPTED)
