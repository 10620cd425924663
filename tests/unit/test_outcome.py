"""A run is trusted only if nothing speaks against it, and each thing that does is said."""

from loadgen.workload.ledger import Counts
from loadgen.workload.mix import OPERATIONS
from loadgen.workload.outcome import by_operation, plain_totals, problems_of

BEFORE = {
    "users": {"rows": 10, "version_sum": 1},
    "orders": {"rows": 5, "version_sum": 2},
    "events": {"rows": 7},
}
AFTER = {
    "users": {"rows": 10, "version_sum": 2},
    "orders": {"rows": 8, "version_sum": 6},
    "events": {"rows": 9},
}
COMMITTED = dict(zip(OPERATIONS, (3, 2, 4, 1), strict=True))


def totals(**changed: Counts) -> dict[str, Counts]:
    """Return totals that agree with the rows, but for what is changed."""
    return {name: Counts(n, n) for name, n in COMMITTED.items()} | changed


def test_a_sound_run_has_no_problems() -> None:
    """Counters equal rows, the law held, nothing is unknown."""
    assert problems_of(totals(), 0, BEFORE, AFTER) == []


def test_each_reason_for_doubt_is_said() -> None:
    """A broken law, unknown writes, other rows and an unreadable source are each a line."""
    doubtful = totals(insert_event=Counts(4, 1, unknown=2, in_flight=1))
    said = problems_of(doubtful, 4, BEFORE, AFTER)
    assert said == [
        "the accounting law was broken in 4 samples",
        "2 writes could not be looked up and stay unknown",
        "1 writes had no answer when the run was closed",
        "insert_event: 1 committed, but the tables gained 2",
    ]
    assert problems_of(totals(), 0, BEFORE, None, "it is frozen") == [
        "the source could not be read at the end (it is frozen): rows are not compared"
    ]


def test_the_record_holds_plain_values() -> None:
    """Totals and failures become what run.json says."""
    assert plain_totals(Counts(5, 1, 1, 1, 1, 1)) == {
        "offered": 5,
        "committed": 1,
        "failed": 1,
        "skipped": 1,
        "unknown": 1,
    }
    failures = {("insert_order", "40001"): 2, ("insert_order", "08006"): 1}
    assert by_operation(failures) == {"insert_order": {"08006": 1, "40001": 2}}
