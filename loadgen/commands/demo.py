"""`loadgen demo`: all steps from an empty folder to a report, each a command that a user can type.

It shows each command, runs it, and stops if one fails.
"""

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Final

from loadgen.commands.init import LOCUSTFILE
from loadgen.commands.numbers import whole
from loadgen.config.settings import Settings, load_settings
from loadgen.errors import first_exit_code
from loadgen.network import free_port, listen_error
from loadgen.orphans import Children, ended_with_us
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect
from loadgen.source.schema import seed_state
from loadgen.terminal import print_wrapped, terminal_width
from loadgen.text import duration
from loadgen.tools.runners import own_venv, rivet
from loadgen.tools.tools_file import Tool, load_tools, select_tools

SECONDS: Final = 60
# Thirty-five writes a second, enough for a minute; but only three soft deletes, so that sixty demos
# can run before a fifth of a thousand users is deleted.
RATES: Final = {
    "orders": 36_000,
    "events": 72_000,
    "status-updates": 18_000,
    "soft-deletes": 180,
}
# The cases in which the tools differ, at rates that show it within a minute.
CASES: Final = "hard_deletes,late_commits"
_CASE_RATES: Final = {
    "HARD_DELETES_PER_HOUR": "900",
    "LATE_COMMITS_PER_HOUR": "900",
    "HARD_CASE_SECONDS": "12",
}
_TOOLS: Final = Path(__file__).with_name("demo.toml")
_TOOLS_AND_RIVET: Final = Path(__file__).with_name("demo_with_rivet.toml")
_RIVET: Final = "demo-rivet"
_DECISION: Final = Path(__file__).with_name("demo_decision.toml")
_FIRST_COPY_SECONDS: Final = 120
_SENTINEL_SECONDS: Final = 60
_WATCH_SECONDS: Final = 30.0  # for the watch to end

# Exit codes of a command that was completed and found something wrong.
_CHECKS_FAILED: Final = (1, 3, 4, 5)
_EXAMPLE: Final = "example: loadgen demo --seconds 20"
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED: Final = 130
_WORTH_SHOWING: Final = 1.0  # second that a step took
# Words of a command, with quoted spaces; an option stays with its value.
_WORDS: Final = re.compile(r"(?:--?[\w-]+ (?=[^-\s]))?(?:[^\s']|'[^']*')+")
_CONTINUED: Final = " \\"  # the end of a line that continues


@dataclass(frozen=True, slots=True)
class DemoStep:
    """One command, as shown and as run, with additional variables of its environment.

    A step that `checks` may end with 1, 3, 4 or 5: it was completed and found something wrong.
    The time of a step is shown after it unless its own output has to be the last.
    """

    shown: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    checks: bool = False
    timed: bool = True


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "demo",
        help="run what `make demo` runs: Postgres, three tools, a minute of load, a report",
        description="Starts the embedded Postgres, seeds it, starts three local tools that copy "
        "it (and rivet, if it is installed for the demo), runs a short headless Locust load with "
        "hard deletes and late commits, validates the "
        "source, verifies the copies, removes the tools, prices the run and writes the report. Its "
        "answer comes last. Each command is shown before it runs, and then the time that it took.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "--seconds",
        type=whole,
        default=SECONDS,
        metavar="N",
        help="length of load (default: 60)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the steps; return 0 or the exit code of the first failure."""
    settings = load_settings()
    code = perform([_loadgen("db", "up")])
    if code == 0 and not _is_seeded(settings):
        code = perform([_loadgen("seed")])
    if code:
        return code
    with _tools() as (environment, children):
        code = _load(settings, args.seconds, environment, children)
    if code not in (0, *_CHECKS_FAILED):
        return code
    costs = _loadgen("costs", environment=environment)
    if failed := perform([costs]):
        return failed
    _print_next_steps()
    report = _loadgen(
        "report", environment={**environment, "DECISION_FILE": _shown_path(_DECISION)}
    )
    return perform([replace(report, timed=False)]) or code


def _load(
    settings: Settings, seconds: int, environment: Mapping[str, str], children: Children
) -> int:
    """Run the load while the tools copy, and check the source and the copies."""
    start = ("tools", "start", "--wait", str(_FIRST_COPY_SECONDS))
    code = perform([_loadgen(*start, environment=environment)], children)
    if code:
        return code
    load = locust(settings, seconds)
    port = {name: text for name, text in load.environment.items() if name == "METRICS_PORT"}
    with _watching(settings, {**environment, **port}, children):
        load_code = perform([load, _loadgen("validate", checks=True)], children)
        if load_code not in (0, *_CHECKS_FAILED):
            return load_code
        drain = ("verify", "--drain", "--drain-seconds", str(_SENTINEL_SECONDS))
        # Its findings are what the demo shows, so they do not count as a failure.
        code = perform([_loadgen(*drain, checks=True, environment=environment)], children)
    return code if code not in (0, *_CHECKS_FAILED) else load_code


def tools_file() -> Path:
    """Return the file of the demo's tools: with rivet if it is installed for the demo."""
    (tool,) = select_tools(load_tools(load_settings({"tools_file": _TOOLS_AND_RIVET})), _RIVET)
    return _TOOLS_AND_RIVET if own_venv.is_installed(tool, rivet.PACKAGES) else _TOOLS


def _is_left(tool: Tool) -> bool:
    """Return whether a tool's folder has more than what was installed there."""
    return any(path.name not in {own_venv.FOLDER, own_venv.LOCK} for path in tool.folder.glob("*"))


@contextmanager
def _tools() -> Iterator[tuple[dict[str, str], Children]]:
    """Yield the variable that names the demo's tools; at the end remove them and their slots.

    If the demo is killed, another process removes them and ends the running steps.
    """
    file = tools_file()
    environment = {"TOOLS_FILE": _shown_path(file)}
    remove = _loadgen("tools", "remove", environment=environment)
    if any(map(_is_left, load_tools(load_settings({"tools_file": file})))):
        perform([remove])  # left by an earlier demo
    with ended_with_us(remove.command, environment) as children:
        try:
            yield environment, children
        finally:
            perform([remove], children)


@contextmanager
def _watching(
    settings: Settings, environment: Mapping[str, str], children: Children
) -> Iterator[None]:
    """Run a watch in the background that writes a marker every two seconds."""
    host = settings.metrics_host
    variables = {**environment, "MARKER_INTERVAL_SECONDS": "2"}
    if listen_error(host, settings.watch_port):
        variables["WATCH_PORT"] = str(free_port(host))
    step = _loadgen("watch", "--interval", "2", environment=variables)
    _print_command(step, " &")
    with subprocess.Popen(  # noqa: S603 - our own command
        step.command,
        env={**os.environ, **step.environment},
        stdin=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        children.began(process)
        try:
            yield
        finally:
            print("\nThe demo now interrupts the watch.", flush=True)
            process.terminate()
            try:
                process.wait(_WATCH_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            children.ended(process)


def _shown_path(path: Path) -> str:
    """Return the path as a user would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _loadgen(
    *arguments: str, checks: bool = False, environment: Mapping[str, str] | None = None
) -> DemoStep:
    command, variables = [sys.executable, "-m", "loadgen", *arguments], environment or {}
    return DemoStep(_shown(variables, "loadgen", *arguments), command, variables, checks=checks)


def _shown(environment: Mapping[str, str], *command: str) -> str:
    variables = [f"{name}={shlex.quote(text)}" for name, text in environment.items()]
    return " ".join([*variables, shlex.join(command)])


def locust(settings: Settings, seconds: int) -> DemoStep:
    """Return Locust's command, with a free METRICS_PORT if the configured one is taken."""
    elsewhere = not Path("locustfile.py").is_file()
    arguments = ["-f", str(LOCUSTFILE)] if elsewhere else []
    arguments += ["--headless", "-u", "8", "-t", f"{seconds}s"]
    for name, rate in RATES.items():
        arguments += [f"--{name}-per-hour", str(rate)]
    arguments.append(f"--hard-cases={CASES}")
    taken = listen_error(settings.metrics_host, settings.metrics_port)
    port = {"METRICS_PORT": str(free_port(settings.metrics_host))} if taken else {}
    environment = {**port, **_CASE_RATES}
    return DemoStep(
        _shown(environment, "locust", *arguments),
        [sys.executable, "-m", "locust", *arguments],
        environment,
        checks=True,
    )


def _is_seeded(settings: Settings) -> bool:
    """Return whether there is a complete baseline, whatever its parameters."""
    with connect(source_dsn(settings)) as conn:
        state = seed_state(conn)
    return state is not None and state.complete


def perform(steps: Sequence[DemoStep], children: Children | None = None) -> int:
    """Run the steps in order up to the first failure; failed checks only set the exit code."""
    codes = []
    for step in steps:
        _print_command(step)
        began = monotonic()
        code = _run(step, children)
        if step.timed and (seconds := monotonic() - began) >= _WORTH_SHOWING:
            print(f"took {duration(round(seconds))}", flush=True)
        if code == _INTERRUPTED:
            print("demo: interrupted; completed steps stay", file=sys.stderr)
            return code
        if code != 0 and not (step.checks and code in _CHECKS_FAILED):
            print(f"demo: stopped: `{step.shown}` ended with exit code {code}", file=sys.stderr)
            return code
        codes.append(code)
    return first_exit_code(codes)


def _print_command(step: DemoStep, end: str = "") -> None:
    """Print a step's command; on a terminal that is too narrow in lines that can be copied."""
    line, width = f"$ {step.shown}{end}", terminal_width(sys.stdout)
    if width is not None and len(line) > width:
        words = _WORDS.findall(line)
        lines = [words[0]]
        for word in words[1:]:
            if len(lines[-1]) + len(word) + len(" ") > width - len(_CONTINUED):
                lines.append(f"   {word}")
            else:
                lines[-1] += f" {word}"
        line = f"{_CONTINUED}\n".join(lines)
    print(f"\n{line}", flush=True)


def _run(step: DemoStep, children: Children | None) -> int:
    """Run a step to its end and forward each signal to it once, so that it can end cleanly.

    The step has its own process group: otherwise it would receive a terminal's Ctrl-C twice, and a
    second Ctrl-C makes Locust end at once.
    """
    with _relayed_signals() as relay:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            step.command,
            env={**os.environ, **step.environment},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        relay.start(process)
        if children is not None:
            children.began(process)
        code = process.wait()
        if children is not None:
            children.ended(process)
    if relay.caught:
        return _INTERRUPTED
    return code if code >= 0 else 128 - code


@dataclass(slots=True)
class _SignalRelay:
    """Forwards signals that end us to the process, as soon as there is one."""

    caught: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        for number in self.caught:
            process.send_signal(number)

    def __call__(self, number: int, _: FrameType | None) -> None:
        self.caught.append(number)
        if self.process is not None:
            self.process.send_signal(number)


@contextmanager
def _relayed_signals() -> Iterator[_SignalRelay]:
    relay = _SignalRelay()
    relayed = [number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, relay) for number in relayed}
    try:
        yield relay
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _print_next_steps() -> None:
    """Print what can be done next; the report's answer, which follows, is the last thing shown."""
    activate = Path(".venv", "bin", "activate")
    is_checkout = Path("locustfile.py").is_file() and activate.is_file()
    begin = f"`source {activate}`, then " if is_checkout and "VIRTUAL_ENV" not in os.environ else ""
    load = "locust" if Path("locustfile.py").is_file() else 'locust -f "$(loadgen locustfile)"'
    print_wrapped(
        f"\nNext: {begin}`{load}` for its page, `loadgen --help` for all commands.\n"
        "The database keeps running until `loadgen db down`."
    )
