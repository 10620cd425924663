"""Broken connections: outages are reported with their length, refusals if they last."""

from dataclasses import dataclass, field

import pytest

from loadgen.load.connection_tracker import ConnectionTracker


@dataclass
class Told:
    """Keeps the reported faults, at a time that the test moves."""

    now: float = 0.0
    faults: list[dict[str, object]] = field(default_factory=list)

    def __call__(self, kind: str, details: dict[str, object]) -> None:
        """Keep a fault."""
        assert kind == "fault"
        self.faults.append(details)


@pytest.fixture
def told() -> Told:
    """Return the recorder of faults."""
    return Told()


@pytest.fixture
def connections(told: Told) -> ConnectionTracker:
    """Return two open connections."""
    made = ConnectionTracker("postgresql://h/d", "run", told, lambda: told.now)
    made.opened(1, again=False)
    made.opened(2, again=False)
    return made


def test_one_of_several_is_no_outage(connections: ConnectionTracker, told: Told) -> None:
    """The new connection is counted as a reconnect, and no fault is reported."""
    connections.lost(1, "57P01")
    connections.opened(3, again=True)
    assert (connections.open, connections.reconnects, told.faults) == ({2, 3}, 1, [])


def test_an_outage_is_told_with_its_length_and_the_last_refusal(
    connections: ConnectionTracker, told: Told
) -> None:
    """From the loss of the last connection to the first that is open again; once each."""
    connections.lost(1, "57P01")
    connections.lost(2, "08006")
    told.now = 3.5
    connections.refused("the server is starting")
    told.now = 90.0
    connections.refused("no connection is free")
    connections.opened(3, again=True)
    connections.opened(4, again=True)
    assert told.faults == [
        {"what": "source_lost", "why": "08006"},
        {"what": "source_back", "seconds": 90.0, "why": "no connection is free"},
    ]
    assert connections.reconnects == 2


def test_a_user_that_closes_its_connection_loses_nothing(
    connections: ConnectionTracker, told: Told
) -> None:
    """At the end of a run all are closed, and that is no fault."""
    connections.closed(1)
    connections.closed(2)
    assert (connections.open, told.faults) == (set(), [])


def test_a_refusal_that_lasts_is_told_once_a_minute(
    connections: ConnectionTracker, told: Told
) -> None:
    """Where only some connections can be had, the others are not missed in silence."""
    for second in range(70):
        told.now = float(second)
        connections.refused("no connection is free")
    refusal = {"what": "connection_refused", "why": "no connection is free", "connections": 2}
    assert told.faults == [refusal, refusal]


def test_a_refusal_that_passes_is_not_told(connections: ConnectionTracker, told: Told) -> None:
    """A connection that opens ends it."""
    for second in range(0, 60, 3):
        told.now = float(second)
        connections.refused("no connection is free")
        connections.opened(10 + second, again=False)
    assert told.faults == []
