"""Re-syncs under load: how long, how many rows, how much WAL, and the cost of the rows."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from loadgen.costs.cards import load_cards
from loadgen.costs.estimate import RESYNC, RESYNCED, PlanPrice
from loadgen.costs.vendors import PriceChoice, VendorPrices
from loadgen.costs.workload import Workload, run_usage, workload_of
from loadgen.record.costs import CostLine
from loadgen.record.folder import RunRecord
from loadgen.record.resyncs import Resync, resyncs_of
from loadgen.record.rows import SlotSample
from loadgen.record.run import JournalEvent, Run
from loadgen.report.tables.resyncs import resync_table
from loadgen.text import NOTHING
from tests.records import START, Made, write_run

MIB = 2**20
DAY = START.date()


def event(second: float, kind: str, tool: str, **details: object) -> JournalEvent:
    """Return an event of the journal at a second of the run."""
    return JournalEvent(START + timedelta(seconds=second), kind, {"tool": tool, **details})


JOURNAL = [
    event(5, "resync_began", "cdc"),
    event(6, "tool_started", "cdc"),
    event(10, "resync_began", "dlt"),
    event(15, "resync_ended", "cdc", rows=26_000),
    event(20, "resync_began", "cdc"),
    event(21, "resync_ended", "other", rows=1),
]


def slot(second: float, mib: int) -> SlotSample:
    """Return a sample of the slot of cdc."""
    at = START + timedelta(seconds=second)
    return SlotSample(at, "cdc_slot", True, "reserved", mib * MIB, 0, None, 0)


def test_a_resync_ends_with_its_own_tools_event() -> None:
    """One whose end is missing has neither time nor rows."""
    first, second, third = resyncs_of(JOURNAL)
    assert (first.tool, first.seconds, first.rows) == ("cdc", 10.0, 26_000)
    assert (second.tool, second.seconds, second.rows) == ("dlt", None, None)
    assert (third.tool, third.seconds) == ("cdc", None)
    assert resyncs_of([event(1, "resync_ended", "cdc", rows="many")]) == []


def test_the_wal_is_that_between_its_ends() -> None:
    """Of the tool's own slot; a tool without a slot keeps none."""
    samples = [slot(4, 900), slot(7, 30), slot(14, 50), slot(16, 800)]
    resyncs = [*resyncs_of(JOURNAL)[:2], Resync("far", START)]
    table = resync_table(resyncs, samples, {"cdc": "cdc_slot", "dlt": None}, [])
    assert [row[2:] for row in table.rows] == [
        ("10 s", "26,000", "50 MiB", "not priced"),
        ("not by the end", NOTHING, "no slot", "not priced"),
        ("not by the end", NOTHING, NOTHING, "not priced"),
    ]


def priced(folder: Path, card: str, *rows: int) -> list[CostLine]:
    """Return the lines of re-syncs of so many rows."""
    record = RunRecord.open(folder)
    for n in rows:
        record.journal("resync_began", tool="copy")
        record.journal("resync_ended", tool="copy", rows=n)
    run = Run.of(folder)
    prices = VendorPrices(load_cards(), [PriceChoice("copy", card, None)], DAY, {})
    lines = prices.lines(run, workload_of(run, "shop"))
    return [line for line in lines if (line.tool, line.category) == ("copy", RESYNCED)]


def test_its_rows_are_priced_by_the_rate_card(tmp_path: Path) -> None:
    """The whole baseline costs what the projection says; free is $0, and in the table."""
    folder = write_run(tmp_path, Made())
    baseline = 26_000
    whole, half = priced(folder, "estuary", baseline, baseline // 2)
    run = Run.of(folder)
    workload = workload_of(run, "shop")
    assert isinstance(workload, Workload)
    card = load_cards()["estuary"]
    plan = PlanPrice("copy", card, card.plans[0])
    usage = run_usage(run, workload).likely
    assert whole.amount == plan.copy_line(usage, workload.baseline, RESYNC).amount
    assert whole.amount
    assert half.amount == whole.amount / 2
    table = resync_table(resyncs_of(run.journal), [], {}, [whole, half])
    assert [row[3] for row in table.rows] == ["26,000", "13,000"]
    assert all("$" in row[-1] for row in table.rows)


def test_a_free_resync_costs_nothing(tmp_path: Path) -> None:
    """Fivetran bills none."""
    (line,) = priced(write_run(tmp_path, Made()), "fivetran", 1000)
    assert line.amount == Decimal(0)
    assert line.note.startswith("free")


def test_one_that_did_not_end_is_not_priced(tmp_path: Path) -> None:
    """The line says so."""
    folder = write_run(tmp_path, Made())
    RunRecord.open(folder).journal("resync_began", tool="copy")
    (line,) = priced(folder, "estuary")
    assert line.amount is None
    assert "not complete by the end of the run" in line.note
