"""What the processes of a local tool use: processor time, memory, disk.

Processes that end between two looks count: their parent has their use.
"""

from collections.abc import Iterable, Iterator
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


_Counters = tuple[float, int, int]  # processor seconds, bytes read, bytes written


@dataclass(slots=True)
class ProcessMeter:
    """Adds up what trees of processes use: `look` again and again, at their roots."""

    _last: dict[tuple[int, float], _Counters] = field(default_factory=dict)  # by root
    _used: _Counters = (0.0, 0, 0)
    _has_looked: bool = False
    _tells_io: bool = True

    def look(self, pids: Iterable[int]) -> ProcessUse | None:
        """Return the use of these processes and their descendants; None if none runs."""
        resident, now = 0, {}
        for root, tree in _trees(pids):
            with suppress(psutil.Error):
                key = root.pid, root.create_time()
                counters, memory = self._sums(tree)
                resident += memory
                # All that a tree used belongs to us if it began after the first look.
                before = self._last.get(key, (0.0, 0, 0) if self._has_looked else counters)
                # The sums fall for a moment if a process ends while they are added up.
                now[key] = _most(counters, before)
                self._used = _with_difference(self._used, now[key], before)
        self._last = now
        if not now:
            return None
        self._has_looked = True
        cpu_seconds, *io = self._used
        return ProcessUse(cpu_seconds, resident, *(io if self._tells_io else (None, None)))

    def _sums(self, tree: Iterable[psutil.Process]) -> tuple[_Counters, int]:
        """Return the counters of a tree, and its memory in bytes."""
        sums, resident = (0.0, 0, 0), 0
        for process in tree:
            with suppress(psutil.Error), process.oneshot():
                sums = _with_difference(sums, self._counters(process), (0.0, 0, 0))
                resident += _memory(process)
        return sums, resident

    def _counters(self, process: psutil.Process) -> _Counters:
        """Return the counters of a process and of its children that have ended.

        The system adds the latter's processor time and bytes to their parent's.
        """
        times = process.cpu_times()
        cpu_seconds = times.user + times.system + times.children_user + times.children_system
        try:
            io = process.io_counters()
        except (psutil.AccessDenied, AttributeError):  # another user's, or macOS
            self._tells_io = False
            return cpu_seconds, 0, 0
        return cpu_seconds, io.read_bytes, io.write_bytes


def _most(one: _Counters, other: _Counters) -> _Counters:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def _with_difference(sums: _Counters, now: _Counters, before: _Counters) -> _Counters:
    """Return the sums with what was added between two counters."""
    return sums[0] + now[0] - before[0], sums[1] + now[1] - before[1], sums[2] + now[2] - before[2]


def _trees(pids: Iterable[int]) -> Iterator[tuple[psutil.Process, list[psutil.Process]]]:
    """Yield each root that runs, with all processes of its tree; each process once."""
    seen: set[int] = set()
    for pid in pids:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
            yield root, [process for process in tree if process.pid not in seen]
            seen |= {process.pid for process in tree}


def _memory(process: psutil.Process) -> int:
    """Return the proportional set size in bytes; the resident one if there is none."""
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
