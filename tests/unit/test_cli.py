"""The `loadgen` command line: help, exit codes, errors in one line, and `loadgen plan`."""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from loadgen import __version__, cli
from loadgen.commands import plan, settings
from loadgen.config.settings import Settings
from loadgen.errors import CheckFailed, PlaygroundError, SettingsError
from tests.conftest import RunLoadgen, clean_environment

# The first 10,000 arrivals of seed 42 at the default rates. Another value here means that runs of
# one seed are not comparable across versions: never change it without saying so to users.
GOLDEN = {
    "jitter": "9775a188218e2f1fe7ebd7dff46adc96e61066925bce5b666e0ac370e156810e",
    "poisson": "5666cf06e7f57ba95374d72acc79d23bcf7c820c2f9044d564b2d46cacf4c06e",
    "even": "e540bfa9d779def28837b965d2f4064261ee4a711f512c8a8c92cdc7f15b53c8",
}
SLOW = ("faker", "gevent", "locust", "matplotlib", "jinja2")


@pytest.fixture
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the user who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def make_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Return a function that makes `loadgen settings` do something else."""

    def make(does: Callable[[], int]) -> None:
        monkeypatch.setattr(settings, "run", lambda _: does())

    return make


def raising(error: BaseException) -> Callable[[], int]:
    """Return a command that fails with `error`."""

    def fail() -> int:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SettingsError("SEED is bad"), 2, "loadgen: error: SEED is bad\n"),
        (SettingsError("A\nB"), 2, "loadgen: error: A\nloadgen: error: B\n"),
        (CheckFailed("two findings"), 1, "loadgen: error: two findings\n"),
        (PlaygroundError("no"), 2, "loadgen: error: no\n"),
        (KeyboardInterrupt(), 130, "loadgen: interrupted\n"),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    make_command: Callable[[Callable[[], int]], None],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    """Expected errors go to stderr without a traceback; the exception class has the exit code."""
    make_command(raising(error))
    assert cli.main(["settings"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", said)


def test_a_mistake_of_the_code_keeps_its_traceback(
    make_command: Callable[[Callable[[], int]], None],
) -> None:
    """An error that no user can cause is not dressed up as one."""
    make_command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["settings"])


def test_a_commands_exit_code_is_the_processes(
    make_command: Callable[[Callable[[], int]], None],
) -> None:
    """`run` decides the exit code."""
    make_command(lambda: 3)
    assert cli.main(["settings"]) == 3


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["plan", "--no-such"], ["plan", "--count", "0"]]
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The parser reports the mistake, and nothing runs."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: loadgen" in captured.err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` says name and version."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"loadgen {__version__}\n"


def test_help_has_an_example_of_each_command() -> None:
    """A new user can copy a line for each command, and each of those lines can be parsed."""
    parser = cli.build_parser()
    shown = parser.format_help()
    for name, example in cli.COMMANDS.items():
        assert f"\n    {name} " in shown
        assert f"\n  {example}\n" in shown
        typed = example.partition(" && ")[0].split()[1:]
        assert parser.parse_args(typed).command == name


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_commands_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`loadgen COMMAND --help` describes the command and shows an example."""
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"examples?: .*loadgen {name}", shown)


def test_a_commands_help_keeps_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence begins with a capital, and Postgres and DATABASE_URL stay as they are written."""
    with pytest.raises(SystemExit):
        cli.main(["db", "up", "--help"])
    shown = capsys.readouterr().out
    assert "Start the embedded Postgres, or check the one at DATABASE_URL." in shown


def test_help_imports_nothing_slow(tmp_path: Path) -> None:
    """Charts, made-up names and Locust are imported by the command that needs them."""
    code = (
        "import sys; from loadgen import cli; cli.build_parser().format_help(); "
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    environment = clean_environment({"PYTHONPATH": str(Path(cli.__file__).parents[1])})
    # Coverage, which knows gevent, imports it in every process that it measures.
    environment = {k: v for k, v in environment.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """`loadgen plan | head -1` ends quietly."""
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen", "plan", "--count", "200000"],
        cwd=tmp_path,
        env=clean_environment({"PYTHONPATH": str(Path(cli.__file__).parents[1])}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the output of `loadgen plan ARGUMENTS…`."""
    assert cli.main(["plan", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize("kind", GOLDEN)
def test_a_plan_is_the_same_bytes_forever(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seed, rates and kind of arrivals decide every byte."""
    monkeypatch.setenv("ARRIVALS", kind)
    text = planned(capsys, "--seed", "42", "--count", "10000")
    assert hashlib.sha256(text.encode("ascii")).hexdigest() == GOLDEN[kind]


def test_a_plan_depends_on_no_process_or_locale(run_loadgen: RunLoadgen) -> None:
    """Another hash seed, locale or time zone changes nothing."""
    plain = run_loadgen("plan", "--seed", "42", "--count", "10000")
    surroundings = {"PYTHONHASHSEED": "7", "LANG": "tr_TR.UTF-8", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    other = run_loadgen("plan", "--seed", "42", "--count", "10000", env=surroundings)
    assert hashlib.sha256(plain.stdout.encode()).hexdigest() == GOLDEN["jitter"]
    assert other.stdout == plain.stdout
    assert (plain.stderr, other.stderr) == ("", "")


@pytest.mark.usefixtures("nothing_set")
def test_a_plan_is_in_order_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines are in order of time, and each operation's k run from 0 without a gap."""
    rows = [line.split("\t") for line in planned(capsys, "--count", "2000").splitlines()]
    assert len(rows) == 2000
    assert {len(row) for row in rows} == {4}
    assert all(float(a[2]) <= float(b[2]) for a, b in pairwise(rows))
    for operation in {row[0] for row in rows}:
        ks = [int(row[1]) for row in rows if row[0] == operation]
        assert ks == list(range(len(ks)))
    assert all(re.fullmatch("[0-9a-f]{16}", draw) for row in rows for draw in row[3:])


@pytest.mark.usefixtures("nothing_set")
def test_a_plan_as_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and text hold the same arrivals."""
    rows = [line.split("\t") for line in planned(capsys, "--count", "50").splitlines()]
    found = json.loads(planned(capsys, "--count", "50", "--json"))
    assert [
        [one["operation"], str(one["k"]), f"{one['due_seconds']:.6f}", one["draw"]] for one in found
    ] == rows


@pytest.mark.usefixtures("nothing_set")
def test_the_plans_seed_is_the_setting_unless_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--seed` comes before SEED, and other seeds make other plans."""
    monkeypatch.setenv("SEED", "42")
    by_setting = planned(capsys)
    assert planned(capsys, "--seed", "42") == by_setting
    assert planned(capsys, "--seed", "43") != by_setting


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize("seed", ["-1", "x", "", "9223372036854775808"])
def test_a_plans_bad_seed_is_refused(seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The seed is checked as the setting is."""
    assert cli.main(["plan", f"--seed={seed}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"loadgen: error: SEED is {seed!r} (command line): it must be ")


@pytest.mark.usefixtures("nothing_set")
def test_a_plan_of_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With all rates 0 no arrival would ever come, so the command is refused at once."""
    for name in ("ORDERS", "EVENTS", "STATUS_UPDATES", "SOFT_DELETES"):
        monkeypatch.setenv(f"{name}_PER_HOUR", "0")
    assert cli.main(["plan"]) == 2
    assert "all 0, so nothing ever falls due" in capsys.readouterr().err


def test_a_plans_count_is_a_whole_number() -> None:
    """Anything else is wrong usage."""
    parser = argparse.ArgumentParser()
    plan.add_parser(parser.add_subparsers())
    assert parser.parse_args(["plan", "--count", "7"]).count == 7
    for bad in ("0", "-1", "1.5", "abc", "", "٣"):
        with pytest.raises(SystemExit):
            parser.parse_args(["plan", f"--count={bad}"])


def test_the_console_script_is_the_same_command(tmp_path: Path) -> None:
    """`loadgen`, installed with the interpreter, is `python -m loadgen`."""
    script = Path(sys.executable).with_name("loadgen")
    done = subprocess.run(
        [script, "--version"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"loadgen {__version__}\n"


INTERRUPTED = """
import os, signal, sys, threading
from loadgen import cli
from loadgen.commands import settings
def run(_):
    try:
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])
        threading.Event().wait()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # as `timeout` does: twice
        print("cleaned up", flush=True)
        if "stuck" in sys.argv:
            threading.Event().wait()
settings.run = run
if "stuck" in sys.argv:
    cli._CLEAN_UP_SECONDS = 0.1
sys.exit(cli.main(["settings"]))
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", [("SIGTERM",), ("SIGHUP",), ("SIGINT",), ("SIGTERM", "stuck")])
def test_a_signal_lets_a_command_clean_up(how: tuple[str, ...], tmp_path: Path) -> None:
    """SIGTERM and SIGHUP end it as Ctrl-C does: it cleans up undisturbed, for a limited time."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *how],
        cwd=tmp_path,
        env=clean_environment(measured=False),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "cleaned up\n"), done.stderr
    assert done.stderr == ("" if "stuck" in how else "loadgen: interrupted\n")


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """Under nohup a closed terminal does not end a command."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from loadgen import cli\n"
        "from loadgen.commands import settings\n"
        "settings.run = lambda _: os.kill(os.getpid(), signal.SIGHUP) or 0\n"
        "sys.exit(cli.main(['settings']))"
    )
    environment = clean_environment(measured=False)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """It names every command; a command that did nothing is no success."""
    assert cli.main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert all(f"\n    {name} " in shown.err for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("reprot", "did you mean report?"),
        ("report --chekc", "did you mean --check?"),
        ("tools strat", "did you mean start?"),
        ("verify --drian-seconds=3", "did you mean --drain-seconds?"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str], typed: str, hint: str
) -> None:
    """Commands, options and actions alike."""
    with pytest.raises(SystemExit) as ended:
        cli.main(typed.split())
    assert ended.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(hint)


def test_a_word_like_no_other_gets_no_hint(capsys: pytest.CaptureFixture[str]) -> None:
    """A guess that is none would mislead."""
    with pytest.raises(SystemExit):
        cli.main(["xyzzy"])
    assert "did you mean" not in capsys.readouterr().err


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    """The script that is printed completes in a real bash."""
    made = subprocess.run(
        [sys.executable, "-m", "loadgen", "--print-completion", "bash"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    script = tmp_path / "completion.sh"
    script.write_text(made.stdout, encoding="utf-8")
    for words, expected in (
        ("loadgen rep", "report"),
        ("loadgen verify --drain-s", "--drain-seconds"),
    ):
        typed = f"COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}"
        ask = f'source "$1"; {typed}; _shtab_loadgen; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(
            ["bash", "-c", ask, "bash", script], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [expected]


def test_init_keeps_what_is_there(nothing_set: None, capsys: pytest.CaptureFixture[str]) -> None:
    """An edited file is never overwritten; the others are written."""
    Path("tools.example.toml").write_text("mine", encoding="utf-8")
    assert cli.main(["init"]) == 0
    assert Path("tools.example.toml").read_text(encoding="utf-8") == "mine"
    assert Path(".env.example").is_file()
    assert "tools.example.toml exists: kept" in capsys.readouterr().out
