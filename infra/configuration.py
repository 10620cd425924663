"""Reads and checks the stack's configuration; an error is one line that names the setting."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Final, NoReturn

import pulumi
from pulumi.runtime import is_config_secret
from pulumi.runtime.config import CONFIG

# Name, default and meaning; a test compares this with the table in README.md.
SETTINGS: Final[Mapping[str, tuple[str, str]]] = {
    "enable_rds": ("false", "also make a Postgres on RDS"),
    "allowed_ip_cidr": ("", "addresses that may connect to it: IPv4 networks, separated by commas"),
    "db_password": ("", "its password, with `--secret`: 16 to 128 characters"),
    "db_engine_version": ("15", "major version of Postgres, 14 to 18"),
    "db_instance_class": ("db.t3.micro", "class of the instance"),
    "db_storage_gb": ("20", "size of its disk, 20 to 1000 GB of gp3"),
    "db_slot_wal_gb": (
        "10",
        "GB of WAL that a slot may retain before it is lost, less than the disk",
    ),
}

_WIDEST: Final = 8  # bits of the widest network allowed
_VERSIONS: Final = range(14, 19)
_DISK: Final = range(20, 1001)
# RDS takes any printable ASCII but these.
_PASSWORD: Final = re.compile(r"[!#-.0-?A-~]{16,128}")
_CLASS: Final = re.compile(r"db\.[a-z][a-z0-9-]*\.[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Settings of the RDS instance."""

    allowed: tuple[str, ...]
    password: str = field(repr=False)
    version: int
    instance_class: str
    storage_gb: int
    slot_wal_gb: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the program sets up in addition to the bucket."""

    database: DatabaseSettings | None


def read_configuration() -> Configuration:
    """Return the stack's configuration. Raises pulumi.RunError; Pulumi prints its text."""
    begins = f"{pulumi.get_project()}:"
    names = (key.removeprefix(begins) for key in CONFIG.get() if key.startswith(begins))
    for name in names:
        if name not in SETTINGS:
            near = get_close_matches(name, SETTINGS, 1)
            _refuse(name, f"is no setting{f': did you mean {near[0]}?' if near else ''}")
    enabled = _value("enable_rds")
    if enabled not in {"true", "false"}:
        _refuse("enable_rds", f"is {enabled!r}: true or false is allowed")
    return Configuration(_database() if enabled == "true" else None)


def _database() -> DatabaseSettings:
    storage = _whole("db_storage_gb", _DISK)
    return DatabaseSettings(
        allowed=_networks(),
        password=_password(),
        version=_whole("db_engine_version", _VERSIONS),
        instance_class=_instance_class(),
        storage_gb=storage,
        slot_wal_gb=_whole("db_slot_wal_gb", range(1, storage)),
    )


def _networks() -> tuple[str, ...]:
    name = "allowed_ip_cidr"
    networks = [text.strip() for text in _value(name).split(",") if text.strip()]
    if not networks:
        _refuse(name, "is not set, which enable_rds needs: whose addresses, 203.0.113.7/32 say")
    return tuple(_network(name, text) for text in networks)


def _network(name: str, text: str) -> str:
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError):
        _refuse(name, f"has {text!r}, which is no IPv4 network such as 203.0.113.0/24")
    except ValueError:
        enclosing = IPv4Network(text, strict=False)
        _refuse(name, f"has {text!r}, which is inside {enclosing}")
    if network.prefixlen < _WIDEST:
        _refuse(name, f"has {text!r}: that is anybody; /{_WIDEST} is the widest allowed")
    return str(network)


def _password() -> str:
    name = "db_password"
    password = _value(name)
    if not password:
        _refuse(name, f"is not set, which enable_rds needs: pulumi config set --secret {name}")
    if not is_config_secret(f"{pulumi.get_project()}:{name}"):
        _refuse(name, f"is stored in clear: pulumi config set --secret {name}, with a new one")
    if not _PASSWORD.fullmatch(password):
        _refuse(name, 'has to be 16 to 128 characters of ASCII without blanks, /, @ and "')
    return password


def _instance_class() -> str:
    name = "db_instance_class"
    value = _value(name)
    if not _CLASS.fullmatch(value):
        _refuse(name, f"is {value!r}: a class such as db.t3.micro is allowed")
    return value


def _whole(name: str, allowed: range) -> int:
    value = _value(name)
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) not in allowed:
        _refuse(name, f"is {value!r}: a whole number from {allowed[0]} to {allowed[-1]} is allowed")
    return int(value)


def _value(name: str) -> str:
    """Return a setting's text; an empty one counts as unset."""
    return (pulumi.Config().get(name) or "").strip() or SETTINGS[name][0]


def _refuse(name: str, why: str) -> NoReturn:
    raise pulumi.RunError(f"{pulumi.get_project()}:{name} {why}")
