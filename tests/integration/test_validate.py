"""`loadgen validate`: its counts, and that each broken invariant is found by its name."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from loadgen.commands import validate as command
from loadgen.errors import RecordError, SettingsError, SourceError
from loadgen.record.folder import RunRecord
from loadgen.record.run import Run, TableRows
from loadgen.source.bulk_indexes import drop_bulk_indexes
from loadgen.source.embedded import server
from loadgen.source.postgres import connect
from loadgen.source.schema import BaselineParameters
from loadgen.source.validate import LastRun, Validation, count_rows, validate
from loadgen.workload.model import Check, Conserved
from loadgen.workload.read_model import read_model

SHOP = read_model("shop")
RUN_CHECK = "counters of the last run = rows"


@pytest.fixture
def source(each_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a source with ten users, two orders and two events."""
    with connect(each_database) as conn:
        fill(conn)
        yield conn


def fill(conn: psycopg.Connection[Any]) -> None:
    """Add rows: half of the orders and events are of the last hour."""
    conn.execute(
        "INSERT INTO users (email, name, plan, country, created_at, updated_at) "
        "SELECT 'e', 'n', 'p', 'c', now() - interval '1 day', now() - interval '1 day' "
        "FROM generate_series(1, 10)"
    )
    for age in ("5 minutes", "5 hours"):
        conn.execute(
            "INSERT INTO orders (order_number, user_id, status, quantity, amount, currency, "
            "created_at, updated_at) VALUES (gen_random_uuid(), 1, 'pending', 1, 9.99, 'EUR', "
            "now() - %(age)s::interval, now() - %(age)s::interval)",
            {"age": age},
        )
        conn.execute(
            "INSERT INTO events (event_id, user_id, event_type, properties, created_at, updated_at)"
            " VALUES (gen_random_uuid(), 1, 'login', '{}', now() - %(age)s::interval, "
            "now() - %(age)s::interval)",
            {"age": age},
        )


def broken(found: Validation) -> dict[str, str]:
    """Return the broken invariants and their details."""
    return {check.name: check.detail for check in found.checks if not check.ok}


@pytest.mark.parametrize("query", ["SELECT id, status FROM orders", "SELECT status FROM orders"])
def test_a_check_that_gives_no_number_is_refused(
    source: psycopg.Connection[Any], query: str
) -> None:
    """In one line that has its SQL."""
    model = replace(SHOP, checks=(Check("odd", "an odd one", query),))
    with pytest.raises(SettingsError, match=f"not one whole number: correct '{query}'"):
        validate(source, model)


def test_counts_and_the_last_hour(source: psycopg.Connection[Any]) -> None:
    """Rows by table; activity by operation, without markers and without older rows."""
    found = validate(source, SHOP)
    assert found.tables == {"users": 10, "orders": 2, "events": 2}
    assert found.soft_deleted == {"users": 0}
    assert found.last_hour == {
        "insert_order": 1,
        "insert_event": 1,
        "update_order_status": 0,
        "soft_delete_user": 0,
    }
    assert found.ok


def test_updates_and_soft_deletes_count_as_activity(source: psycopg.Connection[Any]) -> None:
    """An update of an old order is activity, a soft delete too; old deletions are not."""
    source.execute("UPDATE orders SET status = 'paid' WHERE id = 2")
    source.execute("UPDATE users SET deleted_at = now() WHERE id = 10")
    source.execute("UPDATE users SET deleted_at = now() - interval '2 hours' WHERE id = 9")
    found = validate(source, SHOP)
    assert found.last_hour["update_order_status"] == 1
    assert found.last_hour["soft_delete_user"] == 1
    assert found.soft_deleted == {"users": 2}
    assert found.ok


def test_an_empty_playground_is_in_order(each_database: str) -> None:
    """An empty playground breaks no invariant."""
    with connect(each_database) as conn:
        found = validate(conn, SHOP)
    assert found.ok
    assert found.tables == {"users": 0, "orders": 0, "events": 0}


@pytest.mark.parametrize(
    ("damage", "name", "detail"),
    [
        ("DELETE FROM users WHERE id = 1", "every order has its user", "2 orders"),
        ("UPDATE events SET user_id = 99 WHERE id < 3", "every event's user exists", "2 events"),
        (
            "UPDATE users SET created_at = now() + interval '1 hour' WHERE id < 4",
            "updated_at >= created_at",
            "3 rows",
        ),
        (
            "UPDATE users SET deleted_at = created_at - interval '1 s' WHERE id = 4",
            "updated_at >= created_at",
            "1 rows",
        ),
        (
            "UPDATE orders SET created_at = now() + interval '1 hour'",
            "updated_at >= created_at",
            "2 rows",
        ),
        (
            "UPDATE events SET created_at = now() + interval '1 hour'",
            "updated_at >= created_at",
            "2 rows",
        ),
        ("UPDATE orders SET status = 'lost'", "status within the life cycle", "2 orders"),
        (
            "UPDATE users SET deleted_at = now() WHERE id > 7",
            "at most 20% of users soft deleted",
            "1 users",
        ),
        (
            "UPDATE orders SET order_number = (SELECT order_number FROM orders WHERE id = 1)",
            "order_number is unique",
            "1 repeated",
        ),
        (
            "UPDATE events SET event_id = (SELECT event_id FROM events WHERE id = 1)",
            "event_id is unique",
            "1 repeated",
        ),
    ],
)
def test_each_broken_invariant_is_found(
    source: psycopg.Connection[Any], damage: str, name: str, detail: str
) -> None:
    """The check that covers the damage fails, and says how many rows it concerns."""
    drop_bulk_indexes(source)
    source.execute(damage.encode())
    found = broken(validate(source, SHOP))
    assert found[name].startswith(detail)
    assert not validate(source, SHOP).ok


def test_a_fifth_of_the_users_may_be_soft_deleted(source: psycopg.Connection[Any]) -> None:
    """Exactly 20% is still within the limit."""
    source.execute("UPDATE users SET deleted_at = now() WHERE id > 8")
    assert validate(source, SHOP).ok


def test_an_interrupted_baseline_is_found(source: psycopg.Connection[Any]) -> None:
    """Rows that are missing break no invariant among themselves: the seed's own note tells."""
    note_baseline(source, complete=True)
    assert validate(source, SHOP).ok
    note_baseline(source, complete=False)
    found = broken(validate(source, SHOP))
    assert found == {"the baseline is complete": "complete it with `loadgen seed`"}


def test_lost_baseline_rows_are_found(source: psycopg.Connection[Any]) -> None:
    """Rows deleted by hand since the seeding are counted."""
    note_baseline(source, complete=True)
    source.execute("DELETE FROM events WHERE id = 2")
    found = broken(validate(source, SHOP))
    assert found == {"the baseline is complete": "1 rows of events are gone"}


def note_baseline(source: psycopg.Connection[Any], *, complete: bool) -> None:
    """Note the source's rows as its baseline."""
    rows = {"users": 10, "orders": 2, "events": 2}
    parameters = BaselineParameters(1, datetime(2026, 1, 1, tzinfo=UTC), rows, {})
    source.execute(
        "UPDATE loadgen_playground SET progress = jsonb_build_object('complete', %s::bool), "
        "seed = %s",
        (complete, Jsonb(parameters.dump())),
    )


def run_of(**committed: int) -> LastRun:
    """Return the figures of a run that began with ten users."""
    before = {"users": TableRows(rows=10), "orders": TableRows(), "events": TableRows()}
    touched = {name: (n,) for name, n in committed.items()}
    return LastRun("r1", ended=True, statement_rows=touched, rows_before=before)


@pytest.fixture
def after_run(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Return the source as a run r1 left it: one update, one soft delete, two of each insert."""
    source.execute("UPDATE loadgen_playground SET run_id = 'r1'")
    source.execute("UPDATE orders SET status = 'paid' WHERE id = 1")
    source.execute("UPDATE users SET deleted_at = now() WHERE id = 10")
    return source


RIGHT = {"insert_order": 2, "insert_event": 2, "update_order_status": 1, "soft_delete_user": 1}


def test_counters_that_agree_with_rows(after_run: psycopg.Connection[Any]) -> None:
    """Rows for inserts (markers aside), versions for updates, both against what stood before."""
    (check,) = [c for c in validate(after_run, SHOP, run_of(**RIGHT)).checks if c.name == RUN_CHECK]
    assert check.ok
    assert check.detail == "run r1: all 6 counted changes are there"
    now = {
        "users": TableRows(rows=10, version_sum=1),
        "orders": TableRows(rows=2, version_sum=1),
        "events": TableRows(rows=2),
    }
    later = LastRun("r1", ended=True, statement_rows={}, rows_before=now)
    assert validate(after_run, SHOP, later).ok


@pytest.mark.parametrize("operation", SHOP.operations)
def test_a_counter_that_disagrees_is_named(
    after_run: psycopg.Connection[Any], operation: str
) -> None:
    """The detail has table, counter and rows."""
    figures = run_of(**(RIGHT | {operation: 7}))
    found = broken(validate(after_run, SHOP, figures))
    statement = SHOP.operations[operation].statements[0]
    counted = f"7 {'rows' if statement.change == 'insert' else 'updates'} counted"
    detail = f"run r1: {statement.table}: {counted}, {RIGHT[operation]} in the table"
    assert found == {RUN_CHECK: detail}


def test_a_run_elsewhere_or_going_on_is_not_compared(after_run: psycopg.Connection[Any]) -> None:
    """Only an ended run of this very database is compared; otherwise the detail says why not."""
    elsewhere = LastRun("r2", ended=True, statement_rows={"insert_order": (9,)}, rows_before={})
    going_on = LastRun("r1", ended=False, statement_rows={}, rows_before={})
    for run, said in ((elsewhere, "not in this database"), (going_on, "has not ended")):
        found = validate(after_run, SHOP, run)
        assert found.ok
        assert found.checks[-1].ok is None
        assert said in found.checks[-1].detail


def test_conserved_sums_are_those_before_the_run(after_run: psycopg.Connection[Any]) -> None:
    """A lone sum must not have moved, two by the same amount; a run elsewhere tells nothing."""
    lone = Conserved("stock", "the stock", (("orders", "amount"),))
    both = Conserved("books", "the books", (("orders", "amount"), ("orders", "version")))
    model = replace(SHOP, conserved=(lone, both))
    run = LastRun("r1", ended=False, statement_rows={}, rows_before=count_rows(after_run, model))

    def states(run: LastRun) -> dict[str, bool | None]:
        checks = {check.name: check.ok for check in validate(after_run, model, run).checks}
        return {name: checks[name] for name in ("the stock", "the books")}

    assert states(run) == {"the stock": True, "the books": True}
    # A trigger raises the version by one.
    after_run.execute("UPDATE orders SET amount = amount + 1 WHERE id = 1")
    assert states(run) == {"the stock": False, "the books": True}
    after_run.execute("UPDATE orders SET amount = amount + 5 WHERE id = 1")
    assert states(run) == {"the stock": False, "the books": False}
    assert set(states(replace(run, run_id="r2")).values()) == {None}
    after_run.execute("ALTER TABLE orders ALTER amount TYPE numeric")
    after_run.execute("UPDATE orders SET amount = 'NaN' WHERE id = 1")
    with pytest.raises(SettingsError, match=r"of orders \(amount, version\) is NaN"):
        validate(after_run, model, run)


def test_no_playground_is_said(each_empty_database: str) -> None:
    """An empty database has nothing to validate: the command that makes it is named."""
    with connect(each_empty_database) as conn, pytest.raises(SourceError, match="loadgen seed"):
        validate(conn, SHOP)


def test_validation_writes_nothing(source: psycopg.Connection[Any]) -> None:
    """It works where writing is refused: on a standby, or with rights to read only."""
    source.execute("SET default_transaction_read_only = on")
    assert validate(source, SHOP).ok


def run_command(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run `loadgen validate ARGUMENTS…` in `folder`, without the settings of the tester."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    monkeypatch.chdir(folder)
    return command.run(parser.parse_args(["validate", *arguments]))


@pytest.fixture
def at_source(
    source: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, each_database: str
) -> psycopg.Connection[Any]:
    """Let DATABASE_URL name the filled source."""
    monkeypatch.setenv("DATABASE_URL", each_database)
    return source


def test_command_prints_plain_lines_to_a_pipe(
    at_source: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Every number on a separate line, no password, exit code 0; 1 if an invariant is broken."""
    assert run_command(monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert ["orders", "2"] in [line.split() for line in said.splitlines()]
    assert "playground:***@" in said
    assert "BROKEN" not in said
    at_source.execute("UPDATE orders SET status = 'lost'")
    assert run_command(monkeypatch, tmp_path) == 1
    broken = "status within the life cycle BROKEN 2 orders with another status"
    assert broken in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("at_source")
def test_command_prints_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The shape that other programs rely on."""
    assert run_command(monkeypatch, tmp_path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["tables", "soft_deleted", "last_hour", "checks", "ok"]
    assert said["tables"] == {"users": 10, "orders": 2, "events": 2}
    assert list(said["last_hour"]) == list(SHOP.operations)
    assert all(set(check) == {"name", "ok", "detail"} for check in said["checks"])
    assert said["ok"] is True


def test_command_reads_the_newest_run(
    at_source: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The rows are compared with the record's totals and rows_before."""
    at_source.execute("UPDATE loadgen_playground SET run_id = 'r1'")
    nothing = {"offered": 0, "committed": 0, "failed": 0, "skipped": 0, "unknown": 0}
    run = Run.model_validate(
        {
            "seed": 1,
            "profile": "steady",
            "started_at": datetime(2026, 1, 1, tzinfo=UTC),
            "ended_at": datetime(2026, 1, 2, tzinfo=UTC),
            "totals": dict.fromkeys(SHOP.operations, nothing)
            | {"insert_order": nothing | {"offered": 1, "committed": 1}},
            "rows_before": {
                "users": {"rows": 10, "version_sum": 0},
                "orders": {"rows": 1, "version_sum": 0},
                "events": {"rows": 2},
            },
        }
    )
    RunRecord.create(tmp_path / "reports", "r1").begin(run)
    assert run_command(monkeypatch, tmp_path) == 0
    assert "run r1: all 1 counted changes are there" in capsys.readouterr().out
    (tmp_path / "reports" / "r1" / "run.json").write_text("{")
    with pytest.raises(RecordError, match=r"run\.json"):
        run_command(monkeypatch, tmp_path)


def test_command_without_a_server_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    """Nothing is started only to find that it is empty."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SourceError, match="loadgen db up"):
        run_command(monkeypatch, project)
    assert server.status(project) is None
