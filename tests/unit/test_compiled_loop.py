"""The compiled loop understands answers as `wire` does, compiled and as plain Python."""

import os
import platform
import socket
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from loadgen.load.driver import compiled_loop
from loadgen.load.driver.loop_thread import Arrivals, LoopThread, new_shared
from loadgen.load.driver.system_calls import EVENT_DATA, READABLE, TIME_SLICE, scheduling
from tests.answer_streams import message, outcomes

_SEEDS, _COUNT = (1, 2, 3, 4), 150


@pytest.mark.parametrize("seed", _SEEDS)
def test_answer_streams_are_understood_alike(seed: int) -> None:
    """Split, merged, cut, with errors and notices, and with what no request leads to."""
    for by_wire, by_loop in outcomes(seed, _COUNT):
        assert by_loop == by_wire


def test_the_loop_s_source_does_the_same_as_plain_python() -> None:
    """Numba compiles what Python would do: so the source can be read, and its tests count."""
    printed = {
        plain: subprocess.run(
            [sys.executable, "-m", "tests.answer_streams", "5", str(_COUNT)],
            env=os.environ | {"NUMBA_DISABLE_JIT": plain},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for plain in ("0", "1")
    }
    assert printed["0"] == printed["1"]
    assert printed["1"].count(b"True") == _COUNT


def test_the_loop_has_a_short_time_slice_and_nothing_else_of_its_own() -> None:
    """So it runs soon after it wakes; its share of the processor is that of the process."""
    thread: LoopThread[Arrivals] = LoopThread(
        depth=1, statements=1, lateness_limit=1.0, operations=["insert"]
    )
    try:
        own, loop = scheduling(), scheduling(thread.native_id)
    finally:
        thread.stop()
    chosen = own.time_slice > 0  # Linux 6.12
    assert loop == own._replace(time_slice=TIME_SLICE if chosen else 0)
    assert chosen or tuple(map(int, platform.release().split(".")[:2])) < (6, 12)


@pytest.mark.parametrize(
    ("free", "due", "gives_way"), [(0, 1.0, True), (1, 1.0, False), (0, 9e9, False)]
)
def test_it_gives_way_only_while_all_is_busy_and_more_is_due(
    free: int, due: float, *, gives_way: bool
) -> None:
    """What it gives away counts as rest, up to one of its time slices each time."""
    thread: LoopThread[Arrivals] = LoopThread(
        depth=1, statements=1, lateness_limit=1.0, operations=["insert"]
    )
    thread.stop()  # its part is played here
    shared = thread.shared
    shared.times[compiled_loop.ZERO] = 0.0
    shared.slots[0]["due"] = due
    shared.words[compiled_loop.QUEUED], shared.words[compiled_loop.FREE] = 1, free
    for _ in range(3):
        shared.times[compiled_loop.GIVEN_WAY] = 0.0
        compiled_loop.wait(shared)
        given_way = shared.times[compiled_loop.GIVEN_WAY]
        assert 0 < given_way <= TIME_SLICE / 1e9 if gives_way else given_way == 0


@pytest.mark.parametrize("due", [9500.0, 5000.0])  # it is begun late, or skipped
@pytest.mark.parametrize("free", [0, 1])
def test_a_loop_that_stood_still_is_to_blame_if_a_connection_was_free(
    free: int, due: float
) -> None:
    """It wakes by an answer, since those have arrived meanwhile, and has to notice all the same."""
    shared, request = new_shared(1, 1), np.frombuffer(b"request", np.uint8)
    words, times = shared.words, shared.times
    times[compiled_loop.ZERO], times[compiled_loop.IDLE_SINCE] = time.monotonic() - 10_000, 0.0
    times[compiled_loop.LATE_AFTER], times[compiled_loop.LATENESS_LIMIT] = 0.1, 1000.0
    shared.slots[0]["due"] = due
    shared.slots[0]["address"], shared.slots[0]["size"] = request.ctypes.data, len(request)
    words[compiled_loop.QUEUED], words[compiled_loop.FREE] = 1, free  # connection 0, if one is
    server, client = socket.socketpair()
    with closing(server), closing(client):
        for connection in (0, 1):
            shared.connections[connection]["file"] = client.fileno()
            shared.connections[connection]["state"] = compiled_loop.OPEN
            shared.connections[connection]["watched"] = READABLE
        shared.connections[1]["unsent"] = shared.connections[1]["last"] = 1  # a write is under way
        shared.fifo[1, 0] = 1
        server.send(message(b"C", b"INSERT 0 1\0") + message(b"Z", b"I"))
        shared.events[0], shared.events[EVENT_DATA] = READABLE, -1 - 1
        compiled_loop.heed_events(shared, 1)
    assert words[compiled_loop.LATE_WAKES] == free
    assert shared.finished[0] == 1  # the answer
    assert bool(shared.slots[0]["outcome"] == compiled_loop.SKIPPED) == (due == 5000.0)


def test_a_server_is_not_ready_for_what_it_has_not_been_sent() -> None:
    """Else the request could be gone from memory before it is sent."""
    shared, ready = new_shared(1, 1), message(b"Z", b"I")
    for unsent in (0, 1):
        shared.connections[0] = 0
        shared.connections[0]["unsent"], shared.connections[0]["last"] = unsent, 1
        shared.buffer[0, : len(ready)] = list(ready)
        shared.connections[0]["filled"] = len(ready)
        assert compiled_loop.take_in(shared, 0, 0.0, 0.0) == bool(unsent)
