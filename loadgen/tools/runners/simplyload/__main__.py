"""The process of a tool with the runner simplyload: `python -m …simplyload NAME`.

With `--trace` it prints each point of a sync once it is there; with `--pause-at POINT` it waits
there to be killed.
"""

import argparse
import os
import signal
import sys
import threading
import traceback

from loadgen.config.settings import load_settings
from loadgen.errors import PlaygroundError, one_line
from loadgen.record.files import PRIVATE_UMASK
from loadgen.record.steady_clock import SteadyClock
from loadgen.source.embedded.server import source_dsn
from loadgen.tools.runners import background
from loadgen.tools.runners.simplyload.pipe import open_pipe
from loadgen.tools.runners.simplyload.sync import Pipe
from loadgen.tools.runners.sync_process import INTERVAL_SECONDS
from loadgen.tools.runners.syncs import Sync, append_sync
from loadgen.tools.tools_file import Tool, load_tools, select_tools


def main(arguments: list[str]) -> int:
    """Run as the process of a tool until a signal ends it after the current sync."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--pause-at", default="")
    options = parser.parse_args(arguments)
    os.umask(PRIVATE_UMASK)
    (tool,) = select_tools(load_tools(load_settings()), options.name)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())

    def reached(point: str) -> None:
        if options.trace or point == options.pause_at:
            print(point, flush=True)  # noqa: T201 - to the log
        if point == options.pause_at:
            threading.Event().wait()

    with background.hold_pid_file(tool.folder) as is_only:
        if not is_only:
            raise PlaygroundError(f"tool {tool.name} runs already")
        sync_until_stopped(tool, open_pipe(tool, load_settings(), reached), stopped)
    return 0


def sync_until_stopped(tool: Tool, pipe: Pipe, stopped: threading.Event) -> None:
    """Sync every interval, and at once if the slot has more; try again after a failure."""
    interval = tool.interval_seconds or INTERVAL_SECONDS
    while not stopped.is_set():
        clock = SteadyClock()
        began = clock.now()
        rows: dict[str, int] = {}
        problem, more = None, False
        try:
            rows, more = pipe.sync(source_dsn(load_settings()))
        except PlaygroundError as exc:
            problem = str(exc)
        except Exception as exc:  # noqa: BLE001 - a fault of ours; the next sync may succeed
            traceback.print_exc()
            problem = f"{type(exc).__name__}: {one_line(exc)} (more in {background.LOG})"
        ended = clock.now()
        append_sync(tool.folder, Sync(began, ended, rows, problem))
        print(f"{ended:%Y-%m-%dT%H:%M:%SZ} {problem or f'{sum(rows.values())} rows'}", flush=True)  # noqa: T201
        if not more:
            stopped.wait(max(interval - (ended - began).total_seconds(), 0))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PlaygroundError as exc:
        print(exc)  # noqa: T201 - to the log
        sys.exit(exc.exit_code)
