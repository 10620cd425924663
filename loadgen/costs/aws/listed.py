"""What AWS listed when a run's costs were asked for before, and lists no more.

A deleted database or instance leaves no trace in AWS's lists, an hour later at most. So each answer
is kept in the run's folder, and what has left the list stands in the costs as it was last seen.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadgen.costs.aws.usage import Account, what_of
from loadgen.costs.billing_window import Window
from loadgen.costs.lines import joined
from loadgen.errors import RecordError
from loadgen.record.costs import CostLine, line_of, plain_line
from loadgen.record.files import replace_file
from loadgen.record.model import moment
from loadgen.untrusted import read_json, reading

SEEN_FILE: Final = "listed.json"
_REMEDY: Final = "remove it"


@dataclass(frozen=True, slots=True)
class Seen:
    """A resource as it was last listed: when, and its lines of the run."""

    at: datetime
    lines: tuple[CostLine, ...]


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


def _keep(folder: Path, seen: Mapping[str, Mapping[str, Seen]]) -> None:
    plain = {
        service: {
            name: {"at": one.at.isoformat(), "lines": [plain_line(line) for line in one.lines]}
            for name, one in found.items()
        }
        for service, found in seen.items()
    }
    with suppress(OSError):  # what is deleted from now on would not be known to have been there
        replace_file(folder / SEEN_FILE, f"{json.dumps(plain, indent=2)}\n".encode())


def _kept(folder: Path) -> dict[str, dict[str, Seen]]:
    file = folder / SEEN_FILE
    with suppress(RecordError, FileNotFoundError):
        plain = read_json(file, _REMEDY)
        with reading(file, _REMEDY):
            return {
                service: {
                    name: Seen(moment(one["at"]), tuple(map(line_of, one["lines"])))
                    for name, one in found.items()
                }
                for service, found in plain.items()
            }
    return {}
