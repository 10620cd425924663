"""The locustfile, which also takes down how late each write began: intended less service time."""

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from locust import events

from loadgen.load import listeners
from loadgen.load.user import PostgresUser
from loadgen.workload.ledger import Ledger

__all__ = ["PostgresUser", "listeners"]

_late = array("d")
_committed, _all_committed = Ledger.committed, Ledger.all_committed


def _take_down(ledger: Ledger, operation: str, service: float, intended: float) -> None:
    _late.append(intended - service)
    _committed(ledger, operation, service, intended)


def _take_all_down(
    ledger: Ledger, operation: str, service: Sequence[float], intended: Sequence[float]
) -> None:
    _late.extend(late - own for own, late in zip(service, intended, strict=True))
    _all_committed(ledger, operation, service, intended)


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _keep(**_: Any) -> None:
    Path(os.environ["LATENESS_TO"]).write_bytes(_late.tobytes())


Ledger.committed = _take_down  # type: ignore[assignment,method-assign]
Ledger.all_committed = _take_all_down  # type: ignore[assignment,method-assign]
