"""The environment of a run: machine, versions, the server's settings, its clock, its resources.

A result is read together with these. Resources (WAL, processor time) are totals since the server's
start, so that a run's share is a difference.
"""

import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from loadgen.record.run import Spent
from loadgen.record.verify import ClockOffset
from loadgen.source.postgres import Connection
from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "environment.sql")
_CPU_READINGS: Final = 5
_CLOCK_READINGS: Final = 3
_PROC: Final = Path("/proc")
# Fields of /proc/PID/stat after the command's name, which may itself hold spaces and brackets.
_PARENT, _OWN_TICKS, _CHILDRENS_TICKS = 1, slice(11, 13), slice(13, 15)


def clock_offset(
    there: Callable[[], datetime], here: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> ClockOffset:
    """Return how far the clock `there` is ahead of the clock `here`.

    The quickest of three readings counts: its error is at most half of its round trip.
    """
    readings = []
    for _ in range(_CLOCK_READINGS):
        before = here()
        answer = there()
        half = (here() - before) / 2
        readings.append((half.total_seconds(), (answer - before - half).total_seconds()))
    within, ahead = min(readings)
    return ClockOffset(round(ahead, 6), round(within, 6))


def machine() -> dict[str, object]:
    """Return processor, cores, memory (bytes) and operating system of this machine."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": pages * page_bytes,
        "os": f"{platform.system()} {platform.release()}",
    }


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python, of this program and of the packages that drive the load."""
    packages = {"loadgen": "simplyload-playground"} | {
        p: p for p in ("locust", "gevent", "psycopg")
    }
    return {"python": sys.version.split()[0]} | {
        name: version(package) for name, package in packages.items()
    }


def server_settings(connection: Connection, *, embedded: bool) -> dict[str, object]:
    """Return the server's version and those of its settings that influence measurements."""
    settings: dict[str, object] = dict(connection.execute(_SQL["server_settings"]).fetchall())
    return {"version": settings.pop("server_version"), "embedded": embedded, **settings}


def resources_used(connection: Connection) -> Spent:
    """Return the server's WAL in bytes and its processor seconds, both since its start.

    Processor time is read from /proc, so it is None for a server on another machine or a system
    without /proc. Raises psycopg.Error if the server does not answer.
    """
    row = connection.execute(_SQL["resources_used"]).fetchone()
    if row is None:
        raise AssertionError("the statement has one row")
    wal_bytes, started_at, backend_pid, address = row
    here = address in {None, "127.0.0.1", "::1"}  # None is a Unix socket
    return Spent(
        wal_bytes=wal_bytes,
        cpu_seconds=processor_seconds(backend_pid) if here else None,
        server_started_at=started_at,
    )


def processor_seconds(backend_pid: int, proc: Path = _PROC) -> float | None:
    """Return the processor time of a backend's server: its postmaster and all children.

    Children that have ended are included. Returns None if the process does not exist here or is not
    a postmaster's child, as with a server in a container.
    """
    backend = _stat(proc, backend_pid)
    postmaster = int(backend[_PARENT]) if backend else 0
    if backend is None or not _is_postgres(proc, postmaster):
        return None
    for _ in range(_CPU_READINGS):
        ended_before = _ended_ticks(proc, postmaster)
        ticks = ended_before
        for process in proc.iterdir():
            fields = _stat(proc, int(process.name)) if process.name.isdecimal() else None
            if fields and postmaster in {int(process.name), int(fields[_PARENT])}:
                ticks += sum(map(int, fields[_OWN_TICKS]))
        # A child that ended meanwhile may be counted twice, or not at all.
        if _ended_ticks(proc, postmaster) == ended_before:
            break
    return ticks / os.sysconf("SC_CLK_TCK")


def _ended_ticks(proc: Path, postmaster: int) -> int:
    """Return the processor time of the postmaster's children that have ended, in clock ticks."""
    fields = _stat(proc, postmaster)
    return sum(map(int, fields[_CHILDRENS_TICKS])) if fields else 0


def _is_postgres(proc: Path, pid: int) -> bool:
    try:
        name = (proc / str(pid) / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    return name in {"postgres", "postmaster"}


def _stat(proc: Path, pid: int) -> list[str] | None:
    """Return a process' fields of /proc/PID/stat after its name; None if it does not exist."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
