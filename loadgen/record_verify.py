"""The shape of verify.json, checked before anybody uses what it holds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_Count = Annotated[int, Field(ge=0)]


class _Shape(BaseModel):
    """What is used of an object; it may hold more."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Table(_Shape):
    rows: _Count
    destination_rows: _Count


class _Place(_Shape):
    key: str
    kind: str
    column: str | None


class _Finding(_Place):
    table: str
    source: str | None
    destination: str | None


class _Case(_Shape):
    verdict: str
    checked: _Count
    wrong: _Count
    late: _Count = 0
    example: _Place | None
    expected: str | None


class _InitialSync(_Shape):
    began_at: str
    caught_up_at: str
    first_row_at: str = ""
    rows: _Count


class _Clock(_Shape):
    ahead_seconds: float
    within_seconds: float


class _Deletes(_Shape):
    looked_for: _Count
    never_gone: list[int]


class _Tool(_Shape):
    at: str = ""
    verdict: str
    totals: dict[str, _Count]
    late: dict[str, _Count] = Field(default_factory=dict)
    in_flight: _Count
    tables: dict[str, _Table]
    cases: dict[str, _Case] = Field(default_factory=dict)
    deletes: _Deletes | None = None
    initial_sync: _InitialSync | None = None
    clocks: dict[str, _Clock] = Field(default_factory=dict)
    problems: list[str]
    findings: list[_Finding]


class _Verified(_Shape):
    tools: dict[str, _Tool] = Field(default_factory=dict)


def require_verified(raw: object) -> None:
    """Raise ValueError, with the place, where it is not what `loadgen verify` writes."""
    try:
        _Verified.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}") from exc
