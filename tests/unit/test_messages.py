"""Messages between master and workers: they arrive unchanged, and a malformed one is one error."""

from dataclasses import replace
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it has no types
import pytest

from loadgen.load.generator_health import GeneratorHealth
from loadgen.load.messages import (
    Applied,
    Begin,
    ChangeRates,
    Close,
    Doubt,
    End,
    KeepShard,
    MasterMessage,
    MessageError,
    NewRates,
    NotReady,
    Pause,
    ProcessEvent,
    ProgressReport,
    Ready,
    Resume,
    Split,
    Start,
    UnfinishedWrite,
    WorkerMessage,
    WorkerReport,
    decode_from_master,
    decode_from_worker,
    encode,
)
from loadgen.workload.histogram import Histogram
from loadgen.workload.ledger import Counts
from loadgen.workload.model import ProfileLevels
from loadgen.workload.plain_model import dump_model
from loadgen.workload.schedule.plan import Mix
from loadgen.workload.schedule.shards import Shard
from tests.plans import OPERATIONS, SHOP, run_plan

OF_RUN = "20261123T080000Z-0001/ab"
RATES = Mix(dict.fromkeys(OPERATIONS, 10.0))
CHANGE = NewRates(7.5, RATES, "burst")
PLAN = replace(
    run_plan(RATES, run_id="run-1", kind="poisson", resumption="ab"),
    own_profile=ProfileLevels(3600.0, (1.5, 0.5)),
)
MODEL = dump_model(SHOP)
FROM_MASTER: list[MasterMessage] = [
    Begin(PLAN, MODEL, Shard(1, 2), [CHANGE], 1, 9.5, 1e9, 3.0, {"insert_order": (5, 2**60)}, None),
    Start(1e9),
    ChangeRates(CHANGE, 2),
    Pause(8.0, 3),
    Resume(1e9, 4),
    Split(9.0, Shard(0, 3)),
    KeepShard(2),
    End(60.0),
    Close(),
]
FROM_WORKER: list[WorkerMessage] = [
    Ready(4711, 2),
    NotReady("the source does not answer"),
    Applied(3),
    ProcessEvent("fault", {"what": "source_back", "seconds": 1.5, "why": None}),
    Doubt(1),
]


def histogram() -> Histogram:
    """Return a histogram of two latencies."""
    latencies = Histogram()
    latencies.add([0.001, 0.5])
    return latencies


def report() -> WorkerReport:
    """Return a worker's report."""
    return WorkerReport(
        ProgressReport(
            s=5.0,
            counts=dict.fromkeys(OPERATIONS, Counts(5, 3, 1, 1, 0, 0)),
            failures={("insert_order", "40P01"): 1},
            extra_rows={("insert_order", 2): -1},
            places=dict.fromkeys(OPERATIONS, (7, 123)),
            left={"insert_event": [3]},
            unfinished=[UnfinishedWrite("update_order_status", 2, "a-key", 4)],
            backends=[17, 18],
            reconnects=1,
        ),
        {name: (histogram(), Histogram()) for name in OPERATIONS},
        [GeneratorHealth(1, 2, 0.001, 0.002, 0.5, 0.6, 0, overdue=False)],
    )


def sent(message: MasterMessage | WorkerMessage) -> dict[str, Any]:
    """Return a message as it arrives."""
    plain: dict[str, Any] = msgpack.loads(msgpack.dumps(encode(OF_RUN, message)))
    return plain


@pytest.mark.parametrize("message", FROM_MASTER, ids=lambda message: type(message).__name__)
def test_what_the_master_sends_arrives_unchanged(message: MasterMessage) -> None:
    """Numbers, tuples and plans have their types again."""
    assert decode_from_master(sent(message)) == (OF_RUN, message)


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda message: type(message).__name__)
def test_what_a_worker_sends_arrives_unchanged(message: WorkerMessage) -> None:
    """As the master's."""
    assert decode_from_worker(sent(message), OPERATIONS) == (OF_RUN, message)


def test_a_report_arrives_unchanged() -> None:
    """With its histograms, which compare by their plain values."""
    claim, message = decode_from_worker(sent(report()), OPERATIONS)
    assert isinstance(message, WorkerReport)
    assert (claim, message.process, message.health) == (OF_RUN, report().process, report().health)
    service, intended = message.latencies["insert_order"]
    assert (service.dump(), intended.dump()) == (histogram().dump(), Histogram().dump())


def changed(**fields: object) -> dict[str, Any]:
    """Return a worker's report with other fields in its process."""
    plain = sent(report())
    plain["fields"]["process"] |= fields
    return plain


@pytest.mark.parametrize(
    "plain",
    [
        None,
        5,
        [],
        {},
        {"run_token": OF_RUN, "type": "WorkerReport"},
        {"run_token": OF_RUN, "type": "WorkerReport", "fields": {}},
        {"run_token": OF_RUN, "type": "Nonsense\n" * 100, "fields": {}},
        {"run_token": 5, "type": "Ready", "fields": {"pid": 1, "version": 1}},
        {"run_token": OF_RUN, "type": "Ready", "fields": {"pid": "x", "version": 1}},
        {"run_token": OF_RUN, "type": "Ready", "fields": {"pid": 1}},
        {"run_token": OF_RUN, "type": "Start", "fields": {"zero": 0.0}},
        {
            "run_token": OF_RUN,
            "type": "ProcessEvent",
            "fields": {"kind": "x", "details": {"a": [1]}},
        },
        changed(s=float("nan")),
        changed(counts={}),
        changed(counts={name: {} for name in [*OPERATIONS, "select"]}),
        changed(failures=[["insert_order", 5]]),
        changed(failures=5),
        changed(failures=[[["a"], "b", 1]]),
        changed(extra_rows=[["insert_order", "first", 1]]),
        changed(extra_rows=[["select", 0, 1]]),
        changed(unfinished=[["select", 1, "key", 0]]),
        changed(places={"insert_order": [1]}),
        changed(counts=dict.fromkeys([*OPERATIONS][1:], Counts())),
        changed(left={"insert_invoice": [1]}),
        changed(left=[["insert_event", 3]]),
        {**sent(report()), "fields": sent(report())["fields"] | {"latencies": {"insert_order": 5}}},
        {
            **sent(report()),
            "fields": sent(report())["fields"]
            | {"latencies": {"insert_order": [[[[10**9, 1]], 1.0, 1.0]] * 2}},
        },
    ],
)
def test_a_malformed_message_is_an_error_of_one_line(plain: object) -> None:
    """Whatever is wrong with it; also one that only the other side may send."""
    with pytest.raises(MessageError) as raised:
        decode_from_worker(plain, OPERATIONS)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300
