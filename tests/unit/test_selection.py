"""How commands name a run and a tool: RUN or --run, and --tool, the same for all commands."""

import json
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.record.verify import Verification
from tests.records import VERIFIED_COPY, Made, write_run

COMMANDS = ("report", "costs", "compare")


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the reports of a project: a run of two tools, and a later one without any."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    reports = tmp_path / "reports"
    first = write_run(reports, Made(), "first")
    write_run(reports, Made(), "second")
    Path("tools.toml").write_text(
        '[tools.replication]\nkind = "postgres"\ndestination = "postgres"\nrunner = "replication"\n'
        '[tools.dlt]\nkind = "dlt"\ndestination = "duckdb"\nschema = "playground"\nrunner = "dlt"\n'
    )
    right = VERIFIED_COPY.model_copy(update={"verdict": "right"})
    Verification(tools={"replication": right, "dlt": VERIFIED_COPY}).write(first)
    return reports


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_is_named_in_either_way(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest one without a name."""
    shown = {}
    for arguments in ((), ("first",), ("--run", "first"), ("--run", "latest"), ("second",)):
        assert main([command, *arguments]) == 0
        shown[arguments] = capsys.readouterr().out
    assert shown["first",] == shown["--run", "first"]
    assert shown["second",] == shown["--run", "latest"] == shown[()]
    assert shown["first",] != shown["second",]


@pytest.mark.parametrize("command", ["report", "costs"])
def test_two_different_runs_are_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither is silently ignored."""
    assert main([command, "first", "--run", "second"]) == 2
    assert "RUN is 'first' and --run is 'second'" in capsys.readouterr().err
    assert main([command, "first", "--run", "first"]) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_one_tool_is_shown(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The other one is not; a name that the run does not have is answered with the nearest."""
    assert main([command, "first", "--tool", "dlt"]) == 0
    shown = [
        line
        for line in capsys.readouterr().out.splitlines()
        if "reports" not in line  # paths
    ]
    assert any("dlt" in line for line in shown)
    assert not any("replication:" in line or line.startswith(" replication") for line in shown)
    assert main([command, "first", "--tool", "dtl"]) == 2
    assert "no tool 'dtl' in" in (error := capsys.readouterr().err)
    assert "dlt" in error


def test_files_keep_all_tools(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--tool limits the output, not the files."""
    assert main(["costs", "first", "--tool", "dlt", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {line["tool"] for line in printed["lines"]} == {"dlt"}
    written = json.loads((reports / "first" / "costs.json").read_text())
    assert {"dlt", "replication"} <= {line["tool"] for line in written["lines"]}
    assert main(["report", "first", "--tool", "dlt", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["answer"]["tools"]) == {"dlt"}
    page = (reports / "first" / "report.html").read_text()
    assert "replication" in page


def test_compare_shows_one_tool_beside_the_control(capsys: pytest.CaptureFixture[str]) -> None:
    """A run without tools stays, since it is the control."""
    assert main(["compare", "first", "--run", "second", "--tool", "dlt", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["runs"]
    assert (set(first["tools"]), set(second["tools"])) == ({"dlt"}, set())
    assert (first["control"], second["control"]) == (False, True)
