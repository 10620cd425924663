"""A command that is killed leaves no process behind."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.polling import wait_for

_COMMAND = """
import subprocess, sys
from loadgen.orphans import ended_with_us
clean_up = [sys.executable, "-c", "open('cleaned', 'w').close()"]
with ended_with_us(clean_up) as children:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    ended = subprocess.Popen([sys.executable, "-c", ""])
    children.began(ended)
    ended.wait()
    children.ended(ended)
    children.began(process)
    print(process.pid, flush=True)
    sys.stdin.read()
    process.terminate()
"""


def ended(process: psutil.Process) -> bool:
    """Tell whether the process has ended, even if its parent has not waited for it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def parent(tmp_path: Path) -> "subprocess.Popen[str]":
    """Return a command that has begun a child, whose number it has printed."""
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_it_is_cleaned_up_after(parent: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """The child is ended and the command run, by the end of a pipe: no signal is needed for it."""
    with parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: ended(child), "the child to end", 30)
    wait_for((tmp_path / "cleaned").exists, "the command to run", 30)


def test_it_cleans_up_itself_where_it_can(parent: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Then there is no second clean-up."""
    with parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.communicate("")
    assert parent.returncode == 0
    wait_for(lambda: ended(child), "the child to end", 30)
    assert not (tmp_path / "cleaned").exists()
