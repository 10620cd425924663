"""Errors about a DSN, and that they never show a password."""

import socket

import psycopg
import pytest

from loadgen.errors import SourceError
from loadgen.source.postgres import complete_dsn, connect, explain, mask, plain_errors

SECRET = "g3heim"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:5433/d", "postgresql://u:***@h:5433/d"),
        (
            f"postgres://u:{SECRET}@h/d?sslmode=require",
            "postgresql://u:***@h:5432/d?sslmode=require",
        ),
        (f"POSTGRESQL://u:{SECRET}@[::1]:1/d", "postgresql://u:***@[::1]:1/d"),
        (f"host=h port=1 user=u dbname=d password={SECRET}", "postgresql://u:***@h:1/d"),
        (f"host=/run/pg user=u password={SECRET}", "postgresql://u:***@/?host=/run/pg"),
        (f"postgresql://h/d?password={SECRET}", "postgresql://:***@h:5432/d"),
        (f"postgresql://h/d?sslpassword={SECRET}", "postgresql://h:5432/d?sslpassword=***"),
        (f"postgresql://u:{SECRET}@a:1,b:2/d", "postgresql://u:***@a:1,b:2/d"),
        (f"postgresql://u:{SECRET}@h/d%40b", "postgresql://u:***@h:5432/d%40b"),
        (f"mysql://u:{SECRET}@h/d", "postgresql://***"),
        (f"nonsense {SECRET}", "postgresql://***"),
    ],
)
def test_mask_keeps_all_but_the_secret(dsn: str, shown: str) -> None:
    """A masked DSN still says who connects where; a DSN that can't be read is not shown at all."""
    assert mask(dsn) == shown


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:pa@{SECRET}@host/db",
        f"postgresql://u:pa/{SECRET}@host/db",
        f"postgresql://u:5432/{SECRET}@host/db",
        f"postgresql://u:{SECRET}%zz@host/db",
        f"postgresql://u:pw@host:{SECRET}/db",
        f"postgresql://u:a?{SECRET}@c@host/db",
        f"host=h {SECRET}",
        f"{SECRET}",
        f"host=h port={SECRET}",
    ],
)
def test_malformed_dsn_is_refused_without_being_quoted(dsn: str) -> None:
    """A password may be anywhere in a DSN: neither the message nor its causes show any part."""
    with pytest.raises(SourceError, match="DATABASE_URL can't be read") as caught:
        connect(dsn)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert SECRET not in "".join(str(link) for link in chain)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("pgbouncer=true", "knows no parameter pgbouncer: remove it"),
        ("sslmode=require&schema=x", "knows no parameter schema: remove it"),
        (
            "ssl_mode=require",
            "knows no parameter ssl_mode: remove it from the address, or write sslmode",
        ),
    ],
)
def test_a_parameter_that_is_not_known_is_named(query: str, said: str) -> None:
    """It is not blamed on the password; the setting that the address comes from is named too."""
    for setting in ("DATABASE_URL", "COPY_URL"):
        with pytest.raises(SourceError) as caught:
            connect(f"postgresql://u:{SECRET}?@h/d?{query}", setting=setting)
        assert str(caught.value).startswith(f"{setting}: ")
        assert said in str(caught.value)
        assert SECRET not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://u:pa/b?{SECRET}=x@host/db",
        f"postgresql://u:5432/b?{SECRET}&b@host/db",
        f"postgresql://u:a@b?{SECRET}=x@host/db",
        f"postgresql://u@host/db?password=pa&{SECRET}=x",
        f"postgresql://u@host/db?{SECRET}&sslpassword=x",
    ],
)
def test_what_may_be_a_password_s_end_is_no_parameter(dsn: str) -> None:
    """An unescaped ? or & in a password makes its rest look like parameters: none is named."""
    with pytest.raises(SourceError, match="can't be read") as caught:
        connect(dsn)
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert SECRET not in "".join(str(link) for link in chain)


def test_a_parameter_s_value_is_not_blamed_on_the_server(free_port: int) -> None:
    """An error about a value that libpq does not know never asks the user to start a server."""
    for query in ("sslmode=sometimes", "connect_timeout=soon", "target_session_attrs=any_one"):
        with pytest.raises(SourceError, match="a parameter has a value") as caught:
            connect(f"postgresql://u:{SECRET}@127.0.0.1:{free_port}/d?{query}")
        assert query.partition("=")[2] in str(caught.value)


@pytest.mark.parametrize("scheme", ["mysql", "http", "postgresql+psycopg"])
def test_other_schemes_are_refused_by_name(scheme: str) -> None:
    """The message names the scheme that was given and those that are understood."""
    with pytest.raises(SourceError) as caught:
        connect(f"{scheme}://u:{SECRET}@h/d")
    assert f"{scheme}://" in str(caught.value)
    assert "postgresql:// and postgres://" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("dsn", ["", "  "])
def test_empty_dsn_is_refused(dsn: str) -> None:
    """Libpq would use its own defaults for an empty DSN, and a user does not mean those."""
    with pytest.raises(SourceError, match="empty"):
        connect(dsn)


def test_unreachable_host_is_named_with_its_port(free_port: int) -> None:
    """If no server listens, the error names host and port but not the password."""
    with pytest.raises(
        SourceError, match=rf"can't reach Postgres at 127.0.0.1:{free_port}"
    ) as caught:
        connect(f"postgresql://u:{SECRET}@127.0.0.1:{free_port}/d")
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_silent_server_is_given_up() -> None:
    """A port that accepts and never answers ends in an error, not in a hang."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(SourceError, match=rf"127.0.0.1:{port} .*timeout"):
            connect(f"postgresql://u:{SECRET}@127.0.0.1:{port}/d?connect_timeout=2")


def test_connecting_has_a_time_limit_unless_the_dsn_sets_its_own() -> None:
    """Five seconds by default, else the user's own limit."""
    assert "connect_timeout=5" in complete_dsn("postgresql://h/d")
    assert "connect_timeout=9" in complete_dsn("postgresql://h/d?connect_timeout=9")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('FATAL:  role "u" does not exist', "there is no user 'u'"),
        ("FATAL:  no pg_hba.conf entry for host", "refuses such connections"),
        ("FATAL:  sorry, too many clients already", "no connection is free"),
        ("FATAL:  the database system is starting up", "try again"),
        ("received invalid response to SSL negotiation: H", "something other than Postgres"),
        ("FATAL:  bleib draussen", "refuses the connection: FATAL:  bleib draussen"),
    ],
)
def test_refusals_are_told_apart(said: str, told: str) -> None:
    """Each reason that a server gives for not letting us in has its own words."""
    error = psycopg.OperationalError(
        f'connection failed: connection to server at "h", port 1: {said}'
    )
    message = str(explain(error, "postgresql://u@h:1/d"))
    assert told in message
    assert "h:1" in message


def test_plain_errors_name_what_was_done() -> None:
    """An error of Postgres becomes one line: the action, the reason and the remedy."""
    with (
        pytest.raises(SourceError, match="filling the cup: tea is out") as caught,
        plain_errors("filling the cup"),
    ):
        raise psycopg.errors.DiskFull("tea is out")
    assert "free some disk space" in str(caught.value)
