"""Files as others may have written them: a project whose every file can be spoilt, case by case.

A case is a number, and the same number is the same case. `make test` runs a few of each file,
`make soak` thousands.
"""

import json
import random
import shutil
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from loadgen import cli
from loadgen.commands.validate import figures
from loadgen.config.settings import load_settings
from loadgen.errors import PlaygroundError, error_lines
from loadgen.load.messages import ProgressReport, UnfinishedWrite
from loadgen.load.resume import (
    Resumed,
    fill_in_resumed,
    find_resumable,
    ignored_settings,
    latencies_position,
)
from loadgen.load.worker_state import WorkerState
from loadgen.record.folder import RunRecord
from loadgen.record.position import Position
from loadgen.record.rows import (
    DeletedRow,
    ExpectedMarker,
    GeneratorSample,
    SlotSample,
    SumsSample,
)
from loadgen.record.run import Run
from loadgen.record.steady_clock import SteadyClock
from loadgen.record.verify import (
    CaseExample,
    CaseOutcome,
    ClockOffset,
    InitialSync,
    LookedForDeletes,
    TableOutcome,
    Verification,
)
from loadgen.tools.runners.background import running
from loadgen.tools.runners.syncs import initial_sync, read_syncs
from loadgen.tools.tools_file import load_tools
from loadgen.watch.last_results import read_last_results
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts, Ledger
from loadgen.workload.read_model import read_model
from loadgen.workload.schedule.arrivals import Schedule
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import WHOLE
from tests.plans import OPERATIONS, SHOP, run_plan
from tests.records import START, VERIFIED_COPY, Made, marker, update, write_run

RUN: Final = "20261123T080000Z-0001"
CONTROL: Final = "20261123T090000Z-0002"
KILLED: Final = "20261123T100000Z-0003"
_TOOLS: Final = """
[tools.copy]
kind = "fivetran"
destination = "snowflake"
database = "D"
schema = "S"
slot = "a_slot"
interval_seconds = 60
price = { card = "fivetran", plan = "standard" }

[tools.other]
kind = "generic"
destination = "postgres"
url_env = "OTHER_URL"
schema = "S"
[tools.other.convention]
deletes = "hard"
"""
_USAGE: Final = '[copy]\nsource = "its page"\ninserts = 1000\ngigabytes = 1.5\n'
_ENV: Final = "ORDERS_PER_HOUR=36000\nSEED=7\nGRAFANA_URL=http://localhost:3000\n"
FORGED: Final = "x\x1b[2J\x1b[1A\nfivetran: right\r\x9b2K\u202e|<b>\u2028\ud800"
_TEXT_FORGED: Final = "x\x1b[2J\\nfivetran: right\x9b2K\u202e|<b>\u2028"
_DIGITS: Final = 10**399
VALUES: Final[tuple[Any, ...]] = (
    None, [], {}, "", 5, -1, 0, True, 1.5, FORGED, _DIGITS, -_DIGITS, 1e300, 1e-300, 10**18,
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2199-01-01T00:00:00Z",
    [[[[[]]]]], {"a": {"a": {}}}, [5], {"tools": 5}, "javascript:alert(1)", "9" * 400, "1e999999",
    "nan",
)  # fmt: skip
WHOLES: Final[tuple[bytes, ...]] = (
    b"", b"5", b"[]", b"{}", b"null", b'"x"', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000,
    b"\xff\xfe\x00", b'{"schema_version": 1}', b"a = " + b"[" * 50_000, b"\x00" * 100,
    b'{"schema_version": ' + b"9" * 400 + b"}", b'{"schema_version": "' + b"x" * 5000 + b'"}',
    f'"{_TEXT_FORGED}" = 1'.encode(), b"a = 1e400\n", b"a = " + b"9" * 400,
)  # fmt: skip


def make_project(folder: Path) -> None:
    """Write every file that a command reads, as loadgen and people write them."""
    reports = folder / "reports"
    path = write_run(reports, Made(seconds=60, refused_every=9, outage=(20, 25)))
    record = RunRecord.open(path)
    update(
        record,
        spent_before={"wal_bytes": 1, "cpu_seconds": 1.0, "server_started_at": START},
        spent_after={"wal_bytes": 9_000_000, "cpu_seconds": 3.0, "server_started_at": START},
        settings=load_settings().public() | {"orders_per_hour": 36_000.0, "arrivals": "even"},
        together=["copy"],
        hard_cases={"hard_deletes": {"committed": 3}},
        sampled={"seconds_without": 1.5},
    )
    record.journal("rate_change", START, rates_per_hour={"insert_order": {"from": 1.0, "to": 2.0}})
    record.journal("gap", START, settled_seconds=2.0, seconds=3.0)
    record.journal("copy_went_back", START, tool="copy", newest=5, shows=2)
    record.journal("copy_there_again", START, tool="copy", newest=5, shows=5)
    record.journal("clock_stepped", START, seconds=4.0)
    seen = [marker(n, 3.0) for n in range(1, 30)]
    record.append(seen)
    record.append(ExpectedMarker("copy", one.sequence, one.written_at) for one in seen)
    record.append([SlotSample(START, "a_slot", True, "reserved", 1, 2, None, 3)])
    record.append([GeneratorSample(START, 0.001, 0.002, 0.1, 0.1, 0)])
    record.append([DeletedRow(START, "hard_deletes", 5)])
    record.append([SumsSample(START, "copy", "balance", torn=True, difference=5.0)])
    _verified().write(path)
    (path / "usage.toml").write_text(_USAGE)
    write_run(reports, Made(seconds=60), CONTROL)
    _write_killed(write_run(reports, Made(seconds=60, ended=False), KILLED))
    (folder / "tools.toml").write_text(_TOOLS)
    for name in ("thresholds", "decision"):
        shutil.copy(f"{name}.example.toml", folder / f"{name}.toml")
    (folder / "cards").mkdir()
    shutil.copy("loadgen/costs/rate_cards/fivetran.toml", folder / "cards")
    (folder / ".env").write_text(_ENV)
    tool = folder / ".loadgen" / "tools" / "copy"
    tool.mkdir(parents=True)
    times = f'"began_at": "{START.isoformat()}", "ended_at": "{START.isoformat()}"'
    (tool / "syncs.jsonl").write_text(f'{{{times}, "rows": {{"orders": 5}}, "problem": null}}\n')
    (tool / "runner.json").write_text('{"pid": 1, "began": 5.5}')


def _verified() -> Verification:
    at = [START + timedelta(seconds=seconds) for seconds in (0, 10, 60)]
    case = CaseOutcome("wrong", 9, 3, CaseExample("5", "amount", "differs"), "right", late=1)
    more = {
        "tables": dict.fromkeys(("orders", "users"), TableOutcome(500, 400)),
        "late": {"stale": 3},
        "cases": dict.fromkeys(("hard_deletes", "late_commits"), case),
        "deletes": LookedForDeletes(1, (5,)),
        "initial_sync": InitialSync(at[0], at[2], 1000, first_row_at=at[1]),
        "clocks": dict.fromkeys(("source", "destination"), ClockOffset(0.1, 0.05)),
    }
    return Verification(tools={"copy": VERIFIED_COPY.model_copy(update=more)})


def _write_killed(path: Path) -> None:
    rates = dict.fromkeys(OPERATIONS, 3600.0)
    plan = run_plan(Mix(rates), run_id=path.name)
    record = RunRecord.open(path)
    update(record, plan=plan.dump())
    record.journal("rate_change", START, schedule_seconds=1.0, rates_per_hour={})
    record.journal("pause", START, schedule_seconds=21.0, reason="full", by="watch")
    process = Ledger(Schedule(1, "jitter", Mix(rates), end=60.0), 1.0)
    worker = WorkerState([(0.0, WHOLE)], 0.0)
    worker.take_in(
        ProgressReport(
            s=20.0,
            counts=process.counts(20.0),
            failures={("insert_order", "40P01"): 1},
            extra_rows={("insert_order", 0): 2},
            places=process.schedule.checkpoints(),
            left=process.schedule.backlog(),
            unfinished=[UnfinishedWrite("insert_event", 3, "a-key", 0)],
            backends=[4711],
            reconnects=2,
        )
    )
    latencies = {name: (Histogram(), Histogram()) for name in OPERATIONS}
    latencies["insert_order"][0].add([0.002])
    position = Position(
        at=time.time(),
        s=20.0,
        elapsed=20.0,
        workers=False,
        resumed=0,
        unbalanced=0,
        processes=(worker.position(),),
        latencies=latencies_position(latencies),
    )
    record.write_position(position)


# Each file, and the commands that read it.
_ALL: Final = ("report", "compare", "costs")
_TOML: Final = ("costs --expected", "settings", "report")
READ_BY: Final = {
    f"reports/{RUN}/run.json": (*_ALL, "functions", "report --control"),
    f"reports/{RUN}/verify.json": ("report", "compare", "functions"),
    f"reports/{RUN}/costs.json": ("report", "compare", "functions"),
    f"reports/{RUN}/usage.toml": ("costs",),
    f"reports/{RUN}/samples.csv": ("report", "costs"),
    f"reports/{RUN}/freshness.csv": ("report", "compare"),
    f"reports/{RUN}/slots.csv": ("report",),
    f"reports/{RUN}/consistency.csv": ("report",),
    f"reports/{RUN}/generator.csv": ("report",),
    f"reports/{RUN}/markers.csv": ("report", "compare"),
    f"reports/{KILLED}/run.json": ("resume", "compare"),
    f"reports/{KILLED}/position.json": ("resume",),
    "tools.toml": (*_TOML, "tools"),
    "thresholds.toml": ("report",),
    "decision.toml": ("report",),
    "cards/fivetran.toml": ("costs --expected", "costs --infra"),
    ".env": ("settings", "costs --expected", "plan"),
    ".loadgen/tools/copy/syncs.jsonl": ("functions",),
    ".loadgen/tools/copy/runner.json": ("functions",),
}
COMMANDS: Final = {
    "report": ["report", RUN],
    "report --control": ["report", CONTROL, "--control", RUN],
    "compare": ["compare", CONTROL, RUN, KILLED, "--anyway"],
    "costs": ["costs", "--run", RUN],
    "costs --expected": ["costs", "--expected"],
    "costs --infra": ["costs", "--infra"],
    "settings": ["settings"],
    "plan": ["plan", "--count", "2"],
}


def perform(command: str, folder: Path) -> tuple[int, str]:
    """Run a command in this process, in its folder: its exit code, and errors not yet on stderr.

    Whatever is no error of ours is raised.
    """
    if command in COMMANDS:
        return cli.main(COMMANDS[command]), ""
    said = [_refusal(read) for read in _functions(folder, command)]
    text = "".join(f"loadgen: error: {one}\n" for one in said if one)
    return (2 if text else 0), text


def _functions(folder: Path, command: str) -> list[Callable[[], object]]:
    """Return what reads files only beside a database or a load."""
    path, tool = folder / "reports" / RUN, folder / ".loadgen" / "tools" / "copy"
    reads: dict[str, list[Callable[[], object]]] = {
        "resume": [lambda: _use(find_resumable(folder / "reports", KILLED, SHOP))],
        "tools": [lambda: load_tools(load_settings())],
        "functions": [
            lambda: figures(Run.of(path), read_model("shop")),
            lambda: read_last_results(path),
            lambda: initial_sync(read_syncs(tool)),
            lambda: running(tool),
        ],
    }
    return reads[command]


def _use(resumed: Resumed) -> None:
    """Use all that a resumed load uses."""
    resumed.gap(datetime.now(UTC))
    options = Namespace(run_time=60, load_profile="steady")
    fill_in_resumed(options, OPERATIONS, resumed)
    ignored_settings(options, SHOP, resumed, load_settings())
    latest = SteadyClock(not_before=datetime.fromtimestamp(resumed.saved_at, UTC))
    latest.now()
    for worker in resumed.position.processes:
        worker.shard_at(resumed.position.s)
        sum(worker.counts.values(), Counts())
    Schedule(
        resumed.plan.seed, resumed.plan.arrivals, resumed.mix, resumed.profile, end=resumed.left()
    )


def _refusal(read: Callable[[], object]) -> str:
    try:
        read()
    except PlaygroundError as exc:
        return "; ".join(error_lines(exc))
    return ""


def spoil(file: Path, case: int) -> None:
    """Change a file as the case says."""
    draw = random.Random(case)
    if draw.random() < 0.25:
        file.write_bytes(draw.choice(WHOLES))
    elif file.suffix == ".json":
        raw = json.loads(file.read_bytes())
        places = list(_places(raw))
        for _ in range(draw.choice((1, 1, 3))):
            _change(*draw.choice(places), draw)
        file.write_text(json.dumps(raw))
    else:
        lines = file.read_text().splitlines()
        number = draw.randrange(len(lines))
        lines[number] = _spoilt_line(lines[number], draw)
        file.write_bytes("\n".join([*lines, ""]).encode(errors="surrogatepass"))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = range(len(value)) if isinstance(value, list) else list(value)
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _change(inside: Any, key: Any, draw: random.Random) -> None:
    what = draw.random()
    if isinstance(inside, dict) and key not in inside:
        return
    if isinstance(inside, list) and key >= len(inside):
        return
    if what < 0.15:
        del inside[key]
    elif what < 0.3 and isinstance(inside, dict):
        inside[FORGED] = inside.pop(key)
    else:
        inside[key] = draw.choice(VALUES)


def _spoilt_line(line: str, draw: random.Random) -> str:
    texts = [str(one) for one in VALUES if not isinstance(one, dict | list)]
    texts += ["1" * 5000, "1e400", "inf", "-1", "[[[[", "~nobody/x", '"' + _TEXT_FORGED + '"', "''"]
    sign = "," if line.count(",") > 2 else "="
    parts = line.split(sign)
    parts[draw.randrange(len(parts))] = draw.choice(texts)
    return sign.join(parts)
