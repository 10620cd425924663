"""A runner of another package, really installed, and the environment that it installs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from loadgen.record.files import lock_within
from tests.conftest import RunLoadgen, clean_environment
from tests.polling import wait_for

ROOT = Path(__file__).parents[2]
TOOLS = """
[tools.mine]
kind = "generic"
destination = "duckdb"
runner = "{runner}"
"""
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny-pipe"
version = "1.0"
[project.scripts]
tiny = "tiny_pipe.runner:main"
[project.entry-points."loadgen.runners"]
tiny = "tiny_pipe.runner"
broken = "tiny_pipe.broken"
partial = "tiny_pipe.partial"
"""
RUNNER = '''
"""A runner whose process waits for a signal; it installs what TINY_PACKAGE names."""
import os, signal, sys
from pathlib import Path

PACKAGES = (os.environ.get("TINY_PACKAGE", ""),)

def install(tool):
    from loadgen.tools.runners import own_venv
    return f"{own_venv.install(tool, PACKAGES)}"

def start(tool, settings):
    from loadgen.tools.runners import background, own_venv
    own_venv.program(tool, PACKAGES, "tiny")
    background.launch(tool.folder, "tiny_pipe.runner", str(tool.folder))

def stop(tool):
    from loadgen.tools.runners import background
    return background.stop(tool.folder)

def status(tool):
    from loadgen.tools.runners import background
    from loadgen.tools.runners.syncs import ToolStatus
    return ToolStatus(background.running(tool.folder) is not None, copied=True, position="0/1A")

def processes(tool):
    from loadgen.tools.runners import background
    process = background.running(tool.folder)
    return () if process is None else (process.pid,)

def remove(tool, settings):
    stop(tool)

def main():
    print("tiny runs")

if __name__ == "__main__":
    from loadgen.tools.runners import background
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with background.hold_pid_file(Path(sys.argv[1])):
        signal.pause()
'''
# A package whose wheel is not built before there is a file `go`; `waits` says that it waits.
WAITING = """
import time, pathlib
here = pathlib.Path(__file__).parent
def build_wheel(*_):
    (here / "waits").touch()
    while not (here / "go").exists():
        time.sleep(0.05)
    raise SystemExit("no wheel")
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Return the output of a command."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the package's source."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "tiny_pipe").mkdir()
    (folder / "tiny_pipe" / "__init__.py").touch()
    (folder / "tiny_pipe" / "runner.py").write_text(RUNNER)
    (folder / "tiny_pipe" / "broken.py").write_text("raise OSError('no\\nlibrary')")
    (folder / "tiny_pipe" / "partial.py").write_text("def start(tool, settings): ...")
    return folder


@pytest.fixture(scope="module")
def site(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder, without a network; return that folder."""
    uv = ROOT / run(ROOT / "scripts" / "setup", "--uv", cwd=ROOT).strip()
    target = tmp_path_factory.mktemp("site")
    install = ("pip", "install", "--offline", "--no-deps", "--no-build-isolation")
    run(uv, *install, "--python", sys.executable, "--target", target, package, cwd=ROOT)
    return target


@pytest.fixture(scope="module")
def wheel(package: Path) -> Path:
    """Build the package's wheel."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=package)
    (built,) = (package / "dist").glob("*.whl")
    return built


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """Return the source of a package whose installation waits."""
    folder = tmp_path / "waiting"
    folder.mkdir()
    backend = '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(
        f'{backend}[project]\nname = "waiting"\nversion = "1.0"\n'
    )
    (folder / "slow.py").write_text(WAITING)
    return folder


Tools = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tools(site: Path, wheel: Path, project: Path, run_loadgen: RunLoadgen, database: str) -> Tools:
    """Return a runner of `loadgen tools ARGUMENTS…` that has the package on its path."""

    def run_tools(
        *arguments: str, runner: str = "tiny", package: str | Path = wheel
    ) -> subprocess.CompletedProcess[str]:
        (project / "tools.toml").write_text(TOOLS.format(runner=runner))
        env = {"PYTHONPATH": str(site), "TINY_PACKAGE": str(package), "DATABASE_URL": database}
        return run_loadgen("tools", *arguments, env=env)

    return run_tools


def test_a_runner_of_another_package_is_one_like_ours(tools: Tools, project: Path) -> None:
    """It installs its environment, starts, shows its position, stops, and is killed."""
    refused = tools("start")
    assert refused.returncode == 2
    assert "is not installed: run `loadgen tools install mine`" in refused.stderr
    installed = tools("install")
    assert installed.returncode == 0, installed.stderr
    venv = project / ".loadgen" / "tools" / "mine" / "venv"
    assert run(venv / "bin" / "tiny", cwd=project) == "tiny runs\n"
    try:
        assert tools("start").returncode == 0
        state = json.loads(tools("status", "--json").stdout)["mine"]
        assert (state["running"], state["position"], len(state["pids"])) == (True, "0/1A", 1)
        assert "0/1A" in tools("status").stdout
        psutil.Process(state["pids"][0]).kill()
        wait_for(lambda: not psutil.pid_exists(state["pids"][0]), "its end")
        crashed = tools("status")
        assert (crashed.returncode, "crashed or was killed" in crashed.stdout) == (1, True)
        assert tools("stop").stdout == "mine: did not run\n"
        assert "crashed" not in tools("status").stdout
    finally:
        removed = tools("remove")
    assert "removed, with its copy; its programs stay in .loadgen/tools/mine/venv" in removed.stdout


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        ("tinny", "tools.toml: [tools.mine]: there is no runner tinny: did you mean tiny?"),
        ("replicaton", "there is no runner replicaton: did you mean replication?"),
        (
            "broken",
            "tiny-pipe can't be imported from tiny_pipe.broken (OSError: no library): repair",
        ),
        (
            "partial",
            "runner partial of package tiny-pipe lacks install, stop, status, processes and remove",
        ),
    ],
)
def test_a_runner_that_can_t_be_used_is_one_line(tools: Tools, runner: str, message: str) -> None:
    """It has the runner, its package and the reason."""
    done = tools("start", runner=runner)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line


def with_uv(project: Path) -> None:
    """Let the project have uv, which the other tests do without."""
    (project / ".tools").symlink_to(ROOT / ".tools")


def start_install(project: Path, env: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start `loadgen tools install` in a process group, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "loadgen", "tools", "install"],
        cwd=project,
        env=clean_environment(env, measured=False),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_installation_leaves_nothing_half_made(
    number: signal.Signals, tools: Tools, site: Path, project: Path, waiting: Path, database: str
) -> None:
    """After Ctrl-C nothing is there; if it was killed, the next one waits for what still writes."""
    (project / "tools.toml").write_text(TOOLS.format(runner="tiny"))
    with_uv(project)
    env = {"PYTHONPATH": str(site), "TINY_PACKAGE": str(waiting), "DATABASE_URL": database}
    folder = project / ".loadgen" / "tools" / "mine"
    with start_install(project, env) as process:
        try:
            wait_for((waiting / "waits").exists, "the installation")
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
                process.communicate(timeout=60)
                assert process.returncode == 130
                assert not (folder / "venv").exists()
            else:
                process.kill()
                process.wait()
                with (folder / "install.lock").open("rb") as lock:
                    assert not lock_within(lock.fileno(), 0)
        finally:
            (waiting / "go").touch()
    assert "is not installed" in tools("start").stderr
    installed = tools("install")
    assert installed.returncode == 0, installed.stderr
    assert run(folder / "venv" / "bin" / "tiny", cwd=project) == "tiny runs\n"


def test_what_can_t_be_installed_is_one_line(tools: Tools, project: Path) -> None:
    """The installer's reason is in it, and nothing is left."""
    with_uv(project)
    done = tools("install", package=project / "none-1.0-py3-none-any.whl")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "tool mine: can't install" in line
    assert "none-1.0" in line
    assert not (project / ".loadgen" / "tools" / "mine" / "venv").exists()
