"""tools.toml: the tools under test, read from the file that TOOLS_FILE names.

An unknown key is refused with its table and the nearest known key. Secrets stay out of the file:
`url_env` names an environment variable or a line of .env.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from loadgen.config.settings import Settings, no_key, read_toml_setting, variable
from loadgen.errors import SettingsError, suggest
from loadgen.tools.columns import Engine, find_name, folded, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA, Convention, Kind, TomlTable, known_conventions

TOOLS_FOLDER: Final = Path(".loadgen") / "tools"  # state of the local tools, by name

_Name = Annotated[str, Field(min_length=1)]
_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_YEAR: Final = 31_536_000  # seconds
# Keys that go with one kind of destination only.
_ONLY_OF: Final = {
    "account": "snowflake",
    "stage": "snowflake",
    "database": "snowflake",
    "warehouse": "snowflake",
    "role": "snowflake",
    "user": "snowflake",
    "private_key_path": "snowflake",
    "url": "postgres",
    "url_env": "postgres",
    "file": "duckdb",
    "path": "parquet",
}
# The runners of this package, and the destinations that each can copy into.
_RUNS_INTO: Final = {
    "replication": ("postgres",),
    "dlt": ("duckdb",),
    "rivet": ("parquet",),
    "simplyload": ("duckdb", "snowflake"),
}
_ONLY_OF_RUNNER: Final = {"cursor_columns": "dlt", "stage": "simplyload"}
_WITHOUT_SLOT: Final = ("dlt",)


def installed_runners() -> list[EntryPoint]:
    """Return the runners that other packages offer, not imported."""
    return list(entry_points(group="loadgen.runners"))


def runner_names() -> list[str]:
    """Return the names that `runner` may have: those of this package, and those installed."""
    return [*_RUNS_INTO, *sorted(entry.name for entry in installed_runners())]


class ToolPrice(TomlTable):
    """The rate card and the plan that price the tool."""

    card: _Name
    plan: _Name | None = None


def local_slot(tool: str) -> str:
    """Return the name of the slot that a local tool makes unless tools.toml names one."""
    return f"loadgen_{word_characters(tool.lower())}"[:63]


class Tool(TomlTable):
    """One tool under test: where its copy is, and how it lands rows.

    A local tool, which has a `runner`, needs no address: its copy is in `folder` by default.
    """

    name: str
    kind: Kind
    destination: Literal["snowflake", "postgres", "duckdb", "parquet"]
    convention: Convention
    named_schema: _Name | None = Field(None, alias="schema")  # pydantic's models have a `schema`
    slot: _Name | None = None
    publication: _Name | None = None  # default: the shared one
    price: ToolPrice | None = None
    url: SecretStr | None = None
    url_env: Annotated[str, Field(pattern=_VARIABLE)] | None = None
    file: Path | None = None
    path: Path | None = None  # of Parquet files
    account: _Name | None = None
    database: _Name | None = None
    warehouse: _Name | None = None
    role: _Name | None = None
    user: _Name | None = None
    private_key_path: Path | None = None
    runner: _Name | None = None
    # How often it syncs; by default as its plan says, or continuously.
    interval_seconds: Annotated[float, Field(gt=0, le=_YEAR, allow_inf_nan=False)] | None = None
    # s3://bucket/prefix of Parquet files: those of a copy, or those that the runner "simplyload"
    # loads. By default they are in `folder`.
    bucket: Annotated[str, Field(pattern=r"^s3://[^/]+")] | None = None
    stage: _Name | None = None  # Snowflake's external stage over the bucket
    # Of the runner "dlt": the first of these that a table has tells it which rows have changed.
    cursor_columns: tuple[_Name, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_convention(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Fill in the keys of the kind's convention that the tool does not override."""
        overrides = raw.get("convention", {})
        if not isinstance(overrides, dict):
            return raw
        if "delete_marker" in overrides:
            overrides = {"deletes": "soft", **overrides}
        # An unknown kind is refused on its own, without errors on its convention.
        standard = known_conventions().get(str(raw.get("kind")), known_conventions()["generic"])
        return {**raw, "convention": {**standard, **overrides}}

    @field_validator("private_key_path")
    @classmethod
    def _no_key(cls, path: Path | None) -> Path | None:
        return no_key(path)

    @model_validator(mode="after")
    def _keys_go_together(self) -> "Tool":
        problem = next(self._problems(), None)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def folds_to(self) -> Literal["upper", "lower"]:
        """How the destination folds unquoted names."""
        return "upper" if folded("a", self.engine) == "A" else "lower"

    @property
    def engine(self) -> Engine:
        """The database that reads the copy."""
        return "duckdb" if self.destination == "parquet" else self.destination

    @property
    def runner_slot(self) -> str:
        """The slot that a local tool reads: `slot`, else one named after the tool."""
        return self.slot or local_slot(self.name)

    @property
    def slot_read(self) -> str | None:
        """The slot that the tool reads, if any."""
        has_its_own = self.runner is not None and self.runner not in _WITHOUT_SLOT
        return self.runner_slot if has_its_own else self.slot

    @property
    def schema_name(self) -> str:
        """The schema of the copy: as named, else by the tool's convention."""
        if self.named_schema is not None:
            return self.named_schema
        name = self.convention.schema_pattern.format(source=SOURCE_SCHEMA)
        return self.convention.folded(name, folds_to=self.folds_to)

    def for_schema(self, source_schema: str) -> "Tool":
        """Return the tool with the copy's schema of another schema of the source.

        A named schema tells the prefix of a pattern with {prefix}, and is that of `public` only.
        """
        pattern = self.convention.schema_pattern
        if source_schema == SOURCE_SCHEMA or "{source}" not in pattern:
            return self
        prefix = ""
        if "{prefix}" in pattern:
            ours = self.convention.folded(pattern.format(prefix="", source=SOURCE_SCHEMA),
                                          folds_to=self.folds_to)  # fmt: skip
            if not self.schema_name.lower().endswith(ours.lower()):
                return self
            prefix = self.schema_name[: -len(ours)]
        name = pattern.format(prefix="", source=source_schema)
        name = prefix + self.convention.folded(name, folds_to=self.folds_to)
        return self.model_copy(update={"named_schema": name})

    def place_of(self, table: str) -> str:
        """Return the copy's quoted name of a table of the source, by the convention."""
        return self.quoted_name(self.convention.table_name(table, folds_to=self.folds_to))

    def quoted_name(self, copy: str) -> str:
        """Return the qualified name of a table of the copy."""
        return quoted(*filter(None, (self.database, self.schema_name, copy)))

    def find_table(self, table: str, names: Iterable[str]) -> str | None:
        """Return the copy's name of a table of the source, if the copy has it."""
        wanted = self.convention.table_name(table, folds_to=self.folds_to)
        return self._find(wanted, self.convention.table_pattern.format(table=table), names)

    def find_column(self, column: str, names: Iterable[str]) -> str | None:
        """Return the copy's name of a column of the source, if the copy has it."""
        return self._find(self.convention.folded(column, folds_to=self.folds_to), column, names)

    def _find(self, wanted: str, exact: str, names: Iterable[str]) -> str | None:
        """Return the catalogue's name for the convention's, or for one that has to be quoted."""
        catalogue = list(names)
        name = find_name(wanted, catalogue, self.engine)
        has_capitals = exact != exact.lower()
        return exact if name is None and has_capitals and exact in catalogue else name

    @property
    def folder(self) -> Path:
        """The folder of a local tool's state, and by default of its copy.

        The copy is an embedded Postgres of this folder, or the file `copy.duckdb` or the folder
        `parquet` in it.
        """
        return TOOLS_FOLDER / self.name

    @property
    def duckdb_file(self) -> Path:
        """The DuckDB database of the copy."""
        return self.file or self.folder / "copy.duckdb"

    @property
    def parquet_folder(self) -> Path:
        """The folder of the copy's Parquet files."""
        return self.path or self.folder / "parquet"

    @property
    def mirror_folder(self) -> Path:
        """The folder into which the copy's files in a bucket are fetched."""
        return self.folder / "s3"

    @property
    def address_setting(self) -> str:
        """The setting that the address comes from, as messages name it."""
        return self.url_env or f"url in [tools.{self.name}]"

    def address(self) -> str | None:
        """Return the Postgres address of the file; None stands for the embedded server of `folder`.

        Raises SettingsError if `url_env` names a variable that is not set.
        """
        if self.url is not None:
            return self.url.get_secret_value()
        if self.url_env is None:
            return None
        url = variable(self.url_env)
        if url is None:
            raise SettingsError(
                f"tool {self.name}: url_env is {self.url_env}, which is not set: set it in the "
                "environment or in .env, to the address of the tool's copy"
            )
        return url

    def _problems(self) -> Iterator[str]:
        """Yield a line for each key that is missing, or contradicts another."""
        for key, destination in _ONLY_OF.items():
            if getattr(self, key) is not None and self.destination != destination:
                yield f'{key} goes with destination = "{destination}" only: remove it'
        for key, runner in _ONLY_OF_RUNNER.items():
            if getattr(self, key) is not None and self.runner != runner:
                yield f'{key} goes with runner = "{runner}" only: remove it'
        if self.bucket is not None and self.runner != "simplyload":
            yield from self._bucket_problems()
        if self.url is not None and self.url_env is not None:
            yield "there are both url and url_env: keep one"
        if self.runner is not None:
            yield from self._runner_problems(self.runner)
        else:
            yield from self._missing_addresses()
        if self.named_schema is None and "{prefix}" in self.convention.schema_pattern:
            yield "schema is missing: its name was chosen when the tool was set up"

    def _bucket_problems(self) -> Iterator[str]:
        if self.destination != "parquet":
            yield 'bucket goes with destination = "parquet" or runner = "simplyload": remove it'
        elif self.path is not None:
            yield "there are both path and bucket: keep one"

    def _missing_addresses(self) -> Iterator[str]:
        if self.destination == "postgres" and self.url is None and self.url_env is None:
            yield "url is missing (or url_env): the address of the copy, postgresql://…"
        elif self.destination == "duckdb" and self.file is None:
            yield "file is missing: the DuckDB database of the copy"
        elif self.destination == "parquet" and self.path is None and self.bucket is None:
            yield "path is missing (or bucket): the folder of the copy's Parquet files"

    def _runner_problems(self, runner: str) -> Iterator[str]:
        into = _RUNS_INTO.get(runner)
        if into is None and runner not in (known := runner_names()):
            yield f"there is no runner {runner}: {suggest(runner, known)}"
        elif into is not None and self.destination not in into:
            names = " or ".join(f'"{destination}"' for destination in into)
            yield f'runner = "{runner}" needs destination = {names}'


def load_tools(settings: Settings) -> tuple[Tool, ...]:
    """Return the tools of TOOLS_FILE in its order; none if the default file does not exist.

    Raises SettingsError, with a line for each problem.
    """
    raw = read_toml_setting(settings, "tools_file")
    return () if raw is None else parse_tools(raw, str(settings.tools_file))


def parse_tools(raw: Mapping[str, Any], where: str) -> tuple[Tool, ...]:
    """Return the tools of a parsed file, which errors name `where`. Raises SettingsError."""
    problems = [
        f"{name} is not known: there is only [tools.NAME]" for name in raw if name != "tools"
    ]
    tables = raw.get("tools", {})
    if not isinstance(tables, dict):
        problems.append("tools has to be tables, [tools.fivetran] for example")
        tables = {}
    tools: list[Tool] = []
    for name, table in tables.items():
        try:
            tools.append(_tool(name, table))
        except ValidationError as exc:
            # The exception's own text would show the values, among them an address's password.
            problems += [_error_line(name, error) for error in exc.errors(include_input=False)]
        except ValueError as exc:
            problems.append(str(exc))
    if problems:
        raise SettingsError("\n".join(f"{where}: {problem}" for problem in problems))
    return tuple(tools)


def select_tools(tools: tuple[Tool, ...], name: str | None) -> tuple[Tool, ...]:
    """Return all tools, or the one of that name. Raises SettingsError if there is none."""
    selected = tuple(tool for tool in tools if name in {None, tool.name})
    if name is None or selected:
        return selected
    hint = suggest(name, [tool.name for tool in tools]) if tools else "it has no tools"
    raise SettingsError(f"no tool {name!r} in TOOLS_FILE: {hint}")


def _tool(name: str, table: object) -> Tool:
    if not isinstance(table, dict):
        raise ValueError(f"tools.{name} has to be a table, [tools.{name}]")  # noqa: TRY004 - as above
    if not name or not all(letter.isalnum() or letter in "_-" for letter in name):
        raise ValueError(f"[tools.{name!r}]: a tool's name is letters, digits, - and _")
    if "name" in table:
        raise ValueError(f"[tools.{name}] has no key name: the table's own is it")
    return Tool.model_validate({**table, "name": name})


def _error_line(name: str, error: ErrorDetails) -> str:
    """Return pydantic's error on a tool's table as a line."""
    *tables, key = [str(part) for part in error["loc"]] or [""]
    table = ".".join(["tools", name, *(part for part in tables if not part.isdecimal())])
    kind, message = error["type"], error["msg"]
    if key == "url_env" and kind == "string_pattern_mismatch":
        return (
            f"[{table}]: url_env has to be the name of a variable, such as COPY_URL; set that "
            "variable to the address, in the environment or in .env"
        )
    if kind == "extra_forbidden":
        return f"[{table}] has no key {key}: {_nearest_key(key, tables)}"
    if kind == "missing":
        return f"[{table}]: {key} is missing"
    if kind == "value_error":
        place = ".".join(filter(None, [table, key]))
        return f"[{place}]: {message.removeprefix('Value error, ')}"
    return f"[{table}]: {key}: {message[0].lower()}{message[1:]}"


def _nearest_key(key: str, tables: list[str]) -> str:
    model: type[BaseModel] = Tool
    for part in tables:
        model = _nested_model(model, part)
    names = [field.alias or name for name, field in model.model_fields.items() if name != "name"]
    return suggest(key, names)


def _nested_model(model: type[BaseModel], key: str) -> type[BaseModel]:
    """Return the model of a nested table; for an index of a list, `model` itself."""
    annotation = model.model_fields[key].annotation if key in model.model_fields else None
    types = [annotation, *getattr(annotation, "__args__", ())]
    return next(
        (kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)), model
    )


def word_characters(name: str) -> str:
    """Return the name with an underscore for each character but ASCII letters and digits."""
    return re.sub(r"[^a-zA-Z0-9]", "_", name)
