"""The messages between a master and its workers: their types, and the plain values of each.

Locust's msgpack carries plain values. A message travels with the run token and the name of its
type; anything that does not decode into one of these types raises MessageError.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FiniteFloat,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
)

from loadgen.errors import one_line
from loadgen.load.generator_health import GeneratorHealth
from loadgen.record.run import OperationName
from loadgen.workload.histogram import Histogram, upper_edge
from loadgen.workload.ledger import Counts
from loadgen.workload.schedule.arrival_process import Checkpoint
from loadgen.workload.schedule.plan import Mix, Plan
from loadgen.workload.schedule.rate_curve import ProfileName
from loadgen.workload.schedule.shards import Shard

MESSAGE_TYPE: Final = "loadgen"  # by this name Locust hands all of them to `worker`, `worker_swarm`


class MessageError(ValueError):
    """A message has an unknown type, or a field of another kind than its type declares."""


def _known_operation(name: str, info: ValidationInfo) -> str:
    """Return the name; a worker, which knows no operations before its plan, takes any."""
    if info.context is not None and name not in info.context:
        raise ValueError(f"no operation is called {name!r}")
    return name


def _of_all_operations(counts: dict[str, Counts], info: ValidationInfo) -> dict[str, Counts]:
    if info.context is not None and (missing := set(info.context) - counts.keys()):
        raise ValueError(f"counts of {', '.join(sorted(missing))} are missing")
    return counts


def _load_histogram(dumped: list[object]) -> Histogram:
    try:
        histogram = Histogram.load(dumped)
        upper_edge(max(histogram.counts, default=0))  # every other edge is smaller
    except (TypeError, OverflowError) as exc:
        raise ValueError(f"no histogram: {exc}") from exc
    return histogram


def _load_pairs(rows: Iterable[tuple[object, object, int]]) -> dict[tuple[object, object], int]:
    try:
        return {(operation, detail): n for operation, detail, n in rows}
    except TypeError as exc:
        raise ValueError(f"no counts: {exc}") from exc


def _dump_pairs(counts: Mapping[tuple[object, object], int]) -> list[list[object]]:
    return [[*key, n] for key, n in counts.items()]


def _plain_details(details: dict[str, object]) -> dict[str, object]:
    for name, detail in details.items():
        if not isinstance(detail, str | int | float | None):
            raise ValueError(f"{name} is no text or number")  # noqa: TRY004 - pydantic reports it
    return details


_Operation = Annotated[OperationName, AfterValidator(_known_operation)]
_Detail = TypeVar("_Detail", str, int)
# msgpack has no keys of two parts.
_CountsBy = Annotated[
    Mapping[tuple[_Operation, _Detail], int],
    BeforeValidator(_load_pairs),
    PlainSerializer(_dump_pairs),
]
_Latencies = Annotated[Histogram, PlainValidator(_load_histogram), PlainSerializer(Histogram.dump)]


class UnfinishedWrite(NamedTuple):
    """A write that was sent and has no answer yet, with what finds it in the database."""

    operation: _Operation
    k: int
    key: str
    version: int


class NewRates(NamedTuple):
    """The rates and the profile that apply from a schedule time on."""

    at: FiniteFloat
    mix: Mix
    profile: ProfileName


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """One process's counts up to an instant; others can look up its unfinished writes."""

    s: FiniteFloat  # schedule time; -1 before the start
    counts: Annotated[dict[_Operation, Counts], AfterValidator(_of_all_operations)]
    failures: _CountsBy[str]  # by operation and SQLSTATE
    extra_rows: _CountsBy[int]  # by operation and statement's index, as `Ledger` counts them
    places: Mapping[_Operation, Checkpoint]  # of the next arrival
    left: Mapping[_Operation, list[int]]  # k of arrivals before `places` that were not begun
    unfinished: list[UnfinishedWrite]
    backends: list[int]
    reconnects: int


@dataclass(frozen=True, slots=True)
class Begin:
    """To a worker: get ready for a run that is to start, or join one that is under way."""

    plan: Plan
    model: dict[str, object]  # see `plain_model`
    shard: Shard
    changes: list[NewRates]
    version: int  # of the newest of these changes
    joins_at: float | None  # schedule time from which it takes its shard of a run under way
    zero: float  # wall-clock time of schedule time 0, if it joins
    resumes_at: float | None  # schedule time from which a resumed run is performed again
    checkpoints: Mapping[_Operation, Checkpoint]  # of a resumed run: places before that time
    paused_at: float | None


@dataclass(frozen=True, slots=True)
class Start:
    """To a worker: schedule time is 0 at this wall-clock time."""

    zero: float


@dataclass(frozen=True, slots=True)
class ChangeRates:
    """To a worker: apply other rates, or another profile, from a schedule time on."""

    change: NewRates
    version: int


@dataclass(frozen=True, slots=True)
class Pause:
    """To a worker: stop schedule time when it is `at`."""

    at: float
    version: int


@dataclass(frozen=True, slots=True)
class Resume:
    """To a worker: let schedule time run again from this wall-clock time on."""

    at: float
    version: int


@dataclass(frozen=True, slots=True)
class Split:
    """To a worker: take this shard from schedule time `at` on."""

    at: float
    shard: Shard


@dataclass(frozen=True, slots=True)
class KeepShard:
    """To a worker that asked with this number: its shard is still its own."""

    doubt: int


@dataclass(frozen=True, slots=True)
class End:
    """To a worker: let nothing fall due after schedule time `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Close:
    """To a worker: the run is over."""


@dataclass(frozen=True, slots=True)
class Ready:
    """To the master: this process can start its run; it knows the changes up to `version`."""

    pid: int
    version: int


@dataclass(frozen=True, slots=True)
class NotReady:
    """To the master: why this process can't take part in the run."""

    problem: str


@dataclass(frozen=True, slots=True)
class Applied:
    """To the master: the change of this version is applied."""

    version: int


@dataclass(frozen=True, slots=True)
class ProcessEvent:
    """To the master: an entry for the run's journal."""

    kind: str
    details: Annotated[dict[str, object], AfterValidator(_plain_details)]


@dataclass(frozen=True, slots=True)
class Doubt:
    """To the master: a question, by number, whether this worker's shard is still its own."""

    doubt: int


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """To the master: this process's counts, and its measurements since the last report."""

    process: ProgressReport
    latencies: Mapping[_Operation, tuple[_Latencies, _Latencies]]  # service, intended
    health: list[GeneratorHealth]


Change = ChangeRates | Pause | Resume  # acknowledged by Applied
MasterMessage = Begin | Start | ChangeRates | Pause | Resume | Split | KeepShard | End | Close
WorkerMessage = Ready | NotReady | Applied | ProcessEvent | Doubt | WorkerReport
_Message = TypeVar("_Message", MasterMessage, WorkerMessage)

_MASTER_MESSAGES: Final[Mapping[str, TypeAdapter[MasterMessage]]] = {
    kind.__name__: TypeAdapter(kind) for kind in get_args(MasterMessage)
}
_WORKER_MESSAGES: Final[Mapping[str, TypeAdapter[WorkerMessage]]] = {
    kind.__name__: TypeAdapter(kind) for kind in get_args(WorkerMessage)
}
_ALL: Final[Mapping[str, TypeAdapter[Any]]] = {**_MASTER_MESSAGES, **_WORKER_MESSAGES}


def encode(run_token: str, message: MasterMessage | WorkerMessage) -> dict[str, object]:
    """Return a message of the run with that token as plain values."""
    kind = type(message).__name__
    return {"run_token": run_token, "type": kind, "fields": _ALL[kind].dump_python(message)}


def decode_from_master(plain: object) -> tuple[str, MasterMessage]:
    """Return the run token and the message that a worker has received. Raises MessageError."""
    return _decode(plain, _MASTER_MESSAGES)


def decode_from_worker(plain: object, operations: Collection[str]) -> tuple[str, WorkerMessage]:
    """Return the run token and the message that a master has received.

    Raises MessageError, also if it names other operations than these, or does not count them all.
    """
    return _decode(plain, _WORKER_MESSAGES, operations)


def _decode(
    plain: object,
    adapters: Mapping[str, TypeAdapter[_Message]],
    operations: Collection[str] | None = None,
) -> tuple[str, _Message]:
    match plain:
        case {"run_token": str(run_token), "type": str(kind), "fields": dict(fields)} if (
            kind in adapters
        ):
            try:
                return run_token, adapters[kind].validate_python(fields, context=operations)
            except ValueError as exc:
                raise MessageError(f"{kind} is malformed: {one_line(exc, 200)}") from exc
        case {"type": str(kind)}:
            raise MessageError(f"{one_line(kind, 40)!r} is no message of this version")
    raise MessageError("it has no run token, type and fields")
