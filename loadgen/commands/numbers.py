"""Numbers on the command line: parsed, and refused in words where they are none that is allowed."""

import argparse
import math
from collections.abc import Callable


def number(unit: str, most: float = math.inf, *, or_zero: bool = False) -> Callable[[str], float]:
    """Return a parser of a number of `unit`, above 0 (`or_zero`: from 0) and up to `most`.

    It raises argparse's own error, which ends the command with exit code 2.
    """
    allowed = "0 or more" if or_zero else "above 0"
    allowed += "" if most == math.inf else f" and at most {most:,.0f}"

    def parsed(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not (0 < found <= most or (or_zero and found == 0)) or found == math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} must be {unit}, {allowed}")
        return found

    return parsed


def whole(text: str) -> int:
    """Return a whole number of 1 or more."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return int(text)
