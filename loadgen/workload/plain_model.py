"""A workload model as plain values, for workers that don't have its files."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Final

from loadgen.workload import model as types
from loadgen.workload.model import WorkloadModel

_TYPE: Final = "$type"  # the key that names the type of what a mapping was
_TUPLE: Final = "tuple"
_CLASSES: Final = {
    name: value
    for name, value in vars(types).items()
    if isinstance(value, type) and is_dataclass(value)
}


def dump_model(model: WorkloadModel) -> dict[str, object]:
    """Return plain values that `load_model` reads."""
    plain = _dumped(model)
    assert isinstance(plain, dict)  # noqa: S101 - a dataclass becomes one
    return plain


def load_model(plain: object) -> WorkloadModel:
    """Return the model that `dump_model` wrote. Raises ValueError."""
    try:
        model = _loaded(plain)
    except (TypeError, KeyError) as exc:
        raise ValueError(f"no workload model: {exc}") from exc
    if not isinstance(model, WorkloadModel):
        raise ValueError("no workload model")  # noqa: TRY004 - a message's field
    return model


def _dumped(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: _dumped(getattr(value, field.name)) for field in fields(value)}
        return {_TYPE: type(value).__name__, **parts}
    if isinstance(value, tuple):
        return {_TYPE: _TUPLE, "items": [_dumped(element) for element in value]}
    if isinstance(value, list):
        return [_dumped(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _dumped(part) for key, part in value.items()}
    return value


def _loaded(plain: object) -> object:
    if isinstance(plain, list | tuple):  # msgpack may make either
        return [_loaded(element) for element in plain]
    if not isinstance(plain, dict):
        return plain
    parts = {key: _loaded(part) for key, part in plain.items() if key != _TYPE}
    name = plain.get(_TYPE)
    if name is None:
        return parts
    if name == _TUPLE:
        return tuple(parts["items"])  # type: ignore[arg-type] # a TypeError is expected
    return _CLASSES[name](**parts)
