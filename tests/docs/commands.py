"""Check that the commands on the pages exist, with the programs' own parsers."""

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, Final

import botocore.session
from botocore import xform_name

from loadgen.cli import build_parser
from loadgen.config.settings import Settings
from tests.conftest import clean_environment
from tests.docs.reading import ROOT

# Prints an error, or an empty text, for each command line on standard input, and the options.
_ASK_LOCUST: Final = """
import json, sys
import loadgen.load.listeners
from locust.argument_parser import get_parser
from loadgen.load.options import add_arguments
parser = get_parser(default_config_files=[])
if "--orders-per-hour" not in parser._option_string_actions:
    add_arguments(parser)
def said(words):
    try:
        _, unknown = parser.parse_known_args(words)
    except SystemExit as exc:
        return "" if exc.code == 0 else "refused: " + " ".join(words)
    return f"no such option: {unknown}" if unknown else ""
answer = [said(words) for words in json.load(sys.stdin)]
print()
print(json.dumps({"said": answer, "options": [*parser._option_string_actions]}))
"""
# Programs and shell builtins that are not ours.
FOREIGN: Final = {
    "cat", "cd", "cp", "curl", "docker", "export", "grep", "kubectl", "ls", "mkdir", "openssl",
    "psql", "pulumi", "rm", "sleep", "source",
}  # fmt: skip
_SEPARATORS: Final = re.compile(r"^[;&|()]+$")


def commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a script, also of those in `$(…)`."""
    script = re.sub(r"<<'?(\w+)'?\n.*?^\1$", "", script, flags=re.DOTALL | re.MULTILINE)
    for line in script.replace("\\\n", " ").splitlines():
        for inner in re.findall(r"\$\(([^()]*)\)", line):
            yield from commands(inner)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not _SEPARATORS.match(word):
                words.append(word)
            elif words:
                yield _bare(words)
                words = []


def _bare(words: Sequence[str]) -> list[str]:
    """Return a command without its redirections."""
    kept = list(words)
    while found := next((n for n, word in enumerate(kept) if set(word) <= set("<>")), None):
        del kept[found : found + 2]
    return kept


def complaint(words: list[str]) -> str:
    """Return why a command is wrong, else an empty text; ask_locust() checks Locust's options."""
    settings, words = without_settings(words)
    if unknown := [one for one in settings if one.lower() not in Settings.model_fields]:
        return f"{unknown} are no settings"
    if not words:
        return ""
    program, *rest = words
    if program in _ASKED:
        return _ASKED[program](rest)
    if "/" in program:
        return "" if (ROOT / program).exists() else f"there is no {program}"
    return "" if program in FOREIGN | {"locust"} else f"{program} is no program that we know"


def without_settings(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the variables that are set in front of a command, and the command without them."""
    number = next((n for n, w in enumerate(words) if not re.match(r"[A-Z]\w*=", w)), len(words))
    return [word.partition("=")[0] for word in words[:number]], words[number:]


def _of_loadgen(words: Sequence[str]) -> str:
    said = StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            build_parser().parse_args(words)
    except SystemExit as exc:
        return said.getvalue() if exc.code else ""
    return ""


def _of_make(words: Sequence[str]) -> str:
    done = subprocess.run(
        ["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stderr


def ask_locust(asked: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return an error, or an empty text, for each command line of Locust, and all its options."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK_LOCUST],
        input=json.dumps(asked),
        cwd=ROOT,
        env=clean_environment(gevent=True),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["said"], answer["options"]


def _of_aws(words: Sequence[str]) -> str:
    """Return the error of a command of the AWS CLI by botocore's models of the services, if any."""
    service, operation, *rest = words
    if service == "configure":
        return ""
    api = {"s3api": "s3"}.get(service, service)  # the CLI has another name for s3
    model: Any = botocore.session.get_session().get_service_model(api)
    names = {xform_name(one, "-"): one for one in model.operation_names}
    if operation not in names:
        return f"aws {service} has no {operation}"
    shape = model.operation_model(names[operation]).input_shape
    known = {f"--{xform_name(one, '-')}" for one in shape.members} | {"--profile", "--region"}
    wrong = {word for word in rest if word.startswith("--")} - known
    return f"aws {service} {operation} has no {sorted(wrong)}" if wrong else ""


_ASKED: Final = {"loadgen": _of_loadgen, "make": _of_make, "aws": _of_aws}


def known(words: Sequence[str]) -> str:
    """Return the error of a `loadgen` command in prose, if any; the command may be incomplete."""
    parser: argparse.ArgumentParser = build_parser()
    for word in words:
        if word.startswith("--"):
            if word.partition("=")[0] not in parser._option_string_actions:
                return f"{parser.prog} has no {word}"
            continue
        choices = _subcommands(parser)
        if choices and word not in choices:
            return f"{parser.prog} has no {word}"
        parser = choices.get(word, parser)
    return ""


def options(parser: argparse.ArgumentParser | None = None) -> set[str]:
    """Return every option of every command of `loadgen`."""
    parser = parser or build_parser()
    found = set(parser._option_string_actions)
    return found.union(*(options(one) for one in _subcommands(parser).values()))


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
