"""Readers of source and copies: rights, columns, and errors."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loadgen.config.settings import load_settings
from loadgen.costs.snowflake.views import UsageConnection
from loadgen.errors import DestinationError
from loadgen.source.postgres import connect
from loadgen.tools.columns import CatalogColumn, quoted
from loadgen.tools.readers.duckdb import DuckdbReader
from loadgen.tools.readers.factory import resolve_schema
from loadgen.tools.readers.marker_probe import MarkerProbe
from loadgen.tools.readers.postgres import PostgresReader
from loadgen.tools.readers.reader import BusyError
from loadgen.tools.readers.snowflake import SnowflakeReader
from loadgen.tools.readers.snowflake_connection import (
    account_names,
    login,
    refusal,
    same_account,
)
from loadgen.tools.tools_file import Tool
from loadgen.verify.canonical import column_pair, text_expression
from loadgen.verify.mapping import TablePair
from loadgen.verify.ranges import Range, segments
from loadgen.verify.scan import SqlSide
from tests.conftest import Cluster, Fakesnow
from tests.copies import postgres_tool, tool_of
from tests.polling import wait_for
from tests.snowflake_server import SnowflakeServer, snowflake_server

RUN = "run-1"


def test_questions_wait_for_a_connection_where_there_are_few(database: str) -> None:
    """A role with a limit of one gets its answers, one after the other."""
    with connect(database) as conn:
        conn.execute("CREATE ROLE narrow LOGIN PASSWORD 'narrow' CONNECTION LIMIT 1")
        try:
            place = database.partition("@")[2]
            with (
                closing(PostgresReader(f"postgresql://narrow:narrow@{place}")) as reader,
                ThreadPoolExecutor(3) as pool,
            ):
                asked = "SELECT pg_backend_pid() FROM pg_sleep(0.1)"
                found = list(pool.map(lambda _: list(reader.query(asked)), range(6)))
            assert len({pid for ((pid,),) in found}) == 1
        finally:
            wait_for(
                lambda: (
                    not conn.execute(
                        "SELECT 1 FROM pg_stat_activity WHERE usename = 'narrow'"
                    ).fetchall()
                ),
                "the end of its session",
            )
            conn.execute("DROP ROLE narrow")


def test_a_connection_that_is_cut_is_said_and_made_anew(database: str) -> None:
    """The question fails, in one line; the next one is answered."""
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE wait_event = 'PgSleep' AND datname = current_database()"
    )
    with closing(PostgresReader(database)) as reader, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: list(reader.query("SELECT 1 FROM pg_sleep(60)")))
        with connect(database) as conn:
            wait_for(lambda: conn.execute(cut.encode()).fetchall() == [(True,)], "its session")
        with pytest.raises(DestinationError, match="57P01"):
            asked.result(30)
        assert list(reader.query("SELECT 1")) == [(1,)]


def test_what_may_be_null_is_known(empty_database: str) -> None:
    """A constraint that was never checked rules nothing out; before Postgres 18 there is none."""
    with connect(empty_database) as conn:
        conn.execute("CREATE TABLE t (free int, kept int NOT NULL, late int, checked int)")
        conn.execute("INSERT INTO t VALUES (NULL, 1, NULL, 1)")
        conn.execute("ALTER TABLE t ADD NOT NULL late NOT VALID, ADD NOT NULL checked NOT VALID")
        conn.execute("ALTER TABLE t VALIDATE CONSTRAINT t_checked_not_null")
    with closing(PostgresReader(empty_database)) as reader:
        found = {column.name: column.nullable for column in reader.tables("public")["t"]}
    assert found == {"free": True, "kept": False, "late": True, "checked": False}


def test_a_writer_s_lock_is_waited_for_and_then_busy(tmp_path: Path) -> None:
    """DuckDB lets in one writer: its lock file says so, and is not left locked."""
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    lock = tmp_path / "copy.duckdb.lock"
    with lock.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="busy: its tool writes to it"):
            DuckdbReader(file, patience=0.2).schemas()
        threading.Timer(0.3, fcntl.flock, (held, fcntl.LOCK_UN)).start()
        assert DuckdbReader(file, patience=30).schemas() == ["main"]
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def foreign_writer(file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Hold the file open in a process that knows no lock file, until it is sent a line."""
    code = f"import duckdb; c = duckdb.connect({str(file)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            yield writer
        finally:
            if writer.poll() is None:
                writer.communicate(b"\n")


def test_a_writer_without_a_lock_file_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB itself tells of another process; once that has ended, the question is answered."""
    file = tmp_path / "copy.duckdb"
    refused = threading.Semaphore(0)
    connected = DuckdbReader._connected

    def connect_and_tell(reader: DuckdbReader) -> Any:
        try:
            return connected(reader)
        except BusyError:
            refused.release()
            raise

    monkeypatch.setattr(DuckdbReader, "_connected", connect_and_tell)
    with foreign_writer(file) as writer, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(DuckdbReader(file).schemas)
        for _ in range(3):
            assert refused.acquire(timeout=30), "it did not try again"
        assert not asked.done()
        writer.communicate(b"\n")
        assert asked.result(60) == ["main"]


def test_a_writer_that_never_lets_go_is_named(tmp_path: Path) -> None:
    """With the time that it was waited for; its own lock file is not held meanwhile."""
    file = tmp_path / "copy.duckdb"
    with foreign_writer(file) as writer:
        said = rf"busy: process {writer.pid} \(.+\) writes to it, and did not finish within 0\.3 s"
        with pytest.raises(BusyError, match=said):
            DuckdbReader(file, patience=0.3).schemas()
        with (tmp_path / "copy.duckdb.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_file_that_is_no_database_is_not_waited_for(tmp_path: Path) -> None:
    """Also in a folder whose name makes one think of a lock."""
    (tmp_path / "blocks").mkdir()
    file = tmp_path / "blocks" / "copy.duckdb"
    file.write_text("this is not a database " * 1000)
    with pytest.raises(DestinationError, match="can't be opened") as refused:
        DuckdbReader(file).schemas()
    assert not isinstance(refused.value, BusyError)


def test_a_writer_has_its_turn_while_questions_go_on(tmp_path: Path) -> None:
    """However many there are: they keep its tool from writing for a few seconds at a time."""
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    reader = DuckdbReader(file)
    through = threading.Event()
    answers: list[int] = []

    def query() -> None:
        while not through.is_set():
            answers.extend(
                number for (number,) in reader.query("SELECT count(*) FROM range(100000)")
            )

    def write() -> None:
        with file.with_name("copy.duckdb.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            duckdb.connect(str(file)).close()

    with ThreadPoolExecutor(3) as pool, reader.reading():
        asking = [pool.submit(query) for _ in range(2)]
        try:
            for _ in range(2):
                answers.clear()
                wait_for(lambda: len(answers) > 10, "answers")
                pool.submit(write).result(30)
        finally:
            through.set()
        for one in asking:
            one.result(30)


def test_two_of_the_largest_questions_fit_into_memory(tmp_path: Path) -> None:
    """Of a table of many narrow rows: what DuckDB may hold is enough for both at once."""
    file = tmp_path / "copy.duckdb"
    rows = 100_000_000  # of which only the requested ones exist
    cut = segments(Range(1, rows, rows), 1000)
    first, second = next(cut), next(cut)
    with duckdb.connect(str(file)) as conn:
        conn.execute(
            "CREATE TABLE t AS SELECT k AS id, CAST(k AS VARCHAR) AS word FROM "
            f"range(1, {second.high + 1}) AS r(k)"
        )
    columns = [
        column_pair(CatalogColumn(name, kind), CatalogColumn(name, kind), "duckdb")
        for name, kind in (("id", "BIGINT"), ("word", "VARCHAR"))
    ]
    compared = tuple(column for column in columns if column)
    copy = TablePair("t", "duckdb", quoted("public", "t"), quoted("main", "t"), compared)
    side = SqlSide(DuckdbReader(file), copy, of_copy=True)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda part: side.checksums(part, 1000), (first, second)))
    assert sum(one.rows for checksums in found for one in checksums.values()) == second.high


def test_times_that_postgres_can_t_hold_are_written_too(tmp_path: Path) -> None:
    """One odd value keeps no table from being compared."""
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    times = {
        "make_timestamptz(-9223372036854775000)": "290309-12-21 (BC) 19:59:05.225+00",
        "TIMESTAMPTZ '4713-01-01 (BC) 00:00:00+00'": "4713-01-01 (BC) 00:00:00+00",
        "make_timestamptz(9223372036854775806)": "294247-01-10 04:00:54.775806+00",
        "TIMESTAMPTZ '-infinity'": "-infinity",
        "CAST(NULL AS TIMESTAMPTZ)": None,
    }
    values = ", ".join(f"({one})" for one in times)
    text = text_expression("duckdb", "timestamptz", "instant").format(c="t")
    found = list(DuckdbReader(file).query(f"SELECT {text} FROM (VALUES {values}) AS v(t)"))
    assert [one for (one,) in found] == list(times.values())


def test_each_question_is_asked_in_utc(tmp_path: Path) -> None:
    """Wherever the machine is: a time with a zone is compared as it is written."""
    code = (
        "import sys; from pathlib import Path; "
        "from loadgen.tools.readers.duckdb import DuckdbReader; "
        "query = DuckdbReader(Path(sys.argv[1])).query; "
        "print(*next(query(\"SELECT CAST(TIMESTAMPTZ '2026-01-01 12:00:00+00' AS VARCHAR)\")))"
    )
    file = tmp_path / "copy.duckdb"
    duckdb.connect(str(file)).close()
    said = subprocess.check_output(
        [sys.executable, "-c", code, str(file)], env={**os.environ, "TZ": "Asia/Tokyo"}, text=True
    )
    assert said.strip() == "2026-01-01 12:00:00+00"


MARKERS = """CREATE TABLE loadgen_markers AS
SELECT * FROM (VALUES ('run-1', 4), ('run-1', 12), ('run-2', 99)) AS m (run_id, sequence)"""


def test_each_destination_tells_its_newest_marker(
    cluster: Cluster, fakesnow: Fakesnow, tmp_path: Path
) -> None:
    """The marker is the newest of the given run; None if the run has none."""
    file = tmp_path / "copy.duckdb"
    with cluster.database("template1") as dsn, connect(dsn) as conn:
        conn.execute(MARKERS)
        with duckdb.connect(str(file)) as local:
            local.execute(MARKERS)
        with fakesnow.connect("MARKS") as cloud, cloud.cursor() as cursor:
            cursor.execute(MARKERS)
        tools = [
            postgres_tool(dsn),
            tool_of(f'kind = "dlt"\ndestination = "duckdb"\nfile = "{file}"\nschema = "main"'),
            tool_of('kind = "generic"\ndestination = "snowflake"\ndatabase = "MARKS"'),
            # In another case than the convention's, or than the schema's own.
            tool_of(
                f'kind = "airbyte"\ndestination = "postgres"\nurl = "{dsn}"\nschema = "PUBLIC"'
            ),
            tool_of(f'kind = "airbyte"\ndestination = "duckdb"\nfile = "{file}"\nschema = "MAIN"'),
            tool_of(
                'kind = "generic"\ndestination = "snowflake"\ndatabase = "marks"\nschema = "public"'
            ),
        ]
        for tool in tools:
            probe = MarkerProbe(tool, load_settings(fakesnow.settings))
            assert probe.newest_marker(RUN) == 12, tool.destination
            assert probe.newest_marker("run-3") is None
            probe.close()
        conn.execute('ALTER TABLE loadgen_markers RENAME TO "LOADGEN_MARKERS"')
        problem = "no table loadgen_markers in public; there is LOADGEN_MARKERS"
        with pytest.raises(DestinationError, match=problem):
            MarkerProbe(postgres_tool(dsn), load_settings()).newest_marker(RUN)


def test_a_copy_without_the_markers_table_shows_none(empty_database: str) -> None:
    """Some tools create a table only with its first row; from then on its markers are seen."""
    probe = MarkerProbe(postgres_tool(empty_database), load_settings())
    with connect(empty_database) as conn, closing(probe):
        with pytest.raises(DestinationError, match="no table loadgen_markers in public"):
            probe.newest_marker(RUN)
        conn.execute("CREATE TABLE users (id bigint)")
        assert probe.newest_marker(RUN) is None
        conn.execute(MARKERS)
        assert probe.newest_marker(RUN) == 12


def test_our_questions_are_not_on_a_tools_bill() -> None:
    """They run on our warehouse, and on the tool's only if no other is set."""
    snowflake = 'kind = "generic"\ndestination = "snowflake"\ndatabase = "D"\nwarehouse = "ITS"'
    ours = {"snowflake_host": "127.0.0.1", "snowflake_warehouse": "OURS"}
    for given, warehouse in ((ours, "OURS"), ({"snowflake_host": "127.0.0.1"}, "ITS")):
        reader = SnowflakeReader(tool_of(snowflake), load_settings(given))
        assert reader.login()["warehouse"] == warehouse


def test_snowflake_is_told_a_key_and_never_a_password(tmp_path: Path) -> None:
    """The error names the missing setting; only an emulator works without a key."""
    tool = tool_of('kind = "generic"\ndestination = "snowflake"\ndatabase = "D"\nrole = "R"')
    with pytest.raises(DestinationError, match="SNOWFLAKE_ACCOUNT is not set"):
        SnowflakeReader(tool, load_settings({})).login()
    given = {"snowflake_account": "a", "snowflake_user": "u"}
    with pytest.raises(DestinationError, match="SNOWFLAKE_PRIVATE_KEY_PATH is not set"):
        SnowflakeReader(tool, load_settings(given)).login()
    key = {**given, "snowflake_private_key_path": tmp_path / "key.p8"}
    reader = SnowflakeReader(tool, load_settings(key))
    assert "password" not in reader.login()
    assert reader.login()["role"] == "R"
    with pytest.raises(DestinationError, match="the private key can't be read"):
        reader.schemas()
    (tmp_path / "key.p8").write_text("no key")
    with pytest.raises(DestinationError, match="the private key can't be read"):
        reader.schemas()


@pytest.fixture
def server() -> Iterator[SnowflakeServer]:
    """Run what the connector takes for Snowflake."""
    with snowflake_server() as running:
        yield running


def snowflake_tool(more: str = "") -> Tool:
    """Return a tool whose copy is in the database DB_ELT_FIVETRAN, written in lower case."""
    return tool_of(
        'kind = "generic"\ndestination = "snowflake"\ndatabase = "db_elt_fivetran"\n' + more
    )


def test_the_cause_in_the_second_line_is_shown(server: SnowflakeServer) -> None:
    """Snowflake's first line says that a statement is wrong, and the second gives the cause."""
    reader = SnowflakeReader(snowflake_tool(), load_settings(server.settings))
    for asked in (lambda: list(reader.query("SELECT 1")), lambda: reader.query_dicts("SELECT 1")):
        with pytest.raises(DestinationError, match="does not exist or not authorized") as refused:
            asked()
        assert str(refused.value).startswith("Snowflake refuses: 002003 (02000):")
        assert "\n" not in str(refused.value)
    usage = UsageConnection(load_settings(server.settings))
    with pytest.raises(DestinationError) as granted:
        usage("metered_hours", {"since": 1, "until": 2, "warehouses": ["W"]})
    assert "\n" not in str(granted.value)
    reader.close()
    usage.close()


def test_a_database_is_found_as_snowflake_folds_its_name(server: SnowflakeServer) -> None:
    """In small letters as well; one that is called so exactly comes first."""
    server.answers["SHOW DATABASES"] = (("name",), [("OTHER",), ("DB_ELT_FIVETRAN",)])
    server.answers["SELECT schema_name"] = (("SCHEMA_NAME",), [("PUBLIC",)])
    reader = SnowflakeReader(snowflake_tool(), load_settings(server.settings))
    assert reader.schemas() == ["PUBLIC"]
    assert 'FROM "DB_ELT_FIVETRAN".information_schema' in server.asked[-1]
    assert (
        resolve_schema(snowflake_tool(), reader).place_of("users")
        == '"DB_ELT_FIVETRAN"."PUBLIC"."USERS"'
    )
    reader.close()
    server.answers["SHOW DATABASES"] = (("name",), [("DB_ELT_FIVETRAN",), ("db_elt_fivetran",)])
    exact = SnowflakeReader(snowflake_tool(), load_settings(server.settings))
    assert exact.database == "db_elt_fivetran"
    exact.close()


def test_what_is_there_instead_of_a_database_or_schema_is_shown(server: SnowflakeServer) -> None:
    """One that differs in case, or is nearly it."""
    server.answers["SHOW DATABASES"] = (("name",), [("Db_Elt_Fivetran",)])
    reader = SnowflakeReader(snowflake_tool(), load_settings(server.settings))
    with pytest.raises(DestinationError, match="; there is Db_Elt_Fivetran: correct database in"):
        reader.schemas()
    reader.close()
    server.answers["SHOW DATABASES"] = (("name",), [("DB_ELT_FIVETRAN",)])
    server.answers["SELECT schema_name"] = (("SCHEMA_NAME",), [("app_public",)])
    reader = SnowflakeReader(snowflake_tool(), load_settings(server.settings))
    with pytest.raises(DestinationError, match=r"no schema APP_PUBLIC at .*; there is app_public:"):
        resolve_schema(snowflake_tool('schema = "APP_PUBLIC"'), reader)
    reader.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("org-account", "ORG-ACCOUNT", True),
        ("org-account", "org-account.privatelink", True),
        ("https://org-account.snowflakecomputing.com/", "ORG-ACCOUNT", True),
        ("org-my-account.privatelink.snowflakecomputing.com", "ORG-MY_ACCOUNT", True),
        ("xy12345", "XY12345.eu-central-1.aws", True),
        ("xy12345.us-east-1", "xy12345.us-east-1.aws", True),
        ("xy12345.us-east-1", "xy12345.eu-west-1", False),
        ("org-account", "org-other", False),
    ],
)
def test_an_account_has_several_forms(one: str, other: str, same: bool) -> None:
    """With or without an address around it, in any case."""
    assert same_account(one, other) is same
    assert same_account(other, one) is same


def test_an_address_is_no_part_of_the_account() -> None:
    """What the connector makes a host of, and what Snowflake's views call it."""
    account = "org-acc_t.privatelink"
    for given in (f"https://{account}.snowflakecomputing.com/x", account):
        told = login(load_settings({"snowflake_account": given, "snowflake_host": "h"}))
        assert told["account"] == account
        assert {"ACC_T", "ORG-ACC_T"} <= set(account_names(given))


PASSPHRASE = "ä long passphrase"  # noqa: S105 - of a key made here


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key in the clear and the same with a passphrase, PKCS #8."""
    folder = tmp_path_factory.mktemp("keys")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for name, encryption in (
        ("open.p8", serialization.NoEncryption()),
        ("closed.p8", serialization.BestAvailableEncryption(PASSPHRASE.encode())),
    ):
        (folder / name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
    return folder


@pytest.mark.parametrize("name", ["closed.p8", "open.p8"])
def test_a_key_with_a_passphrase_logs_in(name: str, keys: Path, server: SnowflakeServer) -> None:
    """Through the real connector, which signs with it; one without does not mind the setting."""
    server.answers["SHOW DATABASES"] = (("name",), [("DB_ELT_FIVETRAN",)])
    given = {
        **server.settings,
        "snowflake_account": "org-account",
        "snowflake_user": "svc",
        "snowflake_private_key_path": keys / name,
        "snowflake_private_key_passphrase": PASSPHRASE,
    }
    settings = load_settings(given)
    assert PASSPHRASE not in f"{settings!r} {settings.public()}"
    reader = SnowflakeReader(snowflake_tool(), settings)
    assert reader.database == "DB_ELT_FIVETRAN"
    reader.close()
    (told,) = server.logins
    assert told["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert PASSPHRASE not in str(told)


def test_what_a_passphrase_lacks_is_one_line(keys: Path, server: SnowflakeServer) -> None:
    """Missing or wrong, the setting is named, and the passphrase is not shown."""
    given = {
        **server.settings,
        "snowflake_account": "org-account",
        "snowflake_user": "svc",
        "snowflake_private_key_path": keys / "closed.p8",
    }
    missing = "closed.p8 has a passphrase: set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"
    with pytest.raises(DestinationError, match=missing):
        SnowflakeReader(snowflake_tool(), load_settings(given)).schemas()
    wrong = load_settings({**given, "snowflake_private_key_passphrase": "not it"})
    with pytest.raises(DestinationError, match="correct the passphrase") as refused:
        SnowflakeReader(snowflake_tool(), wrong).schemas()
    assert "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE" in str(refused.value)
    assert "not it" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not server.logins


def test_a_refused_key_is_told_from_an_account_that_is_away() -> None:
    """By words that are the connector's as far as we know: none were heard from an account."""
    expired = "250001 (08001): Failed to connect to DB: a.snowflakecomputing.com:443. JWT token is"
    assert "refuses the key" in refusal("snowflake://a/D", expired)
    tool = tool_of('kind = "generic"\ndestination = "snowflake"\ndatabase = "D"')
    nowhere = {"snowflake_host": "127.0.0.1", "snowflake_port": 9, "snowflake_protocol": "http"}
    with pytest.raises(DestinationError, match=r"can't reach snowflake://127\.0\.0\.1/D"):
        SnowflakeReader(tool, load_settings(nowhere)).schemas()
