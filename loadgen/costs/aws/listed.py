"""What AWS listed when a run's costs were asked for before, and lists no more.

A deleted database or instance leaves no trace in AWS's lists, an hour later at most. So each answer
is kept in the run's folder, and what has left the list stands in the costs as it was last seen.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from loadgen.costs.aws.usage import Account, what_of
from loadgen.costs.billing_window import Window
from loadgen.costs.lines import joined
from loadgen.errors import RecordError
from loadgen.record.costs import CostLine
from loadgen.record.files import replace_file
from loadgen.record.model import PreciseMoment
from loadgen.untrusted import read_json

SEEN_FILE: Final = "listed.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource as it was last listed: when, and its lines of the run."""

    at: PreciseMoment
    lines: tuple[CostLine, ...]


_LISTED: Final = TypeAdapter(dict[str, dict[str, Seen]])  # by service and name


def gone(account: Account, window: Window, folder: Path) -> list[CostLine]:
    """Return the lines of resources that were listed before and are not now; keep today's list."""
    before = _kept(folder)
    found: list[CostLine] = []
    for service, listed in account.listed.items():
        seen = before.setdefault(service, {})
        for name in seen.keys() - listed.keys():
            found += _lines(name, seen[name], window)
        seen.update({name: Seen(account.now, tuple(own)) for name, own in listed.items() if own})
    _keep(folder, before)
    return found


def _lines(name: str, seen: Seen, window: Window) -> Iterator[CostLine]:
    at = f"{seen.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    said = f"AWS does not list {name} any more, last at {at}"
    for line in seen.lines:
        yield replace(line, note=joined(line.note, said))
    if seen.lines and seen.at < window.end:
        line = seen.lines[0]
        why = f"{said}: what it cost in the run after that can't be seen any more"
        yield what_of(line.tool, line.category).unpriced(why)


def _keep(folder: Path, seen: dict[str, dict[str, Seen]]) -> None:
    text = json.dumps(_LISTED.dump_python(seen, mode="json"), indent=2)
    with suppress(OSError):  # what is deleted from now on would not be known to have been there
        replace_file(folder / SEEN_FILE, f"{text}\n".encode())


def _kept(folder: Path) -> dict[str, dict[str, Seen]]:
    file = folder / SEEN_FILE
    with suppress(RecordError, FileNotFoundError, ValidationError):
        return _LISTED.validate_json(json.dumps(read_json(file, "remove it")))
    return {}
