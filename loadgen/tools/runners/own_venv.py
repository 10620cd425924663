"""A virtual environment of a tool's own, in its folder, so that our own lock stays small.

It counts as installed once it has a file with its packages, which is written last. What an
interrupted installation leaves is removed: at once, or by the next one if the process was killed.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from loadgen.errors import PlaygroundError, one_line
from loadgen.record.files import lock_within, replace_file
from loadgen.tools.tools_file import Tool

FOLDER: Final = "venv"
_INSTALLED: Final = "installed.json"
LOCK: Final = "install.lock"
_PATIENCE: Final = 600.0  # seconds for another installation to end
# Where scripts/setup puts uv, which needs no pip in the environment that it fills.
_UVS: Final = (".tools/venv/bin/uv", ".tools/target/bin/uv")


def install(tool: Tool, packages: Sequence[str]) -> Path:
    """Install the packages into the tool's environment, unless it has them; return its folder.

    `packages` are requirements as pip takes them. Raises PlaygroundError.
    """
    folder = tool.folder / FOLDER
    if is_installed(tool, packages):
        return folder
    tool.folder.mkdir(parents=True, exist_ok=True)
    with _locked(tool) as lock:
        if not is_installed(tool, packages):
            shutil.rmtree(folder, ignore_errors=True)
            try:
                _make(tool, folder, packages, lock)
                replace_file(folder / _INSTALLED, json.dumps(list(packages)).encode())
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return folder


def is_installed(tool: Tool, packages: Sequence[str]) -> bool:
    """Return whether the tool's environment is complete and has these packages."""
    try:
        text = (tool.folder / FOLDER / _INSTALLED).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return text == json.dumps(list(packages))


def program(tool: Tool, packages: Sequence[str], name: str) -> Path:
    """Return a program of the tool's environment. Raises PlaygroundError if it is not installed."""
    if not is_installed(tool, packages):
        raise PlaygroundError(
            f"tool {tool.name}: {', '.join(packages)} is not installed: run `loadgen tools install "
            f"{tool.name}`"
        )
    return (tool.folder / FOLDER / "bin" / name).absolute()


def _make(tool: Tool, folder: Path, packages: Sequence[str], lock: int) -> None:
    uv = shutil.which("uv") or next((path for path in _UVS if Path(path).exists()), None)
    python = folder / "bin" / "python"
    if uv is not None:
        without_pip = ["--without-pip"]
        pip: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        without_pip = []
        # Isolated: packages on PYTHONPATH would count as installed.
        pip = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    create: list[str | Path] = [sys.executable, "-m", "venv", *without_pip, folder]
    for command in (create, [*pip, *packages]):
        # It inherits the lock: if this process is killed, the next one waits until it ends.
        done = subprocess.run(  # noqa: S603 - our own commands
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=(lock,),
        )
        if done.returncode:
            raise PlaygroundError(
                f"tool {tool.name}: can't install {', '.join(packages)}: "
                f"{one_line(done.stderr or done.stdout)}"
            )


@contextmanager
def _locked(tool: Tool) -> Iterator[int]:
    """Hold the lock of the tool's installation. Raises PlaygroundError if another keeps it."""
    file = tool.folder / LOCK
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not lock_within(descriptor, _PATIENCE):
            raise PlaygroundError(f"tool {tool.name}: another command is installing it: wait")
        yield descriptor
    finally:
        os.close(descriptor)
