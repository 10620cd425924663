"""The documents' promises agree with the code, and the project's files keep their rules."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values

from loadgen import __version__, cli
from loadgen.config.settings import Settings, allowed, load_settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock", "tests/emulators/requirements.lock")


def default(name: str) -> str:
    """Return a setting's default as the documents write it."""
    value = Settings.model_fields[name].default
    if value is None:
        return ""
    return f"{value:.15g}" if isinstance(value, float | int) else str(value)


def table_rows(page: str) -> list[list[str]]:
    """Return the cells of the tables of a page of docs/, code marks taken off."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


def pins(lock: str) -> set[str]:
    """Return the `name==version` of a lock."""
    return set(re.findall(r"^[\w.-]+==[^\s;]+", (ROOT / lock).read_text(), re.MULTILINE))


def test_the_settings_table_is_the_code() -> None:
    """Each setting is in docs/settings.md once, with its default and its description."""
    told = {name: (shown, text) for name, shown, text in table_rows("settings.md")}
    fields = Settings.model_fields
    assert told == {n.upper(): (default(n), fields[n].description) for n in fields}
    assert len(table_rows("settings.md")) == len(fields)


def test_the_commands_table_is_the_code() -> None:
    """Each command that exists is in docs/commands.md, and no other."""
    told = [row[0].removeprefix("loadgen ").split(" ")[0] for row in table_rows("commands.md")]
    assert [name for name in told if name != "locust"] == list(cli.COMMANDS)


def test_env_example_names_every_setting_with_its_default() -> None:
    """Each line of .env.example is a setting with the default of the code."""
    told = dotenv_values(ROOT / ".env.example")
    assert told == {name.upper(): default(name) for name in Settings.model_fields}


def test_env_example_explains_every_setting() -> None:
    """Above each setting are its description and the allowed values."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        above = text.partition(f"\n{name.upper()}=")[0].splitlines()[-2:]
        assert above[0].lower() == f"# {field.description}".lower()
        assert above[1].startswith("# Allowed: ")
        if name.endswith("_per_hour") or name == "database_url":
            continue  # the text is more exact than the field itself can be
        assert above[1] == f"# Allowed: {allowed(name)}"


def test_a_copied_env_example_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With .env.example as .env, the settings are the defaults."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    defaults = load_settings()
    (tmp_path / ".env").write_bytes((ROOT / ".env.example").read_bytes())
    assert load_settings() == defaults


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_is_hashed_and_names_no_place(lock: str) -> None:
    """Each pin has hashes; no line names an index, a host or a folder."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.findall(
        r"^([\w.-]+==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)+)", text, re.MULTILINE
    )
    assert len(entries) == len(re.findall(r"^[a-z0-9][\w.-]*==", text, re.MULTILINE)) > 20
    assert not re.search(
        r"//|file:|--index|--extra|--find|^-[a-z]|(?<!# via)\s/\w", text, re.MULTILINE
    )


def test_one_environment_serves_both_locks() -> None:
    """The demo's packages are in the development lock at the same versions."""
    assert pins("requirements.lock") < pins("requirements-dev.lock")


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Each dependency of pyproject.toml is pinned, so `make lock` was not forgotten."""
    locked = {pin.partition("==")[0] for pin in pins("requirements-dev.lock")}
    asked = [
        *PROJECT["project"]["dependencies"],
        *(one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in asked}
    assert names <= locked


def test_the_version_is_said_once() -> None:
    """The package and the project file agree, and the changelog knows it."""
    assert PROJECT["project"]["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_one_door_to_postgres() -> None:
    """Only source/postgres.py connects to Postgres, also for the load."""
    opens = re.compile(
        r"psycopg\.connect\(|Session\.connect\(|Connection\.connect\(|\.connect_start\(|ConnectionPool\("
    )
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "loadgen").rglob("*.py")
        if opens.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"loadgen/source/postgres.py"}


def test_one_reader_of_the_environment() -> None:
    """Settings are read in settings.py; libpq's and proxies' variables where these are used."""
    reads = re.compile(r"os\.(getenv|environ(\.get|\[))|dotenv_values")
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "loadgen").rglob("*.py")
        if reads.search(path.read_text(encoding="utf-8"))
    }
    assert found <= {
        "loadgen/config/settings.py",
        "loadgen/source/postgres.py",
        "loadgen/network.py",
    }


@pytest.mark.parametrize("target", ["help", "setup", "demo", "test", "check", "bench", "clean"])
def test_make_has_the_target(target: str) -> None:
    """Each documented target parses and would run something."""
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_an_extra_that_is_not_there_is_refused() -> None:
    """Before anything is installed, in a line that names those of pyproject.toml."""
    done = subprocess.run(
        [ROOT / "scripts" / "setup"],
        env={**os.environ, "EXTRAS": "aws,nosuch"},
        capture_output=True,
        text=True,
        check=False,
    )
    extras = " ".join(sorted(PROJECT["project"]["optional-dependencies"]))
    assert done.returncode == 2
    assert done.stderr == f"setup: EXTRAS: no extra is called nosuch: there are {extras}\n"


def test_nothing_installs_a_name_that_is_not_ours() -> None:
    """The project is not on PyPI, where anybody may take its name: no text says to install it."""
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *(ROOT / "loadgen").rglob("*.py")]
    wrong = re.compile(r"install ['\"]?simplyload-playground")
    assert [path.name for path in texts if wrong.search(path.read_text(encoding="utf-8"))] == []


def test_plain_make_explains_itself() -> None:
    """`make` alone changes nothing and names the targets."""
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("demo", "setup", "test", "check", "bench", "clean"):
        assert f"make {target} " in done.stdout


def test_method_names_tests_that_exist() -> None:
    """Each test that docs/method/ names as the proof of a line is there, under that name."""
    pages = (ROOT / "docs" / "method").glob("*.md")
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"`(test_\w+)(?:\[[^`]*\])?`", text))
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 15
    assert named <= tests
