"""Vendors' prices against bills worked by hand, their numbers spelled out in the tests."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loadgen.config.settings import load_settings
from loadgen.costs import what_if
from loadgen.costs.cards import load_card, load_cards, parse_card
from loadgen.costs.collect import costs_of, expected
from loadgen.costs.estimate import FIRST_COPY, RESYNC, PlanPrice
from loadgen.costs.usage import Band, Usage
from loadgen.costs.vendors import PriceChoice, VendorPrices
from loadgen.costs.workload import Baseline, workload_of
from loadgen.record.costs import CostLine, Total
from loadgen.record.folder import RunRecord
from loadgen.record.rows import DeletedRow
from loadgen.record.run import Run
from loadgen.tools.tools_file import parse_tools
from tests.records import START, Made, update, write_run

DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def month(gigabytes: str, rows: str = "0", hours: str = "720") -> Usage:
    """Return a period's usage of so many GB and inserted rows."""
    size, inserted = Decimal(gigabytes) * 10**9, Decimal(rows)
    nothing = Decimal(0)
    return Usage(inserted, nothing, nothing, inserted, size, Decimal(hours))


def plan(card: str, name: str | None, day: date = DAY) -> PlanPrice:
    """Return a plan of a card that ships."""
    rate_card = load_card(card)
    chosen = rate_card.plan(name, day)
    assert chosen is not None
    return PlanPrice(card, rate_card, chosen)


@pytest.mark.parametrize(
    ("gigabytes", "size", "dollars"),
    [
        ("1", "Standard", "20"),  # 4 credits of 5 included
        ("9", "Standard", "175"),  # 36 credits: 20 + 31 x 5
        ("9.75", "Plus, 40 credits", "189"),  # 39 credits of 40; Standard would be 190
        ("22.5", "Plus, 40 credits", "439"),  # 90 credits: 189 + 50 x 5
        ("36", "Plus, 100 credits", "669"),  # 144 credits: 449 + 44 x 5; Standard 715
        ("60", "Plus, 250 credits", "999"),  # 240 credits
        ("100", "Plus, 250 credits", "1674"),  # 400 credits: 999 + 150 x 4.50
        ("155", "Plus, 500 credits", "2297"),  # 620 credits: 1,799 + 120 x 4.15; Standard 3,095
        ("300", "Plus, 1,000 credits", "3949"),  # 1,200 credits: 3,199 + 200 x 3.75
        ("1000", "Plus, 2,000 credits", "9999"),  # 4,000 credits: 4,999 + 2,000 x 2.50
    ],
)
def test_airbyte_costs_what_its_cheapest_plan_on_sale_costs(
    gigabytes: str, size: str, dollars: str
) -> None:
    """Standard and six sizes of Plus, each with its overage: the lower envelope of all."""
    plans = what_if.compared(list(load_cards().values()), DAY)["airbyte"]
    point = what_if.cheapest(plans, month(gigabytes))
    assert (point.plan, point.least, point.most) == (size, Decimal(dollars), Decimal(dollars))
    assert point.grade == "P"


def test_a_plan_that_ended_is_not_offered_and_still_opens(tmp_path: Path) -> None:
    """A run of its last days is followed by months on the plans that are sold when it is priced.

    Who has the ended plan names it by its title: 42 credits are 10 + 38 x 2.50.
    """
    old = "Standard until 2026-09-20"
    assert Total.of(plan("airbyte", old).lines(month("10.5"))).amount == 105
    assert plan("airbyte", "standard").plan.title == "Standard"
    folder = write_run(tmp_path, Made(seconds=30, start=datetime(2026, 9, 15, 8, tzinfo=UTC)))
    projection = costs_of(folder, load_settings({}), NOW).projection
    assert projection.curves is not None
    assert old not in {point.plan for point in projection.curves.changes.vendors["airbyte"]}
    assert old not in {entry.plan for entry in projection.months}
    (folder.parent / "tools.toml").write_text(_tool("airbyte", old))
    settings = load_settings({"tools_file": folder.parent / "tools.toml"})
    months = {entry.plan: entry for entry in costs_of(folder, settings, NOW).projection.months}
    assert months[old].former


def _tool(card: str, plan_name: str) -> str:
    return (
        '[tools.mine]\nkind = "generic"\ndestination = "duckdb"\nfile = "copy.duckdb"\n'
        f'schema = "main"\nprice = {{ card = "{card}", plan = "{plan_name}" }}\n'
    )


def test_months_show_one_size_of_a_plan(tmp_path: Path) -> None:
    """Of Plus the size that costs least at the run's rate, beside Standard."""
    folder = write_run(tmp_path, Made(seconds=30))
    months = costs_of(folder, load_settings({}), NOW).projection.months
    own = [entry.plan for entry in months if entry.card == "airbyte"]
    assert own[0] == "Standard"
    assert len(own) == 2
    assert own[1].startswith("Plus, ")


TEN_GB = Baseline(Decimal(2_000_000), Band(*(Decimal(n) * 10**9 for n in (8, 10, 15))))


@pytest.mark.parametrize(
    ("card", "name", "dollars", "grade"),
    [
        # The month holds 4 GB already: 16 credits, 11 above those included. 40 more at $5.
        ("airbyte", "standard", "200.00", "P"),
        # 16 of 40 credits are used, so 24 are left and 16 are over: 16 x 5.
        ("airbyte", "plus", "80.00", "P"),
        ("estuary", "cloud", "10.00", "P"),  # 10 GB in and 10 GB out at $0.50
        ("fivetran", "standard", "0.00", "S"),  # free by the card
        ("rivery", "base", "90.00", "K"),  # 100 credits of $0.90
        ("simplyload", "single", "0.0575", "K"),  # 10 GB, a quarter of a month, at $0.023
    ],
)
def test_a_first_copy_and_a_resync_cost_what_they_add(
    card: str, name: str, dollars: str, grade: str
) -> None:
    """Ten GB and two million rows copied, once more than a month of 4 GB."""
    first, again = plan(card, name).copy_lines(month("4", rows="300000"), TEN_GB)
    assert (first.category, again.category) == (FIRST_COPY, RESYNC)
    for line in (first, again):
        assert (line.amount, line.grade) == (Decimal(dollars), grade)
        assert (line.quantity, line.unit) == (Decimal(2_000_000), "row")
        assert line.source
        assert line.as_of


def test_a_copy_that_nothing_is_published_of_is_not_priced() -> None:
    """A charge that the card lacks and a baseline that was not counted have no amount, never $0."""
    text = (
        'vendor = "V"\n[sources.list]\ntitle = "l"\nas_of = 2026-10-01\ngrade = "P"\n'
        '[[plans]]\nname = "p"\ntitle = "P"\n'
    )
    card = parse_card("v", text, "v.toml")
    silent = PlanPrice("v", card, card.plans[0]).copy_lines(month("4"), TEN_GB)
    unknown = plan("airbyte", "standard").copy_lines(month("4"), None)
    beyond = plan("estuary", "free").copy_lines(month("4"), TEN_GB)
    for lines, why in ((silent, "does not say"), (unknown, "no rows"), (beyond, "is for up to")):
        for line in lines:
            assert line.amount is None
            assert why in line.note


def test_a_run_is_followed_by_the_price_of_its_baseline(tmp_path: Path) -> None:
    """26,000 rows, by table and width; two lines a plan, and none in the run's own sum."""
    costs = costs_of(write_run(tmp_path, Made(seconds=120)), load_settings({}), NOW)
    baseline = costs.projection.baseline
    assert baseline is not None
    assert baseline.rows == 1_000 + 5_000 + 20_000
    for entry in costs.projection.months:
        assert [line.category for line in entry.once] == [FIRST_COPY, RESYNC]
    standard = next(entry for entry in costs.projection.months if entry.plan == "Standard")
    credits_ = Decimal(baseline.bytes[1]) / 10**9 * 4
    assert standard.once[0].amount == credits_ * 5
    assert not {FIRST_COPY, RESYNC} & {line.category for line in costs.lines}


def test_a_budget_holds_the_first_copy() -> None:
    """Before a run: 10 million events are copied before the first change is."""
    settings = load_settings({"initial_events": 10_000_000, "test_duration_hours": 1})
    tools = parse_tools({"tools": {"air": _entry("airbyte", "standard")}}, "tools.toml")
    lines = {line.category: line for line in expected(settings, tools, NOW)}
    first = lines[FIRST_COPY]
    assert first.quantity is not None
    assert first.quantity > 10_000_000
    assert first.amount is not None
    assert first.amount > 20  # more than the plan's base


def _entry(card: str, name: str) -> Mapping[str, Any]:
    price = {"card": card, "plan": name}
    return {
        "kind": "generic", "destination": "duckdb", "file": "c.duckdb", "schema": "main",
        "price": price,
    }  # fmt: skip


def bill(card: str, name: str, hours: str) -> dict[str, CostLine]:
    """Return the lines of a run of so many hours in which 0.1 GB moved, by category."""
    lines = plan(card, name).lines(month("0.1", rows="1000", hours=hours))
    return {line.category: line for line in lines}


def test_estuary_is_billed_by_the_hour() -> None:
    """Two tasks: 96 task-hours of a 48 h run at $0.14, and 1,440 of a month of 720 h."""
    assert bill("estuary", "cloud", "48")["tasks"].amount == Decimal("13.44")
    assert bill("estuary", "cloud", "720")["tasks"].amount == Decimal("201.60")


def test_task_hours_beyond_4464_a_month_are_half_as_dear() -> None:
    """Two tasks of 2,500 h: 4,464 x 0.14 + 536 x 0.07."""
    lines = plan("estuary", "cloud").lines(month("0", hours="2500"))
    tasks = [line.amount for line in lines if line.category == "tasks"]
    assert tasks == [Decimal("624.96"), Decimal("37.52")]


def test_a_fee_is_pro_rata_only_where_the_vendor_says_so() -> None:
    """A month's fee is whole for a run of 48 h; machines, disks and addresses are by the hour."""
    assert bill("airbyte", "standard", "48")["base"].amount == 20
    assert bill("airbyte", "plus", "48")["base"].amount == 189
    assert bill("fivetran", "standard", "48")["base"].amount == 5
    own = bill("simplyload", "single", "48")
    assert own["instance"].amount == Decimal("0.9984")  # 48 x 0.0208
    assert own["disk"].amount == pytest.approx(Decimal("0.10667"), abs=Decimal("1e-5"))
    assert own["public address"].amount == Decimal("0.24")  # 48 x 0.005
    assert own["staging requests"].amount == Decimal("0.0432")  # 180 an hour at $0.005 a 1,000


def test_a_run_of_48_hours_is_priced_so(tmp_path: Path) -> None:
    """The whole way from run.json: 2 x 48 x 0.14."""
    folder = write_run(tmp_path, Made(seconds=48 * 3600, every=3600))
    run, choices = Run.of(folder), (PriceChoice("e", "estuary", "cloud"),)
    lines = VendorPrices(load_cards(), choices, DAY, {}).lines(run, workload_of(run, "shop"))
    (tasks,) = [line for line in lines if (line.tool, line.category) == ("e", "tasks")]
    assert tasks.amount == Decimal("13.44")


def test_hard_deletes_are_paid_for(tmp_path: Path) -> None:
    """3,000 turns insert a row and delete an older one: 3,000 active rows at $500 a million.

    Other cases of the run insert 1,000 rows, and give 500 of 500 a new key, which is a new row.
    """
    folder = write_run(tmp_path, Made(seconds=30))
    record = RunRecord.open(folder)
    record.append(DeletedRow(START, "hard_deletes", key) for key in range(3000))
    assert _cases(folder) == (3000 + 3000, Decimal("1.50"))
    update(
        record,
        hard_cases={
            "hard_deletes": {"committed": 3000, "failed": 1},
            "odd_texts": {"committed": 1000, "failed": 0},
            "key_changes": {"committed": 500, "failed": 0},
        },
    )
    assert _cases(folder) == (6000 + 1000 + 1000, Decimal("2.50"))


def _cases(folder: Path) -> tuple[int, Decimal | None]:
    costs = costs_of(folder, load_settings({}), NOW)
    (line,) = [n for n in costs.lines if (n.tool, n.category) == ("fivetran", "hard cases")]
    assert "3000 of them deleted" in line.note
    assert line.quantity is not None
    return int(line.quantity), line.amount


def test_a_run_that_goes_on_is_priced_by_its_last_sample(tmp_path: Path) -> None:
    """Half an hour of two planned: run.json has no totals yet, samples.csv has the counts."""
    folder = write_run(tmp_path, Made(seconds=1800, every=600, ended=False, planned=7200))
    costs = costs_of(folder, load_settings({}), NOW)
    # 10, 20, 5 and 0.2 a second for 1,800 seconds
    assert costs.projection.usage is not None
    assert costs.projection.usage.run.changes == 18_000 + 36_000 + 9_000 + 360
    assert costs.projection.usage.run.hours == Decimal("0.5")
    lines = {(line.tool, line.category): line for line in costs.lines}
    assert lines["estuary", "tasks"].amount == Decimal("0.14")  # two tasks, half an hour
    assert all(line.amount is not None for line in costs.lines)
    assert costs.mode == "provisional"
    assert not any(line.final for line in costs.lines)


def test_a_run_without_a_sample_has_nothing_to_price(tmp_path: Path) -> None:
    """Nothing counted yet is not priced, and says so."""
    folder = write_run(tmp_path, Made(seconds=0, ended=False, planned=7200))
    costs = costs_of(folder, load_settings({}), NOW)
    assert {line.amount for line in costs.lines} == {None}
    assert costs.mode == "provisional"
