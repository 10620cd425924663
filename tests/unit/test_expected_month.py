"""A month priced from the model alone: by table, in the real size of an imported database.

The figures are worked out by hand beside each assertion.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.config.settings import load_settings
from loadgen.costs.cards import load_cards
from loadgen.costs.estimate import PlanPrice
from loadgen.costs.expected_month import ExpectedMonth, TableShare, expected_month
from loadgen.costs.usage import Usage
from loadgen.report.tables.expected import month_by_table, month_by_vendor, month_notes

NOW = datetime(2026, 11, 29, 14, tzinfo=UTC)
TABLES = """
[tables.events]
rows = 100
columns.id = { generate = "sequence" }
columns.note = { text = [10, 10] }

[tables.orders]
rows = 20
columns.id = { generate = "sequence" }
columns.note = { text = [10, 10] }

[operations.insert_event]
per_hour = 200
insert = "events"

[operations.update_order]
per_hour = 50
update = "orders"
set.note = "changed"

[operations.delete_order]
per_hour = 1
delete = "orders"
row = { once = true }
"""
IMPORTED = f"""
[imported]
read_at = "2026-11-29T13:00:00+00:00"
databases = ["{64 * "a"}"]
window_seconds = 600
row_scale = 0.0001
rate_scale = 0.1

[imported.tables]
events = {{ rows = 1000000, bytes = 3000000000, inserts = 2000.0, updates = 0.0, deletes = 0.0 }}
orders = {{ rows = 200000, bytes = 50000000 }}
audit = {{ rows = 7, bytes = 8192, inserts = 5.0 }}
"""


def month_of(folder: Path, toml: str) -> ExpectedMonth:
    """Return the month of a workload that is written into the folder."""
    (folder / "workload.toml").write_text(toml)
    return expected_month(load_settings({"workload": str(folder), "seed": 1}), NOW)


def test_an_imported_model_is_priced_as_its_database(tmp_path: Path) -> None:
    """Rates by 0.1 and rows by 0.0001 are those of the model only."""
    month = month_of(tmp_path, TABLES + IMPORTED)
    events, orders = month.tables["events"].month, month.tables["orders"].month
    assert (events.inserts, events.updates, events.deletes) == (2000 * 720, 0, 0)
    assert events.distinct_rows == (1_440_000,) * 3
    assert (orders.inserts, orders.updates, orders.deletes) == (0, 500 * 720, 10 * 720)
    # The model draws 360,000 times from the rows that no delete aims at, which are four fifths:
    # 160,000 * (1 - exp(-360,000 / 160,000)) = 143,136, and 7,200 rows are deleted.
    low, likely, high = orders.distinct_rows
    assert likely == pytest.approx(143_136 + 7_200, abs=10)
    assert low < likely < high == 200_000 + 7_200
    assert month.usage.changes == 1_440_000 + 360_000 + 7_200
    sums = [e + o for e, o in zip(events.bytes, orders.bytes, strict=True)]
    assert list(month.usage.bytes) == sums


def test_transfers_of_ours_are_not_in_the_price_of_an_imported_database(tmp_path: Path) -> None:
    """It has none; a workload of one's own has those that are written."""
    alone = month_of(tmp_path, TABLES + IMPORTED)
    settings = load_settings({"workload": f"{tmp_path}+transfers", "seed": 1})
    assert expected_month(settings, NOW) == alone
    (tmp_path / "workload.toml").write_text(TABLES)
    assert "transfers" in expected_month(settings, NOW).tables


def test_the_first_copy_is_of_the_real_size(tmp_path: Path) -> None:
    """Rows and bytes as the source has them; a row as the model makes it widens the band."""
    month = month_of(tmp_path, TABLES + IMPORTED)
    events = month.tables["events"].copied
    assert events.rows == 1_000_000
    row = month.tables["events"].month.bytes[0] // 1_440_000
    assert events.bytes == (row * 1_000_000, 3_000_000_000, 3_000_000_000)
    assert month.copied.rows == 1_200_000
    assert month.copied.bytes[1] == 3_050_000_000
    copy, resync = month.vendors["rivery"].price.once
    assert copy.quantity == resync.quantity == 1_200_000


def test_a_month_of_a_model_of_ones_own_is_of_its_settings(tmp_path: Path) -> None:
    """There is no other size that it could have."""
    month = month_of(tmp_path, TABLES)
    assert (month.statistics, month.left_out) == (None, None)
    assert month.tables["events"].month.inserts == 200 * 720
    assert month.copied.rows == 120
    assert month.tables["orders"].month.distinct_rows[1] == 16 + 720  # of 20 rows, 4 are deleted


def test_a_bill_is_divided_as_its_meters_are() -> None:
    """A dollar for each million changes and $5 by the month; half of the changes are of `a`."""
    fivetran = load_cards()["fivetran"]
    plan = next(plan for plan in fivetran.plans if plan.name == "standard")
    a, b = usage(600_000), usage(200_000)
    shares = PlanPrice("f", fivetran, plan).bill_shares(a + b, {"a": a, "b": b})
    # 800,000 active rows cost $400, and the connection $5.
    assert shares["a"] == Decimal(300) / 405
    assert shares["b"] == Decimal(100) / 405
    # Above a million only a bound is known, so the shares are shares of the bound.
    shares = PlanPrice("f", fivetran, plan).bill_shares(usage(4_000_000), {"a": usage(1_000_000)})
    assert shares["a"] == Decimal("0.25")


def usage(rows: int) -> Usage:
    """Return a month of that many inserts."""
    return Usage.none(Decimal(720)).with_rows(Decimal(rows), Decimal(100 * rows))


def test_each_vendor_s_bill_names_the_tables_that_make_it(tmp_path: Path) -> None:
    """Largest first, three at most; fixed fees are no table's."""
    month = month_of(tmp_path, TABLES + IMPORTED)
    tables = month.vendors["fivetran"].tables
    assert [share.table for share in tables] == ["events", "orders"]
    assert 0.95 < sum(share.share for share in tables) <= 1
    rows = {row[0]: row[-1] for row in month_by_vendor(month).rows}
    assert rows["Fivetran"].startswith("events 9")
    assert list(rows)[-1] == "SimplyLoad's machines"
    vendor = month.vendors["fivetran"]
    for shares, named in (
        (["0.04"], "fixed fees"),
        (["0.009"] * 100, "t0 <1%, t1 <1%, t2 <1%"),
        (["0.5", "0.2", "0.1", "0.1"], "t0 50%, t1 20%, t2 10%"),
    ):
        parts = tuple(TableShare(table=f"t{n}", share=Decimal(s)) for n, s in enumerate(shares))
        made = vendor.model_copy(update={"tables": parts})
        (row,) = month_by_vendor(month.model_copy(update={"vendors": {"f": made}})).rows
        assert row[-1] == named
    many = {f"t{n}": month.tables["orders"] for n in range(20)}
    table = month_by_table(month.model_copy(update={"tables": many}))
    assert [row[0] for row in table.rows][-2:] == ["t9", "all 20"]


def test_what_the_price_rests_on_is_stated(tmp_path: Path) -> None:
    """The window, tables without counts, and the parts that the model leaves out."""
    text = " ".join(month_notes(month_of(tmp_path, TABLES + IMPORTED)))
    for part in (
        "statistics of 2026-11-29 13:00 UTC, counted over 10 min: a month priced from a quiet",
        "The writes of 1 table could not be read (orders): their price is a guess.",
        "Not in the price: 1 table that the model leaves out, with 8.19 kB and 5 writes an hour.",
    ):
        assert part in text
    for seconds, part in (("", "over an unknown time"), ("window_seconds = 864000", "over 240 h.")):
        toml = (TABLES + IMPORTED).replace("window_seconds = 600", seconds)
        assert part in " ".join(month_notes(month_of(tmp_path, toml)))


def test_the_command_prints_and_dumps_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By table and by vendor; JSON has the bands, shares and cost lines too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "workload.toml").write_text(TABLES + IMPORTED)
    monkeypatch.setenv("WORKLOAD", str(tmp_path))
    assert cli.main(["costs", "--expected"]) == 0
    shown = capsys.readouterr().out
    assert "A month of the imported database, by table" in shown
    assert "Its price at each vendor's cheapest plan" in shown
    assert cli.main(["costs", "--expected", "--json"]) == 0
    month = json.loads(capsys.readouterr().out)["month"]
    assert month["statistics"]["uncounted"] == ["orders"]
    assert len(month["tables"]["events"]["month"]["bytes"]) == 3
    assert month["vendors"]["airbyte"]["price"]["lines"]
    assert month["vendors"]["fivetran"]["tables"][0]["share"].startswith("0.9")
