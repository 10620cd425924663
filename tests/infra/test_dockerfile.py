"""The Dockerfile, as far as it can be tested without Docker."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from loadgen import __version__
from tests.conftest import clean_environment
from tests.stack import ROOT, Image, instructions, is_sent, sources


def names(wheel: Path) -> set[str]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_what_is_copied_exists_and_is_sent() -> None:
    """.dockerignore lets the copied files through, but no secret or large files."""
    found = list(sources())
    assert len(found) > 5
    for path in found:
        assert (ROOT / path).exists()
        assert is_sent(path), path
    for path in (".env", ".venv/bin/python", ".git/config", "reports/run/run.json", "tools.toml"):
        assert not is_sent(path), path
    assert is_sent("loadgen/source/sql/schema.sql")
    assert not is_sent("loadgen/__pycache__/cli.cpython-311.pyc")


def test_it_ends_as_an_ordinary_user() -> None:
    """The last user is not root, and both stages start from one pinned image."""
    told = instructions()
    assert [rest for instruction, rest in told if instruction == "USER"] == ["playground"]
    bases = {rest.split()[0] for instruction, rest in told if instruction == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases.pop())


def test_what_is_installed_is_checked_by_its_hash() -> None:
    """Each install command requires hashes, except for the wheel that was just built."""
    lines = [rest for instruction, rest in instructions() if instruction == "RUN"]
    installing = [line for line in lines if "install" in line or "uv build" in line]
    unchecked = [line for line in installing if "--require-hashes" not in line]
    assert len(installing) == 3
    (wheel,) = unchecked
    assert "--no-deps dist/" in wheel


def test_its_lines_make_a_program_that_runs(image: Image, tmp_path: Path) -> None:
    """The image runs `loadgen` at its version and `locust`, and has what verify and costs need."""
    env = clean_environment(image.environment)
    for command, said in (
        (["loadgen", "--version"], f"loadgen {__version__}\n"),
        (["locust", "--list"], "PostgresUser"),
    ):
        program = f"{image.root}/opt/playground/bin/{command[0]}"
        done = subprocess.run(
            [program, *command[1:]], cwd=image.folder, env=env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    (site,) = (image.root / "opt/playground").glob("lib/python*/site-packages")
    assert (site / "loadgen" / "cli.py").exists()
    for package in ("snowflake/connector", "boto3", "duckdb"):  # for verify and costs
        assert (site / package).exists(), package
    assert not (site / "dlt").exists(), "the demo's tools are not for the image"


def test_its_wheel_is_the_project_s(image: Image, tmp_path: Path) -> None:
    """A wheel built from the files sent to Docker has the same files as that of `make build`."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (ours,), (theirs,) = tmp_path.glob("*.whl"), (image.root / "build/dist").glob("*.whl")
    assert names(ours) == names(theirs)


def test_what_is_yours_is_read_from_the_project_s_folder(image: Image) -> None:
    """Settings, limits and tools link to the folder that compose mounts; the links may dangle."""
    for name in (".env", "thresholds.toml", "tools.toml", "decision.toml"):
        link = image.root / "playground" / name
        assert link.is_symlink()
        assert link.readlink() == image.root / "project" / name
