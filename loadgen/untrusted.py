"""Reads files that others may have written or changed, or refuses them in one line.

Every defect (encoding, nesting, a number of a thousand digits, a value of another type) becomes an
error that names the file, the place in it and the remedy.
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

from pydantic import ValidationError

from loadgen.errors import PlaygroundError, RecordError, SettingsError, one_line, printable

MOST: Final = 10**30  # above every figure of a run, and within the range of floats and charts
_MOST_DIGITS: Final = 60
_DEEPEST: Final = 50
_SHOWN: Final = 60  # characters of a value
_WANTED: Final = {
    "bool_type": "true or false",
    "dataclass_type": "an object",
    "dict_type": "an object",
    "finite_number": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "a text",
    "tuple_type": "a list",
}
# Exceptions that the use of a value of an unexpected type raises.
_FAULTS: Final = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


@contextmanager
def reading(
    place: object, remedy: str, error: type[PlaygroundError] = RecordError, form: str = ""
) -> Iterator[None]:
    """Turn any failure to read `place` into an error of one line.

    FileNotFoundError is passed on, since a missing file may be allowed.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except _FAULTS as exc:
        read = f"{printable(str(place))} can't be read{form}"
        why = misfit(exc) if isinstance(exc, ValidationError) else _why(exc)
        raise error(f"{read}: {why}; {remedy}") from exc


def read_json(file: Path, remedy: str) -> Any:
    """Return the content of a JSON file, texts printable. Raises RecordError, FileNotFoundError."""
    with reading(file, remedy):
        return parse_json(file.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """Return the content of a JSON text, texts printable. Raises ValueError or RecursionError."""
    return _checked(json.loads(text, parse_constant=_refused), printable)


def read_toml(file: Traversable, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the content of a TOML file. Raises SettingsError, FileNotFoundError.

    Texts are unchanged, since one may be a password; names are printable.
    """
    with reading(file, "correct or remove it", SettingsError):
        text = file.read_text(encoding="utf-8")
    return parse_toml(text, str(file), parse_float=parse_float)


def parse_toml(
    text: str, where: str, *, parse_float: Callable[[str], Any] = float
) -> dict[str, Any]:
    """Return the content of the TOML text from the file `where`, as `read_toml` does."""
    with reading(where, "correct or remove it", SettingsError, form=" as TOML"):
        document: dict[str, Any] = _checked(tomllib.loads(text, parse_float=parse_float), str)
    return document


def bounded(number: Any) -> Any:
    """Return the number. Raises ValueError if it is beyond every figure of a run."""
    if isinstance(number, int | Decimal | float) and not -MOST <= number <= MOST:
        raise ValueError(f"it holds a number beyond {MOST:.0e}")
    if isinstance(number, Decimal) and _digits(number) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of more than {_MOST_DIGITS} digits")
    return number


def _digits(number: Decimal) -> int:
    return max(len(number.as_tuple().digits), abs(number.adjusted()))


def _refused(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no number")


def _checked(node: Any, text: Callable[[str], str], depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(node, str):
        return text(node)
    if isinstance(node, list):
        return [_checked(inner, text, depth + 1) for inner in node]
    if isinstance(node, dict):
        if text is not printable and (bad := [name for name in node if not name.isprintable()]):
            raise ValueError(f"the name {bad[0]!r} has a character that can't be shown")
        return {text(name): _checked(inner, text, depth + 1) for name, inner in node.items()}
    # TOML has inf and nan; the reader of the figure refuses them with its name.
    is_odd = isinstance(node, Decimal | float) and not isfinite(node)
    return node if is_odd else bounded(node)


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
        return f"a value has another type than loadgen writes ({one_line(exc)})"
    return one_line(exc)


def misfit(exc: ValidationError) -> str:
    """Return in a line the first key that does not fit, its value, and the expected one."""
    error = exc.errors(include_url=False)[0]
    place = ".".join(map(str, error["loc"])) or "it"
    kind = error["type"]
    if kind == "missing":
        return f"{place} is missing"
    if kind == "value_error":
        return f"{place}: {one_line(error['ctx']['error'])}"
    if kind in _WANTED:
        return f"{place} is {short(error['input'])}, not {_WANTED[kind]}"
    message = one_line(error["msg"])
    return f"{place} is {short(error['input'])}: {message[:1].lower()}{message[1:]}"


def short(value: object) -> str:
    """Return a value as a message has room for it."""
    return one_line(repr(value), _SHOWN)
