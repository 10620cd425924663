"""Every error a person can meet: one line that says what was wrong, where, and what to do.

The exit code rides on the class, so `cli.main` and Locust's listeners end a process alike.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_LONGEST_LINE: Final = 400  # characters of another program's message


def one_line(message: object, most: int = _LONGEST_LINE) -> str:
    """Return a message of several lines as one, shortened in its middle to `most` characters.

    Its cause may stand in any line: Snowflake has it in the second, dlt in the last. Lines that
    only point at a place in the line above are left out.
    """
    lines = [line.strip() for line in str(message).splitlines()]
    text = " ".join(line for line in lines if line.strip("^~- "))
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 3].rstrip()} … {text[-tail:].lstrip()}"


def meant(name: str, known: Iterable[str]) -> str:
    """Return the hint on a name that is not `known`: the nearest one, else all there are."""
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


class PlaygroundError(Exception):
    """Base of all: its text is shown to the person as it stands."""

    exit_code = 2


class SettingsError(PlaygroundError):
    """A setting has a value that is not allowed; the text names the setting."""


class SourceError(PlaygroundError):
    """The source database can't be used as it is; the text says why and what to change."""


class DestinationError(PlaygroundError):
    """A tool's destination can't be asked; the text names it and says why."""


class RecordError(PlaygroundError):
    """A run's folder is missing, unreadable or of another schema version."""


class CheckFailed(PlaygroundError):  # noqa: N818 - a finding, not a fault
    """A check ran to its end and found something wrong."""

    exit_code = 1
