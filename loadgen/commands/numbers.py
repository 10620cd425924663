"""Argument types for numbers on the command line, with an error that names the allowed range."""

import argparse
import math
from collections.abc import Callable
from typing import Final

from loadgen.errors import one_line

MOST: Final = 1_000_000_000
_SHOWN: Final = 60  # characters of an invalid argument in a message


def number(unit: str, most: float, *, or_zero: bool = False) -> Callable[[str], float]:
    """Return an argument type: a number of `unit`, above 0 (`or_zero`: from 0), up to `most`."""
    allowed = "0 or more" if or_zero else "above 0"
    allowed += f" and at most {most:,.0f}"

    def parsed(text: str) -> float:
        try:
            amount = float(text)
        except ValueError:
            amount = math.nan
        if not (0 < amount <= most or (or_zero and amount == 0)):
            shown = one_line(repr(text), _SHOWN)
            raise argparse.ArgumentTypeError(f"{shown} must be {unit}, {allowed}")
        return amount

    return parsed


def whole(text: str) -> int:
    """Return a whole number from 1 to MOST."""
    is_short = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST))
    if not is_short or not 1 <= int(text) <= MOST:
        shown = one_line(repr(text), _SHOWN)
        raise argparse.ArgumentTypeError(f"{shown} must be a whole number from 1 to {MOST}")
    return int(text)
