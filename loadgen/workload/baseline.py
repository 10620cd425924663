"""The rows of a baseline as COPY data, from any row on.

A row is a pure function of the model, the seed and its number, so a baseline is the same whichever
rows are copied together, and after any interruption.
"""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from loadgen.errors import SettingsError
from loadgen.workload.encoders import (
    Pieces,
    binary_field,
    has_binary_format,
    rows_from,
    text_field,
)
from loadgen.workload.model import Table
from loadgen.workload.streams import Int64Array
from loadgen.workload.typed import Texts, filled
from loadgen.workload.values import ValueMakers

# The beginning and the end of a binary COPY.
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
# As many rows at once are made fastest, if they are not wide.
BLOCK_ROWS: Final = 4096
_TRIED_ROWS: Final = 10


class BaselineTable:
    """Makes the rows of one table; `types` are those of its columns, as format_type() writes them.

    `columns` are those to COPY. `format` is binary if each of their types has a binary format.
    """

    def __init__(self, makers: ValueMakers, table: Table, types: Mapping[str, str]) -> None:
        self._table, self._types = table, types
        self.columns = makers.filled_columns(table.name)
        if missing := [column for column in self.columns if column not in types]:
            raise SettingsError(
                f"tables.{table.name}: the table has no column {missing[0]}: it has "
                f"{', '.join(types)}"
            )
        self._makers = {column: makers.column(table.name, column) for column in self.columns}
        self.format: Literal["binary", "text"] = "binary" if self._is_binary(makers) else "text"

    def rows(self, first: int, n: int) -> bytes:
        """Return the COPY data of rows `first` to `first` + `n` - 1, without header and trailer.

        Raises SettingsError if a value does not fit its column.
        """
        indexes = np.arange(first, first + n)
        if self.format == "binary":
            start: list[Texts] = [filled(n, len(self.columns).to_bytes(2, "big"))]
            fields = [self._binary_field(column, indexes) for column in self.columns]
            return rows_from([*start, *(piece for field in fields for piece in field)])
        pieces: list[Texts] = []
        for i, maker in enumerate(self._makers.values()):
            if i:
                pieces.append(filled(n, b"\t"))
            pieces += text_field(maker.typed(indexes))
        return rows_from([*pieces, filled(n, b"\n")])

    def _binary_field(self, column: str, indexes: Int64Array) -> Pieces:
        try:
            return binary_field(self._makers[column].typed(indexes), self._types[column])
        except ValueError as exc:
            raise SettingsError(
                f"tables.{self._table.name}: column {column} of type {self._types[column]} can't "
                f"hold what its generator makes: {exc}"
            ) from exc

    def _is_binary(self, makers: ValueMakers) -> bool:
        if not all(has_binary_format(self._types[column]) for column in self.columns):
            return False
        tried = np.arange(min(_TRIED_ROWS, makers.rows(self._table.name)))
        try:
            for column in self.columns:
                self._binary_field(column, tried)
        except SettingsError:
            return False  # Postgres tells what is wrong with the text
        return True
