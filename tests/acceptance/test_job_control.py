"""A load started from an interactive shell: in the background it leaves the terminal alone."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.acceptance.conftest import LENIENT, ROOT, counted, latest, rates
from tests.conftest import clean_environment, kill_all
from tests.polling import wait_for

# A separate process makes the terminal and copies between the terminal and our pipes.
_SHELL = "import pty; pty.spawn(['bash', '--norc', '-i'])"


class Terminal:
    """An interactive bash with job control on a terminal, typed into and read."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._shown = folder / "terminal"
        with self._shown.open("wb") as shown:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SHELL],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=shown,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def shown(self) -> str:
        """All that the terminal has shown."""
        return self._shown.read_text(errors="replace")

    def type(self, text: str) -> None:
        """Type a text."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text."""
        wait_for(lambda: text in self.shown, f"{text!r} in {self._shown}", 40)


@pytest.fixture
def terminal(seeded: str, project: Path, metrics_port: int) -> Iterator[Terminal]:
    """Yield a shell in the project, with a `load` that runs for so many seconds."""
    shutil.copy(ROOT / "locustfile.py", project)
    (project / "thresholds.toml").write_text(LENIENT)
    environment = clean_environment(
        {
            "DATABASE_URL": seeded,
            "PYTHONPATH": str(ROOT),
            "METRICS_PORT": str(metrics_port),
            "PS1": "$ ",
            "TERM": "xterm",
        }
    )
    shell = Terminal(project, environment)
    load = f"{sys.executable} -m locust --headless -u 2 {' '.join(rates())}"
    shell.type(f"load() {{ {load} -t $1; }}; stty -echo\n")
    with shell.process:
        yield shell
        kill_all(shell.process)


def test_a_load_in_the_background_runs_to_its_end(
    terminal: Terminal, seeded: str, project: Path
) -> None:
    """`locust … &` does not touch the terminal: the kernel would stop it while it has its lock.

    The terminal's mode is unchanged when the load has ended.
    """
    before = counted(seeded)
    terminal.type(
        "stty -a >before; load 3s & wait $!; echo ended''=$?; stty -a >after; echo d''one\n"
    )
    terminal.wait_for("done")
    assert "ended=0" in terminal.shown, terminal.shown
    assert "left: target" not in terminal.shown  # the terminal's last line is the shell's
    assert (project / "before").read_text() == (project / "after").read_text()
    assert counted(seeded) != before
    assert latest(project)["exit_code"] == 0


def test_keys_work_in_the_foreground_and_a_stopped_job_goes_on_in_the_background(
    terminal: Terminal, project: Path
) -> None:
    """`w` adds a user; after Ctrl-Z and `bg` the load runs to its end and keys go to the shell."""
    terminal.type("load 12s\n")
    terminal.wait_for("All users spawned")
    terminal.wait_for("left: target")  # the live line
    terminal.type("w")
    terminal.wait_for('{"PostgresUser": 3} (3 total users)')
    terminal.type("\x1a")
    terminal.wait_for("Stopped")
    terminal.type("bg >/dev/null; echo typed''-here; wait %1; echo ended''=$?\n")
    terminal.wait_for("typed-here")
    terminal.wait_for("ended=")
    assert "ended=0" in terminal.shown, terminal.shown
    assert latest(project)["ended_at"] is not None
