"""What a server has spent so far, so that a run's part is a difference: WAL, and processor time.

WAL every server tells. Processor time is read from /proc, of the postmaster and its children, for a
server on this machine; elsewhere, or on a system without /proc, it is None: not known.
"""

import os
from pathlib import Path
from typing import Any, Final

import psycopg

from loadgen.sql import statements

_SQL: Final = statements("loadgen.source", "circumstances.sql")["spent"]
_PROC: Final = Path("/proc")
# Fields of /proc/PID/stat, counted from the one behind the command's name, which may hold anything.
_PARENT, _OWN, _REAPED = 1, slice(11, 13), slice(13, 15)


def spent(connection: psycopg.Connection[Any]) -> dict[str, object]:
    """Return the server's WAL in bytes, its processor seconds, and since when they count.

    Raises psycopg.Error where the server can't be asked.
    """
    row = connection.execute(_SQL).fetchone()
    if row is None:
        raise AssertionError("the statement has one row")
    wal_bytes, started_at, backend, address = row
    here = address in {None, "127.0.0.1", "::1"}  # None through a socket file
    return {
        "wal_bytes": wal_bytes,
        "cpu_seconds": processor_seconds(backend) if here else None,
        "server_started_at": started_at,
    }


def processor_seconds(backend: int, proc: Path = _PROC) -> float | None:
    """Return what the server of the process `backend` has used, children that ended among it.

    None where that process is not there, or is no child of a postmaster: a server in a container.
    """
    own = _stat(proc, backend)
    postmaster = int(own[_PARENT]) if own else 0
    if own is None or not _is_postgres(proc, postmaster):
        return None
    ticks = 0
    for process in proc.iterdir():
        found = _stat(proc, int(process.name)) if process.name.isdecimal() else None
        if found is None:
            continue
        if int(process.name) == postmaster:
            ticks += sum(map(int, [*found[_OWN], *found[_REAPED]]))
        elif int(found[_PARENT]) == postmaster:
            ticks += sum(map(int, found[_OWN]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _is_postgres(proc: Path, pid: int) -> bool:
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8").strip() in {
            "postgres",
            "postmaster",
        }
    except OSError:
        return False


def _stat(proc: Path, pid: int) -> list[str] | None:
    """Return the fields behind the command's name; None for a process that is not there."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
