"""Measures the process that performs arrivals: how late its loop is, and how busy it is.

A timer in gevent's hub shows the loop's lag: whatever keeps it from firing also keeps arrivals from
starting and answers from being read, or, beside the compiled loop, from being handed over and
counted.
"""

import locust  # noqa: F401 # isort: skip - first, since it patches the standard library
import os
import time
from pathlib import Path

import gevent.hub

from loadgen.load.dispatcher import Dispatcher
from loadgen.load.generator_health import GeneratorHealth, p99

_SHORTEST_SECONDS = 0.5  # over less than that, a share of a core is noise
# Linux, of a thread: ns on a processor, ns of waiting for one.
_SCHEDSTAT = "/proc/self/task/{}/schedstat"


class LoopMonitor:
    """Measures this process while `dispatcher` works, from `start` to `stop`; made for one run."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.latest: GeneratorHealth | None = None
        self._measured: list[GeneratorHealth] = []
        self._loop = gevent.hub.get_hub().loop

    def start(self) -> None:
        """Begin to measure."""
        self._begin_second()
        self._wait()

    def take(self) -> list[GeneratorHealth]:
        """Return the health of the seconds that have ended since the last call."""
        measured, self._measured = self._measured, []
        return measured

    def stop(self) -> None:
        """End it."""
        self._timer.stop()

    def _begin_second(self) -> None:
        self._second = int(time.time())
        self._begun = time.monotonic()
        self._cpu = time.process_time()
        self._busy = self._busy_seconds()
        self._late_wakes = self._dispatcher.late_wakes
        self._lags: list[float] = []
        self._overdue = False

    def _wait(self) -> None:
        seconds = self._dispatcher.tick_seconds
        self._expected = time.monotonic() + seconds
        self._timer = self._loop.timer(seconds)  # one that has fired can't be used again
        self._timer.start(self._tick, update=True)

    def _tick(self) -> None:
        """Note how late this is; runs in the hub."""
        now, dispatcher = time.monotonic(), self._dispatcher
        self._lags.append(max(0.0, now - self._expected))
        if not self._overdue:
            waited = dispatcher.clock.now() - dispatcher.next_due()
            self._overdue = waited > dispatcher.late_after
        if int(time.time()) != self._second and now - self._begun >= _SHORTEST_SECONDS:
            self._end_second(now - self._begun)
            self._begin_second()
        self._wait()

    def _end_second(self, seconds: float) -> None:
        cpu_ratio = (time.process_time() - self._cpu) / seconds
        busy = [
            now - before
            for before, now in zip(self._busy, self._busy_seconds(), strict=True)
            if before is not None and now is not None
        ]
        busy_ratio = max(busy) / seconds if busy else cpu_ratio
        end = int(time.time())
        self.latest = GeneratorHealth(
            begin=end - max(1, round(seconds)),
            end=end,
            lag_p99=p99(self._lags),
            lag_max=max(self._lags),
            cpu_ratio=cpu_ratio,
            busy_ratio=busy_ratio,
            late_wakes=self._dispatcher.late_wakes - self._late_wakes,
            overdue=self._overdue,
        )
        self._measured.append(self.latest)

    def _busy_seconds(self) -> list[float | None]:
        """Return how long each thread has run or waited for a processor; None if not counted."""
        threads = {os.getpid(): 0.0, **self._dispatcher.threads()}
        return [_busy_seconds(thread, given_way) for thread, given_way in threads.items()]


def _busy_seconds(thread: int, given_way: float) -> float | None:
    try:
        ran, waited, _ = Path(_SCHEDSTAT.format(thread)).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return (int(ran) + int(waited)) / 1e9 - given_way
