"""tools.toml: the tools under test, read from the file that TOOLS_FILE names.

A name that is not known is refused with the table that it stands in and the nearest one that is.
Secrets stay out of the file where `url_env` names an environment variable or a line of .env.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from loadgen.config.settings import Settings, no_key, variable
from loadgen.config.toml_file import read_named
from loadgen.errors import SettingsError, meant
from loadgen.tools.columns import find_name, folded, quoted
from loadgen.tools.conventions import SOURCE_SCHEMA, Convention, Kind, Table, known

TOOLS_FOLDER: Final = Path(".loadgen") / "tools"  # where local tools keep what they need, by name

_Name = Annotated[str, Field(min_length=1)]
_VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_YEAR: Final = 31_536_000  # seconds
# Keys that only one kind of destination understands.
_ONLY_OF: Final = {
    "account": "snowflake",
    "database": "snowflake",
    "warehouse": "snowflake",
    "role": "snowflake",
    "user": "snowflake",
    "private_key_path": "snowflake",
    "url": "postgres",
    "url_env": "postgres",
    "file": "duckdb",
}
_RUNS_INTO: Final = {"replication": "postgres", "dlt": "duckdb"}


class Price(Table):
    """Which rate card prices the tool, and which plan of it."""

    card: _Name
    plan: _Name | None = None


class Tool(Table):
    """One tool under test: where its copy is, and how it lays it down.

    A local tool, one with a `runner`, may go without an address: its copy then lives in `folder`.
    """

    name: str
    kind: Kind
    destination: Literal["snowflake", "postgres", "duckdb"]
    convention: Convention
    given_schema: _Name | None = Field(None, alias="schema")  # pydantic has a `schema` of its own
    slot: _Name | None = None
    publication: _Name | None = None  # the tool's own; without it the shared one
    price: Price | None = None
    url: SecretStr | None = None
    url_env: Annotated[str, Field(pattern=_VARIABLE)] | None = None
    file: Path | None = None
    account: _Name | None = None
    database: _Name | None = None
    warehouse: _Name | None = None
    role: _Name | None = None
    user: _Name | None = None
    private_key_path: Path | None = None
    runner: Literal["replication", "dlt"] | None = None
    # How often it syncs; without it by its plan, or all the time.
    interval_seconds: Annotated[float, Field(gt=0, le=_YEAR, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_convention(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Fill in the kind's convention where the tool does not replace it."""
        changed = raw.get("convention", {})
        if isinstance(changed, dict) and "delete_marker" in changed:
            changed = {"deletes": "soft", **changed}
        # A kind that is not known is refused as such, without a word on its convention.
        usual = known().get(str(raw.get("kind")), known()["generic"])
        return {**raw, "convention": {**usual, **changed} if isinstance(changed, dict) else changed}

    @field_validator("private_key_path")
    @classmethod
    def _no_key(cls, path: Path | None) -> Path | None:
        return no_key(path)

    @model_validator(mode="after")
    def _whole(self) -> "Tool":
        problem = next(self._problems(), None)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def folds_to(self) -> Literal["upper", "lower"]:
        """How the destination writes names that nobody quoted."""
        return "upper" if folded("a", self.destination) == "A" else "lower"

    @property
    def runner_slot(self) -> str:
        """The slot of the runner "replication": as named, else by the tool's name."""
        named = (one if one.isascii() and one.isalnum() else "_" for one in self.name.lower())
        return self.slot or f"loadgen_{''.join(named)}"[:63]

    @property
    def slot_read(self) -> str | None:
        """The slot that it reads, if any."""
        return self.runner_slot if self.runner == "replication" else self.slot

    @property
    def schema_name(self) -> str:
        """The schema of the copy: as given, else by the tool's convention."""
        if self.given_schema is not None:
            return self.given_schema
        name = self.convention.schema_pattern.format(source=SOURCE_SCHEMA)
        return self.convention.folded(name, folds_to=self.folds_to)

    def place_of(self, table: str) -> str:
        """Return the quoted name of the copy of a table of the source, by the convention."""
        return self.quoted_name(self.convention.table_name(table, folds_to=self.folds_to))

    def quoted_name(self, copy: str) -> str:
        """Return the whole name of a table of the copy."""
        return quoted(*filter(None, (self.database, self.schema_name, copy)))

    def find_table(self, table: str, names: Iterable[str]) -> str | None:
        """Return which of the copy's tables is that of the source's `table`."""
        wanted = self.convention.table_name(table, folds_to=self.folds_to)
        return find_name(wanted, names, self.destination)

    def find_column(self, column: str, names: Iterable[str]) -> str | None:
        """Return which of a copy's columns is the source's `column`."""
        wanted = self.convention.folded(column, folds_to=self.folds_to)
        return find_name(wanted, names, self.destination)

    @property
    def folder(self) -> Path:
        """Where a local tool keeps its state, and its copy where it was given no address.

        An embedded Postgres of that folder, or a file `copy.duckdb` in it.
        """
        return TOOLS_FOLDER / self.name

    @property
    def duckdb_file(self) -> Path:
        """The DuckDB database of the copy."""
        return self.file or self.folder / "copy.duckdb"

    @property
    def address_setting(self) -> str:
        """The setting that a given address comes from, as messages name it."""
        return self.url_env or f"url in [tools.{self.name}]"

    def address(self) -> str | None:
        """Return the Postgres address that was given, None for the embedded server of `folder`.

        Raises SettingsError where `url_env` names a variable that is not set.
        """
        if self.url is not None:
            return self.url.get_secret_value()
        if self.url_env is None:
            return None
        found = variable(self.url_env)
        if found is None:
            raise SettingsError(
                f"tool {self.name}: url_env is {self.url_env}, which is not set: set it in the "
                "environment or in .env, to the address of the tool's copy"
            )
        return found

    def _problems(self) -> Iterator[str]:
        """Yield what stands there and does not go together, and what is missing."""
        for key, destination in _ONLY_OF.items():
            if getattr(self, key) is not None and self.destination != destination:
                yield f'{key} goes with destination = "{destination}" only: remove it'
        if self.url is not None and self.url_env is not None:
            yield "there are both url and url_env: keep one"
        if self.runner is None:
            yield from self._problems_of_address()
        elif self.destination != _RUNS_INTO[self.runner]:
            yield f'runner = "{self.runner}" needs destination = "{_RUNS_INTO[self.runner]}"'
        if self.given_schema is None and "{prefix}" in self.convention.schema_pattern:
            yield "schema is missing: its name was chosen when the tool was set up"

    def _problems_of_address(self) -> Iterator[str]:
        if self.destination == "postgres" and self.url is None and self.url_env is None:
            yield "url is missing (or url_env): the address of the copy, postgresql://…"
        if self.destination == "duckdb" and self.file is None:
            yield "file is missing: the DuckDB database of the copy"


def load_tools(settings: Settings) -> tuple[Tool, ...]:
    """Return the tools in TOOLS_FILE, in its order; none where nobody wrote the file.

    Raises SettingsError: for a file that was named and is not there, and for each thing in it that
    is not understood.
    """
    raw = read_named(settings, "tools_file")
    return () if raw is None else parse_tools(raw, str(settings.tools_file))


def parse_tools(raw: Mapping[str, Any], where: str) -> tuple[Tool, ...]:
    """Return the tools of a parsed file that errors call `where`. Raises SettingsError."""
    bad = [f"{name} is not known: there is only [tools.NAME]" for name in raw if name != "tools"]
    tables = raw.get("tools", {})
    if not isinstance(tables, dict):
        bad, tables = [*bad, "tools has to be tables, [tools.fivetran] for example"], {}
    tools: list[Tool] = []
    for name, table in tables.items():
        try:
            tools.append(_tool(name, table))
        except ValidationError as exc:
            # Its text would hold the values, a password in an address among them.
            bad += [_line(name, error) for error in exc.errors(include_input=False)]
        except ValueError as exc:
            bad.append(str(exc))
    if bad:
        raise SettingsError("\n".join(f"{where}: {text}" for text in bad))
    return tuple(tools)


def chosen(tools: tuple[Tool, ...], name: str | None) -> tuple[Tool, ...]:
    """Return all tools, or the one of that name. Raises SettingsError where there is none."""
    found = tuple(tool for tool in tools if name in {None, tool.name})
    if name is None or found:
        return found
    hint = meant(name, [tool.name for tool in tools]) if tools else "it has no tools"
    raise SettingsError(f"no tool {name!r} in TOOLS_FILE: {hint}")


def _tool(name: str, table: object) -> Tool:
    if not isinstance(table, dict):
        raise ValueError(f"tools.{name} has to be a table, [tools.{name}]")  # noqa: TRY004 - as above
    if not name or not all(letter.isalnum() or letter in "_-" for letter in name):
        raise ValueError(f"[tools.{name!r}]: a tool's name is letters, digits, - and _")
    if "name" in table:
        raise ValueError(f"[tools.{name}] has no key name: the table's own is it")
    return Tool.model_validate({**table, "name": name})


def _line(name: str, error: ErrorDetails) -> str:
    """Return one line on what is wrong in a tool's table."""
    *tables, key = [str(part) for part in error["loc"]] or [""]
    table = ".".join(["tools", name, *(part for part in tables if not part.isdecimal())])
    kind, said = error["type"], error["msg"]
    if key == "url_env" and kind == "string_pattern_mismatch":
        return (
            f"[{table}]: url_env has to be the name of a variable, as COPY_URL; the address itself "
            "is the variable's, in the environment or in .env"
        )
    if kind == "extra_forbidden":
        return f"[{table}] has no key {key}: {_meant(key, tables)}"
    if kind == "missing":
        return f"[{table}]: {key} is missing"
    if kind == "value_error":
        place = ".".join(filter(None, [table, key]))
        return f"[{place}]: {said.removeprefix('Value error, ')}"
    return f"[{table}]: {key}: {said[0].lower()}{said[1:]}"


def _meant(key: str, tables: list[str]) -> str:
    model: type[BaseModel] = Tool
    for part in tables:
        model = _inner(model, part)
    names = [field.alias or name for name, field in model.model_fields.items() if name != "name"]
    return meant(key, names)


def _inner(model: type[BaseModel], key: str) -> type[BaseModel]:
    """Return the model of a table within a table; the same for a place in a list."""
    annotation = model.model_fields[key].annotation if key in model.model_fields else None
    inner = [annotation, *getattr(annotation, "__args__", ())]
    return next(
        (one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)), model
    )
