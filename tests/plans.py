"""A plan as a process receives it, for tests of the run that follows."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from loadgen.config.settings import Settings
from loadgen.workload.model import WorkloadModel
from loadgen.workload.operations import operations_of
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.arrival_process import ArrivalKind
from loadgen.workload.schedule.plan import Mix, Plan, packed_bits

OPERATIONS: Final = operations_of(Settings())
SHOP: Final = read_model("shop")
KEY_TYPES: Final = {
    "users.id": "bigint",
    "orders.id": "bigint",
    "orders.order_number": "uuid",
    "events.event_id": "uuid",
}


def plan_of(users: int = 1000, used_up: int = 0) -> Plan:
    """Return a plan of the shop: even arrivals, one an hour of each operation.

    The source has so many users, of which the first `used_up` of the once-sequence are gone.
    """
    return run_plan(
        Mix(dict.fromkeys(OPERATIONS, 1.0)),
        kind="even",
        users=users,
        once_used={"users": packed_bits(np.ones(used_up, np.bool_))},
    )


def run_plan(
    mix: Mix,
    *,
    run_id: str = "run",
    kind: ArrivalKind = "jitter",
    duration: float = 60.0,
    users: int = 1000,
    once_used: Mapping[str, str] | None = None,
    resumption: str = "",
) -> Plan:
    """Return the plan of a run of the shop."""
    return Plan(
        run_id=run_id,
        seed=1,
        arrivals=kind,
        profile="steady",
        mix=mix,
        duration=duration,
        lateness_limit=1.0,
        workload=SHOP.digest,
        settings={"event_bytes": 300, "hot_users": None},
        baseline_seed=1,
        baseline_end="2026-11-29T00:00:00+00:00",
        baseline_rows={"users": users, "orders": 100, "events": 100},
        key_types=KEY_TYPES,
        first_keys={},
        once_used=once_used or {"users": ""},
        resumption=resumption,
    )


def plan_for(model: WorkloadModel, **parts: object) -> Plan:
    """Return a plan of any workload: even arrivals, 3600 an hour, and a baseline of its rows."""
    mix = Mix(dict.fromkeys(model.operations, 3600.0))
    made = {
        "workload": model.digest,
        "baseline_seed": 1,
        "baseline_end": "2026-11-29T00:00:00+00:00",
        "baseline_rows": {table.name: table.rows for table in model.tables.values()},
        **parts,
    }
    return Plan("run", 1, "even", "steady", mix, 60.0, 1.0, **made)  # type: ignore[arg-type] # a test's own parts


def unit(draw: int) -> float:
    """Return the uniform float in [0, 1) of one 64-bit draw."""
    return (draw >> 11) * 2.0**-53
