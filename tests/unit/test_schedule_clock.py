"""Schedule time stands still in a pause; loops that follow it must not run hot meanwhile."""

import pytest

from loadgen.workload.schedule.clock import ScheduleClock, sampling_interval, seconds_to_next


class Monotonic:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


def turns(clock: ScheduleClock, monotonic: Monotonic, until: float, interval: float) -> list[float]:
    """Return the schedule time of each turn of a loop that follows the clock, like the sampler."""
    seen: list[float] = []
    before, now = -1.0, clock.now()
    while monotonic.seconds < until:
        monotonic.seconds += seconds_to_next(now, before, interval)
        before, now = now, clock.now()
        seen.append(now)
        assert len(seen) < 10_000, "it spins"
    return seen


@pytest.mark.parametrize("paused_at", [3.0, 3.1, 3.93, 3.999999])
@pytest.mark.parametrize("interval", [1.0, 10.0])
def test_a_pause_has_no_more_turns_than_the_same_time_without_one(
    paused_at: float, interval: float
) -> None:
    """Paused at 3.93 s, the next whole second is 0.07 s away for as long as the pause lasts."""
    monotonic = Monotonic()
    clock = ScheduleClock(monotonic, zero=0.0)
    clock.pause(paused_at)
    assert len(turns(clock, monotonic, 600.0, interval)) <= 600 / interval + 2
    clock.resume(monotonic.seconds)
    after = turns(clock, monotonic, monotonic.seconds + 60.0, interval)
    assert after[0] == pytest.approx((paused_at // interval + 1) * interval)
    assert after[1:] == pytest.approx([after[0] + interval * n for n in range(1, len(after))])


def test_a_long_pause_is_sampled_as_rarely_as_a_long_run() -> None:
    """Schedule time may still be within the first ten minutes when two days have passed."""
    assert [sampling_interval(s) for s in (0.0, 599.0, 600.0, 48 * 3600.0)] == [1, 1, 10, 10]


def test_schedule_time_and_elapsed_time_are_of_one_moment() -> None:
    """A machine that stands still between two readings would end a resumed run too early."""
    monotonic = Monotonic()

    def slow() -> float:
        monotonic.seconds += 0.02
        return monotonic.seconds

    clock = ScheduleClock(slow)
    clock.start(zero=1.0, elapsed=30.0)  # it was paused before for so long
    for _ in range(3):
        s, elapsed = clock.moment()
        assert elapsed - s == pytest.approx(30.0)
    clock.pause(clock.now() + 1.0)
    monotonic.seconds += 9.0
    s, elapsed = clock.moment()
    assert s == clock.pause_at
    assert elapsed == pytest.approx(monotonic.seconds - 1.0 + 30.0)
