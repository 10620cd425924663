"""A plan as a process is given one, for tests of what it makes of it."""

from typing import Final

from loadgen.config.settings import Settings
from loadgen.workload.operations import operations_of
from loadgen.workload.schedule.plan import Mix, Plan

OPERATIONS: Final = operations_of(Settings())


def plan_of(users: int, lowest_deleted_rank: int) -> Plan:
    """Return a plan of even arrivals, one an hour of each operation, against so many users."""
    return Plan(
        run_id="run",
        seed=1,
        arrivals="even",
        profile="steady",
        mix=Mix(dict.fromkeys(OPERATIONS, 1.0)),
        duration=60,
        lateness_limit=1,
        event_bytes=300,
        hot_users=None,
        users=users,
        lowest_deleted_rank=lowest_deleted_rank,
    )


def unit(draw: int) -> float:
    """Return the uniform float in [0, 1) of one 64-bit draw."""
    return (draw >> 11) * 2.0**-53
