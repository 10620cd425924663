"""The errors that users see: one line with the problem, its place and the remedy.

Each class has an exit code, so that `cli.main` and Locust's listeners end a process alike.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

_LONGEST_LINE: Final = 400  # characters of another program's message
_LONGEST_SHOWN: Final = 800  # characters of our own line, which may hold such a message
_NOT_ASCII_TEXT: Final = re.compile(r"[^ -~]")
# Exit codes of every command in order of precedence: the first that applies counts.
EXIT_CODES: Final[Mapping[int, str]] = {
    130: "interrupted",
    2: "refused: usage, a setting or a precondition",
    1: "invalid, or a check failed",
    4: "invalid: the generator was the bottleneck",
    5: "paused by the watch to the end, to protect the source",
    3: "a threshold was missed",
    0: "passed",
}


def printable(text: str) -> str:
    r"""Return an external text as one line in which no character controls the terminal.

    Control characters, line breaks, marks that change the direction of text, and lone surrogates
    become \uXXXX, which JSON accepts too.
    """
    return _NOT_ASCII_TEXT.sub(lambda match: escaped(match[0]), text)


def escaped(character: str) -> str:
    r"""Return an unprintable character as \uXXXX, or as two if it is above FFFF, as JSON does."""
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def one_line(message: object, most: int = _LONGEST_LINE) -> str:
    """Return a message of several lines as one, shortened in its middle to `most` characters.

    Any line may hold the cause: Snowflake's second, dlt's last. Lines that only point at a place in
    the line above are left out.
    """
    lines = [line.strip() for line in str(message).replace("\t", " ").splitlines()]
    text = printable(" ".join(line for line in lines if line.strip("^~- ")))
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 3].rstrip()} … {text[-tail:].lstrip()}"


def error_lines(exc: "PlaygroundError") -> list[str]:
    """Return the lines of an error, each shortened if it is long."""
    return [one_line(line, _LONGEST_SHOWN) for line in str(exc).splitlines()]


def first_exit_code(codes: Iterable[int]) -> int:
    """Return the code that takes precedence; 0 if there is none."""
    return min(codes, key=list(EXIT_CODES).index, default=0)


def install_hint(extra: str, packages: str) -> str:
    """Return how to install the packages of an extra, in a checkout or with the wheel."""
    return f"run `make setup EXTRAS={extra}`, or install {packages}"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, else all known ones."""
    names = list(known)
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there is only {names[0]}" if len(names) == 1 else f"there are {', '.join(names)}"


class PlaygroundError(Exception):
    """Base of all errors; its text is shown to the user."""

    exit_code = 2


class SettingsError(PlaygroundError):
    """A setting has an invalid value; the text names the setting."""


class SourceError(PlaygroundError):
    """The source database can't be used; the text has the cause and the remedy."""


class DestinationError(PlaygroundError):
    """A tool's destination can't be read; the text names it and the cause."""


class RecordError(PlaygroundError):
    """A run's folder is missing, unreadable or of another schema version."""


class JournalFullError(PlaygroundError):
    """A run's journal accepts no more entries of that kind; the text has their number."""


class CheckFailed(PlaygroundError):  # noqa: N818 - a finding, not a fault
    """A check was completed and failed."""

    exit_code = 1
