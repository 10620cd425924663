"""tools.toml: its contents, and the error for each mistake in it."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from loadgen.config.settings import Settings, load_settings
from loadgen.errors import SettingsError
from loadgen.tools.conventions import known_conventions
from loadgen.tools.runners.runners import RUNNERS
from loadgen.tools.tools_file import Tool, load_tools, parse_tools, runner_names, select_tools

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "tools.example.toml").read_text(encoding="utf-8")
COPY = 'kind = "postgres"\ndestination = "postgres"\nurl = "postgresql://me:secret@h/copy"\n'
WAREHOUSE = 'destination = "snowflake"\ndatabase = "D"\nschema = "S"\n'


def parsed(text: str) -> tuple[Tool, ...]:
    """Return the tools of a text."""
    return parse_tools(tomllib.loads(text), "tools.toml")


def only(text: str) -> Tool:
    """Return the one tool of a table's text."""
    (tool,) = parsed(f"[tools.copy]\n{text}")
    return tool


def refused(text: str) -> str:
    """Return the error for a text that is refused."""
    with pytest.raises(SettingsError) as caught:
        parsed(text)
    return str(caught.value)


def test_the_example_has_the_four_tools_on_snowflake() -> None:
    """The example, which users copy, is read unchanged."""
    tools = parsed(EXAMPLE)
    assert [tool.kind for tool in tools] == ["fivetran", "airbyte", "rivery", "simplyload"]
    assert {tool.destination for tool in tools} == {"snowflake"}
    assert tools[0].schema_name == "PLAYGROUND_PUBLIC"
    assert tools[0].price is not None
    assert tools[0].price.card == "fivetran"


def test_the_example_s_local_tools_are_read_once_uncommented() -> None:
    """The commented tables are right too."""
    local = EXAMPLE.partition("--- Tools that run")[2].partition("\n\n")[2]
    text = "\n".join(
        line.removeprefix("# ") for line in local.splitlines() if " = " in line or "[" in line
    )
    replication, dlt, rivet, reference = parsed(text)
    assert (replication.runner, replication.address()) == ("replication", None)
    assert dlt.interval_seconds == 10
    assert dlt.duckdb_file == Path(".loadgen/tools/dlt/copy.duckdb")
    assert rivet.parquet_folder == Path(".loadgen/tools/rivet/parquet")
    slots = [tool.slot_read for tool in (replication, dlt, rivet, reference)]
    assert slots == ["loadgen_replication", None, "loadgen_rivet", "loadgen_reference"]


def test_each_runner_may_be_named() -> None:
    """The names of tools.toml are those of the runners."""
    assert runner_names()[: len(RUNNERS)] == list(RUNNERS)


def test_each_kind_has_a_convention_and_none_is_left_over() -> None:
    """Kinds and conventions.toml agree, and each convention is whole."""
    assert set(known_conventions()) == set(Tool.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]
    for kind in known_conventions():
        tool = only(f'kind = "{kind}"\n{WAREHOUSE}')
        assert tool.convention.deletes in {"soft", "hard", "none"}
        assert (tool.convention.deletes == "soft") == (tool.convention.delete_marker is not None)


def test_a_tool_never_changes() -> None:
    """It is frozen."""
    with pytest.raises(ValidationError, match="frozen"):
        only(COPY).slot = "other"  # type: ignore[misc]


def test_a_convention_s_single_key_is_replaced() -> None:
    """The rest stays the kind's."""
    tool = only(f'kind = "airbyte"\n{WAREHOUSE}convention.deletes = "hard"')
    assert tool.convention.deletes == "hard"
    assert tool.convention.ignores("_AIRBYTE_RAW_ID")
    assert not tool.convention.ignores("id")


def test_names_are_in_the_destination_s_case_unless_the_tool_writes_its_own() -> None:
    """Snowflake folds to capitals, the others do not; Airbyte writes capitals anywhere."""
    assert only(COPY).schema_name == "public"
    generic = only('kind = "generic"\ndestination = "snowflake"\ndatabase = "D"')
    assert generic.schema_name == "PUBLIC"
    assert generic.convention.table_name("users", folds_to="upper") == "USERS"
    airbyte = only('kind = "airbyte"\ndestination = "duckdb"\nfile = "a.db"\nschema = "x"')
    assert airbyte.convention.table_name("users", folds_to="lower") == "USERS"


def test_a_table_pattern_names_the_tables() -> None:
    """A prefix that was chosen in the tool, say."""
    tool = only(f'{COPY}convention.table_pattern = "pg_{{table}}"')
    assert tool.convention.table_name("users", folds_to=tool.folds_to) == "pg_users"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{COPY}slott = "s"', "[tools.copy] has no key slott: did you mean slot?"),
        (f'{COPY}shema = "s"', "[tools.copy] has no key shema: did you mean schema?"),
        (
            f'{COPY}price = {{ crad = "c" }}',
            "[tools.copy.price] has no key crad: did you mean card?",
        ),
        (
            f'{COPY}convention.ignored = ["a"]',
            "[tools.copy.convention] has no key ignored: did you mean ignored_columns?",
        ),
        (
            f'{COPY}convention.load_time = {{ column = "c", clock = "tool", mean = "m" }}',
            "[tools.copy.convention.load_time] has no key mean: did you mean means?",
        ),
        (
            f'{COPY}convention.lossy = [{{ sauce = "numeric" }}]',
            "[tools.copy.convention.lossy] has no key sauce: did you mean source?",
        ),
        (
            f'{COPY}convention.delete_marker = {{ column = "_meta/op", equal = "d" }}',
            "[tools.copy.convention.delete_marker] has no key equal: did you mean equals?",
        ),
        (
            f'{COPY}convention.delete_marker = {{ column = "_meta/op" }}',
            '[tools.copy.convention.delete_marker]: _meta/op needs one of when = "true"',
        ),
        (
            f'{COPY}convention.current_row = {{ column = "c", when = "true", equals = "d" }}',
            "[tools.copy.convention.current_row]: c needs one of",
        ),
        (
            f'{COPY}convention.delete_marker = {{ column = "c", equals = true }}',
            'for a boolean write when = "true"',
        ),
        (
            f"{COPY}convention.delete_marker = {{ column = 'c', equals = 'a\\b' }}",
            "a value has no backslash",
        ),
        (COPY.replace('"postgres"', '"fivetron"', 1), "[tools.copy]: kind: input should be"),
        (f'{COPY}database = "D"', 'database goes with destination = "snowflake" only'),
        (
            'kind = "postgres"\ndestination = "postgres"\nurl_env = "postgresql://u:secret@h/d"',
            "url_env has to be the name of a variable",
        ),
        (f"{COPY}interval_seconds = 1e300", "interval_seconds: input should be less"),
        (f'{COPY}private_key_path = "-----BEGIN KEY----- secret"', "not the key itself"),
        (f'{COPY}url_env = "U"', "there are both url and url_env: keep one"),
        (f'{COPY}runner = "dlt"', 'runner = "dlt" needs destination = "duckdb"'),
        ('kind = "postgres"\ndestination = "postgres"', "url is missing (or url_env)"),
        (
            f'{COPY}cursor_columns = ["at"]',
            '[tools.copy]: cursor_columns goes with runner = "dlt" only: remove it',
        ),
        (f'{COPY}runner = "dtl"', "[tools.copy]: there is no runner dtl: did you mean dlt?"),
        ('kind = "postgres"\ndestination = "duckdb"', "file is missing"),
        ('kind = "postgres"\ndestination = "parquet"', "path is missing"),
        (f'{COPY}path = "a"', 'path goes with destination = "parquet" only: remove it'),
        ('kind = "fivetran"\ndestination = "snowflake"', "schema is missing"),
        (f'{COPY}name = "x"', "[tools.copy] has no key name"),
        ('destination = "postgres"', "[tools.copy]: kind is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_table(text: str, said: str) -> None:
    """One line: file, table, key, and the nearest that is known."""
    message = refused(f"[tools.copy]\n{text}")
    assert said in message
    assert message.startswith("tools.toml: ")
    assert "secret" not in message


def test_what_is_no_table_of_tools_is_refused() -> None:
    """Names next to [tools.NAME], values in place of tables, names that are none."""
    assert "tool is not known" in refused("[tool.copy]")
    assert "tools has to be tables" in refused("tools = 3")
    assert "tools.copy has to be a table" in refused("tools.copy = 3")
    assert "a tool's name is letters" in refused('[tools."a b"]\nkind = "dlt"')


def test_all_that_is_wrong_is_said_at_once() -> None:
    """One line each, whatever its table."""
    message = refused(f"[tools.a]\n{COPY}x = 1\ny = 2\n[tools.b]\nkind = 3")
    assert len(message.splitlines()) == 4


def test_an_address_may_be_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It comes from the environment, else from .env; if it is in neither, the variable is named."""
    monkeypatch.chdir(tmp_path)
    tool = only(COPY.partition("url")[0] + 'url_env = "COPY_URL"')
    with pytest.raises(SettingsError, match="tool copy: url_env is COPY_URL, which is not set"):
        tool.address()
    (tmp_path / ".env").write_text("COPY_URL=postgresql:///a\n")
    assert tool.address() == "postgresql:///a"
    monkeypatch.setenv("COPY_URL", "postgresql:///b")
    assert tool.address() == "postgresql:///b"


def test_an_address_is_not_shown() -> None:
    """Its password is in no text of the tool."""
    tool = only(COPY)
    assert "secret" not in repr(tool)
    assert tool.address() == "postgresql://me:secret@h/copy"


def test_a_file_that_nobody_wrote_has_no_tools(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that was named has to be there, and to be TOML."""
    monkeypatch.chdir(tmp_path)
    assert load_tools(Settings()) == ()
    with pytest.raises(SettingsError, match=r"TOOLS_FILE is mine\.toml, which does not exist"):
        load_tools(load_settings({"tools_file": "mine.toml"}))
    (tmp_path / "tools.toml").write_text("[tools")
    with pytest.raises(SettingsError, match="can't be read as TOML"):
        load_tools(Settings())
    (tmp_path / "tools.toml").write_text(f"[tools.copy]\n{COPY}")
    assert [tool.name for tool in load_tools(Settings())] == ["copy"]


def test_a_tool_is_chosen_by_name() -> None:
    """A misspelt one is answered with the nearest."""
    tools = parsed(EXAMPLE)
    assert select_tools(tools, None) == tools
    assert [tool.name for tool in select_tools(tools, "rivery")] == ["rivery"]
    with pytest.raises(SettingsError, match="did you mean fivetran"):
        select_tools(tools, "fivetrann")
    with pytest.raises(SettingsError, match="it has no tools"):
        select_tools((), "fivetran")
