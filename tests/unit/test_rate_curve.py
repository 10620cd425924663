"""Profiles are exact: integral and inverse undo each other, and an hour's rate is delivered."""

from math import nextafter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loadgen.workload.model import ProfileLevels
from loadgen.workload.schedule.rate_curve import ProfileName, profiles_of

OWN = ProfileLevels(3600.0, (3.0, 1.0, 0.5, 1.5))
PROFILES = profiles_of(OWN)
NAMES: tuple[ProfileName, ...] = ("steady", "diurnal", "burst", "ramp", "workload")
names = st.sampled_from(NAMES)
WEEK = 7 * 86_400


@given(name=names, s=st.floats(0, 4 * WEEK))
def test_the_inverse_undoes_the_integral(name: ProfileName, s: float) -> None:
    """The time at which an area is reached is the time that made it."""
    shape = PROFILES[name]
    assert shape.inverse(shape.integral(s)) == pytest.approx(s, abs=1e-5)


@given(name=names, s=st.floats(0, 2 * WEEK), step=st.floats(0.001, 100))
def test_the_integral_grows_as_the_level_says(name: ProfileName, s: float, step: float) -> None:
    """Between two times the integral grows by no more and no less than the levels there allow."""
    shape = PROFILES[name]
    grown = shape.integral(s + step) - shape.integral(s)
    levels = [shape.level(s + step * i / 50) for i in range(51)]
    slack = 1e-6 + 0.05 * step
    assert min(levels) * step - slack <= grown <= max(levels) * step + slack


@pytest.mark.parametrize(
    ("name", "period"),
    [("steady", 3600), ("diurnal", WEEK), ("burst", 600), ("workload", 4 * 3600)],
)
def test_the_long_run_mean_is_one(name: ProfileName, period: float) -> None:
    """Over its period a profile delivers the requested rate."""
    assert PROFILES[name].integral(3 * period) == pytest.approx(3 * period)


def test_a_working_day_is_busier_than_night_and_week_end() -> None:
    """The diurnal profile begins on a Monday midnight."""
    day = PROFILES["diurnal"]
    assert day.level(11 * 3600) > 4 * day.level(3 * 3600)
    assert day.level(5 * 86_400 + 11 * 3600) < 0.7 * day.level(11 * 3600)


def test_a_burst_is_several_times_the_quiet_rate() -> None:
    """The burst profile has its burst."""
    burst = PROFILES["burst"]
    assert burst.level(300) == pytest.approx(10 * burst.level(60))


@given(
    every=st.floats(1, 90_000),
    levels=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=48),
    turn=st.integers(0, 50),
)
def test_each_part_of_a_workload_has_its_share(
    every: float, levels: list[float], turn: int
) -> None:
    """The integral over a part is its level by the sum of all, in each turn; the mean is 1."""
    assume(any(levels))
    own = profiles_of(ProfileLevels(every, tuple(levels)))["workload"]
    period = every * len(levels)
    for i, level in enumerate(levels):
        part = own.integral(turn * period + (i + 1) * every) - own.integral(
            turn * period + i * every
        )
        assert part == pytest.approx(level / sum(levels) * period, rel=1e-6, abs=1e-7 * period)
    assert own.integral((turn + 1) * period) == pytest.approx((turn + 1) * period)


@given(
    levels=st.lists(st.sampled_from((0.0, 1.0, 7.0)), min_size=1, max_size=24),
    share=st.floats(0, 20),
)
def test_a_step_has_one_inverse(levels: list[float], share: float) -> None:
    """Nothing falls due in a part of level 0, and the instant of each area makes that area."""
    assume(any(levels))
    own = profiles_of(ProfileLevels(60.0, tuple(levels)))["workload"]
    area = share * 60.0 * len(levels)
    s = own.inverse(area)
    assert own.integral(s) == pytest.approx(area, abs=1e-6)
    later = own.inverse(area + 1e-3)
    assert later > s


def test_a_turn_begins_where_rounding_puts_it() -> None:
    """The last instant before a period's end, and the areas about it, are in order."""
    own = PROFILES["workload"]
    period = 4 * 3600.0
    for turn in range(1, 2000):
        at = nextafter(turn * period, 0)
        assert own.integral(at) == pytest.approx(turn * period)
        assert own.inverse(nextafter(own.integral(turn * period), 0)) == pytest.approx(at)
