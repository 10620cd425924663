"""The AWS resources that the Pulumi program in infra/ registers.

Mocks accept any property name; mypy checks the names in infra/ against the types of pulumi_aws. No
test runs `pulumi up`.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from tests.pulumi_cases import KEPT, OWN_SIZE, PASSWORD, WITH_RDS
from tests.stack import ROOT


def made(outcome: dict[str, Any]) -> list[str]:
    """Return the AWS types that were registered, sorted; components are no AWS resources."""
    return sorted(
        one["type"].rpartition(":")[2] for one in outcome["resources"] if "aws:" in one["type"][:4]
    )


def inputs(outcome: dict[str, Any], kind: str, name: str | None = None) -> dict[str, Any]:
    """Return the inputs of the only resource of a kind, or of the one with this name."""
    found = [
        dict(one["inputs"])
        for one in outcome["resources"]
        if one["type"].endswith(f":{kind}") and name in {None, one["name"]}
    ]
    assert len(found) == 1, (kind, name)
    return found[0]


def allowed(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return the actions that a policy allows, by resource; it must have no other statements."""
    found: dict[str, set[str]] = {}
    for statement in document["Statement"]:
        assert set(statement) == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        found.setdefault(statement["Resource"], set()).update(statement["Action"])
    return found


BUCKET_ONLY: Final = [
    "Bucket",
    "BucketLifecycleConfiguration",
    "BucketMetric",
    "BucketOwnershipControls",
    "BucketPolicy",
    "BucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration",
    "Policy",
    "Policy",
]
BUCKET: Final = "simplyload-testing-1a2b3c4"
ARN: Final = f"arn:aws:s3:::{BUCKET}"


def test_without_rds_only_bucket_and_policies_exist(
    bucket_only: dict[str, Any], runs: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Nothing else is made, looked up or exported, even if the settings of RDS are still there."""
    for outcome in (bucket_only, runs(KEPT)):
        assert outcome["refused"] is None
        assert made(outcome) == BUCKET_ONLY
        assert outcome["calls"] == []
        assert outcome["outputs"] == {
            "s3_bucket": BUCKET,
            "s3_bucket_arn": ARN,
            "simplyload_policy_arn": "arn:aws:iam::123456789012:policy/simplyload-bucket",
            "costs_policy_arn": "arn:aws:iam::123456789012:policy/simplyload-costs",
        }


def test_the_bucket_is_private(bucket_only: dict[str, Any]) -> None:
    """The bucket has no ACL and no public access, we own all objects, and TLS is required."""
    assert inputs(bucket_only, "Bucket") == {
        "forceDestroy": True,
        "tags": {"project": "simplyload-poc", "tool": "simplyload"},
    }
    assert inputs(bucket_only, "BucketPublicAccessBlock") == {
        "bucket": BUCKET,
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    owned = inputs(bucket_only, "BucketOwnershipControls")
    assert owned == {"bucket": BUCKET, "rule": {"objectOwnership": "BucketOwnerEnforced"}}
    policy = inputs(bucket_only, "BucketPolicy")
    assert policy["bucket"] == BUCKET
    assert json.loads(policy["policy"])["Statement"] == [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [ARN, f"{ARN}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_the_bucket_is_encrypted_emptied_and_measured(bucket_only: dict[str, Any]) -> None:
    """AES256 is on; objects and aborted uploads expire after a week; costs have request metrics."""
    encrypted = inputs(bucket_only, "BucketServerSideEncryptionConfiguration")
    by_default = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
    assert encrypted == {"bucket": BUCKET, "rules": [by_default]}
    assert inputs(bucket_only, "BucketLifecycleConfiguration") == {
        "bucket": BUCKET,
        "rules": [
            {
                "id": "a-week",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": 7},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
            }
        ],
    }
    from loadgen.costs.aws.resources import METRICS_ID  # noqa: PLC0415 - pydantic's models take a while

    assert inputs(bucket_only, "BucketMetric") == {"bucket": BUCKET, "name": METRICS_ID}


def test_changes_of_the_bucket_come_one_after_the_other(bucket_only: dict[str, Any]) -> None:
    """The policy waits for access block and ownership; S3 would refuse it while they change."""
    after = {one["type"].rpartition(":")[2]: one["after"] for one in bucket_only["resources"]}
    assert {kind.rpartition(":")[2] for kind in after["BucketPolicy"]} == {
        "Bucket",
        "BucketOwnershipControls",
        "BucketPublicAccessBlock",
    }


def test_simplyload_may_use_its_bucket_and_no_more(bucket_only: dict[str, Any]) -> None:
    """Objects can be read, written and deleted; the bucket itself can't be changed."""
    policy = json.loads(inputs(bucket_only, "Policy", "simplyload-bucket")["policy"])
    assert allowed(policy) == {
        ARN: {"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"},
        f"{ARN}/*": {
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
        },
    }


def test_the_costs_policy_is_what_costs_calls(bucket_only: dict[str, Any]) -> None:
    """Each call that loadgen/costs makes is allowed, and no other."""
    policy = json.loads(inputs(bucket_only, "Policy", "simplyload-costs")["policy"])
    called = {
        action
        for path in (ROOT / "loadgen" / "costs").rglob("*.py")
        for action in re.findall(r'"([a-z0-9]+:[A-Z][A-Za-z]+)"', path.read_text(encoding="utf-8"))
    }
    assert "ce:GetCostAndUsage" in called
    by_resource = allowed(policy)
    on_bucket = {"s3:ListBucketVersions"}
    assert by_resource == {"*": called - on_bucket, ARN: on_bucket}


def test_rds_adds_three_resources(with_rds: dict[str, Any]) -> None:
    """RDS adds an instance, its security group and its parameters, in the default VPC."""
    assert with_rds["refused"] is None
    assert made(with_rds) == sorted([*BUCKET_ONLY, "Instance", "ParameterGroup", "SecurityGroup"])
    assert with_rds["calls"] == [{"token": "aws:ec2/getVpc:getVpc", "args": {"default": True}}]
    for kind in ("Instance", "ParameterGroup", "SecurityGroup"):
        assert inputs(with_rds, kind)["tags"] == {"project": "simplyload-poc", "tool": "source"}


def test_rds_listens_to_the_addresses_that_were_given(with_rds: dict[str, Any]) -> None:
    """Only Postgres' port is open, to the given networks; there is no egress rule."""
    group = inputs(with_rds, "SecurityGroup")
    assert group["vpcId"] == "vpc-default"
    assert "egress" not in group
    (rule,) = group["ingress"]
    del rule["description"]
    assert rule == {
        "protocol": "tcp",
        "fromPort": 5432,
        "toPort": 5432,
        "cidrBlocks": ["203.0.113.7/32", "198.51.100.0/24"],
    }
    assert inputs(with_rds, "Instance")["vpcSecurityGroupIds"] == ["simplyload-source-id"]


def test_rds_can_replicate_and_forces_tls(with_rds: dict[str, Any]) -> None:
    """Logical replication is on from the first start, TLS is forced, a slot's WAL is limited."""
    group = inputs(with_rds, "ParameterGroup")
    assert group["family"] == "postgres15"
    told = {one["name"]: (one["value"], one["applyMethod"]) for one in group["parameters"]}
    assert told == {
        "rds.logical_replication": ("1", "pending-reboot"),
        "rds.force_ssl": ("1", "immediate"),
        "max_slot_wal_keep_size": (str(10 * 1024), "immediate"),  # MB
    }
    assert inputs(with_rds, "Instance")["parameterGroupName"] == "simplyload-source-group"


def test_the_instance_is_small_encrypted_and_leaves_nothing(with_rds: dict[str, Any]) -> None:
    """The instance is small and encrypted, has no paid extras, and leaves no backup behind."""
    instance = inputs(with_rds, "Instance")
    assert instance.pop("password") == {"secret": PASSWORD}
    for shared in ("tags", "vpcSecurityGroupIds", "parameterGroupName"):
        del instance[shared]
    assert instance == {
        "identifierPrefix": "simplyload-source-",
        "engine": "postgres",
        "engineVersion": "15",
        "engineLifecycleSupport": "open-source-rds-extended-support-disabled",
        "autoMinorVersionUpgrade": False,
        "instanceClass": "db.t3.micro",
        "allocatedStorage": 20,
        "storageType": "gp3",
        "storageEncrypted": True,
        "multiAz": False,
        "dbName": "playground",
        "username": "playground",
        "port": 5432,
        "publiclyAccessible": True,
        "applyImmediately": True,
        "backupRetentionPeriod": 0,
        "skipFinalSnapshot": True,
    }


def test_the_password_is_only_where_it_is_secret(with_rds: dict[str, Any]) -> None:
    """database_url is a secret that works as it stands; no other output has the password."""
    outputs = dict(with_rds["outputs"])
    url = outputs.pop("database_url")
    quoted = "a%23b%25c%3Ad%3Fe%26f%28G%29H1"
    there = "db.example.com:5432/playground?sslmode=verify-full&sslrootcert=global-bundle.pem"
    assert url == {"secret": f"postgresql://playground:{quoted}@{there}"}
    assert PASSWORD not in json.dumps(outputs)
    others = [one for one in with_rds["resources"] if not one["type"].endswith(":Instance")]
    assert PASSWORD not in json.dumps(others)


def test_database_url_is_a_setting_as_it_stands(with_rds: dict[str, Any]) -> None:
    """Libpq reads the right user, password and TLS options from the URL."""
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - Locust comes before psycopg

    told = conninfo_to_dict(with_rds["outputs"]["database_url"]["secret"])
    assert told == {
        "user": "playground",
        "password": PASSWORD,
        "host": "db.example.com",
        "port": "5432",
        "dbname": "playground",
        "sslmode": "verify-full",
        "sslrootcert": "global-bundle.pem",
    }


def test_rds_is_as_large_as_asked(runs: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Version, class, disk and the limit on slots are settings."""
    outcome = runs({"config": {**WITH_RDS, **OWN_SIZE}})
    instance, group = inputs(outcome, "Instance"), inputs(outcome, "ParameterGroup")
    assert (instance["engineVersion"], group["family"]) == ("17", "postgres17")
    assert (instance["instanceClass"], instance["allocatedStorage"]) == ("db.t4g.medium", 100)
    assert {"name": "max_slot_wal_keep_size", "value": "65536", "applyMethod": "immediate"} in (
        group["parameters"]
    )
