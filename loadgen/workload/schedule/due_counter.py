"""How many arrivals of an operation are due by a schedule time, of all processes together."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadgen.workload.schedule.arrival_process import BLOCK, TICKS, ArrivalProcess, Checkpoint
from loadgen.workload.schedule.rate_curve import RateCurve

_STEP: Final = 2**16  # arrivals between two checkpoints that are kept


class DueCounter:
    """Counts the arrivals of a process, by a rate curve that may still change.

    Quick for times that ascend. The answer is the same in every process that knows the same
    changes of the rate.
    """

    __slots__ = ("_checkpoints", "_end", "_k", "_process", "_rate_curve", "_ticks", "_times")

    _times: Sequence[float]  # in unit time, of the block that begins with arrival _k
    _ticks: int  # before it
    _end: Checkpoint  # behind it

    def __init__(self, process: ArrivalProcess, rate_curve: RateCurve) -> None:
        self._process = process
        self._rate_curve = rate_curve
        self._checkpoints: list[Checkpoint] = [(0, 0)]
        self._go_to((0, 0))

    def counts(self, times: Sequence[float]) -> NDArray[np.int64]:
        """Return how many arrivals are due by each of some schedule times."""
        unit_time = self._rate_curve.unit_time
        return np.array([self._count(unit_time(s)) if s > 0 else 0 for s in times], np.int64)

    def _count(self, unit_time: float) -> int:
        if self._process.kind == "poisson":
            ticks = unit_time * TICKS
            if ticks < self._ticks:
                at = bisect_right(self._checkpoints, ticks, key=lambda place: place[1])
                self._go_to(self._checkpoints[at - 1])
            while unit_time >= self._times[-1]:
                self._go_to(self._end)
        else:
            # Arrival k lies between k and k + 1.
            first = int(unit_time) // BLOCK * BLOCK
            if first != self._k:
                self._go_to((first, 0))
        return self._k + bisect_right(self._times, unit_time)

    def _go_to(self, checkpoint: Checkpoint) -> None:
        self._k, self._ticks = checkpoint
        self._times, _, after = self._process.unit_times(checkpoint)
        self._end = self._k + len(self._times), after[-1]
        if self._k - self._checkpoints[-1][0] >= _STEP:
            self._checkpoints.append(checkpoint)
