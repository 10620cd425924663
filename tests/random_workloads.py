"""Texts of workloads at random: most are sound, some have a mistake somewhere."""

import json
from collections.abc import Iterator
from typing import Any, Final

from hypothesis import strategies as st

_TABLES: Final = ("accounts", "Order", "user", "sales.items", "log")
_COLUMNS: Final = ("Name", "select", "amount", "note", "at")
_STATES: Final = {
    "column": "state",
    "version": "moves",
    "first": "new",
    "next": {"new": {"open": 3, "done": 1}, "open": {"new": 1}},
}
_JUNK: Final = st.sampled_from((-1, 10**12, "nonsense", "", [], {}, True, 0.5, ["a", 1]))
_LEAST_PER_HOUR, _MOST_PER_HOUR = 36_000, 1_080_000

Entry = dict[str, Any]


def workload_texts() -> st.SearchStrategy[str]:
    """Return texts of workload.toml with one to four tables and as many operations."""
    return _documents().map(toml)


def toml(document: Entry) -> str:
    """Return a document as TOML: a header for each table and operation, values in a line."""
    lines = []
    for kind, sections in document.items():
        for name, section in sections.items():
            lines.append(f"[{kind}.{json.dumps(name)}]")
            lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in section.items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {_value(part)}" for key, part in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


@st.composite
def _documents(draw: st.DrawFn) -> Entry:
    names = draw(st.lists(st.sampled_from(_TABLES), min_size=1, max_size=4, unique=True))
    keys = {name: draw(_keys()) for name in names}
    tables = {name: draw(_table(keys, name)) for name in names}
    operations: dict[str, Entry] = {}
    for i in range(draw(st.integers(1, 4))):
        operations[f"op_{i}"] = draw(_operation(tables, keys, operations))
    # Parts that several places share become separate ones.
    document: Entry = json.loads(json.dumps({"tables": tables, "operations": operations}))
    if draw(st.integers(0, 5)) == 5:
        draw(_spoil(document))
    return document


def _keys() -> st.SearchStrategy[dict[str, Entry]]:
    """Return the columns of a table's key with their values; {} for none."""
    sequence = {"generate": "sequence"}
    return st.sampled_from(
        (
            {"id": sequence},
            {"id": {**sequence, "start": 100, "type": "integer"}},
            {"Key": {"generate": "uuid"}},
            {"code": {**sequence, "pattern": "K-{:05}"}},
            {"id": sequence, "part": {"number": [1, 9]}},
            {},
        )
    )


@st.composite
def _table(draw: st.DrawFn, keys: dict[str, dict[str, Entry]], name: str) -> Entry:
    own = keys[name]
    table: Entry = {"rows": draw(st.sampled_from((60, 7, 1, 60, 60, 60, 0))), "columns": dict(own)}
    if len(own) != 1 or draw(st.booleans()):
        table["key"] = list(own)
    for column in draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, unique=True)):
        value = draw(_generators(keys))
        if not {"value", "default"} & value.keys() and draw(st.booleans()):
            value = value | {"null": draw(st.sampled_from((0.1, 0.5, 1)))}
        table["columns"][column] = value
    if draw(st.integers(0, 2)) == 0:
        table["version"] = "version"
        table["columns"]["version"] = {"value": 0}
    elif len(own) == 1 and draw(st.integers(0, 2)) == 0:
        table["states"] = _STATES
        table["columns"] |= {"state": {"value": "new"}, "moves": {"value": 0}}
    if draw(st.integers(0, 3)) == 0:
        table["columns"]["gone_at"] = {"time": "even", "null": 0.8}
        table["gone"] = {"column": "gone_at", "share": draw(st.sampled_from((0.1, 0.5)))}
    return table


def _generators(keys: dict[str, dict[str, Entry]]) -> st.SearchStrategy[Entry]:
    whole = {"number": [-5, 900]}
    plain: tuple[Entry, ...] = (
        whole,
        {"number": [1, 9], "skew": 3},
        {"decimal": [0, 500], "scale": 2},
        {"text": [0, 30]},
        {"choose": {"eu": 60, 'it\'s "us"': 40}},
        {"generate": "boolean"},
        {"generate": "uuid"},
        {"generate": "name"},
        {"generate": "email"},
        {"bytes": [0, 20]},
        {"time": "growth"},
        {"time": "even", "type": "date"},
        {"json": {"a": whole, "b": "x"}},
        {"array": whole, "length": [0, 3]},
        {"value": "grey"},
        {"default": True, "type": "text"},
    )
    keyed = [name for name, key in keys.items() if len(key) == 1]
    if not keyed:
        return st.sampled_from(plain)
    rows = st.sampled_from(keyed)
    references = st.builds(
        lambda table, skew: {"row": table, "skew": skew}, rows, st.sampled_from((1, 2, 3.5))
    )
    return st.one_of(st.sampled_from(plain), references)


@st.composite
def _operation(
    draw: st.DrawFn,
    tables: dict[str, Entry],
    keys: dict[str, dict[str, Entry]],
    before: dict[str, Entry],
) -> Entry:
    name = draw(st.sampled_from([*tables]))
    operation: Entry = {"per_hour": draw(st.integers(_LEAST_PER_HOUR, _MOST_PER_HOUR))}
    forms = ["insert", "insert", "update", "update", "delete", "sql"]
    forms += ["move"] * 3 if "states" in tables[name] else []
    form = draw(st.sampled_from(forms))
    if form == "sql":
        return operation | draw(_transaction(name, tables, keys))
    operation[form] = name
    if form in ("update", "delete"):
        inserts = [other for other, entry in before.items() if entry.get("insert") == name]
        column = next(iter(keys[name]), next(iter(tables[name]["columns"])))
        place = {} if len(keys[name]) == 1 else {"column": column}
        rows: list[Entry] = [{"once": True, "share": 0.5} | place, {"once": True} | place]
        rows += [{"inserted": other, "order": "oldest"} for other in inserts] * 2
        if form == "update":
            rows += [{"skew": 2} | place, place] * 2
            rows += [{"inserted": other, "order": "newest"} for other in inserts]
        operation["row"] = draw(st.sampled_from(rows))
    changeable = sorted(tables[name]["columns"].keys() - {*keys[name], "version", "state", "moves"})
    if form == "update":
        column = draw(st.sampled_from(changeable))
        operation["set"] = {column: draw(_settings(tables[name]["columns"][column], column))}
    if form in ("update", "delete") and draw(st.booleans()):
        column = draw(st.sampled_from(changeable))
        null = draw(st.sampled_from(("IS NULL", "IS NOT NULL")))
        operation["where"] = f'"{column}" {null}'
    return operation


def _settings(value: Entry, column: str) -> st.SearchStrategy[Entry]:
    """Return the settings that a column may have."""
    value = {key: part for key, part in value.items() if key != "type"}
    return st.sampled_from((value, {"sql": "NULL"}, {"sql": f'"{column}"'}))


@st.composite
def _transaction(
    draw: st.DrawFn, name: str, tables: dict[str, Entry], keys: dict[str, dict[str, Entry]]
) -> Entry:
    """Return an operation of two statements: one changes a row, the other one inserts."""
    other = draw(st.sampled_from([*tables]))
    column = draw(st.sampled_from(sorted(tables[name]["columns"].keys() - {*keys[name]})))
    key = next(iter(keys[name]), column)
    version = {"version", "moves"} & tables[name]["columns"].keys()
    raised = "".join(f', "{column}" = "{column}" + 1' for column in version)
    new = {made: f"new_{i}" for i, made in enumerate(keys[other] or list(tables[other]["columns"]))}
    names = ", ".join(f'"{made}"' for made in new)
    values = ", ".join(f":{parameter}" for parameter in new.values())
    sql = (
        f'UPDATE {_quoted(name)} SET "{column}" = "{column}"{raised} WHERE "{key}" = :target;\n'
        f"INSERT INTO {_quoted(other)} ({names}) VALUES ({values});"
    )
    params: Entry = {
        "target": {"row": name, "column": key} | draw(st.sampled_from(({}, {"once": True})))
    }
    for i, (made, parameter) in enumerate(new.items()):
        own = bool(keys[other]) and i == 0
        params[parameter] = {"key": True} if own else {"like": f"{other}.{made}"}
    return {"sql": sql, "params": params}


def _quoted(table: str) -> str:
    return ".".join(f'"{part}"' for part in table.split("."))


@st.composite
def _spoil(draw: st.DrawFn, document: Entry) -> None:
    """Replace or remove a random part of a document."""
    entry, key = draw(st.sampled_from([*_places(document)]))
    if draw(st.booleans()):
        del entry[key]
    else:
        entry[key] = draw(_JUNK)


def _places(entry: Entry, depth: int = 0) -> Iterator[tuple[Entry, str]]:
    """Yield the keys within tables and operations, each with the entry that has it."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from _places(value, depth + 1)
        if depth > 1:
            yield entry, key
