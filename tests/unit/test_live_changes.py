"""Changes of a running load are journaled before they are sent to any process."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from loadgen.errors import JournalFullError, RecordError, SettingsError
from loadgen.load.live_changes import LiveChanges, PauseReason
from loadgen.load.messages import NewRates
from loadgen.load.swarm import Swarm
from loadgen.record.folder import RunRecord
from loadgen.workload.model import ProfileLevels
from loadgen.workload.schedule.plan import Mix, Plan
from tests.plans import OPERATIONS, run_plan


@dataclass
class Announcements:
    """A swarm that reads the record on the disk at each change that it gets."""

    file: Path
    seen: list[dict[str, Any]] = field(default_factory=list)
    starts_in: int = 0  # looks at its clock

    def earliest_change(self) -> float:
        """Return the instant of the next change."""
        return 7.5

    def now(self) -> float:
        """Return the schedule time; negative until the clock has started."""
        self.starts_in -= 1
        return float("-inf") if self.starts_in > 0 else 7.0

    def change_rates(self, change: NewRates) -> str:
        """Apply other rates."""
        return self._look(change.at)

    def pause(self, at: float) -> str:
        """Pause."""
        return self._look(at)

    def resume(self) -> str:
        """Resume the load."""
        return self._look(7.5)

    def _look(self, at: float) -> str:
        last = json.loads(self.file.read_bytes())["journal"][-1]
        assert last["schedule_seconds"] == at
        assert "applied_by" not in last
        self.seen.append(last)
        return "2 of 2"


@pytest.fixture
def swarm(tmp_path: Path) -> Announcements:
    """Return the swarm of a run."""
    return Announcements(tmp_path / "run-1" / "run.json")


@pytest.fixture
def live_changes(tmp_path: Path, swarm: Announcements) -> LiveChanges:
    """Return what changes it: 10 an hour of each operation, steady."""
    record = RunRecord.create(tmp_path, "run-1")
    return LiveChanges(cast("Swarm", swarm), record, plan())


def plan() -> Plan:
    """Return the plan of the run."""
    return run_plan(Mix(dict.fromkeys(OPERATIONS, 10.0)), run_id="run-1")


def test_a_profile_that_the_workload_lacks_is_refused(
    live_changes: LiveChanges, swarm: Announcements
) -> None:
    """In a line, before anything is journaled."""
    with pytest.raises(SettingsError, match="PROFILE is 'workload', but the workload has none"):
        live_changes.change({}, "workload", by="cli")
    assert swarm.seen == []


def test_the_mean_level_follows_the_changes(tmp_path: Path, swarm: Announcements) -> None:
    """Only the workload's own profile has levels: under others the database's rates are steady."""
    own = replace(plan(), profile="workload", own_profile=ProfileLevels(5.0, (3, 1)))
    changes = LiveChanges(cast("Swarm", swarm), RunRecord.create(tmp_path, "run-1"), own)
    assert changes.mean_level(0.0) == 1
    assert changes.mean_level(5.0) == pytest.approx(1.5)
    assert changes.mean_level(10.0) == pytest.approx(1)
    changes.change({}, "burst", by="cli")  # at 7.5
    assert changes.mean_level(15.0) == pytest.approx((7.5 + 1.25 + 7.5) / 15)
    resumed = LiveChanges(cast("Swarm", swarm), RunRecord.create(tmp_path, "run-2"), own)
    resumed.replay([NewRates(7.5, own.mix, "burst")])
    assert resumed.profile == "burst"
    assert resumed.mean_level(15.0) == changes.mean_level(15.0)


def test_a_change_is_on_the_disk_before_it_is_announced(
    live_changes: LiveChanges, swarm: Announcements
) -> None:
    """A master that is killed while it informs its workers leaves a run that can be resumed."""
    live_changes.change({"insert_order": 20.0}, "burst", by="cli")
    live_changes.pause("a while", by="watch")
    live_changes.resume(by="cli")
    assert [entry["kind"] for entry in swarm.seen] == ["rate_change", "pause", "resume"]
    assert swarm.seen[0]["rates_per_hour"] == {"insert_order": {"from": 10.0, "to": 20.0}}
    assert swarm.seen[0]["profile"] == {"from": "steady", "to": "burst"}
    live_changes._record.flush()  # as the sampler does
    kept = json.loads(swarm.file.read_bytes())["journal"]
    assert kept == [entry | {"applied_by": "2 of 2"} for entry in swarm.seen]
    assert live_changes.applied_by == "2 of 2"


def test_a_pause_ends_once_the_clock_has_started(
    live_changes: LiveChanges, swarm: Announcements
) -> None:
    """A paused run, resumed after a kill, may be continued before it has a connection."""
    live_changes.paused = PauseReason("a while", "watch")
    swarm.starts_in = 4
    live_changes.resume(by="cli")
    assert swarm.starts_in == 0
    assert [entry["kind"] for entry in swarm.seen] == ["resume"]
    assert live_changes.paused is None


def test_what_can_not_be_journaled_is_not_in_force(
    live_changes: LiveChanges, swarm: Announcements
) -> None:
    """It can be requested again, and is not reported as done."""
    swarm.file.parent.rename(swarm.file.parent.with_name("gone"))
    with pytest.raises(RecordError):
        live_changes.pause("a while", by="cli")
    with pytest.raises(RecordError):
        live_changes.change({"insert_order": 20.0}, by="cli")
    assert live_changes.paused is None
    assert live_changes.mix.rates_per_hour["insert_order"] == 10.0
    assert swarm.seen == []


def test_changes_are_bounded_and_a_pause_is_never_refused(
    live_changes: LiveChanges, swarm: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is stored for a resume, so their number is limited; a pause may protect the source."""
    monkeypatch.setattr("loadgen.load.live_changes._MOST_OF_A_KIND", 3)
    for n in range(1, 4):
        live_changes.change({"insert_order": 10.0 + n}, by="cli")
        live_changes.pause("a while", by="cli")
        live_changes.resume(by="cli")
    with pytest.raises(JournalFullError, match="this run has had 3 changes of rates"):
        live_changes.change({"insert_order": 20.0}, by="cli")
    assert live_changes.mix.rates_per_hour["insert_order"] == 13.0
    live_changes.change({"insert_order": 13.0}, by="cli")  # the rate is the same: nothing to note
    live_changes.pause("the disk fills up", by="watch")
    with pytest.raises(JournalFullError, match="this run has had 3 pauses"):
        live_changes.resume(by="cli")
    assert live_changes.paused == PauseReason("the disk fills up", "watch")
    assert len(swarm.seen) == 10
    again = LiveChanges(live_changes._swarm, RunRecord.open(live_changes._record.path), plan())
    with pytest.raises(JournalFullError):  # also after a resume
        again.change({"insert_order": 20.0}, by="cli")
