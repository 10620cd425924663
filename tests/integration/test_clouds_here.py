"""The emulators of clouds on this machine are reached without the environment's proxy."""

from collections.abc import Iterator

import pytest

from loadgen.config.settings import load_settings
from loadgen.costs.aws.client import clients
from loadgen.tools.readers.snowflake_connection import connect, login
from tests.conftest import Fakesnow
from tests.emulated import aws_server
from tests.proxy import refusing_proxy


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a proxy in the environment that refuses all."""
    with refusing_proxy() as environment:
        for name, url in environment.items():
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("no_proxy", "example.org")
        yield


@pytest.mark.usefixtures("proxied")
def test_a_snowflake_here_is_asked_directly(fakesnow: Fakesnow) -> None:
    """By the real connector."""
    with connect(login(load_settings(fakesnow.settings)), "fakesnow", "a test") as connection:
        assert list(connection.cursor().execute("SELECT 1") or ()) == [(1,)]


@pytest.mark.usefixtures("proxied")
def test_an_aws_here_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real boto3."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with aws_server() as url:
        settings = load_settings({"aws_region": "us-east-1", "aws_endpoint_url": url})
        assert clients(settings)("s3").list_buckets()["Buckets"] == []
