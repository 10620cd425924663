"""The one place that connects to Snowflake: a key pair, never a password; our own query tag."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loadgen.errors import DestinationError
from loadgen.proxies import is_local
from loadgen.settings import Settings, exempt_from_proxies

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_LOGIN_SECONDS: Final = 20
_NEEDED: Final = {
    "account": "SNOWFLAKE_ACCOUNT",
    "user": "SNOWFLAKE_USER",
    "private_key_file": "SNOWFLAKE_PRIVATE_KEY_PATH",
}
# What Snowflake says of a key that is expired, unknown or another user's.
_OF_A_KEY: Final = ("JWT", "Incorrect username", "390144", "394300")
# An emulator checks nothing, but the connector wants something to send.
_EMULATED: Final = {"user": "emulator", "account": "emulator", "password": "emulator"}


def login(settings: Settings, given: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Return what the connector is told; what is `given` (not None) comes before the settings.

    Raises DestinationError where something is missing.
    """
    told: dict[str, object] = {
        "account": settings.snowflake_account,
        "user": settings.snowflake_user,
        "private_key_file": settings.snowflake_private_key_path,
        "role": settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "host": settings.snowflake_host,
        "port": settings.snowflake_port,
        "protocol": settings.snowflake_protocol,
        "login_timeout": _LOGIN_SECONDS,
    }
    told |= {name: value for name, value in (given or {}).items() if value}
    found = {name: _plain(value) for name, value in told.items() if value}
    if is_local(host := settings.snowflake_host or ""):
        exempt_from_proxies(host)
    if settings.snowflake_host and "private_key_file" not in found:
        return {**_EMULATED, **found}
    for name, setting in _NEEDED.items():
        if name not in found:
            raise DestinationError(f"{setting} is not set: Snowflake needs it")
    return found


def connect(told: Mapping[str, Any], where: str, tag: str) -> "SnowflakeConnection":
    """Return a connection in UTC whose statements carry `tag`. Raises DestinationError."""
    try:
        from snowflake import connector  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise DestinationError(
            "Snowflake's package is not installed: pip install 'simplyload-playground[snowflake]'"
        ) from exc
    try:
        return connector.connect(**told, session_parameters={"QUERY_TAG": tag, "TIMEZONE": "UTC"})
    except connector.errors.Error as exc:
        raise DestinationError(refusal(where, str(exc.msg or exc))) from exc
    except (OSError, ValueError, TypeError) as exc:  # the key's file
        raise DestinationError(f"the private key can't be read: {exc}") from exc


def refusal(where: str, text: str) -> str:
    """Return why a login failed, and what to do, from the connector's words."""
    said = text.strip().partition("\n")[0]
    if any(word in text for word in _OF_A_KEY):
        return (
            f"{where} refuses the key: {said}; let the user's RSA_PUBLIC_KEY be that of the "
            "private key (ALTER USER … SET RSA_PUBLIC_KEY), and check SNOWFLAKE_USER"
        )
    return (
        f"can't reach {where}: {said}; check SNOWFLAKE_ACCOUNT, the network policy and the network"
    )


def _plain(value: object) -> object:
    return str(value.expanduser()) if isinstance(value, Path) else value
