"""The basis of prices: distinct rows as the load's own code touches them, row sizes, ranges."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import fmean

import pytest

from loadgen.config.settings import Settings
from loadgen.costs import what_if
from loadgen.costs.active_rows import (
    OPEN_ROWS_LIMIT,
    Draws,
    LifeCycle,
    open_rows,
    touched_older_rows,
    touched_rows,
)
from loadgen.costs.cards import load_cards, parse_card
from loadgen.costs.estimate import PlanPrice
from loadgen.costs.lines import Unavailable
from loadgen.costs.usage import USAGE_FILE, read_reported
from loadgen.costs.vendors import PriceChoice, VendorPrices, sync_intervals
from loadgen.costs.workload import Workload, planned_workload, workload_of
from loadgen.errors import SettingsError
from loadgen.load.columns import value_makers
from loadgen.load.state_machine import ROWS_LIMIT, StateRow
from loadgen.load.writes import writes_of
from loadgen.record.costs import CostLine, ReportedUsage, Total
from loadgen.record.folder import RunRecord
from loadgen.record.rows import MarkerSample
from loadgen.record.run import Run
from loadgen.tools.tools_file import parse_tools
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.schedule.shards import WHOLE
from loadgen.workload.values import ValueMakers
from tests.plans import SHOP, plan_of
from tests.records import START, Made, write_run

DAY = date(2026, 11, 23)
RATES = {
    "insert_order": 50.0,
    "insert_event": 200.0,
    "update_order_status": 40.0,
    "soft_delete_user": 1.0,
}


def workload(hot_rows: int | None = None) -> Workload:
    """Return the shop at the default rates."""
    return replace(planned_workload(Settings(seed=1)), hot_rows=hot_rows)


def older_orders(orders: int) -> tuple[tuple[str, int], ...]:
    """Return how many of the shop's orders are open, by status."""
    rows = {"users": 1000, "orders": orders, "events": 0}
    makers = ValueMakers(SHOP, 1, rows, datetime(2026, 11, 23, tzinfo=UTC), {})
    return open_rows(SHOP.tables["orders"], makers)


def touched_by_the_load(older: int, inserts: int, updates: int) -> int:
    """Return how many of the older orders the load's own code updates, its arrivals in turn."""
    plan = plan_of()
    known = tuple(StateRow(b"old-%d" % n, "paid", 1) for n in range(older))
    makers, schedule = value_makers(SHOP, plan), schedule_of(plan, WHOLE)
    made, touched = writes_of(SHOP, plan, makers, schedule, {"orders": known}), set()

    def perform(operation: str, k: int) -> str:
        (ahead,) = made.compiled[operation].make([k], [0.0])
        write = made.write((0.0, operation, k, ahead))
        if write is None:
            return ""
        made.committed(write)
        return made.key(write)

    inserted = 0
    for k in range(updates):
        while inserted < inserts * (k + 1) // updates:
            perform("insert_order", inserted)
            inserted += 1
        touched.add(perform("update_order_status", k))
    return sum(key.startswith("old-") for key in touched)


@pytest.mark.parametrize(
    ("orders", "inserts", "updates"),
    [(5_000, 3_000, 2_000), (50_000, 2_000, 4_000), (500_000, 20_000, 6_000)],
)
def test_older_rows_are_touched_as_the_load_touches_them(
    orders: int, inserts: int, updates: int
) -> None:
    """The estimate's simulation agrees with the operations that a run performs."""
    states, older = SHOP.tables["orders"].states, older_orders(orders)
    assert states is not None
    real = touched_by_the_load(sum(number for _, number in older), inserts, updates)
    played = touched_older_rows(LifeCycle.of(states), older, inserts, updates, seed=7)
    assert played.low <= played.likely <= played.high
    assert real > 10
    assert real == pytest.approx(played.likely, rel=0.12)


def test_open_orders_are_bounded_and_grow_with_the_baseline() -> None:
    """None of nothing, some of some, and never more than a process keeps."""
    assert older_orders(0) == ()
    few = dict(older_orders(5_000))
    assert few.keys() == {"pending", "paid", "shipped"}
    assert 0 < sum(few.values()) < 500
    many = sum(number for _, number in older_orders(2_000_000))
    assert many == pytest.approx(OPEN_ROWS_LIMIT, abs=2)
    assert OPEN_ROWS_LIMIT == ROWS_LIMIT  # the load's own


def test_updates_that_return_touch_no_more_rows_than_there_are() -> None:
    """One row is one however often; many updates touch all of few rows; few as drawing shows."""
    assert touched_rows([Draws(5, 1, 3)]) == pytest.approx(1)
    assert touched_rows([Draws(1_000_000, 100, 3)]) == pytest.approx(100)
    draw = Random(1)
    drawn = [len({int(1000 * draw.random() ** 3) for _ in range(100)}) for _ in range(2000)]
    assert touched_rows([Draws(100, 1000, 3)]) == pytest.approx(fmean(drawn), rel=0.01)
    assert touched_rows([Draws(0, 1, 3), Draws(0, 1000, 3)]) == 0
    assert touched_rows([]) == 0


def test_draws_of_several_operations_may_hit_the_same_row() -> None:
    """Two operations' draws touch as many different rows as drawing shows, not the sum."""
    draw = Random(1)
    drawn = [
        len(
            {int(500 * draw.random() ** 2) for _ in range(300)}
            | {int(800 * draw.random()) for _ in range(200)}
        )
        for _ in range(2000)
    ]
    both = touched_rows([Draws(300, 500, 2), Draws(200, 800, 1)])
    assert both == pytest.approx(fmean(drawn), rel=0.01)


def test_a_month_is_not_a_short_run_times_many() -> None:
    """Rows touched again count once: more changes a month, fewer distinct rows for each."""
    month = workload(hot_rows=1000).month().likely
    day = workload(hot_rows=1000).usage({n: round(r * 24) for n, r in RATES.items()}, Decimal(24))
    assert month.changes == 30 * day.likely.changes
    assert month.distinct_rows < 30 * day.likely.distinct_rows * Decimal("0.95")
    assert [month.inserts, month.deletes] == [180_000, 0]
    assert month.updates == 29_520  # soft deletes are updates


def test_wider_events_move_more_bytes() -> None:
    """Values alone are less than the row as JSON, that is less than a vendor's message."""
    shop = workload()
    for width in shop.sizes.values():
        assert width.low < width.likely < width.high
    wide = shop.of_padding("event_bytes", 1300)
    assert wide.sizes["events"].likely - shop.sizes["events"].likely == 1000
    assert wide.sizes["orders"] == shop.sizes["orders"]
    events = 180_000 * 200 // 250
    assert wide.month().likely.bytes - shop.month().likely.bytes == events * 1000


def lines_of(
    run: Run,
    choices: Sequence[PriceChoice] = (),
    reported: Mapping[str, ReportedUsage] | None = None,
) -> list[CostLine]:
    """Return the vendors' lines of a run."""
    prices = VendorPrices(load_cards(), choices, DAY, reported or {})
    return prices.lines(run, workload_of(run, "shop"))


CARD = """
vendor = "{name}"
[sources.list]
title = "list"
as_of = 2026-10-01
grade = "P"
[[plans]]
name = "p"
title = "P"
{base}
[[plans.charges]]
category = "changes"
meter = "changes"
unit = "change"
per = 1_000_000
source = "list"
tiers = [{tiers}]
"""


def vendor(name: str, base: str, tiers: str) -> PlanPrice:
    """Return a made-up vendor that charges by changes."""
    base = f'base = {{ amount = {base}, source = "list" }}' if base else ""
    card = parse_card(name, CARD.format(name=name, base=base, tiers=tiers), f"{name}.toml")
    return PlanPrice(name, card, card.plans[0])


def test_a_vendor_becomes_the_cheapest_where_two_prices_meet() -> None:
    """$100 flat against $10 a million: at ten million, to a hundredth."""
    flat, metered = vendor("flat", "100", "{rate = 0}"), vendor("metered", "", "{rate = 10}")
    below, above = what_if.cheapest_ranges({"flat": (flat,), "metered": (metered,)}, workload())
    assert (below.vendors, above.vendors) == (("metered",), ("flat",))
    assert below.high == pytest.approx(10e6, rel=0.011)
    assert above.low == pytest.approx(10e6, rel=0.011)
    (at_low,) = above.at_low
    assert at_low.least == 100


def test_what_is_only_bounded_has_to_be_certainly_dearer() -> None:
    """Above a million only bounds are known: a plan below the priced part is certainly cheaper."""
    tiers = '{upto = 1_000_000, rate = 200}, {unpriced = "by quote", at_most = 200}'
    flat, open_ended = vendor("flat", "100", "{rate = 0}"), vendor("open", "", tiers)
    below, above = what_if.cheapest_ranges({"flat": (flat,), "open": (open_ended,)}, workload())
    assert (below.vendors, above.vendors) == (("open",), ("flat",))
    assert above.low == pytest.approx(0.5e6, rel=0.011)
    # Its priced part is $200 and its bound $400 at two million, so it may cost less or more than
    # the other's $250; beyond a bound without an end it stays open.
    dear = vendor("dear", "250", "{rate = 0}")
    ranges = what_if.cheapest_ranges({"dear": (dear,), "open": (open_ended,)}, workload())
    assert [cheapest.vendors for cheapest in ranges] == [("open",), ("dear", "open")]


def test_the_cheapest_plan_is_one_that_is_priced() -> None:
    """A plan that ends at a volume gives way to one that continues; an unbounded one comes last."""
    cards = load_cards()
    plans = what_if.compared(list(cards.values()), DAY)
    assert {"fivetran", "airbyte", "rivery", "estuary", "simplyload"} == set(plans)
    small, large = what_if.at_volume(workload(), 100_000), what_if.at_volume(workload(), 2_000_000)
    assert what_if.cheapest(plans["fivetran"], small).plan == "Free"
    assert what_if.cheapest(plans["fivetran"], large).plan == "Standard"
    assert what_if.cheapest(plans["fivetran"], large).most is not None


def test_a_tool_syncs_as_often_as_its_plan_allows() -> None:
    """Unless tools.toml has it; a plan's limit says nothing of a tool that runs here."""
    tables = {
        "named": "price = { card = 'fivetran', plan = 'standard' }\ninterval_seconds = 60",
        "by_plan": "price = { card = 'fivetran', plan = 'standard' }",
        "no_such_card": "price = { card = 'nobody' }",
        "no_limit": "price = { card = 'simplyload' }",
        "unpriced": "",
    }
    hosted = "kind = 'generic'\ndestination = 'snowflake'\ndatabase = 'D'\n"
    texts = [f"[tools.{name}]\n{hosted}{more}" for name, more in tables.items()]
    texts.append(
        "[tools.here]\nkind = 'dlt'\ndestination = 'duckdb'\nschema = 's'\nrunner = 'dlt'\n"
        "price = { card = 'airbyte', plan = 'standard' }"
    )
    tools = parse_tools(tomllib.loads("\n".join(texts)), "tools.toml")
    intervals = sync_intervals(tools, load_cards(), date(2026, 11, 23))
    assert intervals == {"named": 60.0, "by_plan": 900.0}


def test_markers_are_a_line_of_their_own(tmp_path: Path) -> None:
    """Rows that the watch writes are paid for as any others, and told apart."""
    folder = write_run(tmp_path, Made(seconds=30))
    record = RunRecord.open(folder)
    record.append(
        MarkerSample(tool, number, START, None, None, None)
        for number in range(1000)
        for tool in ("a", "b")
    )
    lines = lines_of(Run.of(folder))
    (markers,) = [
        line for line in lines if (line.tool, line.category) == ("fivetran", "freshness markers")
    ]
    assert (markers.quantity, markers.amount) == (Decimal(1000), Decimal("0.5"))  # $500 a million


def test_a_bill_replaces_every_estimate(tmp_path: Path) -> None:
    """A billed amount is the price; a reported count is the quantity."""
    run = Run.of(write_run(tmp_path, Made(seconds=30)))
    choices = (PriceChoice("five", "fivetran", "standard"), PriceChoice("air", "airbyte", None))
    reported = {
        "five": ReportedUsage(source="invoice 7", billed_usd=Decimal("12.34")),
        "air": ReportedUsage(source="usage page", gigabytes=Decimal("10.5")),
    }
    lines = lines_of(run, choices, reported)
    (billed,) = [line for line in lines if line.tool == "five"]
    assert (billed.amount, billed.basis, billed.source) == (
        Decimal("12.34"),
        "measured",
        "invoice 7",
    )
    air = [line for line in lines if line.tool == "air"]
    assert Total.of(air).amount == 205  # 20, and 37 credits of $5: 42 less the five included
    assert all(line.basis == "measured" and "usage page" in line.note for line in air)


def test_a_run_that_wrote_nothing_is_not_priced(tmp_path: Path) -> None:
    """No usage is no price, and no month."""
    run = Run.of(write_run(tmp_path, Made(seconds=30, rates=dict.fromkeys(RATES, 0.0))))
    assert isinstance(workload_of(run, "shop"), Unavailable)
    lines = lines_of(run)
    assert lines
    assert all(line.amount is None and "no committed writes" in line.note for line in lines)


def test_a_plan_that_is_not_there_is_said() -> None:
    """With the plans that there are."""
    line = VendorPrices(
        load_cards(), (PriceChoice("air", "airbyte", "gold"),), DAY, {}
    ).chosen_plans()["air"]
    assert not isinstance(line, PlanPrice)
    assert "no plan 'gold' on 2026-11-23: it has standard, plus" in line.note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("five = 3", "five has to be a table"),
        ("[five]\ninserts = 3", "needs source"),
        ('[five]\nsource = "page"\ninserts = -1', "inserts of [five] must be a number, 0 or more"),
        ('[five]\nsource = "page"\ninserts = true', "must be a number"),
        ("[five", "can't be read as TOML"),
    ],
)
def test_reported_figures_need_a_source_and_a_number(
    text: str, message: str, tmp_path: Path
) -> None:
    """Each error names the file and the table."""
    (tmp_path / USAGE_FILE).write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_reported(tmp_path)
    assert message in str(caught.value)
    assert USAGE_FILE in str(caught.value)
