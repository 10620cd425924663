"""The run record as readers see it: typed, forgiving of a killed writer and of nothing else."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.errors import RecordError
from loadgen.record.folder import RunRecord, find_run
from loadgen.record.rows import MarkerSample, Sample, SlotSample, csv_line
from loadgen.record.run import Run

AT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
SAMPLE = Sample(AT, "insert_order", 10.0, 7, 3, 1, 1, 1, 1)

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - below
    lambda at: at.replace(tzinfo=UTC, microsecond=at.microsecond // 1000 * 1000)
)
counts = st.integers(0, 2**63)
# Nine decimals, as in the file; the next test checks that longer values are rounded.
seconds = st.floats(0, 1e6, allow_nan=False).map(lambda value: round(value, 9))
one_line = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])).filter(
    str.isprintable
)
samples = st.builds(Sample, moments, one_line, seconds, *[counts] * 6, *[st.none() | seconds] * 6)
slots = st.builds(
    SlotSample, moments, one_line, st.booleans(), one_line, *[st.none() | counts] * 3, counts
)
markers = st.builds(
    MarkerSample, one_line, counts, moments, st.none() | moments, *[st.none() | seconds] * 2
)


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    """Return the record of a new run."""
    return RunRecord.create(tmp_path, "run-1")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(samples), st.lists(slots), st.lists(markers))
def test_what_was_appended_is_read(
    record: RunRecord, rows: list[Sample], of_slots: list[SlotSample], seen: list[MarkerSample]
) -> None:
    """Every row of every file comes back equal, whatever its text shows."""
    for file in record.path.glob("*.csv"):
        file.unlink()
    record.append(rows)
    record.append(of_slots)
    record.append(seen)
    assert list(Sample.read(record.path)) == rows
    assert list(SlotSample.read(record.path)) == of_slots
    assert list(MarkerSample.read(record.path)) == seen


@given(st.floats(0, 1e6))
def test_a_number_keeps_nine_decimals(value: float) -> None:
    """A rate of one an hour and a latency of a nanosecond still differ from zero."""
    kept = float(csv_line([value]))
    assert math.isclose(kept, value, rel_tol=1e-12, abs_tol=0.5000001e-9)


def test_a_torn_last_line_is_dropped(record: RunRecord) -> None:
    """At whatever byte the file ends, the whole lines before it are read and nothing is made up."""
    record.append([SAMPLE, SAMPLE])
    file = record.path / "samples.csv"
    data = file.read_bytes()
    for length in range(len(data)):
        file.write_bytes(data[:length])
        whole = max(0, data[:length].count(b"\n") - 1)
        assert list(Sample.read(record.path)) == [SAMPLE] * whole


def test_no_file_is_no_rows(record: RunRecord) -> None:
    """A run that has not sampled yet, or that was not watched, has no rows."""
    assert not list(Sample.read(record.path))
    assert not list(SlotSample.read(record.path))
    assert not list(MarkerSample.read(record.path))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "1 cells"),
        (b"2026-11-23T07:00:00.000Z,insert_order,1.0,1", "4 cells"),
        (b"yesterday,insert_order,1.0,1,1,0,0,0,0,,,,,,", "yesterday"),
        (b"2026-11-23T07:00:00,insert_order,1.0,1,1,0,0,0,0,,,,,,", "no time zone"),
        (b"2026-11-23T07:00:00.000Z,insert_order,nan,1,1,0,0,0,0,,,,,,", "nan"),
        (b"2026-11-23T07:00:00.000Z,insert_order,1.0,one,1,0,0,0,0,,,,,,", "one"),
        (b"2026-11-23T07:00:00.000Z,insert_order,1.0,,1,0,0,0,0,,,,,,", "invalid literal"),
        (b'2026-11-23T07:00:00.000Z,"insert_order,1.0,1,1,0,0,0,0,,,,,,', "unexpected end"),
        (b"\x00\xff", "utf-8"),
    ],
)
def test_a_malformed_line_is_named(record: RunRecord, line: bytes, reason: str) -> None:
    """A whole line that does not fit is an error with its file and number, never skipped."""
    record.append([SAMPLE])
    file = record.path / "samples.csv"
    file.write_bytes(file.read_bytes() + line + b"\n")
    rows = Sample.read(record.path)
    assert next(rows) == SAMPLE
    with pytest.raises(RecordError, match=rf"samples\.csv, line 3: .*{reason}"):
        next(rows)


def test_other_columns_are_refused(record: RunRecord) -> None:
    """A file with other columns is not read as if it had ours."""
    (record.path / "slots.csv").write_text("time,slot\n")
    with pytest.raises(RecordError, match=r"slots\.csv, line 1: the columns are time,slot"):
        next(SlotSample.read(record.path))


def test_neither_true_nor_false_is_refused(record: RunRecord) -> None:
    """A slot is active or it is not."""
    record.append([SlotSample(AT, "s", True, "lost", None, None, None, 1)])
    file = record.path / "slots.csv"
    file.write_text(file.read_text().replace("true", "1"))
    with pytest.raises(RecordError, match="neither true nor false"):
        next(SlotSample.read(record.path))


def test_a_run_that_has_just_begun_is_read(record: RunRecord) -> None:
    """A field that is not written yet, or null, is None or empty."""
    record.begin(
        Run.model_validate({"seed": 7, "ended_at": None, "rows_after": None, "totals": {}})
    )
    run = Run.of(record.path)
    assert (run.seed, run.run_id, run.ended_at, run.valid) == (7, "run-1", None, None)
    empty = (run.settings, run.totals, run.rows_after, run.failures, run.journal)
    assert not any((*empty, run.statement_rows))


def test_a_finished_run_is_read_whole(record: RunRecord) -> None:
    """Every key of the contract comes back with its type."""
    latency = {"p50": 0.001, "p95": 0.002, "p99": None, "max": 1}
    written = Run.model_validate(
        {
            "started_at": AT,
            "totals": {"x": {"offered": 5, "committed": 1, "failed": 2, "skipped": 1}},
            "rows_before": {"events": {"rows": 3}},
            "rows_after": {"users": {"rows": 3, "version_sum": 4}},
            "failures": {"x": {"40001": 2}},
            "latency": {"x": {"service": latency, "intended": latency}},
            "statement_rows": {"x": (4, 1, 0)},
            "asked": {"x": 4.5},
            "valid": False,
            "duration_seconds": 60,
            "users": 8,
        }
    )
    record.begin(written)
    record.journal("rate_change", at=AT, by="page")
    run = Run.of(record.path)
    assert (run.started_at, run.valid) == (AT, False)
    assert (run.totals["x"].failed, run.totals["x"].unknown) == (2, 0)
    assert (run.rows_before["events"].rows, run.rows_before["events"].version_sum) == (3, None)
    assert run.rows_after is not None
    assert run.rows_after["users"].version_sum == 4
    assert run.statement_rows == {"x": (4, 1, 0)}
    assert (run.failures["x"]["40001"], run.asked["x"], run.users) == (2, 4.5, 8)
    assert (run.latency["x"].service.p95, run.latency["x"].intended.max) == (0.002, 1)
    assert (run.journal[0].kind, run.journal[0].at, run.journal[0].details) == (
        "rate_change",
        AT,
        {"by": "page"},
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "1"),
        ("seed", True),
        ("valid", 1),
        ("started_at", "2026-11-23T07:00:00"),
        ("started_at", 5),
        ("settings", []),
        ("journal_left_out", "1"),
        ("source_time", 5),
        ("totals", {"x": 1}),
        ("totals", {"x": {"offered": 1.5}}),
        ("journal", {}),
        ("journal", ["x"]),
        ("journal", [{"kind": "x"}]),
        ("journal", [{"at": "2026-11-23T07:00:00Z"}]),
        ("failures", {"x": {"40001": "many"}}),
        ("latency", {"x": {"service": {"p50": "fast"}}}),
        ("asked", {"x": "many"}),
    ],
)
def test_a_value_of_another_kind_is_named(record: RunRecord, key: str, value: object) -> None:
    """A record that was changed by hand into nonsense is refused with the file."""
    (record.path / "run.json").write_text(json.dumps({"schema_version": 1, key: value}))
    with pytest.raises(RecordError, match=r"run\.json can.t be read: ") as refused:
        Run.of(record.path)
    assert key in str(refused.value)


@pytest.mark.parametrize("text", ['{"schema_version": 2}', '{"run_id": "x"}', "[]", "null", "3"])
def test_another_schema_version_is_refused(record: RunRecord, text: str) -> None:
    """A record of another version, or of none, is not guessed at."""
    (record.path / "run.json").write_text(text)
    with pytest.raises(RecordError, match="schema_version"):
        Run.of(record.path)


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_a_file_that_is_no_json_is_refused(record: RunRecord, text: str) -> None:
    """The message names the file."""
    (record.path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=r"run\.json can't be read"):
        Run.of(record.path)
    (record.path / "run.json").unlink()
    with pytest.raises(RecordError, match="is not there"):
        Run.of(record.path)


def test_runs_are_found_by_id_by_path_and_by_being_the_latest(tmp_path: Path) -> None:
    """A run is named as a person would: not at all, by its id, or by its folder."""
    folder = tmp_path / "reports"
    for run_id in ("run-1", "run-2"):
        RunRecord.create(folder, run_id).begin(Run())
    assert find_run(folder).name == "run-2"
    assert find_run(folder, "latest").name == "run-2"
    assert find_run(folder, "run-1") == folder / "run-1"
    assert find_run(tmp_path / "elsewhere", str(folder / "run-1")) == folder / "run-1"


def test_a_run_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    """The message helps: it lists the runs there are, or says how to start one."""
    with pytest.raises(RecordError, match="start one with `locust`"):
        find_run(tmp_path)
    RunRecord.create(tmp_path, "run-1").begin(Run())
    with pytest.raises(RecordError, match=r"no run 'run-7'.*there are run-1"):
        find_run(tmp_path, "run-7")
