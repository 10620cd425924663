"""Keys, targets and proofs of any table, on a real Postgres."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest

from loadgen.errors import SourceError
from loadgen.load import run_keys
from loadgen.load.columns import value_makers
from loadgen.load.driver.wire import parsed_executions
from loadgen.load.proofs import Proofs
from loadgen.load.state_machine import StateRow
from loadgen.load.writes import writes_of
from loadgen.source.postgres import connect
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.schedule.plan import Plan, unused_indexes
from loadgen.workload.schedule.shards import WHOLE, Shard
from tests.ledger_model import BANK, KEY_TYPES, SCHEMA
from tests.plans import plan_for


@pytest.fixture
def bank(empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to a database that has the bank's tables and accounts."""
    with connect(empty_database) as connection:
        connection.execute(SCHEMA.encode())
        makers = value_makers(BANK, plan_for(BANK))
        for key in column_of(makers.column("Bank.Accounts", "No"), 100):
            connection.execute('INSERT INTO "Bank"."Accounts" ("No") VALUES (%s)', (key,))
        yield connection


def column_of(maker: Any, n: int) -> list[str]:
    """Return the first values of a column."""
    return [bytes(text).decode() for text in maker.texts(np.arange(n))]


def plan_in(connection: psycopg.Connection[Any]) -> Plan:
    """Return the plan of a run that begins now."""
    plan = plan_for(BANK, key_types=run_keys.key_types(connection, BANK))
    makers = value_makers(BANK, plan)
    return plan_for(
        BANK,
        key_types=plan.key_types,
        first_keys=run_keys.first_keys(connection, BANK, plan.key_types),
        once_used=run_keys.once_used(connection, BANK, plan.key_types, makers),
    )


def test_writes_that_have_no_row_left_are_warned_about(bank: psycopg.Connection[Any]) -> None:
    """The warning comes before the run, and only if there are too few rows."""
    plan = plan_in(bank)
    few = replace(plan, duration=1.0)
    many = replace(plan, duration=1000.0)
    assert not list(run_keys.shortages(few, BANK))
    warnings = list(run_keys.shortages(many, BANK))
    assert all("plans 1,000 writes, but only 20 rows of Bank.Accounts" in w for w in warnings)
    assert warnings


def test_a_run_knows_its_keys(bank: psycopg.Connection[Any]) -> None:
    """Types, also of a domain; the first free numbers; nothing is used up."""
    plan = plan_in(bank)
    assert plan.key_types == KEY_TYPES
    assert plan.first_keys == {"entries.entry_id": 1, "receipts.id": 1}
    assert len(unused_indexes(plan.once_used["Bank.Accounts"], 20)) == 20
    bank.execute("INSERT INTO entries VALUES (41, 'x', NULL, 0)")
    bank.execute("INSERT INTO receipts OVERRIDING SYSTEM VALUE VALUES (-5, 0)")
    assert plan_in(bank).first_keys == {"entries.entry_id": 42, "receipts.id": 1}


def test_a_missing_column_is_named(bank: psycopg.Connection[Any]) -> None:
    """In one line, with the table and the column."""
    bank.execute('ALTER TABLE "Bank"."Accounts" RENAME "No" TO number')
    with pytest.raises(SourceError, match=r"no column Bank\.Accounts\.No, which"):
        run_keys.key_types(bank, BANK)


def targets(plan: Plan, operation: str, n: int) -> list[str]:
    """Return the keys that the first arrivals of an operation aim at."""
    proofs = Proofs(BANK, plan, value_makers(BANK, plan))
    return proofs._columns[operation].keys(range(n))


def test_a_later_run_takes_the_rows_that_are_left(bank: psycopg.Connection[Any]) -> None:
    """In the same order, without those that are gone or that a statement would not find."""
    plan = plan_in(bank)
    closed, dropped = (targets(plan, name, 10) for name in ("close", "drop_account"))
    bank.execute('UPDATE "Bank"."Accounts" SET closed = true WHERE "No" = %s', (closed[3],))
    bank.execute('DELETE FROM "Bank"."Accounts" WHERE "No" = %s', (dropped[4],))
    later = plan_in(bank)
    assert unused_indexes(later.once_used["Bank.Accounts"], 20).tolist() == [
        index for index in range(20) if index not in {2 * 3, 2 * 4 + 1}
    ]
    in_turn = [key for pair in zip(closed, dropped, strict=True) for key in pair]
    left = [key for key in in_turn if key not in {closed[3], dropped[4]}]
    assert targets(later, "close", 10) == left[::2]
    assert targets(later, "drop_account", 10) == left[1::2]


def test_rows_that_never_met_a_condition_are_passed_over(bank: psycopg.Connection[Any]) -> None:
    """All but two of the quiet fifth are closed in the baseline: those two are taken."""
    closed = targets(plan_in(bank), "close", 10)
    open_ones = [closed[2], closed[8]]
    bank.execute(
        'UPDATE "Bank"."Accounts" SET closed = true WHERE NOT "No" = ANY (%s)', (open_ones,)
    )
    later = plan_in(bank)
    assert targets(later, "close", 10) == open_ones[:1]
    assert targets(later, "drop_account", 10) == open_ones[1:]


def test_rows_that_may_move_are_shared(bank: psycopg.Connection[Any]) -> None:
    """Each open row belongs to one shard, also of a table whose key is no number."""
    for n in range(300):
        state = ("new", "open", "waiting", "done")[n % 4]
        bank.execute("INSERT INTO tickets VALUES (%s, %s, %s)", (f"T-{n}", state, n))
    shards = [
        run_keys.state_rows(bank, BANK, KEY_TYPES, Shard(part, 3))["tickets"] for part in range(3)
    ]
    rows = [row for shard in shards for row in shard]
    assert sorted(rows) == sorted(
        StateRow(f"T-{n}".encode(), ("new", "open", "waiting", "done")[n % 4], n)
        for n in range(300)
        if n % 4 < 3
    )
    assert all(50 < len(shard) < 100 for shard in shards)
    assert len(run_keys.state_rows(bank, BANK, KEY_TYPES, WHOLE)["tickets"]) == 225


def test_sequences_continue_behind_the_keys(bank: psycopg.Connection[Any]) -> None:
    """Also an identity's, which never falls; a column without a sequence is left alone."""
    bank.execute("INSERT INTO receipts OVERRIDING SYSTEM VALUE VALUES (70, 0)")
    run_keys.set_sequences(bank, BANK, KEY_TYPES)
    insert = "INSERT INTO receipts (entry_id) VALUES (1) RETURNING id"
    assert bank.execute(insert).fetchone() == (71,)
    bank.execute("SELECT setval('receipts_id_seq', 500)")
    run_keys.set_sequences(bank, BANK, KEY_TYPES)
    assert bank.execute(insert).fetchone() == (501,)


def test_a_lost_write_is_looked_up_by_its_proof(bank: psycopg.Connection[Any]) -> None:
    """Each statement of the model runs here as the load sends it; half of them are lost."""
    plan = plan_in(bank)
    makers, schedule = value_makers(BANK, plan), schedule_of(plan, WHOLE)
    bank.execute("INSERT INTO tickets VALUES ('T-1', 'new', 4), ('T-2', 'open', 7)")
    rows = run_keys.state_rows(bank, BANK, plan.key_types, WHOLE)
    writes = writes_of(BANK, plan, makers, schedule, rows)
    proofs = Proofs(BANK, plan, makers)
    assert proofs.unproved == {"annotate", "erase"}
    for name in ("book", "correct", "check", "close", "drop_account", "open_ticket", "move_ticket"):
        for k in range(2):
            made = writes.compiled[name].make([k], [0.0])[0]
            write = writes.write((0.0, name, k, made))
            assert write is not None
            key, version = writes.key(write), writes.version(write)
            assert not proofs.is_committed(bank, name, key, version)
            if name == "check" and k == 1:
                assert version == 0  # its row was never inserted
            if k == 0:
                perform(bank, write.request, writes.statements)
                assert proofs.is_committed(bank, name, key, version)
        if name != "move_ticket":
            assert proofs.count_committed(bank, name, range(2)) == 1


def perform(
    connection: psycopg.Connection[Any], request: bytes, statements: dict[str, str]
) -> None:
    """Execute the statements of a request."""
    cursor = psycopg.RawCursor(connection)
    for name, texts in parsed_executions(request):
        values = [None if text is None else text.decode() for text in texts]
        assert cursor.execute(statements[name.decode()].encode(), values).rowcount == 1
