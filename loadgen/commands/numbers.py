"""Numbers on the command line: parsed, and refused in words where they are none that is allowed."""

import argparse
import math
from collections.abc import Callable
from typing import Final

from loadgen.errors import one_line

MOST: Final = 1_000_000_000
_SHOWN: Final = 60  # characters of what is refused


def number(unit: str, most: float, *, or_zero: bool = False) -> Callable[[str], float]:
    """Return a parser of a number of `unit`, above 0 (`or_zero`: from 0) and up to `most`.

    It raises argparse's own error, which ends the command with exit code 2.
    """
    allowed = "0 or more" if or_zero else "above 0"
    allowed += f" and at most {most:,.0f}"

    def parsed(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not (0 < found <= most or (or_zero and found == 0)):
            shown = one_line(repr(text), _SHOWN)
            raise argparse.ArgumentTypeError(f"{shown} must be {unit}, {allowed}")
        return found

    return parsed


def whole(text: str) -> int:
    """Return a whole number of 1 or more, up to MOST."""
    is_short = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST))
    if not is_short or not 1 <= int(text) <= MOST:
        shown = one_line(repr(text), _SHOWN)
        raise argparse.ArgumentTypeError(f"{shown} must be a whole number from 1 to {MOST}")
    return int(text)
