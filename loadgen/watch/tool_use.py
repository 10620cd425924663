"""Samples what the processes of local tools use, and reports tools that have crashed."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from loadgen.control import ControlError, LoadControl
from loadgen.errors import PlaygroundError
from loadgen.record.rows import ToolSample
from loadgen.tools.runners.lifecycle import living_processes
from loadgen.tools.runners.processes import ProcessMeter
from loadgen.tools.tools_file import Tool
from loadgen.watch.notifier import Notifier


class ToolUse:
    """The processes of the tools that run on this machine; of other tools nothing is known."""

    def __init__(self, tools: Iterable[Tool], control: LoadControl, notifier: Notifier) -> None:
        self._meters = {tool.name: (tool, ProcessMeter()) for tool in tools if tool.runner}
        self._control = control
        self._notifier = notifier
        self._journaled: set[tuple[str, str]] = set()  # tool that has crashed, and run
        self.latest: tuple[ToolSample, ...] = ()

    def sample(self, at: datetime, run_id: str | None) -> tuple[ToolSample, ...]:
        """Return a sample of each tool that runs; report those that have crashed.

        `run_id` is the current run, whose journal gets each crash.
        """
        samples = []
        for name, (tool, meter) in self._meters.items():
            try:
                processes, has_crashed = living_processes(tool)
                use = meter.look(processes)
            except PlaygroundError as exc:
                self._notifier.warn(f"processes of {name}", f"{name}: {exc}; it is not measured")
                continue
            self._notifier.resolve(f"processes of {name}")
            self._report_crash(name, run_id, has_crashed=has_crashed)
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

    def _report_crash(self, name: str, run_id: str | None, *, has_crashed: bool) -> None:
        """Warn of a crash once, and journal it once in each run that it lasts into."""
        topic = f"crash of {name}"
        if not has_crashed:
            self._notifier.resolve(topic)
            self._journaled = {entry for entry in self._journaled if entry[0] != name}
            return
        self._notifier.warn(
            topic, f"tool {name} has crashed or was killed: `loadgen tools start {name}`"
        )
        if run_id is not None and (name, run_id) not in self._journaled:
            with suppress(ControlError):  # tried again after the next look
                entry = {"kind": "tool_crashed", "tool": name, "by": "watch"}
                self._control.ask("journal", entry)
                self._journaled.add((name, run_id))
