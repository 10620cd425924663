"""Reads the operations of a model: rates, statements, parameters, and the proof of each."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from loadgen.config.settings import HARD_CASES
from loadgen.errors import suggest
from loadgen.text import first_capital
from loadgen.workload.model import (
    COLOURS,
    Email,
    InsertedParameter,
    Json,
    KeyParameter,
    OnceParameter,
    Operation,
    Parameter,
    PersonName,
    Sequence,
    Table,
    TimeAfter,
    Uuid,
    Value,
)
from loadgen.workload.proof import key_place, prove
from loadgen.workload.read_sql import (
    ParsedStatement,
    SqlFault,
    numbered_length,
    parse_statements,
    quoted,
)
from loadgen.workload.read_tables import check_templates
from loadgen.workload.read_values import Names, keyless, read_row, read_value, row_target
from loadgen.workload.read_writes import FORMS, WriteReader
from loadgen.workload.section import Section

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_OPTION: Final = re.compile(r"[a-z][a-z0-9-]*-per-hour")
_LONGEST_NAME: Final = 40  # of an operation: it is a label, and part of a statement's name
_MOST_PER_HOUR: Final = 3_600_000_000
_OURS: Final = {"max_rate_per_hour", *(f"{case}_per_hour" for case in HARD_CASES)}
_SYSTEM_COLUMNS: Final = ("ctid", "xmin", "xmax", "tableoid")
_KEY_TYPES: Final = re.compile(r"uuid|(big|small)?int\w*|(big|small)?serial|text|varchar.*|char.*")


def read_operations(
    document: Section, tables: Mapping[str, Table], names: Names, *, has_schema: bool
) -> dict[str, Operation]:
    """Return the operations in the order of the file."""
    return _Reader(document, tables, names, has_schema=has_schema).operations()


@dataclass(frozen=True, slots=True)
class _Draft:
    """An operation without its proof, which depends on what others aim at."""

    section: Section
    form: str
    statements: tuple[ParsedStatement, ...]
    parameters: Mapping[str, Parameter]
    places: tuple[tuple[str, int], ...]

    def targets(self) -> dict[str, tuple[str, str]]:
        """Return table and column of each parameter that aims at each row once."""
        return {
            name: (parameter.table, parameter.column)
            for name, parameter in self.parameters.items()
            if isinstance(parameter, OnceParameter)
        }

    def inserted(self) -> dict[str, InsertedParameter]:
        """Return the parameters that aim at rows that another operation inserts."""
        return {
            name: parameter
            for name, parameter in self.parameters.items()
            if isinstance(parameter, InsertedParameter)
        }


class _Reader:
    def __init__(
        self, document: Section, tables: Mapping[str, Table], names: Names, *, has_schema: bool
    ) -> None:
        self._sections = {
            name: document.headed("operations", name)
            for name in document.section("operations").entries
        }
        self._tables, self._names, self._has_schema = tables, names, has_schema
        self._drafts: dict[str, _Draft] = {}
        self._path: list[str] = []  # operations being read, each for the sake of the one before
        self._writes = WriteReader(tables, names, self._value, self._target, has_schema)

    def operations(self) -> dict[str, Operation]:
        drafts = {name: self._draft(name) for name in self._sections}
        self._refuse_rows_of_two(drafts)
        options: dict[str, str] = {}
        operations: dict[str, Operation] = {}
        for i, (name, draft) in enumerate(drafts.items()):
            light, dark = COLOURS[i % len(COLOURS)]
            section = draft.section
            operations[name] = Operation(
                name=name,
                label=section.text("label", first_capital(name.replace("_", " "))),
                option=_option(section, name, options),
                per_hour=section.number("per_hour", high=_MOST_PER_HOUR),
                statements=tuple(parsed.statement for parsed in draft.statements),
                parameters=draft.parameters,
                proof=prove(
                    draft.statements,
                    draft.parameters,
                    keys={table: outline.key for table, outline in self._names.outlines.items()},
                    states={name: t.states for name, t in self._tables.items() if t.states},
                    targets=draft.targets() | self._alone(name, drafts),
                ),
                recent=section.text("recent", "").strip().rstrip(";"),
                light=light,
                dark=dark,
                places=draft.places,
            )
        return operations

    def _draft(self, name: str) -> _Draft:
        if name in self._drafts:
            return self._drafts[name]
        section = self._sections[name]
        if name in self._path:
            circle = " → ".join((*self._path[self._path.index(name) :], name))
            raise section.error("", f"operations aim at each other's rows in a circle: {circle}")
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            raise section.error(
                "", f"an operation's name has a-z, 0-9 and _, at most {_LONGEST_NAME}, a-z first"
            )
        if name in HARD_CASES:
            raise section.error("", "a hard case has this name: choose another one")
        self._path.append(name)
        write = self._writes.write(section)
        defined = {**write.parameters}
        params = section.section("params")
        for parameter in params.entries:
            if parameter in defined:
                raise params.error(parameter, "set or row defines it already: leave one out")
            defined[parameter] = self._value(params.section(parameter), (*defined, *params.entries))
        form = next(form for form in FORMS if form in section)
        statements = _statements(section, form, write.sql)
        for parsed in statements:
            self._check_statement(section, form, parsed)
        _check_use(section, defined, statements)
        parameters = {
            parameter: self._placed(section, parameter, value, statements)
            for parameter, value in defined.items()
        }
        places = tuple((key, numbered_length(write.sql[:at])) for key, at in write.places)
        self._path.pop()
        self._drafts[name] = _Draft(section, form, statements, parameters, places)
        return self._drafts[name]

    # Parameters.

    def _value(self, section: Section, siblings: tuple[str, ...]) -> Parameter:
        """Return any parameter; a client-made key has no place yet."""
        if "key" in section:
            section.only("key")
            section.true("key")
            return KeyParameter("", "")
        if "inserted" in section:
            return self._inserted(section)[0]
        if "once" in section:
            return self._once(section, section.one_of("row", self._names.outlines))
        if "like" in section:
            return self._like(section)
        return read_value(section, self._names.beside(siblings, {}))

    def _once(self, section: Section, table: str) -> OnceParameter:
        section.only("row", "column", "once", "share")
        section.true("once")
        target = row_target(section, self._names, table)
        return OnceParameter(*target, section.share("share", 0.2))

    def _like(self, section: Section) -> Value:
        section.only("like")
        places = {
            f"{table.name}.{column}": value
            for table in self._tables.values()
            for column, value in table.columns.items()
        }
        return places[section.one_of("like", places)]

    def _inserted(self, section: Section) -> tuple[InsertedParameter, KeyParameter]:
        section.only("inserted", "parameter", "order", "row")
        operation = section.one_of("inserted", self._sections)
        draft = self._draft(operation)
        keys = {n: p for n, p in draft.parameters.items() if isinstance(p, KeyParameter)}
        if not keys:
            table = draft.statements[0].statement.table
            if draft.form == "insert" and not self._names.outlines[table].key:
                raise section.error("inserted", keyless(table))
            raise section.error("inserted", f"{operation} makes no key: it has no {{ key = true }}")
        first = next(
            (n for n, p in keys.items() if p.column in self._names.outlines[p.table].key),
            next(iter(keys)),
        )
        name = section.one_of("parameter", keys, first)
        order = section.one_of("order", ("oldest", "newest"), "oldest")
        inserted = InsertedParameter(operation, name, "oldest" if order == "oldest" else "newest")
        return inserted, keys[name]

    def _target(self, section: Section, table: str) -> tuple[str, Parameter]:
        """Return the column that finds the row of an update or delete, and its parameter."""
        if "row" in section and section.text("row") != table:
            raise section.error("", f"it is {section.text('row')!r}, not the table {table!r}")
        if "inserted" in section:
            inserted, key = self._inserted(section)
            if key.table != table:
                raise section.error(
                    "inserted", f"{inserted.operation} inserts into {key.table}, not into {table}"
                )
            return key.column, inserted
        if "once" in section:
            once = self._once(section, table)
            return once.column, once
        section.only("row", "column", "skew", "hot", "once", "inserted")
        row = read_row(section, self._names, table)
        return row.column, Value(row)

    def _placed(
        self,
        section: Section,
        name: str,
        parameter: Parameter,
        statements: tuple[ParsedStatement, ...],
    ) -> Parameter:
        """Return a client-made key with the column that gets it, `once` with its condition."""
        if isinstance(parameter, OnceParameter):
            return replace(parameter, condition=_condition(name, parameter, statements))
        if not isinstance(parameter, KeyParameter):
            return parameter
        table, column = parameter.table, parameter.column
        if not table:
            table, place = key_place(statements, name)
            if not table:
                raise section.error(
                    f"params.{name}",
                    f":{name} has to be a value of a plain INSERT",
                )
            known = self._names.outlines[table].known
            if isinstance(place, int) and place >= len(known):
                raise section.error("sql", f"name the columns that {table} gets values for")
            column = known[place] if isinstance(place, int) else place
        columns = self._tables[table].columns if table in self._tables else {}
        made = self._names.outlines[table].schema
        type_ = made.columns[column].type if made and column in made.columns else ""
        bad_type = bool(type_) and not _KEY_TYPES.fullmatch(type_)
        if bad_type or (
            column in columns and not isinstance(columns[column].generator, Uuid | Sequence)
        ):
            raise section.error(
                f"params.{name}", f"{table}.{column} is no key: make it by sequence or uuid"
            )
        return KeyParameter(table, column)

    # Statements, and what operations do to each other.

    def _check_statement(self, section: Section, form: str, parsed: ParsedStatement) -> None:
        table = parsed.statement.table
        if not table:
            return
        if table not in self._names.outlines:
            hint = suggest(table, self._names.outlines)
            raise section.error(form, f"the model has no table {table!r}: {hint}")
        known = self._names.outlines[table].known
        for column in (*parsed.columns, *parsed.looked_at):
            if known and column not in known and column not in _SYSTEM_COLUMNS:
                raise section.error(
                    form, f"{table} has no column {column!r}: {suggest(column, known)}"
                )
        version = self._tables[table].version_column if table in self._tables else ""
        may_be_raised = self._has_schema or version in parsed.columns  # by a trigger, or here
        if version and parsed.statement.change == "update" and not may_be_raised:
            raised = f"{quoted(version)} = {quoted(version)} + 1"
            raise section.error(form, f"each update of {table} has to raise its version: {raised}")

    def _refuse_rows_of_two(self, drafts: Mapping[str, _Draft]) -> None:
        """Refuse two operations that would aim at the same rows of the baseline once."""
        owners: dict[str, str] = {}
        for name, draft in drafts.items():
            for table, _ in draft.targets().values():
                if owners.setdefault(table, name) != name:
                    raise draft.section.error(
                        "", f"{owners[table]} aims at rows of {table} once already: only one may"
                    )

    def _alone(self, name: str, drafts: Mapping[str, _Draft]) -> dict[str, tuple[str, str]]:
        """Return table and column of the inserted rows that only this operation aims at."""
        aimed = Counter(p.operation for d in drafts.values() for p in d.inserted().values())
        keys = {
            parameter: (inserted, drafts[inserted.operation].parameters[inserted.parameter])
            for parameter, inserted in drafts[name].inserted().items()
        }
        return {
            parameter: (key.table, key.column)
            for parameter, (inserted, key) in keys.items()
            if isinstance(key, KeyParameter)
            and inserted.order == "oldest"
            and aimed[inserted.operation] == 1
        }


def _statements(section: Section, form: str, sql: str) -> tuple[ParsedStatement, ...]:
    try:
        statements = tuple(parse_statements(sql))
    except SqlFault as exc:
        raise section.error(form, str(exc)) from exc
    if not statements:
        raise section.error(form, "it has no statement")
    return statements


def _condition(name: str, once: OnceParameter, statements: tuple[ParsedStatement, ...]) -> str:
    """Return the condition, without the key, of the first statement that this parameter aims."""
    place = once.table, once.column
    return next(
        (
            parsed.condition
            for parsed in statements
            if (parsed.statement.table, parsed.aims.get(name)) == place
            and not parsed.has_other_parameters
        ),
        "",
    )


def _check_use(
    section: Section, parameters: Mapping[str, Parameter], statements: tuple[ParsedStatement, ...]
) -> None:
    """Refuse parameters without a definition, without use, or that name another in vain."""
    used = {name for parsed in statements for name in parsed.statement.parameters}
    for name in sorted(used - parameters.keys()):
        hint = f": {suggest(name, unused)}" if (unused := sorted(parameters.keys() - used)) else ""
        raise section.error(f"params.{name}", f"it is missing, and the SQL has :{name}{hint}")
    for name, parameter in parameters.items():
        generator = parameter.generator if isinstance(parameter, Value) else None
        if name not in used:
            raise section.error(f"params.{name}", f"no statement has :{name}: leave it out")
        if isinstance(generator, TimeAfter):
            raise section.error(
                f"params.{name}.after", 'it is for columns: write { sql = "now()" }'
            )
        if not isinstance(generator, Json | PersonName | Email) or not generator.by:
            continue
        other = parameters.get(generator.by)
        if not isinstance(other, Value):
            raise section.error(
                f"params.{name}.by", f"there is no parameter {generator.by!r} with a value"
            )
        if isinstance(generator, Json):
            check_templates(section.section("params").section(name), generator, other.generator)


def _option(section: Section, name: str, options: dict[str, str]) -> str:
    """Return the name of the rate's setting; `options` are those of operations before."""
    default = f"{name.replace('_', '-')}-per-hour"
    option = section.text("option", default)
    if not _OPTION.fullmatch(option):
        raise section.error(
            "option",
            f"it is {option!r}: a-z, 0-9 and -, ending in -per-hour, such as {default}",
        )
    setting = option.replace("-", "_")
    if setting in _OURS:
        raise section.error("option", f"--{option} is a setting of its own: choose another one")
    if setting in options:
        raise section.error("option", f"{options[setting]} has --{option}: choose another one")
    options[setting] = name
    return setting
