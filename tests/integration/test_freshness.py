"""Freshness: markers written by a watch, carried by real logical replication, seen by a probe."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pytest

from loadgen.config.settings import load_settings
from loadgen.errors import DestinationError, SourceError
from loadgen.record.folder import RunRecord
from loadgen.record.rows import ExpectedMarker, MarkerSample, SlotSample
from loadgen.report.analysis.compare import summary_of
from loadgen.source.markers import write_marker
from loadgen.source.observe import take_lock
from loadgen.source.postgres import connect
from loadgen.tools.readers.marker_probe import MarkerDestination
from loadgen.watch import watch as watch_module
from loadgen.watch.watch import Watch, run_under_way
from tests.conftest import Cluster, RunLoadgen, find_free_port, spawning
from tests.polling import wait_for
from tests.records import Made, update, write_run
from tests.replication import Subscription

NEWEST = "SELECT max(sequence) FROM loadgen_markers WHERE run_id = %s"
SEQUENCES = "SELECT sequence FROM loadgen_markers ORDER BY id"
RUN = "run-1"


class Copy:
    """A destination that is a Postgres database."""

    name = "copy"
    poll_seconds = 0.02

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._connection: psycopg.Connection | None = None

    def newest_marker(self, run_id: str) -> int | None:
        """Ask the copy."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self.dsn)
            row = self._connection.execute(NEWEST, (run_id,)).fetchone()
        except (SourceError, psycopg.Error) as exc:
            raise DestinationError(f"the copy can't be asked: {exc}") from exc
        return row[0] if row else None

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()


@pytest.fixture
def source(each_database: str) -> str:
    """DSN of a source that the run writes to."""
    with connect(each_database) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = %s", (RUN,))
    return each_database


@pytest.fixture
def copy(each_cluster: Cluster) -> Iterator[Copy]:
    """Yield the copy's database, empty."""
    with each_cluster.database("migrated_template") as dsn:
        yield Copy(dsn)


@pytest.fixture
def carried(source: str, copy: Copy) -> Iterator[Subscription]:
    """Yield the subscription that carries to the copy."""
    subscription = Subscription(source, copy.dsn)
    yield subscription
    subscription.drop()


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Return the folder of reports, with a run that has not ended."""
    write_run(tmp_path / "reports", Made(seconds=2, ended=False), RUN)
    return tmp_path / "reports"


@contextmanager
def watching(
    dsn: str, reports: Path, *destinations: MarkerDestination, markers: bool = True
) -> Iterator[Watch]:
    """Run a watch in this process, looking and marking ten times a second."""
    settings = load_settings(
        {
            "reports_dir": reports,
            "marker_interval_seconds": 0.1,
            "watch_port": find_free_port(),
            "metrics_port": find_free_port(),
        }
    )
    watch = Watch(settings, dsn, 0.1, None, destinations if markers else None)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        wait_for(lambda: watch.state().observation, "the first look")
        yield watch
    finally:
        watch.stopped.set()
        thread.join(30)
        assert not thread.is_alive()


def rows(reports: Path, run_id: str = RUN) -> list[MarkerSample]:
    """Return the freshness rows of the record."""
    return list(MarkerSample.read(reports / run_id))


def seen(reports: Path, at_least: int, run_id: str = RUN) -> Callable[[], bool]:
    """Return whether so many markers are in the record as seen."""
    return lambda: sum(row.seen_at is not None for row in rows(reports, run_id)) >= at_least


def sequences(dsn: str) -> list[int]:
    """Return the markers of a database in the order of their writing."""
    with connect(dsn) as connection:
        return [row[0] for row in connection.execute(SEQUENCES)]


def wrote(dsn: str, at_least: int) -> bool:
    """Return whether so many markers are in a database."""
    return len(sequences(dsn)) >= at_least


def freshness(watch: Watch) -> float:
    """Return the tool's freshness in the metrics; -1 if it has none."""
    markers = watch.state().markers
    found = markers.tools[0].freshness if markers else None
    return -1.0 if found is None else found


def unseen(watch: Watch) -> int:
    """Return how many markers the one tool has not delivered."""
    markers = watch.state().markers
    return markers.tools[0].unseen if markers else 0


def test_what_is_delivered_is_timed_and_what_is_not_is_said(
    source: str, copy: Copy, carried: Subscription, reports: Path
) -> None:
    """Each marker is one row, seen or not; a subscription that stands still shows as age."""
    with watching(source, reports, copy) as watch:
        wait_for(seen(reports, 5), "five markers at the copy")
        markers = watch.state().markers
        assert markers is not None
        assert markers.tools[0].up
        assert markers.tools[0].deliveries[-1][1] >= 5
        carried.do("ALTER SUBSCRIPTION copy DISABLE")
        wait_for(lambda: unseen(watch) >= 5 and freshness(watch) > 1, "the copy to grow old")
        carried.do("ALTER SUBSCRIPTION copy ENABLE")
        wait_for(lambda: 0 <= freshness(watch) < 0.9, "the copy to catch up")
        carried.do("ALTER SUBSCRIPTION copy DISABLE")
        kept_back = len(rows(reports))
        wait_for(lambda: unseen(watch) >= 5, "markers that are not carried")
    found = rows(reports)
    assert [row.sequence for row in found] == sequences(source) == [*range(1, len(found) + 1)]
    assert {row.tool for row in found} == {"copy"}
    assert found[kept_back - 1].seen_at is not None
    assert found[-1].seen_at is None
    # Five markers waited at once, a tenth of a second between them.
    assert max(row.delivery_seconds or 0.0 for row in found) > 0.3
    for row in found:
        if row.seen_at is not None and row.delivery_seconds is not None:
            between = (row.seen_at - row.written_at).total_seconds()
            assert row.delivery_seconds == pytest.approx(between, abs=0.01)
            assert 0 <= (row.poll_seconds or 0.0) <= row.delivery_seconds
    assert {row.slot for row in SlotSample.read(reports / RUN)} == {"copy"}


TOOL = """
[tools.still]
kind = "postgres"
destination = "postgres"
url = "{copy}"
"""


@pytest.mark.parametrize("stopped", [signal.SIGKILL, signal.SIGTERM])
def test_a_tool_that_delivers_nothing_is_counted_by_its_unseen_markers(
    database: str,
    cluster: Cluster,
    project: Path,
    run_loadgen: RunLoadgen,
    stopped: signal.Signals,
) -> None:
    """While the watch looks for them, once it has ended, and after it was killed."""
    with connect(database) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = %s", (RUN,))
    path = write_run(project / "reports", Made(seconds=2, ended=False), RUN)
    ports = {"WATCH_PORT": str(find_free_port()), "METRICS_PORT": str(find_free_port())}
    env = {"DATABASE_URL": database, "MARKER_INTERVAL_SECONDS": "0.1", **ports}
    with cluster.database("migrated_template") as copy, spawning() as spawn:
        (project / "tools.toml").write_text(TOOL.format(copy=copy))
        process = spawn("-m", "loadgen", "watch", cwd=project, env=env, measured=False)
        wait_for(lambda: len(list(ExpectedMarker.read(path))) >= 5, "five markers")
        assert not rows(project / "reports")
        assert summary_of(path).tools[0].sentence.split("; ")[1].startswith("0 of ")
        process.send_signal(stopped)
        said, _ = process.communicate(timeout=60)
    written = len(list(ExpectedMarker.read(path)))
    assert len(sequences(database)) - written in {0, 1}  # killed between the two
    seen = f"0 of {written} markers seen, the oldest unseen has waited "
    assert (f"tool still: {seen}" in said) == (stopped == signal.SIGTERM)
    assert run_loadgen("report", env=env).returncode == 0
    for name in ("report.html", "report.md", "RESULTS.md"):
        assert seen in (path / name).read_text(encoding="utf-8"), name
    found = json.loads(run_loadgen("compare", RUN, "--anyway", "--json", env=env).stdout)
    tool = found["runs"][0]["tools"]["still"]
    assert (tool["delivered"], tool["not_seen"]) == (0, written)
    assert tool["oldest_unseen_seconds"] > 0


def test_a_watch_waits_until_the_one_before_has_let_go(source: str) -> None:
    """A connection that is closed keeps its lock until its backend has ended."""
    with connect(source) as before, connect(source) as after, ThreadPoolExecutor() as pool:
        assert take_lock(before)
        assert not take_lock(after, seconds=0)
        taken = pool.submit(take_lock, after, seconds=60)
        before.close()
        assert taken.result()


@pytest.mark.parametrize("killed", [False, True])
def test_a_watch_started_again_goes_on(
    source: str, copy: Copy, carried: Subscription, reports: Path, killed: bool
) -> None:
    """Markers that the one before had not seen are looked for again, and none is written twice."""
    carried.do("ALTER SUBSCRIPTION copy DISABLE")
    with watching(source, reports, copy):
        wait_for(partial(wrote, source, 3), "three markers")
    left = rows(reports)
    assert len(left) >= 3
    assert all(row.seen_at is None for row in left)
    if killed:  # then it had no time to write them
        (reports / RUN / MarkerSample.FILE).unlink()
    with watching(source, reports, copy):
        wait_for(lambda: not rows(reports), "them to be taken back")
        carried.do("ALTER SUBSCRIPTION copy ENABLE")
        wait_for(seen(reports, len(left) + 2), "old and new ones at the copy")
    found = [row.sequence for row in rows(reports)]
    assert found == sequences(source) == list(range(1, len(found) + 1))


def test_a_run_s_last_markers_are_looked_for_after_its_end(
    source: str, copy: Copy, carried: Subscription, reports: Path
) -> None:
    """None is written after the end; once a copy has all markers, its freshness is not reported."""
    carried.do("ALTER SUBSCRIPTION copy DISABLE")
    with watching(source, reports, copy) as watch:
        wait_for(partial(wrote, source, 3), "three markers")
        update(RunRecord.open(reports / RUN), ended_at=datetime.now(UTC))
        wait_for(lambda: not watch.state().run_id, "the end to be seen")
        written = len(sequences(source))
        assert freshness(watch) > 0
        carried.do("ALTER SUBSCRIPTION copy ENABLE")
        wait_for(seen(reports, written), "the last ones")
        wait_for(lambda: freshness(watch) == -1, "no freshness")
    assert len(sequences(source)) == len(rows(reports)) == written


def test_another_run_begins_with_markers_of_its_own(
    source: str, copy: Copy, carried: Subscription, reports: Path
) -> None:
    """What the one before had not delivered is in its record as not seen."""
    carried.do("ALTER SUBSCRIPTION copy DISABLE")
    with watching(source, reports, copy):
        wait_for(partial(wrote, source, 3), "three markers")
        with connect(source) as connection:
            connection.execute("UPDATE loadgen_playground SET run_id = 'run-2'")
        write_run(reports, Made(seconds=2, ended=False), "run-2")
        wait_for(lambda: rows(reports), "the first run's last rows")
        carried.do("ALTER SUBSCRIPTION copy ENABLE")
        wait_for(seen(reports, 3, "run-2"), "the second one's markers")
    assert all(row.seen_at is None for row in rows(reports))
    assert [row.sequence for row in rows(reports, "run-2")][:3] == [1, 2, 3]


def test_a_record_that_can_t_be_written_loses_no_sighting(
    source: str,
    copy: Copy,
    carried: Subscription,
    reports: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error is printed once, and markers seen meanwhile are appended later."""
    file, kept, in_the_way = (reports / RUN / MarkerSample.FILE, reports / "kept", reports / "link")
    in_the_way.symlink_to(reports)  # a folder can't be written to; and each swap is one step
    with watching(source, reports, copy) as watch:
        wait_for(seen(reports, 2), "markers")
        kept.hardlink_to(file)
        in_the_way.replace(file)
        before = len(sequences(source))
        wait_for(partial(wrote, source, before + 3), "markers")
        wait_for(lambda: (m := watch.state().markers) and m.tools[0].unseen <= 1, "sightings")
        kept.replace(file)
        wait_for(seen(reports, before + 3), "them in the record")
    assert [row.sequence for row in rows(reports)] == sequences(source)
    assert capsys.readouterr().err.count("can't write") == 1


def test_cut_connections_and_lost_answers_leave_no_gap_and_no_double(
    source: str, copy: Copy, carried: Subscription, reports: Path
) -> None:
    """Whatever becomes of a connection, each sequence is in the source once, and in the record."""
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    with watching(source, reports, copy) as watch, connect(source) as admin:
        for goal in (3, 6, 9, 12):
            wait_for(partial(wrote, source, goal), "markers")
            admin.execute(
                f"{cut} WHERE application_name = 'loadgen watch' AND datname = current_database()"
            )
            # What an answer that was lost leaves: a marker that the watch does not know of.
            write_marker(admin, RUN, len(sequences(source)) + 1, datetime.now(UTC))
        wait_for(lambda: (n := len(sequences(source))) >= 15 and seen(reports, n)(), "the rest")
        wait_for(lambda: watch.state().observation, "a look after the last cut")
    found = sorted(sequences(source))
    assert found == list(range(1, len(found) + 1))
    assert [row.sequence for row in rows(reports)] == found


def test_a_lock_delays_markers_and_not_the_watch(
    source: str, copy: Copy, carried: Subscription, reports: Path
) -> None:
    """Slots are sampled all the while."""
    with watching(source, reports, copy) as watch, connect(source, autocommit=False) as other:
        wait_for(seen(reports, 2), "markers")
        other.execute("LOCK TABLE loadgen_markers IN SHARE MODE")
        before = watch.state()
        assert before.observation is not None
        at = before.observation.at
        wait_for(
            lambda: (o := watch.state().observation) and (o.at - at).total_seconds() > 1, "looks"
        )
        after = watch.state()
        assert before.markers is not None
        assert after.markers is not None
        assert after.markers.written <= before.markers.written + 1
        other.rollback()
        wait_for(seen(reports, 5), "markers again")


def test_a_destination_that_is_away_is_said_once(
    source: str, reports: Path, copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown as down and tried again, and its markers are seen late."""
    there, copy.dsn = copy.dsn, "postgresql://127.0.0.1:1/nowhere"
    with watching(source, reports, copy) as watch:
        wait_for(partial(wrote, source, 5), "markers")
        markers = watch.state().markers
        assert markers is not None
        assert markers.tools[0].up is False
        assert markers.tools[0].unseen >= 4
        assert not seen(reports, 1)()
        with connect(there) as at_last:
            at_last.execute("UPDATE loadgen_playground SET run_id = %s", (RUN,))
            for sequence in (1, 2, 3):
                write_marker(at_last, RUN, sequence, datetime.now(UTC))
        copy.dsn = there
        wait_for(seen(reports, 3), "what it has")
    assert capsys.readouterr().err.count("the copy can't be asked") == 1


def test_without_being_asked_no_marker_is_written(source: str, reports: Path) -> None:
    """Markers cost rows and money; slots are recorded all the same."""
    with connect(source) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot('a_tool', 'pgoutput')")
    with watching(source, reports, markers=False) as watch:
        wait_for(lambda: len(list(SlotSample.read(reports / RUN))) >= 3, "looks")
        assert watch.state().markers is None
    assert sequences(source) == []


def test_another_database_s_run_gets_nothing(
    source: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets neither markers nor slots, and the reason is printed once."""
    with connect(source) as connection:
        connection.execute("UPDATE loadgen_playground SET run_id = 'run-2'")
        connection.execute("SELECT pg_create_logical_replication_slot('a_tool', 'pgoutput')")
    with watching(source, reports) as watch:
        first = watch.state().observation
        wait_for(lambda: watch.state().observation not in (None, first), "another look")
    assert sequences(source) == []
    assert list(SlotSample.read(reports / RUN)) == []
    assert capsys.readouterr().err.count("run run-1 writes to another database") == 1


def test_a_killed_run_does_not_go_on(reports: Path) -> None:
    """It never said its end, but has been silent for more than a minute; no run is none."""
    assert run_under_way(reports) == reports / RUN
    os.utime(reports / RUN / "samples.csv", (1e9, 1e9))
    assert run_under_way(reports) is None
    assert run_under_way(reports / "none") is None


def test_written_wal_does_not_fall_by_a_crash() -> None:
    """WAL that a crash took back is not counted again; another server's count starts over."""
    assert watch_module.monotonic_wal(200, 100) == 200
    assert watch_module.monotonic_wal(99_000_000, 100_000_000) == 100_000_000
    assert watch_module.monotonic_wal(30_000_000, 100_000_000) == 30_000_000
    assert watch_module.monotonic_wal(5, 0) == 5


def test_a_frozen_source_is_noticed(
    source: str, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that takes too long counts as away, and the next one starts over."""
    monkeypatch.setattr(watch_module, "_LONGEST_LOOK", 1.0)
    find = """SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND database =
        (SELECT oid FROM pg_database WHERE datname = current_database())"""
    with watching(source, reports, markers=False) as watch, connect(source) as admin:
        ((pid,),) = admin.execute(find).fetchall()
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: watch.state().observation is None, "the loss")
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for(lambda: watch.state().observation, "the source again")
