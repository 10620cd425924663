"""The locustfile, which also takes down how late each write began: intended less service time."""

import os
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from locust import events
from numpy.typing import NDArray

from loadgen.load import listeners
from loadgen.load.user import PostgresUser
from loadgen.workload.ledger import Ledger

__all__ = ["PostgresUser", "listeners"]

_late = array("d")
_committed = Ledger.committed


def _take_down(ledger: Ledger, operation: str, service: float, intended: float) -> None:
    _late.append(intended - service)
    _committed(ledger, operation, service, intended)


Ledger.committed = _take_down  # type: ignore[assignment,method-assign]

if os.environ.get("LOAD_LOOP") == "compiled":  # its usual writes are counted elsewhere
    from loadgen.load.driver.compiled_loop import ONE_ROW_EACH
    from loadgen.load.driver.loop_thread import LoopThread

    _collect = LoopThread.collect

    def _collect_and_take_down(thread: LoopThread[Any]) -> NDArray[np.int64]:
        shared, before = thread.shared, thread.finished
        slots = _collect(thread)
        ring = np.arange(before, thread.finished) & (len(shared.finished) - 1)
        done = shared.slots[shared.finished[ring]]
        done = done[done["outcome"] == ONE_ROW_EACH]
        late = done["ended_at"] - done["due"] - (done["ended"] - done["began"])
        _late.extend(late.tolist())
        return slots

    LoopThread.collect = _collect_and_take_down  # type: ignore[assignment,method-assign]


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _keep(**_: Any) -> None:
    Path(os.environ["LATENESS_TO"]).write_bytes(_late.tobytes())
