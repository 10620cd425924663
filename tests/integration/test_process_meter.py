"""The use of processor and memory, measured on real processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from loadgen.tools.runners.processes import ProcessMeter, ProcessUse
from tests.polling import wait_for

# Says that it is ready, and at a line of input works for half a second of processor time.
_WORK = """
import sys, time
print("ready", flush=True)
for line in sys.stdin:
    held = bytearray(50_000_000)
    began = time.process_time()
    while time.process_time() - began < 0.5:
        pass
    with open({file!r}, "wb") as file:
        file.write(bytes(8_000_000))
        file.flush()
        import os
        os.fsync(file.fileno())
    print("done", flush=True)
"""
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
child.wait()
"""


# For each line of input a child works as above, and with the next line it ends.
_SERVANTS = """
import subprocess, sys
work = {code!r}
print("ready", flush=True)
for line in sys.stdin:
    child = subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    print("work", file=child.stdin, flush=True)
    child.stdout.readline()
    print("worked", flush=True)
    next(sys.stdin)
    child.stdin.close()
    child.wait()
    print("ended", flush=True)
"""


@contextmanager
def working(file: str, *, nested: bool) -> Iterator["subprocess.Popen[str]"]:
    """Yield a process that works on command, itself or by a child."""
    code = _WORK.format(file=file)
    command = ["-c", _PARENT, code] if nested else ["-c", code]
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def work(process: "subprocess.Popen[str]") -> None:
    """Let it work once, and wait for the end of that."""
    assert process.stdin is not None
    assert process.stdout is not None
    print("work", file=process.stdin, flush=True)
    assert process.stdout.readline() == "done\n"


def test_only_what_is_used_after_the_first_look_counts(tmp_path: object) -> None:
    """Processor time, memory and bytes of a process and of its children."""
    for nested in (False, True):
        with working(f"{tmp_path}/file", nested=nested) as process:
            work(process)
            meter = ProcessMeter()
            first = meter.look([process.pid])
            assert first is not None
            assert first.cpu_seconds == 0.0
            work(process)
            used = meter.look([process.pid])
            assert used is not None
            assert 0.45 < used.cpu_seconds < 0.5 + psutil.Process(process.pid).cpu_times().user + 1
            assert used.resident_bytes > 50_000_000
            assert (used.written_bytes or 0) >= 8_000_000 or used.written_bytes is None


def test_a_process_that_begins_later_counts_whole(tmp_path: object) -> None:
    """Its counters begin with it; those of one that has ended stay."""
    meter = ProcessMeter()
    with working(f"{tmp_path}/one", nested=False) as one:
        assert meter.look([one.pid]) is not None
        with working(f"{tmp_path}/other", nested=False) as other:
            work(other)
            both = meter.look([one.pid, other.pid])
        assert both is not None
        assert both.cpu_seconds > 0.45
        wait_for(lambda: other.poll() is not None, "its end")
        after = meter.look([one.pid, other.pid])
        assert after is not None
        assert after.cpu_seconds >= both.cpu_seconds
        assert after.resident_bytes < both.resident_bytes
    assert meter.look([one.pid]) is None


def test_children_that_end_between_two_looks_count(tmp_path: Path) -> None:
    """Once, also if they were seen while they ran."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVANTS.format(code=_WORK.format(file=str(tmp_path / "file")))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        meter = ProcessMeter()

        def look() -> ProcessUse:
            used = meter.look([process.pid])
            assert used is not None
            return used

        assert process.stdout.readline() == "ready\n"
        look()
        for number in (1, 2):
            print("work", file=process.stdin, flush=True)
            assert process.stdout.readline() == "worked\n"  # the child still runs
            seen = look()
            print("end", file=process.stdin, flush=True)
            assert process.stdout.readline() == "ended\n"
            after = look()
            assert number * 0.5 <= seen.cpu_seconds <= after.cpu_seconds
            # What ending takes, and starting the next child.
            assert after.cpu_seconds < number * 0.9
            for bytes_written in (seen.written_bytes, after.written_bytes):
                assert bytes_written is None or 0 <= bytes_written / 8_000_000 - number < 0.5
        print("work", file=process.stdin, flush=True)
        assert process.stdout.readline() == "worked\n"
        print("end", file=process.stdin, flush=True)
        assert process.stdout.readline() == "ended\n"
        last = look()  # of this child nothing was seen
        assert last.cpu_seconds >= 1.5
        assert last.written_bytes is None or last.written_bytes >= 3 * 8_000_000
        process.stdin.close()
