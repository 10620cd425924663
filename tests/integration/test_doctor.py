"""`loadgen doctor` finds each of its conditions on a real server, and is silent without them."""

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loadgen.config.settings import Settings, load_settings
from loadgen.doctor.checks import CHECKS, DoctorFinding, run_checks
from loadgen.doctor.facts import collect_facts
from loadgen.errors import DestinationError
from loadgen.source.embedded import server
from loadgen.source.grant import Grant, create_grant, revoke_grant
from loadgen.source.postgres import connect
from loadgen.source.schema import migrate
from loadgen.tools.tools_file import Tool, parse_tools
from loadgen.tools.warehouses import unequal_warehouses, warehouse_from_rows
from loadgen.workload.read_model import read_model
from tests.conftest import Fakesnow, RunLoadgen, find_free_port
from tests.emulated import aws_server
from tests.granting import as_user, ignore

DOCTORED = {
    "kind": "generic",
    "destination": "postgres",
    "url": "postgresql://127.0.0.1:1/copy",
    "schema": "public",
    "slot": "doctored_slot",
}
SEEDED = """
    UPDATE loadgen_playground SET progress = '{"complete": true}',
        seed = '{"seed": 1, "end": "2026-01-01T00:00:00+00:00", "rows": {}, "settings": {}}'
"""


@pytest.fixture(autouse=True)
def _nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of the user who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def tools_of(**changes: dict[str, Any]) -> tuple[Tool, ...]:
    """Return the tool, and the other tools given."""
    return parse_tools({"tools": {"doctored": DOCTORED, **changes}}, "test")


def look(
    dsn: str,
    tools: tuple[Tool, ...] | None = None,
    hours: float = 48,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    **settings: object,
) -> list[DoctorFinding]:
    """Return the doctor's findings."""
    ports = {"metrics_port": find_free_port(), "watch_port": find_free_port()}
    given = load_settings({"database_url": dsn, **ports, **settings})
    tools = tools_of() if tools is None else tools
    found, made = run_checks(collect_facts(given, tools, tools, hours, clock))
    assert set(made) <= set(CHECKS)
    return found


@pytest.fixture
def healthy(each_database: str) -> Iterator[str]:
    """Yield the DSN of a source with one granted tool and nothing to find."""
    with connect(each_database) as conn:
        conn.execute(SEEDED)
        create_grant(conn, Grant("doctored", conn.info.dbname, "doctored_slot", "loadgen"), ignore)
        yield each_database
        revoke_grant(conn, "doctored", ignore)


def test_a_healthy_source_has_no_findings(healthy: str) -> None:
    """Silence, on either server."""
    assert look(healthy) == []


@pytest.mark.parametrize(
    ("statement", "check", "said"),
    [
        ("ALTER PUBLICATION loadgen DROP TABLE orders", "publications", "lacks table orders"),
        ("DROP PUBLICATION loadgen", "publications", "no publication loadgen: run `loadgen seed`"),
        (
            "ALTER PUBLICATION loadgen SET (publish = 'insert')",
            "publications",
            "leaves out inserts, updates or deletes",
        ),
        (
            (
                "ALTER PUBLICATION loadgen "
                "SET TABLE users WHERE (id > 5), orders, events, loadgen_markers"
            ),
            "publications",
            "only some rows or columns of users",
        ),
        (
            "ALTER PUBLICATION loadgen SET TABLE users, orders, loadgen_markers, events (id)",
            "publications",
            "only some rows or columns of events",
        ),
        ("ALTER TABLE orders REPLICA IDENTITY NOTHING", "replica identity", "table orders"),
        ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "replica identity", "primary key"),
        (
            "SELECT pg_create_logical_replication_slot('nobodys', 'pgoutput')",
            "orphan slots",
            "belongs to no tool of TOOLS_FILE: SELECT pg_drop_replication_slot('nobodys')",
        ),
        (
            "SELECT pg_drop_replication_slot('doctored_slot')",
            "slots",
            "doctored_slot, which does not exist: run `loadgen db grant doctored`",
        ),
        (
            "UPDATE loadgen_playground SET progress = '{}'",
            "source",
            "the baseline is missing or incomplete: run `loadgen seed`",
        ),
    ],
)
def test_a_condition_of_the_source_is_found(
    healthy: str, statement: str, check: str, said: str
) -> None:
    """One thing is put wrong: one finding names it, and its fix."""
    with connect(healthy) as conn:
        conn.execute(statement.encode())
    (finding,) = look(healthy)
    assert finding.check == check
    assert said in finding.text


def test_a_slot_that_is_left_behind(healthy: str) -> None:
    """An inactive slot counts only if it retains much WAL: batch tools are away between syncs."""
    with connect(healthy) as conn:
        conn.execute("SELECT pg_logical_emit_message(true, 'x', repeat('x', 100000))")
    (finding,) = look(healthy, max_slot_retained_bytes=100_000)
    assert finding.check == "orphan slots"
    assert "unread by doctored: let it sync, or `loadgen db revoke doctored`" in finding.text


def test_the_slot_of_a_runner_that_is_stopped_is_no_orphan(healthy: str) -> None:
    """It has the name that the runner gives it; another of no tool is one."""
    runner = {"kind": "postgres", "destination": "postgres", "runner": "replication"}
    with connect(healthy) as conn:
        for name in ("loadgen_mine", "loadgen_gone"):
            conn.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (name,))
        found = [one for one in look(healthy, tools_of(mine=runner)) if one.check == "orphan slots"]
        for name in ("loadgen_mine", "loadgen_gone"):
            conn.execute("SELECT pg_drop_replication_slot(%s)", (name,))
    assert ["loadgen_gone" in one.text for one in found] == [True]


def test_a_run_that_would_cost_more_than_the_budget(healthy: str) -> None:
    """The tools' cards price the requested hours; a price within the budget is no finding."""
    priced = {**DOCTORED, "price": {"card": "fivetran", "plan": "standard"}}
    tools = parse_tools({"tools": {"doctored": priced}}, "test")
    assert look(healthy, tools, budget_usd=1000) == []
    (finding,) = look(healthy, tools, budget_usd=1)
    assert finding.check == "budget"
    assert "more than BUDGET_USD, which is $1.00" in finding.text


def test_an_aws_that_can_not_be_read(healthy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a region is set, its tags have to be readable; the finding names the failed call."""
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with aws_server() as url:
        assert look(healthy, aws_region="us-east-1", aws_endpoint_url=url) == []
    (finding,) = look(
        healthy, aws_region="us-east-1", aws_endpoint_url=f"http://127.0.0.1:{find_free_port()}"
    )
    assert finding.check == "aws"
    assert "tag:GetResources" in finding.text


@pytest.mark.parametrize(("shift", "word"), [(90, "behind"), (-90, "ahead of")])
def test_clocks_that_differ(healthy: str, shift: float, word: str) -> None:
    """This machine's clock is put wrong, to either side."""
    (finding,) = look(healthy, clock=lambda: datetime.now(UTC) + timedelta(seconds=shift))
    assert finding.check == "clock"
    assert f"{word} this machine's" in finding.text


def test_a_port_that_is_taken(healthy: str) -> None:
    """The setting is named."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        (finding,) = look(healthy, metrics_port=listening.getsockname()[1])
    assert finding.check == "ports"
    assert "set METRICS_PORT" in finding.text


def test_warehouses_that_are_shared(healthy: str) -> None:
    """Neither with another tool nor with our own queries."""
    one = {"kind": "airbyte", "destination": "snowflake", "warehouse": "WH_A", "schema": "X"}
    tools = tools_of(a=one, b={**one, "warehouse": "wh_a"}, c={**one, "warehouse": "OURS"})
    found = look(healthy, tools, snowflake_warehouse="OURS")
    assert [finding.check for finding in found] == ["warehouses", "warehouses"]
    assert "warehouse wh_a of tool b is that of tool a too" in found[0].text
    assert "our own queries" in found[1].text


def test_a_snowflake_that_is_read_or_not(healthy: str, fakesnow: Fakesnow) -> None:
    """If Snowflake is configured, its database has to be readable; the finding names the tool."""
    with fakesnow.connect("ELT") as conn, conn.cursor() as cursor:
        cursor.execute("SELECT 1")
    one = {"kind": "airbyte", "destination": "snowflake", "schema": "X", "database": "ELT"}

    def looked(**changes: str) -> list[DoctorFinding]:
        return look(
            healthy,
            tools_of(a={**one, **changes}),
            snowflake_host="127.0.0.1",
            snowflake_port=fakesnow.port,
            snowflake_protocol="http",
        )

    assert looked() == []
    (finding,) = looked(database="NOBODYS")
    assert finding.check == "snowflake"
    assert "tool a: no schema of database NOBODYS can be read" in finding.text
    (finding,) = look(healthy, tools_of(a=one), snowflake_account="x")
    assert finding.check == "snowflake"
    assert "tool a: SNOWFLAKE_USER is not set" in finding.text


# What SHOW WAREHOUSES answers, by its documentation: the columns that matter here.
SHOWN = {
    "name": "WH_ELT_A",
    "state": "SUSPENDED",
    "type": "STANDARD",
    "size": "X-Small",
    "auto_suspend": 60,
    "enable_query_acceleration": "false",
    "resource_constraint": "STANDARD_GEN_1",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"size": "Small"}, "differ in size (a X-Small, b Small)"),
        (
            {"resource_constraint": "STANDARD_GEN_2"},
            "differ in generation (a STANDARD_GEN_1, b STANDARD_GEN_2)",
        ),
        ({"enable_query_acceleration": "true"}, "WH_ELT_B of tool b has query acceleration on"),
    ],
)
def test_warehouses_that_differ(change: dict[str, str], said: str | None) -> None:
    """Size, generation and acceleration are those of a recorded answer."""
    one = {"kind": "airbyte", "destination": "snowflake", "schema": "X"}
    a, b = parse_tools(
        {"tools": {"a": {**one, "warehouse": "WH_ELT_A"}, "b": {**one, "warehouse": "WH_ELT_B"}}},
        "test",
    )
    rows = [SHOWN, {**SHOWN, "name": "WH_ELT_B", **change}]
    found = list(unequal_warehouses([warehouse_from_rows(a, rows), warehouse_from_rows(b, rows)]))
    assert [str(said) in text for text in found] == ([True] if said else [])
    with pytest.raises(DestinationError, match=r"no warehouse WH_ELT_B; there is WH_ELT_A:"):
        warehouse_from_rows(b, [SHOWN])
    small = a.model_copy(update={"warehouse": "wh_elt_a"})
    assert warehouse_from_rows(small, [SHOWN]).name == "WH_ELT_A"


def test_rights_that_lack(healthy: str) -> None:
    """A tool's user can't carry the playground: each missing right is a line."""
    with connect(healthy) as conn:
        conn.execute("CREATE ROLE loadgen_weak LOGIN PASSWORD 'weak'")
        try:
            conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            conn.execute("GRANT SELECT ON loadgen_playground TO loadgen_weak")
            found = look(as_user(healthy, "loadgen_weak", "weak"))
            conn.execute("REVOKE SELECT ON loadgen_playground FROM loadgen_weak")
        finally:
            conn.execute("DROP OWNED BY loadgen_weak; DROP ROLE loadgen_weak")
    assert [finding.check for finding in found] == ["source", "source"]
    assert "may not create tables" in found[0].text
    assert "GRANT CREATE ON DATABASE" in found[1].text


def test_another_encoding(cluster: Any) -> None:
    """Tools refuse encodings other than UTF-8."""
    with connect(cluster.info.dsn) as admin:
        admin.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc "
            "LOCALE 'C'"
        )
        try:
            with connect(cluster.dsn("latin")) as conn:
                migrate(conn, read_model("shop"))
                conn.execute(SEEDED)
            (finding,) = look(cluster.dsn("latin"), ())
        finally:
            admin.execute("DROP DATABASE latin WITH (FORCE)")
    assert (finding.check, "LATIN1" in finding.text) == ("encoding", True)


def test_a_server_of_narrow_limits(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots, senders, plugins and kept WAL: each limit that is too low is found, and its fix."""
    narrow = {
        "max_replication_slots": "1",
        "max_wal_senders": "0",
        "max_slot_wal_keep_size": "1MB",
        "output_plugin_libraries": "test_decoding",
    }
    info = server.start(project, port=find_free_port(), options=narrow)
    with connect(info.dsn) as conn:
        migrate(conn, read_model("shop"))
        conn.execute(SEEDED)
        conn.execute("SELECT pg_create_physical_replication_slot('standby', true)")
    found = {finding.check: finding.text for finding in look(info.dsn)}
    assert "belongs to no tool" in found.pop("orphan slots")
    assert "which does not exist" in found.pop("slots")
    assert "doctored need 1 replication slots and 0 of 1 are free" in found.pop("free slots")
    assert "raise max_wal_senders" in found.pop("free senders")
    assert "output plugin pgoutput is not allowed" in found.pop("output plugins")
    assert "max_slot_wal_keep_size is 1 MiB" in found.pop("disk")
    assert found == {}

    server.stop(project)
    server.start(project, options={"wal_level": "replica"})
    monkeypatch.chdir(project)
    ports = {"metrics_port": find_free_port(), "watch_port": find_free_port()}
    rates = {"events_per_hour": 36_000_000}
    facts = collect_facts(load_settings(ports | rates), (), (), 10_000)
    wal, slot, disk = run_checks(facts)[0]
    assert (wal.check, "wal_level is 'replica'" in wal.text) == ("source", True)
    assert slot.check == "orphan slots"
    assert (disk.check, "free space, lower the rates" in disk.text) == ("disk", True)


def test_a_lost_slot(project: Path) -> None:
    """Its tool has to begin from scratch."""
    limits = {"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    info = server.start(project, port=find_free_port(), options=limits)
    with connect(info.dsn) as conn:
        migrate(conn, read_model("shop"))
        conn.execute(SEEDED)
        create_grant(conn, Grant("doctored", conn.info.dbname, "doctored_slot", "loadgen"), ignore)
        for _ in range(4):
            conn.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 9000000))")
            conn.execute("SELECT pg_switch_wal()")
        conn.execute("CHECKPOINT")
    (finding,) = look(info.dsn, hours=0.01)
    assert finding.check == "orphan slots"
    assert "slot doctored_slot is lost" in finding.text


def test_the_command(healthy: str, project: Path, run_loadgen: RunLoadgen, free_port: int) -> None:
    """One line if all is well; findings, JSON and exit codes; bad settings."""
    env = {
        "DATABASE_URL": healthy,
        "METRICS_PORT": str(free_port),
        "WATCH_PORT": str(find_free_port()),
    }
    lines = (f"{key} = {json.dumps(value)}" for key, value in DOCTORED.items())
    (project / "tools.toml").write_text("\n".join(["[tools.doctored]", *lines]))
    done = run_loadgen("doctor", "--tool", "doctored", "--hours", "48", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    first, *named = done.stdout.splitlines()
    used = [name for name in CHECKS if name not in {"snowflake", "warehouses", "aws"}]
    assert first == f"all {len(used)} checks passed"
    assert " ".join(map(str.strip, named)) == (
        f"passed: {', '.join(used)} not checked: the source's disk (not the embedded server's) "
        "not used: snowflake, warehouses, aws"
    )
    assert max(map(len, named)) <= 80

    (project / ".env").write_text("ORDER_PER_HOUR=5\n")
    with psycopg.connect(healthy, autocommit=True) as conn:
        conn.execute("ALTER PUBLICATION loadgen DROP TABLE orders")
    done = run_loadgen("doctor", env=env)
    assert done.returncode == 1
    first, second, sums, *named = done.stdout.splitlines()
    assert first == (
        "settings: .env has ORDER_PER_HOUR, which is no setting: write ORDERS_PER_HOUR, or remove "
        "the line"
    )
    assert second.startswith("publications: publication loadgen lacks table orders")
    assert sums == f"2 findings in {len(used)} checks"
    assert "failed: settings, publications" in named
    assert named[0].startswith("passed: source, encoding, slots")
    said = json.loads(run_loadgen("doctor", "--json", env=env).stdout)
    assert (said["ok"], len(said["findings"])) == (False, 2)

    done = run_loadgen("doctor", env=env | {"SEED": "x"})
    assert (done.returncode, "settings: SEED is 'x'" in done.stdout) == (1, True)
    done = run_loadgen("doctor", env=env | {"DATABASE_URL": "postgresql://127.0.0.1:1/none"})
    assert (done.returncode, "source: can't reach Postgres" in done.stdout) == (1, True)
    assert "not checked: the source" in done.stdout
    for wrong in (["--tool", "other"], ["--hours", "0"], ["--hours", "inf"]):
        assert run_loadgen("doctor", *wrong, env=env).returncode == 2
