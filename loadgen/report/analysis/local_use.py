"""The processors, memory and disk that local tools used in a run, from tools.csv. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from loadgen.record.rows import ToolSample


@dataclass(slots=True)
class LocalUse:
    """What a local tool's processes used over the run; of a new watch, only from its start."""

    cpu_seconds: float = 0.0
    seconds: float = 0.0
    resident_bytes: int = 0  # at most
    read_bytes: int | None = None
    written_bytes: int | None = None

    def add(self, before: ToolSample, now: ToolSample) -> None:
        """Count the use between two samples of one watch."""
        self.cpu_seconds += now.cpu_seconds - before.cpu_seconds
        self.seconds += (now.time - before.time).total_seconds()
        self.read_bytes = _increased(self.read_bytes, before.read_bytes, now.read_bytes)
        self.written_bytes = _increased(self.written_bytes, before.written_bytes, now.written_bytes)

    @property
    def processors(self) -> float | None:
        """The processors that were busy with it on average; None if there is only one sample."""
        return self.cpu_seconds / self.seconds if self.seconds else None


def local_use(samples: Iterable[ToolSample]) -> dict[str, LocalUse]:
    """Return the use of this machine by tool."""
    samples = list(samples)
    tools: dict[str, LocalUse] = defaultdict(LocalUse)
    for sample in samples:
        use = tools[sample.tool]
        use.resident_bytes = max(use.resident_bytes, sample.resident_bytes)
    for before, now in ToolSample.pairs(samples):
        tools[now.tool].add(before, now)
    return dict(tools)


def _increased(total: int | None, before: int | None, now: int | None) -> int | None:
    return total if before is None or now is None else (total or 0) + now - before
