"""The wheel has all files that the package needs, and runs from a separate environment."""

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping
from email.parser import Parser
from pathlib import Path

import pytest

from loadgen import __version__, cli
from loadgen.commands.init import EXAMPLES
from loadgen.sql import statements
from loadgen.workload.read_model import built_in_models
from tests.conftest import clean_environment

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "loadgen"
SQL = sorted(PACKAGE.rglob("sql/*.sql"))


def run(
    *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed; a failure shows its output."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def uv() -> str:
    """Return the uv that `make` uses."""
    return run(ROOT / "scripts" / "setup", "--uv", cwd=ROOT).stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as `make build` does, without a network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment without the project; return its folder of programs.

    The wheel's dependencies come from the environment of the tests, after its own packages. That
    needs no network, and the editable project of the tests' environment is not found.
    """
    environment = tmp_path_factory.mktemp("an empty plåce") / "venv"
    tool = ROOT / uv()
    run(tool, "venv", "--python", sys.executable, environment, cwd=ROOT)
    python = environment / "bin" / "python"
    run(tool, "pip", "install", "--offline", "--no-deps", "--python", python, wheel, cwd=ROOT)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(f"{sysconfig.get_path('platlib')}\n", encoding="utf-8")
    return python.parent


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """SQL, templates and the example files are packaged with the code, and nothing else is."""
    with zipfile.ZipFile(wheel) as archive:
        packaged = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packaged == {
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {f"loadgen/examples/{name}" for name in EXAMPLES}
    assert len(SQL) > 3


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    """Name, version, interpreter, licence and dependencies match pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
        assert any(one.endswith("/licenses/LICENSE") for one in archive.namelist())
    assert (metadata["Name"], metadata["Version"]) == ("simplyload-playground", __version__)
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["License-Expression"] == "Apache-2.0"
    required = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    assert len(required) == len(project["dependencies"])
    assert set(metadata.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])


def test_the_command_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`loadgen --help` lists every command, from an unrelated folder."""
    done = run(installed / "loadgen", "--help", cwd=tmp_path, env=clean_environment())
    for name in cli.COMMANDS:
        assert f"\n    {name} " in done.stdout
    version = run(installed / "loadgen", "--version", cwd=tmp_path, env=clean_environment())
    assert version.stdout == f"loadgen {__version__}\n"


def test_an_empty_folder_is_enough(installed: Path, tmp_path: Path) -> None:
    """`init` writes the example files of the wheel, and Locust accepts the wheel's locustfile."""
    run(installed / "loadgen", "init", cwd=tmp_path, env=clean_environment())
    for name in EXAMPLES:
        assert (tmp_path / name).read_text(encoding="utf-8") == (ROOT / name).read_text("utf-8")
    found = run(installed / "loadgen", "locustfile", cwd=tmp_path, env=clean_environment())
    locustfile = Path(found.stdout.strip())
    assert locustfile.is_relative_to(installed.parent)
    command = (installed / "python", "-m", "locust", "-f", locustfile, "--list")
    assert "PostgresUser" in run(*command, cwd=tmp_path, env=clean_environment()).stdout


@pytest.mark.parametrize("workload", built_in_models())
def test_workloads_are_read_from_the_wheel(installed: Path, tmp_path: Path, workload: str) -> None:
    """`loadgen workload check` reads each built-in workload from the wheel."""
    done = run(
        installed / "loadgen", "workload", "check", workload, cwd=tmp_path, env=clean_environment()
    )
    assert done.stdout.startswith(f"{workload} can be read, ")


@pytest.mark.parametrize("path", SQL, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_statements_are_found_in_the_wheel(installed: Path, tmp_path: Path, path: Path) -> None:
    """Each SQL file is read from the installed package, not from the checkout."""
    package = ".".join(path.parent.relative_to(ROOT).parts).removesuffix(".sql")
    code = (
        "import loadgen, sys; from loadgen.sql import statements; "
        "print(loadgen.__file__); print(len(statements(*sys.argv[1:])))"
    )
    arguments = ("-c", code, package, path.name)
    done = run(installed / "python", *arguments, cwd=tmp_path, env=clean_environment())
    origin, count = done.stdout.splitlines()
    assert Path(origin).is_relative_to(installed.parent)
    assert int(count) == len(statements(package, path.name)) > 0
