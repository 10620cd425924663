"""The compiled loop understands answers as `wire` does, compiled and as plain Python."""

import os
import platform
import subprocess
import sys

import pytest

from loadgen.load.driver import compiled_loop
from loadgen.load.driver.loop_thread import Arrivals, LoopThread
from loadgen.load.driver.system_calls import TIME_SLICE, scheduling
from tests.answer_streams import outcomes

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
