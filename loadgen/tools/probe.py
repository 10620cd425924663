"""How a tool has landed the source's tables, read from catalogues: what `tools probe` proposes.

Pure: catalogues come in; what was recognised, by which sign, and what no catalogue tells come out.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from loadgen.tools.columns import Column, find_name, listed
from loadgen.tools.conventions import Convention, Flag, Kind, Lossy, known
from loadgen.tools.readers.reader import Tables
from loadgen.tools.tools_file import Tool

KEY: Final = "id"
_DELETED: Final = re.compile(r"delet|removed")
_OPERATION: Final = re.compile(r"(^|[^a-z0-9])op$")
_CURRENT: Final = re.compile(r"(^|_)(is_)?(active|current|latest)$")
_LOADED: Final = re.compile(r"load|sync|insert|extract|ingest|merge|process|updat|publish")
_TIMES: Final = ("timestamp", "timestamptz")


@dataclass(slots=True)
class Landing:
    """A proposal: the kind, keys that differ from the kind's convention, and why each is so.

    `notes` has lines by key, "" for the whole; a key with notes and no entry in `convention` could
    not be told. `found` has the copy's table by the source's.
    """

    schema: str
    kind: Kind
    found: Mapping[str, str]
    convention: dict[str, object] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, key: str, line: str) -> None:
        """Say something of a key."""
        self.notes.setdefault(key, []).append(line)


def recognised(tool: Tool, source: Tables, copies: Mapping[str, Tables]) -> Landing | None:
    """Return how the tables of `source` lie in one of the schemas of `copies`; None if in none."""
    ways = {schema: _best(source, tables) for schema, tables in copies.items()}
    most = max((len(found) for _, found in ways.values()), default=0)
    if not most:
        return None
    schemas = [schema for schema, (_, found) in ways.items() if len(found) == most]
    schema = _mine(tool, schemas)
    affixes, found = ways[schema]
    copy = copies[schema]
    pairs = {table: (source[table], copy[name]) for table, name in found.items()}
    own = _own_columns(pairs)
    landing = Landing(schema, _kind(tool, own), found)
    if len(schemas) > 1:
        others = ", ".join(one for one in schemas if one != schema)
        landing.note("schema", f"the tables are also in {others}: name the one that is meant")
    usual = Convention.model_validate(known()[landing.kind])
    _say_kind(landing, tool, usual, own)
    _names(landing, tool, usual, affixes, pairs)
    _ignored(landing, usual, own)
    _deletes(landing, usual, own)
    _current_row(landing, usual, own)
    _load_time(landing, usual, own)
    _types(landing, usual, pairs)
    _missing(landing, source, pairs)
    return landing


def _mine(tool: Tool, schemas: list[str]) -> str:
    """Return the schema that tools.toml names, else the first."""
    return find_name(tool.schema_name, schemas, tool.destination) or min(schemas)


Affixes = tuple[str, str]


def _best(source: Tables, copy: Tables) -> tuple[Affixes, dict[str, str]]:
    """Return what stands before and after a table's name where most are found, and the tables."""
    found: dict[Affixes, dict[str, str]] = {}
    for table, columns in source.items():
        theirs = {column.name.lower() for column in columns}
        for name, landed in copy.items():
            have = {column.name.lower() for column in landed}
            before, name_of_it, after = name.lower().partition(table.lower())
            # A child table, or one of the tool's own, has not the key and half of the columns.
            if name_of_it and KEY in have and 2 * len(theirs & have) >= len(theirs):
                found.setdefault((before, after), {})[table] = name
    if not found:
        return ("", ""), {}
    affixes = min(found, key=lambda one: (-len(found[one]), len("".join(one)), one))
    return affixes, found[affixes]


Pairs = Mapping[str, tuple[tuple[Column, ...], tuple[Column, ...]]]


def _own_columns(pairs: Pairs) -> dict[str, Column]:
    """Return the columns, by small name, that the copy has and the source does not."""
    own: dict[str, Column] = {}
    for source, copy in pairs.values():
        theirs = {column.name.lower() for column in source}
        own |= {one.name.lower(): one for one in copy if one.name.lower() not in theirs}
    return own


def _kind(tool: Tool, own: Mapping[str, Column]) -> Kind:
    """Return the kind whose columns are there; where none's is, that of tools.toml."""
    counted: Counter[Kind] = Counter()
    for kind, raw in known().items():
        usual = Convention.model_validate(raw)
        counted[kind] = sum(usual.ignores(name) for name in own)  # type: ignore[index]
    best = max(counted.values())
    kinds = [kind for kind, count in counted.items() if count == best]
    return tool.kind if not best or tool.kind in kinds else kinds[0]


def _say_kind(landing: Landing, tool: Tool, usual: Convention, own: Mapping[str, Column]) -> None:
    signs = [column.name for name, column in own.items() if usual.ignores(name)]
    if signs:
        landing.note("kind", f"by its columns: {listed(signs)}")
    else:
        landing.note("kind", "as in tools.toml: there is no column that a known tool adds")
    if landing.kind != tool.kind:
        landing.note("kind", f"tools.toml says {tool.kind}, of which no column is there")


def _names(landing: Landing, tool: Tool, usual: Convention, affixes: Affixes, pairs: Pairs) -> None:
    """Propose the pattern and the case of the copy's names, the tool's own left aside."""
    before, after = affixes
    pattern = f"{before}{{table}}{after}"
    if pattern != usual.table_pattern.lower():
        landing.convention["table_pattern"] = pattern
        landing.note("table_pattern", f"by {listed(list(landing.found.values()))}")
    names = [*landing.found.values(), *(column.name for _, _, column in _landed(pairs))]
    # Names that the rule of case finds need no key.
    if all(find_name(_usual_name(tool, usual, one), [one], tool.destination) for one in names):
        return
    case = _case(names)
    if case is None:
        landing.note(
            "case", "names are neither all upper nor all lower: verify would not find the others"
        )
    else:
        landing.convention["case"] = case
        landing.note("case", f"by {listed(names)}")


def _usual_name(tool: Tool, usual: Convention, name: str) -> str:
    return usual.folded(name, folds_to=tool.folds_to)


def _case(names: list[str]) -> Literal["upper", "lower"] | None:
    if all(name == name.upper() for name in names):
        return "upper"
    return "lower" if all(name == name.lower() for name in names) else None


def _ignored(landing: Landing, usual: Convention, own: Mapping[str, Column]) -> None:
    more = [name for name in own if not usual.ignores(name)]
    if more:
        landing.convention["ignored_columns"] = [*usual.ignored_columns, *more]
        landing.note("ignored_columns", f"the source has no {listed(more)}")


def _deletes(landing: Landing, usual: Convention, own: Mapping[str, Column]) -> None:
    """Propose what marks a deleted row."""
    marker = usual.delete_marker
    if marker and marker.column in own:
        landing.note("deletes", f"soft: there is {own[marker.column].name} to mark them with")
        if landing.kind == "airbyte":
            landing.note("deletes", "the destination's option for hard deletes adds it, too: with "
                                    'that, set deletes = "hard"')  # fmt: skip
        return
    found = _flag(own, _DELETED) or _operation(own)
    if found is not None:
        mark = found.model_dump(exclude_none=True)
        landing.convention |= {"deletes": "soft", "delete_marker": mark}
        landing.note("deletes", f"guessed by the name and type of {found.column}")
        if found.equals is not None:
            landing.note("deletes", f"that it holds {found.equals} in a deleted row, no catalogue "
                                    "tells: look at one")  # fmt: skip
    elif usual.deletes == "soft":
        landing.note("deletes", 'no column marks a deleted row: "hard" if the tool takes it away, '
                                '"none" if it never hears of it; no catalogue tells')  # fmt: skip


def _flag(own: Mapping[str, Column], sign: re.Pattern[str]) -> Flag | None:
    for name, column in own.items():
        if sign.search(name) and column.family in ("boolean", *_TIMES):
            return Flag(column=name, when="true" if column.family == "boolean" else "not_null")
    return None


def _operation(own: Mapping[str, Column]) -> Flag | None:
    """Return the column that names the last operation on its row, and what it says of a delete.

    AWS DMS writes I, U or D into Op; Estuary c, u or d into _meta/op, Debezium into __op.
    """
    for name, column in own.items():
        if _OPERATION.search(name) and column.family == "text":
            return Flag(column=name, equals="D" if name == "op" else "d")
    return None


def _current_row(landing: Landing, usual: Convention, own: Mapping[str, Column]) -> None:
    if usual.current_row and usual.current_row.column in own:
        landing.note("current_row", f"history mode: {own[usual.current_row.column].name} is there")
        return
    found = _flag(own, _CURRENT)
    if found is not None:
        landing.convention["current_row"] = found.model_dump(exclude_none=True)
        landing.note("current_row", f"guessed by the name and type of {found.column}")


def _load_time(landing: Landing, usual: Convention, own: Mapping[str, Column]) -> None:
    if usual.load_time and usual.load_time.column in own:
        landing.note("load_time", f"{own[usual.load_time.column].name}: {usual.load_time.means}")
        return
    for name, column in own.items():
        if _LOADED.search(name) and column.family in _TIMES and not _DELETED.search(name):
            landing.note("load_time", f"{name} may be it: what its time means, and on whose clock, "
                                      "no catalogue tells")  # fmt: skip


def _types(landing: Landing, usual: Convention, pairs: Pairs) -> None:
    """Propose the losses that the copy's types make sure of; name other types that differ."""
    lossy: dict[tuple[str, str, str], list[str]] = {}
    for table, column, theirs in _landed(pairs):
        keeps = _keeps(column, theirs)
        where = f"{table}.{column.name}"
        if keeps is not None:
            lossy.setdefault((column.family, theirs.family, keeps), []).append(where)
        elif column.family != theirs.family and (column.family, theirs.family) != ("uuid", "text"):
            landing.note("types", f"{where}: {column.type} lands as {theirs.type}")
    declared = [one.model_dump() for one in usual.lossy]
    more = []
    for (source, destination, keeps), columns in lossy.items():
        if any((one.source, one.destination) == (source, destination) for one in usual.lossy):
            landing.note("lossy", f"known of this kind: {listed(columns)}")
            continue
        because = f"{listed(columns)} landed so"
        one = Lossy.model_validate(
            {"source": source, "destination": destination, "keeps": keeps, "because": because}
        )
        more.append(one.model_dump())
        landing.note("lossy", f"{because}: a loss that the copy's type makes sure of")
    if more:
        landing.convention["lossy"] = [*declared, *more]


def _landed(pairs: Pairs) -> Iterator[tuple[str, Column, Column]]:
    for table, (source, copy) in pairs.items():
        landed = {one.name.lower(): one for one in copy}
        for column in source:
            if column.name.lower() in landed:
                yield table, column, landed[column.name.lower()]


def _keeps(source: Column, copy: Column) -> str | None:
    """Return what a copy of that type keeps of the source's values; None where it keeps all."""
    if source.family == "numeric" and copy.family == "float":
        return "float"
    if source.family in _TIMES and copy.family in _TIMES:
        found = re.search(r"\((\d)\)|_(s|ms)$", copy.type.lower())
        digits = {"s": 0, "ms": 3}.get(found[2] or "", int(found[1] or 6)) if found else 6
        return None if digits > 5 else "milliseconds" if digits >= 3 else "seconds"
    return None


def _missing(landing: Landing, source: Tables, pairs: Pairs) -> None:
    for table in sorted(source.keys() - pairs.keys()):
        landing.note("", f"{table} is not there: let the tool sync it")
    for table, (columns, copy) in pairs.items():
        have = {one.name.lower() for one in copy}
        gone = [one.name for one in columns if one.name.lower() not in have]
        if gone:
            landing.note("", f"{table} has no {listed(gone)}")
