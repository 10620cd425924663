"""A timer of gevent's loop that fires on time, not up to a millisecond later.

libev waits in whole milliseconds, rounded up: half a millisecond late on average, more than a write
takes. On Linux timers can be files, which the loop watches like a socket; elsewhere the loop's own
timer is used. Source: timerfd_create(2).
"""

import gevent.hub  # isort: skip - first, once Locust has patched the standard library
import ctypes
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

_READ = 1
_LEAST_NANOSECONDS = 1  # zero would switch it off


class Timer(Protocol):
    """Calls back once, in the hub, some seconds after it was started."""

    def start(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` in `seconds`; an earlier start is forgotten."""

    def stop(self) -> None:
        """Call nothing."""

    def close(self) -> None:
        """Release its resources; it can't be started again."""


class _Spec(ctypes.Structure):
    """struct itimerspec: an interval, which stays zero, and the time until it fires."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class FileTimer:
    """Linux's timer as a file. Raises OSError if the system has none."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            create = self._libc.timerfd_create
        except AttributeError as exc:
            raise OSError("this system has no timerfd") from exc
        self._file = create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spec = _Spec()
        self._callback: Callable[[], None] | None = None
        self._watcher = gevent.hub.get_hub().loop.io(self._file, _READ)
        self._watcher.start(self._fire)

    def start(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` in `seconds`; an earlier start is forgotten."""
        self._callback = callback
        whole = int(max(0.0, seconds))
        self._set(whole, max(_LEAST_NANOSECONDS, int((seconds - whole) * 1e9)))

    def stop(self) -> None:
        """Call nothing."""
        if self._callback is not None:
            self._callback = None
            self._set(0, 0)

    def close(self) -> None:
        """Close the file; may be called again."""
        if self._file >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._file)
            self._file, self._callback = -1, None

    def _set(self, seconds: int, nanoseconds: int) -> None:
        if self._file >= 0:
            self._spec.seconds, self._spec.nanoseconds = seconds, nanoseconds
            self._libc.timerfd_settime(self._file, 0, ctypes.byref(self._spec), None)

    def _fire(self) -> None:
        with suppress(BlockingIOError):  # it was set again in the meantime
            os.read(self._file, 8)
            callback, self._callback = self._callback, None
            if callback is not None:
                callback()


class LoopTimer:
    """The loop's own timer, in whole milliseconds."""

    def __init__(self) -> None:
        self._loop = gevent.hub.get_hub().loop
        self._timer = self._loop.timer(0)

    def start(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` in `seconds`; an earlier start is forgotten."""
        self._timer.stop()
        self._timer = self._loop.timer(max(0.0, seconds))  # one that has fired can't be used again
        self._timer.start(callback, update=True)

    def stop(self) -> None:
        """Call nothing."""
        self._timer.stop()

    close = stop


def new_timer() -> Timer:
    """Return the most precise timer of this system."""
    try:
        return FileTimer()
    except OSError:
        return LoopTimer()
