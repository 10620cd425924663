"""Costs as text: amounts of money, and the tables of costs.json."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loadgen.costs.cards import load_cards
from loadgen.costs.projection import projection_of
from loadgen.costs.vendors import VendorPrices
from loadgen.costs.workload import Workload, workload_of
from loadgen.record.costs import Costs, Efficiency, Total, not_priced
from loadgen.record.run import Run
from loadgen.report.tables.costs import cost_section
from loadgen.text import big, counted, dollar_range, dollars, four_digits, gigabytes
from tests.records import RATES, START, Made, write_run

DAY = date(2026, 11, 23)


def test_an_amount_shows_how_well_it_is_known() -> None:
    """Less than a cent is not nothing, a bound is not a price, and nothing unknown is $0."""
    assert [dollars(Decimal(text)) for text in ("0", "0.005", "0.01", "1234.5")] == [
        "$0.00",
        "<$0.01",
        "$0.01",
        "$1,234.50",
    ]
    assert dollars(None) == "not priced"
    assert dollar_range(Decimal(500), Decimal("39138.46")) == "$500 to $39,138"
    assert dollar_range(Decimal("20.97"), Decimal("21.15")) == "$20.97 to $21.15"
    assert dollar_range(Decimal("21.001"), Decimal("21.002")) == "$21.00"
    assert dollar_range(Decimal(0), Decimal(40)) == "up to $40"
    assert dollar_range(Decimal(5), None) == "$5.00 + not priced"
    assert str(Total.of([not_priced("a", "customer", "b", "no right")])) == "not priced"
    assert (big(950), big(91_238_400), big(2.5e9)) == ("950", "91.2 million", "2.5 billion")
    assert (gigabytes(999), gigabytes(36_539_424_000)) == ("999 bytes", "36.5 GB")
    assert dollars(Decimal("-1.1")) == "-$1.10"
    assert counted(Decimal(2), "connector") == "2 connectors"
    assert counted(Decimal(2), "GB") == "2 GB"
    assert counted(None, "GB") == ""


@pytest.mark.parametrize(
    ("number", "size", "count"),
    [
        (999, "999 bytes", "999"),
        (999_499, "999 kB", "999,499"),
        (999_999, "1 MB", "999,999"),
        (999_999_999, "1 GB", "1 billion"),
        (123_456_789, "123 MB", "123 million"),
        (1_234_567_000_000, "1.23 TB", "1,235 billion"),
        (10**15, "1,000 TB", "1,000,000 billion"),
    ],
)
def test_no_number_is_shown_with_an_exponent(number: int, size: str, count: str) -> None:
    """What rounds up to a thousand is one of the next unit."""
    assert (gigabytes(number), big(number)) == (size, count)
    assert "e" not in four_digits(Decimal(number))


def section_of(folder: Path, added: dict[str, Any]) -> str:
    """Return the text of a run's section of costs, with more in its projection, via costs.json."""
    run = Run.of(folder)
    workload = workload_of(run, "shop")
    assert isinstance(workload, Workload)
    cards, usage = load_cards(), workload.usage({"insert_event": 10}, Decimal(1))
    lines = VendorPrices(cards, (), DAY, {}).lines(run, workload)
    projection = projection_of(workload, usage, list(cards.values()), DAY)
    projection = projection.model_copy(update=added)
    Costs(made_at=START, lines=tuple(lines), projection=projection).write(folder)
    costs = Costs.of(folder)
    assert costs is not None
    section = cost_section(costs)
    rows = [section.spent.rows, section.months.rows, section.lines.rows]
    return json.dumps([section.sentence, rows, section.sources])


def test_the_report_says_what_snowflake_s_credits_went_on(tmp_path: Path) -> None:
    """Unknown figures are dashes; sources are cited by number."""
    spent = Efficiency(
        tool="five",
        warehouse="WH",
        credits=Decimal("1.35"),
        credits_per_million_changes=Decimal("0.27"),
        idle_share=Decimal("0.75"),
        statements=120,
        bytes_a_row=Decimal("88.5"),
    )
    text = section_of(write_run(tmp_path, Made(seconds=30)), {"snowflake": (spent,)})
    row = ["five", "1.35", "0.27", "75%", "120", "\N{EN DASH}", "\N{EN DASH}", "88.5"]
    assert json.dumps(row) in text
    assert "as of 2026-09-14" in text


def test_the_headline_is_a_published_price(tmp_path: Path) -> None:
    """Neither our own machines nor background knowledge is called the lowest published price."""
    text = section_of(write_run(tmp_path, Made(seconds=60)), {})
    assert "the lowest published price for it is" in text
    assert "(Estuary, Cloud)" in text  # SimplyLoad's $21 is K, Fivetran's is only bounded
    assert "Cheaper, but" not in text


def test_a_cheaper_price_that_is_not_published_is_named_as_such(tmp_path: Path) -> None:
    """The chart beside it shows that price too, so a reader would wonder."""
    rates = {name: rate / 4 for name, rate in RATES.items()}
    text = section_of(write_run(tmp_path, Made(seconds=60, rates=rates)), {})
    assert "(Airbyte Cloud, Standard). Cheaper, but from background knowledge (K): Rivery" in text
