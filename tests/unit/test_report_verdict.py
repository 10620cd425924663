"""A run's figures, and the sentence that judges it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from loadgen.record.folder import RunRecord
from loadgen.record.rows import Sample
from loadgen.record.run import Run, Totals
from loadgen.report.analysis.run import Facts, facts_of
from loadgen.report.analysis.verdict import Verdict, judge, offered_text
from tests.records import RATES, START, Made, rows_after, update, write_run


def facts(reports: Path, made: Made, **changed: object) -> Facts:
    """Return the facts of a made-up run whose run.json has these fields changed."""
    path = write_run(reports, made)
    if changed:
        update(RunRecord.open(path), **changed)
    return facts_of(Run.of(path), Sample.read(path))


def findings(verdict: Verdict) -> Mapping[str, tuple[str, str]]:
    """Return level and finding of each check by its name."""
    return {check.name: (check.level, check.finding) for check in verdict.checks}


def test_a_run_that_kept_up_is_told_in_one_sentence(tmp_path: Path) -> None:
    """All checks are good: offered against planned, skipped, failed, rows and the law."""
    found = judge(facts(tmp_path, Made()))
    assert (found.level, found.headline) == ("good", "The generator kept up")
    assert found.sentence == (
        "The load committed all 2,112 planned writes. None failed or was skipped, and the tables "
        "confirm the count."
    )
    assert (found.kept_up, found.sound) == (True, True)
    assert {check.level for check in found.checks} == {"good"}


def test_too_much_skipped_is_not_keeping_up(tmp_path: Path) -> None:
    """If the source took writes all the time, skipped arrivals count against the generator."""
    whole = facts(tmp_path, Made())
    skipped = {"skipped": 50}
    done = [
        replace(operation, totals=operation.totals.model_copy(update=skipped))
        for operation in whole.operations
    ]
    found = judge(replace(whole, operations=tuple(done)))
    assert (found.level, found.headline) == (
        "bad",
        "The generator did not keep up; 1 threshold missed",
    )
    assert found.kept_up is False
    assert findings(found)["Skipped"] == (
        "bad",
        "200 arrivals (9.47%): no connection free within 1 s of the due time",
    )


def test_an_outage_of_the_source_is_not_the_generators(tmp_path: Path) -> None:
    """Arrivals skipped while nothing was committed are reported separately, with the length."""
    found = judge(facts(tmp_path, Made(seconds=600, outage=(100, 130))))
    assert found.level == "warn"
    assert found.headline == "The generator kept up, but for 30 s the source took no write"
    assert found.kept_up is True
    assert "in or beside 30 s in which the source took no write" in findings(found)["Skipped"][1]


def test_what_a_killed_load_skipped_is_not_held_against_the_generator(tmp_path: Path) -> None:
    """The verdict says that the run was killed and resumed; other skipped arrivals still count."""
    gap = {"at": START + timedelta(seconds=115), "kind": "gap", "settled_seconds": 3.5}
    made = Made(seconds=600, every=30, outage=(100, 120))
    found = judge(facts(tmp_path, made, journal=[gap]))
    assert found.level == "warn"
    assert found.headline == "The generator kept up, but the load was killed and resumed, 1 time"
    assert "while the load was killed" in findings(found)["Skipped"][1]


def test_offering_less_than_asked_is_not_keeping_up(tmp_path: Path) -> None:
    """More than half a percent and more than one arrival off, and the operation is named."""
    asked = {name: rate * 60 / 3600 for name, rate in RATES.items()}
    found = judge(facts(tmp_path, Made(), asked=asked | {"insert_event": 1300.0}))
    assert (found.level, found.headline) == ("bad", "The generator did not keep up")
    assert findings(found)["Offered as asked"] == (
        "bad",
        "2,112 of 2,212 arrivals asked for, 95.48%; off by more than 0.5%: new events",
    )
    assert "committed all 2,112 offered writes, 95.48% of the 2,212 planned" in found.sentence


@pytest.mark.parametrize(("asked", "level"), [(12.9, "good"), (13.1, "bad")])
def test_one_arrival_may_be_missing_of_few(asked: float, level: str, tmp_path: Path) -> None:
    """Half a percent of twelve is no arrival at all, so one more or less is as planned."""
    all_asked = {name: rate * 60 / 3600 for name, rate in RATES.items()}
    found = judge(facts(tmp_path, Made(), asked=all_asked | {"soft_delete_user": asked}))
    assert findings(found)["Offered as asked"][0] == level


@pytest.mark.parametrize(("asked", "level"), [(1290.0, "good"), (1400.0, "bad")])
def test_poisson_arrivals_may_scatter(asked: float, level: str, tmp_path: Path) -> None:
    """Five standard deviations are chance; more is not."""
    settings = {"arrivals": "poisson", "lateness_limit_seconds": None}
    all_asked = {name: rate * 60 / 3600 for name, rate in RATES.items()}
    asked_now = all_asked | {"insert_event": asked}
    found = judge(facts(tmp_path, Made(), asked=asked_now, settings=settings))
    assert findings(found)["Offered as asked"][0] == level
    assert findings(found)["Skipped"] == ("good", "none: a connection was free in time")


def test_failed_writes_are_headline_only_if_many(tmp_path: Path) -> None:
    """A failed write is the source's answer, not the generator's fault; many are worth knowing."""
    few = judge(facts(tmp_path / "few", Made(seconds=300, refused_every=2000)))
    assert (few.headline, few.level) == ("The generator kept up", "good")
    many = judge(facts(tmp_path / "many", Made(seconds=300, refused_every=100)))
    assert many.headline == "The generator kept up; 0.43% of the writes failed"
    assert findings(many)["Failed"] == ("warn", "45 writes (0.43%); see Failures")


def test_an_operation_that_never_succeeded_is_named(tmp_path: Path) -> None:
    """However few its writes are among those of the others."""
    totals = {
        name: totals.model_copy(update={"committed": 0, "failed": totals.offered})
        if name == "soft_delete_user"
        else totals
        for name, totals in facts(tmp_path / "made", Made()).run.totals.items()
    }
    after = rows_after({name: counts.committed for name, counts in totals.items()})
    found = judge(facts(tmp_path / "changed", Made(), totals=totals, rows_after=after))
    assert found.headline == "The generator kept up, but all 12 writes of soft deletes failed"
    assert found.level == "warn"


def test_counters_that_differ_from_rows_spoil_everything(tmp_path: Path) -> None:
    """If the tables gained other numbers than were counted, the verdict names that first."""
    after = rows_after({"insert_order": 601, "insert_event": 1200, "soft_delete_user": 12})
    found = judge(facts(tmp_path, Made(), rows_after=after))
    assert (found.level, found.headline) == ("bad", "These numbers can't be relied on")
    assert found.sound is False
    assert found.sentence == (
        "The load counted 600 rows committed to orders, but the table gained 601; the load counted "
        "300 updates committed to orders, but the table gained 0."
    )


def test_a_broken_law_spoils_everything(tmp_path: Path) -> None:
    """One sample in which an arrival is missing is enough, and is counted."""
    path = write_run(tmp_path, Made())
    rows = list(Sample.read(path))
    rows[8] = replace(rows[8], offered=rows[8].offered + 1)
    found = judge(facts_of(Run.of(path), rows))
    assert findings(found)["Accounting law"] == ("bad", "broken in 1 of 60 samples")
    assert found.sentence.startswith("Broken in 1 of 60 samples. The load committed")


def test_unknown_writes_spoil_everything(tmp_path: Path) -> None:
    """A write with an unknown outcome leaves the counters in doubt."""
    whole = facts(tmp_path, Made())
    first, *others = whole.operations
    unknown = replace(first, totals=first.totals.model_copy(update={"unknown": 1}))
    found = judge(replace(whole, operations=(unknown, *others)))
    assert findings(found)["Fate of every write"] == ("bad", "1 write could not be looked up")


def test_the_loads_own_verdict_is_kept(tmp_path: Path) -> None:
    """A run that the load called invalid is not called sound because the report sees no reason."""
    found = judge(facts(tmp_path / "a", Made(), valid=False, invalid_reason="a clock jumped"))
    assert found.headline == "These numbers can't be relied on"
    assert found.sentence.startswith("A clock jumped. The load committed all")
    silent = judge(facts(tmp_path / "b", Made(), valid=False))
    assert silent.sentence.startswith("The load itself judged the run invalid.")


def test_rows_that_were_not_counted_at_the_end_spoil_a_run_that_ended(tmp_path: Path) -> None:
    """Without the rows the counters can't be confirmed."""
    found = judge(facts(tmp_path, Made(), rows_after=None))
    assert findings(found)["Counters equal rows"][0] == "bad"


def test_a_killed_run_is_told_from_its_samples(tmp_path: Path) -> None:
    """Its totals are those of the last sample; the planned count is the sum of the targets."""
    whole = facts(tmp_path, Made(seconds=90, ended=False))
    assert not whole.ended
    assert (whole.seconds, whole.totals.offered) == (90.0, 3168)
    assert whole.planned == pytest.approx(3168)
    found = judge(whole)
    assert found.headline == "The run has no end: it was killed, or is still running"
    assert found.sentence.startswith("Up to the last sample at 2026-11-23 08:01:30 UTC, the load")
    assert (found.kept_up, found.sound) == (None, None)
    assert findings(found)["Fate of every write"] == ("good", "known up to the last sample")


def test_a_run_killed_in_an_outage_has_open_ends(tmp_path: Path) -> None:
    """Arrivals that waited when the process died are reported as unfinished."""
    found = judge(facts(tmp_path, Made(seconds=90, outage=(80, 100), ended=False)))
    assert findings(found)["Fate of every write"] == (
        "warn",
        "35 arrivals unfinished at the last sample",
    )


def test_a_run_without_samples_or_fields_is_still_judged(tmp_path: Path) -> None:
    """A run killed in its first second has little to judge, and the verdict says so."""
    record = RunRecord.create(tmp_path, "bare")
    record.begin(Run(settings={"orders_per_hour": 50.0}))
    bare = facts_of(Run.of(record.path), Sample.read(record.path))
    assert [operation.name for operation in bare.operations] == ["insert_order"]
    found = judge(bare)
    assert found.sentence == "The run left no sample, so nothing is known about it."
    assert findings(found)["Accounting law"] == ("warn", "there are no samples to judge it by")


def test_a_run_that_was_asked_for_nothing(tmp_path: Path) -> None:
    """0 = 0 is not agreement: a run that wrote nothing proves nothing."""
    found = judge(facts(tmp_path, Made(rates=dict.fromkeys(RATES, 0.0))))
    assert (found.level, found.headline) == ("bad", "Nothing was written")
    assert found.sentence == "Nothing was written: all rates were 0."
    assert found.sound is False
    assert found.kept_up is None


def test_a_start_noted_late_is_the_first_sample(tmp_path: Path) -> None:
    """If start and first sample are one, the arrivals in the sample count as planned."""
    path = write_run(tmp_path, Made(seconds=10, ended=False))
    rows = list(Sample.read(path))
    first = rows[0].time
    update(RunRecord.open(path), schedule_started_at=first)
    late = facts_of(Run.of(path), rows)
    assert late.start == first
    assert late.planned == pytest.approx(352, abs=4)


def test_without_a_noted_start_the_first_sample_is_it(tmp_path: Path) -> None:
    """A record that lacks its start is read as well as can be."""
    whole = facts(tmp_path, Made(ended=False), schedule_started_at=None)
    assert whole.start is not None
    assert (whole.start - START).total_seconds() == 1.0


def test_operations_that_are_not_known_are_shown_last(tmp_path: Path) -> None:
    """A record of a later version may hold more; nothing of it is dropped."""
    path = write_run(tmp_path, Made(seconds=5))
    rows = list(Sample.read(path))
    rows += [replace(row, operation="merge_users") for row in rows[:1]]
    found = facts_of(Run.of(path), rows)
    assert [operation.name for operation in found.operations] == [*RATES, "merge_users"]
    assert found.operations[-1].gained is None


def test_a_run_too_short_for_its_rates_kept_nothing_up(tmp_path: Path) -> None:
    """With less than one planned arrival per operation none fell due, and the verdict is bad."""
    whole = facts(tmp_path, Made(), asked=dict.fromkeys(RATES, 0.2))
    nothing = Totals()
    done = [replace(o, totals=nothing, in_flight=0, gained=0) for o in whole.operations]
    found = judge(replace(whole, operations=tuple(done)))
    assert (found.level, found.headline) == ("bad", "Nothing was written")
    assert found.sentence.startswith(
        "Nothing was written: no arrival fell due; raise the rates or the run time."
    )


def test_poisson_arrivals_scatter(tmp_path: Path) -> None:
    """A Poisson run's count is shown with its mean, not as more than all arrivals."""
    settings = facts(tmp_path, Made()).run.settings
    asked = {name: rate * 60 / 3600 - 1 for name, rate in RATES.items()}
    found = judge(
        facts(tmp_path / "p", Made(), asked=asked, settings={**settings, "arrivals": "poisson"})
    )
    assert found.sentence.startswith(
        "The load committed all 2,112 offered writes; on average, its random arrivals are 2,108."
    )


@pytest.mark.parametrize(
    ("offered", "asked", "says"),
    [
        (3, 2.4, "all 3 arrivals asked for"),
        (2103, 2102.2, "all 2,103 arrivals asked for"),
        (2108, 2102.2, "2,108 arrivals; the rates ask for 2,102"),
        (2000, 2102.2, "2,000 of 2,102 arrivals asked for, 95.14%"),
    ],
)
def test_never_more_than_all_is_offered(offered: int, asked: float, says: str) -> None:
    """Rates ask for parts of an arrival, and chance for more or fewer: never 100.04%."""
    assert offered_text(offered, asked) == says
