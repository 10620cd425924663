"""Profiles are exact: integral and inverse undo each other, and an hour asked is an hour done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.workload.schedule.rate_curve import PROFILES, ProfileName

NAMES: tuple[ProfileName, ...] = ("steady", "diurnal", "burst", "ramp")
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


@pytest.mark.parametrize(("name", "period"), [("steady", 3600), ("diurnal", WEEK), ("burst", 600)])
def test_the_long_run_mean_is_one(name: ProfileName, period: float) -> None:
    """Over its period a profile delivers what was asked for."""
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
