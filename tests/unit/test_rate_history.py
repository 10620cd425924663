"""The rates of a run over time, which the Load tab charts and the terminal shows."""

from loadgen.load.rate_history import RateHistory, Rates


def filled(*samples: tuple[float, float, int, int]) -> RateHistory:
    """Return a history of these samples."""
    history = RateHistory()
    for sample in samples:
        history.add(*sample)
    return history


def test_rates_are_differences_over_the_last_seconds() -> None:
    """Not since the start: a change of rates shows within seconds."""
    history = filled(*((float(s), 2.0 * s, 2 * s, s) for s in range(11)))
    assert history.newest() == Rates(10, 2, 2, 1)
    for s in range(11, 21):
        history.add(float(s), 20 + 10.0 * (s - 10), 20 + 10 * (s - 10), 10)
    assert history.newest() == Rates(20, 10, 10, 0)
    assert len(history.rates()) == 20


def test_one_sample_has_no_rate() -> None:
    """Nor has a second one at the same time."""
    history = filled((1.0, 1.0, 1, 1), (1.0, 2.0, 2, 2))
    assert history.newest() is None
    assert history.rates() == []


def test_two_days_stay_few_points_that_reach_back_to_the_start() -> None:
    """As many as a chart can show; the sums of the rates remain those of the counts."""
    seconds = [*range(600), *range(600, 2 * 86_400, 10)]
    history = filled(*((float(s), 3.0 * s, 3 * s, 2 * s) for s in seconds))
    points = history.rates()
    assert 150 <= len(points) <= 400
    assert points[0].seconds < 1_000
    assert points[-1].seconds == seconds[-1]
    assert {(point.target, point.offered, point.committed) for point in points} == {(3, 3, 2)}
