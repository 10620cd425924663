"""What benchmarks need of this machine: a server, a free port, no settings of anybody's."""

import argparse
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loadgen.record.rows import Sample
from loadgen.source.embedded import server

ROOT = Path(__file__).parent.parent
# The mix of every benchmark of the load, as shares of all writes.
_SHARES = {"orders": 0.25, "events": 0.60, "status-updates": 0.14, "soft-deletes": 0.01}
_START_SECONDS = 60.0


def environment(dsn: str) -> dict[str, str]:
    """Return an environment in which `dsn` is the source and no rate is refused."""
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG"}}
    return kept | {"DATABASE_URL": dsn, "MAX_RATE_PER_HOUR": "1e9", "PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_run(load: "subprocess.Popen[bytes]", project: Path) -> None:
    """Wait until the first sample of a run of `load`."""
    deadline = time.monotonic() + _START_SECONDS
    latest = project / "reports" / "latest"
    while not ((latest / Sample.FILE).exists() and any(Sample.read(latest))):
        if load.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("no run began")
        time.sleep(0.1)


@contextmanager
def running_server(
    options: Mapping[str, str] | None = None,
) -> Iterator[tuple[Path, server.RunningServer]]:
    """Yield a project's folder and its server, durable as by default; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="playground-bench-") as folder:
        project = Path(folder)
        project.chmod(0o755)
        try:
            yield project, server.start(project, port=free_port(), options=options or {})
        finally:
            server.reset(project)


def argument_parser(text: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a module's docstring as it stands."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawTextHelpFormatter)


def add_loop(parser: argparse.ArgumentParser) -> None:
    """Add `--loop`, which sets LOAD_LOOP."""
    parser.add_argument("--loop", choices=("compiled", "gevent"), default="compiled")


def rate_arguments(writes_per_second: float) -> list[str]:
    """Return Locust's arguments that ask for so many writes, in the benchmarks' mix."""
    return [
        text
        for name, share in _SHARES.items()
        for text in (f"--{name}-per-hour", f"{writes_per_second * share * 3600:.0f}")
    ]
