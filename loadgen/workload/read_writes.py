"""Turns declarative writes, insert, update, delete and move, into SQL with :name parameters."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from loadgen.errors import suggest
from loadgen.workload.model import (
    Constant,
    Email,
    Json,
    KeyParameter,
    Parameter,
    PersonName,
    Sequence,
    SqlDefault,
    StateParameter,
    Table,
    Time,
    TimeAfter,
    Uuid,
    Value,
)
from loadgen.workload.read_sql import (
    PARAMETER_NAME,
    SqlFault,
    check_expression,
    literal,
    quoted,
    quoted_table,
)
from loadgen.workload.read_values import Names, Outline, plain_text
from loadgen.workload.section import Section

_COMMON: Final = ("per_hour", "option", "label", "recent", "params")
_OR: Final = re.compile(r"\bor\b", re.IGNORECASE)
FORMS: Final = ("sql", "insert", "update", "delete", "move")


@dataclass(slots=True)
class Write:
    """An operation's SQL, and the parameters that it defines itself."""

    sql: str = ""
    places: list[tuple[str, int]] = field(default_factory=list)  # keys, where their SQL begins
    parameters: dict[str, Parameter] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of parameters, by column

    def add(self, column: str, parameter: Parameter) -> str:
        """Add a parameter for a column and return it as SQL has it."""
        name = column if PARAMETER_NAME.fullmatch(column) else f"p{len(self.parameters) + 1}"
        while name in self.parameters:
            name += "_2"
        self.parameters[name] = parameter
        self.names.setdefault(column, name)
        return f":{name}"

    def put(self, parts: Iterable[tuple[str, str]], separator: str) -> None:
        """Append SQL to the statement: pairs of the key that it is from, and the text."""
        for i, (key, text) in enumerate(parts):
            self.sql += separator if i else ""
            self.places.append((key, len(self.sql)))
            self.sql += text

    def name_siblings(self) -> None:
        """Let values that depend on another column name that column's parameter."""
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Value):
                continue
            generator = parameter.generator
            if isinstance(generator, Json | PersonName | Email) and generator.by in self.names:
                named = replace(generator, by=self.names[generator.by])
                self.parameters[name] = replace(parameter, generator=named)


@dataclass(frozen=True, slots=True)
class WriteReader:
    """Reads the declarative writes of a model.

    `parameter` reads any parameter from its section; `target` reads a `row` of a table and returns
    the column that finds it, with its parameter.
    """

    tables: Mapping[str, Table]
    names: Names
    parameter: Callable[[Section, tuple[str, ...]], Parameter]
    target: Callable[[Section, str], tuple[str, Parameter]]
    has_schema: bool

    def write(self, section: Section) -> Write:
        """Return the SQL and the parameters of an operation, whatever its form."""
        forms = [form for form in FORMS if form in section]
        if len(forms) > 1:
            raise section.error("", f"{forms[0]} and {forms[1]} are two forms of a write: keep one")
        if not forms:
            words = [key for key in section.entries if key not in (*_COMMON, "set", "row", "where")]
            hint = suggest(words[0] if words else "", FORMS)
            raise section.error("", f"it writes nothing: {hint}")
        form = forms[0]
        if form == "sql":
            section.only(*_COMMON, "sql")
            return Write(section.text("sql"), [("sql", 0)])
        keys = {"insert": ("set",), "update": ("set", "row", "where"), "delete": ("row", "where")}
        section.only(*_COMMON, form, *keys.get(form, ("set",)))
        outline = self.names.outlines[section.one_of(form, self.names.outlines)]
        for column in section.section("set").entries:
            if outline.known and column not in outline.known:
                raise section.error(
                    f"set.{column}",
                    f"{outline.name} has no such column: {suggest(column, outline.known)}",
                )
        read = {"insert": self._insert, "update": self._update, "delete": self._delete}
        write = read.get(form, self._move)(section, outline)
        write.name_siblings()
        return write

    def _insert(self, section: Section, outline: Outline) -> Write:
        write, cells = Write(), dict[str, str]()
        sets, table = section.section("set"), self.tables.get(outline.name, Table(outline.name))
        for column in dict.fromkeys((*outline.columns, *sets.entries)):
            if column in sets:
                cell = self._cell(write, sets, column, outline)
            else:
                cell = self._as_baseline(write, table, column, outline)
            if cell:
                cells[column] = cell
        name = quoted_table(outline.name)
        if not cells:
            write.sql = f"INSERT INTO {name} DEFAULT VALUES"
            return write
        columns = ", ".join(map(quoted, cells))
        # Postgres then takes a key for a column GENERATED ALWAYS AS IDENTITY.
        numbered = any(
            isinstance(p, KeyParameter) and isinstance(_generator(table, p.column), Sequence)
            for p in write.parameters.values()
        )
        overriding = " OVERRIDING SYSTEM VALUE" if numbered else ""
        write.put([("insert", f"INSERT INTO {name} ({columns}){overriding} VALUES (")], "")
        keys = (f"set.{column}" if column in sets else "insert" for column in cells)
        write.put(zip(keys, cells.values(), strict=True), ", ")
        write.sql += ")"
        return write

    def _update(self, section: Section, outline: Outline) -> Write:
        write = Write()
        pairs = self._assignments(write, section, outline)
        if not section.section("set").entries:
            raise section.error("set", "it is missing: an update sets a column or more")
        write.put([("update", f"UPDATE {quoted_table(outline.name)} SET ")], "")
        write.put(pairs, ", ")
        write.sql += " WHERE "
        write.put(self._where(write, section, outline), " AND ")
        return write

    def _delete(self, section: Section, outline: Outline) -> Write:
        write = Write()
        write.put([("delete", f"DELETE FROM {quoted_table(outline.name)} WHERE ")], "")
        write.put(self._where(write, section, outline), " AND ")
        return write

    def _move(self, section: Section, outline: Outline) -> Write:
        table = self.tables.get(outline.name)
        if table is None or table.states is None:
            hint = f"add [tables.{outline.name}.states]"
            raise section.error("move", f"{outline.name} has no states: {hint}")
        write, states = Write(), table.states
        if states.column in section.section("set"):
            raise section.error(f"set.{states.column}", "the move itself sets it: leave it out")
        key = write.add(states.key, StateParameter(table.name, "key"))
        state = write.add(states.column, StateParameter(table.name, "state"))
        version = write.add(states.version, StateParameter(table.name, "version"))
        pairs = [("move", f"{quoted(states.column)} = {state}")]
        pairs += self._assignments(write, section, outline)
        write.put([("move", f"UPDATE {quoted_table(table.name)} SET ")], "")
        write.put(pairs, ", ")
        write.sql += " WHERE "
        write.put(
            [
                ("move", f"{quoted(states.key)} = {key}"),
                ("move", f"{quoted(states.version)} = {version}"),
            ],
            " AND ",
        )
        return write

    def _assignments(
        self, write: Write, section: Section, outline: Outline
    ) -> list[tuple[str, str]]:
        """Return what an update sets as SQL, each with its key in the file."""
        sets = section.section("set")
        pairs = [
            (
                f"set.{column}",
                f"{quoted(column)} = {self._cell(write, sets, column, outline) or 'DEFAULT'}",
            )
            for column in sets.entries
        ]
        table = self.tables.get(outline.name, Table(outline.name))
        versions = {table.version, table.states.version if table.states else ""} - {
            "",
            *sets.entries,
        }
        if not self.has_schema:  # which may have a trigger for it
            pairs += [("set", f"{quoted(v)} = {quoted(v)} + 1") for v in sorted(versions)]
        return pairs

    def _where(self, write: Write, section: Section, outline: Outline) -> Iterator[tuple[str, str]]:
        """Yield the conditions of a WHERE, each with its key in the file."""
        column, parameter = self.target(section.section("row"), outline.name)
        yield "row", f"{quoted(column)} = {write.add(column, parameter)}"
        if "where" in section:
            condition = _sql(section, "where")
            yield "where", f"({condition})" if _OR.search(condition) else condition

    def _cell(self, write: Write, sets: Section, column: str, outline: Outline) -> str:
        """Return what a column is set to as SQL; "" for its default."""
        entry = sets.entries[column]
        if isinstance(entry, str | int | float):
            return literal(entry)
        cell = sets.section(column)
        if "sql" in cell:
            cell.only("sql")
            return _sql(cell, "sql")
        if "value" in cell:
            cell.only("value")
            constant = cell.entries["value"]
            return literal(constant if isinstance(constant, int | float) else plain_text(constant))
        if "default" in cell:
            cell.only("default")
            cell.true("default")
            return ""
        if "key" in cell:
            cell.only("key")
            cell.true("key")
            return write.add(column, KeyParameter(outline.name, column))
        siblings = (*outline.columns, *sets.entries)
        return write.add(column, self.parameter(cell, siblings))

    def _as_baseline(  # noqa: PLR0911 - one for each kind of value
        self, write: Write, table: Table, column: str, outline: Outline
    ) -> str:
        """Return a column's value in a new row, by its value in the baseline; "" for its default.

        Keys are made by the client, times are now, a life cycle is at its first state.
        """
        value, states = table.columns[column], table.states
        made = outline.schema.columns.get(column) if outline.schema else None
        has_default = made is not None and made.has_default
        if isinstance(value.generator, SqlDefault) or (table.gone and column == table.gone.column):
            return ""
        if states and column == states.column:
            return literal(states.first)
        if column == table.version or (states and column == states.version):
            return "" if has_default or not self.has_schema else "0"
        if isinstance(value.generator, Time | TimeAfter):
            return "" if has_default else "now()"
        if isinstance(value.generator, Sequence | Uuid):
            return write.add(column, KeyParameter(table.name, column))
        if isinstance(value.generator, Constant):
            return literal(value.generator.text)
        return write.add(column, value)


def _sql(section: Section, key: str) -> str:
    """Return the SQL at `key`, whose quotes and parentheses are closed."""
    text = section.text(key)
    try:
        check_expression(text)
    except SqlFault as exc:
        raise section.error(key, str(exc)) from exc
    return text


def _generator(table: Table, column: str) -> object:
    return table.columns[column].generator if column in table.columns else None
