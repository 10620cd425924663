"""Configurations of the Pulumi program, and the errors that the bad ones lead to."""

from typing import Any, Final

from tests.stack import ROOT

PROJECT: Final = "simplyload-playground"
PROGRAM: Final = ROOT / "infra"
PASSWORD: Final = "a#b%c:d?e&f(G)H1"  # noqa: S105 - made up; each of these has a meaning in a URL
WITH_RDS: Final = {
    "enable_rds": "true",
    "allowed_ip_cidr": "203.0.113.7, 198.51.100.0/24",
    "db_password": PASSWORD,
}
OWN_SIZE: Final = {
    "db_engine_version": "17",
    "db_instance_class": "db.t4g.medium",
    "db_storage_gb": "100",
    "db_slot_wal_gb": "64",
}
# Settings of the stack, with those that RDS needs, and the error that each leads to.
REFUSED: Final = [
    ({"enable_rds": "yes"}, "enable_rds is 'yes': true or false is allowed"),
    ({"enable_rsd": "true"}, "enable_rsd is no setting: did you mean enable_rds?"),
    ({"vpc": "vpc-1"}, "vpc is no setting"),
    (
        {"allowed_ip_cidr": ""},
        "allowed_ip_cidr is not set, which enable_rds needs: whose addresses, 203.0.113.7/32 say",
    ),
    (
        {"allowed_ip_cidr": "0.0.0.0/0"},
        "allowed_ip_cidr has '0.0.0.0/0': that is anybody; /8 is the widest allowed",
    ),
    (
        {"allowed_ip_cidr": "203.0.113.7/32,128.0.0.0/1"},
        "allowed_ip_cidr has '128.0.0.0/1': that is anybody; /8 is the widest allowed",
    ),
    (
        {"allowed_ip_cidr": "::/0"},
        "allowed_ip_cidr has '::/0', which is no IPv4 network such as 203.0.113.0/24",
    ),
    (
        {"allowed_ip_cidr": "anywhere"},
        "allowed_ip_cidr has 'anywhere', which is no IPv4 network such as 203.0.113.0/24",
    ),
    (
        {"allowed_ip_cidr": "203.0.113.7/24"},
        "allowed_ip_cidr has '203.0.113.7/24', which is inside 203.0.113.0/24",
    ),
    (
        {"db_password": ""},
        "db_password is not set, which enable_rds needs: pulumi config set --secret db_password",
    ),
    *(
        (
            {"db_password": password},
            'db_password has to be 16 to 128 characters of ASCII without blanks, /, @ and "',
        )
        for password in ("short", "x" * 129, *(f"password{bad}password" for bad in ' /@"é'))
    ),
    (
        {"db_engine_version": "13"},
        "db_engine_version is '13': a whole number from 14 to 18 is allowed",
    ),
    (
        {"db_engine_version": "15.4"},
        "db_engine_version is '15.4': a whole number from 14 to 18 is allowed",
    ),
    (
        {"db_instance_class": "t3.micro"},
        "db_instance_class is 't3.micro': a class such as db.t3.micro is allowed",
    ),
    (
        {"db_storage_gb": "10"},
        "db_storage_gb is '10': a whole number from 20 to 1000 is allowed",
    ),
    (
        {"db_slot_wal_gb": "20"},
        "db_slot_wal_gb is '20': a whole number from 1 to 19 is allowed",
    ),
    (
        {"db_slot_wal_gb": "-1"},
        "db_slot_wal_gb is '-1': a whole number from 1 to 19 is allowed",
    ),
]
IN_CLEAR: Final = {"config": WITH_RDS, "secrets": []}
KEPT: Final = {"config": {**WITH_RDS, "enable_rds": "false"}}


CASES: Final[list[dict[str, Any]]] = [
    {"config": {}},
    {"config": WITH_RDS},
    {"config": {**WITH_RDS, **OWN_SIZE}},
    IN_CLEAR,
    KEPT,
    *({"config": {**WITH_RDS, **config}} for config, _ in REFUSED),
]
