"""The SQL of the destination: tables, merges and the position, alike in DuckDB and Snowflake.

Staged columns are texts; they become values as they are merged. Every statement but DDL belongs to
one transaction, which `destination.load` makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from loadgen.sql import statements
from loadgen.tools.columns import CatalogColumn, quoted
from loadgen.tools.runners.simplyload.changes import (
    COPIES,
    COPY_NUMBER,
    DELETED,
    LOADED_AT,
    ORIGIN,
    ROW,
    UNCHANGED_COLUMNS,
    Layout,
)
from loadgen.tools.runners.simplyload.landing import (
    Landing,
    WarehouseEngine,
    landing,
)
from loadgen.tools.tools_file import Tool

_SQL: Final = statements("loadgen.tools", "simplyload_copy.sql")
STATE_SCHEMA: Final = "_simplyload"
_TIME: Final = {"duckdb": "TIMESTAMPTZ", "snowflake": "TIMESTAMP_TZ"}


@dataclass(frozen=True, slots=True)
class Target:
    """A table of the copy: the names and types of its columns, in the layout's order."""

    schema: str  # quoted, as are the next ones
    table: str
    layout: Layout
    columns: tuple[str, ...]
    landings: tuple[Landing, ...]
    engine: WarehouseEngine

    @classmethod
    def of(
        cls,
        tool: Tool,
        engine: WarehouseEngine,
        layout: Layout,
        catalogue: Sequence[CatalogColumn],
    ) -> "Target":
        """Return the target of a layout, by the tool's convention; types are the catalogue's."""
        by_name = {column.name: column for column in catalogue}
        folded = (tool.convention.folded(c, folds_to=tool.folds_to) for c in layout.columns)
        there = tool.for_schema(layout.schema)
        return cls(
            quoted(*filter(None, (tool.database, there.schema_name))),
            there.place_of(layout.name),
            layout,
            tuple(map(quoted, folded)),
            tuple(landing(by_name.get(name), engine) for name in layout.columns),
            engine,
        )

    @property
    def key(self) -> tuple[str, ...]:
        """The quoted columns of the key."""
        return tuple(self.columns[place] for place in self.layout.key)

    @property
    def signatures(self) -> dict[str, str]:
        """By column of the source, what changes if its type does."""
        pairs = zip(self.layout.columns, self.layout.signatures, self.landings, strict=True)
        return {name: f"{signature} {lands.type}" for name, signature, lands in pairs}

    def staged(self, place: int, source: str = "s") -> str:
        """Return the value of a staged column."""
        return self.landings[place].value(f"{source}.{quoted(self.layout.columns[place])}")

    def create(self) -> str:
        """Return the DDL of the table, with our own columns; what a killed attempt left goes."""
        columns = [f"{c} {t.type}" for c, t in zip(self.columns, self.landings, strict=True)]
        for name, kind in self._own_columns():
            columns.append(f"{own(name, self.engine)} {kind}")
        return f"CREATE OR REPLACE TABLE {self.table} ({', '.join(columns)})"

    def _own_columns(self) -> list[tuple[str, str]]:
        time = (LOADED_AT, _TIME[self.engine])
        if self.layout.key:
            return [(DELETED, "BOOLEAN"), time]
        return [(ROW, "VARCHAR"), (COPY_NUMBER, "BIGINT"), time]

    def drop_column(self, place: int) -> str:
        """Return the DDL that drops a column, also after a killed attempt."""
        return f"ALTER TABLE {self.table} DROP COLUMN IF EXISTS {self.columns[place]}"

    def add_column(self, place: int) -> str:
        """Return the DDL that adds a column, also after a killed attempt."""
        lands = self.landings[place].type
        return f"ALTER TABLE {self.table} ADD COLUMN IF NOT EXISTS {self.columns[place]} {lands}"


def own(name: str, engine: WarehouseEngine) -> str:
    """Return one of our own columns, quoted as the engine folds names."""
    return quoted(name.upper() if engine == "snowflake" else name)


def staged_columns(
    target: Target, content: Literal["rows", "changes", "columns"], filled: Sequence[int]
) -> tuple[str, ...]:
    """Return the columns of a staged file."""
    layout = target.layout
    if content == "columns":
        return tuple(layout.columns[place] for place in (*layout.key, *filled))
    if content == "rows" and layout.key:
        return layout.columns
    return (*layout.columns, *layout.control_columns)


def insert_rows(target: Target, staged: str) -> list[str]:
    """Return the SQL that adds the rows of the first copy."""
    if not target.layout.key:
        return _count_rows(target, staged)
    return [_SQL["insert_rows"].format(**_names(target), staged=staged, values=_values(target))]


def truncate_rows(target: Target) -> list[str]:
    """Return the SQL of a TRUNCATE: rows with a key are marked, others deleted."""
    statement = "mark_all" if target.layout.key else "delete_all"
    return [_SQL[statement].format(**_names(target))]


def merge_changes(target: Target, staged: str) -> list[str]:
    """Return the SQL that merges folded changes."""
    if not target.layout.key:
        return _count_rows(target, staged)
    columns, origins = [], []
    for place, name in enumerate(target.columns):
        value = target.staged(place)
        if place not in target.layout.key:
            flag = f"SUBSTR(s.{quoted(UNCHANGED_COLUMNS)}, {place + 1}, 1)"
            value = f"CASE WHEN {flag} = '1' THEN o.{name} ELSE {value} END"
        columns.append(f"{value} AS {name}")
    for number, place in enumerate(target.layout.key):
        origin = target.landings[place].value(f"s.{quoted(f'{ORIGIN}{number}')}")
        origins.append(f"o.{target.columns[place]} = {origin}")
    merge = _SQL["merge"].format(
        **_names(target),
        staged=staged,
        columns_as_they_will_be=", ".join(columns),
        is_origin=" AND ".join(origins),
        first_key=target.key[0],
        same_key=" AND ".join(f"t.{name} = r.{name}" for name in target.key),
        sets="".join(f"{name} = r.{name}, " for name in target.columns if name not in target.key),
        merged=", ".join(f"r.{name}" for name in target.columns),
    )
    return [merge]


def fill_columns(target: Target, staged: str, places: Sequence[int]) -> list[str]:
    """Return the SQL that fills added columns of existing rows."""
    sets = ", ".join(f"{target.columns[place]} = {target.staged(place)}" for place in places)
    keys = " AND ".join(
        f"t.{target.columns[place]} = {target.staged(place)}" for place in target.layout.key
    )
    fill = _SQL["fill_columns"].format(**_names(target), staged=staged, sets=sets, same_key=keys)
    return [fill]


def _count_rows(target: Target, staged: str) -> list[str]:
    """Return the SQL that removes and adds copies of equal rows, of a table without a key."""
    names = _names(target) | {"staged": staged, "values": _values(target)}
    return [_SQL[name].format(**names) for name in ("remove_copies", "add_copies")]


def _values(target: Target) -> str:
    return ", ".join(target.staged(place) for place in range(len(target.columns)))


def _names(target: Target) -> dict[str, str]:
    """Return the names that every statement uses."""
    staged = {
        "is_deleted": DELETED,
        "unchanged": UNCHANGED_COLUMNS,
        "staged_row": ROW,
        "copies": COPIES,
    }
    ours = {"deleted": DELETED, "loaded_at": LOADED_AT, "row": ROW, "copy_number": COPY_NUMBER}
    return {
        "table": target.table,
        "columns": ", ".join(target.columns),
        **{key: quoted(name) for key, name in staged.items()},
        **{key: own(name, target.engine) for key, name in ours.items()},
    }
