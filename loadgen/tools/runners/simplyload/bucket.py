"""Micro-batches as Parquet files: in a folder, or in S3 beside a local copy of the current batch.

All columns are texts as Postgres prints them. A file is deleted once its batch is confirmed.
"""

import shutil
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import duckdb
import numpy as np

from loadgen.sql import statements
from loadgen.tools.columns import literal, quoted
from loadgen.tools.s3 import S3Prefix

if TYPE_CHECKING:
    from loadgen.tools.tools_file import Tool

_SQL: Final = statements("loadgen.tools", "simplyload_copy.sql")
_MEMORY: Final = "32MB"  # DuckDB's limit while it writes a file
_FILE_ROWS: Final = 5_000
_FILE_BYTES: Final = 4 << 20

Text = str | None


class Bucket:
    """The files of one tool: below `folder`, and below `prefix` of an S3 bucket if it has one."""

    def __init__(self, folder: Path, s3: S3Prefix | None = None) -> None:
        self.folder = folder
        self.s3 = s3
        self._numbers = count()
        self._writer = duckdb.connect(
            config={"threads": 1, "memory_limit": _MEMORY, "temp_directory": str(folder / "tmp")}
        )

    @classmethod
    def of(cls, tool: "Tool") -> "Bucket":
        """Return the bucket of a tool. Raises DestinationError."""
        return cls(tool.folder.resolve() / "bucket", S3Prefix.of(tool))

    def write(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> Path:
        """Write rows as the table's next file; return its path. Raises DestinationError."""
        name = f"{quote(table, safe='.')}/{next(self._numbers):09}.parquet"
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        # DuckDB reads the variable `batch` by its name.
        batch = {f"c{at}": _texts(column) for at, column in enumerate(zip(*rows, strict=True))}  # noqa: F841
        listed = (f"CAST(c{at} AS VARCHAR) AS {quoted(c)}" for at, c in enumerate(columns))
        write = _SQL["write_parquet"].format(columns=", ".join(listed), file=literal(str(file)))
        self._writer.execute(write)
        if self.s3 is not None:
            self.s3.upload(file, name)
        return file

    def clear(self) -> None:
        """Delete all files. Raises DestinationError."""
        if self.s3 is not None:
            self.s3.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def blocks(rows: Iterator[tuple[Text, ...]]) -> Iterator[list[tuple[Text, ...]]]:
    """Yield rows in blocks, each small enough for memory and a file."""
    while block := list(islice(_limited(rows), _FILE_ROWS)):
        yield block


def _limited(rows: Iterator[tuple[Text, ...]]) -> Iterator[tuple[Text, ...]]:
    """Yield rows until they have the bytes of a file."""
    size = 0
    for row in rows:
        yield row
        size += sum(len(text) for text in row if text is not None)
        if size >= _FILE_BYTES:
            return


def _texts(column: Sequence[Text]) -> "np.ndarray[Any, Any]":
    array = np.empty(len(column), dtype=object)
    array[:] = column
    return array
