"""Resuming a killed run: the moment it continues from, the arrivals to look up, and refusals."""

import json
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadgen.config.settings import Settings, load_settings
from loadgen.errors import RecordError
from loadgen.load.messages import ProgressReport, UnfinishedWrite
from loadgen.load.recovery import write_off
from loadgen.load.resume import find_resumable, ignored_settings, latencies_position, resumed_of
from loadgen.load.worker_state import WorkerState
from loadgen.record.folder import RunRecord
from loadgen.record.position import Position
from loadgen.record.run import Run
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts, Ledger
from loadgen.workload.model import ProfileLevels
from loadgen.workload.schedule.arrival_process import ArrivalKind
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.shards import WHOLE, Shard
from tests.plans import OPERATIONS, SHOP, run_plan
from tests.records import BEFORE, update

RATES = dict(zip(OPERATIONS, (36_000.0, 72_000.0, 18_000.0, 720.0), strict=True))
END = 60.0


def plan(kind: ArrivalKind = "jitter", duration: float = END) -> Plan:
    """Return the plan of a run of a minute."""
    return run_plan(Mix(RATES), run_id="run-1", kind=kind, duration=duration)


def schedule(kind: ArrivalKind, share: Shard = WHOLE) -> Schedule:
    """Return a process's schedule of that plan."""
    return Schedule(1, kind, Mix(RATES), shard=share, end=END)


def report(process: Ledger, s: float, *unfinished: UnfinishedWrite) -> ProgressReport:
    """Return the report of a process that performs nothing at the moment."""
    return ProgressReport(
        s=s,
        counts=process.counts(s),
        failures={("insert_order", "40P01"): 1},
        extra_rows={("insert_order", 0): 2},
        places=process.schedule.checkpoints(),
        left=process.schedule.backlog(),
        unfinished=list(unfinished),
        backends=[4711],
        reconnects=2,
    )


def position(
    *processes: WorkerState, s: float = 20.0, elapsed: float | None = None, workers: bool = False
) -> Position:
    """Return a kept position as it is read back from its file."""
    histograms = {name: (Histogram(), Histogram()) for name in OPERATIONS}
    histograms["insert_order"][0].add([0.002])
    kept = Position(
        at=time.time(),
        s=s,
        elapsed=s if elapsed is None else elapsed,
        workers=workers,
        resumed=0,
        unbalanced=0,
        processes=tuple(process.position() for process in processes),
        latencies=latencies_position(histograms),
    )
    return Position.model_validate_json(json.dumps(kept.plain()))


def run(*journal: Mapping[str, object], of: Plan | None = None) -> Run:
    """Return run.json of a run to resume, with the fields that are needed."""
    made = {"plan": (of or plan()).dump(), "users": 8, "rows_before": BEFORE}
    events = [{"at": "2026-11-23T08:00:00Z", **event} for event in journal]
    return Run.model_validate_json(json.dumps({**made, "journal": events, "ended_at": None}))


def goes_on(kept: Position, *journal: Mapping[str, object], duration: float = END) -> float:
    """Return the schedule time from which the run continues."""
    return resumed_of(run(*journal, of=plan(duration=duration)), kept, SHOP).position.s


PAUSE = {"kind": "pause", "schedule_seconds": 21.0, "reason": "the disk is full", "by": "watch"}
RESUME = {"kind": "resume", "schedule_seconds": 21.0, "by": "cli"}


@pytest.mark.parametrize(
    ("kept", "journal", "duration", "expected"),
    [
        (position(), [], END, 23.5),
        (position(workers=True), [], END, 28.5),
        (position(s=599.9), [], 3600.0, 603.4),
        (position(s=600.1), [], 3600.0, 612.6),
        (position(s=59.0), [], END, 60.0),
        (position(s=44.0, elapsed=59.0), [], END, 45.0),
        (position(s=45.3, elapsed=60.3), [], END, 45.0),
        (position(), [PAUSE], END, 21.0),
        (position(s=21.0, elapsed=30.0), [PAUSE], END, 21.0),
        (position(s=21.0, elapsed=700.0), [PAUSE, RESUME], 3600.0, 33.5),
        (position(), [PAUSE, RESUME], END, 23.5),
    ],
    ids=[
        "an interval and 2.5 s later",
        "workers notice after 5 s more",
        "a second's interval",
        "ten seconds' interval",
        "at the end at most",
        "at the end of one that has paused",
        "at the end, not at the drain's",
        "at a pause at most",
        "in the pause",
        "after a pause so long that samples were rare",
        "not in a pause that is over",
    ],
)
def test_it_goes_on_after_the_last_arrival_that_can_have_been_performed(
    kept: Position, journal: list[dict[str, object]], duration: float, expected: float
) -> None:
    """The killed processes lived an interval longer than their last position, at most."""
    assert goes_on(kept, *journal, duration=duration) == pytest.approx(expected)


def test_the_time_that_is_left_is_what_was_asked_minus_what_is_done() -> None:
    """Pauses count as done; nothing is left of a run that was in its drain."""
    resumed = resumed_of(run(), position(s=20.0, elapsed=30.0), SHOP)
    assert resumed.left() == END - 33.5
    assert resumed_of(run(), position(s=60.4), SHOP).left() == pytest.approx(0)


def test_what_was_in_force_stays_in_force() -> None:
    """Rates, profile and a pause are the journal's; every change keeps its instant."""
    resumed = resumed_of(
        run(
            {
                "kind": "rate_change",
                "rates_per_hour": {"insert_order": {"from": 36_000, "to": 1}},
                "schedule_seconds": 5.0,
            },
            {
                "kind": "rate_change",
                "profile": {"from": "steady", "to": "burst"},
                "schedule_seconds": 7.25,
            },
            PAUSE,
            {"kind": "gap", "schedule_seconds": 21.0},
        ),
        position(s=21.0),
        SHOP,
    )
    assert resumed.mix.rates_per_hour == {**RATES, "insert_order": 1}
    assert resumed.profile == "burst"
    assert [(at, name) for at, _, name in resumed.position.changes] == [
        (5.0, "steady"),
        (7.25, "burst"),
    ]
    assert resumed.paused_by == ("the disk is full", "watch")
    assert resumed.position.paused


def test_a_workload_s_own_profile_is_that_of_its_files() -> None:
    """Its digest is the run's; a journal can't name a profile that the workload lacks."""
    to_own = {
        "kind": "rate_change",
        "profile": {"from": "steady", "to": "workload"},
        "schedule_seconds": 5.0,
    }
    own = replace(SHOP, profile=ProfileLevels(3600.0, (2, 1)))
    resumed = resumed_of(run(to_own), position(), own)
    assert (resumed.profile, resumed.plan.own_profile) == ("workload", own.profile)
    with pytest.raises(ValueError, match="there is no profile workload"):
        resumed_of(run(to_own), position(), SHOP)


def test_a_process_reads_back_as_it_was_kept() -> None:
    """But for its backends, which were seen to leave: others may have their ids by now."""
    process = WorkerState([(0.0, Shard(0, 2)), (12.5, Shard(0, 3))], 0.0)
    ledger = Ledger(schedule("jitter", Shard(0, 2)), 1.0)
    process.take_in(report(ledger, 11.0, UnfinishedWrite("insert_event", 3, "a-key", 0)))
    write_off(process, schedule("jitter"), 15.0)
    process.resolve("insert_event", failed=1)
    resumed = resumed_of(run(), position(process), SHOP)
    [read] = resumed.position.processes
    assert read.backends == []
    vector = process.position().vector
    assert read.position().vector == vector.model_copy(update={"backends": ()})
    assert (read.shards, read.lost, read.after) == (process.shards, True, process.after)
    assert resumed.latencies["insert_order"][0].quantiles([0.5]) == [0.002]
    assert resumed.plan.run_id == "run-1"
    assert resumed.plan.run_token != resumed_of(run(), position(process), SHOP).plan.run_token


@settings(max_examples=40)
@given(
    kind=st.sampled_from(["jitter", "poisson", "even"]),
    others=st.lists(st.floats(8.0, 11.0), max_size=2),
    slow=st.booleans(),
    silent=st.booleans(),
    joins=st.booleans(),
)
@example(kind="jitter", others=[9.25, 8.0], slow=False, silent=False, joins=True)
def test_what_is_looked_up_and_what_is_still_offered_is_the_whole_schedule(
    kind: ArrivalKind, others: list[float], *, slow: bool, silent: bool, joins: bool
) -> None:
    """However many processes there were, wherever each stood, no arrival is lost or repeated."""
    of = 2 + len(others)
    ledgers = [Ledger(schedule(kind, Shard(part, of)), 1.0) for part in range(of)]
    workers = [WorkerState([(0.0, Shard(part, of))], 0.0) for part in range(of)]
    if joins:
        for part, (ledger, worker) in enumerate(zip(ledgers, workers, strict=True)):
            ledger.schedule.change_shard(9.5, Shard(part, of + 1))
            worker.shards.append((9.5, Shard(part, of + 1)))
        workers.append(WorkerState([(9.5, Shard(of, of + 1))], 0.0))  # it has said nothing yet
    done: Counter[tuple[str, int]] = Counter()
    for part, s in enumerate([10.0, 10.25, *others]):
        if silent and part == 1:
            continue  # killed before its first report
        for arrival in ledgers[part].schedule.pop_due(s - 0.8 if slow else s):
            done[arrival[1], arrival[2]] += 1
        workers[part].take_in(report(ledgers[part], s))

    resumed = resumed_of(run(of=plan(kind)), position(*workers, s=10.0), SHOP)
    at = resumed.position.s
    rest = schedule(kind)
    rest.join(at, WHOLE, resumed.position.checkpoints)
    for worker in resumed.position.processes:
        write_off(worker, rest, at)
        done.update((name, k) for name in OPERATIONS for k in worker.after[name])
    done.update((arrival[1], arrival[2]) for arrival in rest.pop_due(END))
    whole = [(arrival[1], arrival[2]) for arrival in schedule(kind).pop_due(END)]
    assert done == Counter(whole)


def test_counters_of_a_lost_process_never_fall() -> None:
    """Waiting and unfinished arrivals become unknown; finished ones stay."""
    ledger = Ledger(schedule("jitter"), 1.0)
    worker = WorkerState([(0.0, WHOLE)], 0.0)
    worker.take_in(report(ledger, 10.0))
    before = dict(worker.counts)
    write_off(worker, schedule("jitter"), 13.5)
    for name, counts in worker.counts.items():
        assert counts.balanced()
        assert counts.in_flight == 0
        assert counts.offered >= before[name].offered
        assert counts.skipped == before[name].skipped
    offered = {name: counts.offered for name, counts in worker.counts.items()}
    assert offered == schedule("jitter").offered(13.5)


def killed(reports: Path) -> RunRecord:
    """Return the record of a run that was killed."""
    record = RunRecord.create(reports, "run-1")
    record.begin(run())
    return record


def test_a_killed_run_is_found_by_id_folder_and_latest(tmp_path: Path) -> None:
    """All three name the same run."""
    record = killed(tmp_path)
    record.write_position(position(WorkerState([(0.0, WHOLE)], 0.0)))
    for name in ("run-1", str(record.path), "latest"):
        resumed = find_resumable(tmp_path, name, SHOP)
        assert (resumed.folder, resumed.users) == (record.path.resolve(), 8)
        assert resumed.left() == END - 23.5


def refusal(reports: Path) -> str:
    """Return why the run is refused, which changes nothing."""
    before = {path: path.read_bytes() for path in reports.glob("run-1/*")}
    with pytest.raises(RecordError) as raised:
        find_resumable(reports, "run-1", SHOP)
    assert {path: path.read_bytes() for path in reports.glob("run-1/*")} == before
    text = str(raised.value)
    assert "\n" not in text
    return text


def test_what_can_not_go_on_is_refused_in_a_line(tmp_path: Path) -> None:
    """No run, none that was sampled, a broken position, another schema, one that has ended."""
    assert "no run 'run-1'" in refusal(tmp_path)
    record = killed(tmp_path)
    assert "killed before its first sample" in refusal(tmp_path)
    (record.path / "position.json").write_text('{"s": 1')
    assert "position.json can't be read" in refusal(tmp_path)
    record.write_position(position())
    file = record.path / "run.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    assert "schema_version is 9" in refusal(tmp_path)
    update(record, ended_at="2026-11-23T08:00:00Z")
    assert "has ended" in refusal(tmp_path)


def test_what_a_resumed_run_does_not_take_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given here or in the environment, and other than the run's: said; defaults are not."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    resumed = resumed_of(run(), position(), SHOP)
    options = Namespace(
        load_profile="steady",
        run_time=172_800,
        orders_per_hour=50.0,
        events_per_hour=200.0,
        status_updates_per_hour=40.0,
        soft_deletes_per_hour=1.0,
    )
    assert ignored_settings(options, SHOP, resumed, load_settings()) == []
    monkeypatch.setenv("SEED", "7")
    monkeypatch.setenv("ARRIVALS", "jitter")  # the run's own
    options.events_per_hour, options.run_time = 5.0, 600
    assert ignored_settings(options, SHOP, resumed, load_settings()) == [
        "SEED=7 (it has 1)",
        "EVENTS_PER_HOUR=5 (it has 72,000)",
        "a run time of 600 s (it has 60 s)",
    ]


def test_a_process_that_never_reported_has_done_nothing_that_is_known() -> None:
    """The look-up covers all arrivals of its share, and none from before it joined."""
    worker = WorkerState([(9.0, Shard(1, 2))], 0.0)
    write_off(worker, schedule("even"), 11.0)
    both = schedule("even", Shard(1, 2))
    expected = {name: n - both.offered(9.0)[name] for name, n in both.offered(11.0).items()}
    assert {name: len(found) for name, found in worker.after.items()} == expected
    assert sum(expected.values()) > 30
    assert worker.counts["insert_order"] == Counts(
        offered=expected["insert_order"], unknown=expected["insert_order"]
    )
