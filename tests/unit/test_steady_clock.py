"""The record's clock: steps of the machine's clock are reported and do not change its times."""

from datetime import UTC, datetime, timedelta

import pytest

from loadgen.record import steady_clock
from loadgen.record.run import SampleCoverage
from loadgen.record.steady_clock import SteadyClock
from loadgen.workload.schedule.clock import sample_coverage

BEGAN = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


class Machine:
    """A machine whose clock the test sets."""

    def __init__(self) -> None:
        self.passed, self.offset = 100.0, 0.0

    def now(self, _: object) -> datetime:
        """Return what its clock shows."""
        return BEGAN + timedelta(seconds=self.passed + self.offset)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine of the test's own."""
    made = Machine()
    monkeypatch.setattr(steady_clock, "passed", lambda: made.passed)
    monkeypatch.setattr(steady_clock, "datetime", made)
    return made


@pytest.mark.parametrize("step", [3600.0, -3600.0, 0.7])
def test_a_step_is_told_once_and_moves_nothing(machine: Machine, step: float) -> None:
    """After a step forward or back, the record's times continue second by second."""
    clock = SteadyClock()
    began = clock.now()
    machine.passed += 5
    assert clock.step() == 0
    machine.offset = step
    machine.passed += 5
    assert clock.now() - began == timedelta(seconds=10)
    assert (clock.step(), clock.step()) == (step, 0)


def test_drift_is_no_step(machine: Machine) -> None:
    """Small changes at each reading add up to seconds in two days, but are no step."""
    clock = SteadyClock()
    for _ in range(100):
        machine.offset += 0.1
        assert clock.step() == 0


def test_a_resumed_run_goes_on_behind_its_last_time(machine: Machine) -> None:
    """This matters if the clock was set back between a kill and the resumption."""
    last = machine.now(UTC) + timedelta(hours=1)
    clock = SteadyClock(not_before=last)
    assert clock.now() == last
    assert SteadyClock(not_before=last - timedelta(hours=2)).now() == machine.now(UTC)


def test_what_was_sampled() -> None:
    """Samples by their times, and how long none was taken when one was due."""
    times = [BEGAN + timedelta(seconds=s) for s in (1, 1, 2, 3, 17, 18, 610, 620, 630, 660)]
    assert sample_coverage([]) == SampleCoverage(samples=0, seconds_without=0.0)
    assert sample_coverage(times[:4]) == SampleCoverage(samples=3, seconds_without=0.0)
    # 14 s, 592 s and 30 s lie between two samples that should be 1 s, 1 s and 10 s apart.
    assert sample_coverage(times) == SampleCoverage(samples=9, seconds_without=13 + 591 + 20)
