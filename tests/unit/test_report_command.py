"""`loadgen report`: which run, its output, and files that are in its way."""

import json
import os
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.report.folder import write_report
from tests.records import START, Made, write_run


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the configured folder of reports, in a temporary project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    return tmp_path / "reports"


def test_the_command_prints_the_path(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`loadgen report` reports the latest run and ends with the path of the page."""
    path = write_run(reports, Made(seconds=5))
    assert main(["report"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"report: {path / 'report.html'}"
    assert (path / "report.html").is_file()
    assert (path / "report.md").is_file()


def test_the_command_tells_programs_too(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` holds verdict, checks, totals and paths."""
    write_run(reports, Made(seconds=5), "first")
    write_run(reports, Made(seconds=5), "second")
    assert main(["report", "first", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["run_id"], told["kept_up"], told["sound"]) == ("first", True, True)
    assert told["operations"]["insert_order"] == {
        "asked": 50.0,
        "offered": 50,
        "committed": 50,
        "failed": 0,
        "skipped": 0,
        "unknown": 0,
        "gained": 50,
    }
    assert [check["level"] for check in told["checks"]] == ["good"] * 8
    assert all(Path(path).is_file() for path in [told["html"], told["markdown"], *told["charts"]])


def test_the_command_says_which_runs_there_are(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that is not there is exit 2 and one line."""
    write_run(reports, Made(seconds=2), "here")
    assert main(["report", "gone"]) == 2
    assert "no run 'gone'" in (error := capsys.readouterr().err)
    assert "there are here" in error


@pytest.mark.parametrize("name", ["charts", "report.md", "report.html"])
def test_what_is_in_the_way_is_named(
    name: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If something else is in the place of a part, the exit code is 2 and its path is named."""
    path = write_run(reports, Made(seconds=2))
    if name == "charts":
        (path / name).write_text("", encoding="utf-8")
    else:
        (path / name).mkdir()
    assert main(["report"]) == 2
    assert str(path / name) in capsys.readouterr().err


def test_matplotlib_gets_a_folder_that_it_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that is read-only, or a taken name, does not keep charts from being drawn."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    (tmp_path / f"loadgen-matplotlib-{os.getuid()}").write_text("in the way", encoding="utf-8")
    write_report(write_run(tmp_path / "reports", Made(seconds=2)), START)
    chosen = Path(os.environ["MPLCONFIGDIR"])
    assert chosen.is_dir()
    assert chosen.parent == tmp_path
