"""The `loadgen` command: finds a subcommand, runs it, and turns errors into lines.

Each module of `loadgen.commands` has `add_parser` and `run`. Modules that are slow to import
(charts, made-up names) are imported inside `run`, and of the commands only the one that was typed,
so that the command starts quickly.
"""

import argparse
import gc
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import FrameType
from typing import Any, Final, NoReturn

from loadgen import __version__
from loadgen.errors import PlaygroundError, error_lines, one_line
from loadgen.record.files import PRIVATE_UMASK
from loadgen.terminal import discard_stdout, guarded_output

_INVALID_CHOICE: Final = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)")
_UNRECOGNIZED: Final = re.compile(r"unrecognized arguments: (--[\w-]+)")
_USAGE: Final = 2
_INTERRUPTED: Final = 128 + signal.SIGINT
_CLEAN_UP_SECONDS: Final = 180.0  # for an interrupted command, since a server may not answer

# Each command with an example, in the order in which a new user needs them.
COMMANDS: Final = {
    "demo": "loadgen demo --seconds 30",
    "init": "loadgen init && cp .env.example .env",
    "locustfile": "loadgen locustfile",
    "db": 'loadgen db up && psql "$(loadgen db dsn)"',
    "seed": "loadgen seed --users 100000 --orders 500000 --events 2000000",
    "validate": "loadgen validate --json",
    "expose": "loadgen expose --minutes 60",
    "settings": "loadgen settings",
    "workload": "loadgen workload check my-workload",
    "plan": "loadgen plan --seed 42 --count 20",
    "rates": "loadgen rates --set insert_order=36000",
    "pause": "loadgen pause --reason upgrade",
    "resume": "loadgen resume",
    "doctor": "loadgen doctor --tool fivetran --hours 48",
    "tools": "loadgen tools start --wait 60",
    "watch": "loadgen watch --interval 5",
    "verify": "loadgen verify --drain",
    "costs": "loadgen costs",
    "report": "loadgen report",
    "compare": "loadgen compare 20261123T080000Z-0001 latest",
}
# In `loadgen --help` each command stands under the heading of its step.
_FIRST_OF_STEP: Final = {
    "demo": "start here",
    "db": "the source database",
    "settings": "the load (`locust` runs it)",
    "tools": "the tools under test",
    "verify": "results",
}
_SHARED_MODULES: Final = {"locustfile": "init", "pause": "rates", "resume": "rates"}


class _Parser(argparse.ArgumentParser):
    """A parser without colours whose errors are one line; subparsers inherit the class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.color = False  # from Python 3.14 on

    def error(self, message: str) -> NoReturn:
        super().error(one_line(_with_hint(message, self)))


class _HelpByStep(argparse.RawDescriptionHelpFormatter):
    """Lists the commands under the headings of their steps."""

    def _format_action(self, action: argparse.Action) -> str:
        listed = super()._format_action(action)
        heading = None if action.option_strings else _FIRST_OF_STEP.get(action.dest)
        return f"\n  {heading}:\n{listed}" if heading else listed


class _PrintCompletion(argparse.Action):
    """Prints a shell's completion script and ends the command."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: Any,
        _option_string: str | None = None,
    ) -> NoReturn:
        import shtab  # noqa: PLC0415 - only this option needs it

        print(shtab.complete(parser, values))
        parser.exit()


def _with_hint(message: str, parser: argparse.ArgumentParser) -> str:
    """Return argparse's message on a mistyped word with the word that was probably meant."""
    if choice := _INVALID_CHOICE.search(message):
        typed, known = choice[1], choice[2].replace("'", "").split(", ")
    elif option := _UNRECOGNIZED.search(message):
        typed, known = option[1], [*_options(parser)]
    else:
        return message
    near = get_close_matches(typed, known, n=1)
    return f"{message}: did you mean {near[0]}?" if near else message


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for subparser in action.choices.values():
                yield from _options(subparser)


def build_parser(commands: Iterable[str] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser of the whole command line, or of some commands."""
    examples = "\n".join(f"  {example}" for example in COMMANDS.values())
    parser = _Parser(
        prog="loadgen",
        description="Find out by experiment which pipe should copy your Postgres into Snowflake.",
        epilog=f"examples:\n{examples}\n\nThe load itself is Locust's own command:\n"
        "  locust                      (its page is then at http://127.0.0.1:8089)\n"
        "  locust --headless -t 60s --orders-per-hour 36000\n"
        '  locust -f "$(loadgen locustfile)"   (in any folder)',
        formatter_class=_HelpByStep,
    )
    parser.add_argument("--version", action="version", version=f"loadgen {__version__}")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=("bash", "zsh", "tcsh"),
        help="print a script that completes commands and options in this shell",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in dict.fromkeys(map(_module_of, commands)):
        import_module(module).add_parser(subparsers)
    return parser


def _module_of(command: str) -> str:
    return f"loadgen.commands.{_SHARED_MODULES.get(command, command)}"


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Stop garbage collection during imports: it takes 40 ms and finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt a command as Ctrl-C does, so that it cleans up.

    `timeout` signals its child twice, so only a second Ctrl-C interrupts the clean-up. Ignored
    signals stay ignored: SIGHUP under nohup, SIGINT in a script's background job.
    """
    limit = threading.Timer(_CLEAN_UP_SECONDS, os._exit, (_INTERRUPTED,))
    limit.daemon = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in former:
            signal.signal(number, lambda *_: None)
        if signal.SIGINT in former:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        limit.start()
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.getsignal(number) for number in numbers}
    former = {number: old for number, old in former.items() if old is not signal.SIG_IGN}
    for number in former:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        limit.cancel()
        for number, old in former.items():
            signal.signal(number, old)


@contextmanager
def _private_files() -> Iterator[None]:
    """Make new files (records, logs, copies) readable only for their owner."""
    former = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(former)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with guarded_output(), _private_files():
        try:
            with _interrupted_by_signals():
                return _run(arguments)
        except KeyboardInterrupt:
            print("loadgen: interrupted", file=sys.stderr)
            return _INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    try:
        named = [name for name in arguments[:1] if name in COMMANDS]
        only_version = arguments[:1] == ["--version"]  # which needs no command
        with _no_garbage_collection():
            parser = build_parser(() if only_version else named or COMMANDS)
        if not arguments:
            parser.print_help(sys.stderr)
            return _USAGE
        args = parser.parse_args(arguments)
        code: int = import_module(_module_of(args.command)).run(args)
        sys.stdout.flush()
    except PlaygroundError as exc:
        for line in error_lines(exc):
            print(f"loadgen: error: {line}", file=sys.stderr)
        return exc.exit_code
    except BrokenPipeError:
        discard_stdout()
        return 0
    return code
