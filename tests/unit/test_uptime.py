"""The uptime model, and how hours and days are shared out: pure arithmetic."""

from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen.costs.billing_window import Window, clock_hour, run_window
from loadgen.costs.snowflake.credits import (
    AwakeSpan,
    awake_windows,
    billed_cloud,
    metered,
    modelled,
    share_of_credits,
    split_by_size,
)
from loadgen.costs.snowflake.views import MeteredDay, MeteredHour
from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample
from loadgen.record.run import Run
from tests.snowflake_account import at

DAY = Window(at("2026-11-20T00:00:00"), at("2026-11-21T00:00:00"))


def awake_hours(spans: list[Window], window: Window) -> Decimal:
    """Return for how many hours of the window a warehouse was awake."""
    return sum((span.within(window).length for span in spans), Decimal(0)) / 3600


def every(minutes: int, seconds: int, number: int) -> list[Window]:
    """Return syncs of so many seconds."""
    starts = [DAY.start + timedelta(minutes=minutes * k) for k in range(number)]
    return [Window(start, start + timedelta(seconds=seconds)) for start in starts]


@pytest.mark.parametrize(
    ("syncs", "auto_suspend", "hours"),
    [
        (every(5, 20, 288), 60, "6.4"),  # 288 x 80 s: four times the 1.6 h of work
        (every(5, 20, 288), 600, "24"),  # never asleep between two
        (every(60, 5, 24), 30, "0.4"),  # 35 s are billed as 60
        (every(60, 5, 24), None, "24"),  # never suspends
        ([], 60, "0"),
        ([], None, "0"),
    ],
)
def test_uptime_is_work_and_idle_tail_a_minute_at_least(
    syncs: list[Window], auto_suspend: int | None, hours: str
) -> None:
    """The bill is of uptime."""
    assert awake_hours(awake_windows(syncs, auto_suspend, DAY.end), DAY) == Decimal(hours)


def test_a_tail_over_the_hour_is_shared_between_two() -> None:
    """Nothing is counted twice, nothing left out."""
    late = at("2026-11-20T10:59:30")
    spans = awake_windows([Window(late, late + timedelta(seconds=20))], 60, DAY.end)
    ten, eleven = clock_hour(at("2026-11-20T10:00:00")), clock_hour(at("2026-11-20T11:00:00"))
    assert awake_hours(spans, ten) * 3600 == 30
    assert awake_hours(spans, eleven) * 3600 == 50
    whole = awake_hours(spans, ten) + awake_hours(spans, eleven)
    assert whole == awake_hours(spans, DAY)
    sized = [AwakeSpan(span, "X-Small", Decimal(1)) for span in spans]
    assert share_of_credits(sized, clock_hour(at("2026-11-20T12:00:00")), DAY) is None


def test_a_time_awake_is_cut_where_the_size_changes() -> None:
    """An hour as X-Small and one as Small take 3 credits; a third of the two hours is the first."""
    statements = [
        (at("2026-11-20T10:00:00"), "X-Small"),
        (at("2026-11-20T10:30:00"), "X-Small"),
        (at("2026-11-20T11:00:00"), "Small"),
    ]
    whole = Window(at("2026-11-20T10:00:00"), at("2026-11-20T12:00:00"))
    credits_ = {"X-Small": Decimal(1), "Small": Decimal(2)}
    sized = [
        AwakeSpan(span, size, credits_[size]) for span, size in split_by_size([whole], statements)
    ]
    assert [span.size for span in sized] == ["X-Small", "Small"]
    assert modelled(sized, DAY).total == 3
    first = clock_hour(whole.start)
    assert share_of_credits(sized, whole, first) == Decimal(1) / 3
    unknown = [AwakeSpan(span.span, span.size, None) for span in sized]
    assert share_of_credits(unknown, whole, first) == Decimal("0.5")


def test_an_impossible_split_is_no_split() -> None:
    """More work than credits means that the column is not yet right."""
    hour = clock_hour(DAY.start)
    impossible = MeteredHour("W", hour, Decimal(1), None, Decimal("1.2"))
    assert metered([impossible], DAY, None).work is None
    assert metered([impossible], DAY, None).total == 1
    assert modelled([], DAY).total == 0


def test_the_daily_rule_never_gives_money_back() -> None:
    """Below a tenth nothing is billed; a day that is not there is not nothing."""
    day = DAY.start.date()
    rich = MeteredDay(day, Decimal(100), Decimal(1), None)
    assert billed_cloud({day: Decimal("0.5")}, {day: rich}) == {day: Decimal(0)}
    assert billed_cloud({day: Decimal("0.5")}, {}) is None
    assert billed_cloud({day: Decimal(0)}, {}) == {day: Decimal(0)}


def test_a_killed_run_is_priced_to_its_last_sample(tmp_path: Path) -> None:
    """Not to today, a week later; without a sample there is nothing better than now."""
    RunRecord(tmp_path, Run(started_at=at("2026-11-20T10:00:00"))).write()
    run = Run.of(tmp_path)
    assert run_window(run, DAY.end) == Window(at("2026-11-20T10:00:00"), DAY.end)
    names = ",".join(field.name for field in fields(Sample))
    zeros = ",".join("0" for _ in range(len(fields(Sample)) - 2))
    rows = [f"2026-11-20T10:0{k}:00.000Z,insert_order,{zeros}" for k in (1, 7)]
    (tmp_path / "samples.csv").write_text("\n".join([names, *rows, ""]))
    assert run_window(run, DAY.end) == Window(at("2026-11-20T10:00:00"), at("2026-11-20T10:07:00"))
