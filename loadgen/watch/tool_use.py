"""Samples what the processes of local tools use, for tools.csv and the metrics."""

from collections.abc import Iterable
from datetime import datetime

from loadgen.errors import PlaygroundError
from loadgen.record.rows import ToolSample
from loadgen.tools.runners.processes import ProcessMeter
from loadgen.tools.runners.runners import runner_of
from loadgen.tools.tools_file import Tool
from loadgen.watch.notifier import Notifier


class ToolUse:
    """The processes of the tools that run on this machine; of other tools nothing is known."""

    def __init__(self, tools: Iterable[Tool], notifier: Notifier) -> None:
        self._meters = {tool.name: (tool, ProcessMeter()) for tool in tools if tool.runner}
        self._notifier = notifier
        self.latest: tuple[ToolSample, ...] = ()

    def sample(self, at: datetime) -> tuple[ToolSample, ...]:
        """Return a sample of each tool that runs."""
        samples = []
        for name, (tool, meter) in self._meters.items():
            try:
                use = meter.look(runner_of(tool).pids(tool))
            except PlaygroundError as exc:
                self._notifier.warn(f"processes of {name}", f"{name}: {exc}; it is not measured")
                continue
            self._notifier.resolve(f"processes of {name}")
            if use is not None:
                samples.append(
                    ToolSample(
                        at,
                        name,
                        use.cpu_seconds,
                        use.resident_bytes,
                        use.read_bytes,
                        use.written_bytes,
                    )
                )
        self.latest = tuple(samples)
        return self.latest
