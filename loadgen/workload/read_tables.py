"""Reads the tables of a model: their baseline, their keys, and the life cycle of their rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from loadgen.errors import suggest
from loadgen.workload.model import (
    Array,
    Choice,
    Email,
    Generator,
    Gone,
    Json,
    NextState,
    PersonName,
    Row,
    Sequence,
    SqlDefault,
    States,
    Table,
    TimeAfter,
    Uuid,
    Value,
)
from loadgen.workload.read_sql import SchemaTable
from loadgen.workload.read_values import Names, Outline, read_setting, read_value, sql_type
from loadgen.workload.section import Section, is_number

_MOST_ROWS: Final = 100_000_000_000
_LONGEST_NAME: Final = 63  # bytes, Postgres' own limit
_UNIQUE: Final = (Uuid, Sequence, Email, SqlDefault)


def read_tables(
    document: Section, pools: Mapping[str, Choice], schema: Mapping[str, SchemaTable] | None
) -> tuple[dict[str, Table], dict[str, Outline]]:
    """Return the tables that have a baseline, and the outline of every table."""
    sections = {
        name: document.headed("tables", name) for name in document.section("tables").entries
    }
    outlines = {name: _outline(name, section, schema) for name, section in sections.items()}
    for name, made in (schema or {}).items():
        outlines.setdefault(name, Outline(name, (), made.key, has_rows=False, schema=made))
    names = Names(outlines, pools)
    tables = {name: _table(section, outlines[name], names) for name, section in sections.items()}
    _refuse_circles(sections, tables)
    if schema is None:
        tables = _with_types(sections, tables)
    return tables, outlines


def _outline(name: str, section: Section, schema: Mapping[str, SchemaTable] | None) -> Outline:
    """Return what others refer to of a table; the names of its columns are checked."""
    section.only("rows", "key", "version", "columns", "states", "gone")
    for part in name.split("."):
        if not part or len(part.encode()) > _LONGEST_NAME or name.count(".") > 1:
            raise section.error("", 'a table is called "name" or "schema.name"')
    made = schema.get(name) if schema is not None else None
    if schema is not None and made is None:
        raise section.error("", f"schema.sql makes no such table: {suggest(name, schema)}")
    columns = tuple(section.section("columns").entries)
    known = tuple(made.columns) if made else ()
    for column in columns:
        if known and column not in known:
            hint = suggest(column, known)
            raise section.error(f"columns.{column}", f"schema.sql has no such column: {hint}")
        if not column or len(column.encode()) > _LONGEST_NAME:
            raise section.error("columns", f"{column!r} is no name of a column")
    rows = section.entries.get("rows", 0)
    outline = Outline(name, columns, (), has_rows=rows != 0, schema=made)
    if schema is None:
        extra = _versions(section)
        outline = replace(outline, typed=tuple(dict.fromkeys((*columns, *extra))))
    return replace(outline, key=_key(section, outline))


def _versions(section: Section) -> list[str]:
    """Return the columns of versions, which need no value: they begin with 0."""
    states = section.section("states")
    return [part.text("version") for part in (section, states) if "version" in part]


def _key(section: Section, outline: Outline) -> tuple[str, ...]:
    if "key" in section:
        key = section.texts("key")
        for column in key:
            if outline.known and column not in outline.known:
                hint = suggest(column, outline.known)
                raise section.error("key", f"there is no column {column!r}: {hint}")
        return key
    if outline.schema and outline.schema.key:
        return outline.schema.key
    columns = section.section("columns")
    for column, value in columns.entries.items():
        if isinstance(value, dict) and value.get("generate") in ("uuid", "sequence"):
            return (column,)
    return ()


def _table(section: Section, outline: Outline, names: Names) -> Table:
    setting, rows = read_setting(section, "rows", most=_MOST_ROWS, prefix="initial_")
    made = outline.schema
    types = {name: column.type for name, column in made.columns.items()} if made else {}
    extra = () if made else ("type",)
    columns: dict[str, Value] = {}
    for name, column in section.sections("columns"):
        if made and "type" in column:
            raise column.error("type", "schema.sql has the types: leave it out")
        columns[name] = read_value(column, names.beside(outline.columns, types), *extra)
    if (rows or setting) and not columns:
        raise section.error("columns", "it is missing: rows need values")
    table = Table(
        name=outline.name,
        rows=rows,
        rows_setting=setting,
        key=outline.key,
        columns=columns,
        version=_column(section, "version", outline) if "version" in section else "",
        states=_states(section, outline) if "states" in section else None,
        gone=_gone(section, outline) if "gone" in section else None,
    )
    _check_templates(section, columns)
    _check_key(section, table)
    return table


def _column(section: Section, key: str, outline: Outline, default: str | None = None) -> str:
    """Return the column that `key` names."""
    column = section.text(key, default)
    if column and outline.known and column not in outline.known:
        raise section.error(key, f"there is no column {column!r}: {suggest(column, outline.known)}")
    return column


def _check_templates(section: Section, columns: Mapping[str, Value]) -> None:
    for name, value in columns.items():
        if isinstance(value.generator, Json) and value.generator.by:
            other = columns[value.generator.by].generator
            check_templates(section.section("columns").section(name), value.generator, other)


def check_templates(section: Section, json: Json, by: object) -> None:
    """Refuse templates of texts that the choice `by` never has."""
    if not isinstance(by, Choice):
        raise section.error("by", f"{json.by} is no choice: its value has to be made by choose")
    for text in json.templates:
        if text not in by.texts:
            raise section.error(
                f"json.{text}", f"{json.by} is never that: {suggest(text, by.texts)}"
            )


def _check_key(section: Section, table: Table) -> None:
    """Refuse a key that may repeat or be NULL."""
    values = {column: table.columns[column] for column in table.key if column in table.columns}
    for column, value in values.items():
        if value.null_share:
            raise section.error(f"columns.{column}.null", "it is in the key, which is never NULL")
    is_unique = any(
        isinstance(value.generator, _UNIQUE)
        or (isinstance(value.generator, Row) and value.generator.each)
        for value in values.values()
    )
    if values and len(values) == len(table.key) and table.rows > 1 and not is_unique:
        raise section.error(
            f"columns.{table.key[-1]}",
            f"the key ({', '.join(table.key)}) may repeat: make one of its columns by sequence or "
            "uuid",
        )


def _states(section: Section, outline: Outline) -> States:
    states = section.section("states")
    states.only("column", "version", "key", "first", "next", "created_at", "changed_at")
    steps = states.section("next")
    names = tuple(steps.entries)
    following = {name: _followers(steps.section(name)) for name in names}
    known = dict.fromkeys((*names, *(s.state for each in following.values() for s in each)))
    known.pop("", None)
    key = outline.key[0] if len(outline.key) == 1 else None
    return States(
        column=_column(states, "column", outline),
        version=_column(states, "version", outline),
        key=_column(states, "key", outline, key),
        first=states.one_of("first", tuple(known)),
        next_states=following | {name: () for name in known if name not in following},
        created_at=_column(states, "created_at", outline, ""),
        changed_at=_column(states, "changed_at", outline, ""),
    )


def _followers(section: Section) -> tuple[NextState, ...]:
    """Return the states that may follow one: weights, or tables with weight and minutes."""
    if not section.entries:
        raise section.error("", 'no state follows: leave it out, or give { "" = 1 } to stay')
    followers: list[NextState] = []
    for state, step in section.entries.items():
        if is_number(step):
            if step <= 0:
                raise section.wrong(state, "a weight: a number above 0")
            followers.append(NextState(state, float(step)))
            continue
        inner = section.section(state)
        inner.only("weight", "minutes")
        weight = inner.number("weight", 1)
        if weight <= 0:
            raise inner.wrong("weight", "a weight: a number above 0")
        minutes = inner.span("minutes", low=0) if "minutes" in inner else (0.0, 0.0)
        followers.append(NextState(state, weight, (float(minutes[0]), float(minutes[1]))))
    return tuple(followers)


def _gone(section: Section, outline: Outline) -> Gone:
    gone = section.section("gone")
    gone.only("column", "share")
    return Gone(_column(gone, "column", outline), gone.share("share", 0.02))


def _refuse_circles(sections: Mapping[str, Section], tables: Mapping[str, Table]) -> None:
    """Refuse columns whose values depend on themselves."""
    needs = {
        (table.name, column): _needs(table.name, value.generator)
        for table in tables.values()
        for column, value in table.columns.items()
    }
    done: set[tuple[str, str]] = set()

    def visit(place: tuple[str, str], path: tuple[tuple[str, str], ...]) -> None:
        if place in path:
            circle = " → ".join(f"{t}.{c}" for t, c in (*path[path.index(place) :], place))
            table, column = place
            raise sections[table].error(f"columns.{column}", f"a value needs itself: {circle}")
        if place not in done:
            for other in needs.get(place, ()):
                visit(other, (*path, place))
            done.add(place)

    for place in needs:
        visit(place, ())


def _needs(table: str, generator: Generator) -> list[tuple[str, str]]:
    if isinstance(generator, Row):
        return [(generator.table, generator.column)]
    if isinstance(generator, Array):
        return _needs(table, generator.element)
    if isinstance(generator, TimeAfter):
        return [(table, generator.column)]
    if isinstance(generator, Json | PersonName | Email) and generator.by:
        return [(table, generator.by)]
    return []


def _with_types(sections: Mapping[str, Section], tables: Mapping[str, Table]) -> dict[str, Table]:
    """Return the tables with the type of each column, from its value if it names none."""

    def type_of(table: str, column: str) -> str:
        section = sections[table].section("columns").section(column)
        if "type" in section:
            return section.text("type")
        return sql_type(tables[table].columns[column], section, type_of)

    return {
        name: replace(
            table,
            types={column: type_of(name, column) for column in table.columns}
            | {v: "bigint" for v in _versions(sections[name]) if v not in table.columns},
        )
        for name, table in tables.items()
    }
