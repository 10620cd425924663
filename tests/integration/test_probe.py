"""`loadgen tools probe` and `snowflake-sql`: real catalogues, and entries that can be read back."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from loadgen.source.postgres import connect
from loadgen.tools.columns import CatalogColumn
from loadgen.tools.conventions import Convention, Flag, known_conventions
from loadgen.tools.probe import recognise_landing, toml_entry
from loadgen.tools.readers.reader import Tables
from loadgen.tools.source_tables import SourceTable
from loadgen.tools.tools_file import Tool, parse_tools
from tests.conftest import Cluster, Fakesnow, RunLoadgen

# The source's tables in Snowflake's types, and the columns that each tool adds.
_USERS = "ID NUMBER(38,0), EMAIL VARCHAR, NAME VARCHAR, PLAN VARCHAR, COUNTRY VARCHAR"
_ORDERS = "ID NUMBER(38,0), ORDER_NUMBER VARCHAR, USER_ID NUMBER(38,0), STATUS VARCHAR"
_ORDERS += ", QUANTITY NUMBER(38,0), AMOUNT {amount}, CURRENCY VARCHAR"
_EVENTS = "ID NUMBER(38,0), EVENT_ID VARCHAR, USER_ID NUMBER(38,0), EVENT_TYPE VARCHAR"
_EVENTS += ", PROPERTIES VARIANT"
_TIMES = "CREATED_AT TIMESTAMP_TZ, UPDATED_AT TIMESTAMP_TZ"
_ADDED = {
    "fivetran": "_FIVETRAN_SYNCED TIMESTAMP_TZ, _FIVETRAN_DELETED BOOLEAN",
    "airbyte": "_AIRBYTE_RAW_ID VARCHAR, _AIRBYTE_EXTRACTED_AT TIMESTAMP_TZ, _AIRBYTE_META VARIANT,"
    " _AIRBYTE_GENERATION_ID NUMBER(38,0), _AB_CDC_LSN NUMBER(38,0), _AB_CDC_DELETED_AT VARCHAR",
    "rivery": "_RIVERY_LAST_UPDATE TIMESTAMP_NTZ, _RIVERY_RIVER_ID VARCHAR, __DELETED BOOLEAN",
    "simplyload": "_SIMPLYLOAD_LOADED_AT TIMESTAMP_TZ, _SIMPLYLOAD_DELETED BOOLEAN",
}


def _land(fakesnow: Fakesnow, schema: str, added: str, amount: str = "NUMBER(12,2)") -> None:
    with fakesnow.connect("PROBED") as conn, conn.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA PROBED.{schema}")
        for table, columns in (
            ("USERS", f"{_USERS}, DELETED_AT TIMESTAMP_TZ, VERSION NUMBER(38,0)"),
            ("ORDERS", f"{_ORDERS.format(amount=amount)}, VERSION NUMBER(38,0)"),
            ("EVENTS", _EVENTS),
        ):
            cursor.execute(f"CREATE TABLE PROBED.{schema}.{table} ({columns}, {_TIMES}, {added})")


def _probed(
    run_loadgen: RunLoadgen, project: Path, database: str, entry: str, **env: str
) -> tuple[str, Tool]:
    """Return the output for an entry, and the tool that it reads back as."""
    (project / "tools.toml").write_text(f"[tools.one]\n{entry}\n")
    done = run_loadgen("tools", "probe", "one", env={"DATABASE_URL": database, **env})
    assert done.returncode == 0, done.stderr
    (tool,) = parse_tools(tomllib.loads(done.stdout), "printed")
    return done.stdout, tool


def _at(fakesnow: Fakesnow) -> dict[str, str]:
    return {name.upper(): str(value) for name, value in fakesnow.settings.items()}


@pytest.fixture
def probed_database(fakesnow: Fakesnow) -> Iterator[None]:
    """Take the schemas of the test's copies away; the emulator drops no database."""
    yield
    with fakesnow.connect("PROBED") as conn, conn.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS PROBED.PLAYGROUND_PUBLIC CASCADE")
        cursor.execute('DROP SCHEMA IF EXISTS PROBED."raw" CASCADE')


@pytest.mark.parametrize("kind", _ADDED)
@pytest.mark.usefixtures("probed_database")
def test_each_vendor_is_recognised_in_snowflake(
    kind: str, fakesnow: Fakesnow, database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """The columns decide, whatever tools.toml says; the known conventions need no key."""
    amount = "FLOAT" if kind == "airbyte" else "NUMBER(12,2)"
    _land(fakesnow, "PLAYGROUND_PUBLIC", _ADDED[kind], amount)
    entry = 'kind = "generic"\ndestination = "snowflake"\ndatabase = "PROBED"\nslot = "mine"'
    text, tool = _probed(run_loadgen, project, database, entry, **_at(fakesnow))
    assert (tool.kind, tool.schema_name, tool.database) == (kind, "PLAYGROUND_PUBLIC", "PROBED")
    assert tool.slot == "mine"
    assert tool.convention == Convention.model_validate(known_conventions()[kind])
    assert "# deletes: soft: " in text
    assert "tools.toml says generic" in text
    if kind == "airbyte":
        assert "lossy: usual for this kind: orders.amount" in text
        assert "option for hard deletes adds it" in text


@pytest.mark.usefixtures("probed_database")
def test_an_unknown_tool_is_described_and_what_is_guessed_is_said(
    fakesnow: Fakesnow, database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Its own names, lower case, a float, a history, a time that could be the load's."""
    with fakesnow.connect("PROBED") as conn, conn.cursor() as cursor:
        cursor.execute('CREATE SCHEMA PROBED."raw"')
        cursor.execute(
            'CREATE TABLE PROBED."raw"."src_orders" ("id" NUMBER(38,0), "order_number" VARCHAR,'
            ' "user_id" NUMBER(38,0), "status" VARCHAR, "quantity" NUMBER(38,0), "amount" FLOAT,'
            ' "currency" VARCHAR, "created_at" TIMESTAMP_TZ, "updated_at" TIMESTAMP_TZ,'
            ' "meta_removed_at" TIMESTAMP_NTZ, "meta_is_current" BOOLEAN,'
            ' "meta_loaded_at" TIMESTAMP_NTZ)'
        )
        cursor.execute('CREATE TABLE PROBED."raw"."src_orders_log" ("id" NUMBER(38,0))')
    entry = 'kind = "generic"\ndestination = "snowflake"\ndatabase = "PROBED"'
    text, tool = _probed(run_loadgen, project, database, entry, **_at(fakesnow))
    rules = tool.convention
    assert (tool.kind, tool.schema_name, rules.table_pattern) == ("generic", "raw", "src_{table}")
    assert (rules.case, rules.deletes) == ("lower", "soft")
    assert rules.delete_marker is not None
    assert rules.delete_marker.model_dump(exclude_none=True) == {
        "column": "meta_removed_at",
        "when": "not_null",
    }
    assert rules.current_row is not None
    assert rules.current_row.model_dump(exclude_none=True) == {
        "column": "meta_is_current",
        "when": "true",
    }
    assert set(rules.ignored_columns) == {"meta_removed_at", "meta_is_current", "meta_loaded_at"}
    assert [(one.source, one.destination, one.keeps) for one in rules.lossy] == [
        ("numeric", "float", "float")
    ]
    assert rules.load_time is None
    assert "load_time: maybe meta_loaded_at" in text
    for said in ("users is missing", "events is missing", "orders has no "):
        assert said in text


@pytest.mark.parametrize(
    ("column", "deleted"), [("_meta/op", "d"), ("__op", "d"), ("Op", "D"), ("OP", "D")]
)
def test_a_column_with_the_last_operation_marks_deletes(column: str, deleted: str) -> None:
    """As Estuary, Debezium and AWS DMS have it; a column of the source is none."""
    tool = Tool.model_validate(
        {"name": "t", "kind": "generic", "destination": "postgres", "url": "postgresql://h"}
    )
    columns = (
        CatalogColumn("id", "bigint"),
        CatalogColumn("top", "text"),
        CatalogColumn("crop_op", "text"),
    )
    copy = {"users": (*columns, CatalogColumn(column, "VARCHAR"))}
    source = {"users": SourceTable("public", "users", columns, ("id",))}
    landing = recognise_landing(tool, source, {"main": copy})
    assert landing is not None
    mark = landing.convention["delete_marker"]
    assert mark == {"column": column.lower(), "equals": deleted}
    assert landing.convention["deletes"] == "soft"
    assert "case" not in landing.notes  # the tool's own column says nothing of the others
    assert "look at one" in " ".join(landing.notes["deletes"])


def test_postgres_and_duckdb_copies(
    cluster: Cluster, database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """A replica has nothing to tell but its names; times cut short in DuckDB are a loss."""
    with cluster.database("template1") as copy:
        with connect(copy) as conn, connect(database) as source:
            for table in ("users", "orders", "events"):
                ((columns,),) = source.execute(
                    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ')"
                    " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
                    (table,),
                ).fetchall()
                conn.execute(f"CREATE TABLE {table} ({columns})".encode())
        entry = f'kind = "postgres"\ndestination = "postgres"\nurl = "{copy}"'
        text, tool = _probed(run_loadgen, project, database, entry)
        assert (tool.kind, tool.schema_name) == ("postgres", "public")
        assert "convention" not in text
        password = copy.partition("://")[2].partition("@")[0].partition(":")[2]
        assert password
        assert password not in text
    with duckdb.connect(str(project / "c.duckdb")) as file:
        file.execute(
            "CREATE TABLE events (id BIGINT, event_id UUID, user_id BIGINT, event_type VARCHAR,"
            " properties JSON, created_at TIMESTAMP_MS, updated_at TIMESTAMP_S,"
            ' "_meta/op" VARCHAR)'
        )
    entry = 'kind = "generic"\ndestination = "duckdb"\nfile = "c.duckdb"\nschema = "elsewhere"'
    _, tool = _probed(run_loadgen, project, database, entry)
    assert tool.schema_name == "main"
    assert tool.convention.delete_marker == Flag(column="_meta/op", equals="d")
    assert "_meta/op" in tool.convention.ignored_columns
    assert [one.keeps for one in tool.convention.lossy] == ["milliseconds", "seconds"]


COLUMNS = (CatalogColumn("itemId", "bigint"), CatalogColumn("unitPrice", "numeric(12,2)"))
TWO_SCHEMAS = {
    table.label: table
    for table in (
        SourceTable("public", "users", (CatalogColumn("id", "bigint"),), ("id",)),
        SourceTable("sales", "orderItems", COLUMNS, ("itemId",)),
    )
}
SNAKE = (CatalogColumn("item_id", "BIGINT"), CatalogColumn("unit_price", "DECIMAL(12,2)"))
USERS = {"users": (CatalogColumn("id", "BIGINT"),)}


@pytest.mark.parametrize(
    ("copies", "schema", "convention"),
    [
        ({"main": USERS, "sales": {"orderItems": COLUMNS}}, "main", {}),
        (
            {"raw": {**USERS, "order_items": SNAKE}},
            "raw",
            {"schema_pattern": "raw", "case": "snake"},
        ),
        (
            {"app_public": USERS, "app_sales": {"order_items": SNAKE}},
            "app_public",
            {"schema_pattern": "app_{source}", "case": "snake"},
        ),
    ],
)
def test_the_schemas_of_a_copy_are_recognised(
    copies: dict[str, Tables], schema: str, convention: dict[str, object]
) -> None:
    """One schema for each, one for all, or one with a prefix; names in snake case too."""
    entry = {"name": "t", "kind": "generic", "destination": "duckdb", "file": "c.duckdb"}
    landing = recognise_landing(Tool.model_validate(entry), TWO_SCHEMAS, copies)
    assert landing is not None
    assert (landing.schema, landing.convention) == (schema, convention)
    text = toml_entry(Tool.model_validate(entry), landing, "c.duckdb")
    (tool,) = parse_tools(tomllib.loads(text), "printed")
    for table in TWO_SCHEMAS.values():
        there = tool.for_schema(table.schema)
        assert there.find_table(table.name, copies[there.schema_name])


def test_schemas_without_a_pattern_are_noted() -> None:
    """No entry can express the places of the tables, so the comment does."""
    tool = Tool.model_validate(
        {"name": "t", "kind": "generic", "destination": "duckdb", "file": "c.duckdb"}
    )
    copies: dict[str, Tables] = {"main": USERS, "shop": {"orderItems": COLUMNS}}
    landing = recognise_landing(tool, TWO_SCHEMAS, copies)
    assert landing is not None
    assert "schema_pattern" not in landing.convention
    assert landing.notes["schema_pattern"] == [
        "no pattern has public in main, sales in shop: verify would miss some"
    ]


def test_nothing_like_the_source_is_one_line(
    database: str, project: Path, run_loadgen: RunLoadgen
) -> None:
    """An empty copy, and one that is not there, are named with what to do."""
    entry = '[tools.one]\nkind = "generic"\ndestination = "duckdb"\nfile = "c.duckdb"\n'
    (project / "tools.toml").write_text(entry)
    env = {"DATABASE_URL": database}
    done = run_loadgen("tools", "probe", env=env)
    assert done.returncode == 2
    assert "tool one: c.duckdb is not there" in done.stderr
    duckdb.connect(str(project / "c.duckdb")).close()
    done = run_loadgen("tools", "probe", env=env)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    tables = "events, hard_cases, loadgen_markers, orders, users"
    assert f"no schema of c.duckdb has a table like {tables}" in done.stderr
    assert "(schemas: main): let the tool sync first" in done.stderr


def _example() -> str:
    return (Path(__file__).parents[2] / "tools.example.toml").read_text(encoding="utf-8")


def test_snowflakes_sql_gives_each_tool_its_own(project: Path, run_loadgen: RunLoadgen) -> None:
    """A warehouse, database, role and user a tool; all of one size and generation; the reverse."""
    (project / "tools.toml").write_text(_example())
    text = run_loadgen("tools", "snowflake-sql", "--credits", "7", "--generation", "2").stdout
    tools = ("FIVETRAN", "AIRBYTE", "RIVERY", "SIMPLYLOAD")
    for name in tools:
        for what in ("WH", "DB", "ROLE", "SVC"):
            assert f'"{what}_ELT_{name}"' in text
    made = text.count("CREATE WAREHOUSE")
    assert made == len(tools) + 1
    for same in ("GENERATION = '2'", "ENABLE_QUERY_ACCELERATION = FALSE", "AUTO_SUSPEND = 60"):
        assert text.count(same) == made
    assert "CREDIT_QUOTA = 7" in text
    gone = run_loadgen("tools", "snowflake-sql", "--teardown").stdout
    created = [line.split()[-1] for line in gone.splitlines() if line.startswith("DROP")]
    for name in created:
        assert name.rstrip(";") in text
    assert len(created) == 4 * len(tools) + 4
    some = run_loadgen("tools", "snowflake-sql", "--teardown", "rivery").stdout
    assert "DB_ELT_RIVERY" in some
    assert "FIVETRAN" not in some
    assert "LOADGEN" not in some  # the others need it still


def test_what_can_be_run_of_it_runs(
    fakesnow: Fakesnow, project: Path, run_loadgen: RunLoadgen
) -> None:
    """Databases are made by the emulator, twice as well; it knows no warehouse, role or user."""
    (project / "tools.toml").write_text(_example())
    text = run_loadgen("tools", "snowflake-sql", env=_at(fakesnow)).stdout
    made = [one.strip() for one in text.split(";") if one.strip().startswith("CREATE DATABASE")]
    with fakesnow.connect("OTHER") as conn, conn.cursor() as cursor:
        for statement in (*made, *made):
            cursor.execute(statement)
        cursor.execute("SHOW DATABASES")
        names = {row[1] for row in cursor.fetchall()}
    assert {f"DB_ELT_{one}" for one in ("FIVETRAN", "AIRBYTE", "RIVERY", "SIMPLYLOAD")} <= names


def test_tools_that_share_are_refused(project: Path, run_loadgen: RunLoadgen) -> None:
    """In any case of a name; and without Snowflake there is nothing to print."""
    (project / "tools.toml").write_text(_example().replace("WH_ELT_RIVERY", "wh_elt_fivetran"))
    done = run_loadgen("tools", "snowflake-sql")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tools fivetran and rivery share the warehouse WH_ELT_FIVETRAN" in done.stderr
    entry = '[tools.one]\nkind = "generic"\ndestination = "duckdb"\nfile = "c.duckdb"\n'
    (project / "tools.toml").write_text(entry)
    done = run_loadgen("tools", "snowflake-sql")
    assert done.returncode == 2
    assert "none of the tools has its copy in Snowflake" in done.stderr
