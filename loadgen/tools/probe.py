"""Recognises how a tool has landed the source's tables, for the entry that `tools probe` proposes.

Pure: it takes the catalogues of the source and of the copy, and returns the entry of tools.toml
with a comment on each key: the evidence for it, or that a catalogue can't tell.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Final

from loadgen.source.postgres import mask
from loadgen.text import first_few
from loadgen.tools.columns import CatalogColumn, find_name
from loadgen.tools.conventions import (
    SOURCE_SCHEMA,
    Convention,
    Flag,
    Kind,
    Lossy,
    known_conventions,
    snake,
)
from loadgen.tools.readers.reader import Tables
from loadgen.tools.source_tables import SourceTable, SourceTables
from loadgen.tools.tools_file import Tool

_DELETED: Final = re.compile(r"delet|removed")
_OPERATION: Final = re.compile(r"(^|[^a-z0-9])op$")
_CURRENT: Final = re.compile(r"(^|_)(is_)?(active|current|latest)$")
_LOADED: Final = re.compile(r"load|sync|insert|extract|ingest|merge|process|updat|publish")
_TIMES: Final = ("timestamp", "timestamptz")

_WIDTH: Final = 96  # of the entry's comments
# Keys that no catalogue tells: the entry repeats them.
_REPEATED_KEYS: Final = (
    *("account", "database", "warehouse", "role", "user", "private_key_path"),
    *("url_env", "file", "path", "slot", "publication", "price", "runner", "interval_seconds"),
    *("cursor_columns", "bucket", "stage"),
)
# Keys of the convention in the order of conventions.toml; `types` has comments only.
_CONVENTION_KEYS: Final = (
    *("schema_pattern", "table_pattern", "case", "ignored_columns", "deletes", "delete_marker"),
    *("current_row", "load_time", "lossy", "types"),
)
_Affixes = tuple[str, str]  # before and after a table's name
_Columns = tuple[CatalogColumn, ...]
_Places = Mapping[str, tuple[str, str]]  # the copy's schema and table, by the source's label
_Pairs = Mapping[str, tuple[SourceTable, _Columns]]


@dataclass(slots=True)
class Landing:
    """A proposed convention: the kind, and the keys that differ from the kind's own.

    `notes` has lines by key, "" for the whole. A key with notes and without an entry in
    `convention` could not be determined.
    """

    schema: str
    kind: Kind
    places: _Places
    convention: dict[str, object] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, key: str, line: str) -> None:
        """Add a line on a key."""
        self.notes.setdefault(key, []).append(line)


def recognise_landing(
    tool: Tool, source: SourceTables, copies: Mapping[str, Tables]
) -> Landing | None:
    """Return how `copies` hold the tables of `source`, by schema; None if none of them does."""
    matches = {schema: _match_tables(source, tables) for schema, tables in copies.items()}
    # A tool names the copy's schema of public; tables of other schemas may be in the same one.
    ours = {table.label for table in source.values() if table.schema == SOURCE_SCHEMA}
    sizes = {
        schema: (len(ours & names.keys()), len(names)) for schema, (_, names) in matches.items()
    }
    most = max(sizes.values(), default=(0, 0))
    if most == (0, 0):
        return None
    schemas = [schema for schema, size in sizes.items() if size == most]
    schema = find_name(tool.schema_name, schemas, tool.engine) or min(schemas)
    affixes = matches[schema][0]
    places = dict(_places(schema, matches, source))
    pairs = {label: (source[label], copies[there][name]) for label, (there, name) in places.items()}
    added = _added_columns(pairs)
    landing = Landing(schema, _kind(tool, added), places)
    if len(schemas) > 1:
        others = ", ".join(other for other in schemas if other != schema)
        landing.note("schema", f"the tables are also in {others}: name the right schema")
    standard = Convention.model_validate(known_conventions()[landing.kind])
    _note_kind(landing, tool, standard, added)
    _propose_schemas(landing, tool, standard, source)
    _propose_names(landing, tool, standard, affixes, pairs)
    _propose_ignored_columns(landing, standard, added)
    _propose_deletes(landing, standard, added)
    _propose_current_row(landing, standard, added)
    _note_load_time(landing, standard, added)
    _propose_losses(landing, standard, pairs)
    _note_missing(landing, source, pairs)
    return landing


def _match_tables(source: SourceTables, copy: Tables) -> tuple[_Affixes, dict[str, str]]:
    """Return the affixes by which most tables have a copy, and those copies by label."""
    matches: dict[_Affixes, dict[str, str]] = {}
    for label, table in source.items():
        expected, key = _plain_names(table.columns), set(map(_plain, table.key))
        for name, copy_columns in copy.items():
            landed = _plain_names(copy_columns)
            # A child table, or one that the tool adds, lacks the key or half of the columns.
            if not key <= landed or 2 * len(expected & landed) < len(expected):
                continue
            for form in dict.fromkeys((table.name.lower(), snake(table.name).lower())):
                before, match, after = name.lower().partition(form)
                if match:
                    matches.setdefault((before, after), {}).setdefault(label, name)
    if not matches:
        return ("", ""), {}
    affixes = min(matches, key=lambda pair: (-len(matches[pair]), len("".join(pair)), pair))
    return affixes, matches[affixes]


def _places(
    main: str, matches: Mapping[str, tuple[_Affixes, Mapping[str, str]]], source: SourceTables
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each table's place: the schema that holds most tables of its source schema."""
    affixes = matches[main][0]
    for source_schema in dict.fromkeys(table.schema for table in source.values()):
        labels = {table.label for table in source.values() if table.schema == source_schema}
        counts = {
            schema: len(labels & names.keys())
            for schema, (others, names) in matches.items()
            if others == affixes
        }
        if source_schema == SOURCE_SCHEMA:
            there = main
        else:
            # One named after it counts for more than one that has tables of that name.
            there = max(
                counts,
                key=lambda name: (
                    counts[name],
                    source_schema.lower() in name.lower(),
                    name == main,
                ),
            )
        yield from (
            (label, (there, matches[there][1][label]))
            for label in labels
            if label in matches[there][1]
        )


def _plain(name: str) -> str:
    """Return a name without what the conventions change: its case, and the marks between words."""
    return re.sub(r"[\W_]+", "", name.lower())


def _plain_names(columns: _Columns) -> set[str]:
    return {_plain(column.name) for column in columns}


def _added_columns(pairs: _Pairs) -> dict[str, CatalogColumn]:
    """Return the copy's columns that the source lacks, by their names in lower case."""
    added: dict[str, CatalogColumn] = {}
    for table, copy in pairs.values():
        expected = _plain_names(table.columns)
        added |= {c.name.lower(): c for c in copy if _plain(c.name) not in expected}
    return added


def _kind(tool: Tool, added: Mapping[str, CatalogColumn]) -> Kind:
    """Return the kind that adds most of these columns; the kind in tools.toml if none does."""
    counts: Counter[Kind] = Counter()
    for kind, raw in known_conventions().items():
        standard = Convention.model_validate(raw)
        counts[kind] = sum(standard.ignores(name) for name in added)  # type: ignore[index]
    most = max(counts.values())
    kinds = [kind for kind, count in counts.items() if count == most]
    return tool.kind if not most or tool.kind in kinds else kinds[0]


def _note_kind(
    landing: Landing, tool: Tool, standard: Convention, added: Mapping[str, CatalogColumn]
) -> None:
    signs = [column.name for name, column in added.items() if standard.ignores(name)]
    if signs:
        landing.note("kind", f"by its columns: {first_few(signs)}")
    else:
        landing.note("kind", "from tools.toml: the copy has no column that a known tool adds")
    if landing.kind != tool.kind:
        landing.note("kind", f"tools.toml says {tool.kind}, but the copy has none of its columns")


def _propose_schemas(
    landing: Landing, tool: Tool, standard: Convention, source: SourceTables
) -> None:
    """Propose the pattern of the schemas' names if tables of several schemas have a copy."""
    schemas = {source[label].schema: there for label, (there, _) in landing.places.items()}
    if not schemas.keys() - {SOURCE_SCHEMA}:
        return
    for pattern in dict.fromkeys((standard.schema_pattern, *_schema_patterns(landing, schemas))):
        convention = standard.model_copy(update={"schema_pattern": pattern})
        landed = tool.model_copy(update={"convention": convention, "named_schema": landing.schema})
        expected = {schema: landed.for_schema(schema).schema_name for schema in schemas}
        if all(
            find_name(name, [schemas[schema]], tool.engine) for schema, name in expected.items()
        ):
            if pattern != standard.schema_pattern:
                landing.convention["schema_pattern"] = pattern
                landing.note("schema_pattern", f"by {first_few(sorted(set(schemas.values())))}")
            return
    listed = first_few([f"{name} in {there}" for name, there in sorted(schemas.items())])
    landing.note("schema_pattern", f"no pattern has {listed}: verify would miss some")


def _schema_patterns(landing: Landing, schemas: Mapping[str, str]) -> Iterator[str]:
    """Yield patterns that the schemas of the copy suggest."""
    if set(schemas.values()) == {landing.schema}:
        yield landing.schema
    for name, there in schemas.items():
        before, match, after = there.lower().partition(name.lower())
        if match:
            yield f"{before}{{source}}{after}"


def _propose_names(
    landing: Landing, tool: Tool, standard: Convention, affixes: _Affixes, pairs: _Pairs
) -> None:
    """Propose the pattern and the case of the copy's names."""
    before, after = affixes
    names = [name for _, name in landing.places.values()]
    pattern = f"{before}{{table}}{after}"
    if pattern != standard.table_pattern.lower():
        landing.convention["table_pattern"] = pattern
        landing.note("table_pattern", f"by {first_few(names)}")
    names += [column.name for _, _, column in _column_pairs(pairs)]
    for case in (standard.case, "upper", "lower", "snake", "exact"):
        convention = standard.model_copy(update={"table_pattern": pattern, "case": case})
        if _finds_all(tool.model_copy(update={"convention": convention}), landing, pairs):
            if case != standard.case:
                landing.convention["case"] = case
                landing.note("case", f"by {first_few(names)}")
            return
    landing.note("case", "the names follow no case: verify would miss some")


def _finds_all(tool: Tool, landing: Landing, pairs: _Pairs) -> bool:
    """Return whether the tool's convention leads to every table and column of the copy."""
    return all(
        tool.find_table(table.name, [landing.places[label][1]])
        for label, (table, _) in pairs.items()
    ) and all(
        tool.find_column(column.name, [landed.name]) for _, column, landed in _column_pairs(pairs)
    )


def _propose_ignored_columns(
    landing: Landing, standard: Convention, added: Mapping[str, CatalogColumn]
) -> None:
    more = [name for name in added if not standard.ignores(name)]
    if more:
        landing.convention["ignored_columns"] = [*standard.ignored_columns, *more]
        landing.note("ignored_columns", f"the source has no {first_few(more)}")


def _propose_deletes(
    landing: Landing, standard: Convention, added: Mapping[str, CatalogColumn]
) -> None:
    """Propose the column that marks a deleted row."""
    marker = standard.delete_marker
    if marker and marker.column in added:
        landing.note("deletes", f"soft: {added[marker.column].name} marks deleted rows")
        if landing.kind == "airbyte":
            landing.note("deletes", "the destination's option for hard deletes adds it, too: with "
                                    'that, set deletes = "hard"')  # fmt: skip
        return
    flag = _flag(added, _DELETED) or _operation_flag(added)
    if flag is not None:
        landing.convention |= {
            "deletes": "soft",
            "delete_marker": flag.model_dump(exclude_none=True),
        }
        landing.note("deletes", f"guessed by the name and type of {flag.column}")
        if flag.equals is not None:
            landing.note("deletes", f"whether it holds {flag.equals} in a deleted row, a catalogue "
                                    "can't tell: look at one")  # fmt: skip
    elif standard.deletes == "soft":
        landing.note("deletes", 'no column marks a deleted row: write "hard" if the tool deletes '
                                """it, "none" if it can't see deletes""")  # fmt: skip


def _flag(added: Mapping[str, CatalogColumn], pattern: re.Pattern[str]) -> Flag | None:
    for name, column in added.items():
        if pattern.search(name) and column.family in ("boolean", *_TIMES):
            return Flag(column=name, when="true" if column.family == "boolean" else "not_null")
    return None


def _operation_flag(added: Mapping[str, CatalogColumn]) -> Flag | None:
    """Return the column that names the last operation on its row, and its letter for a delete.

    AWS DMS writes I, U or D into Op, Estuary c, u or d into _meta/op, Debezium into __op.
    """
    for name, column in added.items():
        if _OPERATION.search(name) and column.family == "text":
            return Flag(column=name, equals="D" if name == "op" else "d")
    return None


def _propose_current_row(
    landing: Landing, standard: Convention, added: Mapping[str, CatalogColumn]
) -> None:
    if standard.current_row and standard.current_row.column in added:
        column = added[standard.current_row.column]
        landing.note("current_row", f"history mode: the copy has {column.name}")
        return
    flag = _flag(added, _CURRENT)
    if flag is not None:
        landing.convention["current_row"] = flag.model_dump(exclude_none=True)
        landing.note("current_row", f"guessed by the name and type of {flag.column}")


def _note_load_time(
    landing: Landing, standard: Convention, added: Mapping[str, CatalogColumn]
) -> None:
    if standard.load_time and standard.load_time.column in added:
        column = added[standard.load_time.column]
        landing.note("load_time", f"{column.name}: {standard.load_time.means}")
        return
    for name, column in added.items():
        if _LOADED.search(name) and column.family in _TIMES and not _DELETED.search(name):
            landing.note("load_time", f"maybe {name}: a catalogue can't tell what its time means, "
                                      "nor from which clock it comes")  # fmt: skip


def _propose_losses(landing: Landing, standard: Convention, pairs: _Pairs) -> None:
    """Propose the losses that the copy's types cause; note other types that differ."""
    lossy: dict[tuple[str, str, str], list[str]] = {}
    for table, source, copy in _column_pairs(pairs):
        precision = _kept_precision(source, copy)
        families = source.family, copy.family
        if precision is not None:
            lossy.setdefault((*families, precision), []).append(f"{table}.{source.name}")
        elif source.family != copy.family and families != ("uuid", "text"):
            landing.note("types", f"{table}.{source.name}: {source.type} lands as {copy.type}")
    proposed = []
    for (source_family, copy_family, precision), columns in lossy.items():
        if any((loss.source, loss.destination) == (source_family, copy_family)
               for loss in standard.lossy):  # fmt: skip
            landing.note("lossy", f"usual for this kind: {first_few(columns)}")
            continue
        loss = Lossy.model_validate(
            {
                "source": source_family,
                "destination": copy_family,
                "keeps": precision,
                "because": f"{first_few(columns)} landed so",
            }
        )
        proposed.append(loss.model_dump())
        landing.note("lossy", f"{loss.because}: the copy's type can't hold more")
    if proposed:
        landing.convention["lossy"] = [*(loss.model_dump() for loss in standard.lossy), *proposed]


def _column_pairs(pairs: _Pairs) -> Iterator[tuple[str, CatalogColumn, CatalogColumn]]:
    for label, (table, copy) in pairs.items():
        landed = {_plain(column.name): column for column in copy}
        for column in table.columns:
            if _plain(column.name) in landed:
                yield label, column, landed[_plain(column.name)]


def _kept_precision(source: CatalogColumn, copy: CatalogColumn) -> str | None:
    """Return the precision that the copy's type keeps; None if it loses nothing."""
    if source.family == "numeric" and copy.family == "float":
        return "float"
    if source.family in _TIMES and copy.family in _TIMES:
        suffix = re.search(r"\((\d)\)|_(s|ms)$", copy.type.lower())
        digits = {"s": 0, "ms": 3}.get(suffix[2] or "", int(suffix[1] or 6)) if suffix else 6
        return None if digits > 5 else "milliseconds" if digits >= 3 else "seconds"
    return None


def _note_missing(landing: Landing, source: SourceTables, pairs: _Pairs) -> None:
    for label in sorted(source.keys() - pairs.keys()):
        landing.note("", f"{label} is missing: let the tool sync it")
    for label, (table, copy) in pairs.items():
        landed = _plain_names(copy)
        missing = [
            column.name
            for column in table.columns
            if column.name not in table.unpublished and _plain(column.name) not in landed
        ]
        if missing:
            landing.note("", f"{label} has no {first_few(missing)}")


def toml_entry(tool: Tool, landing: Landing, where: str) -> str:
    """Return the proposal as an entry of tools.toml, without a password."""
    return "\n".join(_entry_lines(tool, landing, where)) + "\n"


def _entry_lines(tool: Tool, landing: Landing, where: str) -> Iterator[str]:
    yield from _comment(
        f"proposed by `loadgen tools probe {tool.name}` from the catalogue of {where}"
    )
    for note in landing.notes.get("", ()):
        yield from _comment(note)
    yield f"[tools.{_toml_key(tool.name)}]"
    yield from _key_lines("kind", landing.kind, landing)
    yield f"destination = {_toml(tool.destination)}"
    yield from _key_lines("schema", landing.schema, landing)
    if tool.url is not None:
        yield "# without the password: keep that of your entry, or let url_env name a variable"
        yield f"url = {_toml(mask(tool.url.get_secret_value()))}"
    settings = tool.model_dump(exclude_none=True)
    yield from (f"{key} = {_toml(settings[key])}" for key in _REPEATED_KEYS if key in settings)
    keys = [key for key in _CONVENTION_KEYS if key in landing.notes or key in landing.convention]
    if keys:
        yield ""
        if landing.convention:  # else there are comments only
            yield f"[tools.{_toml_key(tool.name)}.convention]"
    for key in keys:
        yield from _key_lines(key, landing.convention.get(key), landing)


def _key_lines(key: str, setting: object, landing: Landing) -> Iterator[str]:
    for note in landing.notes.get(key, ()):
        yield from _comment(f"{key}: {note}")
    if setting is not None:
        yield f"{key} = {_toml(setting)}"


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in wrap(text, _WIDTH - 2))


def _toml_key(name: str) -> str:
    return name if re.fullmatch("[a-zA-Z0-9_-]*", name) else _toml(name)


def _toml(setting: object) -> str:
    """Return TOML: strings as JSON writes them, tables on one line."""
    if isinstance(setting, Mapping):
        pairs = (f"{key} = {_toml(inner)}" for key, inner in setting.items() if inner is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(setting, list | tuple) and setting and isinstance(setting[0], Mapping):
        return "[\n" + "".join(f"  {_toml(table)},\n" for table in setting) + "]"
    if isinstance(setting, list | tuple):
        return f"[{', '.join(map(_toml, setting))}]"
    if isinstance(setting, bool | int | float):
        return json.dumps(setting)
    return json.dumps(str(setting) if isinstance(setting, Path) else setting, ensure_ascii=False)
