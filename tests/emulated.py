"""The emulator of AWS: moto's server, run by the emulators' environment in a separate process."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import EMULATORS, clean_environment, find_free_port, kill_all
from tests.polling import wait_for

_MOTO_AT = Path(__file__).parent / "emulators/moto_at.py"


@contextmanager
def aws_server(at: datetime | None = None) -> Iterator[str]:
    """Run moto's server and yield its address; its data is lost when it stops.

    With a time, its clock stands still there, and resources are created at that time.
    """
    program = EMULATORS / "moto_server"
    if not program.exists():
        pytest.skip(f"no {program}: make setup-dev")
    command = [program] if at is None else [EMULATORS / "python", _MOTO_AT, at.isoformat()]
    port = find_free_port()
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*map(str, command), "-H", "127.0.0.1", "-p", str(port)],
                stdout=out,
                stderr=out,
                env=clean_environment(measured=False),
            )
        try:
            wait_for(lambda: "Running on" in log.read_text(), "moto_server")
            yield f"http://127.0.0.1:{port}"
        finally:
            kill_all(process)
            process.wait()
