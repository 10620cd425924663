"""What benchmarks need of this machine: a free port, and an environment without settings."""

import os
import socket
from pathlib import Path

ROOT = Path(__file__).parent.parent


def environment(dsn: str) -> dict[str, str]:
    """Return an environment in which `dsn` is the source and no rate is refused."""
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG"}}
    return kept | {"DATABASE_URL": dsn, "MAX_RATE_PER_HOUR": "1e9", "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
