"""Helpers that the tests of granted users share."""

from urllib.parse import urlsplit, urlunsplit


def as_user(dsn: str, user: str, password: str) -> str:
    """Return the DSN for another user."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{place}"))


def ignore(_: str) -> None:
    """Say nothing."""
