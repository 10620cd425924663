"""`loadgen compare`: the runs that may be compared, their control, and the output."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from loadgen.cli import main
from loadgen.commands.compare import tables
from loadgen.record.folder import RunRecord
from loadgen.record.verify import Verification
from loadgen.report.analysis.compare import differences, summary_of
from loadgen.report.folder import ReportOptions, write_report
from tests.pages import page_of
from tests.records import START, VERIFIED_COPY, Made, marker, update, write_run

BEFORE = {"wal_bytes": 1_000, "cpu_seconds": 1.0, "server_started_at": START}


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of reports of a project with a run of two tools and a control."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPORTS_DIR", str(tmp_path / "reports"))
    monkeypatch.setenv("COLUMNS", "100")
    reports = tmp_path / "reports"
    spent(write_run(reports, Made(), "control"), wal=2_112_000, cpu=2.112, p95=0.01)
    folder = spent(write_run(reports, Made(), "tools"), wal=4_224_000, cpu=3.168, p95=0.012)
    second = VERIFIED_COPY.model_copy(update={"verdict": "right"})
    Verification(tools={"first": VERIFIED_COPY, "second": second}).write(folder)
    RunRecord.open(folder).append([marker(k, 3.0, tool="first") for k in range(20)])
    return reports


def spent(folder: Path, wal: int, cpu: float, p95: float) -> Path:
    """Let the run's server have spent so much."""
    after = {**BEFORE, "wal_bytes": 1_000 + wal, "cpu_seconds": 1.0 + cpu}
    quantiles = {"p95": p95}
    update(
        RunRecord.open(folder),
        spent_before=BEFORE,
        spent_after=after,
        latency_all={"service": quantiles, "intended": quantiles},
    )
    return folder


def change(folder: Path, **changed: object) -> None:
    """Change the run's record; settings are added to those that there are."""
    record = RunRecord.open(folder)
    if isinstance(settings := changed.get("settings"), Mapping):
        changed["settings"] = {**summary_of(folder).run.settings, **settings}
    update(record, **changed)


def test_tools_stand_beside_the_run_without_any(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column a tool, the control first, the source's figures as a difference to it."""
    assert main(["compare", "tools", "control"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line[:18].strip(): line[18:].split() for line in lines if line}
    assert found["tool"] == ["no", "tool", "first", "second"]
    assert found["verdict"] == ["\N{EN DASH}", "wrong", "right"]
    assert found["delivery p95"] == ["\N{EN DASH}", "3", "s", "not", "measured"]
    assert found["service p95"] == ["10", "ms", *["12", "ms", "(+20%)"] * 2]
    assert found["WAL a write"] == ["1,000", "B", *["1.95", "KiB", "(+100%)"] * 2]
    assert found["CPU per 1k writes"] == ["1", "s", *["1.5", "s", "(+50%)"] * 2]
    assert found["together"][0] == "\N{EN DASH}"
    assert all(len(line) <= 100 for line in lines)


def test_programs_get_figures(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A figure that was not measured is null, never 0."""
    assert main(["compare", "control", "tools", "--json"]) == 0
    control, tools = json.loads(capsys.readouterr().out)["runs"]
    assert (control["control"], tools["control"]) == (True, False)
    assert control["source"]["wal_bytes_a_write"] == pytest.approx(1_000)
    first, second = tools["tools"]["first"], tools["tools"]["second"]
    assert (first["wrong_rows"], first["freshness_p95_seconds"]) == (1_002, 3.0)
    assert second["freshness_p95_seconds"] is second["cost_dollars"] is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"workload": "tpcb"}, "workload differs: control shop, tools tpcb"),
        ({"seed": 7}, "seed differs: control 42, tools 7"),
        ({"profile": "burst"}, "profile differs"),
        ({"settings": {"orders_per_hour": 1.0}}, "ORDERS_PER_HOUR differs"),
        ({"settings": {"event_bytes": 900}}, "EVENT_BYTES differs: control 300, tools 900"),
        (
            {"hard_cases": {"odd_texts": {"committed": 1}}},
            "the choice of hard cases differs: control none, tools odd_texts",
        ),
        ({"duration_seconds": 62.0}, "the lengths differ: control 60 s, tools 62 s"),
        ({"ended_at": None}, "run tools has no end"),
    ],
)
def test_another_workload_is_refused(
    changed: dict[str, object],
    said: str,
    reports: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and each difference in a line; with --anyway they are below the table."""
    change(reports / "tools", **changed)
    assert main(["compare", "control", "tools"]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert "--anyway" in errors
    assert main(["compare", "control", "tools", "--anyway"]) == 0
    assert f"refused: {said}" in capsys.readouterr().out
    assert main(["report", "tools", "--control", "control"]) == 2
    assert f"run control is no control: {said.partition(':')[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source": {"version": "15.1"}}, "the source's version differs"),
        ({"machine": {"cores": 64}}, "the machine's cores differs: control 2, tools 64"),
        ({"valid": False, "invalid_reason": "it broke"}, "run tools is invalid: it broke"),
    ],
)
def test_other_circumstances_are_warned_of(
    changed: dict[str, object],
    said: str,
    reports: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are shown below the table, which is there."""
    change(reports / "tools", **changed)
    assert main(["compare", "control", "tools"]) == 0
    assert f"warning: {said}" in capsys.readouterr().out


def test_together_and_in_turn_are_not_alike(reports: Path) -> None:
    """Tools that ran at once shared the source; one that ran alone had it for itself."""
    alone = write_run(reports, Made(), "alone")
    Verification(tools={"first": VERIFIED_COPY}).write(alone)
    texts = [
        difference.text
        for difference in differences([summary_of(reports / name) for name in ("tools", "alone")])
    ]
    assert any("ran together in some runs and not in others" in text for text in texts)
    assert differences([summary_of(alone), summary_of(alone)]) == []


def test_warehouses_of_another_size_are_warned_of(reports: Path) -> None:
    """A credit an hour and two are not the same machine."""
    warehouse_use = {
        "credits": "1",
        "credits_per_million_changes": "2",
        "idle_share": None,
        "generation": "1",
    }
    costs = {
        "schema_version": 1,
        "made_at": START.isoformat(),
        "lines": [],
        "outlook": {
            "snowflake": [
                {**warehouse_use, "tool": "first", "size": "X-Small"},
                {**warehouse_use, "tool": "second", "size": "Small"},
            ]
        },
    }
    (reports / "tools" / "costs.json").write_text(json.dumps(costs))
    (found,) = differences([summary_of(reports / "tools")])
    assert found.text.endswith("first of tools X-Small Gen1, second of tools Small Gen1")


def test_a_report_shows_its_control(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The source's figures, those of the run without tools, and the difference."""
    options = ReportOptions(control=reports / "control")
    page = page_of(write_report(reports / "tools", START, options).report.html)
    assert page.row("impact", "service p95") == ["12 ms", "10 ms", "+20%"]
    assert page.row("impact", "WAL a write") == ["1.95 KiB", "1,000 B", "+100%"]
    assert main(["report", "control", "--control", "tools"]) == 2
    assert "run tools is no control: it had first, second" in capsys.readouterr().err


def test_a_restart_of_the_server_leaves_its_processor_time_unknown(reports: Path) -> None:
    """After a restart the counters begin at 0 again: the figures are "not measured", never 0."""
    later = {"wal_bytes": 9, "cpu_seconds": 5.0, "server_started_at": START + timedelta(seconds=1)}
    change(reports / "tools", spent_after=later)
    page = page_of(write_report(reports / "tools", START).report.html)
    assert page.row("impact", "CPU per 1k writes") == ["not measured"]
    assert page.row("impact", "WAL a write") == ["not measured"]


def test_a_wide_table_is_cut_into_several() -> None:
    """Each repeats the labels, and none is wider than the terminal but for one column."""
    rows = [("tool", "aaaa", "bbbb", "cccc"), ("heading",), ("x", "1", "2", "3")]
    first, second = tables(rows, 21)
    assert first.rows == (("tool", "aaaa", "bbbb"), (), ("heading",), ("x", "1", "2"))
    assert second.rows == (("tool", "cccc"), (), ("heading",), ("x", "3"))
    assert len(list(tables(rows, 20))) == 3
