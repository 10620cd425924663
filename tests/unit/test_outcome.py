"""A run is trusted only if nothing speaks against it, and all places show the same verdict."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadgen.config.thresholds import Threshold
from loadgen.errors import EXIT_CODES, first_exit_code
from loadgen.load.console import RunConsole
from loadgen.load.controller import RunController
from loadgen.load.live_changes import PauseReason
from loadgen.load.outcome import Outcome, failures_by_operation, totals_of
from loadgen.record.folder import RunRecord
from loadgen.record.rows import GeneratorSample, Sample
from loadgen.record.run import Run, SampleCoverage, TableGrowth, Totals
from loadgen.record.verdict import Evidence, Measured, is_as_planned, verdict_of
from loadgen.report.analysis.compare import RunSummary, as_json, differences
from loadgen.report.analysis.run import facts_of
from loadgen.report.analysis.verdict import Verdict, judge
from loadgen.report.folder import write_report
from loadgen.workload.ledger import Counts
from tests.plans import OPERATIONS
from tests.records import START, VERIFIED, Made, rows_after, update, write_run

COMMITTED = dict(zip(OPERATIONS, (600, 1200, 300, 12), strict=True))  # of Made() in 60 s
GOOD = {name: Counts(n, n) for name, n in COMMITTED.items()}
NO_LATENCY: Mapping[str, Mapping[str, float | None]] = {
    "service": dict.fromkeys(("p50", "p95", "p99", "max")),
    "intended": dict.fromkeys(("p50", "p95", "p99", "max")),
}


def growth_of(
    written: Mapping[str, int], gained: Mapping[str, int] | None = None
) -> dict[str, TableGrowth]:
    """Return the growth of the shop's tables by commits: by default exactly the writes."""
    gained = written if gained is None else gained
    return {
        "orders": TableGrowth(
            rows=gained["insert_order"],
            rows_written=written["insert_order"],
            versions=gained["update_order_status"],
            versions_written=written["update_order_status"],
        ),
        "events": TableGrowth(rows=gained["insert_event"], rows_written=written["insert_event"]),
        "users": TableGrowth(
            rows=0,
            rows_written=0,
            versions=gained["soft_delete_user"],
            versions_written=written["soft_delete_user"],
        ),
    }


def evidence(totals: Mapping[str, Counts], **changed: Any) -> Evidence:
    """Return the load's evidence of a minute, sound unless the totals or a change differ."""
    total = sum(totals.values(), Counts())
    latency = dict.fromkeys(totals, NO_LATENCY)
    ended = {name: totals_of(counts) for name, counts in totals.items()}
    bottleneck = changed.pop("bottleneck", 0)
    measured = Measured(60.0, bottleneck, totals_of(total), ended, NO_LATENCY, latency)
    committed = {name: counts.committed for name, counts in totals.items()}
    growth = growth_of(committed)
    made = Evidence(
        measured,
        {name: float(counts.offered) for name, counts in totals.items()},
        growth=growth,
        samples=60,
        broken_samples=0,
        in_flight=total.in_flight,
    )
    return replace(made, **changed)


def test_a_sound_run_has_no_problems() -> None:
    """Counters equal rows, the law held, nothing is unknown: exit code 0."""
    verdict = verdict_of(evidence(GOOD))
    assert (verdict.reasons, verdict.exit_code, verdict.valid) == ([], 0, True)
    assert str(verdict) == "passed (exit code 0)"


def test_each_reason_for_doubt_is_said() -> None:
    """A broken law, unknown writes, other rows, an off schedule, a lost worker: a line each."""
    doubtful = GOOD | {"insert_event": Counts(1204, 1201, unknown=2, in_flight=1)}
    doubtful_commits = {name: counts.committed for name, counts in doubtful.items()}
    seen = evidence(
        doubtful,
        broken_samples=4,
        growth=growth_of(doubtful_commits, COMMITTED),
        planned=dict.fromkeys(OPERATIONS, 1_300.0),
        load_problems=("its last worker was lost",),
    )
    off = (
        "the offered arrivals do not match the rates: insert_order 600 of 1,300.0, insert_event "
        "1204 of 1,300.0, update_order_status 300 of 1,300.0, soft_delete_user 12 of 1,300.0"
    )
    assert verdict_of(seen).reasons == [
        "the accounting law was broken in 4 samples",
        "2 writes could not be looked up and stay unknown",
        "1 writes had no answer when the run was closed",
        "events: 1201 rows committed, but the table gained 1200",
        off,
        "its last worker was lost",
    ]
    unread = evidence(GOOD, growth=None, why_not_counted="it is frozen")
    assert verdict_of(unread).reasons == [
        "the source could not be read at the end (it is frozen): rows are not compared"
    ]


@pytest.mark.parametrize(
    ("each", "changed", "reason"),
    [
        (Counts(50, failed=50), {}, "of 200 arrivals 200 failed, 0 were skipped and 0 are unknown"),
        (Counts(50, skipped=50), {"paused_by": "watch"}, "of 200 arrivals 0 failed, 200 were skip"),
        (Counts(50, failed=50), {"hard_cases": 9}, "of 200 arrivals 200 failed"),
        (Counts(), {"paused_by": "watch"}, "the load was paused by watch"),
        (Counts(), {"planned": dict.fromkeys(OPERATIONS, 0.2)}, "no arrival fell due; raise the"),
        (Counts(), {}, "all rates were 0"),
    ],
)
def test_a_run_that_wrote_nothing_is_invalid(
    each: Counts, changed: dict[str, Any], reason: str
) -> None:
    """0 = 0 is not agreement, whatever kept the run from writing: exit code 1."""
    verdict = verdict_of(evidence(dict.fromkeys(OPERATIONS, each), **changed))
    assert (verdict.exit_code, verdict.valid) == (1, False)
    assert verdict.reasons[0].startswith(f"nothing was written: {reason}")


def test_hard_cases_alone_are_a_run() -> None:
    """With all rates at 0 the hard cases are the planned writes."""
    nothing = evidence(dict.fromkeys(OPERATIONS, Counts()), hard_cases=3)
    assert verdict_of(nothing).exit_code == 0


@pytest.mark.parametrize(
    ("asked", "offered", "poisson", "fits"),
    [
        (0.4, 1, False, True),
        (0.4, 2, False, False),
        (1000.0, 1005, False, True),
        (1000.0, 1006, False, False),
        (0.5, 5, True, True),
        (0.5, 7, True, False),
        (1000.0, 1160, True, True),
        (1000.0, 1161, True, False),
    ],
)
def test_as_asked(asked: float, offered: int, *, poisson: bool, fits: bool) -> None:
    """Half a percent or one arrival; a Poisson process scatters, even more so if it is short."""
    assert is_as_planned(offered, asked, poisson=poisson) is fits


def test_the_first_exit_code_that_applies_counts() -> None:
    """The order is the table's."""
    assert list(EXIT_CODES) == [130, 2, 1, 4, 5, 3, 0]
    assert first_exit_code([3, 1, 0, 4]) == 1
    assert first_exit_code([0, 3, 5]) == 5
    assert first_exit_code([]) == 0


# Problems that may come together, and the exit code that each alone would give.
HAPPENINGS = {"interrupted": 130, "unknown": 1, "bottleneck": 4, "protected": 5, "skipped": 3}


def ended(reports: Path, happened: frozenset[str]) -> tuple[Outcome, Path]:
    """Write the record of a run as the load does, and return how it ended."""
    path = write_run(reports, Made())
    record = RunRecord.open(path)
    totals = dict(GOOD)
    if "skipped" in happened:  # 59% of them
        totals["insert_event"] = Counts(1200, 0, skipped=1200)
        totals["insert_order"] = Counts(600, 554, skipped=46)
    if "unknown" in happened:
        order = totals["insert_order"]
        totals["insert_order"] = replace(order, committed=order.committed - 1, unknown=1)
    marked = 20 if "bottleneck" in happened else 0
    facts = evidence(
        totals,
        bottleneck=marked,
        interrupted="interrupted" in happened,
        paused_by="watch" if "protected" in happened else None,
    )
    limits = (Threshold("failed_share", 0.5),)
    measured = facts.measured
    outcome = Outcome(
        path.name,
        verdict_of(facts, limits),
        measured.totals,
        facts.planned,
        measured.latency,
        60.0,
        marked,
        {},
    )
    committed = {name: counts.committed for name, counts in totals.items()}
    record.append([GeneratorSample(START, 0.1, 0.1, 0.1, 0.1, marked)])
    pause = {"at": START, "kind": "pause", "by": "watch", "reason": "a slot"}
    journal = [pause] if "protected" in happened else []
    outcome.write_into(record.run)
    update(
        record,
        journal=[{**pause, "by": "cli"}, {**pause, "kind": "resume"}, *journal],
        rows_after=rows_after(committed),
    )
    return outcome, path


def reported(path: Path) -> Verdict:
    """Return the report's verdict on the run in the folder."""
    facts = facts_of(Run.of(path), Sample.read(path), GeneratorSample.read(path))
    return judge(facts, (Threshold("failed_share", 0.5),))


@pytest.mark.parametrize(
    "happened",
    [
        frozenset(name for name, is_so in zip(HAPPENINGS, chosen, strict=True) if is_so)
        for chosen in product((False, True), repeat=len(HAPPENINGS))
    ],
    ids=lambda happened: "+".join(sorted(happened)) or "nothing",
)
def test_one_verdict_in_all_places(
    happened: frozenset[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code, terminal, run.json, report and comparison agree, whatever comes together."""
    outcome, path = ended(tmp_path, happened)
    expected = first_exit_code(HAPPENINGS[name] for name in happened)
    valid = not happened & {"unknown", "bottleneck"}
    assert (outcome.exit_code, outcome.verdict.valid) == (expected, valid)

    controller = SimpleNamespace(
        operations=OPERATIONS,
        plan=SimpleNamespace(profile="steady", arrivals="even", seed=1),
        users=8,
        live_changes=SimpleNamespace(
            paused=PauseReason("a slot", "watch") if "protected" in happened else None
        ),
        settings=SimpleNamespace(grafana_url=None),
        record=SimpleNamespace(path=path),
        sampled=SampleCoverage(samples=60),
    )
    RunConsole(cast("RunController", controller)).print_summary(outcome)
    shown = capsys.readouterr().out
    assert f"verdict: {outcome.verdict}\n" in shown
    assert ("INVALID" in shown) is not valid
    assert ("MISSED" in shown) is ("skipped" in happened)

    run = json.loads((path / "run.json").read_text())
    assert (run["exit_code"], run["valid"]) == (expected, valid)
    assert bool(run["invalid_reason"]) is not valid

    report = reported(path)
    assert report.run is not None
    assert report.run.reasons == outcome.verdict.reasons
    assert report.run.exit_code == expected
    assert report.checks[0].finding == str(outcome.verdict)
    assert (report.level == "good") is (expected == 0)
    assert (report.level == "bad") is bool(happened - {"interrupted", "protected"})
    assert ("threshold missed" in report.headline) is ("skipped" in happened)
    assert (report.kept_up is False) is bool(happened & {"bottleneck", "skipped"})

    summary = RunSummary(Run.of(path), ())
    warned = [one.text for one in differences([summary, summary])]
    assert any("is invalid" in text for text in warned) is not valid
    assert bool(warned) is (expected != 0)
    runs = cast("list[dict[str, object]]", as_json([summary], [])["runs"])
    assert runs[0]["exit_code"] == expected


def test_the_decision_matrix_says_that_its_run_did_not_pass(tmp_path: Path) -> None:
    """RESULTS.md begins with it, and can be written again."""
    for happened, is_said in ((frozenset[str](), False), (frozenset({"skipped"}), True)):
        _, path = ended(tmp_path / "-".join(happened), happened)
        VERIFIED.write(path)
        for _ in range(2):
            write_report(path, START)
            text = (path / "RESULTS.md").read_text()
            said = "**The run did not pass: a threshold was missed (exit code 3)."
            assert (said in text) is is_said


def test_the_record_holds_plain_values() -> None:
    """Totals and failures become the values of run.json."""
    assert totals_of(Counts(5, 1, 1, 1, 1, 1)) == Totals(
        offered=5, committed=1, failed=1, skipped=1, unknown=1
    )
    failures = {("insert_order", "40001"): 2, ("insert_order", "08006"): 1}
    assert failures_by_operation(failures) == {"insert_order": {"08006": 1, "40001": 2}}


def test_a_lost_write_without_a_proof_may_stay_unknown() -> None:
    """It is counted, and the run stays valid; one that has a proof may not."""
    lost = GOOD | {"insert_event": Counts(1203, 1200, unknown=3)}
    assert "3 writes could not be looked up" in verdict_of(evidence(lost)).reasons[0]
    assert verdict_of(evidence(lost, unproved=frozenset({"insert_event"}))).reasons == []
    growth = growth_of(COMMITTED) | {"events": TableGrowth(rows=1202, rows_written=None)}
    unproved = evidence(lost, unproved=frozenset({"insert_event"}), growth=growth)
    assert verdict_of(unproved).valid
