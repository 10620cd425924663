"""Transactions on a real server: each is accounted for once, with the rows of each statement."""

import json

from loadgen.source.postgres import connect
from tests.integration.test_gevent_connection import each_path, on_server

RUN = """
import json
from dataclasses import replace

import psycopg

from loadgen.load.connection_tracker import ConnectionTracker
from loadgen.load.compiled_dispatcher import CompiledDispatcher
from loadgen.load.hub_dispatcher import HubDispatcher
from loadgen.load.columns import value_makers
from loadgen.load.proofs import Proofs
from loadgen.load.writes import Writes, writes_of
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.ledger import Ledger, rows_by_statement
from tests.plans import OPERATIONS, SHOP
from loadgen.workload.schedule.clock import ScheduleClock
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import WHOLE
from tests.plans import plan_of

statements = {
    "insert_event_1": OPERATIONS["insert_event"].statements[0].sql,
    "order": OPERATIONS["insert_order"].statements[0].sql,
    "rename": "UPDATE users SET name = $2 WHERE id = ANY ($1::bigint[])",
    "nap": "SELECT pg_sleep(30)",
}
key = lambda n: b"00000000000050008000%012d" % n
event = lambda n: (b"insert_event_1", (key(n), b"1", b"login", b"{}"))
order = lambda n: (b"order", (key(n), b"1", b"2", b"3.50", b"EUR"))
rename = lambda ids, name=b"renamed": (b"rename", (ids, name))
requests = [transaction(executions) for executions in (
    [event(0), rename(b"{1}"), order(0)],
    [event(1), event(0), order(1)],
    [rename(b"{}"), rename(b"{9}"), rename(b"{}")],
    [event(3), rename(b"{1,2,3}"), order(3)],
    [event(4), rename(b"{}"), order(4)],
    [event(5), (b"nap", ()), order(5)],
)]
plan = plan_of(3)
rates = dict.fromkeys(OPERATIONS, 0.0) | {"insert_event": 36_000.0}
plan = replace(plan, mix=Mix(rates), duration=len(requests) / 10, lateness_limit=60.0)
schedule = schedule_of(plan, WHOLE)
writes = writes_of(SHOP, plan, value_makers(SHOP, plan), schedule, {})
def make(ks, _):
    return [requests[k] if k < len(requests) else None for k in ks]

schedule.prepare_by({"insert_event": make}, {"insert_event": 256})
Writes.statements = statements
three = OPERATIONS["insert_event"].statements * 3
event = replace(OPERATIONS["insert_event"], statements=three)
made = replace(writes.compiled["insert_event"], operation=event, make=make, laid_out=None)
writes.compiled |= {"insert_event": made}
clock = ScheduleClock(time.monotonic)
tracker = ConnectionTracker(sys.argv[1], "run", print)
ledger = Ledger(schedule, plan.lateness_limit)
kind = CompiledDispatcher if sys.argv[2] == "compiled" else HubDispatcher
dispatcher = kind(tracker, clock, ledger, writes)
connection = new(statements)
sender = dispatcher.sender(connection)
working = gevent.spawn(sender.work)
clock.start(time.monotonic())
dispatcher.rescheduled()

def counts():
    dispatcher.refresh()
    now = clock.now()
    counted = ledger.counts(now, dispatcher.not_due(now))["insert_event"]
    assert counted.balanced()
    return counted

with psycopg.connect(sys.argv[1], autocommit=True) as admin:
    state = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
    while admin.execute(state, (connection.backend_pid,)).fetchone() != ("PgSleep",):
        gevent.sleep(0.01)
    admin.execute("SELECT pg_terminate_backend(%s)", (connection.backend_pid,))
    lost_as = working.get()
    lost = counts()
    while dispatcher.lost:
        dispatcher.settle(admin, Proofs(SHOP, plan, value_makers(SHOP, plan)))
connection.close()
print(json.dumps({
    "lost_as": lost_as,
    "lost": lost.dump(),
    "settled": counts().dump(),
    "failures": {state: n for (_, state), n in ledger.failures.items()},
    "rows": rows_by_statement(counts().committed, "insert_event", 3, ledger.extra_rows),
}))
"""


@each_path
def test_an_arrival_is_one_transaction(database: str, path: str) -> None:
    """Committed, refused, without a row, or lost: all its statements have one outcome."""
    with connect(database) as admin:
        for n in (1, 2, 3):
            user = "INSERT INTO users (email, name, plan, country) VALUES (%s, 'n', 'free', 'DE')"
            admin.execute(user, (f"{n}@example.com",))
    done = on_server(RUN, database, path)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome == {
        "lost_as": "57P01",
        # Offered, committed, failed, skipped, unknown, in flight.
        "lost": [6, 3, 2, 0, 1, 0],
        "settled": [6, 3, 3, 0, 0, 0],
        "failures": {"23505": 1, "02000": 1, "57P01": 1},
        "rows": [3, 4, 3],
    }
    with connect(database) as admin:
        counted = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM orders)"
        assert admin.execute(counted).fetchone() == (3, 3)
        renamed = "SELECT count(*) FROM users WHERE name = 'renamed'"
        assert admin.execute(renamed).fetchone() == (3,)


OVERLOAD = """
import json

from loadgen.load.columns import value_makers
from loadgen.load.compiled_dispatcher import CompiledDispatcher, CompiledSender
from loadgen.load.connection_tracker import ConnectionTracker
from loadgen.load.driver import compiled_loop
from loadgen.load.loop_monitor import LoopMonitor
from loadgen.load.writes import writes_of
from loadgen.workload.ledger import Ledger
from loadgen.workload.schedule.arrivals import schedule_of
from loadgen.workload.schedule.clock import ScheduleClock
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import WHOLE
from tests.plans import OPERATIONS, SHOP, run_plan

rates = dict.fromkeys(OPERATIONS, 0.0) | {"insert_event": 3600 * 500_000.0}
plan = run_plan(Mix(rates), duration=60.0, users=3)
schedule = schedule_of(plan, WHOLE)
writes = writes_of(SHOP, plan, value_makers(SHOP, plan), schedule, {})
clock = ScheduleClock(time.monotonic)
ledger = Ledger(schedule, plan.lateness_limit)
dispatcher = CompiledDispatcher(ConnectionTracker(sys.argv[1], "run", print), clock, ledger, writes)
dispatcher._lent[0] = None  # a connection, as far as it knows
thread, shared = dispatcher._thread, dispatcher._thread.shared
monitor = LoopMonitor(dispatcher)
_, busy = monitor._busy_seconds()
shared.times[compiled_loop.GIVEN_WAY] += 1000
_, less_busy = monitor._busy_seconds()
thread.stop()  # its part is played here
clock.start(time.monotonic() - 30)
dispatcher._hand_over()
handed_over = []
for skipped in (0, 256):  # of those that it had, the last ones
    waiting = thread.waiting()
    handed_over.append(shared.slots["due"][waiting].tolist())
    shared.slots["began"][waiting] = 0.0
    for left, slot in enumerate(waiting[::-1]):
        outcome = compiled_loop.SKIPPED if left < skipped else compiled_loop.ONE_ROW_EACH
        compiled_loop.finish(shared, slot, outcome, 0.0, 30.0)
    shared.words[compiled_loop.TAKEN] += len(waiting)
    dispatcher.refresh()  # as a sample or a drain does
    dispatcher._looked_at = time.monotonic() - 0.2
    dispatcher._catch_up()
handed_over.append(shared.slots["due"][thread.waiting()].tolist())
dispatcher._lent.clear()
dispatcher.ticked_at = time.monotonic()  # after it had stood still
shared.times[compiled_loop.HOLD_AT] = dispatcher.ticked_at - 1
for holding in (True, False):
    dispatcher.hold(holding=holding)
may_begin = bool(shared.times[compiled_loop.HOLD_AT] > time.monotonic())
sender = CompiledSender(dispatcher, None)
sender.wake(ValueError())
sender.wake()
defect = type(sender._defect).__name__
print(json.dumps([handed_over, less_busy - busy, may_begin, defect]))
"""


def test_an_overload_is_skipped_before_it_is_handed_over(database: str) -> None:
    """The compiled loop gets a few, which it can still do in time: as many as it did lately."""
    done = on_server(OVERLOAD, database, "compiled")
    assert done.returncode == 0, done.stderr
    (first, second, third), busier, may_begin, defect = json.loads(done.stdout)
    assert len(first) == 256  # nothing is known yet
    assert len(second) == 2 * 256  # as many as it did, twice
    assert len(third) == 2 * 256  # what it skipped is not what it did
    oldest = 30 - 1.0  # less the limit
    assert min(first) >= oldest + 0.1
    # And their wait for those before them, which is two looks.
    assert min(second + third) >= oldest + 2 * 0.2
    assert busier < -900  # a thread that has given way is not busy meanwhile
    assert may_begin  # and does not hold again by itself
    assert defect == "ValueError"  # a loss at the same time does not hide our own bug
