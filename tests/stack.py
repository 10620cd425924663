"""docker-compose.yml and Dockerfile, read as Docker's own tools would, and made here as files.

No Docker engine is needed: `Image` performs the Dockerfile's lines in a folder that stands for the
root of its file system. Only what would change the machine itself, its users, is left out.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
Service = dict[str, Any]
_OURS = re.compile(r"(?<![\w./])/(?=(?:opt/playground|build|playground|project|etc/prometheus)\b)")
_NOT_HERE = ("useradd", "chown")


def services(**variables: str) -> dict[str, Service]:
    """Return the services as `docker-compose config` has them with these variables set."""
    done = config(**variables)
    assert done.returncode == 0, done.stderr
    found: dict[str, Service] = yaml.safe_load(done.stdout)["services"]
    return found


def config(**variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `docker-compose config`; skip with the reason if it is not installed."""
    if shutil.which("docker-compose") is None:
        pytest.skip("no docker-compose (Debian's package)")
    return subprocess.run(
        ["docker-compose", "--env-file", ".env.example", "config"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's lines as (instruction, the rest), comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def sources() -> Iterator[str]:
    """Yield what the Dockerfile copies from the project's folder."""
    for instruction, rest in instructions():
        if instruction == "COPY" and not rest.startswith("--from"):
            yield from rest.split()[:-1]


def is_sent(path: str) -> bool:
    """Tell whether .dockerignore lets a path of the project go into the build; the last rule wins.

    A rule for a folder holds for all that is in it.
    """
    sent = True
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.removeprefix("!").removeprefix("**/")
        names = [Path(one).name for one in parents] if "**/" in line else parents
        if line and not line.startswith("#") and any(fnmatch(name, rule) for name in names):
            sent = line.startswith("!")
    return sent


class Image:
    """What the Dockerfile makes, in a folder that stands for the root of its file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment: dict[str, str] = {}
        self.folder = root
        for instruction, rest in instructions():
            if instruction in {"FROM", "ENV", "WORKDIR", "RUN", "COPY"}:
                getattr(self, f"_{instruction.lower()}")(rest)

    def inside(self, text: str) -> str:
        """Return a text whose paths of the image are those of the folder."""
        return _OURS.sub(f"{self.root}/", text)

    def _from(self, _: str) -> None:
        # The base image's programs are Python's: those of this environment's interpreter.
        path = f"{sys.base_prefix}/bin:{os.environ['PATH']}"
        self.environment = {"PATH": path, "UV_OFFLINE": "1"}  # all of it is in uv's cache

    def _env(self, rest: str) -> None:
        for name, value in (pair.split("=", 1) for pair in rest.split()):
            self.environment[name] = self.inside(value).replace("$PATH", self.environment["PATH"])

    def _workdir(self, rest: str) -> None:
        self.folder = Path(self.inside(rest))
        self.folder.mkdir(parents=True)
        if not (self.folder / ".tools").exists():
            (self.folder / ".tools").symlink_to(ROOT / ".tools")  # where uv may be already

    def _copy(self, rest: str) -> None:
        *given, into = rest.split()
        if given[0].startswith("--from"):
            return  # from one stage to the other: here they share the folder
        for source in given:
            place = self.folder / self.inside(into)
            if source.endswith("/") or (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
                continue
            if into.endswith("/"):
                place = place / Path(source).name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)

    def _run(self, rest: str) -> None:
        kept = [part for part in rest.split(" && ") if not part.startswith(_NOT_HERE)]
        for command in kept:
            done = subprocess.run(
                ["/bin/sh", "-c", self.inside(command)],
                cwd=self.folder,
                env=os.environ | self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
