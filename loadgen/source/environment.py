"""What a result can't be read without: machine, versions, and the source's settings."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import psycopg

from loadgen.sql import statements


def machine() -> dict[str, object]:
    """Return processor, cores, memory (bytes) and operating system of this machine."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_bytes": pages * page_bytes,
        "os": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """Return the versions of this program and of what the load stands on."""
    packages = {"loadgen": "simplyload-playground"} | {
        p: p for p in ("locust", "gevent", "psycopg")
    }
    return {"python": sys.version.split()[0]} | {
        name: version(package) for name, package in packages.items()
    }


def source(connection: psycopg.Connection, *, embedded: bool) -> dict[str, object]:
    """Return the server's version and those of its settings that change what is measured."""
    sql = statements("loadgen.source", "circumstances.sql")["server_settings"]
    settings: dict[str, object] = dict(connection.execute(sql).fetchall())
    return {"version": settings.pop("server_version"), "embedded": embedded, **settings}


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
