"""A real server's answers to a connection attempt, as a person reads them."""

import pytest

from loadgen.errors import SourceError
from loadgen.source.postgres import connect


def refused(dsn: str) -> str:
    """Return the error when `dsn` is refused."""
    with pytest.raises(SourceError) as caught:
        connect(dsn)
    return str(caught.value)


def test_wrong_password_is_said_and_not_shown(each_database: str) -> None:
    """User, host and port are named; neither the right nor the wrong password is."""
    login, _, place = each_database.rpartition("@")
    right = login.rpartition(":")[2]
    said = refused(f"{login.removesuffix(right)}s3cret@{place}")
    assert "wrong password for user 'playground'" in said
    assert place.partition("/")[0] in said
    assert "s3cret" not in said
    assert right not in said


def test_missing_password_is_said(each_database: str) -> None:
    """A DSN without a password meets a server that wants one."""
    login, _, place = each_database.rpartition("@")
    assert "wrong password" in refused(f"{login.rpartition(':')[0]}@{place}")


def test_unknown_database_is_named(each_database: str) -> None:
    """The database is named, not the whole DSN."""
    said = refused(f"{each_database.rpartition('/')[0]}/nowhere")
    assert "there is no database 'nowhere'" in said


def test_session_cannot_be_misled(each_database: str) -> None:
    """A search_path and time zone set elsewhere do not decide which tables and times are meant."""
    with connect(each_database) as conn:
        conn.execute("ALTER ROLE playground IN DATABASE template1 SET search_path = elsewhere")
    dsn = f"{each_database}?options=-c%20search_path%3Delsewhere%20-c%20timezone%3DAsia/Tokyo"
    with connect(dsn) as conn:
        assert conn.execute("SHOW search_path").fetchone() == ("public",)
        assert conn.execute("SHOW timezone").fetchone() == ("UTC",)


def test_autocommit_and_name_are_as_asked(each_database: str) -> None:
    """Autocommit by default, transactions on request; the server sees the application's name."""
    with connect(each_database) as conn:
        assert conn.autocommit
    with connect(each_database, autocommit=False, application_name="loadgen test") as conn:
        assert not conn.autocommit
        assert conn.execute("SHOW application_name").fetchone() == ("loadgen test",)
