"""Compares a table whose key is no single integer, or that has none: by buckets of hashed keys.

A row's bucket are digits of its key, if that is one uuid, else the first ones of the md5 of its
key's canonical text, or of the row's own if there is no key. One scan of each side counts the rows
of each bucket and sums their hashes; a second one fetches the rows of the buckets that differ, one
bucket at a time. So no common order of keys is needed, and memory does not grow with the table.

A table without a key is compared as a multiset of rows. An update there looks like a delete and an
insert, so while the source moves it is compared only if it receives nothing but inserts.
"""

import json
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from hashlib import md5
from itertools import groupby
from math import ceil, log
from operator import itemgetter
from typing import Final, Protocol, cast

from loadgen.errors import DestinationError
from loadgen.record.verify import Finding
from loadgen.sql import statements
from loadgen.tools.columns import Engine
from loadgen.tools.readers.reader import TableReader
from loadgen.verify.canonical import normal_text
from loadgen.verify.findings import TableContext
from loadgen.verify.mapping import TablePair
from loadgen.verify.scan import Key, Row, fragments, row_text, side_columns
from loadgen.verify.second_look import KeyRows, Progress, SecondLook

_SQL: Final = statements("loadgen.verify", "verify.sql")
_ROWS: Final = 1000  # of a bucket, about
_MOST_DIGITS: Final = 4  # 65,536 buckets, which are in memory
_MOST_NAMED: Final = 4096  # buckets in a statement; for more, all rows are fetched

_HASHED_KEYS: Final = {"integer", "uuid", "date", "timestamp", "timestamptz"}
_RowsByKey = dict[Key, tuple[list[Row], list[Row]]]  # of source and copy

# Sums of the first 64 bits of a hash by engine, equal modulo 2^64. Snowflake's copies are summed by
# functions that its emulator has too: 16 hexadecimal digits as decimal ones.
_HEX_SUM: Final[Mapping[Engine, str]] = {
    "postgres": "sum(('x' || left(digest, 16))::bit(64)::bigint)::text",
    "duckdb": "CAST(sum(CAST('0x' || left(digest, 16) AS UBIGINT)) AS VARCHAR)",
}
_DECIMAL_SUM: Final = (
    "CAST(sum(CAST(translate(left(digest, 16), 'abcdef', '012345') AS NUMERIC(38, 0))) AS VARCHAR)"
)
# Between two Postgres: hashed again, as in `hashes` of verify.sql.
_RECORD_HASH: Final = (
    "hashint8extended(hash_record_extended(ROW({values}), 4611686018427388039), 0)"
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One side's number of rows in a bucket, and the sum of their hashes modulo 2^64."""

    rows: int
    hashes: int


@dataclass(frozen=True, slots=True)
class Buckets:
    """One side's buckets by name, and the snapshot of the source that they were read from."""

    by_name: Mapping[str, Bucket]
    snapshot: str | None = None

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(bucket.rows for bucket in self.by_name.values())


class BucketSide(Protocol):
    """One side of a table; `SqlBuckets` implements it."""

    def estimated_rows(self) -> int:
        """Return the approximate number of rows."""

    def buckets(self, digits: int) -> Buckets:
        """Return the buckets that hold rows."""

    def rows(self, digits: int, buckets: Collection[str]) -> Generator[tuple[str, Row]]:
        """Yield the rows of these buckets, and maybe of others, in the buckets' order."""

    def survivors(self, snapshot: str) -> int:
        """Return the number of the source's rows that have not changed since the snapshot."""


class SqlBuckets:
    """The source's or the copy's side of one table."""

    def __init__(self, reader: TableReader, pair: TablePair, *, of_copy: bool) -> None:
        self._reader = reader
        self._pair = pair
        self._is_exact = all(column.is_exact for column in pair.columns)
        engine = reader.engine
        columns = side_columns(reader, pair, of_copy=of_copy)
        self._fragments = fragments(reader, pair, columns, of_copy=of_copy)
        basis = columns[: pair.key_size] or [c for c in columns if c.pair.is_exact]
        self._basis = row_text(engine, basis)
        # Between two Postgres the hash of keys that have but one text is faster than md5.
        self._hashed_key = ""
        if pair.same_types and all(column.side.family in _HASHED_KEYS for column in basis):
            values = ", ".join(column.name for column in basis)
            self._hashed_key = f"hash_record_extended(ROW({values}), 0)"
        is_uuid = pair.key_size == 1 and pair.columns[0].form == "uuid"
        self._uuid = columns[0].text if is_uuid and not self._hashed_key else ""
        # Postgres sorts by the database's collation, other engines by bytes.
        self._collation = ' COLLATE "C"' if engine == "postgres" else ""
        if pair.same_types:
            hashed = _RECORD_HASH.format(values=self._fragments["values"])
            total = "sum(digest)::text"
        else:
            hashed = f"md5({self._fragments['row']})"
            total = _DECIMAL_SUM if pair.engine == "snowflake" else _HEX_SUM[engine]
        numbered = [(f"t{number}", column.text) for number, column in enumerate(columns)]
        self._fragments |= {
            "hash": hashed,
            "sum": total,
            "snapshot": "CAST(NULL AS VARCHAR)" if of_copy else "pg_current_snapshot()::text",
            # Without the fence Postgres would compute a digest once for each use.
            "fence": "OFFSET 0" if engine == "postgres" else "",
            "named_texts": ", ".join(f"{text} AS {name}" for name, text in numbered),
            "least_texts": ", ".join(f"min({name})" for name, _ in numbered),
        }

    def _bucket(self, digits: int) -> str:
        """Return SQL for a row's bucket."""
        if self._hashed_key:
            return f"to_hex({self._hashed_key} & {16**digits - 1}){self._collation}"
        if self._uuid:
            # Digits that differ in uuids of any version: the last ones of the first group, which
            # is a time or random, and of all.
            first, last = digits // 2, digits - digits // 2
            digits_of = f"right(left({self._uuid}, 8), {first}) || right({self._uuid}, {last})"
            return f"({digits_of}){self._collation}"
        return f"left(md5({self._basis}), {digits}){self._collation}"

    def estimated_rows(self) -> int:
        """Return the approximate number of the source's rows."""
        ((rows,),) = self._reader.query(_SQL["estimated_rows"].format(**self._fragments))
        return int(rows)

    def buckets(self, digits: int) -> Buckets:
        """Return the buckets that hold rows."""
        bucket = self._bucket(digits)
        by_name, snapshot = {}, None
        statement = _SQL["buckets"].format(**self._fragments, bucket=bucket)
        for name, count, total, snapshot in self._reader.query(statement):  # noqa: B007 - the same in all
            by_name[name] = Bucket(int(count), int(total) % 2**64)
        return Buckets(by_name, snapshot)

    def rows(self, digits: int, buckets: Collection[str]) -> Generator[tuple[str, Row]]:
        """Yield the rows of these buckets, and maybe of others, in the buckets' order."""
        bucket = self._bucket(digits)
        names = ", ".join(f"'{name}'" for name in sorted(buckets))
        among = f"AND {bucket} IN ({names})" if len(buckets) <= _MOST_NAMED else ""
        query = "bucket_rows" if self._pair.key_size else "bucket_counts"
        statement = _SQL[query].format(**self._fragments, bucket=bucket, among=among)
        if key_size := self._pair.key_size:
            for name, mark, *texts in self._reader.query(statement):
                yield name, Row(tuple(texts[:key_size]), mark, tuple(texts))
            return
        for name, mark, *texts, digest, count in self._reader.query(statement):
            key = digest if self._is_exact else _normal_digest(self._pair, texts)
            yield name, Row((key,), mark, tuple(texts), int(count), is_counted=True)

    def survivors(self, snapshot: str) -> int:
        """Return the number of the source's rows that have not changed since the snapshot."""
        statement = _SQL["survivors"].format(**(self._fragments | {"snapshot": snapshot}))
        ((rows,),) = self._reader.query(statement)
        return int(rows)


@dataclass(frozen=True, slots=True)
class BucketScan:
    """The pending first scan of both sides of a table."""

    table: str
    source: Future[Buckets]
    copy: Future[Buckets]

    def cancel(self) -> None:
        """Cancel the queries that have not started."""
        self.source.cancel()
        self.copy.cancel()


class BucketComparison:
    """The comparison of one table of one tool, with the first scans in the threads of `pool`.

    The copy is `settled` if the source rests and all has been delivered.
    """

    def __init__(
        self,
        pair: TablePair,
        sides: tuple[BucketSide, BucketSide],
        context: TableContext,
        pool: Executor,
        lag: float = 0.0,
        *,
        settled: bool = True,
    ) -> None:
        self._pair = pair
        self._source, self._copy = sides
        self._pool = pool
        self._digits = 0
        self._before: Buckets | None = None
        self._must_rest = not pair.key_size and not settled
        self._bucket_of: dict[Key, str] = {}
        self.progress = Progress()
        self._suspects = SecondLook(pair, context, lag, self.progress, self._refetch)
        self._suspects.is_needed |= self._must_rest

    def begin(self) -> Iterator[Finding]:
        """Choose the number of buckets. Raises DestinationError."""
        self._digits = digits_for(self._source.estimated_rows())
        return iter(())

    def segments(self) -> Iterator[BucketScan]:
        """Yield the table's only segment; taking it starts its queries."""
        digits = self._digits
        source, copy = (
            self._pool.submit(partial(_buckets, side, digits))
            for side in (self._source, self._copy)
        )
        yield BucketScan(self._pair.table, source, copy)

    def first_look(self, segment: BucketScan) -> Iterator[Finding]:
        """Yield the findings that need no second look. Raises DestinationError."""
        source, copy = segment.source.result(), segment.copy.result()
        self._before = source
        self.progress.rows, self.progress.copy_rows = source.rows, copy.rows
        ours, theirs = source.by_name, copy.by_name
        unequal = {
            name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
        }
        while unequal:
            unequal = yield from self._compare_buckets(unequal)
            if unequal:
                yield from self.second_look()
        self.progress.share = 1.0
        self._suspects.show_progress()

    def _compare_buckets(self, buckets: set[str]) -> Generator[Finding, None, set[str]]:
        """Yield the findings of buckets; return those left when the second look is due."""
        for name, rows in self._differing_rows(buckets):
            for key, (source, copy) in rows.items():
                self.progress.fetched += 1
                if self._suspects.is_needed:
                    self._bucket_of[key] = name
                yield from self._suspects.judge(key, source, copy)
            if self._suspects.is_full:
                return {bucket for bucket in buckets if bucket > name}
        return set()

    def second_look(self) -> Iterator[Finding]:
        """Wait until all suspects have had their lag; yield those that still differ.

        Call it after the first look at all tables, so that they wait together. Raises
        DestinationError.
        """
        findings = self._suspects.look()
        if self._must_rest and (first := next(findings, None)) is not None:
            self._require_inserts_only()
            yield first
        yield from findings
        self._bucket_of.clear()

    def _require_inserts_only(self) -> None:
        """Raise DestinationError if rows were updated or deleted since the first scan."""
        before = self._before
        if before and before.snapshot and self._source.survivors(before.snapshot) != before.rows:
            raise DestinationError(
                "not compared: it has no key, and rows were updated or deleted meanwhile; verify "
                "again with --drain"
            )

    def _differing_rows(self, buckets: Collection[str]) -> Iterator[tuple[str, _RowsByKey]]:
        """Yield the rows of both sides that are not equal in all texts, one bucket at a time."""
        with (
            closing(_by_bucket(self._source, self._digits, buckets)) as source,
            closing(_by_bucket(self._copy, self._digits, buckets)) as copy,
        ):
            for name, ours, theirs in _merged(source, copy):
                rows = _by_key(ours, theirs) if name in buckets else {}
                differing = {k: v for k, v in rows.items() if _values(v[0]) != _values(v[1])}
                if differing:
                    yield name, differing

    def _refetch(self, keys: Sequence[Key]) -> Iterator[KeyRows]:
        wanted = {key: self._bucket_of[key] for key in keys}
        buckets = set(wanted.values())
        sides: list[dict[Key, list[Row]]] = []
        for side in (self._copy, self._source):
            rows: dict[Key, list[Row]] = {}
            with closing(_by_bucket(side, self._digits, buckets)) as by_bucket:
                for _, of_bucket in by_bucket:
                    for key, (ours, _) in _by_key(of_bucket, ()).items():
                        if key in wanted:
                            rows[key] = ours
            sides.append(rows)
        copy, source = sides
        for key in wanted:
            yield key, source.get(key, ()), copy.get(key, ())


def digits_for(rows: int) -> int:
    """Return the number of hexadecimal digits for buckets of about a thousand rows or less."""
    return min(max(ceil(log(max(rows / _ROWS, 1), 16)), 0), _MOST_DIGITS)


def _buckets(side: BucketSide, digits: int) -> Buckets:
    return side.buckets(digits)


def _by_bucket(
    side: BucketSide, digits: int, buckets: Collection[str]
) -> Generator[tuple[str, list[Row]]]:
    with closing(side.rows(digits, buckets)) as rows:
        for name, of_bucket in groupby(rows, itemgetter(0)):
            yield name, [row for _, row in of_bucket]


def _by_key(source: Iterable[Row], copy: Iterable[Row]) -> _RowsByKey:
    """Return the rows of both sides of a bucket by key; without a key, equal rows are one."""
    by_key: _RowsByKey = {}
    for number, rows in enumerate((source, copy)):
        for row in rows:
            same = by_key.setdefault(cast("Key", row.key), ([], []))[number]
            if same and row.is_counted:
                same[0] = _together(same[0], row)
            else:
                same.append(row)
    return by_key


def _normal_digest(pair: TablePair, texts: Sequence[str | None]) -> str:
    """Return a hash of a row that is the same for all texts of its values."""
    normal = [normal_text(c.form, text) for c, text in zip(pair.columns, texts, strict=True)]
    return md5(json.dumps(normal).encode(), usedforsecurity=False).hexdigest()


def _merged(
    source: Iterator[tuple[str, list[Row]]], copy: Iterator[tuple[str, list[Row]]]
) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Yield both sides' rows of each bucket, from iterators in the buckets' order."""
    ours, theirs = next(source, None), next(copy, None)
    while ours or theirs:
        name = min(side[0] for side in (ours, theirs) if side)
        rows: list[list[Row]] = [
            side[1] if side and side[0] == name else [] for side in (ours, theirs)
        ]
        yield name, rows[0], rows[1]
        if ours and ours[0] == name:
            ours = next(source, None)
        if theirs and theirs[0] == name:
            theirs = next(copy, None)


def _values(rows: Sequence[Row]) -> list[tuple[tuple[str | None, ...], int]]:
    return [(row.texts, row.count) for row in rows]


def _together(row: Row, other: Row) -> Row:
    """Return two rows of equal values as one, with the younger one's mark."""
    mark = max((m for m in (row.mark, other.mark) if m is not None), key=int, default=None)
    return replace(row, mark=mark, count=row.count + other.count)
