"""Reads a copy in Parquet files through DuckDB, which keeps nothing of it.

The folder has one folder for each table: its first copy in `snapshot`, and files of later changes,
whose columns `__op`, `__pos` (with an LSN) and `__seq` tell what happened to a row and in which
order. The current rows are the newest version of each key, unless that is a delete. Only files that
a manifest names are read, since others may be half-written; without a manifest, all files are.
New files in S3 are first copied into the folder.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadgen.errors import DestinationError, one_line
from loadgen.sql import statements
from loadgen.tools.columns import literal, quoted
from loadgen.tools.readers.duckdb import DuckdbReader, library, limited
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.s3 import S3Prefix
from loadgen.untrusted import parse_json, reading

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FIRST_COPY: Final = "snapshot"
_MANIFEST_END: Final = ".json"
_PUBLISHED: Final = statements("loadgen.tools", "postgres.sql")["published"]
_SQL: Final = statements("loadgen.tools", "parquet.sql")


class ParquetReader(DuckdbReader):
    """The Parquet files of a folder, as views of a schema; keys of tables come from the source."""

    def __init__(self, folder: Path, schema: str, source: str, s3: S3Prefix | None = None) -> None:
        super().__init__(folder)
        self._folder = folder
        self._schema = schema
        self._source = source
        self._s3 = s3

    @contextmanager
    def _opened(self) -> Iterator["DuckDBPyConnection"]:
        """Yield a database with views of the files that are there now. Raises PlaygroundError."""
        if self._s3 is not None:
            self._s3.mirror(self._folder, self._is_read, first=_MANIFEST_END)
        elif not self._folder.is_dir():
            raise DestinationError(f"{self._folder} is not there: start the tool, or correct path")
        duckdb = library()
        connection: DuckDBPyConnection
        with duckdb.connect() as connection:
            try:
                limited(connection)
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._schema)}")
                for statement in self._views():
                    connection.execute(statement)
            except duckdb.Error as exc:
                raise DestinationError(f"{self._folder} can't be read: {one_line(exc)}") from exc
            yield connection

    def _views(self) -> Iterator[str]:
        """Yield the view of each table that has a key and a file."""
        for table, key in self._keys.items():
            folder = self._folder / table
            copied, changed = _files(folder / _FIRST_COPY), _files(folder)
            if key and (copied or changed):
                yield _SQL["changed" if changed else "copied"].format(
                    view=quoted(self._schema, table),
                    files=_list_of(literal(str(file)) for file in [*copied, *changed]),
                    key=", ".join(quoted(column) for column in key),
                )

    def _is_read(self, name: str) -> bool:
        """Return whether a file's name below the folder is one that is read."""
        table, *within, file = name.split("/")
        is_manifest = file.startswith("manifest-") and file.endswith(_MANIFEST_END)
        return (
            table in self._keys
            and within in ([], [_FIRST_COPY])
            and (is_manifest or file.endswith(".parquet"))
        )

    @cached_property
    def _keys(self) -> Mapping[str, list[str]]:
        """The columns of the key of each published table."""
        source = PostgresReader(self._source, is_source=True)
        try:
            return {str(name): list(key) for _, name, key, *_ in source.query(_PUBLISHED)}
        finally:
            source.close()


def _files(folder: Path) -> list[Path]:
    """Return the folder's Parquet files that are complete."""
    manifests = sorted(folder.glob(f"manifest-*{_MANIFEST_END}"))
    if not manifests:
        return sorted(folder.glob("*.parquet"))
    names: dict[str, None] = {}
    for manifest in manifests:
        with reading(manifest, "let the tool copy again", DestinationError):
            content = parse_json(manifest.read_bytes())
            names |= dict.fromkeys(Path(str(part["path"])).name for part in content["parts"])
    return [folder / name for name in names]


def _list_of(texts: Iterable[str]) -> str:
    return f"[{', '.join(texts)}]"
