"""Rate cards: their contents, and the error for each mistake in one."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen.costs.cards import STALE_DAYS, RateCard, load_card, load_cards, parse_card
from loadgen.errors import SettingsError

HEAD = """
vendor = "V"
[sources.list]
title = "price list"
as_of = 2026-10-01
grade = "P"
"""
PLAN = """
[[plans]]
name = "one"
title = "One"
base = { amount = 5, source = "list" }
[[plans.charges]]
category = "rows"
meter = "distinct_rows"
unit = "row"
source = "list"
"""
TIERS = "tiers = [{ upto = 10, rate = 0.1 }, { unpriced = 'by quote', at_most = 0.1 }]\n"


def card(text: str) -> RateCard:
    """Return the card of a text."""
    return parse_card("v", text, "v.toml")


def refused(text: str) -> str:
    """Return the error for a text that is refused."""
    with pytest.raises(SettingsError) as caught:
        card(text)
    return str(caught.value)


def test_prices_are_decimals_as_written() -> None:
    """0.1 is exactly a tenth, and an unpriced tier has no rate."""
    (charge,) = card(HEAD + PLAN + TIERS).plans[0].charges
    assert [tier.rate for tier in charge.tiers] == [Decimal("0.1"), None]
    assert charge.tiers[1].unpriced == "by quote"


def test_a_table_has_prices_by_two_keys() -> None:
    """A price comes with its unit, its source and its grade; one that is not there is None."""
    table = "[tables.credit]\nunit = 'USD/credit'\nsource = 'list'\n"
    prices = card(HEAD + table + "[tables.credit.rows.dublin]\nenterprise = 3.90\n")
    price = prices.price("credit", "dublin", "enterprise")
    assert price is not None
    assert (str(price.rate), price.unit, price.grade) == ("3.90", "USD/credit", "P")
    assert price.source.as_of == date(2026, 10, 1)
    assert prices.price("credit", "dublin", "standard") is None
    assert prices.price("credit", "oslo", "enterprise") is None
    assert prices.price("storage", "dublin", "enterprise") is None


def test_plans_are_in_force_for_their_days() -> None:
    """Both days are included; the first plan that is valid on a day is the usual one."""
    plan = "[[plans]]\nname = 'p'\ntitle = 'P'\n"
    old, new = "effective_to = 2026-09-20\n", "effective_from = 2026-09-21\n"
    plans = card(HEAD + plan + old + plan + new)
    before, after = plans.plan("p", date(2026, 9, 20)), plans.plan(None, date(2026, 9, 21))
    assert before is not None
    assert before.effective_to == date(2026, 9, 20)
    assert after is not None
    assert after.effective_from == date(2026, 9, 21)
    assert plans.plan("q", date(2026, 9, 21)) is None


def test_an_old_source_is_said() -> None:
    """After 90 days a card is to be checked, not before."""
    dated = card(HEAD)
    read = date(2026, 10, 1)
    assert dated.warnings(read + timedelta(days=STALE_DAYS)) == []
    (warning,) = dated.warnings(read + timedelta(days=STALE_DAYS + 1))
    assert "price list is of 2026-10-01, 91 days ago" in warning


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vendor = 'V'", "sources: field required"),
        (HEAD.replace("as_of = 2026-10-01", ""), "sources, list, as_of: field required"),
        (HEAD.replace('"P"', '"A"'), "sources, list, grade: input should be 'P', 'S', 'K' or '?'"),
        (HEAD + PLAN + "tiers = []", "plans, number 1, charges, number 1, tiers"),
        (HEAD + PLAN + "tiers = [{}]", 'rate = a number, or unpriced = "why"'),
        (HEAD + PLAN + "tiers = [{ rate = 1, at_most = 2 }]", "at_most goes with unpriced only"),
        (HEAD + PLAN + "tiers = [{ rate = -1 }]", "greater than or equal to 0"),
        (HEAD + PLAN + "tiers = [{ rate = nan }]", "finite"),
        (HEAD + PLAN + "tiers = [{ upto = 3, rate = 1 }]", "the last has none"),
        (
            HEAD + PLAN + "tiers = [{ upto = 3, rate = 1 }, { upto = 2, rate = 1 }, { rate = 1 }]",
            "upto has to rise",
        ),
        (HEAD + PLAN.replace('"list" }', '"x" }') + TIERS, "base of plan one cites 'x'"),
        (HEAD + PLAN.replace("amount = 5, ", "") + TIERS, "base has amount"),
        (HEAD + PLAN.replace("amount = 5", "amount = 5, upto = 1") + TIERS, "go together"),
        (HEAD + PLAN.replace("distinct_rows", "rows") + TIERS, "meter: input should be 'inserts'"),
        (HEAD.replace("vendor", "vender"), "vender: extra inputs"),
        ("vendor = ", "can't be read as TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_card_is_said_with_its_place(text: str, message: str) -> None:
    """The error has the file, the place in it, and the allowed values."""
    error = refused(text)
    assert message in error
    assert error.startswith("v.toml")


def test_every_card_that_ships_is_read() -> None:
    """No card without vendor, source, date and grade."""
    cards = load_cards()
    assert "fivetran" in cards
    for name, rate_card in cards.items():
        assert rate_card.name == name
        assert rate_card.plans or rate_card.tables


def test_a_card_of_one_s_own_comes_first(tmp_path: Path) -> None:
    """A contract replaces the list; other cards are added; other files are ignored."""
    (tmp_path / "fivetran.toml").write_text(HEAD)
    (tmp_path / "mine.toml").write_text(HEAD + PLAN + TIERS)
    (tmp_path / "notes.txt").write_text("?")
    cards = load_cards(tmp_path)
    assert cards["fivetran"].vendor == "V"
    assert cards["mine"].plans[0].name == "one"
    assert load_card("fivetran").vendor == "Fivetran"


def test_a_card_or_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """What there is is named."""
    with pytest.raises(SettingsError, match=r"no rate card 'fivetram': there are .*fivetran"):
        load_card("fivetram")
    with pytest.raises(SettingsError, match=r"RATE_CARDS_DIR is .*gone"):
        load_cards(tmp_path / "gone")
