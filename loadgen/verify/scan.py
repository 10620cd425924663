"""Queries one side of a table: builds SQL from the table pair, and returns rows and checksums."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.sql import statements
from loadgen.tools.columns import CatalogColumn, Engine, Family, literal, quoted
from loadgen.tools.readers.reader import ResultRow, TableReader
from loadgen.verify.canonical import ColumnPair
from loadgen.verify.mapping import TablePair
from loadgen.verify.ranges import Bounds, Checksum, Range

Key = int | tuple[str | None, ...]  # texts of a key's columns; the hash of a row without one

_SQL: Final = statements("loadgen.verify", "verify.sql")
_KEYS_AT_ONCE: Final = 1000
_WITHOUT_KEY: Final = 10  # rows shown at most
_MOST_ARGUMENTS: Final = 90  # of a function in Postgres, which takes 100

# SQL that differs by engine: integer division of a non-negative difference, and the concatenation
# of the md5s of a range.
_PART: Final = {
    "postgres": "({key} - {low}) / {width}",
    "duckdb": "({key} - {low}) // {width}",
    "snowflake": "FLOOR(({key} - {low}) / {width})",
}
_JOINED: Final = {
    "postgres": "string_agg(digest, '' ORDER BY k)",
    "duckdb": "string_agg(digest, '' ORDER BY k)",
    "snowflake": "LISTAGG(digest, '') WITHIN GROUP (ORDER BY k)",
}
# Families that Postgres' concat() writes like a cast to text. Booleans and char(n) differ.
_CONCAT_AS_TEXT: Final[frozenset[Family]] = frozenset(
    {"integer", "numeric", "float", "uuid", "timestamp", "timestamptz", "date", "json"}
)

_HASHED_BY_ITSELF: Final[frozenset[Family]] = _CONCAT_AS_TEXT - {"json"} | {
    "text",
    "boolean",
    "binary",
}

# The 8-byte id of the transaction that wrote a row, 0 if Postgres has dropped it. `xmin` has the
# lower 4 bytes; a visible row's id is below the snapshot's xmax, so it is the highest such id with
# these bytes. A frozen row keeps its old bytes: it may look 2^32 ids younger, never older.
_NEXT: Final = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_WRITTEN_BY: Final = (
    "CASE WHEN xmin::text::bigint < 3 THEN 0 "
    f"ELSE {_NEXT} - (({_NEXT} - xmin::text::bigint) & 4294967295) END"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A fetched row; `mark` is the transaction that wrote it, None for a copy."""

    key: Key | None
    mark: str | None
    texts: tuple[str | None, ...]
    count: int = 1  # of equal rows
    is_counted: bool = False  # in a table without a key


@dataclass(frozen=True, slots=True)
class SideColumn:
    """A column of one side, with its quoted name and SQL for its canonical text."""

    pair: ColumnPair
    side: CatalogColumn
    name: str
    text: str


def side_columns(reader: TableReader, pair: TablePair, *, of_copy: bool) -> list[SideColumn]:
    """Return the columns of the source's or the copy's side."""
    columns = []
    for column in pair.columns:
        side = column.copy if of_copy else column.source
        name = quoted(side.name)
        text = column.expression(reader.engine, name, of_copy=of_copy)
        columns.append(SideColumn(column, side, name, text))
    return columns


def fragments(
    reader: TableReader, pair: TablePair, columns: Sequence[SideColumn], *, of_copy: bool
) -> dict[str, str]:
    """Return the {names} of verify.sql that do not depend on the kind of key."""
    return {
        "table": pair.copy_name if of_copy else pair.source_name,
        "name": literal(pair.source_name),
        "live": pair.live if of_copy else "TRUE",
        "row": row_text(reader.engine, columns),
        "values": ", ".join(_hashable(column.pair, column.name) for column in columns),
        "texts": ", ".join(column.text for column in columns),
        "written_by": "CAST(NULL AS BIGINT)" if of_copy else _WRITTEN_BY,
        "mark": f"CAST({'NULL' if of_copy else _WRITTEN_BY} AS VARCHAR)",
    }


class SqlSide:
    """The source's or the copy's side of one table."""

    def __init__(self, reader: TableReader, pair: TablePair, *, of_copy: bool) -> None:
        self._reader = reader
        columns = side_columns(reader, pair, of_copy=of_copy)
        key, name = columns[0].side, columns[0].name
        self._key = name if key.family == "integer" else f"CAST({name} AS BIGINT)"
        self._same_types = pair.same_types
        self._bounds = "bounds" if of_copy else "source_bounds"
        self._uses_index = not of_copy and key.family == "integer"  # a cast hides the index
        self._fragments = {**fragments(reader, pair, columns, of_copy=of_copy), "key": self._key}

    def bounds(self) -> Bounds:
        """Return the lowest and highest key, and the number of rows.

        The source's rows are estimated, without a scan of the table.
        """
        ((low, high, rows, without_key),) = self._query(self._bounds)
        return Bounds(_int_or_none(low), _int_or_none(high), int(rows), int(without_key))

    def checksums(self, segment: Range, width: int) -> dict[int, Checksum]:
        """Return the checksum of each range of `width` keys, by its number; not of empty ones."""
        engine = self._reader.engine
        number = self._range_number(segment, width)
        if self._same_types:
            rows = self._query("hashes", segment, number=number)
        elif self._uses_index:
            low, high = segment.low, segment.high
            rows = self._query("checksums_by_index", low=low, high=high, width=width)
        else:
            # Without the fence Postgres would sort whole rows, and compute digests afterwards.
            fence = "OFFSET 0" if engine == "postgres" else ""
            joined = _JOINED[engine]
            rows = self._query("checksums", segment, number=number, joined=joined, fence=fence)
        return {int(n): Checksum(int(count), digest) for n, count, digest in rows}

    def counts(self, part: Range, width: int) -> dict[int, int]:
        """Return the rows of each piece of `width` keys, by its number; not of empty ones."""
        rows = self._query("counts", part, number=self._range_number(part, width))
        return {int(number): int(count) for number, count in rows}

    def digests(self, part: Range) -> dict[int, list[str]]:
        """Return the md5s of the rows of a range by key; a duplicate key has several."""
        digests: dict[int, list[str]] = {}
        for key, digest in self._query("digests", part):
            digests.setdefault(int(key), []).append(digest)
        return digests

    def rows(self, keys: Sequence[int]) -> dict[int, list[Row]]:
        """Return the rows of these keys."""
        rows: dict[int, list[Row]] = {}
        ordered = sorted(keys)
        for start in range(0, len(ordered), _KEYS_AT_ONCE):
            batch = ordered[start : start + _KEYS_AT_ONCE]
            in_list = ", ".join(map(str, batch))
            for row in self._query("rows", Range(batch[0], batch[-1]), keys=in_list):
                key, mark, *texts = row
                rows.setdefault(int(key), []).append(Row(int(key), mark, tuple(texts)))
        return rows

    def rows_without_key(self) -> list[Row]:
        """Return some of the rows without a key."""
        rows = self._query("rows_without_key", limit=_WITHOUT_KEY)
        return [Row(None, mark, tuple(texts)) for _, mark, *texts in rows]

    def _range_number(self, part: Range, width: int) -> str:
        return _PART[self._reader.engine].format(key=self._key, low=part.low, width=width)

    def _query(
        self, name: str, part: Range | None = None, **fragments: object
    ) -> Iterator[ResultRow]:
        between = f"{self._key} BETWEEN {part.low} AND {part.high}" if part else ""
        statement = _SQL[name].format(**self._fragments, between=between, **fragments)
        return self._reader.query(statement)


def _hashable(column: ColumnPair, name: str) -> str:
    """Return SQL for a value whose hash in Postgres tells it from all others.

    A numeric without a scale may hold NaN and infinities, which share one hash; an enum's hash
    differs by database, and that of citext ignores case.
    """
    source = column.source
    by_itself = source.family in _HASHED_BY_ITSELF and source.type != "numeric"
    return name if by_itself and "citext" not in source.type else f"{name}::text"


def _int_or_none(key: int | None) -> int | None:
    return None if key is None else int(key)


def row_text(engine: Engine, columns: Sequence[SideColumn]) -> str:
    """Return SQL for a row's text that differs for any two rows of different values.

    Fields are separated by commas, and NULL is an empty field. Values that may hold a comma come
    last, each after its length (none for NULL). The very last value, a JSON if there is one, needs
    no length because nothing follows.
    """
    fields = [(c.text, c.side.nullable) for c in columns if c.pair.has_no_comma]
    free = [column for column in columns if not column.pair.has_no_comma]
    free.sort(key=lambda column: column.pair.source.family == "json")
    for column in free[:-1]:
        nullable = column.side.nullable
        fields += [(f"length({column.text})", nullable), (column.text, nullable)]
    for column in free[-1:]:
        fields.append((f"CASE WHEN {column.name} IS NULL THEN 'N' ELSE 'V' END", False))
        fields.append((column.text, column.side.nullable))
    if engine == "postgres":
        return _concat_ws(columns, fields)
    if engine == "duckdb":
        joined = ", ',', ".join(text for text, _ in fields)
        return f"concat({joined})"
    return " || ',' || ".join(f"COALESCE(CAST({text} AS VARCHAR), '')" for text, _ in fields)


def _concat_ws(columns: Sequence[SideColumn], fields: Sequence[tuple[str, bool]]) -> str:
    """Return Postgres' SQL for a row's text.

    concat_ws() writes values without a cast of each, but skips NULL, and takes 99 values at most.
    """
    bare_names = {
        f"{column.name}::text": column.name
        for column in columns
        if {column.pair.source.family, column.pair.copy.family} <= _CONCAT_AS_TEXT
    }
    arguments = [
        f"coalesce(({text})::text, '')" if null else bare_names.get(text, text)
        for text, null in fields
    ]
    parts = [
        f"concat_ws(',', {', '.join(arguments[start : start + _MOST_ARGUMENTS])})"
        for start in range(0, len(arguments), _MOST_ARGUMENTS)
    ]
    return parts[0] if len(parts) == 1 else f"concat_ws(',', {', '.join(parts)})"
