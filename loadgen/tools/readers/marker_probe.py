"""What a destination has to answer so that freshness can be measured there."""

from typing import Protocol


class Destination(Protocol):
    """One tool's destination. The watch uses it from one thread, its own."""

    @property
    def name(self) -> str:
        """The tool's name: a label of metrics and a column of the record."""

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two questions; where a question costs money, long."""

    def newest_marker(self, run_id: str) -> int | None:
        """Return the highest sequence of the run's markers that can be read; None where none can.

        It connects where it has to, and takes no longer than a question may take. Raises
        DestinationError where it can't be asked.
        """

    def close(self) -> None:
        """Let go of what it holds; a later question would connect again."""
