"""Workloads at random on a real server: each is refused, or the load keeps its promises."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from loadgen.config.settings import Settings
from loadgen.errors import PlaygroundError
from loadgen.source.check_model import check_model
from loadgen.source.model_schema import existing_tables
from loadgen.source.postgres import connect
from loadgen.source.seed import seed
from loadgen.source.validate import count_rows
from loadgen.workload.model import WorkloadModel
from loadgen.workload.read_model import read_model
from loadgen.workload.row_growth import row_growth, undecided_tables
from loadgen.workload.seed_request import seed_request
from tests.conftest import Cluster, clean_environment
from tests.integration.test_gevent_connection import PATHS, PRELUDE
from tests.random_workloads import workload_texts

# Loads the workload of each line of its input for a moment, and breaks connections meanwhile.
_LOADS = """
import json
import traceback
from dataclasses import replace

import psycopg

from loadgen.config.settings import Settings
from loadgen.load import run_keys
from loadgen.load.executor import Executor
from loadgen.load.lookup import set_run_token
from loadgen.workload.ledger import rows_by_statement
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import WHOLE
from tests.plans import plan_for

def load(dsn, path, folder):
    admin = psycopg.connect(dsn, autocommit=True)
    model = read_model(folder)
    mix = Mix({name: operation.per_hour for name, operation in model.operations.items()})
    plan = replace(plan_for(model), mix=mix, duration=0.8, lateness_limit=0.2)
    plan = replace(plan, load_loop="compiled" if path == "compiled" else "gevent")
    plan = run_keys.with_source(plan, admin, model, Settings(workload=folder))
    set_run_token(admin, plan.run_token)
    executor = Executor.open(dsn, plan, WHOLE, model, print)
    dispatcher = executor.dispatcher
    pids = []
    if path == "compiled":
        from loadgen.load.request_block import joined
        for operation in dispatcher.writes.compiled.values():
            if operation.laid_out is not None:
                arrivals = range(3, 90, 2), [0.1] * 44
                block, made = joined(operation.laid_out(*arrivals)), operation.make(*arrivals)
                assert [*block] == [*made], operation.operation.name

    def work():
        while executor.now() < plan.duration:
            connection = globals()[path](postgres.connect(dsn), dispatcher.writes.statements)
            pids.append(connection.backend_pid)
            dispatcher.sender(connection).work()
            connection.close()

    users = [gevent.spawn(work) for _ in range(3)]
    executor.start(time.time() + 0.2)
    balanced = True
    for s in (0.2, 0.4, 0.6):
        gevent.sleep(max(0.0, s - executor.now()))
        for pid in pids[-2:]:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        balanced = balanced and all(counts.balanced() for counts in executor.counts().values())
        executor.report()
    while executor.now() < plan.duration + 0.1 or dispatcher.lost:
        gevent.sleep(0.05)
        assert executor.now() < 20, f"never looked up: {dispatcher.lost}"
    for sender in [*dispatcher.senders]:
        sender.leave()
    gevent.joinall(users, raise_error=True)
    counts = executor.counts()
    executor.close()
    admin.close()
    extra = executor.ledger.extra_rows
    return {
        "balanced": balanced and all(of.balanced() for of in counts.values()),
        "counts": {name: of.dump() for name, of in counts.items()},
        "failures": [list(key) for key in executor.ledger.failures],
        "rows": {
            name: rows_by_statement(of.committed, name, len(operation.statements), extra)
            for name, operation in model.operations.items()
            for of in [counts[name]]
        },
    }

for line in sys.stdin:
    try:
        outcome = load(*json.loads(line))
    except Exception:
        outcome = {"error": traceback.format_exc()}
    print("", json.dumps(outcome), sep="outcome ", flush=True)
"""


class Loads:
    """A process that loads one workload after the other."""

    def __init__(self, process: "subprocess.Popen[str]", errors: Path) -> None:
        self._process, self._errors = process, errors

    def load(self, dsn: str, path: str, folder: Path) -> dict[str, Any]:
        """Return the load's counters."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([dsn, path, str(folder)]), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("outcome "):
                outcome: dict[str, Any] = json.loads(line.partition(" ")[2])
                return outcome
        pytest.fail(f"the load broke off: {self._errors.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loads]:
    """Yield the process; its end is that of its input."""
    errors = tmp_path_factory.mktemp("loads") / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(_LOADS)],
            env=clean_environment(gevent=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        yield Loads(process, errors)
        assert process.stdin is not None
        process.stdin.close()


@given(text=workload_texts(), path=st.sampled_from(PATHS))
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_a_workload_is_refused_or_keeps_the_law(
    cluster: Cluster, loads: Loads, tmp_path: Path, text: str, path: str
) -> None:
    """Refused in one line, before anything is made; else counters are equal to the rows."""
    (tmp_path / "workload.toml").write_text(text, encoding="utf-8")
    with cluster.database("template1") as dsn, connect(dsn) as admin:
        try:
            model = read_model(str(tmp_path))
            problems = check_model(admin, model)
        except PlaygroundError as exc:
            problems = [str(exc)]
        assert not existing_tables(admin)
        if problems:
            assert all(len(problem.splitlines()) == 1 for problem in problems), problems
            event("refused")
            return
        event("loaded")
        seed(admin, model, seed_request(Settings(workload=str(tmp_path)), model))
        before = count_rows(admin, model)
        outcome = loads.load(dsn, path, tmp_path)
        assert "error" not in outcome, outcome["error"]
        _require_law(model, outcome, before, count_rows(admin, model))


def _require_law(
    model: WorkloadModel, outcome: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert outcome["balanced"], outcome
    assert not {state for _, state in outcome["failures"] if state[:2] in {"22", "42"}}, outcome
    unknown = {name for name, counts in outcome["counts"].items() if counts[4]}
    assert all(model.operations[name].proof.kind == "unproved" for name in unknown), outcome
    undecided = undecided_tables(model, unknown)
    for table, grown in row_growth(model, outcome["rows"]).items():
        if table in undecided:
            continue
        if grown.rows is not None:
            assert after[table].rows - before[table].rows == grown.rows, (table, outcome)
        if grown.version_sum is not None:
            versions = (after[table].version_sum or 0) - (before[table].version_sum or 0)
            assert versions == grown.version_sum, (table, outcome)
