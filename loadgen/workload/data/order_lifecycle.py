"""How orders go on after they were placed: the life cycle over hours and days.

A few thousand lives are made once; an order takes one of them and shifts it by some seconds.
Pure: the same lives everywhere and for every seed.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import shake_128
from struct import unpack
from typing import Final

from loadgen.workload.data.synthetic import next_status

LIVES: Final = 4096

_MINUTE_US: Final = 60_000_000
# How long an order stays before it goes on to a status: at least, and at most that much more.
_STAYS_MINUTES: Final = {
    "paid": (1, 600),
    "cancelled": (30, 2880),
    "shipped": (180, 4320),
    "delivered": (1200, 8640),
    "refunded": (600, 14400),
}
_STEPS: Final = 4  # pending, paid, shipped, delivered, refunded


@dataclass(frozen=True, slots=True)
class Change:
    """An order's status from `after_us` microseconds after it was placed; the n-th is version n."""

    after_us: int
    status: bytes
    version: int


Life = tuple[Change, ...]
PLACED: Final = Change(0, b"pending", 0)


def state(life: Life, age_us: int) -> Change:
    """Return how an order of this life stands at the age of `age_us`."""
    for change in life:
        if change.after_us <= age_us:
            return change
    return PLACED


@cache
def lives() -> tuple[Life, ...]:
    """Return LIVES lives, each with its changes from the last to the first."""
    drawn = unpack(f"<{LIVES * _STEPS}Q", shake_128(b"lives of orders").digest(LIVES * _STEPS * 8))
    return tuple(_life(drawn[i : i + _STEPS]) for i in range(0, len(drawn), _STEPS))


def _life(draws: tuple[int, ...]) -> Life:
    status, after_us = "pending", 0
    changes: list[Change] = []
    for version, draw in enumerate(draws, start=1):
        following = next_status(status, (draw & 0xFFFF) / 0x10000)
        if following is None:
            break
        least, spread = _STAYS_MINUTES[following]
        # The product of two uniform numbers: short stays are much more common than long ones.
        share = (draw >> 16 & 0xFFFF) * (draw >> 32 & 0xFFFF)
        after_us += (least << 32) * _MINUTE_US + spread * share * _MINUTE_US >> 32
        status = following
        changes.append(Change(after_us, status.encode(), version))
    return tuple(reversed(changes))
