"""`loadgen demo`: the main job from nothing to a report, each step a command as typed.

It decides nothing itself: it shows a command, runs it, and stops where one can't go on.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from loadgen.commands.locustfile import LOCUSTFILE
from loadgen.commands.numbers import whole
from loadgen.config.settings import Settings, load_settings
from loadgen.errors import first_exit_code
from loadgen.orphans import Children, ended_with_us
from loadgen.proxies import free_port, listen_error
from loadgen.record.reader import find_run
from loadgen.report.analysis.compare import summary_of
from loadgen.source.embedded.server import source_dsn
from loadgen.source.postgres import connect
from loadgen.source.schema import seed_state
from loadgen.tools.tools_file import load_tools

SECONDS: Final = 60
# Rates at which a minute shows something, thirty-five writes a second; but three soft deletes, so
# that sixty demos pass before a fifth of a thousand users is gone.
RATES: Final = {
    "orders": 36_000,
    "events": 72_000,
    "status-updates": 18_000,
    "soft-deletes": 180,
}
# Where the two tools differ, often enough to show in a minute.
CASES: Final = "hard_deletes,late_commits"
_CASE_RATES: Final = {
    "HARD_DELETES_PER_HOUR": "900",
    "LATE_COMMITS_PER_HOUR": "900",
    "HARD_CASE_SECONDS": "12",
}
_TOOLS: Final = Path(__file__).with_name("demo.toml")
_FIRST_COPY_SECONDS: Final = 120
_SENTINEL_SECONDS: Final = 60
_WATCH_SECONDS: Final = 30.0  # for the watch to end

# It ran to its end, and something was wrong: invalid, a threshold, the generator, paused.
_CHECKS_FAILED: Final = (1, 3, 4, 5)
_EXAMPLE: Final = "example: loadgen demo --seconds 20"
_STOPS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class Step:
    """One command: as it is shown, as it is run, and what its environment has besides.

    One that `checks` may end with 1, 3, 4 or 5, since it ran to its end and found something wrong.
    """

    shown: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    checks: bool = False


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "demo",
        help="what `make demo` runs: Postgres, two tools, a minute of load, checks, a report",
        description="Starts the embedded Postgres, seeds it, starts two local tools that copy it, "
        "runs a short headless Locust load with hard deletes and late commits, validates the "
        "source, verifies the copies and writes the report. The tools are removed in the end. Each "
        "command is shown before it runs.",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        "--seconds", type=whole, default=SECONDS, metavar="N", help="of load (default: 60)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the steps; 0, or the exit code of what went wrong."""
    settings = load_settings()
    code = perform([_loadgen("db", "up")])
    if code == 0 and not _is_seeded(settings):
        code = perform([_loadgen("seed")])
    if code:
        return code
    with _tools() as (environment, children):
        code = _load(settings, args.seconds, environment, children)
    if code in (0, *_CHECKS_FAILED):
        _say_goodbye(settings)
    return code


def _load(
    settings: Settings, seconds: int, environment: Mapping[str, str], children: Children
) -> int:
    """Run the load beside the tools, check the source and the copies, and report."""
    start = ("tools", "start", "--wait", str(_FIRST_COPY_SECONDS))
    code = perform([_loadgen(*start, environment=environment)], children)
    if code:
        return code
    load = locust(settings, seconds)
    port = {name: value for name, value in load.environment.items() if name == "METRICS_PORT"}
    with _watching(settings, {**environment, **port}, children):
        found = perform([load, _loadgen("validate", checks=True)], children)
        if found not in (0, *_CHECKS_FAILED):
            return found
        drain = ("verify", "--drain", "--drain-seconds", str(_SENTINEL_SECONDS))
        # What it finds is what the demo is to show.
        code = perform([_loadgen(*drain, checks=True, environment=environment)], children)
    if code not in (0, *_CHECKS_FAILED):
        return code
    return perform([_loadgen("costs"), _loadgen("report")], children) or found


@contextmanager
def _tools() -> Iterator[tuple[dict[str, str], Children]]:
    """Yield what leads to the demo's tools; they and their slots are removed in the end.

    They are, and the steps that run are ended, where the demo is killed too.
    """
    here = _TOOLS.is_relative_to(Path.cwd())
    environment = {"TOOLS_FILE": str(_TOOLS.relative_to(Path.cwd()) if here else _TOOLS)}
    remove = _loadgen("tools", "remove", environment=environment)
    if any(tool.folder.exists() for tool in load_tools(load_settings({"tools_file": _TOOLS}))):
        perform([remove])  # of a demo that was killed
    with ended_with_us(remove.command, environment) as children:
        try:
            yield environment, children
        finally:
            perform([remove], children)


@contextmanager
def _watching(
    settings: Settings, environment: Mapping[str, str], children: Children
) -> Iterator[None]:
    """Run a watch in the background that writes a marker every other second."""
    host = settings.metrics_host
    own = {**environment, "MARKER_INTERVAL_SECONDS": "2"}
    if listen_error(host, settings.watch_port):
        own["WATCH_PORT"] = str(free_port(host))
    step = _loadgen("watch", "--interval", "2", environment=own)
    print(f"\n$ {step.shown} &", flush=True)
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
            process.terminate()
            try:
                process.wait(_WATCH_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            children.ended(process)


def _loadgen(
    *arguments: str, checks: bool = False, environment: Mapping[str, str] | None = None
) -> Step:
    command, more = [sys.executable, "-m", "loadgen", *arguments], environment or {}
    return Step(_shown(more, "loadgen", *arguments), command, more, checks=checks)


def _shown(environment: Mapping[str, str], *command: str) -> str:
    values = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return " ".join([*values, shlex.join(command)])


def locust(settings: Settings, seconds: int) -> Step:
    """Return Locust's command, its metrics on a free port if the usual one is taken."""
    elsewhere = not Path("locustfile.py").is_file()
    arguments = ["-f", str(LOCUSTFILE)] if elsewhere else []
    arguments += ["--headless", "-u", "8", "-t", f"{seconds}s"]
    for name, rate in RATES.items():
        arguments += [f"--{name}-per-hour", str(rate)]
    arguments.append(f"--hard-cases={CASES}")
    taken = listen_error(settings.metrics_host, settings.metrics_port)
    port = {"METRICS_PORT": str(free_port(settings.metrics_host))} if taken else {}
    environment = {**port, **_CASE_RATES}
    return Step(
        _shown(environment, "locust", *arguments),
        [sys.executable, "-m", "locust", *arguments],
        environment,
        checks=True,
    )


def _is_seeded(settings: Settings) -> bool:
    """Tell whether there is a baseline, be it of other parameters than today's settings."""
    with connect(source_dsn(settings)) as conn:
        state = seed_state(conn)
    return state is not None and bool(state.progress.get("complete"))


def perform(steps: Sequence[Step], children: Children | None = None) -> int:
    """Run the steps in order; failed checks are kept in mind, anything else that fails ends it."""
    codes = []
    for step in steps:
        print(f"\n$ {step.shown}", flush=True)
        code = _run(step, children)
        if code == _INTERRUPTED:
            print("demo: interrupted; what was done is kept", file=sys.stderr)
            return code
        if code != 0 and not (step.checks and code in _CHECKS_FAILED):
            print(f"demo: stopped: `{step.shown}` ended with exit code {code}", file=sys.stderr)
            return code
        codes.append(code)
    return first_exit_code(codes)


def _run(step: Step, children: Children | None) -> int:
    """Run a step to its own end: Ctrl-C is passed on to it once, so that it can end cleanly.

    It has a process group of its own, or a terminal's Ctrl-C would reach it twice, and for Locust
    a second one means at once.
    """
    with _passing_on() as stop:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            step.command,
            env={**os.environ, **step.environment},
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        stop.begun(process)
        if children is not None:
            children.began(process)
        code = process.wait()
        if children is not None:
            children.ended(process)
    if stop.caught:
        return _INTERRUPTED
    return code if code >= 0 else 128 - code


@dataclass(slots=True)
class _Stop:
    """Passes signals that ask us to end on to the process, once there is one."""

    caught: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def begun(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        for number in self.caught:
            process.send_signal(number)

    def __call__(self, number: int, _: FrameType | None) -> None:
        self.caught.append(number)
        if self.process is not None:
            self.process.send_signal(number)


@contextmanager
def _passing_on() -> Iterator[_Stop]:
    stop = _Stop()
    heard = [number for number in _STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_goodbye(settings: Settings) -> None:
    path = find_run(settings.reports_dir)
    print("\nThe two tools, beside the same load with hard deletes and late commits:")
    for tool in summary_of(path).tools:
        measured = [str(part) for part in (tool.correctness, tool.freshness) if part]
        print(f"  {tool.name}: {'; '.join(measured)}")
    print(
        "\nNext: `source .venv/bin/activate`, then `locust` for its page, `loadgen --help` for the "
        "rest.\nThe database stays up until `loadgen db down`.\n"
        f"\nreport: {path / 'report.html'}"
    )
