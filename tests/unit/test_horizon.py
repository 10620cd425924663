"""The newest marker that a copy shows proves which other changes it must have."""

from datetime import UTC, datetime

from loadgen.source.markers import Marker
from loadgen.verify.horizon import Horizon, horizon_of

AT = datetime(2026, 11, 23, 7, tzinfo=UTC)
# Sequence, horizon, age: one a minute, the newest just written.
MARKERS = [Marker(n, AT, 100 * n, 300.0 - 60 * n) for n in range(1, 6)]


def shown(sequence: int, *, seconds: float = 0.0, in_order: bool = False) -> Horizon:
    """Return the horizon of a copy that shows the markers up to a sequence."""
    found = horizon_of(MARKERS, sequence, round_seconds=seconds, in_order=in_order)
    assert found is not None
    return found


def test_transactions_in_order_are_proven_by_the_newest_marker() -> None:
    """All that ended before it is there, in every table."""
    assert shown(4, in_order=True).xid == 400
    assert shown(4, seconds=900, in_order=True).xid == 400


def test_table_by_table_it_takes_a_marker_of_an_earlier_round() -> None:
    """The one before at the least, and as much older as a round may take."""
    assert shown(4).xid == 300
    assert shown(4, seconds=60).xid == 300
    assert shown(4, seconds=61).xid == 200
    assert shown(4, seconds=900).xid == 0
    assert shown(1).xid == 0


def test_a_copy_without_a_marker_proves_nothing() -> None:
    """Such a copy lacks all markers; a copy that shows all markers lacks none."""
    assert shown(0) == Horizon(0, 240.0, 0.0)
    assert shown(0, in_order=True).xid == 0
    assert shown(3).lacking_seconds == 60.0
    assert shown(5).lacking_seconds is None


def test_markers_that_tell_no_horizon_decide_nothing() -> None:
    """Those of an older loadgen have none."""
    old = [Marker(n, AT) for n in (1, 2)]
    assert horizon_of(old, 2, round_seconds=0, in_order=True) is None
    assert horizon_of([], 0, round_seconds=0, in_order=True) is None
    mixed = horizon_of([*old, Marker(3, AT, 7, 1.0)], 3, round_seconds=0, in_order=False)
    assert mixed is not None
    assert mixed.xid == 0
