"""A real PgBouncer in front of a test's database."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import clean_environment, find_free_port
from tests.polling import wait_for


@contextmanager
def pgbouncer(dsn: str, mode: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer with `pool_mode = mode`; yield the address through it. It lets anybody in."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer: scripts/system-packages")
    server, port = urlsplit(dsn), find_free_port()
    configuration, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    configuration.write_text(
        "[databases]\n"
        f"* = host={server.hostname} port={server.port} user={server.username} "
        f"password={server.password}\n"
        "[pgbouncer]\n"
        f"pool_mode = {mode}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "auth_type = any\nunix_socket_dir =\n"
    )
    command = [program, str(configuration)]
    if os.geteuid() == 0:  # it refuses to run as root
        command[1:1] = ["-u", "nobody"]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, stdout=out, stderr=out, env=clean_environment(measured=False)
        ) as process,
    ):
        try:
            wait_for(lambda: "process up" in log.read_text(), "pgbouncer")
            yield f"postgresql://anybody@127.0.0.1:{port}{server.path}"
        finally:
            process.kill()
