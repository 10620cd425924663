"""Conserved sums at copies show which tool tears transactions apart while a real load runs."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from loadgen.config.settings import load_settings
from loadgen.record.rows import SumsSample
from loadgen.source.postgres import connect
from loadgen.tools.readers import sums_probe
from loadgen.tools.tools_file import Tool, parse_tools
from loadgen.watch import consistency
from loadgen.watch.watch import Watch
from tests.acceptance.conftest import Locust, stopped
from tests.conftest import Cluster, RunLoadgen, find_free_port
from tests.copier import Copier
from tests.polling import wait_for
from tests.replication import Subscription

TPCB = {"WORKLOAD": "tpcb"}
RATE = 300  # transactions a second
TABLES = ("pgbench_history", "pgbench_accounts", "pgbench_tellers", "pgbench_branches")


@pytest.fixture
def quick_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the sums without the pauses that spare databases."""
    monkeypatch.setattr(consistency, "_COPY_REST", 1)
    monkeypatch.setattr(consistency, "_SOURCE_REST", 1)
    monkeypatch.setattr(consistency, "_SOURCE_PAUSE", 0.1)
    monkeypatch.setitem(sums_probe._PAUSES, "postgres", 0.02)


@contextmanager
def copying(source: str, copy: str) -> Iterator[None]:
    """Copy all tables again and again, one after the other."""
    copier, ended = Copier(source, copy), threading.Event()

    def repeat() -> None:
        while not ended.is_set():
            copier.sync(*TABLES)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def watching(dsn: str, project: Path, tools: tuple[Tool, ...]) -> Iterator[Watch]:
    """Run a watch of these tools, without markers."""
    settings = load_settings(
        {
            "workload": "tpcb",
            "reports_dir": project / "reports",
            "watch_port": find_free_port(),
            "metrics_port": find_free_port(),
        }
    )
    watch = Watch(settings, dsn, 0.1, tools=tools)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        yield watch
    finally:
        watch.stopped.set()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.usefixtures("quick_reads")
def test_replication_tears_no_transaction_and_a_copy_by_table_does(
    cluster: Cluster, project: Path, locust: Locust, run_loadgen: RunLoadgen
) -> None:
    """Reads of a copy by table are torn; reads of the replicated copy and the source never are."""
    with ExitStack() as stack:
        source = stack.enter_context(cluster.database("template1"))
        assert run_loadgen("seed", env=TPCB | {"DATABASE_URL": source}).returncode == 0
        template = source.rpartition("/")[2]
        copies = {
            name: stack.enter_context(cluster.database(template))
            for name in ("replicated", "by_table")
        }
        with connect(copies["by_table"]) as copy:  # it refuses deletes of tables without a key
            copy.execute("DROP PUBLICATION loadgen")
        entry = {"kind": "postgres", "destination": "postgres"}
        entries = {name: {**entry, "url": dsn} for name, dsn in copies.items()}
        tools = parse_tools({"tools": entries}, "tools.toml")
        subscription = Subscription(source, copies["replicated"])
        stack.callback(subscription.drop)
        load = locust(source, "-t", "10m", "--transaction-per-hour", str(RATE * 3600), env=TPCB)
        stack.enter_context(copying(source, copies["by_table"]))
        watch = stack.enter_context(watching(source, project, tools))
        latest = project / "reports" / "latest"

        def counts() -> Counter[tuple[str, bool]]:
            return Counter((row.tool, row.torn) for row in SumsSample.read(latest))

        def enough() -> bool:
            n = counts()
            return n["replicated", False] > 20 and n["by_table", True] > 2 and n["", False] > 2

        wait_for(enough, "reads of every copy")
        stopped(load)
        n = counts()
        assert (n["replicated", True], n["", True]) == (0, 0)
        by_tool = {each.tool: each for each in watch.state().sums}
        assert by_tool["replicated"].torn == 0
        assert by_tool["by_table"].torn >= n["by_table", True]
        torn = [row for row in SumsSample.read(latest) if row.torn]
        assert {row.invariant for row in torn} == {"balance"}
        assert all(row.difference > 0 for row in torn)
        with connect(copies["replicated"]) as copy:
            assert copy.execute("SELECT count(*) > 20 FROM pgbench_history").fetchone() == (True,)
