"""The soak that kills workers: a counter that falls is seen."""

from bench.kills import falls


def test_a_counter_that_falls_is_named() -> None:
    """Each sample that is lower than the one before it is found; what stays or rises is fine."""
    good = {"metric": {"__name__": "a_total"}, "values": [[1, "0"], [2, "0"], [3, "1e3"]]}
    bad = {"metric": {"__name__": "b_total"}, "values": [[1, "10"], [2, "9"], [3, "9.5"]]}
    assert not falls([good])
    (found,) = falls([good, bad])
    assert "b_total" in found
    assert "10 then 9 at 2" in found
