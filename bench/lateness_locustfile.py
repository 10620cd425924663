"""The locustfile, which also takes down how late each write began: intended less service time."""

import os
from array import array
from pathlib import Path
from typing import Any

from locust import events

from loadgen.load import listeners
from loadgen.load.user import PostgresUser
from loadgen.workload.ledger import Ledger

__all__ = ["PostgresUser", "listeners"]

_late = array("d")
_committed = Ledger.committed


def _take_down(ledger: Ledger, operation: str, service: float, intended: float) -> None:
    _late.append(intended - service)
    _committed(ledger, operation, service, intended)


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _keep(**_: Any) -> None:
    Path(os.environ["LATENESS_TO"]).write_bytes(_late.tobytes())


Ledger.committed = _take_down  # type: ignore[assignment,method-assign]
