"""What a local tool says of itself: whether it runs, what it has copied, what went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from loadgen.record.verify import InitialSync


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one local tool at one moment.

    `rows` are those of the copy by its server's estimate, or those moved so far; `copied` tells
    whether the initial copy is through; `problem` is what a person should know, in a line.
    """

    running: bool
    copied: bool = False
    last_received: datetime | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    initial: InitialSync | None = None
    problem: str | None = None
