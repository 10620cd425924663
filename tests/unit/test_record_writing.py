"""The run record as its writer keeps it: atomic, appendable, with errors for failed writes."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from loadgen.errors import RecordError
from loadgen.record.folder import RunRecord, find_run
from loadgen.record.model import iso
from loadgen.record.rows import MarkerSample, Sample, SlotSample
from loadgen.record.run import Run
from tests.records import update

AT = datetime(2026, 11, 23, 7, 0, 0, 123456, tzinfo=UTC)
SAMPLE = Sample(AT, "insert_order", 10.0, 7, 3, 1, 1, 1, 1, 0.001, 0.002, 0.003)


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    """Return the record of a new run."""
    return RunRecord.create(tmp_path / "reports", "run-1")


def written(record: RunRecord) -> dict[str, object]:
    """Return the content of run.json on the disk."""
    found: dict[str, object] = json.loads((record.path / "run.json").read_bytes())
    return found


def test_latest_is_a_relative_link_to_the_newest_run(tmp_path: Path) -> None:
    """Latest follows each test start, and survives moving the folder of reports."""
    RunRecord.create(tmp_path, "run-1")
    RunRecord.create(tmp_path, "run-2")
    assert (tmp_path / "latest").readlink() == Path("run-2")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "run-1", "run-2"]


def test_latest_is_a_file_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system without symbolic links a file holds the name, and is followed alike."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for run_id in ("run-1", "run-2"):
        RunRecord.create(tmp_path, run_id).begin(Run())
    assert (tmp_path / "latest").read_text().strip() == "run-2"
    assert find_run(tmp_path).name == "run-2"


def test_a_run_folder_is_never_used_twice(record: RunRecord) -> None:
    """A second run of the same id is refused, and the first one's record stays."""
    record.begin(Run(seed=1))
    with pytest.raises(RecordError, match="run-1"):
        RunRecord.create(record.path.parent, "run-1")
    assert written(record)["seed"] == 1


@pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "../x", "latest", "a\nb", "x" * 200])
def test_a_run_id_that_can_not_name_a_folder_is_refused(tmp_path: Path, run_id: str) -> None:
    """No run id leads out of the folder of reports or hides `latest`."""
    with pytest.raises(RecordError, match="run id"):
        RunRecord.create(tmp_path / "reports", run_id)
    assert not (tmp_path / "reports").exists()


def test_run_json_has_the_keys_in_the_contracts_order(record: RunRecord) -> None:
    """Whatever order they come in, so that two records can be compared line by line."""
    record.begin(Run.model_validate({"extra": 1, "valid": None, "totals": {}, "seed": 1}))
    keys = ["schema_version", "run_id", "seed", "journal", "totals", "valid", "extra"]
    assert list(written(record)) == keys
    assert (record.path / "run.json").read_text().startswith('{\n  "schema_version": 1,\n')


def test_an_update_leaves_the_other_fields(record: RunRecord) -> None:
    """Fields that an update does not name stay, the journal too; a rewrite starts empty."""
    record.begin(Run(seed=1, totals={}))
    record.journal("pause", at=AT, by="page")
    update(record, totals={"insert_order": {"offered": 1}}, valid=True)
    run = written(record)
    assert (run["seed"], run["valid"]) == (1, True)
    assert run["totals"] == {"insert_order": {"offered": 1}}
    assert run["journal"] == [{"at": "2026-11-23T07:00:00.123Z", "kind": "pause", "by": "page"}]
    record.begin(Run(seed=2))
    assert written(record)["journal"] == []


def test_a_journal_of_thousands_stays_in_order(record: RunRecord) -> None:
    """48 hours of events are all there, one per line."""
    for i in range(3000):
        record._journal.append(json.dumps({"at": iso(AT + timedelta(seconds=i)), "kind": str(i)}))
    record.journal("last")
    kinds = [event.kind for event in Run.of(record.path).journal]
    assert kinds == [*map(str, range(3000)), "last"]
    lines = (record.path / "run.json").read_text().splitlines()
    assert sum('"kind"' in line for line in lines) == len(kinds)


def test_an_event_may_be_added_to(record: RunRecord) -> None:
    """Later details are added to the same event, whatever was journaled meanwhile."""
    number = record.journal("pause", at=AT, by="door")
    record.journal("fault", at=AT)
    record.amend(number, applied_by="2 of 2")
    record.flush()
    pause, fault = Run.of(record.path).journal
    assert (pause.kind, pause.details) == ("pause", {"by": "door", "applied_by": "2 of 2"})
    assert (fault.kind, fault.details) == ("fault", {})
    assert record.journaled == {"pause": 1, "fault": 1}


def test_an_opened_record_goes_on_where_it_was(record: RunRecord) -> None:
    """Another process that opens the record keeps all its fields and events."""
    record.begin(Run.model_validate({"seed": 5, "extra": [1]}))
    record.journal("fault", at=AT)
    again = RunRecord.open(record.path.parent / "latest")
    again.journal("fault", at=AT)
    run = written(record)
    assert (run["seed"], run["extra"], again.run_id) == (5, [1], "run-1")
    assert len(Run.of(record.path).journal) == 2


def test_opening_refuses_what_is_no_record(record: RunRecord) -> None:
    """A missing folder, a torn run.json and another schema version have different errors."""
    with pytest.raises(RecordError, match="not a run's folder"):
        RunRecord.open(record.path / "nowhere")
    for text, reason in (("{", "can't be read"), ('{"schema_version": 2}', "schema_version is 2")):
        (record.path / "run.json").write_text(text)
        with pytest.raises(RecordError, match=reason):
            RunRecord.open(record.path)
        assert (record.path / "run.json").read_text() == text


def test_values_are_written_as_plain_data(record: RunRecord) -> None:
    """Times become UTC with milliseconds, money and paths text; text keeps its letters."""
    east = datetime(2026, 11, 23, 9, 0, tzinfo=timezone(timedelta(hours=2)))
    record.begin(
        Run.model_validate(
            {"started_at": east, "price": Decimal("0.10"), "p": Path("/a"), "n": "☃"}
        )
    )
    run = written(record)
    assert run["started_at"] == "2026-11-23T07:00:00.000Z"
    assert (run["price"], run["p"], run["n"]) == ("0.10", "/a", "☃")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_value_that_can_not_be_kept_names_its_key(record: RunRecord, value: object) -> None:
    """Such a write is refused and leaves the file as it was."""
    record.begin(Run(seed=1))
    with pytest.raises(RecordError, match="settings"):
        update(record, settings={"event_bytes": value})
    assert "settings" not in written(record)


def test_a_naive_time_is_refused(record: RunRecord) -> None:
    """A moment without its zone could mean any; neither file takes it."""
    naive = AT.replace(tzinfo=None)
    with pytest.raises(RecordError, match="time zone"):
        record.journal("fault", at=naive)
    with pytest.raises(ValueError, match="time zone"):
        iso(naive)


def test_rows_are_appended_below_one_header(record: RunRecord) -> None:
    """The header is written with the first row and never again."""
    record.append([SAMPLE])
    record.append([SAMPLE, SAMPLE])
    record.append([])
    lines = (record.path / "samples.csv").read_text().splitlines()
    assert lines[0] == ",".join(Sample.columns())
    assert lines[1] == (
        "2026-11-23T07:00:00.123Z,insert_order,10.0,7,3,1,1,1,1,0.001,0.002,0.003,,,"
    )
    assert lines[1:] == [lines[1]] * 3


def test_the_columns_are_the_contracts() -> None:
    """The files' columns are named as every other part and outside check reads them."""
    assert ",".join(Sample.columns()) == (
        "time,operation,target_rate,offered,committed,failed,skipped,unknown,in_flight,"
        "service_p50,service_p95,service_p99,intended_p50,intended_p95,intended_p99"
    )
    assert ",".join(SlotSample.columns()) == (
        "time,slot,active,wal_status,retained_bytes,confirmed_lag_bytes,safe_wal_bytes,"
        "wal_bytes_total"
    )
    assert ",".join(MarkerSample.columns()) == (
        "tool,sequence,written_at,seen_at,delivery_seconds,poll_seconds"
    )


@pytest.mark.parametrize("torn", ["2026-11-23T07:00:01", "x" * 9000])
def test_a_torn_line_is_cut_off_before_the_next_append(record: RunRecord, torn: str) -> None:
    """A line half written by a killed writer does not become a malformed line in the middle."""
    record.append([SAMPLE])
    file = record.path / "samples.csv"
    whole = file.read_text()
    file.write_text(whole + torn)
    record.append([SAMPLE])
    assert file.read_text() == whole + whole.splitlines(keepends=True)[1]


def test_a_torn_header_is_written_again(record: RunRecord) -> None:
    """A writer killed in its first write leaves a torn header, and the next writer replaces it."""
    (record.path / "slots.csv").write_text("time,slo")
    slot = SlotSample(AT, "s", active=True, wal_status="reserved", retained_bytes=None,
                      confirmed_lag_bytes=1, safe_wal_bytes=None, wal_bytes_total=2)  # fmt: skip
    record.append([slot])
    assert list(SlotSample.read(record.path)) == [slot_in_milliseconds(slot)]


def slot_in_milliseconds(slot: SlotSample) -> SlotSample:
    """Return the row as the file keeps it: times to the millisecond."""
    at = slot.time.replace(microsecond=slot.time.microsecond // 1000 * 1000)
    values = {name: getattr(slot, name) for name in SlotSample.columns()}
    return SlotSample(**{**values, "time": at})


@pytest.mark.parametrize("tool", ["a\nb", "a\rb"])
def test_a_cell_never_breaks_its_line(record: RunRecord, tool: str) -> None:
    """A line break in a cell is refused, as readers take each line for a row."""
    with pytest.raises(ValueError, match="line break"):
        record.append([MarkerSample(tool, 1, AT, None, None, None)])
    assert not (record.path / "freshness.csv").exists()


def test_a_number_that_is_none_is_refused(record: RunRecord) -> None:
    """Infinity and NaN are no latencies."""
    with pytest.raises(ValueError, match="can't hold"):
        record.append([Sample(AT, "insert_order", float("nan"), 0, 0, 0, 0, 0, 0)])


def test_a_vanished_folder_is_named(record: RunRecord) -> None:
    """Writing into a deleted folder raises an error with the file's name."""
    record.append([SAMPLE])
    (record.path / "samples.csv").unlink()
    record.path.rmdir()
    with pytest.raises(RecordError, match=r"samples\.csv"):
        record.append([SAMPLE])
    with pytest.raises(RecordError, match=r"run\.json"):
        record.begin(Run())


def test_a_folder_of_reports_that_is_a_file_is_named(tmp_path: Path) -> None:
    """A run can't begin if its folder can't be made."""
    (tmp_path / "reports").write_text("")
    with pytest.raises(RecordError, match="REPORTS_DIR"):
        RunRecord.create(tmp_path / "reports", "run-1")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Yield a folder on a file system of 64 KiB; skip if mounting is not allowed."""
    with tempfile.TemporaryDirectory(prefix="playground-record-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
            pytest.skip("mounting a small file system needs root")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def fill_disk(record: RunRecord) -> None:
    """Append seven rows at a time until an append fails."""
    for _ in range(2000):
        record.append([SAMPLE] * 7)


def test_a_full_disk_costs_no_whole_line(small_disk: Path) -> None:
    """It is named, run.json stays whole, rows stay readable; with room again nothing is missing."""
    record = RunRecord.create(small_disk, "run-1")
    record.begin(Run(seed=1))
    (small_disk / "other").write_bytes(b"x" * 30_000)
    with pytest.raises(RecordError, match=r"samples\.csv: No space left"):
        fill_disk(record)
    kept = len(list(Sample.read(record.path)))
    assert kept
    assert kept % 7 == 0
    with pytest.raises(RecordError, match=r"run\.json: No space left"):
        update(record, invalid_reason="x" * 40_000)
    with pytest.raises(RecordError, match=r"No space left"):
        record.journal("pause", at=AT)  # it is not done, so it is not journaled
    record.note("disk_full", at=AT)  # it has happened, and waits with the rest
    with pytest.raises(RecordError, match=r"No space left"):
        record.flush()
    assert written(record)["seed"] == 1
    assert not list(record.path.glob(".*"))
    (small_disk / "other").unlink()
    update(record, invalid_reason=None)
    record.append([SAMPLE])
    assert len(list(Sample.read(record.path))) == kept + 7 + 1
    assert [event.kind for event in Run.of(record.path).journal] == ["disk_full"]
    record.flush()  # there is nothing left
    assert len(list(Sample.read(record.path))) == kept + 7 + 1


def test_the_law_counts_every_arrival_once() -> None:
    """One arrival too many or too few on either side breaks it."""
    assert SAMPLE.balanced()
    for name in ("offered", "committed", "failed", "skipped", "unknown", "in_flight"):
        values = {column: getattr(SAMPLE, column) for column in Sample.columns()}
        assert not Sample(**{**values, name: values[name] + 1}).balanced(), name
