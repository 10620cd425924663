"""What each runner of this project can do, step by step, and whether its copy shows torn reads.

tests/integration/test_runner_conformance.py performs the steps on every runner, and fails if one
can do less than is said here, or more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HARD_DELETES: Final = "hard deletes arrive"
KEEPS_WAL: Final = "its slot keeps WAL while it is stopped"
STEPS: Final = (
    "is installed by `loadgen tools install`",
    "first copy, and when it is done",
    "inserts and updates arrive",
    HARD_DELETES,
    "position: all commits up to it have arrived",
    KEEPS_WAL,
    "continues from there when started again",
    "continues after a restart of the source",
    "continues after an outage of its destination",
    "killed by SIGKILL: continues when started again",
    "removed: no slot, process or copy is left",
)
NO_TORN_READ: Final = "none: whole transactions"
TORN_BY_TABLE: Final = "many: tables read one by one"
TORN_FOR_A_MOMENT: Final = "few: files written one by one"


@dataclass(frozen=True, slots=True)
class Abilities:
    """The steps that a runner can't do, and which torn reads to expect while writes go on."""

    torn_reads: str
    cannot: frozenset[str] = frozenset()


ABILITIES: Final[Mapping[str, Abilities]] = {
    "replication": Abilities(NO_TORN_READ),
    "dlt": Abilities(TORN_BY_TABLE, frozenset({HARD_DELETES, KEEPS_WAL})),
    "rivet": Abilities(TORN_FOR_A_MOMENT),
    "simplyload": Abilities(NO_TORN_READ),
}
