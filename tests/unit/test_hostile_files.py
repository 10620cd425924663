"""Files that others may have written: whatever they hold, a command ends in its own words."""

import json
import re
import shutil
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.errors import EXIT_CODES
from tests.hostile import KILLED, READ_BY, RUN, WHOLES, make_project, perform, spoil

CASES = 4
LONGEST = 900  # characters of a line
_NOT_ASCII = re.compile(r"[^ -~\n\t]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with every file, none of them spoilt, and its costs."""
    folder = tmp_path_factory.mktemp("made")
    make_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RATE_CARDS_DIR", str(folder / "cards"))
        assert cli.main(["costs", "--run", RUN]) == 0
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the project, in which the commands run."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RATE_CARDS_DIR", str(folder / "cards"))
    return folder


def end(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Return a command's code; whatever it says is in its own words, without a cursor's moves."""
    capsys.readouterr()
    code, said = perform(command, folder)
    output, error = capsys.readouterr()
    error += said
    assert code in EXIT_CODES
    assert bool(error) >= (code == 2)
    for line in error.splitlines():
        assert line.startswith("loadgen: ")
        assert len(line) <= LONGEST
    for text in (output, error):
        assert not [one for one in _NOT_ASCII.findall(text) if not one.isprintable()]
    return code


def test_as_they_were_written_all_are_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the cases below would show nothing."""
    for command in {command for commands in READ_BY.values() for command in commands}:
        expected = 2 if command == "report --control" else 0  # with tools it is none
        assert end(command, project, capsys) == expected


@pytest.mark.filterwarnings("ignore::UserWarning")  # matplotlib's, of figures that are no figures
@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("name", READ_BY)
def test_no_file_can_end_a_command_in_a_traceback(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, case: int
) -> None:
    """No change of a file causes a traceback."""
    spoil(project / name, case)
    for command in READ_BY[name]:
        end(command, project, capsys)


@pytest.mark.parametrize("name", [name for name in READ_BY if not name.endswith(".csv")])
def test_no_file_is_too_odd_to_be_refused(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Empty, of another kind, nested 100,000 deep, a number of 5,000 digits, no UTF-8."""
    command = min(READ_BY[name], key=("report", "report --control", "costs").__contains__)
    for whole in WHOLES:
        (project / name).write_bytes(whole)
        end(command, project, capsys)


def short(value: object) -> str:
    """Return the name of a case."""
    return str(value)[:40]


DIGITS = "9" * 400
FAR = "0001-01-01T00:00:00+14:00"


@pytest.mark.parametrize(
    ("name", "key", "value", "command"),
    [
        (f"reports/{RUN}/run.json", "started_at", FAR, "costs"),
        (f"reports/{RUN}/run.json", "schedule_started_at", FAR, "report"),
        (f"reports/{RUN}/run.json", "ended_at", "9999-12-31T23:59:59-14:00", "compare"),
        (f"reports/{RUN}/run.json", "duration_seconds", int(DIGITS), "compare"),
        (f"reports/{RUN}/run.json", "seed", int(DIGITS), "report"),
        (f"reports/{RUN}/run.json", "settings", {"orders_per_hour": int(DIGITS)}, "report"),
        (f"reports/{RUN}/run.json", "run_id", "\ud800", "compare"),
        (f"reports/{RUN}/run.json", "journal", [5], "report"),
        (f"reports/{RUN}/verify.json", "tools", [], "compare"),
        (f"reports/{RUN}/verify.json", "tools", {"copy": 5}, "report"),
        (f"reports/{RUN}/verify.json", "tools", {"copy": {"tables": {}}}, "functions"),
        (f"reports/{RUN}/costs.json", "outlook", {"usage": 5}, "report"),
        (f"reports/{RUN}/costs.json", "outlook", {"snowflake": [5]}, "compare"),
        (f"reports/{RUN}/costs.json", "made_at", FAR, "compare"),
        (f"reports/{KILLED}/run.json", "plan", {"mix": 5}, "resume"),
        (f"reports/{KILLED}/run.json", "journal", None, "resume"),
        (f"reports/{KILLED}/position.json", "s", "soon", "resume"),
        (f"reports/{KILLED}/position.json", "elapsed", int(DIGITS), "resume"),
        (f"reports/{KILLED}/position.json", "processes", {"a": 5}, "resume"),
        (f"reports/{KILLED}/position.json", "latencies", [[]], "resume"),
    ],
    ids=short,
)
def test_a_value_that_none_of_ours_wrote_is_refused(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    key: str,
    value: object,
    command: str,
) -> None:
    """Of another shape, year or size; but for a text, which is shown by its numbers."""
    file = project / name
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {key: value}))
    assert end(command, project, capsys) == (0 if value == "\ud800" else 2)


@pytest.mark.parametrize(
    ("name", "line", "command"),
    [
        ("thresholds.toml", f"failed_share = {DIGITS}", "report"),
        ("thresholds.toml", "a = " + "[" * 50_000, "report"),
        ("decision.toml", f"[weights]\ncost = {DIGITS}", "report"),
        ("tools.toml", '[tools.copy]\n"a\\nright" = 1', "costs --expected"),
        ("decision.toml", '"a\\nloadgen: right" = 1', "report"),
        ("tools.toml", f"[tools.copy]\ninterval_seconds = {DIGITS}", "costs --expected"),
        ("cards/fivetran.toml", f"vendor = {DIGITS}", "costs --expected"),
        ("cards/fivetran.toml", "vendor = 1e999999", "costs --expected"),
        ("cards/aws.toml", "a = " + "[" * 50_000, "costs --infra"),
        (f"reports/{RUN}/usage.toml", f"[copy]\nsource = 'x'\ninserts = {DIGITS}", "costs"),
        (".env", f"SEED={DIGITS}", "settings"),
        (".env", "REPORTS_DIR=~nosuchuser/x", "settings"),
        (".env", f"REPORTS_DIR=/{DIGITS}", "report"),
        (".env", f"TOOLS_FILE=/{DIGITS}", "costs --expected"),
    ],
    ids=short,
)
def test_a_line_that_can_t_be_read_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, line: str, command: str
) -> None:
    """The refusal is one line that names the file or the setting."""
    (project / name).write_text(f"{line}\n")
    assert end(command, project, capsys) == 2
