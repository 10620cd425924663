"""At a worker's loss, only sessions that can be its own are ended and waited for."""

import psycopg

from loadgen.load import recovery
from loadgen.load.lookup import server_time
from loadgen.load.worker_state import WorkerState
from loadgen.load.worker_table import WorkerTable
from loadgen.source.postgres import Session, connect
from loadgen.workload.schedule.shards import WHOLE
from tests.conftest import Cluster
from tests.plans import SHOP
from tests.polling import wait_for


def lost(*sessions: Session) -> WorkerState:
    """Return a worker that named these as its backends."""
    return WorkerState([(0.0, WHOLE)], 0.0, backends=[session.server_pid for session in sessions])


def lives(session: Session) -> bool:
    """Tell whether a session still answers."""
    try:
        session.execute("SELECT")
    except psycopg.OperationalError:
        return False
    return True


def test_only_sessions_that_can_be_its_own_are_ended(cluster: Cluster, database: str) -> None:
    """Of the load's role and name, in this database, begun with the run, and not the load's lock.

    Others in this database are waited for all the same: they may be a worker's of another role.
    """
    before = connect(database)
    with connect(database) as master:
        since = server_time(master)
        own, lock = connect(database), connect(database)
        lock.execute("SELECT pg_try_advisory_lock(hashtext('loadgen load'))")
        watch = connect(database, application_name="loadgen watch")
        elsewhere = connect(cluster.info.dsn)
        others = (before, lock, watch, elsewhere)
        claimed = lost(own, *others, master)
        assert recovery._has_backends(master, claimed, since)
        wait_for(lambda: not lives(own), "the worker's own session to end")
        assert all(map(lives, others))
        assert not recovery._has_backends(master, lost(elsewhere), since)
        wait_for(lambda: not recovery._has_backends(master, lost(own), since), "it to be gone")
        for session in (own, *others):
            session.close()


def test_where_the_run_s_begin_is_unknown_nothing_is_ended(database: str) -> None:
    """As for the processes of a run before it was resumed, whose sessions have been seen to end."""
    with connect(database) as master, connect(database) as session:
        assert recovery._has_backends(master, lost(session), None)
        assert lives(session)
        assert not recovery._has_backends(master, lost(), None)


def test_rows_of_a_lost_worker_still_count() -> None:
    """The sum is over all workers that have, or had, a shard."""
    worker_table = WorkerTable(SHOP)
    for name, extra_rows in (("alive", {("pay", 0): 2, ("pay", 1): -1}), ("lost", {("pay", 0): 3})):
        worker_table.enlist(name, WHOLE, 0.0)
        worker_table.workers[name].extra_rows = extra_rows
    worker_table.workers["lost"].lost = True
    assert worker_table.extra_rows() == {("pay", 0): 5, ("pay", 1): -1}


def test_a_backend_of_another_worker_is_not_its_own() -> None:
    """Of workers that live; those that are lost have none to be spared."""
    worker_table = WorkerTable(SHOP)
    for name in ("lost", "alive", "lost before"):
        worker_table.enlist(name, WHOLE, 0.0)
    worker_table.workers["lost"].backends = [1, 2, 3]
    worker_table.workers["alive"].backends = [2, 4]
    worker_table.workers["lost before"].backends = [3]
    worker_table.workers["lost before"].lost = True
    assert worker_table.backends_of(worker_table.workers["lost"]) == [1, 3]
