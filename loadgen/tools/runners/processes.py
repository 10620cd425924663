"""What the processes of a local tool use: processor time, memory, disk.

A process that ends between two looks loses its use since the first one.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What some processes have used: the counters run from the meter's first look.

    Memory is that of now, with a share of pages that several processes use. `read_bytes` and
    `written_bytes` are of the disk; None if the operating system does not tell.
    """

    cpu_seconds: float
    resident_bytes: int
    read_bytes: int | None = None
    written_bytes: int | None = None


@dataclass(slots=True)
class ProcessMeter:
    """Adds up what changing processes use: `look` again and again, at the roots of their trees."""

    _last: dict[tuple[int, float], tuple[float, int, int]] = field(default_factory=dict)
    _cpu_seconds: float = 0.0
    _read_bytes: int = 0
    _written_bytes: int = 0
    _has_looked: bool = False
    _tells_io: bool = True

    def look(self, pids: Iterable[int]) -> ProcessUse | None:
        """Return the use of these processes and their descendants; None if none runs."""
        resident, now = 0, {}
        for process in _trees(pids):
            with suppress(psutil.Error), process.oneshot():
                key = process.pid, process.create_time()
                counters = self._counters(process)
                resident += _memory(process)
                # All that a process used belongs to us if it began after the first look.
                before = self._last.get(key, (0.0, 0, 0) if self._has_looked else counters)
                self._cpu_seconds += max(0.0, counters[0] - before[0])
                self._read_bytes += max(0, counters[1] - before[1])
                self._written_bytes += max(0, counters[2] - before[2])
                now[key] = counters
        self._last = now
        if not now:
            return None
        self._has_looked = True
        io = (self._read_bytes, self._written_bytes) if self._tells_io else (None, None)
        return ProcessUse(self._cpu_seconds, resident, *io)

    def _counters(self, process: psutil.Process) -> tuple[float, int, int]:
        times = process.cpu_times()
        try:
            io = process.io_counters()
        except (psutil.AccessDenied, AttributeError):  # another user's, or macOS
            self._tells_io = False
            return times.user + times.system, 0, 0
        return times.user + times.system, io.read_bytes, io.write_bytes


def _trees(pids: Iterable[int]) -> Iterable[psutil.Process]:
    processes: dict[int, psutil.Process] = {}
    for pid in pids:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            processes[pid] = root
            processes.update((child.pid, child) for child in root.children(recursive=True))
    return processes.values()


def _memory(process: psutil.Process) -> int:
    """Return the proportional set size in bytes; the resident one if there is none."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
