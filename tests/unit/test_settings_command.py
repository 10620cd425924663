"""`loadgen settings`: each value and its source, without secrets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.config.settings import MASK, Settings


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the .env file or the settings of the user who runs it."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_each_setting_is_a_line_with_value_and_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line has name, value and origin, in the order of the documents."""
    Path(".env").write_text("PROFILE=ramp\n")
    monkeypatch.setenv("SEED", "9")
    assert cli.main(["settings"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = [row[0] for row in rows if row and row[0].upper() == row[0] and row[0].isidentifier()]
    assert names == [name.upper() for name in Settings.model_fields]
    assert ["SEED", "9", "environment"] in rows
    assert ["PROFILE", "ramp", ".env"] in rows
    assert ["ORDERS_PER_HOUR", "50", "default"] in rows
    assert ["DATABASE_URL", "not", "set", "default"] in rows


def test_json_holds_typed_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--json is for programs: numbers are numbers, and unset values are null."""
    monkeypatch.setenv("SEED", "9")
    assert cli.main(["settings", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["SEED"] == {"value": 9, "origin": "environment"}
    assert shown["HOT_USERS"] == {"value": None, "origin": "default"}


@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@db:5432/app",
        "postgresql://me@db:5432/app?password=hunter2",
        "host=db port=5432 dbname=app user=me password=hunter2",
    ],
)
def test_of_the_address_all_is_shown_but_the_password(
    url: str,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Enough to know which database it is, never enough to log in."""
    monkeypatch.setenv("DATABASE_URL", url)
    assert cli.main(["settings", *flags]) == 0
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert "@db:5432/app" in shown


def test_a_typo_in_dotenv_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt setting is reported with the likely name; other names are ignored."""
    Path(".env").write_text("ORDERS_PER_HUOR=9\nUNRELATED=1\n")
    assert cli.main(["settings"]) == 0
    assert capsys.readouterr().err == (
        "loadgen: warning: .env has ORDERS_PER_HUOR, which is no setting: "
        "did you mean ORDERS_PER_HOUR?\n"
    )


def test_every_bad_value_has_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and all that has to be corrected at once."""
    monkeypatch.setenv("SEED", "x")
    monkeypatch.setenv("INITIAL_USERS", "0")
    assert cli.main(["settings"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" is ")[0] for line in lines] == [
        "loadgen: error: INITIAL_USERS",
        "loadgen: error: SEED",
    ]


def test_output_that_nobody_reads_is_no_error() -> None:
    """If the pipe closes before the first byte, the flush fails, and that is no error."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "loadgen", "settings"],
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_address_that_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port out of range is found here, not at the first connection; no secret is shown."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db:99999/app")
    assert cli.main(["settings"]) == 2
    err = capsys.readouterr().err
    assert "a port from 1 to 65535" in err
    assert "hunter2" not in err


def test_a_line_of_env_that_cannot_be_read_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that can't be read may matter, so its number is reported."""
    Path(".env").write_text("SEED=9\n\nORDERS_PER_HOUR: 50\n= 3\n")
    assert cli.main(["settings"]) == 2
    assert ".env, line 3, 4: can't be read; write NAME=value" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_passphrase_is_not_shown(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only that there is one."""
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "hunter2")
    assert cli.main(["settings", *flags]) == 0
    said = capsys.readouterr().out
    assert "hunter2" not in said
    assert MASK in said
