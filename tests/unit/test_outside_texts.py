"""Texts that others chose: shown, never obeyed, by the terminal, by Markdown, by the page."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.commands.verify import print_outcomes
from loadgen.errors import PlaygroundError, one_line, printable
from loadgen.record.costs import Costs
from loadgen.record.folder import RunRecord
from loadgen.record.verify import Finding, TableOutcome, Verification
from loadgen.report.folder import write_report
from loadgen.report.markdown import escaped
from loadgen.terminal import guarded_output
from loadgen.verify.outcome import ToolOutcome
from tests.conftest import clean_environment
from tests.hostile import CONTROL, FORGED, RUN, make_project
from tests.records import START, VERIFIED_COPY, Made, update, write_run

# Characters that move a cursor, hide text or turn its direction.
DANGERS = ["\x1b[2J", "\x9b2K", "\r", "\b", "\x07", "\u202e", "\u2066", "\u2028", "\x85", "\ud800"]


def plain(text: str) -> bool:
    """Tell whether the text does nothing but break lines."""
    return all(one.isprintable() or one == "\n" for one in text)


@pytest.mark.parametrize("danger", DANGERS)
def test_a_text_from_outside_is_one_line(danger: str) -> None:
    """Its odd characters are shown by their numbers, in JSON's own form."""
    shown = printable(f"a{danger}b\nright")
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == f"a{danger}b\nright"
    assert one_line(f"a{danger}b\nright").isprintable()
    assert printable("an 'é', a 日 and a ☃") == "an 'é', a 日 and a ☃"


@pytest.mark.parametrize("danger", DANGERS)
def test_the_terminal_obeys_no_text(danger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """This holds for stdout and stderr; our own line breaks stay."""
    with guarded_output():
        print(f"a{danger}b\nc")  # noqa: T201 - as a command does
        sys.stderr.writelines([f"a{danger}b\n", "c\n"])
    for text in capsys.readouterr():
        assert plain(text)
        assert text.splitlines()[1] == "c"


def test_no_copy_forges_a_verdict_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A key, a column or a problem is on one line, whatever the copy put into it."""
    forged = "5\nother: right, 9 rows of 3 tables in 0.1 s\x1b[8m"
    found = Finding("orders", forged, forged, "differs", forged, forged)
    outcome = ToolOutcome(
        tables={"orders": TableOutcome(5, 5)},
        totals={"differs": 1},
        findings=[found],
        problems=[f"column {forged} is not there"],
    )
    print_outcomes({"copy": outcome})
    said = capsys.readouterr().out
    assert plain(said)
    assert not [line for line in said.splitlines() if line.startswith("other: right")]


@pytest.mark.parametrize(
    "text", ["# right", "## right", "- right", "1. right", "| a | b |", "<b>x</b>", "x\n\n# right"]
)
def test_markdown_takes_a_text_for_text(text: str) -> None:
    """No heading, list, table or tag of others."""
    shown = escaped(text)
    assert "\n" not in shown
    assert not shown.startswith(("# ", "## ", "- ", "1. ", "| "))
    assert "<b>" not in shown
    assert escaped("-5%") == "-5%"
    assert escaped("<0.01%") == "<0.01%"


def test_no_record_forges_a_report(tmp_path: Path) -> None:
    """Names, keys and texts of a record are cells of their tables, and no address is a script's."""
    path = write_run(tmp_path, Made(seconds=10))
    record = RunRecord.open(path)
    finding = replace(VERIFIED_COPY.findings[0], key=FORGED, column=FORGED, source=FORGED)
    tool = VERIFIED_COPY.model_copy(update={"findings": (finding,), "problems": (FORGED,)})
    name = "# right\n\n# all right"
    Verification(tools={name: tool}).write(path)
    settings = json.loads((path / "run.json").read_text())["settings"]
    update(
        record,
        settings=settings | {"grafana_url": "javascript:alert(1)", "arrivals": FORGED},
        invalid_reason=FORGED,
        together=[name],
    )
    report = write_report(path, START).report
    for text in (report.html, report.markdown, (path / "RESULTS.md").read_text()):
        assert plain(text)
        assert "javascript:" not in text
    first, *headings = [line for line in report.markdown.splitlines() if line.startswith("#")]
    assert first.startswith("# Do not take # right\\\\u000a")
    assert not [line for line in headings if "all right" in line or line == "# right"]


def test_what_json_can_t_hold_is_kept_as_json_writes_it(tmp_path: Path) -> None:
    """A lone surrogate, as a JSON document of a copy may have, is no reason to lose a record."""
    path = write_run(tmp_path, Made(seconds=5))
    record = RunRecord.open(path)
    record.journal("note", START, text="\ud800")
    tool = VERIFIED_COPY.model_copy(update={"problems": ("\ud800",)})
    Verification(tools={"copy": tool}).write(path)
    assert Verification.of(path).tools["copy"].problems == ("\\ud800",)
    assert RunRecord.open(path).path == path


def test_an_error_is_short_whatever_it_quotes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An argument or a name of a megabyte is shown by its begin and its end."""
    monkeypatch.chdir(tmp_path)
    long = "x" * 100_000
    for arguments in (["report", long], ["plan", "--count", "9" * 100_000], ["plan", f"--{long}"]):
        try:
            code = cli.main(arguments)
        except SystemExit as exc:
            code = int(str(exc.code))
        assert code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        assert len(lines) == 1
        assert len(lines[0]) < 900


def test_each_line_of_an_error_says_that_it_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """This includes a line inside the text that the error quotes."""

    def fail(_: object) -> int:
        raise PlaygroundError("no table 'a\x1b[1A\ncopy: right'")

    monkeypatch.setattr("loadgen.commands.plan.run", fail)
    assert cli.main(["plan"]) == 2
    said = capsys.readouterr().err
    assert plain(said)
    assert all(line.startswith("loadgen: error: ") for line in said.splitlines())


class _Answering(BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        """Answer as no load does."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    "body",
    [
        b"5",
        b"{}",
        b"[" * 100_000,
        b'{"state": 5, "run_id": 5}',
        b'{"state": "running", "run_id": "a", "profile": "b", "applied_by": "", "operations": [5]}',
        b'{"state": "paused", "reason": "x\\u001b[2J\\nright"}',
    ],
)
def test_whatever_answers_for_a_load_is_shown_or_refused(
    body: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may be anybody's server: one line says that it is none of ours."""
    monkeypatch.chdir(tmp_path)
    handler = type("Answering", (_Answering,), {"body": body})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert cli.main(["rates", "--url", f"http://127.0.0.1:{server.server_port}"]) == 2
        thread.join()
    said = capsys.readouterr()
    assert said.out == ""
    assert plain(said.err)
    assert len(said.err.splitlines()) == 1


def test_a_password_in_the_address_of_a_load_is_not_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the setting and from the command line: a load has a token, and no login."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOAD_URL", "http://me:hunter2@127.0.0.1:1")
    for arguments in (["rates"], ["pause", "--url", "http://me:hunter2@127.0.0.1:9"], ["settings"]):
        code = cli.main(arguments)
        said = capsys.readouterr()
        assert code == (0 if arguments == ["settings"] else 2)
        assert "hunter2" not in said.out + said.err
        assert "********@127.0.0.1" in said.out + said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", RUN, CONTROL, "--anyway"],
        ["costs", "--run", RUN],
        ["costs", "--expected"],
        ["report", RUN],
        ["settings"],
        ["--help"],
    ],
)
def test_an_output_in_ascii_ends_no_command(arguments: list[str], project_of_files: Path) -> None:
    """A character that its encoding lacks becomes a question mark."""
    command = [sys.executable, "-m", "loadgen", *arguments]
    environment = clean_environment({"PYTHONIOENCODING": "ascii", "MPLCONFIGDIR": "/tmp"})
    done = subprocess.run(
        command, env=environment, cwd=project_of_files, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()


@pytest.fixture(scope="module")
def project_of_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a run, a control and tools, whose names are no ASCII."""
    folder = tmp_path_factory.mktemp("ascii")
    make_project(folder)
    (folder / ".env").write_text("AWS_PROFILE=größe\n")
    return folder


def test_files_of_ours_are_nobody_else_s(project_of_files: Path) -> None:
    """Records, reports and prices are private whatever the umask of the command."""
    command = [sys.executable, "-m", "loadgen", "report", CONTROL]
    former = os.umask(0)
    try:
        subprocess.run(
            command, env=clean_environment(), cwd=project_of_files, capture_output=True, check=True
        )
    finally:
        os.umask(former)
    path = project_of_files / "reports" / CONTROL
    assert Costs.of(path)
    for file in (path / "costs.json", path / "report.html", path / "charts" / "rates.svg"):
        assert file.stat().st_mode & 0o777 == 0o600
    assert (path / "charts").stat().st_mode & 0o777 == 0o700
