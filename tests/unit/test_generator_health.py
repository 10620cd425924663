"""When a process of the load was the bottleneck, and how its seconds are counted."""

import pytest

from loadgen.load.generator_health import (
    BottleneckSeconds,
    GeneratorHealth,
    late_after,
    p99,
    worst_figures,
)

HEALTHY = GeneratorHealth(
    begin=100,
    end=101,
    lag_p99=0.001,
    lag_max=0.002,
    cpu_ratio=0.3,
    busy_ratio=0.4,
    late_wakes=0,
    overdue=False,
)
STALLED = HEALTHY._replace(lag_max=0.4, late_wakes=1)


@pytest.mark.parametrize(
    ("changed", "bottleneck"),
    [
        ({}, False),
        ({"late_wakes": 1}, True),  # late to a connection that was idle
        ({"overdue": True}, False),  # all connections waited for the source
        ({"overdue": True, "busy_ratio": 0.95}, True),  # it never rested itself
        ({"overdue": True, "cpu_ratio": 0.99, "busy_ratio": 0.9}, False),
        ({"busy_ratio": 1.0, "cpu_ratio": 1.0}, False),  # busy, and nothing was late for it
        ({"lag_max": 2.0, "lag_p99": 2.0}, False),  # it stalled while nothing was due
    ],
)
def test_late_arrivals_and_a_cause_of_its_own_make_a_bottleneck(
    changed: dict[str, object], bottleneck: bool
) -> None:
    """Neither being busy nor arrivals that wait for the source are enough."""
    assert HEALTHY._replace(**changed).bottleneck() is bottleneck  # type: ignore[arg-type]


def test_a_second_is_counted_once_for_all_processes() -> None:
    """Several processes, a second that comes again, and a stall of several seconds."""
    marks = BottleneckSeconds()
    assert marks.add([HEALTHY]) == 0
    assert marks.add([STALLED, STALLED, HEALTHY]) == 1
    assert marks.add([STALLED._replace(begin=99, end=103)]) == 3
    assert marks.add([STALLED._replace(begin=102, end=104)]) == 1
    assert marks.add([]) == 0


def test_what_is_remembered_does_not_grow() -> None:
    """Two days of marked seconds are counted and forgotten."""
    marks = BottleneckSeconds()
    day = [STALLED._replace(begin=s, end=s + 1) for s in range(5000)]
    assert sum(marks.add([health]) for health in day) == 5000
    assert len(marks._seconds) <= 600


def test_the_worst_of_each_figure_is_kept() -> None:
    """The record holds the worst process for each figure on its own."""
    found = worst_figures([HEALTHY, STALLED._replace(cpu_ratio=0.1, busy_ratio=0.2)])
    assert found == {
        "loop_lag_p99": 0.001,
        "loop_lag_max": 0.4,
        "cpu_ratio": 0.3,
        "busy_ratio": 0.4,
    }


def test_one_hiccup_in_a_second_is_not_its_p99() -> None:
    """The second's one worst tick is its maximum; p99 is the next one."""
    assert p99([0.001] * 95 + [0.5]) == 0.001
    assert p99([]) == 0.0


@pytest.mark.parametrize(("limit", "late"), [(1.0, 0.1), (0.1, 0.05), (60.0, 0.1)])
def test_late_is_before_skipped(limit: float, late: float) -> None:
    """An arrival is late before it is given up, however short the limit."""
    assert late_after(limit) == late
