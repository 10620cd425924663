"""Reads a workload's folder, workload.toml and schema.sql, into a WorkloadModel.

Every mistake is one ModelError. What only Postgres can judge, types and statements, is checked by
`source.check_model`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from loadgen.errors import SettingsError, suggest
from loadgen.text import seconds_of
from loadgen.untrusted import parse_toml, short
from loadgen.workload.model import (
    MOST_LEVELS,
    Check,
    Conserved,
    ProfileLevels,
    Table,
    WorkloadModel,
)
from loadgen.workload.read_imported import read_imported
from loadgen.workload.read_operations import read_operations
from loadgen.workload.read_sql import SchemaTable, SqlFault, schema_tables
from loadgen.workload.read_tables import read_tables
from loadgen.workload.read_values import Names, Outline, read_choice
from loadgen.workload.section import ModelError, Section, is_number

__all__ = ["ModelError", "built_in_models", "is_built_in", "read_model", "without_transfers"]

_BUILT_IN: Final = Path(__file__).parent / "workloads"
_FILE: Final = "workload.toml"
_SCHEMA: Final = "schema.sql"
_TRANSFERS: Final = "transfers"  # the built-in model that may stand beside another
_BESIDE: Final = f"+{_TRANSFERS}"
_MOST_FILE_BYTES: Final = 10_000_000
_LONGEST_NAME: Final = 40
_LONGEST_EVERY: Final = 366 * 86_400
_HIGHEST_LEVEL: Final = 1_000_000
_REPEATED: Final = re.compile(r"Cannot overwrite a value \(at line (\d+)")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def built_in_models() -> tuple[str, ...]:
    """Return the names of the built-in models."""
    return tuple(sorted(file.parent.name for file in _BUILT_IN.glob(f"*/{_FILE}")))


def without_transfers(name_or_folder: str) -> str:
    """Return the workload beside which `transfers` stand, or the same."""
    is_folder = Path(name_or_folder).expanduser().is_dir()
    return name_or_folder if is_folder else name_or_folder.removesuffix(_BESIDE)


def is_built_in(name: str) -> bool:
    """Return whether a model of this name is read from no files but ours."""
    return name.removesuffix(_BESIDE) in built_in_models()


@dataclass(frozen=True, slots=True)
class _Files:
    """A workload's files as they were read; without a schema.sql its text is empty."""

    name: str
    folder: Path
    toml: str
    document: Section
    schema_sql: str


def read_model(name_or_folder: str) -> WorkloadModel:
    """Return the model of a built-in name or a folder, which +transfers may follow.

    Raises ModelError.
    """
    files = _read_files(name_or_folder)
    document = files.document
    schema = _schema(files.folder / _SCHEMA, files.schema_sql) if files.schema_sql else None
    section = document.section("pools")
    pools = {name: read_choice(section, name) for name in section.entries}
    tables, outlines = read_tables(document, pools, schema)
    operations = read_operations(
        document, tables, Names(outlines, pools), has_schema=schema is not None
    )
    changed = {s.table: None for o in operations.values() for s in o.statements if s.table}
    tables |= {t: Table(t, key=outlines[t].key) for t in changed if t not in tables}
    text = f"{len(files.toml)}:{files.toml}{files.schema_sql}"
    return WorkloadModel(
        name=files.name,
        title=document.text("title", files.name),
        tables=tables,
        operations=operations,
        checks=tuple(_checks(document)),
        conserved=tuple(_conserved(document, {table: outlines[table] for table in tables})),
        schema_sql=files.schema_sql,
        digest=sha256(text.encode()).hexdigest(),
        source=str(files.folder),
        imported=read_imported(document),
        profile=_profile(document),
    )


def _read_files(name_or_folder: str) -> _Files:
    """Return the files of a model. Raises ModelError."""
    base = name_or_folder.removesuffix(_BESIDE)
    is_folder = not is_built_in(base) and Path(name_or_folder).expanduser().is_dir()
    if base != name_or_folder and not is_folder:
        return _with_transfers(_read_files(base))
    folder = _folder(name_or_folder)
    toml = _text(folder / _FILE)
    schema_sql = _text(folder / _SCHEMA) if (folder / _SCHEMA).exists() else ""
    document = _document(folder / _FILE, toml)
    return _Files(_model_name(folder), folder, toml, document, schema_sql)


def _with_transfers(files: _Files) -> _Files:
    """Return a workload with the tables, operation and sums of `transfers` beside its own.

    Without a schema.sql the tables are made from the types of their values. Raises ModelError.
    """
    added, entries = _read_files(_TRANSFERS), dict(files.document.entries)
    for key in ("tables", "operations", "conserved"):
        own, theirs = files.document.section(key).entries, added.document.section(key).entries
        if taken := next((name for name in theirs if name in own), None):
            raise files.document.error(f"{key}.{taken}", f"{_BESIDE} has one of this name too")
        entries[key] = {**own, **theirs}
    return _Files(
        name=f"{files.name[: _LONGEST_NAME - len(_TRANSFERS) - 1]}_{_TRANSFERS}",
        folder=files.folder,
        toml=files.toml + added.toml,
        document=replace(files.document, entries=entries),
        schema_sql=f"{files.schema_sql}\n;\n{added.schema_sql}" if files.schema_sql else "",
    )


def _folder(name_or_folder: str) -> Path:
    """Return the folder of a model. Raises ModelError if there is none."""
    built_in = built_in_models()
    if name_or_folder in built_in:
        return _BUILT_IN / name_or_folder
    path = Path(name_or_folder).expanduser()
    folder = path.parent if path.name == _FILE else path
    if (folder / _FILE).exists():
        return folder
    if folder.is_dir():
        raise ModelError(f"{folder} has no {_FILE}: docs/workload.md says what it holds")
    raise ModelError(
        f"there is no workload {name_or_folder!r}: give a folder with a {_FILE}, or a built-in "
        f"name; {suggest(name_or_folder, built_in)}"
    )


def _text(file: Path) -> str:
    """Return a file's text. Raises ModelError."""
    try:
        if file.stat().st_size > _MOST_FILE_BYTES:
            raise ModelError(f"{file} is larger than {_MOST_FILE_BYTES:,} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ModelError(f"{file} can't be read ({exc}): it has to be a UTF-8 text") from exc


def _document(file: Path, toml: str) -> Section:
    try:
        document = Section(str(file), "", "", parse_toml(toml, str(file)))
    except SettingsError as exc:
        raise ModelError(_REPEATED.sub(partial(_repeated, toml), str(exc))) from exc
    document.only(
        *("title", "profile", "pools", "tables", "operations", "checks", "conserved", "imported")
    )
    for key in ("tables", "operations"):
        if not document.section(key).entries:
            raise document.error(key, f"it is missing: a workload has {key}, such as [{key}.name]")
    return document


def _repeated(toml: str, at: re.Match[str]) -> str:
    """Return that a key is given twice, with its name if the line has it."""
    line = toml.splitlines()[int(at[1]) - 1 :][:1]
    key = re.match(r"\s*([^=]+?)\s*=", line[0]) if line else None
    return f"{key[1] if key else 'a key'} is given twice (at line {at[1]}"


def _schema(file: Path, sql: str) -> Mapping[str, SchemaTable]:
    try:
        return schema_tables(sql)
    except SqlFault as exc:
        raise ModelError(f"{file}: {exc}") from exc


def _model_name(folder: Path) -> str:
    """Return the folder's name as a name of a database: a-z, 0-9 and _."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")
    return (name if _NAME.fullmatch(name) else f"workload_{name}".rstrip("_"))[:_LONGEST_NAME]


def _profile(document: Section) -> ProfileLevels | None:
    if "profile" not in document:
        return None
    if not isinstance(document.entries["profile"], dict):
        raise document.wrong("profile", 'a table: { every = "1h", levels = [0.5, 1.5] }')
    profile = document.section("profile")
    profile.only("every", "levels")
    return ProfileLevels(_every(profile), _levels(profile))


def _every(profile: Section) -> float:
    wanted = 'a time of a second to a year, such as "1h", "10m" or "90s"'
    try:
        seconds = seconds_of(profile.text("every"))
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= _LONGEST_EVERY:
        raise profile.wrong("every", wanted)
    return seconds


def _levels(profile: Section) -> tuple[float, ...]:
    wanted = "a list of numbers, such as [0.5, 1.5]"
    if "levels" not in profile:
        raise profile.error("levels", f"it is missing: give {wanted}")
    levels = profile.entries["levels"]
    if not isinstance(levels, list) or not levels:
        raise profile.wrong("levels", wanted)
    for level in levels:
        if not is_number(level) or not 0 <= level <= _HIGHEST_LEVEL:
            raise profile.error("levels", f"{short(level)} is no number from 0 to a million")
    if len(levels) > MOST_LEVELS:
        raise profile.error(
            "levels", f"{len(levels):,} are more than {MOST_LEVELS:,}: give a longer `every`"
        )
    if not any(levels):
        raise profile.error("levels", "all are 0, so nothing would be written: give one above 0")
    return tuple(map(float, levels))


def _checks(document: Section) -> Iterator[Check]:
    for name in document.section("checks").entries:
        check = document.headed("checks", name)
        check.only("title", "violations", "noun")
        _require_name(check, name, "check")
        yield Check(
            name=name,
            title=check.text("title", name.replace("_", " ")),
            violations=check.text("violations").strip().rstrip(";"),
            noun=check.text("noun", "violations"),
        )


def _conserved(document: Section, outlines: Mapping[str, Outline]) -> Iterator[Conserved]:
    for name in document.section("conserved").entries:
        conserved = document.headed("conserved", name)
        conserved.only("title", "sums")
        _require_name(conserved, name, "conserved sum")
        columns = tuple(_column(conserved, text, outlines) for text in conserved.texts("sums"))
        if not columns or len(set(columns)) < len(columns):
            raise conserved.wrong("sums", 'columns, each once, such as ["accounts.balance"]')
        title = conserved.text("title", f"sums of {name.replace('_', ' ')} agree")
        yield Conserved(name, title, columns)


def _column(conserved: Section, text: str, outlines: Mapping[str, Outline]) -> tuple[str, str]:
    """Return table and column of "table.column"; what sqlglot can't tell is left to Postgres."""
    table, _, column = text.rpartition(".")
    if table not in outlines:
        place = f"there is no table {table!r}" if table else f"{text!r} names no table"
        raise conserved.error("sums", f"{place}: {suggest(table or text, outlines)}")
    known = outlines[table].known
    if known and column not in known:
        raise conserved.error("sums", f"{table} has no column {column!r}: {suggest(column, known)}")
    return table, column


def _require_name(section: Section, name: str, noun: str) -> None:
    if not _NAME.fullmatch(name):
        raise section.error("", f"a {noun}'s name has a-z, 0-9 and _, and begins with a letter")
