"""Files that others may have written or changed: read whole, or refused in one line.

Whatever is wrong with one (its encoding, its nesting, a number of a thousand digits, a value of
another kind) is an error that names the file, the place in it and what to do.
"""

import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from importlib.resources.abc import Traversable
from math import isfinite
from pathlib import Path
from typing import Any, Final

from loadgen.errors import PlaygroundError, RecordError, SettingsError, one_line, printable

MOST: Final = 10**30  # above every figure of a run; a float, a duration and a chart can hold it
_MOST_DIGITS: Final = 60
_DEEPEST: Final = 50
# What a value of another shape than the one expected raises where it is used.
_FAULTS: Final = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


@contextmanager
def reading(
    place: object, remedy: str, error: type[PlaygroundError] = RecordError, what: str = ""
) -> Iterator[None]:
    """Turn whatever goes wrong with what is read at `place` into one line.

    A file that is not there is the caller's to judge: FileNotFoundError is passed on.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except _FAULTS as exc:
        read = f"{printable(str(place))} can't be read{what}"
        raise error(f"{read}: {_why(exc)}; {remedy}") from exc


def read_json(file: Path, remedy: str) -> Any:
    """Return what a JSON file holds, its texts printable. Raises RecordError, FileNotFoundError."""
    with reading(file, remedy):
        return parse_json(file.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds, its texts printable. Raises ValueError or RecursionError."""
    return _checked(json.loads(text, parse_constant=_refused), printable)


def read_toml(file: Traversable, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return what a TOML file holds. Raises SettingsError, FileNotFoundError.

    Its texts stay as they are, since a password may be among them; its names are printable.
    """
    with reading(file, "correct or remove it", SettingsError):
        text = file.read_text(encoding="utf-8")
    return parse_toml(text, str(file), parse_float=parse_float)


def parse_toml(
    text: str, where: str, *, parse_float: Callable[[str], Any] = float
) -> dict[str, Any]:
    """Return what the TOML text of the file called `where` holds, as `read_toml` does."""
    with reading(where, "correct or remove it", SettingsError, what=" as TOML"):
        found: dict[str, Any] = _checked(tomllib.loads(text, parse_float=parse_float), str)
    return found


def bounded(number: Any) -> Any:
    """Return the number. Raises ValueError where it is beyond every figure of a run."""
    if isinstance(number, int | Decimal | float) and not -MOST <= number <= MOST:
        raise ValueError(f"it holds a number beyond {MOST:.0e}")
    if isinstance(number, Decimal) and _digits(number) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of more than {_MOST_DIGITS} digits")
    return number


def _digits(number: Decimal) -> int:
    return max(len(number.as_tuple().digits), abs(number.adjusted()))


def _refused(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no number")


def _checked(value: Any, text: Callable[[str], str], depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_checked(inner, text, depth + 1) for inner in value]
    if isinstance(value, dict):
        if text is not printable and (bad := [name for name in value if not name.isprintable()]):
            raise ValueError(f"the name {bad[0]!r} has a character that can't be shown")
        return {text(name): _checked(inner, text, depth + 1) for name, inner in value.items()}
    # TOML has inf and nan, which whoever reads the figure refuses by its name.
    is_odd = isinstance(value, Decimal | float) and not isfinite(value)
    return value if is_odd else bounded(value)


def _why(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    if isinstance(exc, OSError):
        return exc.strerror or one_line(exc)
    if isinstance(exc, KeyError):
        return f"{one_line(exc)} is missing"
    if isinstance(exc, ArithmeticError):
        return "it holds a number or a time that is out of range"
    if isinstance(exc, TypeError | AttributeError | IndexError):
        return f"a value is of another kind than loadgen writes ({one_line(exc)})"
    return one_line(exc)
