"""The shapes of verify.json and of what a killed run goes on with, checked before they are used."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

_YEAR: Final = 366 * 86_400  # seconds
_MOST_USERS: Final = 1_000_000
_LAST_SECOND: Final = 7_000_000_000  # in the year 2191

_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, le=10 * _YEAR, allow_inf_nan=False)]
_Lists = Strict(strict=False)  # JSON has lists where Python has tuples


class _Shape(BaseModel):
    """What is used of an object; it may hold more."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Plan(_Shape):
    run_id: str
    seed: _Count
    arrivals: str
    profile: str
    mix: dict[str, Annotated[float, Field(ge=0)]]
    duration: _Seconds
    lateness_limit: _Seconds
    event_bytes: _Count
    hot_users: _Count | None
    pipeline_depth: _Count = 1
    users: _Count = 0
    lowest_deleted_rank: int = 0


class _Killed(_Shape):
    """What of a killed run's run.json it goes on with."""

    plan: _Plan
    users: Annotated[int, Field(ge=1, le=_MOST_USERS)]
    rows_before: dict[str, dict[str, int | None]]
    journal: list[dict[str, Any]]


class _Vector(_Shape):
    s: float
    counts: dict[str, Annotated[list[_Count], Field(min_length=6, max_length=6)]]
    failures: list[Annotated[tuple[str, str, _Count], _Lists]]
    next: dict[str, Annotated[tuple[_Count, _Count], _Lists]]
    unfinished: list[Annotated[tuple[str, _Count, str, int], _Lists]]
    left: list[Annotated[tuple[str, _Count], _Lists]]
    backends: list[int]
    reconnects: _Count


_Share = Annotated[tuple[float, Annotated[tuple[_Count, _Count], _Lists]], _Lists]


class _Process(_Shape):
    shares: Annotated[list[_Share], Field(min_length=1)]
    lost: bool
    looked_up: bool
    after: dict[str, list[int]]
    vector: _Vector


_Histogram = Annotated[
    tuple[list[Annotated[tuple[int, _Count], _Lists]], _Seconds, _Seconds], _Lists
]


class _Position(_Shape):
    at: Annotated[float, Field(ge=0, le=_LAST_SECOND)]
    s: _Seconds
    elapsed: _Seconds
    workers: bool
    resumed: _Count
    unbalanced: _Count
    processes: list[_Process]
    latencies: dict[str, Annotated[tuple[_Histogram, _Histogram], _Lists]]


def require_resumable(run: object, position: object) -> None:
    """Raise ValueError, with the place, where run.json or position.json is none of a load's."""
    _require(_Killed, run)
    _require(_Position, position)


def _require(shape: type[_Shape], raw: object) -> None:
    try:
        shape.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}") from exc
