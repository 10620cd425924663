"""The demo's way with its steps: each is shown, run to its end, and Ctrl-C is passed on."""

import json
import re
import shlex
import socket
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.commands import demo
from loadgen.commands.init import LOCUSTFILE
from loadgen.config.settings import load_settings
from loadgen.tools.runners import own_venv, rivet
from loadgen.tools.tools_file import load_tools
from tests.pseudo_terminal import shown_in, terminal


def step(code: str, *, checks: bool = False) -> demo.DemoStep:
    """Return a step that runs Python code."""
    return demo.DemoStep(f"run {code}", [sys.executable, "-c", code], checks=checks)


def test_steps_are_shown_and_failed_checks_do_not_end_the_demo(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Failed checks are no reason to withhold the report; the exit code remembers them."""
    assert demo.perform([step("raise SystemExit(1)", checks=True), step("print('last')")]) == 1
    assert capfd.readouterr().out.splitlines() == [
        "",
        "$ run raise SystemExit(1)",
        "",
        "$ run print('last')",
        "last",
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise SystemExit(1)", 1),
        ("raise SystemExit(2)", 2),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_what_cannot_go_on_ends_the_demo(
    code: str, expected: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Any other failure ends it with that code and names the command."""
    assert demo.perform([step(code), step("print('last')")]) == expected
    shown = capfd.readouterr()
    assert "$ run print('last')" not in shown.out
    assert f"ended with exit code {expected}" in shown.err


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_request_to_end_is_passed_on_once(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The step ends in its own way, and nothing comes after it."""
    code = (
        "import os, signal\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.{name}}})\n"
        f"os.kill(os.getppid(), signal.{name})\n"
        f"signal.sigwait({{signal.{name}}})\n"
        "print('drained', signal.sigpending())"
    )
    assert demo.perform([step(code), step("print('last')")]) == 130
    shown = capfd.readouterr()
    assert shown.out.splitlines()[-1] == "drained set()"
    assert shown.err == "demo: interrupted; completed steps stay\n"


def test_the_package_s_locustfile_is_used_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without a locustfile is enough; in a checkout Locust finds its own."""
    monkeypatch.chdir(tmp_path)
    elsewhere = demo.locust(load_settings(), 5)
    assert elsewhere.command[3:5] == ["-f", str(LOCUSTFILE)]
    assert LOCUSTFILE.is_file()
    Path("locustfile.py").touch()
    assert "-f" not in demo.locust(load_settings(), 5).command


def test_rivet_runs_only_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the demo has the same other tools, with the same entries."""
    monkeypatch.chdir(tmp_path)
    assert demo.tools_file() == demo._TOOLS
    files = [tomllib.loads(file.read_text()) for file in (demo._TOOLS, demo._TOOLS_AND_RIVET)]
    without, with_rivet = (file["tools"] for file in files)
    assert with_rivet.keys() - without.keys() == {demo._RIVET}
    assert without.items() <= with_rivet.items()
    folder = tmp_path / ".loadgen" / "tools" / demo._RIVET / own_venv.FOLDER
    folder.mkdir(parents=True)
    (folder / own_venv._INSTALLED).write_text(json.dumps(list(rivet.PACKAGES)))
    assert demo.tools_file() == demo._TOOLS_AND_RIVET


def test_what_is_installed_is_not_what_an_earlier_demo_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool whose state or copy is there has to be removed first."""
    monkeypatch.chdir(tmp_path)
    (tool, *_) = load_tools(load_settings({"tools_file": demo._TOOLS_AND_RIVET}))
    assert not demo._is_left(tool)
    (tool.folder / own_venv.FOLDER).mkdir(parents=True)
    (tool.folder / own_venv.LOCK).touch()
    assert not demo._is_left(tool)
    (tool.folder / "syncs.jsonl").touch()
    assert demo._is_left(tool)


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "1.5", ""])
def test_seconds_is_a_whole_number(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is wrong usage."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", f"--seconds={seconds}"])
    assert ended.value.code == 2
    assert (
        f"--seconds: {seconds!r} must be a whole number from 1 to 1000000000"
        in capsys.readouterr().err
    )


def test_a_taken_metrics_port_is_replaced_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the usual port is taken, the demo uses a free one and shows it in the command."""
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        blocked = demo.locust(load_settings({"metrics_port": port}), 5)
    free = demo.locust(load_settings({"metrics_port": port}), 5)
    chosen = blocked.environment["METRICS_PORT"]
    assert chosen != str(port)
    assert blocked.shown.startswith(f"METRICS_PORT={chosen} ")
    assert "METRICS_PORT" not in free.environment
    assert " --headless -u 8 -t 5s " in free.shown


@pytest.mark.parametrize(
    ("checkout", "active", "begin"),
    [
        (False, False, 'Next: `locust -f "$(loadgen locustfile)"` '),
        (True, True, "Next: `locust` "),
        (True, False, "Next: `source .venv/bin/activate`, then `locust` "),
    ],
)
def test_the_next_steps_suit_the_folder(
    checkout: bool,
    active: bool,
    begin: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only a checkout whose environment is not active has one to activate."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    if checkout:
        (tmp_path / "locustfile.py").touch()
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "activate").touch()
    if active:
        monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / ".venv"))
    demo._print_next_steps()
    assert capsys.readouterr().out.splitlines()[1].startswith(begin)


def test_a_step_that_takes_long_shows_its_time(capfd: pytest.CaptureFixture[str]) -> None:
    """But not one whose own output has to be the last."""
    slow = step("import time; time.sleep(1.2)")
    assert demo.perform([slow, replace(slow, timed=False)]) == 0
    (took,) = [line for line in capfd.readouterr().out.splitlines() if line[:4] == "took"]
    assert re.fullmatch(r"took \d+ s", took)


def test_a_long_command_is_shown_in_lines_that_can_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shell joins them again; a quoted space is not taken for a gap."""
    shown = (
        f"TOOLS_FILE='my tools/demo.toml' loadgen {' '.join(f'--option-{n}=1' for n in range(9))}"
    )
    with terminal(monkeypatch, 80) as theirs:
        demo._print_command(demo.DemoStep(shown, []))
        lines = shown_in(theirs).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.endswith(" \\") for line in lines[1:-1])
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == ["$", *shlex.split(shown)]
