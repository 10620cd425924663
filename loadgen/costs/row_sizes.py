"""How many bytes a change has, from rows as the model makes them.

Vendors count bytes in different ways that none of them documents exactly. So there are three
figures: the values alone; the row as JSON with its names, which the estimates use; and the row in
an Airbyte protocol message with CDC columns and quoted JSON, the widest known form.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from statistics import fmean
from typing import Final, NamedTuple

import numpy as np

from loadgen.costs.row_changes import inserted_columns
from loadgen.costs.usage import Band
from loadgen.workload.documents import json_texts
from loadgen.workload.model import Json, Table, WorkloadModel
from loadgen.workload.read_sql import SchemaTable, schema_tables
from loadgen.workload.typed import Documents, Typed, not_null
from loadgen.workload.values import ValueMakers

_SAMPLES: Final = 256
_NULL: Final = "null"
_DEFAULT: Final = re.compile(r"\b(default|generated|(big|small)?serial)\b", re.IGNORECASE)
_CDC: Final = {
    "_ab_cdc_lsn": 123456789012,
    "_ab_cdc_updated_at": "2026-11-23T08:00:00.000000Z",
    "_ab_cdc_deleted_at": None,
}
# The JSON of a value that a default or an expression makes, by type.
_EXAMPLES: Final = (
    (re.compile("timestamp"), '"2026-11-23T08:00:00.000000Z"'),
    (re.compile("date"), '"2026-11-23"'),
    (re.compile("time"), '"08:00:00.000000"'),
    (re.compile("uuid"), '"01234567-89ab-4cde-8f01-23456789abcd"'),
    (re.compile("bool"), "true"),
    (re.compile("json"), "{}"),
    (re.compile("(big|small)?(int|serial)|numeric|decimal|double|real|float"), "0"),
)


def row_sizes(
    model: WorkloadModel, makers: ValueMakers, tables: Iterable[str]
) -> dict[str, Band[Decimal]]:
    """Return the mean bytes of a row by table. Raises SettingsError if a value can't be made."""
    schema = schema_tables(model.schema_sql) if model.schema_sql else {}
    sizes = {}
    for name in tables:
        table = model.tables[name]
        sizes[name] = _mean_bytes(table, list(_columns(model, table, schema.get(name), makers)))
        makers.forget(name)
    return sizes


def padded_tables(model: WorkloadModel, setting: str) -> list[str]:
    """Return the tables with documents that are padded to a setting's number of bytes."""
    return [
        name
        for name, table in model.tables.items()
        for value in table.columns.values()
        if isinstance(value.generator, Json) and value.generator.pad_setting == setting
    ]


class _Column(NamedTuple):
    """A column's values in some rows, as JSON and as a message has them."""

    name: str
    texts: list[str]
    in_message: list[str]


def _columns(
    model: WorkloadModel, table: Table, made: SchemaTable | None, makers: ValueMakers
) -> Iterator[_Column]:
    rows = makers.rows(table.name)
    indexes = np.linspace(0, rows - 1, _SAMPLES).astype(np.int64)
    inserted = {} if table.columns else inserted_columns(model, table.name)
    known = made.columns if made else {}
    types = {name: column.type for name, column in known.items()} or table.types
    defaults = [name for name, column in known.items() if column.has_default]
    defaults += [name for name, made_type in table.types.items() if _DEFAULT.search(made_type)]
    with_value = {*defaults, *inserted, table.version}
    filled = makers.filled_columns(table.name)
    for column in dict.fromkeys((*types, *filled, *inserted)):
        if column in filled:
            typed = makers.column(table.name, column).typed(indexes)
            yield _made_column(column, typed, types.get(column, ""))
        elif parameter := inserted.get(column):
            typed = makers.parameter(*parameter).typed(indexes)
            yield _made_column(column, typed, types.get(column, ""))
        else:
            text = _example(types.get(column, "")) if column in with_value else _NULL
            if text == "0" and column in table.key:
                text = str(rows)  # an identity grows with its table
            yield _Column(column, [text] * _SAMPLES, [text] * _SAMPLES)


def _made_column(name: str, typed: Typed, column_type: str) -> _Column:
    texts = json_texts(typed)
    if _example(column_type) in ("0", "true"):  # a choice of numbers has texts
        texts = [text.strip('"') for text in texts]
    is_document = isinstance(not_null(typed), Documents)
    return _Column(name, texts, [json.dumps(text) for text in texts] if is_document else texts)


def _example(column_type: str) -> str:
    return next((text for kind, text in _EXAMPLES if kind.match(column_type)), '""')


def _mean_bytes(table: Table, columns: Sequence[_Column]) -> Band[Decimal]:
    names = [json.dumps(column.name) for column in columns]
    values = sum(fmean(map(_value_bytes, column.texts)) for column in columns)
    plain = fmean(map(_bytes, _rows(names, [column.texts for column in columns])))
    data = _rows(names, [column.in_message for column in columns])
    message = fmean(map(_bytes, data)) + _around_data(table)
    return Band(*(Decimal(round(mean)) for mean in (values, plain, message)))


def _rows(names: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """Return sampled rows as JSON."""
    pairs = (
        [f"{name}:{text}" for text in texts] for name, texts in zip(names, columns, strict=True)
    )
    return ["{" + ",".join(row) + "}" for row in zip(*pairs, strict=True)]


def _value_bytes(text: str) -> int:
    if text == _NULL:
        return 0
    return _bytes(text[1:-1] if text.startswith('"') else text)


def _around_data(table: Table) -> int:
    """Return the bytes that an Airbyte message has beside a row's columns."""
    record = {
        "stream": table.relation,
        "namespace": table.schema,
        "data": _CDC,
        "emitted_at": 1795420800,
    }
    message = json.dumps({"type": "RECORD", "record": record}, separators=(",", ":"))
    return _bytes(message) - 1  # the columns of both stand in one object: {} less, a comma more


def _bytes(text: str) -> int:
    return len(text.encode())
