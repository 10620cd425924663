"""The only module that connects to Snowflake: by a key pair, with our own query tag."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from loadgen.config.settings import Settings, exempt_from_proxies
from loadgen.errors import DestinationError, install_hint, one_line
from loadgen.network import is_local

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_LOGIN_SECONDS: Final = 20
# The parts of an address around an account's identifier.
_ADDRESS: Final = re.compile(r"^https?://|\.snowflakecomputing\.(com|cn)\b.*$|/.*$", re.IGNORECASE)
_NEEDED: Final = {
    "account": "SNOWFLAKE_ACCOUNT",
    "user": "SNOWFLAKE_USER",
    "private_key_file": "SNOWFLAKE_PRIVATE_KEY_PATH",
}
# In Snowflake's messages on a key that is expired, unknown or another user's.
_KEY_ERRORS: Final = ("JWT", "Incorrect username", "390144", "394300")
# An emulator checks nothing, but the connector requires these.
_EMULATED: Final = {"user": "emulator", "account": "emulator", "password": "emulator"}


def login(settings: Settings, overrides: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Return the connector's parameters: `overrides` that are not None, else the settings.

    Raises DestinationError if one is missing.
    """
    options: dict[str, object] = {
        "account": settings.snowflake_account,
        "user": settings.snowflake_user,
        "private_key_file": settings.snowflake_private_key_path,
        "private_key_file_pwd": settings.snowflake_private_key_passphrase,
        "role": settings.snowflake_role,
        "warehouse": settings.snowflake_warehouse,
        "database": settings.snowflake_database,
        "host": settings.snowflake_host,
        "port": settings.snowflake_port,
        "protocol": settings.snowflake_protocol,
        "login_timeout": _LOGIN_SECONDS,
    }
    options |= {name: option for name, option in (overrides or {}).items() if option}
    parameters = {name: _plain(option) for name, option in options.items() if option}
    if is_local(host := settings.snowflake_host or ""):
        exempt_from_proxies(host)
    if "account" in parameters:
        parameters["account"] = account_of(str(parameters["account"]))
    if settings.snowflake_host and "private_key_file" not in parameters:
        return {**_EMULATED, **parameters}
    for name, setting in _NEEDED.items():
        if name not in parameters:
            raise DestinationError(f"{setting} is not set: Snowflake needs it")
    return parameters


def account_of(identifier: str) -> str:
    """Return the account's identifier for the connector, also from a whole address.

    Examples are myorg-myaccount, myorg-myaccount.privatelink and locator.region.cloud.
    """
    return _ADDRESS.sub("", identifier.strip())


def account_names(identifier: str) -> list[str]:
    """Return the names that Snowflake's views may use for an account, in upper case.

    ORG-NAME is the account NAME of an organization, LOCATOR.REGION.CLOUD the locator.
    """
    whole = account_of(identifier).upper()
    label = whole.partition(".")[0]
    name = label.partition("-")[2] or label
    return list(dict.fromkeys([whole, label, name, name.replace("-", "_")]))


def same_account(first: str, second: str) -> bool:
    """Return whether two identifiers name the same account; one may leave out the region."""
    (name, region), (other_name, other_region) = _parts(first), _parts(second)
    return name == other_name and (not region or not other_region or region == other_region)


def _parts(identifier: str) -> tuple[str, str]:
    """Return an account's first label, and its region if it has one. Hosts write - for _."""
    label, *rest = account_of(identifier).lower().replace("_", "-").split(".")
    return label, next((part for part in rest if part != "privatelink"), "")


def connect(parameters: Mapping[str, Any], where: str, tag: str) -> "SnowflakeConnection":
    """Return a connection in UTC whose statements carry `tag`. Raises DestinationError."""
    try:
        from snowflake import connector  # noqa: PLC0415 - an extra
    except ImportError as exc:
        raise DestinationError(
            "Snowflake's package is not installed: "
            + install_hint("snowflake", "snowflake-connector-python")
        ) from exc
    parameters = _with_open_key(parameters)
    try:
        return connector.connect(
            **parameters, session_parameters={"QUERY_TAG": tag, "TIMEZONE": "UTC"}
        )
    except connector.errors.Error as exc:
        raise DestinationError(refusal(where, str(exc.msg or exc))) from exc
    except (OSError, ValueError, TypeError) as exc:  # the key's file
        if "private_key_file_pwd" in parameters:
            raise DestinationError(
                f"the private key {parameters['private_key_file']} can't be opened with "
                f"SNOWFLAKE_PRIVATE_KEY_PASSPHRASE ({one_line(exc)}): correct the passphrase"
            ) from exc
        raise DestinationError(f"the private key can't be read: {one_line(exc)}") from exc


def _with_open_key(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the login with a passphrase only if the key has one. Raises DestinationError."""
    parameters = dict(parameters)
    passphrase = parameters.pop("private_key_file_pwd", None)
    file = parameters.get("private_key_file")
    try:
        # In the first line of PKCS #8, in the second of the older form.
        encrypted = file is not None and b"ENCRYPTED" in Path(file).read_bytes()
    except OSError as exc:
        raise DestinationError(f"the private key can't be read: {exc}") from exc
    if encrypted and passphrase is None:
        raise DestinationError(
            f"the private key {file} has a passphrase: set SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"
        )
    return {**parameters, "private_key_file_pwd": passphrase} if encrypted else parameters


def refusal(where: str, text: str) -> str:
    """Return why a login failed, and what to do, from the connector's message."""
    message = one_line(text)
    if any(sign in text for sign in _KEY_ERRORS):
        return (
            f"{where} refuses the key: {message}; let the user's RSA_PUBLIC_KEY be that of the "
            "private key (ALTER USER … SET RSA_PUBLIC_KEY), and check SNOWFLAKE_USER"
        )
    return (
        f"can't reach {where}: {message}; check SNOWFLAKE_ACCOUNT, the network policy and the "
        "network"
    )


def _plain(option: object) -> object:
    if isinstance(option, SecretStr):
        return option.get_secret_value()
    return str(option.expanduser()) if isinstance(option, Path) else option
