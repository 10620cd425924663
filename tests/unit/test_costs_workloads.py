"""Costs of workloads other than the shop: pgbench's, and a custom one with a single table.

The figures are worked out by hand beside each assertion.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen import cli
from loadgen.config.settings import load_settings
from loadgen.costs.collect import costs_of
from loadgen.costs.lines import Unavailable
from loadgen.costs.row_changes import Ranked
from loadgen.costs.workload import Workload, planned_workload, run_usage, workload_of
from loadgen.errors import SettingsError
from loadgen.record.costs import Costs
from loadgen.record.folder import RunRecord
from loadgen.record.run import Run, TableRows, Totals
from loadgen.report.charts.costs import curves_of
from loadgen.report.folder import write_report
from tests.pages import page_of
from tests.records import START

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Decimal(1)
INVOICES = """
[tables.invoices]
rows = 400
columns.id = { generate = "sequence", start = 1000 }
columns.status = { value = "open" }
columns.note = { text = [10, 10] }
columns.paid_at = { default = true, type = "timestamptz" }

[operations.new_invoice]
per_hour = 100
insert = "invoices"

[operations.pay]
per_hour = 150
update = "invoices"
row = { inserted = "new_invoice", order = "oldest" }
set.status = "paid"

[operations.correct]
per_hour = 200
update = "invoices"
set.note = "corrected"

[operations.remove]
per_hour = 5
delete = "invoices"
row = { once = true, share = 0.1 }
"""
TPCB_ROWS = {
    "pgbench_branches": 1,
    "pgbench_tellers": 10,
    "pgbench_accounts": 100_000,
    "pgbench_history": 0,
}


def written(folder: Path, text: str) -> str:
    """Write a workload's file and return its folder."""
    folder.mkdir()
    (folder / "workload.toml").write_text(text)
    return str(folder)


def planned(workload: str, **more: object) -> Workload:
    """Return the workload of a folder or name, at its own rates."""
    return planned_workload(load_settings({"workload": workload, "seed": 1, **more}))


def tpcb_run(touched: tuple[int, ...] = (3600, 3600, 3600, 3600)) -> Run:
    """Return an hour of 3,600 transactions at scale 1."""
    return Run(
        run_id="20261123T080000Z-0001",
        workload="tpcb",
        seed=1,
        settings={"workload": "tpcb", "transaction_per_hour": 3600.0},
        started_at=START,
        ended_at=NOW,
        duration_seconds=3600.0,
        totals={"transaction": Totals(offered=3600, committed=3600)},
        rows_before={name: TableRows(rows=rows) for name, rows in TPCB_ROWS.items()},
        statement_rows={"transaction": touched} if touched else {},
    )


@pytest.fixture
def invoices(tmp_path: Path) -> str:
    """Return the folder of a workload of one table."""
    return written(tmp_path / "invoices", INVOICES)


def test_each_statement_of_a_transaction_counts_its_rows() -> None:
    """3,600 transactions of three updates and an insert are 14,400 changes."""
    run = tpcb_run()
    workload = workload_of(run, "shop")
    assert isinstance(workload, Workload)
    usage = run_usage(run, workload).likely
    assert [usage.inserts, usage.updates, usage.deletes] == [3600, 10_800, 0]
    assert usage.changes == 14_400
    # 3,600 rows of history, the branch, the ten tellers, and of the accounts
    # 100,000 * (1 - 0.99999**3600) = 3,536.
    assert usage.distinct_rows == 3600 + 1 + 10 + 3536
    sizes = workload.sizes
    assert sizes["pgbench_branches"].likely == len('{"bid":1,"bbalance":0,"filler":null}')
    assert usage.bytes == 3600 * sum(size.likely for size in sizes.values())


def test_a_month_touches_every_account() -> None:
    """2,592,000 draws miss none of 100,000 rows; history grows by as many rows."""
    run = tpcb_run()
    workload = workload_of(run, "shop")
    assert isinstance(workload, Workload)
    month = workload.month().likely
    assert month.changes == 4 * 2_592_000
    assert month.distinct_rows == 2_592_000 + 100_000 + 10 + 1
    # The same mix with a million changes a month has 250,000 transactions.
    assert workload.of_changes(1e6).month().likely.inserts == 250_000


def test_a_statement_that_touches_more_rows_is_charged_for_them() -> None:
    """The second statement touched two rows each time; without a record, each touches one."""
    assert usage_of(tpcb_run((3600, 7200, 3600, 3600))) == 18_000
    assert usage_of(tpcb_run(())) == 14_400
    assert usage_of(tpcb_run((1, 2))) == 14_400  # of another version of the workload


def usage_of(run: Run) -> Decimal:
    """Return the changes of a run."""
    workload = workload_of(run, "shop")
    assert isinstance(workload, Workload)
    return run_usage(run, workload).likely.changes


def test_values_of_a_table_that_only_the_load_fills_come_from_its_parameters() -> None:
    """A row of history has the numbers of the transaction, and the time of its default type."""
    size = planned("tpcb").sizes["pgbench_history"]
    shortest = '{"tid":1,"bid":1,"aid":1,"delta":0,"mtime":"","filler":null}'
    longest = '{"tid":10,"bid":1,"aid":100000,"delta":-5000,"mtime":"","filler":null}'
    time = len("2026-11-23T08:00:00.000000Z")
    assert len(shortest) + time < size.likely < len(longest) + time


def test_one_table_of_invoices_by_hand(invoices: str) -> None:
    """Payments go to new invoices, corrections to any that stay, and each removal to another."""
    workload = planned(invoices)
    counts = {"new_invoice": 100, "pay": 60, "correct": 200, "remove": 5}
    usage = workload.usage(counts, HOUR)
    assert usage.low == replace(usage.likely, bytes=usage.low.bytes)  # nothing is simulated
    assert [usage.likely.inserts, usage.likely.updates, usage.likely.deletes] == [100, 260, 5]
    # Of 400 invoices the quietest 40 may be removed. 200 corrections of the other 360 touch
    # 360 * (1 - (359 / 360)**200) = 153.6.
    assert usage.likely.distinct_rows == 100 + 154 + 5
    row = '{"id":1000,"status":"open","note":"ten letter","paid_at":null}'
    values = "1000" + "open" + "ten letter"
    assert workload.sizes["invoices"].low == len(values)
    assert workload.sizes["invoices"].likely == len(row)
    assert usage.likely.bytes == 365 * len(row)
    assert workload.baseline is not None
    assert workload.baseline.rows == 400
    assert workload.baseline.bytes.likely == 400 * len(row)


def test_an_update_waits_for_its_insert(invoices: str) -> None:
    """150 payments an hour of 100 new invoices are 100; scale and rates are those of settings."""
    usage = planned(invoices).month().likely
    assert usage.updates == 720 * (100 + 200)
    more = planned(invoices, workload_scale=2, pay_per_hour=30, new_invoice_per_hour=40)
    assert more.rows == {"invoices": 800}
    month = more.month().likely
    assert [month.inserts, month.updates] == [720 * 40, 720 * (30 + 200)]


def test_updates_that_return_to_busy_rows_touch_no_others(invoices: str) -> None:
    """Of the what-if, payments and corrections; inserts and removals are different rows."""
    workload = replace(planned(invoices), hot_rows=10)
    counts = {"new_invoice": 100, "pay": 60, "correct": 100_000, "remove": 5}
    assert workload.usage(counts, HOUR).likely.distinct_rows == 100 + 5 + 10


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        ('update = "invoices"\nrow = { skew = 2 }\nset.status = "x"', Ranked(400, 2.0)),
        ('delete = "invoices"', Ranked(400)),
        (
            """sql = "UPDATE invoices SET note = :n WHERE id = :id"
params.id = { number = [1000, 1199], skew = 2 }
params.n = { text = [5, 9] }""",
            Ranked(200, 2.0),
        ),
        # Which rows these touch is not known: each time another one, at most all.
        ("sql = \"UPDATE invoices SET note = '' WHERE status = 'open'\"", "any"),
        (
            """sql = "UPDATE invoices SET note = '' WHERE note = :note"
params.note = { row = "invoices", column = "note" }""",
            "any",
        ),
    ],
)
def test_a_statement_tells_which_rows_it_touches(
    operation: str, target: object, tmp_path: Path
) -> None:
    """By the parameter that its WHERE compares with a key."""
    table = INVOICES[: INVOICES.index("[operations")]
    workload = planned(
        written(tmp_path / "own", f"{table}[operations.change]\nper_hour = 10\n{operation}\n")
    )
    (change,) = workload.changes["change"]
    assert (change.table, change.target) == ("invoices", target)
    distinct = workload.usage({"change": 100_000}, HOUR).likely.distinct_rows
    assert distinct == (target.rows if isinstance(target, Ranked) else 400)


def test_what_is_no_plain_change_counts_as_an_update(tmp_path: Path) -> None:
    """MERGE, and whatever else sqlglot does not call an insert, an update or a delete."""
    merge = (
        "MERGE INTO invoices i USING (SELECT :id::bigint AS id) AS s ON i.id = s.id "
        "WHEN MATCHED THEN UPDATE SET status = 'merged'"
    )
    table = INVOICES[: INVOICES.index("[operations")]
    text = (
        f'{table}[operations.m]\nper_hour = 10\nsql = "{merge}"\nparams.id = {{ row = "invoices" }}'
    )
    workload = planned(written(tmp_path / "own", text))
    usage = workload.usage({"m": 30}, HOUR).likely
    assert [usage.inserts, usage.updates, usage.deletes, usage.distinct_rows] == [0, 30, 0, 30]


def test_transfers_beside_a_built_in_workload_are_priced() -> None:
    """Each is an update and an insert; of a folder only WORKLOAD tells."""
    run = tpcb_run(())
    run.workload, run.settings = "tpcb_transfers", {"workload": "tpcb+transfers"}
    run.totals = {**run.totals, "transfer": Totals(offered=10, committed=10)}
    assert usage_of(run) == 14_400 + 20
    run.settings = {"workload": "/no/such/folder+transfers"}
    assert isinstance(workload_of(run, "shop"), Unavailable)


def test_a_record_does_not_say_which_files_are_read(invoices: str) -> None:
    """A workload of one's own is that of WORKLOAD, if it has the run's name."""
    run = tpcb_run(())
    run.workload, run.settings = "invoices", {"workload": "/no/such/folder"}
    run.totals = {"new_invoice": Totals(offered=9, committed=9)}
    unknown = workload_of(run, "shop")
    assert isinstance(unknown, Unavailable)
    assert unknown.reason == "the run's workload is invoices: set WORKLOAD to its folder"
    assert isinstance(workload_of(run, invoices), Workload)
    run.totals = {"old": Totals(offered=9, committed=9)}
    changed = workload_of(run, invoices)
    assert isinstance(changed, Unavailable)
    assert changed.reason == "workload invoices has no operation old"


def test_costs_and_report_of_a_workload_without_events(tmp_path: Path) -> None:
    """The projection has no prices over EVENT_BYTES, and the record and report do without."""
    record = RunRecord.create(tmp_path, "20261123T080000Z-0001")
    record.begin(tpcb_run())
    costs_of(record.path, load_settings({}), NOW).write(record.path)
    costs = Costs.of(record.path)
    assert costs is not None
    projection = costs.projection
    assert projection.curves is not None
    assert projection.curves.event_bytes is None
    assert [curve.name for curve in curves_of(projection)] == ["changes", "hot-rows"]
    assert projection.baseline is not None
    assert projection.baseline.rows == 100_011
    page = page_of(write_report(record.path, START).report.html)
    assert "costs" in page.tables


def test_a_run_of_any_workload_is_priced_before_it_starts(
    invoices: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two hours of invoices by their rates: 200 rows, 200 of them paid, and corrections."""
    tools = tmp_path / "tools.toml"
    tools.write_text(
        '[tools.five]\nkind = "fivetran"\ndestination = "snowflake"\ndatabase = "D"\n'
        'schema = "S"\nprice = { card = "fivetran", plan = "standard" }\n'
    )
    settings = {"WORKLOAD": invoices, "TOOLS_FILE": str(tools), "TEST_DURATION_HOURS": "2"}
    for name, text in (settings | {"MARKER_INTERVAL_SECONDS": "3600"}).items():
        monkeypatch.setenv(name, text)
    assert cli.main(["costs", "--expected", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    (rows,) = [line for line in lines if line["category"] == "monthly active rows"]
    # 200 new invoices, 10 removed, 360 * (1 - (359 / 360)**400) = 242 corrected, 2 markers.
    assert Decimal(rows["quantity"]) == 200 + 10 + 242 + 2
    monkeypatch.setenv("WORKLOAD", "tpc")
    with pytest.raises(SettingsError, match="tpcb"):
        planned("tpc")
