"""The base of the record's models, and the types of their values.

Only the models decide what a damaged or foreign file means: one line that names the file, the key
and the remedy.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from loadgen.errors import RecordError, printable
from loadgen.record.files import LONE, replace_file
from loadgen.untrusted import bounded, read_json, reading, short

SCHEMA_VERSION: Final = 1
_FIRST_YEAR, _LAST_YEAR = 1970, 2200  # of a run: times can be computed with


def moment(text: object) -> datetime:
    """Return the moment that the text names, in UTC; ValueError if it names none of a run."""
    if isinstance(text, datetime):
        return text
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError as exc:
        raise ValueError(f"{short(text)} is not a time with its zone") from exc
    if at.tzinfo is None:
        raise ValueError(f"the time {text} has no time zone")
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise ValueError(f"the time {text} is none of a run")
    return at.astimezone(UTC)


def iso(at: datetime) -> str:
    """Return the moment as the record writes it: UTC, milliseconds, Z."""
    if at.tzinfo is None:
        raise ValueError(f"a moment in the record needs its time zone: {at}")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decimal(text: object) -> object:
    if not isinstance(text, str | int | float) or isinstance(text, bool):
        return text
    try:
        number = Decimal(str(text))
    except InvalidOperation as exc:
        raise ValueError(f"{short(text)} is not a decimal number") from exc
    if not number.is_finite():
        raise ValueError(f"{short(text)} is not a decimal number")
    return bounded(number)


Count = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Moment = Annotated[datetime, BeforeValidator(moment), PlainSerializer(iso, when_used="json")]
PreciseMoment = Annotated[Moment, PlainSerializer(datetime.isoformat, when_used="json")]
# Decimals are texts in JSON, so that no digit is lost.
Exact = Annotated[
    Decimal,
    BeforeValidator(_decimal),
    PlainSerializer(lambda number: format(number, "f"), when_used="json"),
]


class RecordModel(BaseModel):
    """One object of a file; a key that this version does not know is ignored."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        serialize_by_alias=True,
        strict=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    def plain(self) -> dict[str, Any]:
        """Return the object as JSON has it."""
        return self.model_dump(mode="json")


class SparseModel(RecordModel):
    """An object of which a key that was not set is not written."""

    @model_serializer(mode="wrap")
    def _without_unset(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {
            key: value for key, value in serialized(self).items() if key in self.model_fields_set
        }


_M = TypeVar("_M", bound=RecordModel)


class RecordFile(RecordModel):
    """One JSON file of a run's folder."""

    FILE: ClassVar[str]
    REMEDY: ClassVar[str]  # what to do about a file that can't be read
    OTHER_VERSION: ClassVar = "use the version of loadgen that wrote it"

    schema_version: int = SCHEMA_VERSION

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return what the folder's file holds. Raises RecordError, FileNotFoundError."""
        return read_model(cls, folder / cls.FILE, cls.REMEDY, cls.OTHER_VERSION)

    def write(self, folder: Path) -> Path:
        """Replace the folder's file at once and return its path."""
        path = folder / self.FILE
        text = json.dumps(self.plain(), indent=2, ensure_ascii=False, allow_nan=False)
        replace_file(path, f"{text}\n".encode(errors=LONE))
        return path


def read_model(kind: type[_M], file: Path, remedy: str, other_version: str | None = None) -> _M:
    """Return what a JSON file holds. Raises RecordError, FileNotFoundError.

    With `other_version`, a remedy, the file must have this schema version.
    """
    raw = read_json(file, remedy)
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if other_version and (version != SCHEMA_VERSION or isinstance(version, bool)):
        raise RecordError(
            f"{printable(str(file))}: schema_version is {short(version)}, this loadgen reads "
            f"{SCHEMA_VERSION}: {other_version}"
        )
    with reading(file, remedy):
        return kind.model_validate_json(json.dumps(raw))  # JSON's lists may become tuples
