"""Faults in a server that stays up under load: cut connections, locks, deadlocks, refusals."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from loadgen.source.postgres import connect
from tests.acceptance.conftest import (
    Locust,
    counted,
    journaled,
    newest,
    rates,
    stopped,
    wait_for,
    wait_for_offers,
)
from tests.acceptance.faulted import (
    USERS,
    WITH_USERS,
    check_faulted,
    cut,
    failed_by,
    faults,
    outages,
    per_hour,
    total,
    wait_for_commits,
    wait_for_waiting,
    wait_until_it_writes,
)


def test_one_connection_cut_costs_its_write_and_nothing_else(
    seeded: str, locust: Locust, project: Path
) -> None:
    """The user reconnects at once and looks up its lost write; the other users are not affected."""
    before = counted(seeded)
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    cuts = 0
    for _ in range(4):
        cuts += cut(seeded, 1)
        wait_for_commits(project)
    wait_for(
        lambda: sum(fault["connections"] for fault in journaled(project, "fault")) == cuts,
        "the cuts in the journal",
    )
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(10))
    assert outages(run) == []
    assert sum(fault["connections"] for fault in faults(run)) == cuts == 4
    assert total(run, "failed") <= cuts
    assert failed_by(run) <= {"57P01", "08006"}


@pytest.mark.parametrize(("depth", "loop"), [(1, "gevent"), (10, "gevent"), (10, "compiled")])
def test_all_connections_cut_again_and_again(
    seeded: str, locust: Locust, project: Path, depth: int, loop: str
) -> None:
    """Users reconnect and look up writes without an answer; the journal has each outage.

    Users that are cut while they prepare their statements try again like the others.
    """
    before = counted(seeded)
    env = {"PIPELINE_DEPTH": str(depth), "LOAD_LOOP": loop}
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(20), env=env)
    wait_for_offers(project, process)
    for _ in range(3):
        cut(seeded)
        time.sleep(0.3)
    with (
        connect(seeded, application_name="test") as admin,
        connect(seeded, autocommit=False, application_name="test") as other,
    ):
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        cut(seeded)
        wait_for_waiting(admin, "relation = 'orders'::regclass")  # users that prepare statements
        cut(seeded)
    wait_until_it_writes(project, time.time())
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(20), users=USERS * depth)
    assert run["settings"]["pipeline_depth"] == depth
    assert outages(run)
    assert failed_by(run) <= {"57P01", "08006"}


def test_idle_users_notice_that_they_were_cut(seeded: str, locust: Locust, project: Path) -> None:
    """With one write every three seconds, users notice the cut before they write again.

    Otherwise a restart would cost a load with low rates one write a user, minutes later.
    """
    before = counted(seeded)
    few = ("--orders-per-hour", "1200")
    env = {"ARRIVALS": "even", "LATENESS_LIMIT_SECONDS": "60"}
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(0), *few, env=env)
    wait_for_offers(project, process, committed=1)  # the next one is three seconds away
    assert cut(seeded) == USERS
    wait_for(lambda: newest(project)["insert_order"].committed > 1, "the next write")
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(0) | {"insert_order": 1200})
    orders = run["totals"]["insert_order"]
    assert orders["committed"] == orders["offered"] > 1
    assert len(outages(run)) == 1
    assert sum(fault.get("connections", 0) for fault in faults(run)) == USERS


def test_a_lock_held_for_seconds_makes_writes_late_and_none_fail(
    seeded: str, locust: Locust, project: Path
) -> None:
    """All users wait for the lock: late arrivals are skipped, and all sent writes are committed."""
    before = counted(seeded)
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    with connect(seeded, autocommit=False) as other:
        other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        time.sleep(3)
    wait_until_it_writes(project, time.time())
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(10))
    assert faults(run) == []
    assert total(run, "failed") == 0
    assert total(run, "skipped") > 0
    assert run["latency"]["insert_order"]["service"]["max"] > 2


def deadlocked(admin: psycopg.Connection, other: psycopg.Connection) -> bool:
    """Lock two tables in the order opposite to the load's; return whether a write failed for it.

    A session looks for a deadlock once, a second after it began to wait. If all of the load's
    sessions looked before `other` waits too, nobody finds this deadlock, and `other` gives up.
    """
    try:
        other.execute("LOCK TABLE users IN EXCLUSIVE MODE")
        # Postgres inserts an order before it checks the foreign key.
        wait_for_waiting(
            admin,
            "relation = 'users'::regclass AND EXISTS (SELECT FROM pg_locks "
            "WHERE pid = l.pid AND relation = 'orders'::regclass AND granted)",
        )
        other.execute("LOCK TABLE orders IN EXCLUSIVE MODE")
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        other.rollback()
    return True


def test_a_deadlock_is_a_failed_write(seeded: str, locust: Locust, project: Path) -> None:
    """Two tables are locked in opposite order, and the load's writes fail with 40P01."""
    before = counted(seeded)
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    with connect(seeded) as admin, connect(seeded, autocommit=False) as other:
        other.execute("SET deadlock_timeout = '1h'")  # the load's sessions fail, not this one
        other.execute("SET lock_timeout = '5s'")
        other.commit()
        for _ in range(2):
            wait_for(lambda: deadlocked(admin, other), "a deadlock")
    wait_until_it_writes(project, time.time())
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(10))
    assert faults(run) == []
    assert failed_by(run) == {"40P01"}


def test_a_serialization_failure_is_a_failed_write(
    seeded: str, locust: Locust, project: Path
) -> None:
    """In a serializable database, writes to rows that another session changed fail with 40001."""
    before = counted(seeded)
    with connect(seeded) as admin:
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = serializable").format(
                sql.Identifier(admin.info.dbname)
            )
        )
    process = locust(seeded, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    with connect(seeded) as admin, connect(seeded, autocommit=False) as other:
        other.execute("SET default_transaction_isolation = 'read committed'")
        other.execute("SET session_replication_role = replica")  # does not raise the version
        other.commit()
        for _ in range(3):
            other.execute("UPDATE orders SET status = status")
            wait_for_waiting(admin, "locktype = 'transactionid'")
            other.commit()
    wait_until_it_writes(project, time.time())
    stopped(process)
    run = check_faulted(project, seeded, before, per_hour(10))
    assert faults(run) == []
    assert failed_by(run) == {"40001"}
    assert "40001" in run["failures"]["update_order_status"]


@pytest.fixture
def limited(seeded: str) -> Iterator[str]:
    """Yield the DSN of a role without special rights, so that its connections can be limited."""
    with connect(seeded, application_name="test") as admin:
        admin.execute("CREATE ROLE limited LOGIN PASSWORD 'limited'")
        for kind in ("TABLES", "SEQUENCES"):
            admin.execute(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO limited")
        admin.execute("GRANT CREATE ON SCHEMA public TO limited")
        database = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO limited").format(database))
        parts = urlsplit(seeded)
        yield f"postgresql://limited:limited@{parts.hostname}:{parts.port}{parts.path}"
        cut(seeded)
        admin.execute("DROP OWNED BY limited")
        admin.execute("DROP ROLE limited")


def test_too_many_connections_are_tried_again(
    seeded: str, limited: str, locust: Locust, project: Path
) -> None:
    """While the server has no free connection (53300), writes are skipped; the journal says why."""
    before = counted(seeded)
    process = locust(limited, *WITH_USERS, "-t", "10m", *rates(10))
    wait_for_offers(project, process)
    with connect(seeded, application_name="test") as admin:
        admin.execute("ALTER ROLE limited CONNECTION LIMIT 1")  # for the load's lock
        cut(seeded)
        time.sleep(3)
        admin.execute("ALTER ROLE limited CONNECTION LIMIT -1")
    wait_until_it_writes(project, time.time())
    _, err = stopped(process)
    run = check_faulted(project, seeded, before, per_hour(10))
    assert max(outages(run)) > 2.5
    (why,) = {fault["why"] for fault in faults(run) if fault["what"] == "source_back"}
    assert "no connection is free (FATAL:  too many connections for role" in why
    assert "no connection to the source is left" in err
    assert failed_by(run) <= {"57P01", "08006"}
    assert total(run, "skipped") > 0
