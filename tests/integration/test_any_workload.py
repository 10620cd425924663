"""A workload by hand under load: keys and targets of all kinds, with connections that break."""

import json

from loadgen.source.postgres import connect
from loadgen.source.validate import count_rows
from loadgen.workload.row_growth import row_growth
from tests.integration.test_gevent_connection import each_path, on_server
from tests.ledger_model import BANK, SCHEMA

RUN = """
import json
from dataclasses import replace

import psycopg

from loadgen.load import run_keys
from loadgen.load.columns import value_makers
from loadgen.load.executor import Executor
from loadgen.workload.ledger import rows_by_statement
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import WHOLE
from tests.ledger_model import BANK
from tests.plans import plan_for

admin = psycopg.connect(sys.argv[1], autocommit=True)
types = run_keys.key_types(admin, BANK)
plan = plan_for(BANK, key_types=types, first_keys=run_keys.first_keys(admin, BANK, types))
makers = value_makers(BANK, plan)
mix = Mix(dict.fromkeys(BANK.operations, 180_000.0))
plan = replace(
    plan,
    mix=mix,
    duration=4.0,
    lateness_limit=0.4,
    load_loop="compiled" if sys.argv[2] == "compiled" else "gevent",
    once_used=run_keys.once_used(admin, BANK, types, makers),
)
executor = Executor.open(sys.argv[1], plan, WHOLE, BANK, print)
dispatcher = executor.dispatcher
connections = []

def work():
    while executor.now() < plan.duration:
        connection = new(dispatcher.writes.statements)
        connections.append(connection.backend_pid)
        dispatcher.sender(connection).work()
        connection.close()

users = [gevent.spawn(work) for _ in range(4)]
executor.start(time.time() + 0.5)
balanced = True
for s in (1.0, 1.5, 2.0, 2.5, 3.0, 3.5):
    gevent.sleep(max(0.0, s - executor.now()))
    for pid in connections[-3:]:
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
    balanced = balanced and all(counts.balanced() for counts in executor.counts().values())
    executor.report()
while executor.now() < plan.duration + 0.5 or dispatcher.lost:
    gevent.sleep(0.1)
for sender in [*dispatcher.senders]:
    sender.leave()
gevent.joinall(users, raise_error=True)
counts = executor.counts()
run_keys.set_sequences(admin, BANK, types)
extra = executor.ledger.extra_rows
print(json.dumps({
    "balanced": balanced,
    "counts": {name: of.dump() for name, of in counts.items()},
    "failures": {f"{name} {state}": n for (name, state), n in executor.ledger.failures.items()},
    "rows": {
        name: rows_by_statement(of.committed, name, len(BANK.operations[name].statements), extra)
        for name, of in counts.items()
    },
}))
"""


@each_path
def test_the_law_holds_and_the_tables_have_what_was_counted(empty_database: str, path: str) -> None:
    """A lost write is settled by its proof; a write without one stays unknown, and is counted."""
    with connect(empty_database) as admin:
        admin.execute(SCHEMA.encode())
        admin.execute("CREATE TABLE loadgen_playground AS SELECT 'run'::text AS run_id")
        accounts = 'INSERT INTO "Bank"."Accounts" ("No") SELECT format(\'ACC-%s\', to_char(n, '
        admin.execute(f"{accounts}'FM000000')) FROM generate_series(1, 100) AS n".encode())
        before = count_rows(admin, BANK)
        done = on_server(RUN, empty_database, path)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout.splitlines()[-1])
        assert outcome["balanced"]
        after = count_rows(admin, BANK)
        growth = row_growth(BANK, outcome["rows"])
        unknown = {name: counts[4] for name, counts in outcome["counts"].items()}
        assert {name for name, n in unknown.items() if n} <= {"annotate", "erase"}
        committed = {name: counts[1] for name, counts in outcome["counts"].items()}
        assert min(committed[name] for name in ("book", "correct", "open_ticket")) > 100
        assert min(committed[name] for name in ("annotate", "erase", "move_ticket")) > 0
        # The quiet fifth of 100 accounts, each once.
        assert committed["close"] <= 10
        assert committed["drop_account"] <= 10
        for table, grown in growth.items():
            if table == "entries" and unknown["erase"]:
                continue
            assert after[table].rows - before[table].rows == grown.rows, table
            if grown.version_sum is not None:
                versions = (after[table].version_sum or 0) - (before[table].version_sum or 0)
                assert versions == grown.version_sum, table
        last = admin.execute("SELECT max(id) FROM receipts").fetchone()
        made = admin.execute("INSERT INTO receipts (entry_id) VALUES (0) RETURNING id").fetchone()
        assert last is not None
        assert made == (last[0] + 1,)
