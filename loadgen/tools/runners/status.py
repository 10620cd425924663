"""What a local tool says of itself: whether it runs, what it has copied, what went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class InitialSync:
    """How the first copy of all that was there went; rows and seconds by the tool's own count."""

    began_at: datetime
    first_row_at: datetime  # when one could first be read
    caught_up_at: datetime
    rows: int

    @property
    def rows_per_second(self) -> float:
        """Rows by the seconds from start to end."""
        seconds = (self.caught_up_at - self.began_at).total_seconds()
        return self.rows / seconds if seconds > 0 else 0.0


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
