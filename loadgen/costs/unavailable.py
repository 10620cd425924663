"""What was asked for and either came or did not: an answer, or why there is none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from loadgen.errors import DestinationError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a figure is not there, in words that can stand in its place.

    `yet` is whether asking again later may bring it: until then a line of it is provisional.
    """

    why: str
    yet: bool = False


def not_yet(why: str, ready: datetime) -> Unavailable:
    """Return why a figure is not there before `ready`, and when to ask again."""
    return Unavailable(
        f"{why}: run `loadgen costs` again after {ready:%Y-%m-%d %H:%M} UTC", yet=True
    )


def tried(read: Callable[[], T]) -> T | Unavailable:
    """Return what `read` returns, or why it can't be read."""
    try:
        return read()
    except DestinationError as exc:
        return Unavailable(str(exc))
