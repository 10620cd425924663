"""`loadgen costs` on a made-up run: lines, months, cheapest vendors, reported usage, the report."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loadgen import cli
from loadgen.config.settings import load_settings
from loadgen.costs.cards import STALE_DAYS
from loadgen.costs.collect import costs_of, expected, over_budget
from loadgen.costs.usage import USAGE_FILE
from loadgen.errors import SettingsError
from loadgen.record.costs import CostLine, Costs, Total, not_priced
from loadgen.report.folder import write_report
from loadgen.report.tables.costs import cheapest_months, tools_table
from loadgen.tools.tools_file import load_tools
from tests.pages import page_of
from tests.records import START, Made, write_run

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TOOLS = """
[tools.five]
kind = "fivetran"
destination = "snowflake"
database = "D"
schema = "S"
price = { card = "fivetran", plan = "standard" }

[tools.ours]
kind = "simplyload"
destination = "snowflake"
database = "D"
schema = "S"
price = { card = "simplyload" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a run of two minutes; the commands look there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    return write_run(tmp_path / "reports", Made(seconds=120))


def sums(lines: list[CostLine]) -> Mapping[str, Decimal]:
    """Return the sum of each tool's priced lines."""
    return {
        tool: Total.of(line for line in lines if line.tool == tool).amount
        for tool in dict.fromkeys(line.tool for line in lines)
    }


def test_without_tools_every_vendor_s_card_prices_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first report answers the question of cost, and costs.json holds the costs shown."""
    assert cli.main(["costs"]) == 0
    shown = capsys.readouterr().out
    costs = Costs.of(folder)
    assert costs is not None
    assert {"fivetran", "airbyte", "rivery", "simplyload", "estuary"} <= set(costs.tools())
    assert all(line.basis == "estimate" and line.grade for line in costs.lines)
    for text in ("A month at this run's rate", "Grades: P: published by the vendor", "costs.json"):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 120
    assert cli.main(["costs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"]


def test_the_five_cheapest_vendors_stand_alone_unless_all_are_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tools under test come first; one that runs here has no price, and says so."""
    tools = tmp_path / "local.toml"
    local = 'kind = "postgres"\ndestination = "postgres"\nrunner = "replication"'
    tools.write_text(f"[tools.here]\n{local}\n")
    costs = costs_of(folder, load_settings({"tools_file": tools}), NOW)
    (row,) = tools_table(costs, ["here"]).rows
    assert row[0] == "here"
    assert row[-1] == "it runs here"
    months = cheapest_months(costs.projection, 2).rows
    assert len(months) == 3
    assert months[-1][0] == "SimplyLoad's machines"
    assert cli.main(["costs"]) == 0
    brief = capsys.readouterr().out
    assert "cheapest plan of each vendor" in brief
    assert cli.main(["costs", "--all"]) == 0
    assert len(capsys.readouterr().out) > 2 * len(brief)


def test_a_month_is_counted_and_not_multiplied(folder: Path) -> None:
    """Updates come back to the same orders: distinct rows grow slower than changes."""
    usage = costs_of(folder, load_settings({}), NOW).projection.usage
    assert usage is not None
    factor = usage.month.changes / usage.run.changes
    assert factor == pytest.approx(720 * 3600 / 120, rel=0.01)
    low, likely, high = usage.month.distinct_rows
    assert low <= likely <= high < usage.month.changes
    inserts = usage.month.inserts
    assert low > inserts  # and those rows are there as well


def test_the_cheapest_vendor_is_the_lowest_curve(folder: Path) -> None:
    """Ranges follow each other over all volumes; within each no other vendor is lower."""
    projection = costs_of(folder, load_settings({}), NOW).projection
    ranges = projection.cheapest
    assert projection.curves is not None
    volumes, vendors = projection.curves.changes.x, projection.curves.changes.vendors
    assert (ranges[0].from_changes, ranges[-1].to_changes) == (volumes[0], volumes[-1])
    assert "simplyload" not in {name for entry in ranges for name in entry.vendors}
    for entry, following in pairwise(ranges):
        assert entry.to_changes == following.from_changes
        assert entry.vendors != following.vendors
    for entry in ranges:
        low, high = 1.1 * entry.from_changes, 0.9 * entry.to_changes
        inside = [i for i, v in enumerate(volumes) if low < v < high]
        others = vendors.keys() - {*entry.vendors, "simplyload"}
        for i in inside:
            bounds = [vendors[name][i].most for name in entry.vendors]
            best = min(most for most in bounds if most is not None)
            assert all(vendors[name][i].least > best for name in others), (entry, volumes[i])


def test_the_terminal_names_the_cheapest_by_range(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row a range, and no list of pairs; the first copy and a re-sync stand above it."""
    assert cli.main(["costs", "--all", "--run", folder.name]) == 0
    shown = capsys.readouterr().out
    _, _, table = shown.partition("Cheapest vendor by monthly changes")
    assert "10,000 to" in table
    assert "1 billion" in table
    assert "certainly" not in shown
    for text in ("Baseline: 26,000 rows", "first copy", "one re-sync"):
        assert text in shown


def test_what_a_vendor_reported_replaces_our_own_figures(folder: Path, tmp_path: Path) -> None:
    """Both figures stay; usage of an unknown name is a warning."""
    tools = tmp_path / "tools.toml"
    tools.write_text(TOOLS)
    settings = load_settings({"tools_file": tools})
    before = sums(list(costs_of(folder, settings, NOW).lines))
    (folder / USAGE_FILE).write_text(
        '[five]\nsource = "its usage page"\ndistinct_rows = 900000\n'
        '[nobody]\nsource = "?"\ndistinct_rows = 1\n'
    )
    costs = costs_of(folder, settings, NOW)
    assert sums(list(costs.lines))["five"] > before["five"]
    assert costs.projection.reported["five"].distinct_rows == 900_000
    assert any("figures of nobody" in warning for warning in costs.warnings)


def test_a_warehouse_that_can_not_be_read_is_not_nothing(folder: Path, tmp_path: Path) -> None:
    """Its line says why it has no amount, and the rest is complete."""
    tools = tmp_path / "tools.toml"
    tools.write_text(TOOLS)
    costs = costs_of(folder, load_settings({"tools_file": tools}), NOW)
    unread = [line for line in costs.lines if line.tool == "five" and line.payer == "customer"]
    assert unread
    assert all(line.amount is None and "SNOWFLAKE_ACCOUNT" in line.note for line in unread)
    assert Total.of(line for line in costs.lines if line.payer == "service").amount > 0


def test_a_card_that_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    """By the tool's name, with those that there are."""
    tools = tmp_path / "tools.toml"
    tools.write_text(TOOLS.replace('card = "fivetran"', 'card = "fivetrain"'))
    lines = costs_of(folder, load_settings({"tools_file": tools}), NOW).lines
    (line,) = (priced for priced in lines if priced.tool == "five" and priced.payer == "service")
    assert line.amount is None
    assert "fivetrain" in line.note


def test_an_old_price_is_said_on_its_own_line(folder: Path, tmp_path: Path) -> None:
    """Beyond 90 days, with its day; a younger one, and a line that has no price, say nothing."""
    tools = tmp_path / "tools.toml"
    tools.write_text(TOOLS)
    later = datetime(2027, 3, 1, tzinfo=UTC)
    lines = costs_of(folder, load_settings({"tools_file": tools}), later).lines
    dated = [line for line in lines if line.as_of is not None]
    assert dated
    assert all(f"old price: of {line.as_of}, " in line.note for line in dated)
    assert not any("old price" in line.note for line in lines if line.as_of is None)
    now = costs_of(folder, load_settings({"tools_file": tools}), NOW).lines
    young = [line for line in now if line.as_of and (NOW.date() - line.as_of).days <= STALE_DAYS]
    assert young
    assert not any("old price" in line.note for line in young)
    wanted = load_settings({"tools_file": tools})
    assert any("old price" in line.note for line in expected(wanted, load_tools(wanted), later))


def test_the_expected_spend_is_held_against_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check comes before a run; a tool that can't be priced is a reason to warn, too."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["costs", "--expected"]) == 0
    assert "has no tool with a price" in capsys.readouterr().out
    (tmp_path / "tools.toml").write_text(TOOLS)
    assert cli.main(["costs", "--expected"]) == 0
    assert "not priced: the run may cost more than BUDGET_USD" in capsys.readouterr().out
    settings = load_settings()
    priced = expected(settings, load_tools(settings), NOW)
    lines = [line for line in priced if line.amount is not None]
    assert over_budget(lines, Decimal(10_000)) is None
    assert "more than BUDGET_USD" in (over_budget(lines, Decimal("0.01")) or "")
    unknown = not_priced("a", "customer", "b", "nobody knows")
    assert "may cost more" in (over_budget([unknown], Decimal(1)) or "")


def test_a_usage_file_that_is_wrong_is_named(folder: Path) -> None:
    """With the key that it does not have."""
    (folder / USAGE_FILE).write_text('[five]\nsource = "a page"\nrows = 3\n')
    with pytest.raises(SettingsError, match=r"usage\.toml.*rows"):
        costs_of(folder, load_settings({}), NOW)


def test_the_report_shows_what_was_priced(folder: Path) -> None:
    """Its section stands in both forms, with the curve beside; without costs.json it does not."""
    bare = write_report(folder, START).report
    assert 'id="costs"' not in bare.html
    assert "run loadgen costs" in bare.markdown
    assert cli.main(["costs"]) == 0
    written = write_report(folder, START)
    page: Any = page_of(written.report.html)
    assert 'id="costs"' in written.report.html
    assert page.fetched == []
    for text in ("A month at this run", "Fivetran", "Grades"):
        assert text in written.report.html
        assert text in written.report.markdown
    assert (folder / "charts" / "costs.svg").exists()
