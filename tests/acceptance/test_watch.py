"""`loadgen watch` records slots, WAL and deliveries, survives outages and prevents damage."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from loadgen.record.rows import MarkerSample, SlotSample
from loadgen.report.analysis.deliveries import Deliveries
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    Locust,
    latest,
    rates,
    stopped,
    wait_for,
    wait_for_offers,
)
from tests.conftest import Cluster, RunLoadgen, find_free_port, spawning
from tests.proxy import refusing_proxy
from tests.replication import Subscription

Start = Callable[..., subprocess.Popen[str]]
SLOT = "SELECT pg_create_logical_replication_slot('a_tool', 'pgoutput')"
FILL = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 4000000))"


@pytest.fixture
def watch_port() -> int:
    """Return a free port for the watch's metrics."""
    return find_free_port()


@pytest.fixture
def watch(project: Path, watch_port: int, metrics_port: int) -> Iterator[Start]:
    """Return a function that starts `loadgen watch`; end the watches that still run."""
    ports = {"WATCH_PORT": str(watch_port), "METRICS_PORT": str(metrics_port)}
    command = ("-m", "loadgen", "watch", "--interval", "0.2")
    with spawning() as spawn:

        def start(
            dsn: str, env: Mapping[str, str] | None = None, *arguments: str, measured: bool = True
        ) -> subprocess.Popen[str]:
            given = ports | {"DATABASE_URL": dsn} | dict(env or {})
            return spawn(*command, *arguments, cwd=project, env=given, measured=measured)

        yield start


def scrape(port: int) -> dict[str, float]:
    """Return the watch's series; empty while it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in series}


def wait_until(port: int, holds: Callable[[Mapping[str, float]], bool], what: str) -> None:
    """Wait until the watch's metrics meet a condition."""
    wait_for(lambda: (found := scrape(port)) and holds(found), what)


def test_slots_wal_and_tables_are_seen(each_database: str, watch: Start, watch_port: int) -> None:
    """A slot without a reader retains new WAL; the watch counts WAL and tables."""
    process = watch(each_database)
    wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 1, "the watch")
    with connect(each_database) as connection:
        connection.execute(SLOT)
        try:
            retained = 'loadgen_slot_retained_bytes{slot="a_tool"}'
            wait_until(watch_port, lambda m: retained in m, "the slot")
            before = scrape(watch_port)
            connection.execute(FILL)
            wait_until(watch_port, lambda m: m[retained] - before[retained] > 4e6, "its WAL")
            after = scrape(watch_port)
            wal = "loadgen_source_wal_bytes_total"
            assert after[wal] - before[wal] > 4e6
            assert after['loadgen_slot_confirmed_lag_bytes{slot="a_tool"}'] > 4e6
            assert after['loadgen_slot_active{slot="a_tool"}'] == 0
            assert after['loadgen_slot_wal_status{slot="a_tool",status="reserved"}'] == 1
            assert {'loadgen_source_rows{table="users"}', "loadgen_source_checkpoints_total"} <= (
                after.keys()
            )
            assert after["loadgen_source_connections"] >= 2
        finally:
            connection.execute("SELECT pg_drop_replication_slot('a_tool')")
    wait_until(watch_port, lambda m: retained not in m, "the slot to go")
    process.terminate()
    assert process.wait(20) == 130


def test_it_outlives_the_source(
    project: Path, watch: Start, watch_port: int, run_loadgen: RunLoadgen
) -> None:
    """An unreachable source is reported once and shown; then watch and counters continue."""
    wal = "loadgen_source_wal_bytes_total"
    server.start(project, port=find_free_port())
    process = watch("")  # the embedded server of this folder
    wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 1, "the watch")
    before = scrape(watch_port)[wal]
    assert scrape(watch_port)["loadgen_source_free_disk_bytes"] > 0
    server.stop(project)
    wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 0, "the loss")
    assert not any("slot=" in name for name in scrape(watch_port))
    server.start(project)
    wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 1, "the source again")
    assert scrape(watch_port)[wal] >= before > 0
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert err.count("trying again every 0.2 s") == 1


def test_a_lost_slot_is_told(project: Path, watch: Start, watch_port: int) -> None:
    """If the server's own limit removes a slot's WAL, the watch reports the lost slot.

    Postgres 18 also says why.
    """
    limits = {"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    info = server.start(project, port=find_free_port(), options=limits)
    process = watch(info.dsn)
    safe = 'loadgen_slot_safe_wal_bytes{slot="a_tool"}'
    with connect(info.dsn) as connection:
        connection.execute(SLOT)
        wait_until(watch_port, lambda m: m.get(safe, 0) > 0, "the slot's limit")
        for _ in range(3):
            connection.execute(FILL)
            connection.execute("SELECT pg_switch_wal()")
        connection.execute("CHECKPOINT")
    lost = 'loadgen_slot_wal_status{slot="a_tool",status="lost"}'
    why = 'loadgen_slot_invalidated{reason="wal_removed",slot="a_tool"}'
    wait_until(watch_port, lambda m: m.get(lost) == 1, "the loss")
    assert scrape(watch_port)[why] == 1
    process.terminate()
    said, _ = process.communicate(timeout=20)
    assert said.count("slot a_tool is lost: its tool has to sync from scratch") == 1


def test_one_watch_a_database(database: str, watch: Start, watch_port: int) -> None:
    """A second watch on the same database is refused with exit code 2."""
    watch(database)
    wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 1, "the watch")
    second = watch(database, {"WATCH_PORT": str(find_free_port())})
    _, err = second.communicate(timeout=20)
    assert second.returncode == 2
    assert "another watch observes" in err


def test_a_taken_port_is_refused(database: str, watch: Start, watch_port: int) -> None:
    """The error names WATCH_PORT."""
    import socket  # noqa: PLC0415 - here only

    with socket.create_server(("127.0.0.1", watch_port)):
        process = watch(database)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "set WATCH_PORT to a free port" in err


@pytest.fixture
def ask_load(run_loadgen: RunLoadgen, metrics_port: int) -> Callable[..., str]:
    """Return a function that runs `loadgen COMMAND` on this test's load and returns the output."""

    def ask(*arguments: str, env: Mapping[str, str] | None = None) -> str:
        given = {"METRICS_PORT": str(metrics_port)} | dict(env or {})
        done = run_loadgen(*arguments, env=given)
        return done.stdout + done.stderr

    return ask


def test_it_pauses_a_load_whose_slot_retains_too_much(
    seeded: str, locust: Locust, project: Path, watch: Start, ask_load: Callable[..., str]
) -> None:
    """The load pauses, journal and slots.csv say why, and a person resumes the load.

    A proxy in the environment, which refuses all requests, is not used.
    """
    process = locust(seeded, "-t", "10m", *rates())
    wait_for_offers(project, process, 5)
    folder = project / "reports" / "latest"
    with refusing_proxy() as proxy, connect(seeded) as connection:
        looking = watch(seeded, {"MAX_SLOT_RETAINED_BYTES": "3000000"} | proxy)
        connection.execute(SLOT)
        connection.execute(FILL)
        wait_for(lambda: "paused: slot a_tool" in ask_load("rates", env=proxy), "a pause")
        assert "running" in ask_load("resume", env=proxy)
        looks = len(list(SlotSample.read(folder)))
        wait_for(lambda: len(list(SlotSample.read(folder))) >= looks + 5, "five looks")
        # It is not paused again for the same reason.
        assert "running" in ask_load("rates", env=proxy)
        connection.execute("SELECT pg_drop_replication_slot('a_tool')")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    pause, resume = (e for e in latest(project)["journal"] if e["kind"] in {"pause", "resume"})
    assert pause["by"] == "watch"
    assert "more than MAX_SLOT_RETAINED_BYTES=3,000,000" in pause["reason"]
    assert resume["by"] == "cli"
    looking.terminate()
    said, _ = looking.communicate(timeout=20)
    assert "the load is paused: slot a_tool retains" in said
    rows = list(SlotSample.read(folder))
    assert {row.slot for row in rows} == {"a_tool"}
    assert max(row.retained_bytes or 0 for row in rows) > 3_000_000


def test_markers_are_no_rows_of_the_load(
    seeded: str, locust: Locust, project: Path, watch: Start, watch_port: int
) -> None:
    """Markers are written only during a run and counted apart; Ctrl-C ends the watch with 130."""
    looking = watch(
        seeded, {"MARKER_INTERVAL_SECONDS": "0.2"}, "--interval", "0.1", "--markers", measured=False
    )
    wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 1, "the watch")
    time.sleep(0.5)  # time for two markers; without a run there are none
    assert scrape(watch_port)["loadgen_markers_total"] == 0
    process = locust(seeded, "-t", "5s", *rates())
    info = f'loadgen_run_info{{run_id="{wait_for(lambda: run_id(project), "a run")}"}}'
    wait_until(watch_port, lambda m: info in m and m["loadgen_markers_total"] >= 5, "markers")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert latest(project)["valid"] is True
    wait_until(watch_port, lambda m: info not in m, "the run's end")
    written = scrape(watch_port)["loadgen_markers_total"]
    looking.send_signal(signal.SIGINT)
    assert looking.wait(20) == 130
    with connect(seeded) as connection:
        query = "SELECT count(*) FROM loadgen_markers"
        assert connection.execute(query).fetchone() == (written,)


def test_markers_are_for_a_playground_alone(
    cluster: Cluster, watch: Start, project: Path, watch_port: int
) -> None:
    """In a database without our tables `--markers` is refused; a watch with tools only warns."""
    with cluster.database("template1") as foreign:
        refused = watch(foreign, {}, "--markers")
        _, said = refused.communicate(timeout=60)
        assert refused.returncode == 2
        assert said.startswith("loadgen: error: there is no playground in database ")
        assert len(said.splitlines()) == 1
        tool = 'kind = "postgres"\ndestination = "postgres"\n'
        (project / "tools.toml").write_text(
            f'[tools.away]\n{tool}url = "postgresql://nobody@127.0.0.1:1/none"\n'
        )
        looking = watch(foreign)
        wait_until(watch_port, lambda m: m.get("loadgen_source_up") == 1, "the watch")
        looking.terminate()
        _, said = looking.communicate(timeout=20)
        assert "no marker is written until then" in said


def test_what_a_tool_delivers_is_timed(
    seeded: str, cluster: Cluster, locust: Locust, project: Path, watch: Start
) -> None:
    """One tool in tools.toml delivers and one can't be reached; the record has both."""
    with cluster.database("migrated_template") as copy:
        with connect(copy) as there:  # the copy has no baseline
            there.execute("ALTER TABLE events DROP CONSTRAINT events_user_id_fkey")
        subscription = Subscription(seeded, copy)
        try:
            tool = 'kind = "postgres"\ndestination = "postgres"\n'
            (project / "tools.toml").write_text(
                f'[tools.copy]\n{tool}url = "{copy}"\n'
                f'[tools.away]\n{tool}url = "postgresql://nobody@127.0.0.1:1/none"\n'
            )
            looking = watch(seeded, {"MARKER_INTERVAL_SECONDS": "0.5"})
            process = locust(seeded, "-t", "10m", *rates())
            folder = project / "reports" / wait_for(lambda: run_id(project), "a run")
            seen = partial(markers, folder, "copy")
            wait_for(lambda: len(seen()) >= 5, "markers in the record")
            stopped(process)
            looking.terminate()
            said, complaint = looking.communicate(timeout=30)
            assert "looking for markers at copy every 0.5 s" in said
            assert complaint.count("tool away: can't reach Postgres") == 1, complaint
            assert all(row.delivery_seconds is not None for row in seen()[:5])
            assert all(row.seen_at is None for row in markers(folder, "away"))
        finally:
            subscription.drop()


@pytest.fixture
def replicated(seeded: str, cluster: Cluster, project: Path) -> Iterator[Subscription]:
    """Yield the subscription of a copy that tools.toml names."""
    with cluster.database("migrated_template") as copy:
        with connect(copy) as there:  # the copy has no baseline
            there.execute("ALTER TABLE events DROP CONSTRAINT events_user_id_fkey")
        entry = f'kind = "postgres"\ndestination = "postgres"\nurl = "{copy}"\n'
        (project / "tools.toml").write_text(f"[tools.copy]\n{entry}")
        subscription = Subscription(seeded, copy)
        try:
            yield subscription
        finally:
            subscription.drop()


def test_a_tool_that_stood_still_is_described(
    seeded: str,
    replicated: Subscription,
    locust: Locust,
    project: Path,
    watch: Start,
    run_loadgen: RunLoadgen,
) -> None:
    """Replication is off for a while; the outage has its beginning, its length and its catch-up."""
    watch(seeded, {"MARKER_INTERVAL_SECONDS": "0.5"})
    process = locust(seeded, "-t", "10m", *rates(0.2))
    folder = with_markers(project)
    replicated.do("ALTER SUBSCRIPTION copy DISABLE")
    time.sleep(12)  # an outage counts from ten seconds
    replicated.do("ALTER SUBSCRIPTION copy ENABLE")

    def caught_up() -> bool:
        outages = Deliveries(markers(folder, "copy")).outages()
        return bool(outages and outages[0].caught_up)

    wait_for(caught_up, "the copy to catch up")
    stopped(process)
    outages = Deliveries(markers(folder, "copy")).outages()
    assert outages is not None
    (found,) = outages
    assert found.resumed is not None
    assert found.oldest.total_seconds() > 10
    assert found.caught_up is not None
    done = run_loadgen("report", env={"DATABASE_URL": seeded})
    assert done.returncode == 0, done.stderr
    told = (folder / "report.md").read_text(encoding="utf-8")
    assert f"| copy | {found.began:%Y-%m-%d %H:%M:%S} UTC" in re.sub(" +", " ", told)


def test_a_copy_that_begins_anew_is_described(
    seeded: str,
    replicated: Subscription,
    locust: Locust,
    project: Path,
    watch: Start,
    run_loadgen: RunLoadgen,
) -> None:
    """A table is emptied and copied again; the journal has the copy's step back and its return."""
    with connect(seeded) as publisher:
        publisher.execute("CREATE PUBLICATION nothing")
    looking = watch(seeded, {"MARKER_INTERVAL_SECONDS": "0.5"})
    process = locust(seeded, "-t", "10m", *rates(0.2))
    folder = with_markers(project)
    replicated.do("ALTER SUBSCRIPTION copy SET PUBLICATION nothing")
    replicated.do("TRUNCATE loadgen_markers")
    wait_for(lambda: "copy_went_back" in journal(folder), "the copy to go back")
    replicated.do("ALTER SUBSCRIPTION copy SET PUBLICATION loadgen")
    wait_for(lambda: "copy_there_again" in journal(folder), "the copy to be there again")
    stopped(process)
    looking.terminate()
    said, _ = looking.communicate(timeout=30)
    assert said.count("the copy of tool copy went back from marker") == 1, said
    done = run_loadgen("report", env={"DATABASE_URL": seeded})
    assert done.returncode == 0, done.stderr
    told = re.sub(" +", " ", (folder / "report.md").read_text(encoding="utf-8"))
    assert re.search(r"\| copy \| [-0-9: ]+ UTC \| \d+ \| none \| [\d.]+ s \|", told), told


def with_markers(project: Path) -> Path:
    """Return the current run's folder, once it has some markers of the copy."""
    wait_for(lambda: run_id(project), "a run")
    folder = project / "reports" / run_id(project)
    wait_for(lambda: len(markers(folder, "copy")) >= 8, "markers in the record")
    return folder


def journal(folder: Path) -> str:
    """Return the text of a run's record, with its journal."""
    return (folder / "run.json").read_text(encoding="utf-8")


def markers(folder: Path, tool: str) -> list[MarkerSample]:
    """Return one tool's markers in a run's record."""
    return [row for row in MarkerSample.read(folder) if row.tool == tool]


def run_id(project: Path) -> str:
    """Return the id of the newest run; empty before the first."""
    path = project / "reports" / "latest"
    return path.resolve().name if path.exists() else ""
