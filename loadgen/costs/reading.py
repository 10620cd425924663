"""What was asked for and either came or did not: an answer, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from loadgen.errors import DestinationError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a figure is not there, in words that can stand in its place."""

    why: str


def tried(read: Callable[[], T]) -> T | Unread:
    """Return what `read` returns, or why it can't be read."""
    try:
        return read()
    except DestinationError as exc:
        return Unread(str(exc))
