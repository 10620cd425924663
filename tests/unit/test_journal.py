"""The journal of a long run: repeated events share an entry and are reported as they double."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import JournalFullError
from loadgen.load.journal import LARGEST_ENTRY, MOST_POSTED, Journal
from loadgen.record.folder import RunRecord
from loadgen.record.run import JournalEvent, Run

BEGAN = datetime(2026, 2, 28, 23, 59, tzinfo=UTC)


class Timed:
    """A journal whose clock the test sets, in seconds."""

    def __init__(self, folder: Path) -> None:
        self.record = RunRecord.create(folder, "run-1")
        self.record.begin(Run())
        self.seconds = 0.0
        self.record.now = lambda: BEGAN + timedelta(seconds=self.seconds)
        self.journal = Journal(self.record)

    def note(self, at: float, kind: str = "fault", **details: object) -> Any:
        """Note something at that second."""
        self.seconds = at
        return self.journal.note(kind, details)

    def entries(self) -> tuple[JournalEvent, ...]:
        """Return what the record on the disk has once the load has sampled."""
        self.record.flush()
        return Run.of(self.record.path).journal


@pytest.fixture
def timed(tmp_path: Path) -> Timed:
    """Return an empty journal."""
    return Timed(tmp_path)


def test_what_repeats_is_one_entry(timed: Timed) -> None:
    """The entry has the first and last time, the count, and the sum of the connections."""
    for second in range(13):
        timed.note(second, what="reconnected", connections=2)
    (entry,) = timed.entries()
    assert entry.at == BEGAN
    assert dict(entry.details) == {
        "what": "reconnected",
        "connections": 26,
        "until": "2026-02-28T23:59:12.000Z",
        "count": 13,
    }


def test_two_days_of_outages_are_few_entries(timed: Timed) -> None:
    """A source that is away for a second, once a minute and a half: 1,920 times."""
    for second in range(0, 48 * 3600, 90):
        timed.note(second, what="source_lost", why="57P01")
        timed.note(second + 1, what="source_back", seconds=1.0)
    entries = timed.entries()
    assert len(entries) <= 4
    assert sum(int(str(e.details.get("count", 1))) for e in entries) == 2 * 1920
    seconds = [e.details["seconds"] for e in entries if e.details["what"] == "source_back"]
    assert sum(float(str(s)) for s in seconds) == 1920


def test_the_slowest_repetition_is_bounded_too(timed: Timed) -> None:
    """Each event comes just late enough for a new entry: two days have at most 80 entries."""
    second, entries = 0.0, 0
    while second < 48 * 3600:
        entries += 1
        timed.note(second, what="lock_lost")
        second += 60 * entries + 1
    assert len(timed.entries()) == entries <= 80


def test_a_loss_and_its_end_stay_in_turn(timed: Timed) -> None:
    """However long an outage lasts, its end belongs to it; the next one follows both."""
    for at, what in (
        (0, "source_lost"),
        (3600, "source_back"),
        (3610, "source_lost"),
        (3620, "source_back"),
        (9000, "source_lost"),
        (9001, "source_back"),
    ):
        timed.note(at, what=what, seconds=10.0)
    told = [(e.details["what"], e.details.get("count", 1)) for e in timed.entries()]
    assert told == [
        ("source_lost", 2),
        ("source_back", 2),
        ("source_lost", 1),
        ("source_back", 1),
    ]


def test_processes_and_tools_are_kept_apart(timed: Timed) -> None:
    """Two workers lose the source at once: an entry each; workers that come and go share one."""
    for worker in ("a", "b", "a", "b"):
        timed.note(1, what="source_lost", worker=worker)
    for name in ("c", "d", "e"):
        timed.note(2, kind="worker_joined", worker=name)
    told = [(e.kind, e.details["worker"], e.details.get("count", 1)) for e in timed.entries()]
    assert told == [("fault", "a", 2), ("fault", "b", 2), ("worker_joined", "e", 3)]


def test_what_people_post_stands_alone(timed: Timed) -> None:
    """A note is never lost in another one."""
    for text in ("upgraded", "restarted"):
        timed.note(1, kind="note", text=text)
    assert [e.details["text"] for e in timed.entries()] == ["upgraded", "restarted"]


def test_it_is_told_whenever_the_count_doubles(timed: Timed) -> None:
    """Repeats are still reported, but a terminal is not flooded in two days."""
    told = [timed.note(n, what="source_lost", why="57P01") for n in range(100)]
    assert [n + 1 for n, details in enumerate(told) if details] == [1, 2, 4, 8, 16, 32, 64]
    assert (told[7]["count"], told[7]["since"]) == (8, BEGAN)


def test_what_is_posted_is_bounded(timed: Timed) -> None:
    """The number of posted entries is limited, also after a resume; the load's events are not."""
    for n in range(MOST_POSTED - 1):
        timed.journal.post("note", {"n": n})
    timed.journal.post("slot_lost", {"slot": "s1"})
    with pytest.raises(JournalFullError, match="1,000 entries were posted"):
        timed.journal.post("note", {"n": -1})
    timed.note(1, what="source_lost")
    kinds = [entry.kind for entry in timed.entries()]
    assert kinds == ["note"] * (MOST_POSTED - 1) + ["slot_lost", "fault"]
    resumed = Journal(RunRecord.open(timed.record.path))
    with pytest.raises(JournalFullError):
        resumed.post("note", {"n": -1})


def test_what_is_posted_again_and_again_makes_no_entry_large(timed: Timed) -> None:
    """Each post has new names and values of any kind, and the entry stays small."""
    for n in range(100):
        timed.journal.post("slot_lost", {"slot": "s1", f"{n}": "x" * 1000, "self": 1, "number": 2})
    (entry,) = timed.entries()
    assert entry.details["count"] == 100
    assert sum(len(f"{name}{value}") for name, value in entry.details.items()) < LARGEST_ENTRY


def test_a_burst_writes_the_record_once(timed: Timed) -> None:
    """What follows waits in memory for the sampler, and nothing of it is missing then."""
    file = timed.record.path / "run.json"
    versions = {file.stat().st_mtime_ns}
    for n in range(500):
        timed.journal.post("note", {"n": n})
        timed.note(1, what="source_lost")
        versions.add(file.stat().st_mtime_ns)
    assert len(versions) < 50
    assert [e.details["n"] for e in timed.entries() if e.kind == "note"] == [*range(500)]


def test_names_that_are_new_each_time_are_counted_at_last(timed: Timed) -> None:
    """A worker that comes back is another one; two days of them fit into a page."""
    for n in range(2500):
        timed.note(n, what="source_lost", worker=f"w{n}")
    assert len(timed.entries()) == 2000
    assert Run.of(timed.record.path).journal_left_out == 500
    again = Journal(RunRecord.open(timed.record.path))
    again.note("fault", {"what": "source_lost", "worker": "another"})
    again._record.flush()
    assert Run.of(timed.record.path).journal_left_out == 501
