"""The background process of a tool that syncs every so many seconds.

On a signal it ends after the current sync. A failure is recorded, and the next sync tries again.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Final

from loadgen.config.settings import load_settings
from loadgen.errors import PlaygroundError, one_line
from loadgen.record.files import PRIVATE_UMASK
from loadgen.record.steady_clock import SteadyClock
from loadgen.source.embedded.server import source_dsn
from loadgen.tools.runners import background
from loadgen.tools.runners.syncs import (
    Sync,
    ToolStatus,
    append_sync,
    initial_sync,
    last_success,
    read_syncs,
    rows_moved,
)
from loadgen.tools.tools_file import Tool, load_tools, select_tools

INTERVAL_SECONDS: Final = 10.0  # default of interval_seconds
# Syncs a tool once from the source's address, and returns the rows moved by table.
SyncOnce = Callable[[Tool, str], Mapping[str, int]]


def run_syncs(name: str, prepare: Callable[[Tool], SyncOnce]) -> int:
    """Run as the process of the tool called `name`; `prepare` returns what syncs it."""
    os.umask(PRIVATE_UMASK)
    (tool,) = select_tools(load_tools(load_settings()), name)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with background.hold_pid_file(tool.folder) as is_only:
        if not is_only:
            raise PlaygroundError(f"tool {name} runs already")
        # Not in the main thread, where dlt would install its own signal handlers.
        thread = threading.Thread(
            target=lambda: _sync_until_stopped(tool, prepare(tool), stopped), daemon=True
        )
        thread.start()
        while thread.is_alive():
            thread.join(0.2)
    return 0


def status_of(tool: Tool, position: str | None) -> ToolStatus:
    """Return the state of a tool with such a process from its files, without opening the copy."""
    syncs = read_syncs(tool.folder)
    last = last_success(syncs)
    return ToolStatus(
        running=background.running(tool.folder) is not None,
        copied=last is not None,
        last_received=last.ended_at if last else None,
        rows=rows_moved(syncs),
        initial=initial_sync(syncs),
        position=position,
        problem=syncs[-1].problem if syncs else None,
    )


def processes_of(tool: Tool) -> tuple[int, ...]:
    """Return the tool's process; none if it does not run."""
    process = background.running(tool.folder)
    return () if process is None else (process.pid,)


def _sync_until_stopped(tool: Tool, sync: SyncOnce, stopped: threading.Event) -> None:
    while not stopped.is_set():
        clock = SteadyClock()
        began = clock.now()
        rows: Mapping[str, int] = {}
        problem = None
        try:
            rows = sync(tool, source_dsn(load_settings()))
        except PlaygroundError as exc:
            problem = str(exc)
        except Exception as exc:  # noqa: BLE001 - dlt's errors have no base, the next may succeed
            traceback.print_exc()
            problem = f"{type(exc).__name__}: {one_line(exc)} (more in {background.LOG})"
        ended = clock.now()
        append_sync(tool.folder, Sync(began, ended, rows, problem))
        print(f"{ended:%Y-%m-%dT%H:%M:%SZ} {problem or f'{sum(rows.values())} rows'}", flush=True)  # noqa: T201
        interval = tool.interval_seconds or INTERVAL_SECONDS
        stopped.wait(max(interval - (ended - began).total_seconds(), 0))
