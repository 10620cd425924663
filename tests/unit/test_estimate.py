"""Vendors' prices: the worked examples to the cent, and how tiers, bases and limits count."""

from datetime import date
from decimal import Decimal

import pytest

from loadgen.costs.cards import RateCard, load_card, parse_card
from loadgen.costs.estimate import PlanPrice
from loadgen.costs.usage import Usage
from loadgen.record.costs import CostLine, Total

# Millions of inserts, updates and deletes, millions of distinct rows, GB: a connection's month.
SMALL = ("0.4", "0.2", "0.02", "0.52", "0.62")
MIDDLE = ("5", "5", "0.5", "7.5", "10.5")
LARGE = ("50", "100", "5", "75", "155")
BEFORE, SINCE = date(2026, 9, 20), date(2026, 9, 21)


def usage(case: tuple[str, ...], **changed: Decimal) -> Usage:
    """Return a month's usage of one of the worked cases."""
    million = Decimal(1_000_000)
    inserts, updates, deletes, distinct = (Decimal(number) * million for number in case[:4])
    parts = {"bytes": Decimal(case[4]) * 10**9, "hours": Decimal(720), **changed}
    return Usage(inserts, updates, deletes, distinct, **parts)


def lines(card: str, plan: str, case: tuple[str, ...], day: date = SINCE) -> list[CostLine]:
    """Return a card's lines of a worked case."""
    rate_card = load_card(card)
    chosen = rate_card.plan(plan, day)
    assert chosen is not None
    return PlanPrice(card, rate_card, chosen).lines(usage(case))


def total(card: str, plan: str, case: tuple[str, ...], day: date = SINCE) -> Total:
    """Return their sum."""
    return Total.of(lines(card, plan, case, day))


def test_fivetran_below_a_million_is_half_a_thousand_a_million_and_the_base() -> None:
    """Case S: $260, and $5; its own examples, $17.23 and $423.78, within a tenth of a percent."""
    base, rows = lines("fivetran", "standard", SMALL)
    assert [base.amount, rows.amount] == [Decimal(5), Decimal(260)]
    assert {base.grade, rows.grade} == {"S"}
    for rows_read, dollars in (("0.034479", "17.23"), ("0.847574", "423.78"), ("0.08824", "44.12")):
        case = ("0", "0", "0", rows_read, "0")
        (_, line) = lines("fivetran", "standard", case)
        assert line.amount is not None
        assert abs(line.amount / Decimal(dollars) - 1) < Decimal("0.001")


@pytest.mark.parametrize(("case", "most"), [(MIDDLE, "3750"), (LARGE, "37500")])
def test_fivetran_above_a_million_is_not_priced_but_bounded(
    case: tuple[str, ...], most: str
) -> None:
    """The flat rate is a bound and no price: the first million is priced, the rest is not."""
    of_case = total("fivetran", "standard", case)
    assert of_case == Total(Decimal(500), 1, Decimal(most))
    rest = lines("fivetran", "standard", case)[-1]
    assert rest.amount is None
    assert rest.grade == "?"
    assert "not published" in rest.note


def test_fivetran_s_free_plan_ends_at_half_a_million() -> None:
    """Below the limit nothing, above it no such plan."""
    half = ("0", "0", "0", "0.5", "0")
    assert total("fivetran", "free", half) == Total(Decimal(0), 0, Decimal(0))
    (beyond,) = lines("fivetran", "free", SMALL)
    assert beyond.amount is None
    assert "up to 500,000 distinct rows, these are 520,000" in beyond.note


@pytest.mark.parametrize(
    ("case", "before", "since"),
    [(SMALL, "10", "20"), (MIDDLE, "105", "205"), (LARGE, "1550", "3095")],
)
def test_airbyte_in_both_periods(case: tuple[str, ...], before: str, since: str) -> None:
    """Four credits a GB, those included taken off; 10 + 2.50 a credit, then 20 + 5."""
    assert total("airbyte", "standard", case, BEFORE).amount == Decimal(before)
    assert total("airbyte", "standard", case, SINCE).amount == Decimal(since)
    assert total("airbyte", "standard", case).unpriced == 0


@pytest.mark.parametrize(("case", "dollars"), [(SMALL, "5.58"), (MIDDLE, "94.5"), (LARGE, "1395")])
def test_rivery_s_amounts_are_background_knowledge(case: tuple[str, ...], dollars: str) -> None:
    """The rate of 100 MB a credit has grade K, and so have the amounts based on it."""
    (line,) = lines("rivery", "base", case)
    assert (line.amount, line.grade) == (Decimal(dollars), "K")


@pytest.mark.parametrize(
    ("case", "dollars"), [(SMALL, "202.22"), (MIDDLE, "212.1"), (LARGE, "356.6")]
)
def test_estuary_counts_in_and_out_and_two_tasks(case: tuple[str, ...], dollars: str) -> None:
    """Half a dollar a GB each way, and 1,440 task-hours at $0.14, which is $201.60."""
    assert total("estuary", "cloud", case).amount == Decimal(dollars)


def test_estuary_s_free_plan_is_ten_gigabytes() -> None:
    """In and out, as it counts them."""
    assert total("estuary", "free", SMALL).amount == 0
    assert total("estuary", "free", MIDDLE).unpriced == 1


def test_simplyload_is_its_machines() -> None:
    """720 hours of an instance and an address, a disk and a bucket: one assumption, summed up."""
    amounts = {line.category: line.amount for line in lines("simplyload", "single", MIDDLE)}
    assert amounts["instance"] == Decimal("14.976")
    assert amounts["disk"] == Decimal("1.60")
    assert amounts["public address"] == Decimal("3.600")
    assert amounts["staging storage"] == Decimal("10.5") * Decimal("0.25") * Decimal("0.023")
    assert amounts["staging requests"] == Decimal("0.648")


CARD = """
vendor = "V"
[sources.list]
title = "list"
as_of = 2026-10-01
grade = "P"
[[plans]]
name = "p"
title = "P"
"""
CHANGES = """
[[plans.charges]]
category = "changes"
meter = "changes"
unit = "change"
per = 1000
source = "list"
"""


def made(text: str) -> RateCard:
    """Return a made-up card."""
    return parse_card("v", CARD + text, "v.toml")


def priced(text: str, changes: int) -> list[CostLine]:
    """Return the lines of so many changes by a made-up card."""
    card = made(text)
    case = (str(Decimal(changes) / 1_000_000), "0", "0", "0", "0")
    return PlanPrice("v", card, card.plans[0]).lines(usage(case))


def test_a_tier_is_charged_for_its_own_part() -> None:
    """1,000 at $2, 1,000 at $1, the rest at half: each a line, and they add up."""
    tiers = "tiers = [{upto = 1000, rate = 2}, {upto = 2000, rate = 1}, {rate = 0.5}]"
    by_tier = priced(CHANGES + tiers, 4000)
    assert [line.quantity for line in by_tier] == [1000, 1000, 2000]
    assert [line.amount for line in by_tier] == [Decimal(2), Decimal(1), Decimal(1)]
    (edge,) = priced(CHANGES + tiers, 1000)
    assert edge.amount == 2
    (nothing,) = priced(CHANGES + tiers, 0)
    assert [nothing.quantity, nothing.amount] == [0, 0]


def test_a_floor_is_filled_up_by_usage() -> None:
    """A floor charges only the part that usage does not reach; an added base is charged in full."""
    floor = 'base = { amount = 5, mode = "floor", source = "list" }' + CHANGES
    assert [line.amount for line in priced(floor + "tiers = [{rate = 1}]", 2000)] == [3, 2]
    assert [line.amount for line in priced(floor + "tiers = [{rate = 1}]", 9000)] == [0, 9]
    added = 'base = { amount = 5, source = "list" }' + CHANGES
    assert [line.amount for line in priced(added + "tiers = [{rate = 1}]", 9000)] == [5, 9]


def test_an_unknown_base_makes_a_line_without_amount() -> None:
    """An unknown base gets a note, and the rest is priced."""
    base = 'base = { unpriced = "by quote", source = "list" }' + CHANGES + "tiers = [{rate = 1}]"
    first, second = priced(base, 1000)
    assert (first.amount, first.note) == (None, "not priced: by quote")
    assert second.amount == 1
