"""One side of a table as verification asks it: SQL made from the pair, answers as plain values."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadgen.sql import statements
from loadgen.tools.columns import Engine, Family, literal, quoted
from loadgen.tools.readers.reader import TableReader
from loadgen.verify.canonical import Pair
from loadgen.verify.mapping import TablePair
from loadgen.verify.ranges import Bounds, Checksum, Range

_SQL: Final = statements("loadgen.verify", "verify.sql")
_KEYS: Final = 1000  # looked up at once
_WITHOUT_KEY: Final = 10  # shown at most

# Where the engines' words differ: integer division of a difference that is never negative, and the
# md5s of a range one after the other.
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
# What Postgres's concat() writes as a cast to text does; true and char(3) are not.
_WRITTEN_ALIKE: Final[frozenset[Family]] = frozenset(
    {"integer", "numeric", "float", "uuid", "timestamp", "timestamptz", "date", "json"}
)

# The 8-byte id of the transaction that wrote a row, 0 if Postgres no longer tells. `xmin` has 4
# bytes; a visible row's id is below the snapshot's xmax, so the highest such id with these bytes is
# meant. A frozen row keeps its old bytes: it may look 2^32 ids younger than it is, never older.
_NEXT: Final = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_WRITTEN_BY: Final = (
    "CASE WHEN xmin::text::bigint < 3 THEN 0 "
    f"ELSE {_NEXT} - (({_NEXT} - xmin::text::bigint) & 4294967295) END"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as fetched; `mark` is the transaction that wrote it, a copy's has none."""

    key: int | None
    mark: str | None
    texts: tuple[str | None, ...]


class Side:
    """The source's or the copy's side of one table."""

    def __init__(self, door: TableReader, pair: TablePair, *, of_copy: bool) -> None:
        self._door = door
        engine = door.engine
        columns = [both.copy if of_copy else both.source for both in pair.columns]
        names = [quoted(column.name) for column in columns]
        texts = [
            both.expression(engine, name, of_copy=of_copy)
            for both, name in zip(pair.columns, names, strict=True)
        ]
        key = columns[0]
        self._key = names[0] if key.family == "integer" else f"CAST({names[0]} AS BIGINT)"
        self._alike = pair.alike
        self._bounds = "bounds" if of_copy else "source_bounds"
        self._has_index = not of_copy and key.family == "integer"  # a cast key's is not used
        self._fill = {
            "table": pair.copy_name if of_copy else pair.source_name,
            "name": literal(pair.source_name),
            "live": pair.live if of_copy else "TRUE",
            "key": self._key,
            "row": _row(engine, pair, names, texts, [column.nullable for column in columns]),
            "values": ", ".join(map(_hashed, pair.columns, names)),
            "texts": ", ".join(texts),
            "mark": f"CAST({'NULL' if of_copy else _WRITTEN_BY} AS VARCHAR)",
        }

    def bounds(self) -> Bounds:
        """Return the lowest and highest key, and how many rows there are.

        Of the source they are estimated, which costs no look at the table.
        """
        (found,) = self._ask(self._bounds)
        low, high, rows, without = found
        return Bounds(_whole(low), _whole(high), int(rows), int(without))

    def checksums(self, segment: Range, width: int) -> dict[int, Checksum]:
        """Return the checksum of each range of `width` keys that has rows, by its number."""
        engine = self._door.engine
        number = self._number(segment, width)
        if self._alike:
            found = self._ask("hashes", segment, number=number)
        elif self._has_index:
            low, high = segment.low, segment.high
            found = self._ask("checksums_by_index", low=low, high=high, width=width)
        else:
            # Else Postgres would sort whole rows, and make their digests afterwards.
            fence = "OFFSET 0" if engine == "postgres" else ""
            joined = _JOINED[engine]
            found = self._ask("checksums", segment, number=number, joined=joined, fence=fence)
        return {int(n): Checksum(int(rows), digest) for n, rows, digest in found}

    def counts(self, part: Range, width: int) -> dict[int, int]:
        """Return how many rows each piece of `width` keys has that has any, by its number."""
        found = self._ask("counts", part, number=self._number(part, width))
        return {int(number): int(rows) for number, rows in found}

    def digests(self, part: Range) -> dict[int, list[str]]:
        """Return the md5s of the rows of a range by key; more than one where a key is doubled."""
        found: dict[int, list[str]] = {}
        for key, digest in self._ask("digests", part):
            found.setdefault(int(key), []).append(digest)
        return found

    def rows(self, keys: Sequence[int]) -> dict[int, list[Row]]:
        """Return the rows of some keys."""
        found: dict[int, list[Row]] = {}
        ordered = sorted(keys)
        for start in range(0, len(ordered), _KEYS):
            some = ordered[start : start + _KEYS]
            listed = ", ".join(map(str, some))
            for row in _rows(self._ask("rows", Range(some[0], some[-1]), keys=listed)):
                found.setdefault(row.key or 0, []).append(row)
        return found

    def rows_without_key(self) -> list[Row]:
        """Return some of the rows that have no key."""
        return list(_rows(self._ask("rows_without_key", limit=_WITHOUT_KEY)))

    def _number(self, part: Range, width: int) -> str:
        return _PART[self._door.engine].format(key=self._key, low=part.low, width=width)

    def _ask(
        self, name: str, part: Range | None = None, **more: object
    ) -> Iterator[tuple[Any, ...]]:
        between = f"{self._key} BETWEEN {part.low} AND {part.high}" if part else ""
        return self._door.ask(_SQL[name].format(**self._fill, between=between, **more))


def _rows(found: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    for key, mark, *texts in found:
        yield Row(_whole(key), mark, tuple(texts))


def _hashed(both: Pair, name: str) -> str:
    """Return SQL for a value of which Postgres has a hash that tells it from all others.

    A numeric without a scale may hold NaN and infinities, which all have the same one.
    """
    by_text = both.source.family in {"json", "other"} or both.source.type == "numeric"
    return f"{name}::text" if by_text else name


def _whole(key: Any) -> int | None:
    return None if key is None else int(key)


def _families(both: Pair) -> set[Family]:
    return {both.source.family, both.copy.family}


def _row(
    engine: Engine,
    pair: TablePair,
    names: Sequence[str],
    texts: Sequence[str],
    nullable: Sequence[bool],
) -> str:
    """Return SQL for a row's text, in which no two rows of different values look alike.

    Commas are between its fields, and NULL is an empty one. Values that may hold a comma come last
    and have their length before them, NULL none; so has not the last of all, which is longest where
    it is JSON: nothing follows it.
    """
    columns = list(zip(pair.columns, names, texts, nullable, strict=True))
    fields = [(text, null) for both, _, text, null in columns if both.fixed]
    free = [column for column in columns if not column[0].fixed]
    free.sort(key=lambda column: column[0].source.family == "json")
    for _, _, text, null in free[:-1]:
        fields += [(f"length({text})", null), (text, null)]
    for _, name, text, null in free[-1:]:
        fields += [(f"CASE WHEN {name} IS NULL THEN 'N' ELSE 'V' END", False), (text, null)]
    if engine == "postgres":
        # concat_ws() writes values itself, without a text of each in between, but leaves out NULL.
        written_alike = [column for column in columns if _families(column[0]) <= _WRITTEN_ALIKE]
        bare = {f"{name}::text": name for _, name, _, _ in written_alike}
        listed = (
            f"coalesce(({text})::text, '')" if null else bare.get(text, text)
            for text, null in fields
        )
        return f"concat_ws(',', {', '.join(listed)})"
    if engine == "duckdb":
        joined = ", ',', ".join(text for text, _ in fields)
        return f"concat({joined})"
    return " || ',' || ".join(f"COALESCE(CAST({text} AS VARCHAR), '')" for text, _ in fields)
